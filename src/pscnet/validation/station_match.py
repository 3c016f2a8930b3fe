"""Stations and gridded fields beside each other: on the stamps of the test days, at the cells that the stations lie in.

A stamp of a sensor is *common* when the sensor, the product and every reference field have a value and the ground is
neither frozen nor under snow. Frozen: by the sensor's thermometer (where it has one) or by the model (ERA5-Land
``stl1``, where it is a predictor) at or below 0 degree C, or by the product's flag; where ``stl1`` has no value nobody
knows, and the stamp is not common. Snow: by the product's flag. All methods are scored on the same stamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources.stations import cell_of
from pscnet.timeaxis import nearest_stamp
from pscnet.validation import PRODUCT, ScoreError, methods_of
from pscnet.validation.presence import require_months
from pscnet.validation.satellite import in_intervals
from pscnet.variables import FLAG_BITS

#: Temperature of melting ice [K].
_ZERO = 273.15

#: ERA5-Land's temperature of the top 7 cm.
_MODEL_TEMPERATURE = "stl1"

#: Reasons of a match for a stamp that is not common, each bool (sensor, time).
_MASKS = ("frozen_model", "unknown_model", "frozen_flag", "snow_flag")


@dataclass(frozen=True)
class Match:
    """Series at sensors; arrays (sensor, time) unless said otherwise, soil moisture in m3 m-3.

    Attributes
    ----------
    times : datetime64 (time,)
        The product's stamps on test days, ascending.
    network, station, name : list of str (sensor,)
    lat, lon, depth_from, depth_to : ndarray (sensor,) [degree, m]
    measured : ndarray
        By the sensor; not masked.
    warmth : ndarray [degree C]
        By its thermometer; NaN where there is none.
    fields : dict of method to ndarray
        The product first.
    sigma : ndarray
        The product's standard deviation.
    smap : ndarray
        The retrieval of the 36 km cell around the sensor, at the stamp nearest to its overpass; mostly NaN.
    frozen_model, frozen_flag : ndarray of bool
        By ``stl1``, by the product's flag.
    unknown_model : ndarray of bool
        Where ``stl1`` is a predictor and has no value.
    snow_flag : ndarray of bool
        By the product's flag.
    truth : ndarray or None
        Of the sensor's cell.
    """

    times: np.ndarray
    network: list[str]
    station: list[str]
    name: list[str]
    lat: np.ndarray
    lon: np.ndarray
    depth_from: np.ndarray
    depth_to: np.ndarray
    measured: np.ndarray
    warmth: np.ndarray
    fields: dict[str, np.ndarray]
    sigma: np.ndarray
    smap: np.ndarray
    frozen_model: np.ndarray
    frozen_flag: np.ndarray
    unknown_model: np.ndarray
    snow_flag: np.ndarray
    truth: np.ndarray | None = None

    @property
    def frozen(self) -> np.ndarray:
        """Where the ground is frozen by any of the three."""
        return (self.warmth <= 0.0) | self.frozen_model | self.frozen_flag

    @property
    def common(self) -> np.ndarray:
        """Where all methods are scored."""
        finite = [np.isfinite(values) for values in (self.measured, *self.fields.values())]
        return np.logical_and.reduce(finite) & ~(self.frozen | self.unknown_model | self.snow_flag)

    def label(self, sensor: int) -> str:
        """Network, station and, where the station has several, instrument and depth of a sensor."""
        where = f"{self.network[sensor]}, {self.station[sensor]}"
        same = [k for k in range(len(self.name)) if self.key(k) == self.key(sensor)]
        if len(same) == 1:
            return where
        depth = f"{100 * self.depth_from[sensor]:g}-{100 * self.depth_to[sensor]:g} cm"
        return f"{where}, {self.name[sensor]} {depth}"

    def key(self, sensor: int) -> tuple[str, str]:
        """Network and station of a sensor."""
        return self.network[sensor], self.station[sensor]

    def counts(self) -> list[dict[str, int]]:
        """Of each sensor: stamps with a value, those masked by sensor, model and flag, and common ones."""
        has = np.isfinite(self.measured)
        parts = {
            "measured": has,
            "frozen_by_sensor": has & (self.warmth <= 0.0),
            "frozen_by_model": has & self.frozen_model,
            "frozen_by_flag": has & self.frozen_flag,
            "unknown_by_model": has & self.unknown_model,
            "snow_by_flag": has & self.snow_flag,
            "common": self.common,
            "with_smap": self.common & np.isfinite(self.smap),
        }
        return [{key: int(part[k].sum()) for key, part in parts.items()} for k in range(len(self.name))]

    def with_truth(self, truth: np.ndarray) -> Match:
        """The same with another truth."""
        return replace(self, truth=truth)


def match(
    *,
    sensors: str | Path,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    predictors: Sequence[str | Path],
    smap: Sequence[str | Path],
    fine: Grid,
    coarse: Grid,
    test_intervals: Sequence[tuple[str, str]],
    truths: Sequence[str | Path] = (),
) -> Match:
    """Read everything at the sensors.

    Parameters
    ----------
    sensors : path
        See :mod:`pscnet.sources.stations.sensors`.
    products, references, predictors, truths : paths
        Of each test month, in the order of time; ``truths`` may be empty.
    smap : paths
        Retrievals of the test months and their neighbours.
    fine, coarse : Grid
        The product's, the retrievals'.
    test_intervals : list of (start, end), ISO, half-open

    Raises
    ------
    ScoreError
        A file of a month is absent, lacks a variable or a stamp, or lies on other cells; a sensor lies outside the
        grid.
    """
    months = _months(products, references, predictors, truths, test_intervals)
    with xr.open_dataset(sensors) as data:
        station = data.load()
    cells = _cells(station, fine, sensors)
    with xr.open_dataset(references[0]) as first:
        methods = methods_of(first.variables, Path(references[0]), product=False)
    intervals = [(np.datetime64(start, "ns"), np.datetime64(end, "ns")) for start, end in test_intervals]
    read = [_month(paths, methods, cells, fine, intervals) for paths in months]
    series = {name: np.concatenate([month[name] for month in read], axis=-1) for name in read[0]}
    times = series.pop("times")
    at = _rows(station["time"].values, times, Path(sensors), "the product")
    return Match(
        times,
        *([str(text) for text in station[name].values] for name in ("network", "station", "sensor_name")),
        *(station[name].values.astype(float) for name in ("lat", "lon", "depth_from", "depth_to")),
        *(station[name].values[:, at].astype(float) for name in ("soil_moisture", "soil_temperature")),
        {name: series[name] for name in (PRODUCT, *methods)},
        series["sigma"],
        read_smap(smap, coarse, station["lat"].values, station["lon"].values, times),
        **{name: series[name] for name in _MASKS},
        truth=series.get("truth"),
    )


def _months(
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    predictors: Sequence[str | Path],
    truths: Sequence[str | Path],
    test_intervals: Sequence[tuple[str, str]],
) -> list[tuple[str | Path, str | Path, str | Path, str | Path | None]]:
    """The files of each month; each month of the test days has one of each kind."""
    for paths, what, rule in (
        (products, "the product", "product_month"),
        (references, "the reference fields", "verify_references"),
        (predictors, "the predictors", "regrid_era5_land"),
    ):
        require_months(paths, test_intervals, what, rule)
    if not len(products) == len(references) == len(predictors) or len(truths) not in (0, len(products)):
        raise ScoreError(
            "expected one product, one reference file, one predictor file and (on the twin) one truth file a month; "
            f"found {len(products)}, {len(references)}, {len(predictors)} and {len(truths)}"
        )
    return list(zip(products, references, predictors, truths or [None] * len(products), strict=True))


def _cells(station: xr.Dataset, grid: Grid, path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (sensor,) of the cells that the sensors lie in."""
    found = []
    for lat, lon in zip(station["lat"].values, station["lon"].values, strict=True):
        cell = cell_of(grid, float(lat), float(lon))
        if cell is None:
            raise ScoreError(f"{path}: a sensor at {lat:g} N {lon:g} E lies outside the grid; rerun validate_sensors")
        found.append(cell)
    rows, columns = np.array(found, dtype=int).reshape(-1, 2).T
    return rows, columns


