"""Which cells belong to the region, and the static fields of the fine grid.

Static file (NetCDF), dims ``lat`` (descending), ``lon``

=====================  ====  =====  ====================================================================
variable               type  unit   meaning
=====================  ====  =====  ====================================================================
``elevation``          f4    m      mean elevation of the cell; NaN over sea where the source has none
``slope``              f4    1      rise over run of the elevation between neighbouring cells
``elevation_anomaly``  f4    m      elevation minus the smooth elevation that the coarse grid can carry
``land``               i1    1      1: every predictor has a value at every stamp
``region``             i1    1      1: land, inside the box, the polygon and above the minimum elevation
=====================  ====  =====  ====================================================================
"""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pyproj
import shapely
import xarray as xr
from scipy.ndimage import distance_transform_edt

from pscnet import regrid
from pscnet.grids import WGS84, Grid, GridError
from pscnet.sources import complaint
from pscnet.sources.atomic import replacing
from pscnet.sources.elevation import open_elevation

#: Land cells without elevation that are filled from their nearest neighbour, at most this share of the land: a coast.
MAX_FILLED_SHARE = 0.02

#: Bytes of predictors looked at together.
_BLOCK_BYTES = 64 * 2**20


def region_mask(
    grid: Grid,
    polygon: str | Path | None = None,
    elevation: xr.DataArray | None = None,
    min_elevation: float | None = None,
) -> np.ndarray:
    """The cells of the region: those of the box whose centre lies in the polygon and that are high enough.

    Parameters
    ----------
    grid : Grid
        The fine grid, which is the box.
    polygon : str or Path, optional
        A vector file of any format and CRS that geopandas reads; its polygons are united.
    elevation : DataArray (lat, lon) [m], optional
        Needed where ``min_elevation`` is given. Cells without elevation are then outside.
    min_elevation : float, optional [m]

    Returns
    -------
    ndarray (ny, nx), bool

    Raises
    ------
    SourceError
        For a polygon file that cannot be read, has no CRS or no polygons, or misses the box.
    ValueError
        Where ``min_elevation`` comes without ``elevation``, or leaves no cell.
    """
    mask = np.ones(grid.shape, dtype=bool)
    if polygon is not None:
        mask &= _inside(Path(polygon), grid)
    if min_elevation is not None:
        if elevation is None:
            raise ValueError("region.min_elevation is set, but there is no elevation: give terrain: path/to/file")
        high = elevation.values >= min_elevation
        if not (mask & high).any():
            raise ValueError(
                f"region.min_elevation {min_elevation:g} m leaves no cell of the region, whose highest has "
                f"{np.nanmax(np.where(mask, elevation.values, np.nan)):.0f} m: choose a lower one"
            )
        mask &= high
    return mask


def _inside(path: Path, grid: Grid) -> np.ndarray:
    """Whether each cell's centre lies in the polygons of the file, or on their edge."""
    if not path.exists():
        raise complaint(path, "a polygon file", "no such file", "correct region.polygon")
    try:
        shapes = geopandas.read_file(path)
    except Exception as error:  # pyogrio, fiona and shapely each have their own
        raise complaint(
            path, "a vector file", f"{type(error).__name__}: {error}", "give GeoPackage, GeoJSON or a shapefile"
        ) from error
    if not isinstance(shapes, geopandas.GeoDataFrame) or shapes.crs is None:
        raise complaint(
            path, "a coordinate reference system", "none", "assign one, such as with ogr2ogr -a_srs EPSG:4326"
        )
    shapes = shapes[shapes.geom_type.isin(["Polygon", "MultiPolygon"])]
    if shapes.empty:
        raise complaint(path, "at least one polygon", "none", "give the outline as an area, not as lines or points")
    area = shapely.union_all(shapely.make_valid(_on_wgs84(shapes)))
    lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
    shapely.prepare(area)
    mask = shapely.intersects_xy(area, lon, lat)
    if not mask.any():
        west, south, east, north = area.bounds
        raise complaint(
            path,
            f"polygons inside lat {grid.lat[-1]:g}..{grid.lat[0]:g}, lon {grid.lon[0]:g}..{grid.lon[-1]:g}",
            f"lat {south:.2f}..{north:.2f}, lon {west:.2f}..{east:.2f}",
            "correct region.lat and region.lon, or the CRS of the file",
        )
    return mask


