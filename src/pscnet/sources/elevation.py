"""Elevation files of any coordinate reference system and resolution, brought to the fine grid.

A file finer than the grid is averaged over each cell's area; a coarser one is interpolated bilinearly. Both are done
by GDAL, block by block from the file, so that a mosaic of 30 m tiles does not have to fit into memory. Accepted are
GeoTIFF and whatever else GDAL reads, and NetCDF with latitude and longitude coordinates or a CF grid mapping.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import rasterio
import rasterio.transform
import rasterio.warp
import rasterio.windows
import rioxarray  # noqa: F401  gives DataArrays their .rio
import xarray as xr
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pscnet.grids import EASE2_GRIDS, EASE2_X0, EASE2_Y0, Grid
from pscnet.sources import complaint
from pscnet.sources.formats import ADVICE, kind_of

#: Deepest and highest ground of the Earth [m], with some room: outside it stand other units and undeclared no-data.
LOWEST, HIGHEST = -11_100.0, 8_900.0

#: Names under which a NetCDF file with several fields keeps the elevation.
_NAMES = ("elevation", "elev", "altitude", "height", "dem", "topo", "orography", "z", "Band1")

_METRES = {"", "m", "meter", "meters", "metre", "metres", "metri"}

#: Memory of GDAL's cache of blocks, and of one piece of its warper: left alone, the cache takes 5 % of the machine.
_MEGABYTES = 200


@dataclass(frozen=True)
class _Raster:
    """Where the pixels of a source lie: its CRS, the transform of its upper-left corner, and its size in pixels."""

    crs: pyproj.CRS
    transform: Affine
    width: int
    height: int

    def pixels(self, lon: np.ndarray, lat: np.ndarray, turn: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Fractional columns and rows of points [degree]; ``turn`` is added to longitudes of a geographic raster."""
        if turn:
            x, y = lon + turn, lat
        else:
            x, y = pyproj.Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(lon, lat)
        back = ~self.transform
        return back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f

    def bounds(self) -> str:
        """The outer bounds in words, in the CRS of the source."""
        left, bottom, right, top = rasterio.transform.array_bounds(self.height, self.width, self.transform)
        unit = self.crs.axis_info[0].unit_name if self.crs.axis_info else "units"
        return f"x {left:.2f}..{right:.2f}, y {min(bottom, top):.2f}..{max(bottom, top):.2f} {unit}"