def _month(
    paths: tuple[str | Path, str | Path, str | Path, str | Path | None],
    methods: Sequence[str],
    cells: tuple[np.ndarray, np.ndarray],
    grid: Grid,
    intervals: Sequence[tuple[np.datetime64, np.datetime64]],
) -> dict[str, np.ndarray]:
    """Series (sensor, time) of one month's test days, and their ``times`` (time,)."""
    product, reference, predictor, truth = paths
    with xr.open_dataset(product) as made:
        stamps = made["time"].values.astype("M8[ns]")
    times = stamps[in_intervals(stamps, intervals)]
    names = ("soil_moisture", "soil_moisture_uncertainty", "flag")
    moisture, sigma, flag = _at_cells(product, names, cells, grid, times, product)
    series = {"times": times, PRODUCT: moisture, "sigma": sigma}
    flag = np.nan_to_num(flag).astype(np.uint8)
    series |= {f"{name}_flag": (flag & FLAG_BITS[name]) > 0 for name in ("frozen", "snow")}
    series |= dict(zip(methods, _at_cells(reference, methods, cells, grid, times, product), strict=True))
    with xr.open_dataset(predictor) as fields:
        known = _MODEL_TEMPERATURE in fields
    warmth = np.full(moisture.shape, np.inf)  # without the variable the model masks nothing
    if known:
        (warmth,) = _at_cells(predictor, [_MODEL_TEMPERATURE], cells, grid, times, product)
    series |= {"frozen_model": warmth <= _ZERO, "unknown_model": np.isnan(warmth)}
    if truth is not None:
        exact, ice, snow = _at_cells(truth, ("soil_moisture", "frozen", "snow"), cells, grid, times, product)
        series["truth"] = np.where((ice != 0) | (snow != 0), np.nan, exact)
    return series


