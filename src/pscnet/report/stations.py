"""Where do stations stand, and what did they measure: for the series under the maps.

Read from ``stations_series.nc`` of the validation ``stations``, with the dimensions (sensor, time).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.report.inputs import ReportError


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


def read_sensors(path: str | Path) -> Sensors:
    """Read ``stations_series.nc``.

    Raises
    ------
    ReportError
        When it lacks places, times or measurements.
    """
    with xr.open_dataset(path) as series:
        wanted = ("network", "station", "lat", "lon", "time", "in_situ")
        lacking = [name for name in wanted if name not in series.variables]
        if lacking:
            raise ReportError(f"{path}: {', '.join(lacking)} expected, not found; rerun validate_stations")
        return Sensors(
            [str(name) for name in series["network"].values],
            [str(name) for name in series["station"].values],
            series["lat"].values.astype(float),
            series["lon"].values.astype(float),
            series["time"].values.astype("M8[ns]"),
            series["in_situ"].transpose("sensor", "time").values.astype(np.float32),
        )