def open_elevation(path: str | Path, grid: Grid) -> xr.DataArray:
    """Elevation on ``grid``.

    Parameters
    ----------
    path : str or Path
        A raster of one band, or a NetCDF file with one elevation field, in metres.
    grid : Grid
        A regular grid or an EASE-Grid 2.0.

    Returns
    -------
    DataArray (lat, lon) [m], float32
        NaN where the source has no data. Attribute ``resampling`` says how it was made.

    Raises
    ------
    SourceError
        For a file that cannot be read, has no CRS, does not cover the grid, or holds values that are no metres.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind in ("empty", "html", "json", "gzip", "zip", "grib"):
        found, remedy = ADVICE.get(kind, (f"a {kind} file", "unpack it and give the raster inside"))
        raise complaint(path, "an elevation raster", found, remedy)
    try:
        if kind in ("hdf5", "netcdf3"):
            values, resampling = _from_netcdf(path, grid)
        else:
            values, resampling = _from_raster(path, grid)
    except (RasterioError, OSError, RuntimeError) as error:
        raise complaint(
            path, "a readable elevation raster", f"{type(error).__name__}: {error}", "download or make the file again"
        ) from error
    except ProjError as error:
        raise complaint(
            path, "a CRS that leads to WGS 84", str(error), "assign the right one: gdal_edit.py -a_srs EPSG:..."
        ) from error
    if not np.isfinite(values).any():
        raise complaint(
            path, f"elevations inside {_box(grid)}", "no-data everywhere", "give a file with data for this box"
        )
    _check_range(path, values, nodata_declared=True)
    return xr.DataArray(
        values.astype(np.float32),
        dims=("lat", "lon"),
        coords={"lat": grid.lat, "lon": grid.lon},
        name="elevation",
        attrs={
            "units": "m",
            "long_name": "elevation above mean sea level",
            "standard_name": "surface_altitude",
            "source": path.name,
            "resampling": resampling,
        },
    )


# ---------------------------------------------------------------------------------------------------------- readers


def _from_raster(path: Path, grid: Grid) -> tuple[np.ndarray, str]:
    """Elevation (ny, nx) of anything that GDAL opens, warped block by block."""
    with rasterio.Env(GDAL_CACHEMAX=_MEGABYTES), rasterio.open(path) as source:
        if source.count != 1:
            raise complaint(
                path, "one band", f"{source.count} bands", "keep the elevation: gdal_translate -b N in.tif out.tif"
            )
        if source.crs is None:
            raise _no_crs(path)
        raster = _Raster(pyproj.CRS.from_user_input(source.crs), source.transform, source.width, source.height)
        turn = _turn(path, raster, grid)
        _check_units(path, source.units[0])
        scale, offset = source.scales[0], source.offsets[0]
        crs, transform = _placement(grid, turn)
        resampling = _resampling(raster, grid)

        def warped(how: Resampling) -> np.ndarray:
            values = np.full(grid.shape, np.nan, np.float32)
            rasterio.warp.reproject(
                rasterio.band(source, 1),
                values,
                dst_crs=raster.crs.to_wkt() if turn else crs,
                dst_transform=transform,
                dst_nodata=np.nan,
                resampling=how,
                warp_mem_limit=_MEGABYTES,
            )
            return values.astype(np.float64) * scale + offset

        # Every pixel is looked at: in a mean, one undeclared no-data among thousands of pixels would not stand out.
        extremes = np.concatenate([warped(Resampling.min), warped(Resampling.max)])
        _check_range(path, extremes, nodata_declared=source.nodata is not None)
        return warped(resampling), resampling.name


def _from_netcdf(path: Path, grid: Grid) -> tuple[np.ndarray, str]:
    """Elevation (ny, nx) of a NetCDF file; only the part around the box is read."""
    try:
        opened = xr.open_dataset(path, decode_times=False)
    except ValueError as error:
        raise complaint(path, "a readable NetCDF file", str(error), "download or make the file again") from error
    with opened as dataset:
        field = _elevation_field(path, dataset)
        _check_units(path, field.attrs.get("units"))
        y, x = field.dims
        crs = _netcdf_crs(path, field)
        if crs.is_geographic and float(field[x].max()) > 180.0:
            # 0..360 degrees; where both ends are there, they are one column.
            field = field.assign_coords({x: (field[x].values + 180.0) % 360.0 - 180.0}).drop_duplicates(x)
        field = field.sortby(x)
        field = field.sortby(y, ascending=False)
        raster = _Raster(crs, _uniform(path, field[x].values, field[y].values), field.sizes[x], field.sizes[y])
        _turn(path, raster, grid)
        window = _window(raster, grid, 0.0)
        part = field.isel({y: slice(*window.toranges()[0]), x: slice(*window.toranges()[1])}).astype("float64").load()
    _check_range(path, part.values, nodata_declared="_FillValue" in part.encoding)
    resampling = _resampling(raster, grid)
    crs, transform = _placement(grid, 0.0)
    corner = rasterio.windows.transform(window, raster.transform)
    placed = part.rename({y: "y", x: "x"}).drop_vars([c for c in part.coords if c not in (y, x)])
    placed = placed.rio.write_crs(raster.crs.to_wkt()).rio.write_transform(corner).rio.write_nodata(np.nan)
    warped = placed.rio.reproject(crs, shape=grid.shape, transform=transform, resampling=resampling, nodata=np.nan)
    return warped.values, resampling.name


def _elevation_field(path: Path, dataset: xr.Dataset) -> xr.DataArray:
    """The one two-dimensional field, or the one with a name of elevation; dims (y, x)."""
    fields: dict[Hashable, xr.DataArray] = {}
    for name, variable in dataset.data_vars.items():
        field = variable.squeeze(drop=True)
        if field.ndim == 2 and all(dim in field.coords for dim in field.dims) and field.dtype.kind in "iuf":
            fields[name] = field
    named = [name for name in _NAMES if name in fields]
    if len(fields) != 1 and not named:
        raise complaint(
            path,
            f"one two-dimensional elevation field with coordinates, or one named among {', '.join(_NAMES)}",
            f"{', '.join(map(str, fields)) or 'none'} among {', '.join(map(str, dataset.data_vars)) or 'no variables'}",
            "keep the elevation only, or rename it",
        )
    field = fields[named[0]] if named else next(iter(fields.values()))
    if _is(field[field.dims[0]], "lon", "x"):
        field = field.transpose()
    return field


def _is(coordinate: xr.DataArray, *starts: str) -> bool:
    return str(coordinate.name).lower().startswith(starts)


def _netcdf_crs(path: Path, field: xr.DataArray) -> pyproj.CRS:
    """The CRS of the grid mapping; WGS 84 for plain latitudes and longitudes."""
    if field.rio.crs is not None:
        return pyproj.CRS.from_user_input(field.rio.crs)
    y, x = (field[dim] for dim in field.dims)
    if _is(y, "lat") and _is(x, "lon"):
        return pyproj.CRS.from_epsg(4326)
    raise _no_crs(path)


def _uniform(path: Path, x: np.ndarray, y: np.ndarray) -> Affine:
    """The transform of evenly spaced centres, x ascending and y descending."""
    steps = []
    for name, axis in (("x", x), ("y", y)):
        if axis.size < 2:
            raise complaint(path, f"at least 2 values along {name}", str(axis.size), "give a file with a grid")
        step = (axis[-1] - axis[0]) / (axis.size - 1)
        if np.abs(np.diff(axis) - step).max() > 0.02 * abs(step):
            raise complaint(
                path, f"evenly spaced {name}", "uneven steps", "bring it to a regular grid first, such as with gdalwarp"
            )
        steps.append(step)
    dx, dy = steps
    return Affine(dx, 0.0, x[0] - dx / 2, 0.0, dy, y[0] - dy / 2)


# --------------------------------------------------------------------------------------------------------- geometry


def _placement(grid: Grid, turn: float) -> tuple[str, Affine]:
    """CRS and transform that make the cells of ``grid`` a raster; ``turn`` [degree] is added to the longitudes."""
    if grid.name in EASE2_GRIDS:
        size = EASE2_GRIDS[grid.name][0]
        return "EPSG:6933", Affine(size, 0, EASE2_X0 + grid.col0 * size, 0, -size, EASE2_Y0 - grid.row0 * size)
    dx = (grid.lon[-1] - grid.lon[0]) / (grid.lon.size - 1)
    dy = (grid.lat[0] - grid.lat[-1]) / (grid.lat.size - 1)
    return "EPSG:4326", Affine(dx, 0, grid.lon[0] - dx / 2 + turn, 0, -dy, grid.lat[0] + dy / 2)


def _outline(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of points along the outer edge of the grid."""
    lon = np.linspace(grid.lon_edges[0], grid.lon_edges[-1], 41)
    lat = np.linspace(grid.lat_edges[0], grid.lat_edges[-1], 41)
    north, south = np.full(41, lat[0]), np.full(41, lat[-1])
    west, east = np.full(41, lon[0]), np.full(41, lon[-1])
    return np.concatenate([lon, lon, west, east]), np.concatenate([north, south, lat, lat])


