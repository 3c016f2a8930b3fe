"""Which sensor measured what, and where: ISMN archives and plain tables in, clean series out.

Every reader gives :class:`Sensor` series of good values, and a :class:`LeftOut` for what it leaves out, so that nothing
disappears in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from pscnet.grids import Grid

#: Reach of "0 to 5 cm" beyond its lower end [m]: depths are written with two to six decimals.
DEPTH_TOLERANCE = 0.001

#: Volumetric soil moisture that can be [m3 m-3]; the porosity of the organic soils of the wet east reaches 0.7.
VALID_RANGE = (0.0, 0.8)

#: Soil temperature that can be [degree C]; quality control of ISMN, code C02 [doi:10.2136/vzj2012.0097].
VALID_TEMPERATURE = (-60.0, 60.0)


@dataclass
class Sensor:
    """A soil moisture sensor, and the thermometer beside it where there is one.

    Attributes
    ----------
    network, station, name : str
        The name is that of the instrument.
    lat, lon : float [degree]
    depth_from, depth_to : float [m]
    times : datetime64[ns] (n,), ascending, UTC
    moisture : ndarray (n,) [m3 m-3]
        Values of good quality.
    warm_times : datetime64[ns] (m,), ascending, UTC
    temperature : ndarray (m,) [degree C]
        Empty without a thermometer at the same station and depth.
    """

    network: str
    station: str
    name: str
    lat: float
    lon: float
    depth_from: float
    depth_to: float
    times: np.ndarray
    moisture: np.ndarray
    warm_times: np.ndarray = field(default_factory=lambda: np.empty(0, "M8[ns]"))
    temperature: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class LeftOut:
    """A file or sensor that is not used, and why, in words for a person."""

    what: str
    reason: str


@dataclass(frozen=True)
class Wanted:
    """Which sensors are of use.

    Attributes
    ----------
    grid : Grid
        The product's.
    region : bool (lat, lon)
        Its cells that have a product.
    deepest : float [m]
        Lower end of the layer.
    start, end : datetime64
        Half-open period.
    """

    grid: Grid
    region: np.ndarray
    deepest: float
    start: np.datetime64
    end: np.datetime64

    def place_fault(self, lat: float, lon: float) -> str | None:
        """Why a place is of no use, or None."""
        south, north = float(self.grid.lat_edges[-1]), float(self.grid.lat_edges[0])
        west, east = float(self.grid.lon_edges[0]), float(self.grid.lon_edges[-1])
        if not (np.isfinite(lat) and np.isfinite(lon)):
            return "no latitude and longitude"
        where = f"{lat:g} N {lon:g} E"
        cell = cell_of(self.grid, lat, lon)
        if cell is None:
            return f"outside the region: at {where}, the region is {south:g} to {north:g} N, {west:g} to {east:g} E"
        if not self.region[cell]:
            return f"outside the region: the cell at {where} has no product (water, or outside the polygon)"
        return None

    def depth_fault(self, depth_from: float | None, depth_to: float | None) -> str | None:
        """Why a depth is of no use, or None."""
        if depth_from is None or depth_to is None or not (np.isfinite(depth_from) and np.isfinite(depth_to)):
            return "no depth in the file: add it, as a value without depth cannot be compared with 0 to 5 cm"
        if min(depth_from, depth_to) < -DEPTH_TOLERANCE:
            return f"above the ground: {depth_from:g} to {depth_to:g} m"
        if max(depth_from, depth_to) > self.deepest + DEPTH_TOLERANCE:
            return f"too deep: {depth_from:g} to {depth_to:g} m, wanted is 0 to {self.deepest:g} m"
        return None


def cell_of(grid: Grid, lat: float, lon: float) -> tuple[int, int] | None:
    """Row and column of the cell that a place lies in; None outside the grid."""
    row = int(np.searchsorted(-grid.lat_edges, -lat, side="right")) - 1
    column = int(np.searchsorted(grid.lon_edges, lon, side="right")) - 1
    inside = 0 <= row < grid.lat.size and 0 <= column < grid.lon.size
    return (row, column) if inside else None


def good_values(times: np.ndarray, values: np.ndarray, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Times and values in their order, without gaps and values out of ``limits``; of equal times the first stays."""
    values = np.asarray(values, dtype=float)
    times = np.asarray(times, "M8[ns]")
    keep = np.isfinite(values) & ~np.isnat(times) & (values >= limits[0]) & (values <= limits[1])
    times, first = np.unique(times[keep], return_index=True)
    return times, values[keep][first]


def joined(first: Sensor, second: Sensor) -> Sensor:
    """One sensor of two series of it, its thermometer's likewise; of equal times the first one's value stays."""
    times, moisture = good_values(
        np.concatenate([first.times, second.times]), np.concatenate([first.moisture, second.moisture]), VALID_RANGE
    )
    warm_times, temperature = good_values(
        np.concatenate([first.warm_times, second.warm_times]),
        np.concatenate([first.temperature, second.temperature]),
        VALID_TEMPERATURE,
    )
    return replace(first, times=times, moisture=moisture, warm_times=warm_times, temperature=temperature)


def wrapped(lon: float) -> float:
    """A longitude of 0 to 360 or -180 to 180 degrees east as one of -180 to 180, as grids have them."""
    return lon - 360.0 if lon > 180.0 else lon + 360.0 if lon < -180.0 else lon


def reasons_of(reasons: Iterable[str]) -> str:
    """The most frequent reasons, each with its count."""
    counts = Counter(reason.split(":")[0] for reason in reasons)
    return "; ".join(f"{reason} ({count})" for reason, count in counts.most_common(5)) or "no soil moisture file"
