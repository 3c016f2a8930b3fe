"""The simulated Plateau that does not change: terrain, climate, soil, plants and water.

==================  ============  =========================================================================
field               unit          meaning
==================  ============  =========================================================================
elevation           m             mean over a fine cell
relief              m             standard deviation of elevation inside 36 km: mountains
position            1             -1 valley floor .. 1 crest, from elevation against its surroundings
wetness             1             climate: 0 arid west .. 1 humid east
sand, clay          1             mass fractions of the mineral soil
organic             1             volume fraction of organic matter in the top 5 cm
porosity            m3 m-3        0.40 arid .. 0.70 meadow
lai                 m2 m-2        leaf area index at its summer maximum
water               1             fraction of open water
==================  ============  =========================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pscnet.grids import Grid, regular_grid
from pscnet.twin.noise import KM_LAT, Waves

#: Cells of the fine grid simulated outside the box on each side: half a 36 km cell plus two and a half standard
#: deviations of the antenna pattern (17 km) reach 0.61 degree (ours).
MARGIN_CELLS = 7


def logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def smooth(field: np.ndarray, cells: float) -> np.ndarray:
    """Gaussian smoothing of the last two axes with a standard deviation in cells, edges repeated."""
    radius = max(1, int(np.ceil(3 * cells)))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / cells) ** 2)
    kernel /= kernel.sum()
    for axis in (-2, -1):
        pad = [(0, 0)] * field.ndim
        pad[axis] = (radius, radius)
        padded = np.pad(field, pad, mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.size, axis=axis)
        field = windows @ kernel.astype(field.dtype)
    return field


@dataclass(frozen=True)
class Terrain:
    """Elevation at any place: a plateau that falls off at its rims, ranges and hills (ours, after the real one)."""

    seed: int

    @cached_property
    def _waves(self) -> dict[str, Waves]:
        return {
            # Ranges run from west to east: their waves are half as steep along the parallel as across it.
            "ranges": Waves.draw(self.seed, "ranges", (60, 220), slope=0.8, modes=80).stretched(0.55),
            "relief": Waves.draw(self.seed, "relief", (150, 600), modes=40),
            "hills": Waves.draw(self.seed, "hills", (6, 60), slope=0.9, modes=160),
            "rims": Waves.draw(self.seed, "rims", (200, 800), modes=30),
        }

    def elevation(self, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
        """Elevation (lat.size, lon.size) [m] at the points of a rectilinear grid of any resolution."""
        waves = self._waves
        rim = 0.5 * waves["rims"].field(lat, lon)
        y, x = np.asarray(lat, "f4")[:, None], np.asarray(lon, "f4")[None, :]
        south, north = logistic((y - 28.3 + rim) / 0.35), logistic((37.6 - y + rim) / 0.45)
        west, east = logistic((x - 74.0 + rim) / 0.6), logistic((102.8 - x + rim) / 0.6)
        plateau = south * north * west * east
        base = 600.0 + (4050.0 - 45.0 * np.clip(x - 90.0, 0, 12)) * plateau
        ranges = (1.6 * np.exp(-1.3 * np.abs(waves["ranges"].field(lat, lon))) - 0.6) * 750.0
        hills = waves["hills"].field(lat, lon) * (90.0 + 110.0 * logistic(1.5 * waves["relief"].field(lat, lon)))
        return np.clip(base + (0.35 + 0.65 * plateau) * (ranges + hills), 5.0, 8000.0).astype("f4")


@dataclass(frozen=True)
class World:
    """Static fields on the fine grid of the box plus a margin; every field is (ny, nx) float32."""

    seed: int
    grid: Grid
    box: tuple[slice, slice]
    elevation: np.ndarray
    relief: np.ndarray
    position: np.ndarray
    wetness: np.ndarray
    sand: np.ndarray
    clay: np.ndarray
    organic: np.ndarray
    porosity: np.ndarray
    lai: np.ndarray
    water: np.ndarray

    @property
    def box_grid(self) -> Grid:
        return self.grid.window(*self.box)


def climate(seed: int, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Humidity of the climate (lat.size, lon.size), 0 arid .. 1 humid: wet in the south-east, dry in the north-west.

    Isohyets of the Plateau run from south-west to north-east; Ngari (80 E) comes out near 0.05, Naqu (92 E, 31.5 N)
    near 0.6, Maqu (102 E, 34 N) near 0.85 (slopes ours).
    """
    y, x = np.asarray(lat, "f4")[:, None], np.asarray(lon, "f4")[None, :]
    patches = Waves.draw(seed, "climate", (150, 500), modes=40).field(lat, lon)
    return logistic(0.26 * (x - 91.5) - 0.50 * (y - 32.5) + 0.35 * patches)


