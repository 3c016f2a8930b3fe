"""Where on Earth: EASE-Grid 2.0 and regular latitude-longitude grids, their edges, areas and subsets.

Both families are rectilinear in latitude and longitude (EASE-Grid 2.0 global is a cylindrical equal-area
projection), so a grid is two one-dimensional axes. Row 0 is the northernmost row, column 0 the westernmost,
as in the SMAP granules and in ERA5-Land.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyproj

#: WGS 84 (NIMA TR8350.2).
WGS84 = pyproj.Geod(ellps="WGS84")
_EASE2_PROJ = pyproj.Proj("EPSG:6933")

#: Upper-left corner of EASE-Grid 2.0 global [m] (Brodzik et al. 2012, doi:10.3390/ijgi1010032, with its 2014 erratum).
EASE2_X0, EASE2_Y0 = -17367530.4451615, 7314540.8306386

#: name: (cell size [m], rows, columns). M18 halves M36; it is no NSIDC product grid, but the intermediate scale.
EASE2_GRIDS: dict[str, tuple[float, int, int]] = {
    "M36": (36032.220840584, 406, 964),
    "M18": (36032.220840584 / 2, 812, 1928),
    "M09": (9008.055210146, 1624, 3856),
    "M03": (3002.6850700487, 4872, 11568),
}

#: The weight files between the three grids of the net, and the method of each.
WEIGHTS = {
    "fine_to_coarse": "conservative",
    "fine_to_middle": "conservative",
    "middle_to_coarse": "conservative",
    "coarse_to_middle": "bilinear",
    "middle_to_fine": "bilinear",
    "coarse_to_fine": "bilinear",
}

#: Share of a coarse cell that land has to cover for its retrievals to be targets.
TARGET_COVER = 0.9

#: Coordinates are rounded to this many decimals of a degree, to undo float noise such as 73.09999847.
_DECIMALS = 6

#: Overlaps thinner than this [degree], 0.1 mm on the ground, are rounding.
_TOUCH = 1e-9


class GridError(ValueError):
    """A grid, or data said to lie on one, is not what was asked for."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A rectilinear latitude-longitude grid.

    Attributes
    ----------
    name : str
        Short name used in file names, such as ``r0100`` or ``M36``.
    lat, lon : ndarray (ny,), (nx,) [degree]
        Cell centres; ``lat`` descends, ``lon`` ascends within -180..180.
    lat_edges, lon_edges : ndarray (ny + 1,), (nx + 1,) [degree]
    row0, col0 : int
        Position of the north-west cell in the parent grid (EASE-Grid 2.0 row and column; 0 for regular grids).
    """

    name: str
    lat: np.ndarray
    lon: np.ndarray
    lat_edges: np.ndarray
    lon_edges: np.ndarray
    row0: int = 0
    col0: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.lat.size, self.lon.size

    @property
    def size(self) -> int:
        return self.lat.size * self.lon.size

    @cached_property
    def areas(self) -> np.ndarray:
        """Cell areas (ny, nx) [m2] on the WGS 84 ellipsoid (Snyder 1987, USGS PP 1395, eq. 3-12)."""
        bands = np.diff(authalic_sine(self.lat_edges)) * -1.0
        radius2 = WGS84.a**2 * _QP / 2.0
        return radius2 * bands[:, None] * np.deg2rad(np.diff(self.lon_edges))[None, :]

    def window(self, rows: slice, cols: slice) -> Grid:
        """The sub-grid of the given row and column slices (step 1)."""
        r0, r1, _ = rows.indices(self.lat.size)
        c0, c1, _ = cols.indices(self.lon.size)
        return Grid(
            self.name,
            self.lat[r0:r1],
            self.lon[c0:c1],
            self.lat_edges[r0 : r1 + 1],
            self.lon_edges[c0 : c1 + 1],
            self.row0 + r0,
            self.col0 + c0,
        )

    def same_as(self, other: Grid, tolerance: float = 1e-4) -> bool:
        """Whether both grids have the same centres, to ``tolerance`` degrees."""
        return self.shape == other.shape and bool(
            np.allclose(self.lat, other.lat, rtol=0, atol=tolerance)
            and np.allclose(self.lon, other.lon, rtol=0, atol=tolerance)
        )

    def describe(self) -> dict:
        """A JSON-ready description: name, shape and outer centres; equal for equal grids."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "north": round(float(self.lat[0]), 5),
            "south": round(float(self.lat[-1]), 5),
            "west": round(float(self.lon[0]), 5),
            "east": round(float(self.lon[-1]), 5),
        }


_E2 = WGS84.es
_E = np.sqrt(_E2)


def _q(sine: np.ndarray) -> np.ndarray:
    """Snyder 1987, eq. 3-12: the authalic function of the sine of geodetic latitude."""
    return (1 - _E2) * (sine / (1 - _E2 * sine**2) - np.log((1 - _E * sine) / (1 + _E * sine)) / (2 * _E))


