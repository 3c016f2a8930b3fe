"""Soil moisture of the top layer at stations, on the product's stamps.

File ``sensors.nc``:

=================  =======================  ==========================================================================
name               dims, type               meaning
=================  =======================  ==========================================================================
soil_moisture      (sensor, time) float32   m3 m-3, the good value nearest to the stamp, from 1.5 h before it until
                                            less than 1.5 h after it, so that a value has one stamp; else NaN
soil_temperature   same                     degC, of the thermometer at the same station and depth, likewise
time               (time,)                  stamps 00, 03, ..., 21 UTC of the run's months
network, station,  (sensor,) str            names; ``sensor_name`` is that of the instrument
sensor_name
lat, lon           (sensor,) float64        degree
depth_from,        (sensor,) float64        m
depth_to
=================  =======================  ==========================================================================

Attribute ``left_out``: JSON list of ``{what, reason}``, every file and station that is not used.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources import complaint
from pscnet.sources.atomic import replacing
from pscnet.sources.stations import LeftOut, Sensor, Wanted, joined, reasons_of
from pscnet.sources.stations.holdings import is_description
from pscnet.sources.stations.ismn_archive import read_ismn
from pscnet.sources.stations.tables import read_tables
from pscnet.timeaxis import HALF_STEP, month_bounds, month_stamps

logger = logging.getLogger(__name__)


def write_sensors(
    *,
    sources: Sequence[str | Path],
    months: Sequence[str],
    grid: Grid,
    static: str | Path,
    deepest: float,
    output: str | Path,
) -> None:
    """Read all sources and write the sensors of the region and layer; the log lists what is left out.

    Parameters
    ----------
    sources : paths
        Folders or zips of ISMN, descriptions of tables (YAML).
    months : list of str
        The run's months, in their order.
    grid : Grid
        The product's.
    static : path
        With ``region`` (lat, lon).
    deepest : float [m]
        Lower end of the layer.
    output : path to write

    Raises
    ------
    SourceError
        A source is not there or cannot be read. Sources without any sensor of use make an empty file, whose reasons
        are told.
    """
    with xr.open_dataset(static) as fields:
        region = fields["region"].transpose("lat", "lon").values == 1
    if region.shape != grid.shape:
        raise complaint(static, f"{grid.shape[0]} x {grid.shape[1]} cells", f"{region.shape}", "rerun regrid_static")
    stamps = np.concatenate([month_stamps(month) for month in months])
    wanted = Wanted(
        grid, region, deepest, month_bounds(months[0])[0] - HALF_STEP, month_bounds(months[-1])[1] + HALF_STEP
    )
    sensors, left = read_all(sources, wanted)
    made = sensor_dataset(sensors, left, stamps)
    _tell(made, left)
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4")


def read_all(sources: Sequence[str | Path], wanted: Wanted) -> tuple[list[Sensor], list[LeftOut]]:
    """The sensors of all sources; the series of a sensor that is in several, such as of two years, are joined.

    Of equal times the earlier source's value stays; a source without a value at any other time is told in ``left``.
    """
    sensors: dict[tuple, Sensor] = {}
    left: list[LeftOut] = []
    for source in sources:
        found, without = read_tables(source, wanted) if is_description(source) else read_ismn(source, wanted)
        left += without
        for sensor in found:
            key = (sensor.network, sensor.station, sensor.name, sensor.depth_from, sensor.depth_to)
            known = sensors.setdefault(key, sensor)
            if known is sensor:
                continue
            sensors[key] = joined(known, sensor)
            if np.isin(sensor.times, known.times).all():
                what = f"{sensor.network}, {sensor.station}"
                left.append(LeftOut(what, f"nothing new in a later source: all times of {source} are in earlier ones"))
    return list(sensors.values()), left


def sensor_dataset(sensors: Sequence[Sensor], left: list[LeftOut], stamps: np.ndarray) -> xr.Dataset:
    """The sensors on ``stamps`` (time,); those without a value near any stamp join ``left``."""
    kept, rows = [], []
    for sensor in sensors:
        moisture = nearest_values(sensor.times, sensor.moisture, stamps)
        if np.isfinite(moisture).any():
            kept.append(sensor)
            rows.append((moisture, nearest_values(sensor.warm_times, sensor.temperature, stamps)))
        else:
            left.append(LeftOut(f"{sensor.network}, {sensor.station}", "no good value within 1.5 h of a stamp"))
    shape = (len(kept), stamps.size)
    fields = [np.array([row[k] for row in rows], dtype=np.float32).reshape(shape) for k in (0, 1)]
    names = {"network": "network", "station": "station", "sensor_name": "name"}
    places = {"lat": "degrees_north", "lon": "degrees_east", "depth_from": "m", "depth_to": "m"}
    return xr.Dataset(
        {
            "soil_moisture": (("sensor", "time"), fields[0], {"units": "m3 m-3"}),
            "soil_temperature": (("sensor", "time"), fields[1], {"units": "degC"}),
        },
        coords={"time": stamps}
        | {key: ("sensor", np.array([getattr(s, name) for s in kept], dtype=str)) for key, name in names.items()}
        | {
            key: ("sensor", np.array([getattr(s, key) for s in kept], dtype=float), {"units": unit})
            for key, unit in places.items()
        },
        attrs={
            "content": "good values of station sensors, nearest to the stamp within 1.5 h",
            "left_out": json.dumps([asdict(entry) for entry in left]),
        },
    )


def nearest_values(times: np.ndarray, values: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """Values (time,) nearest to each stamp and at most 1.5 h away; NaN where there is none, of equal ones the earlier.

    A value halfway between two stamps belongs to the later one, as :func:`pscnet.timeaxis.nearest_stamp` has it.

    Parameters
    ----------
    times : datetime64 (n,), ascending
    values : ndarray (n,)
    stamps : datetime64 (time,)
    """
    if not times.size:
        return np.full(stamps.size, np.nan)
    times, stamps = times.astype("M8[ns]"), stamps.astype("M8[ns]")
    after = np.searchsorted(times, stamps)
    left, right = np.maximum(after - 1, 0), np.minimum(after, times.size - 1)
    near = np.where(np.abs(times[left] - stamps) <= np.abs(times[right] - stamps), left, right)
    away = times[near] - stamps
    return np.where((away >= -HALF_STEP) & (away < HALF_STEP), np.asarray(values, float)[near], np.nan)


def _tell(made: xr.Dataset, left: Sequence[LeftOut]) -> None:
    networks = Counter(made["network"].values.tolist())
    shown = ", ".join(f"{network} {count}" for network, count in sorted(networks.items()))
    logger.info("Sensors of use: %s", shown or "none")
    for entry in left:
        logger.info("Left out: %s: %s", entry.what, entry.reason)
    if not networks:
        logger.warning("No sensor is of use: %s", reasons_of(entry.reason for entry in left))
