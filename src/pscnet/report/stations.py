"""Where do stations stand, and what did they measure: for the map of stations and the series under the maps.

Read from ``stations_series.nc`` of the validation ``stations``, with the dimensions (sensor, time).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pscnet.report.figure_files import WIDTH
from pscnet.report.inputs import ReportError, edges

#: Names that the soil moisture of a sensor may have.
MEASURED = ("in_situ", "insitu", "station_soil_moisture", "soil_moisture", "observed")

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass
class Sensors:
    """Sensors with their series.

    Attributes
    ----------
    network, station : list of str, one for each sensor
    lat, lon : ndarray (sensor,) [degree]
    times : datetime64 (time,)
    moisture : float32 (sensor, time) [m3 m-3]
    """

    network: list[str]
    station: list[str]
    lat: np.ndarray
    lon: np.ndarray
    times: np.ndarray
    moisture: np.ndarray

    def label(self, sensor: int) -> str:
        """Network and station of a sensor."""
        return f"{self.network[sensor]}, {self.station[sensor]}"

    def places(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Latitude and longitude of each station, by network and name."""
        at = zip(self.lat.tolist(), self.lon.tolist(), strict=True)
        return dict(zip(zip(self.network, self.station, strict=True), at, strict=True))


def read_sensors(path: str | Path) -> Sensors:
    """Read ``stations_series.nc``.

    Raises
    ------
    ReportError
        When it lacks places, times or measurements.
    """
    with xr.open_dataset(path) as series:
        measured = next((name for name in MEASURED if name in series.variables), None)
        lacking = [name for name in ("network", "station", "lat", "lon", "time") if name not in series.variables]
        if measured is None or lacking:
            wanted = ", ".join([*lacking, *([] if measured else [f"the measurements ({' or '.join(MEASURED)})"])])
            raise ReportError(f"{path}: {wanted} expected, not found; rerun validate_stations")
        return Sensors(
            [str(name) for name in series["network"].values],
            [str(name) for name in series["station"].values],
            series["lat"].values.astype(float),
            series["lon"].values.astype(float),
            series["time"].values.astype("M8[ns]"),
            series[measured].transpose("sensor", "time").values.astype(np.float32),
        )


def draw_stations(sensors: Sensors, static: str | Path) -> Figure:
    """Stations by network on the elevation of the region; one marker and colour for each network."""
    with xr.open_dataset(static) as fixed:
        lat, lon = fixed["lat"].values, fixed["lon"].values
        elevation = fixed["elevation"].transpose("lat", "lon").values if "elevation" in fixed else None
        region = fixed["region"].transpose("lat", "lon").values > 0
    aspect = 1 / math.cos(math.radians(float(lat.mean())))
    width = WIDTH - 1.6
    height = (width - 1.2) * aspect * float(lat[0] - lat[-1]) / float(lon[-1] - lon[0])
    figure = Figure(figsize=(WIDTH, min(max(height, 2.0), 6.0) + 1.0), layout="constrained")
    axis = figure.subplots()
    if elevation is not None:
        shown = np.where(region, elevation, np.nan)
        ground = axis.pcolormesh(edges(lon), edges(lat), shown, cmap="Greys", vmin=0, rasterized=True)
        ground.set_clim(float(np.nanmin(shown)) - 500, float(np.nanmax(shown)) * 1.15)
        figure.colorbar(ground, ax=axis, label="elevation [m]", shrink=0.7)
    places = sensors.places()
    networks = list(dict.fromkeys(network for network, _ in places))
    for number, network in enumerate(networks):
        there = np.array([at for (of, _), at in places.items() if of == network])
        axis.plot(
            there[:, 1], there[:, 0], linestyle="", marker=_MARKERS[number % 7], color=_COLOURS[number % 7],
            markersize=6, markeredgecolor="white", markeredgewidth=0.7, label=f"{network} ({len(there)})",
        )  # fmt: skip
    if not places:
        axis.text(0.5, 0.5, "no station", transform=axis.transAxes, ha="center")
    axis.set(
        xlim=(edges(lon)[0], edges(lon)[-1]), ylim=(edges(lat)[-1], edges(lat)[0]), aspect=aspect,
        xlabel="longitude [° E]", ylabel="latitude [° N]",
    )  # fmt: skip
    figure.legend(loc="outside upper center", ncols=4, frameon=False, title="network (stations)")
    return figure