def climate_at(seed: int, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """As :func:`climate`, at n scattered places (n,)."""
    patches = Waves.draw(seed, "climate", (150, 500), modes=40).at(lat, lon)
    return logistic(0.26 * (lon - 91.5) - 0.50 * (lat - 32.5) + 0.35 * patches)


def padded_box(lat: tuple[float, float], lon: tuple[float, float], spacing: float, cells: int) -> tuple:
    """The box widened by ``cells`` nodes on each side, kept inside the globe."""
    pad = cells * spacing
    return (max(lat[0] - pad, -84.9), min(lat[1] + pad, 84.9)), (max(lon[0] - pad, -180.0), min(lon[1] + pad, 179.9))


def _elevation_means(terrain: Terrain, grid: Grid, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of elevation (ny, nx) over 5 x 5 points of each cell."""
    offsets = (np.arange(5) - 2) / 5 * spacing
    total = np.zeros(grid.shape, "f4")
    squares = np.zeros(grid.shape, "f4")
    for dy in offsets:
        for dx in offsets:
            here = terrain.elevation(grid.lat + dy, grid.lon + dx)
            total += here
            squares += (here / 1000.0) ** 2
    mean = total / 25
    return mean, np.clip(squares / 25 - (mean / 1000.0) ** 2, 0, None) * 1e6


def build(lat: tuple[float, float], lon: tuple[float, float], seed: int, spacing: float = 0.1) -> World:
    """Build the world of a box.

    Parameters
    ----------
    lat, lon : (south, north), (west, east) [degree]
    seed : int
    spacing : float [degree]
    """
    box = regular_grid(lat, lon, spacing)
    grid = regular_grid(*padded_box(lat, lon, spacing, MARGIN_CELLS), spacing)
    top = int(np.argmin(np.abs(grid.lat - box.lat[0])))
    left = int(np.argmin(np.abs(grid.lon - box.lon[0])))
    window = (slice(top, top + box.lat.size), slice(left, left + box.lon.size))

    elevation, variance = _elevation_means(Terrain(seed), grid, spacing)
    coarse = 0.18 * KM_LAT / (spacing * KM_LAT)  # one standard deviation of a 36 km cell, in fine cells
    around = smooth(elevation, coarse)
    relief = np.sqrt(smooth((elevation - around) ** 2 + variance, coarse))
    position = np.tanh((elevation - around) / (0.8 * relief + 30.0))

    def waves(tag: str, lengths: tuple[float, float], slope: float = 0.5) -> np.ndarray:
        return Waves.draw(seed, tag, lengths, slope=slope).field(grid.lat, grid.lon)

    wetness = climate(seed, grid.lat, grid.lon)
    soil = waves("soil", (25, 250)) + 0.25 * position  # crests are stony, valley floors silty
    sand = np.clip(0.52 + 0.13 * soil - 0.08 * (wetness - 0.5), 0.15, 0.88)
    clay = np.clip(0.17 - 0.07 * soil + 0.04 * waves("clay", (25, 250)), 0.03, 0.45)
    meadow = 0.9 * waves("meadow", (20, 180)) - 0.5 * position
    organic = np.clip(wetness * (0.42 + 0.20 * meadow), 0.0, 0.8)
    # Organic matter opens the pores: 0.40 for mineral desert soil, 0.70 for alpine meadow turf [Chen et al. 2012,
    # doi:10.1029/2011JD016941: porosity of Plateau soils from organic carbon].
    porosity = np.clip(0.40 + 0.43 * organic - 0.05 * (sand - 0.5), 0.36, 0.78)
    lai = np.clip(wetness * (2.3 + 0.5 * meadow) * logistic((5300.0 - elevation) / 180.0), 0.03, 5.0)
    basins = waves("lakes", (30, 90)) - 0.7 * position
    water = np.clip(0.5 * (basins - 1.75), 0.0, 0.9)
    fields = (elevation, relief, position, wetness, sand, clay, organic, porosity, lai, water)
    return World(seed, grid, window, *(np.ascontiguousarray(field, "f4") for field in fields))