def _turn(path: Path, raster: _Raster, grid: Grid) -> float:
    """Degrees to add to the grid's longitudes to find them in the raster: 0, or 360 for a raster of 0..360 degrees.

    Raises
    ------
    SourceError
        Where the raster does not cover the grid, to half a pixel.
    """
    lon, lat = _outline(grid)
    turns = [0.0, 360.0] if raster.crs.is_geographic and grid.name not in EASE2_GRIDS else [0.0]
    for turn in turns:
        x, y = raster.pixels(lon, lat, turn)
        inside = (x >= -0.501) & (x <= raster.width + 0.501) & (y >= -0.501) & (y <= raster.height + 0.501)
        if inside.all():
            return turn
    raise complaint(
        path,
        f"elevations that cover {_box(grid)}",
        raster.bounds(),
        "give a larger file, or choose a smaller region",
    )


def _window(raster: _Raster, grid: Grid, turn: float) -> Window:
    """The pixels around the grid, with two to spare, inside the raster."""
    lon, lat = _outline(grid)
    x, y = raster.pixels(lon, lat, turn)
    x0, x1 = max(0, int(np.floor(x.min())) - 2), min(raster.width, int(np.ceil(x.max())) + 2)
    y0, y1 = max(0, int(np.floor(y.min())) - 2), min(raster.height, int(np.ceil(y.max())) + 2)
    return Window(x0, y0, x1 - x0, y1 - y0)