def _on_wgs84(shapes: geopandas.GeoDataFrame) -> np.ndarray:
    """Geometries in WGS 84. In a projection, straight edges are bent ones in degrees: they get more vertices first."""
    geometry = shapes.geometry
    if not pyproj.CRS.from_user_input(shapes.crs).is_geographic:
        west, south, east, north = geometry.total_bounds
        geometry = geometry.segmentize(max(east - west, north - south) / 500)
    return geometry.to_crs("EPSG:4326").values


def slope(elevation: np.ndarray, grid: Grid) -> np.ndarray:
    """Rise over run (ny, nx) [1] by central differences, one-sided at the rim.

    Parameters
    ----------
    elevation : ndarray (ny, nx) [m]
        Without NaN.
    grid : Grid

    Notes
    -----
    Distances are those of the WGS 84 ellipsoid: a radian of latitude is its meridian's radius of curvature, a radian of
    longitude the radius of the parallel (Snyder 1987, USGS PP 1395, eq. 4-18 to 4-21).
    """
    latitude = np.deg2rad(grid.lat)
    bulge = 1.0 - WGS84.es * np.sin(latitude) ** 2
    meridian = WGS84.a * (1.0 - WGS84.es) / bulge**1.5
    parallel = WGS84.a / np.sqrt(bulge) * np.cos(latitude)
    northward = np.gradient(elevation, latitude, axis=0) / meridian[:, None]
    eastward = np.gradient(elevation, np.deg2rad(grid.lon), axis=1) / parallel[:, None]
    return np.hypot(northward, eastward)