def _at_cells(
    path: str | Path,
    names: Sequence[str],
    cells: tuple[np.ndarray, np.ndarray],
    grid: Grid,
    times: np.ndarray,
    product: str | Path,
) -> list[np.ndarray]:
    """Variables at cells and stamps, each float64 (sensor, time)."""
    with xr.open_dataset(path) as fields:
        missing = [name for name in (*names, "time", "lat", "lon") if name not in fields.variables]
        if missing:
            raise ScoreError(
                f"{path}: expected the variables {', '.join(names)} on time, lat, lon; {', '.join(missing)} missing; "
                "rerun the rule that made the file"
            )
        lat, lon = fields["lat"].values, fields["lon"].values
        if (lat.size, lon.size) != grid.shape or not (
            np.allclose(lat, grid.lat, rtol=0, atol=1e-4) and np.allclose(lon, grid.lon, rtol=0, atol=1e-4)
        ):
            raise ScoreError(
                f"{path}: expected the product's grid, {grid.shape[0]} x {grid.shape[1]} cells from {grid.lat[0]:g} N "
                f"{grid.lon[0]:g} E; found {lat.size} x {lon.size} from {lat[0]:g} N {lon[0]:g} E; rerun the older file"
            )
        rows = _rows(fields["time"].values, times, Path(path), str(product))
        where = {"lat": xr.DataArray(cells[0], dims="sensor"), "lon": xr.DataArray(cells[1], dims="sensor")}
        return [fields[name].isel(where).transpose("sensor", "time").values[:, rows].astype(float) for name in names]


def _rows(found: np.ndarray, wanted: np.ndarray, path: Path, owner: str) -> np.ndarray:
    """Positions of the ``wanted`` stamps among the ``found`` ones."""
    found, wanted = found.astype("M8[ns]"), wanted.astype("M8[ns]")
    position = np.minimum(np.searchsorted(found, wanted), max(found.size - 1, 0))
    here = found[position] == wanted if found.size else np.zeros(wanted.size, dtype=bool)
    if not here.all():
        raise ScoreError(
            f"{path}: expected every stamp of {owner}; {str(wanted[~here][0])[:16]} is missing "
            f"({int((~here).sum())} of {wanted.size}); rerun the rule that made the file"
        )
    return position


def read_smap(
    paths: Sequence[str | Path], grid: Grid, lat: np.ndarray, lon: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """SMAP's retrievals (sensor, time) of the cells that places (sensor,) lie in, at the stamps nearest to overpasses.

    Parameters
    ----------
    paths : months of retrievals, see :mod:`pscnet.sources.smap`
    grid : Grid
        Of the retrievals.
    times : datetime64 (time,), ascending

    Raises
    ------
    ScoreError
        A file lies on other cells.
    """
    values = np.full((lat.size, times.size), np.nan)
    cells = [cell_of(grid, float(a), float(b)) for a, b in zip(lat, lon, strict=True)]
    for path in paths:
        with xr.open_dataset(path) as month:
            if month["soil_moisture"].shape[1:] != grid.shape:
                raise ScoreError(
                    f"{path}: expected {grid.shape[0]} x {grid.shape[1]} cells of {grid.name}, found "
                    f"{' x '.join(map(str, month['soil_moisture'].shape[1:]))}; rerun regrid_smap"
                )
            start = np.datetime64(month.attrs["month"], "ns")
            moisture, offset = month["soil_moisture"].values, month["time_offset"].values
        for sensor, cell in enumerate(cells):
            if cell is None:
                continue
            seen = moisture[(slice(None), *cell)]
            hours = offset[(slice(None), *cell)]
            good = np.isfinite(seen) & np.isfinite(hours)
            stamps = nearest_stamp(start + (hours[good] * 3.6e12).astype("m8[ns]"))
            position = np.minimum(np.searchsorted(times, stamps), times.size - 1)
            inside = times[position] == stamps
            values[sensor, position[inside]] = seen[good][inside]
    return values