_QP = float(_q(np.array(1.0)))


def authalic_sine(lat: np.ndarray) -> np.ndarray:
    """Sine of the authalic latitude of geodetic ``lat`` [degree]: proportional to the area south of it."""
    return _q(np.sin(np.deg2rad(lat))) / _QP


def check_box(lat: tuple[float, float], lon: tuple[float, float]) -> None:
    """Refuse a box that is empty, upside down or crosses the antimeridian.

    Raises
    ------
    GridError
    """
    south, north = lat
    west, east = lon
    if not -90 <= south < north <= 90:
        raise GridError(f"latitude range {list(lat)}: expected [south, north] within -90..90, south first")
    if not -180 <= west < east <= 180:
        raise GridError(
            f"longitude range {list(lon)}: expected [west, east] within -180..180, west first; "
            "split a region that crosses the antimeridian into two runs"
        )


def regular_grid(lat: tuple[float, float], lon: tuple[float, float], spacing: float = 0.1) -> Grid:
    """Nodes at whole multiples of ``spacing`` inside the closed box, as ERA5-Land delivers them.

    Parameters
    ----------
    lat, lon : (south, north), (west, east) [degree]
    spacing : float [degree]

    Raises
    ------
    GridError
        Where the box or the spacing makes no grid.
    """
    check_box(lat, lon)
    if not 0 < spacing <= 90:
        raise GridError(f"grid spacing {spacing}: expected degrees above 0, such as 0.1")

    def axis(low: float, high: float) -> np.ndarray:
        first, last = np.ceil(low / spacing - 1e-6), np.floor(high / spacing + 1e-6)
        return np.round(np.arange(first, last + 1) * spacing, _DECIMALS)

    lats, lons = axis(*lat)[::-1], axis(*lon)
    if lons[-1] - lons[0] > 360 - spacing / 2:
        lons = lons[:-1]  # 180 E is 180 W: one column, not two
    if lats.size < 2 or lons.size < 2:
        raise GridError(f"box lat {list(lat)}, lon {list(lon)} holds fewer than 2 x 2 nodes of {spacing} degree")
    half = spacing / 2
    lat_edges = np.clip(np.append(lats + half, lats[-1] - half), -90.0, 90.0)
    lon_edges = np.append(lons - half, lons[-1] + half)
    return Grid(f"r{round(spacing * 1000):04d}", lats, lons, lat_edges, lon_edges)


def ease2_lat_edges(name: str) -> np.ndarray:
    """All row edges (rows + 1,) [degree] of an EASE-Grid 2.0 global grid, north to south."""
    size, rows, _ = EASE2_GRIDS[name]
    y = EASE2_Y0 - np.arange(rows + 1) * size
    return _EASE2_PROJ(np.zeros_like(y), y, inverse=True)[1]