def land_mask(predictors: str | Path, grid: Grid) -> np.ndarray:
    """Cells (ny, nx), bool, where every variable of a predictor month has a value at every stamp.

    Raises
    ------
    GridError
        Where the file is on another grid.
    SourceError
        Where no cell is complete, naming the variable that has most gaps.
    """
    land = np.ones(grid.shape, dtype=bool)
    complete: dict[str, int] = {}
    with xr.open_dataset(predictors) as dataset:
        there = dataset.sizes.get("lat"), dataset.sizes.get("lon")
        if there != grid.shape or not (
            np.allclose(dataset["lat"], grid.lat, rtol=0, atol=1e-4)
            and np.allclose(dataset["lon"], grid.lon, rtol=0, atol=1e-4)
        ):
            raise GridError(
                f"{predictors}: expected the fine grid {grid.describe()}, found {there} cells at other places; "
                "let the regrid_era5_land rule make it again"
            )
        for name, field in dataset.data_vars.items():
            if field.dims != ("time", "lat", "lon"):
                continue
            step = max(1, _BLOCK_BYTES // (4 * grid.size))
            whole = np.ones(grid.shape, dtype=bool)
            for start in range(0, field.sizes["time"], step):
                whole &= np.isfinite(field.isel(time=slice(start, start + step)).values).all(axis=0)
            complete[str(name)] = int(whole.sum())
            land &= whole
    if not complete:
        raise complaint(predictors, "predictors (time, lat, lon)", "none", "let regrid_era5_land make the file again")
    if not land.any():
        worst = min(complete, key=complete.__getitem__)
        raise complaint(
            predictors,
            "cells where every predictor has a value at every stamp",
            f"none; {worst} is complete in {complete[worst]} of {grid.size} cells",
            "choose a box with land, or check the ERA5-Land files of that month",
        )
    return land


def write_static(
    terrain: str | Path,
    predictors: str | Path,
    fine: Grid,
    coarse: Grid,
    conservative_weights: str | Path,
    bilinear_weights: str | Path,
    polygon: str | Path | None,
    min_elevation: float | None,
    output: str | Path,
) -> None:
    """Write the static file of a run (its layout heads this module).

    Parameters
    ----------
    terrain : path
        Elevation file (:func:`pscnet.sources.elevation.open_elevation`).
    predictors : path
        One month of predictors on the fine grid, for the land mask.
    fine, coarse : Grid
    conservative_weights, bilinear_weights : path
        Weight files fine to coarse and coarse to fine.
    polygon : path, optional
    min_elevation : float, optional [m]
    output : path

    Raises
    ------
    SourceError, GridError, ValueError
        As the functions above; and where more than a coast's worth of land has no elevation, or the region no land.
    """
    down = regrid.read_weights(conservative_weights, fine, coarse, "conservative")
    up = regrid.read_weights(bilinear_weights, coarse, fine, "bilinear")
    land = land_mask(predictors, fine)
    raw = open_elevation(terrain, fine)
    elevation, filled = _complete(terrain, raw.values, land)
    mean, _ = regrid.apply(down, elevation)
    smooth, _ = regrid.apply(up, mean)
    inside = region_mask(fine, polygon, raw.copy(data=elevation), min_elevation) & land
    if not inside.any():
        raise ValueError(
            "the region holds no land: correct region.lat, region.lon, region.polygon or region.min_elevation"
        )
    slopes = slope(_nearest(elevation), fine).astype(np.float32)
    dims = ("lat", "lon")
    flags = {"flag_values": np.array([0, 1], np.int8), "units": "1"}
    source = {"source": Path(terrain).name, "resampling": raw.attrs["resampling"], "cells_filled": filled}
    fields = {
        "elevation": (dims, elevation, {"units": "m", "long_name": "mean elevation", **source}),
        "slope": (dims, slopes, {"units": "1", "long_name": "slope, rise over run"}),
        "elevation_anomaly": (
            dims,
            elevation - smooth,
            {"units": "m", "long_name": f"elevation minus smooth {coarse.name} elevation"},
        ),
        "land": (dims, land.astype(np.int8), {**flags, "flag_meanings": "sea_or_lake land"}),
        "region": (dims, inside.astype(np.int8), {**flags, "flag_meanings": "outside inside"}),
    }
    coords = {
        "lat": ("lat", fine.lat, {"units": "degrees_north", "standard_name": "latitude"}),
        "lon": ("lon", fine.lon, {"units": "degrees_east", "standard_name": "longitude"}),
    }
    attrs = {"polygon": "" if polygon is None else Path(polygon).name}
    if min_elevation is not None:
        attrs["min_elevation"] = float(min_elevation)
    with replacing(output) as part:
        xr.Dataset(fields, coords, attrs).to_netcdf(part, engine="netcdf4")


def _complete(terrain: str | Path, raw: np.ndarray, land: np.ndarray) -> tuple[np.ndarray, int]:
    """Elevation with coastal holes filled and the sea floor at 0, and the number of land cells filled.

    Elevation files often end a cell before the model's land does. Elsewhere a hole is a fault of the file.
    """
    holes = land & ~np.isfinite(raw)
    filled = int(holes.sum())
    if filled > MAX_FILLED_SHARE * land.sum():
        raise complaint(
            terrain,
            "elevation on every land cell",
            f"none on {filled} of {int(land.sum())} land cells",
            "give an elevation file without holes",
        )
    elevation = np.where(holes, _nearest(raw), raw)
    return np.where(~land & (elevation < 0), 0.0, elevation).astype(np.float32), filled


def _nearest(field: np.ndarray) -> np.ndarray:
    """The field with each missing cell taken from the nearest cell that has a value."""
    missing = ~np.isfinite(field)
    if not missing.any():
        return field
    rows, cols = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return field[rows, cols]
