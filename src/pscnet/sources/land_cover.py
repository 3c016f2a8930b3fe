"""Which class of land fills most of a cell: rasters of IGBP classes, such as MCD12C1 or MCD12Q1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import rioxarray
import xarray as xr
from affine import Affine
from rasterio.enums import Resampling

from pscnet.grids import EASE2_GRIDS, EASE2_X0, EASE2_Y0, Grid
from pscnet.sources import complaint
from pscnet.sources.formats import kind_of

#: IGBP classes as MCD12 numbers them (Friedl et al. 2010, doi:10.1016/j.rse.2009.08.016); 0 is water in MCD12C1.
IGBP: dict[int, str] = {
    0: "water",
    1: "evergreen needleleaf forest",
    2: "evergreen broadleaf forest",
    3: "deciduous needleleaf forest",
    4: "deciduous broadleaf forest",
    5: "mixed forest",
    6: "closed shrubland",
    7: "open shrubland",
    8: "woody savanna",
    9: "savanna",
    10: "grassland",
    11: "permanent wetland",
    12: "cropland",
    13: "urban",
    14: "cropland and natural vegetation",
    15: "snow and ice",
    16: "barren",
    17: "water",
}

#: Value of pixels without a class, here and where a raster declares none.
NO_CLASS = 255


def majority_class(path: str | Path, grid: Grid) -> np.ndarray:
    """The class that covers most of each cell.

    Parameters
    ----------
    path : path
        GeoTIFF, or NetCDF with one field on latitude and longitude (or with a CRS); 255 counts as none.
    grid : Grid
        Window of an EASE-Grid 2.0.

    Returns
    -------
    ndarray (ny, nx) of int
        Keys of :data:`IGBP`; -1 where the raster has none.

    Raises
    ------
    SourceError
        The file cannot be read, has no CRS, no class in the region, or values that are no IGBP classes.
    """
    path = Path(path)
    if not path.is_file():
        raise complaint(path, "a raster of IGBP classes", "no such file", "correct validation.land_cover")
    raster = _opened(path)
    size = EASE2_GRIDS[grid.name][0]
    corner = Affine(size, 0, EASE2_X0 + grid.col0 * size, 0, -size, EASE2_Y0 - grid.row0 * size)
    try:
        west, east = grid.lon_edges[0] - 1, grid.lon_edges[-1] + 1
        part = raster.rio.clip_box(west, grid.lat_edges[-1] - 1, east, grid.lat_edges[0] + 1, crs="EPSG:4326")
    except Exception as error:  # rioxarray has its own for no overlap, GDAL and PROJ theirs
        raise complaint(path, "classes in the region", f"none ({error})", "give a raster that covers it") from error
    found = np.unique(part.values)
    strange = sorted(set(found.tolist()) - set(IGBP) - {NO_CLASS})
    if strange:
        raise complaint(
            path,
            "IGBP classes 0 to 17, and 255 for none",
            f"the values {', '.join(map(str, strange[:6]))}",
            "take the IGBP layer (Majority_Land_Cover_Type_1 of MCD12C1, LC_Type1 of MCD12Q1)",
        )
    warped = part.rio.reproject("EPSG:6933", shape=grid.shape, transform=corner, resampling=Resampling.mode)
    classes = warped.values.astype(int)
    if (classes == NO_CLASS).all():
        raise complaint(path, "classes in the region", "none at all", "give a raster that covers it")
    return np.where(classes == NO_CLASS, -1, classes)


def _opened(path: Path) -> xr.DataArray:
    """The raster (y, x) as unsigned bytes with its CRS, and :data:`NO_CLASS` declared as no-data."""
    try:
        if kind_of(path) in ("hdf5", "netcdf3"):
            raster = _from_netcdf(path)
        else:
            raster = rioxarray.open_rasterio(path).squeeze(drop=True)
        values = np.where(np.isfinite(raster.values), raster.values, NO_CLASS)
    except (OSError, RuntimeError, ValueError) as error:
        raise complaint(path, "a raster of IGBP classes", str(error), "give a GeoTIFF or NetCDF file") from error
    if raster.ndim != 2:
        raise complaint(path, "one field of classes", f"dimensions {raster.dims}", "keep the IGBP layer alone")
    if raster.rio.crs is None:
        raise complaint(path, "a coordinate reference system", "none", "assign it: gdal_edit.py -a_srs EPSG:4326")
    declared = raster.rio.nodata
    if declared is not None and np.isfinite(declared):
        values = np.where(values == declared, NO_CLASS, values)
    kept = raster.copy(data=np.clip(values, 0, NO_CLASS).astype("u1"))
    return kept.drop_attrs().rio.write_crs(raster.rio.crs).rio.write_nodata(NO_CLASS, encoded=False)


def _from_netcdf(path: Path) -> xr.DataArray:
    with xr.open_dataset(path, mask_and_scale=False) as data:
        fields = [field for field in data.data_vars.values() if field.squeeze().ndim == 2]
        if len(fields) != 1:
            raise ValueError(f"{len(fields)} fields on two dimensions: {', '.join(map(str, data.data_vars))}")
        field = fields[0].squeeze(drop=True).load()
    y, x = field.dims
    placed = field.rename({y: "y", x: "x"}) if (y, x) != ("y", "x") else field
    crs = placed.rio.crs
    if crs is None and str(y).lower().startswith("lat"):
        crs = pyproj.CRS("EPSG:4326").to_wkt()
    return placed if crs is None else placed.rio.write_crs(crs)