def _resampling(raster: _Raster, grid: Grid) -> Resampling:
    """Area averaging where the source's pixels are no larger than the grid's cells, else bilinear."""
    middle = grid.lat.size // 2, grid.lon.size // 2
    lat, lon = grid.lat[middle[0]], grid.lon[middle[1]]
    columns, rows = raster.pixels(np.array([grid.lon_edges[middle[1]], grid.lon_edges[middle[1] + 1]]), np.full(2, lat))
    width = np.hypot(np.diff(columns), np.diff(rows))[0]
    columns, rows = raster.pixels(np.full(2, lon), grid.lat_edges[[middle[0], middle[0] + 1]])
    height = np.hypot(np.diff(columns), np.diff(rows))[0]
    return Resampling.average if width * height >= 1.0 else Resampling.bilinear


def _box(grid: Grid) -> str:
    lat, lon = grid.lat_edges, grid.lon_edges
    return f"lat {lat[-1]:.2f}..{lat[0]:.2f}, lon {lon[0]:.2f}..{lon[-1]:.2f}"


# ----------------------------------------------------------------------------------------------------------- checks


def _no_crs(path: Path) -> Exception:
    return complaint(
        path,
        "a coordinate reference system",
        "none",
        "assign the one it was made in, such as with gdal_edit.py -a_srs EPSG:4326",
    )


def _check_units(path: Path, units: str | None) -> None:
    if (units or "").strip().lower() in _METRES:
        return
    raise complaint(path, "elevation in m", f"unit {units!r}", "convert it to metres, such as with gdal_calc.py")


def _check_range(path: Path, values: np.ndarray, nodata_declared: bool) -> None:
    """Refuse values that no ground on Earth has, and a no-data value that the file does not declare."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return
    low, high = float(known.min()), float(known.max())
    if not nodata_declared and low == -9999.0 and not ((known > -9999.0) & (known < -8000.0)).any():
        low = high = -9999.0
    elif low >= LOWEST and high <= HIGHEST:
        return
    guess = "the values may be feet or another unit: convert them to metres"
    if low in (-32768.0, -32767.0, -9999.0, -99999.0) or low < -1e5 or high in (32767.0, 65535.0) or high > 1e6:
        guess = "this looks like a no-data value that is not declared: gdal_edit.py -a_nodata VALUE file"
    elif high > 3.0e4:
        guess = "the values may be centimetres, or geopotential in m2 s-2 (divide by 9.80665): convert them to metres"
    raise complaint(path, f"elevations within {LOWEST:.0f}..{HIGHEST:.0f} m", f"{low:g}..{high:g}", guess)