def ease2_axes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Centres (rows,), (columns,) [degree] of a whole EASE-Grid 2.0 global grid."""
    size, rows, cols = EASE2_GRIDS[name]
    y = EASE2_Y0 - (np.arange(rows) + 0.5) * size
    x = EASE2_X0 + (np.arange(cols) + 0.5) * size
    return _EASE2_PROJ(np.zeros_like(y), y, inverse=True)[1], _EASE2_PROJ(x, np.zeros_like(x), inverse=True)[0]


def ease2_grid(
    lat: tuple[float, float],
    lon: tuple[float, float],
    name: str = "M36",
    cells: Literal["touching", "centred"] = "touching",
) -> Grid:
    """The EASE-Grid 2.0 cells of the box.

    Parameters
    ----------
    lat, lon : (south, north), (west, east) [degree]
    name : str
        One of :data:`EASE2_GRIDS`.
    cells : {"touching", "centred"}
        Cells whose interior meets the closed box, or those whose centre lies in it.

    Raises
    ------
    GridError
        For an unknown name, and where the box holds no such cell (of the centred ones, fewer than 2 x 2).
    """
    check_box(lat, lon)
    if name not in EASE2_GRIDS:
        raise GridError(f"EASE-Grid 2.0 name {name!r}: expected one of {', '.join(EASE2_GRIDS)}")
    _, _, cols = EASE2_GRIDS[name]
    lats, lons = ease2_axes(name)
    lat_edges = ease2_lat_edges(name)
    lon_edges = -180.0 + np.arange(cols + 1) * (360.0 / cols)
    if cells == "centred":
        rows = np.flatnonzero((lats <= lat[1] + _TOUCH) & (lats >= lat[0] - _TOUCH))
        columns = np.flatnonzero((lons >= lon[0] - _TOUCH) & (lons <= lon[1] + _TOUCH))
        if rows.size < 2 or columns.size < 2:
            raise GridError(f"box lat {list(lat)}, lon {list(lon)} holds fewer than 2 x 2 cell centres of {name}")
    else:
        # A cell that only shares an edge with the box does not touch it (90 E is an edge of M36, but for rounding).
        rows = np.flatnonzero((lat_edges[1:] < lat[1] - _TOUCH) & (lat_edges[:-1] > lat[0] + _TOUCH))
        columns = np.flatnonzero((lon_edges[:-1] < lon[1] - _TOUCH) & (lon_edges[1:] > lon[0] + _TOUCH))
    if rows.size == 0 or columns.size == 0:
        raise GridError(f"box lat {list(lat)}, lon {list(lon)} touches no cell of EASE-Grid 2.0 {name} (85 S to 85 N)")
    r0, r1, c0, c1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return Grid(name, lats[r0:r1], lons[c0:c1], lat_edges[r0 : r1 + 1], lon_edges[c0 : c1 + 1], int(r0), int(c0))


def centres_in(grid: Grid, lat: tuple[float, float], lon: tuple[float, float]) -> np.ndarray:
    """The cells (ny, nx, bool) of a grid whose centres lie in the closed box (south, north), (west, east) [degree]."""
    rows = (grid.lat >= lat[0]) & (grid.lat <= lat[1])
    return rows[:, None] & ((grid.lon >= lon[0]) & (grid.lon <= lon[1]))[None, :]


def cells_of(grid: Grid, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Flat position (n,), row by row, of the cell that each place (n,) lies in; -1 outside the grid."""
    row = np.searchsorted(-grid.lat_edges, -np.asarray(lat), side="right") - 1
    column = np.searchsorted(grid.lon_edges, np.asarray(lon), side="right") - 1
    inside = (row >= 0) & (row < grid.shape[0]) & (column >= 0) & (column < grid.shape[1])
    return np.where(inside, row * grid.shape[1] + column, -1)


def fine_grid(
    kind: Literal["regular", "ease2"],
    lat: tuple[float, float],
    lon: tuple[float, float],
    spacing: float = 0.1,
    name: str = "M09",
) -> Grid:
    """The grid of the product in the box, of either kind.

    Parameters
    ----------
    kind : {"regular", "ease2"}
        Nodes ``spacing`` apart, or the cells of EASE-Grid 2.0 ``name`` whose centres lie in the box: not those that
        only touch it, since the values of ERA5-Land that they are made of end at the box.
    lat, lon : (south, north), (west, east) [degree]
    spacing : float [degree]
    name : str
        One of :data:`EASE2_GRIDS`.

    Raises
    ------
    GridError
    """
    if kind == "regular":
        return regular_grid(lat, lon, spacing)
    if kind == "ease2":
        return ease2_grid(lat, lon, name, cells="centred")
    raise GridError(f"grid kind {kind!r}: expected regular or ease2")


def best_covered(fine: Grid, coarse: Grid) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """The coarse cell that a fine grid covers most: covered share, (south, north) and (west, east) of the cell."""
    tops, lefts = coarse.lat_edges[:-1], coarse.lon_edges[:-1]
    bottoms, rights = coarse.lat_edges[1:], coarse.lon_edges[1:]
    high = np.minimum(tops, fine.lat_edges[0]) - np.maximum(bottoms, fine.lat_edges[-1])
    wide = np.minimum(rights, fine.lon_edges[-1]) - np.maximum(lefts, fine.lon_edges[0])
    rows, cols = np.clip(high / (tops - bottoms), 0, 1), np.clip(wide / (rights - lefts), 0, 1)
    y, x = int(rows.argmax()), int(cols.argmax())
    return float(rows[y] * cols[x]), (float(bottoms[y]), float(tops[y])), (float(lefts[x]), float(rights[x]))


def halved(grid: Grid) -> Grid:
    """The grid whose cells are the four quarters of each cell of ``grid``, an EASE-Grid 2.0 (M36 to M18).

    The quarters are equal in projected metres and so in area.
    """
    finer = {"M36": "M18", "M18": "M09"}
    if grid.name not in finer:
        raise GridError(f"grid {grid.name!r} cannot be halved: expected one of {', '.join(finer)}")
    name = finer[grid.name]
    lats, lons = ease2_axes(name)
    rows = slice(2 * grid.row0, 2 * (grid.row0 + grid.shape[0]))
    cols = slice(2 * grid.col0, 2 * (grid.col0 + grid.shape[1]))
    lat_edges = ease2_lat_edges(name)[rows.start : rows.stop + 1]
    lon_edges = -180.0 + np.arange(cols.start, cols.stop + 1) * (360.0 / EASE2_GRIDS[name][2])
    return Grid(name, lats[rows], lons[cols], lat_edges, lon_edges, rows.start, cols.start)
