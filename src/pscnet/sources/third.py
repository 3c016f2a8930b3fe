"""An independent product of soil moisture, from NetCDF or GeoTIFF, on the 36 km cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rioxarray
import xarray as xr
from scipy import sparse

from pscnet.grids import Grid
from pscnet.sources import complaint
from pscnet.sources.formats import kind_of

#: Names of the axes.
_LAT, _LON, _TIME = ("lat", "latitude", "y"), ("lon", "longitude", "x"), ("time",)


def read_third(
    path: str | Path, grid: Grid, variable: str | None = None, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Times and values on the cells of a coarse grid.

    A cell has the mean of the values whose pixel centres lie in it; where a product is so coarse that no centre does,
    it has none.

    Parameters
    ----------
    path : path
        NetCDF on latitude, longitude and time, or a GeoTIFF in degrees whose bands are described by dates.
    grid : Grid
    variable : str, optional
        Of a NetCDF file; default: the only one on these axes.
    scale : float
        Factor to m3 m-3.

    Returns
    -------
    times : datetime64[ns] (time,), ascending
    values : ndarray (time, y, x), float32, NaN where there is none

    Raises
    ------
    SourceError
    """
    path = Path(path)
    if not path.is_file():
        raise complaint(path, "a product of soil moisture", "no such file", "correct validation.third")
    try:
        field = _netcdf(path, variable) if kind_of(path) in ("hdf5", "netcdf3") else _geotiff(path)
    except (OSError, RuntimeError) as error:
        raise complaint(path, "a readable NetCDF or GeoTIFF file", str(error), "download or make it again") from error
    lat, lon = field["lat"].values.astype(float), field["lon"].values.astype(float)
    lon = (lon + 180.0) % 360.0 - 180.0
    rows = (lat < grid.lat_edges[0]) & (lat > grid.lat_edges[-1])
    columns = (lon > grid.lon_edges[0]) & (lon < grid.lon_edges[-1])
    if not (rows.any() and columns.any()):
        raise complaint(
            path,
            f"values inside lat {grid.lat_edges[-1]:.2f}..{grid.lat_edges[0]:.2f}, lon {grid.lon_edges[0]:.2f}.."
            f"{grid.lon_edges[-1]:.2f}",
            f"lat {lat.min():.2f}..{lat.max():.2f}, lon {lon.min():.2f}..{lon.max():.2f}",
            "give a file of this region",
        )
    part = field.isel(lat=np.flatnonzero(rows), lon=np.flatnonzero(columns)).sortby("time")
    times = part["time"].values.astype("M8[ns]")
    if np.unique(times).size != times.size:
        raise complaint(path, "each time once", "a time that comes twice", "take the repeated steps out")
    values = part.values.astype(float) * scale
    return times, _cell_means(values, lat[rows], lon[columns], grid)


def _cell_means(values: np.ndarray, lat: np.ndarray, lon: np.ndarray, grid: Grid) -> np.ndarray:
    row = np.searchsorted(-grid.lat_edges, -lat, side="right") - 1
    column = np.searchsorted(grid.lon_edges, lon, side="right") - 1
    cell = (row[:, None] * grid.shape[1] + column[None, :]).ravel()
    member = sparse.csr_array((np.ones(cell.size), (cell, np.arange(cell.size))), shape=(grid.size, cell.size))
    flat = values.reshape(len(values), -1).T
    good = np.isfinite(flat)
    count = member @ good.astype(float)
    total = member @ np.where(good, flat, 0.0)
    means = np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
    return means.T.reshape(len(values), *grid.shape).astype("f4")


def _netcdf(path: Path, variable: str | None) -> xr.DataArray:
    with xr.open_dataset(path) as data:
        names = {wanted: _axis(data, choices) for wanted, choices in (("lat", _LAT), ("lon", _LON), ("time", _TIME))}
        missing = [wanted for wanted, found in names.items() if found is None]
        if missing:
            raise complaint(
                path, "the axes lat, lon and time", f"no {', '.join(missing)}", "give the axes one of these names"
            )
        axes = {str(found) for found in names.values()}
        there = [str(name) for name, field in data.data_vars.items() if axes <= set(map(str, field.squeeze().dims))]
        if variable is None and len(there) != 1:
            raise complaint(
                path,
                "one variable on lat, lon and time",
                ", ".join(there) or "none",
                "name it with the key validation.third.variable",
            )
        name = variable or there[0]
        if name not in there:
            raise complaint(
                path,
                f"the variable {name} on lat, lon and time",
                f"{', '.join(there) or 'none on these axes'}",
                "correct validation.third.variable",
            )
        field = data[name].squeeze().rename({str(found): wanted for wanted, found in names.items()})
        return field.transpose("time", "lat", "lon").load()


def _axis(data: xr.Dataset, choices: tuple[str, ...]) -> str | None:
    return next((name for name in choices if name in data.variables and data[name].dims == (name,)), None)


def _geotiff(path: Path) -> xr.DataArray:
    raster = rioxarray.open_rasterio(path, masked=True)
    if raster.rio.crs is None or not raster.rio.crs.is_geographic:
        raise complaint(
            path, "a GeoTIFF in degrees", f"the CRS {raster.rio.crs}", "reproject it: gdalwarp -t_srs EPSG:4326"
        )
    said = raster.attrs.get("long_name", ())
    dates = (said,) if isinstance(said, str) else tuple(said)
    try:
        times = np.array([np.datetime64(date.strip(), "ns") for date in dates])
    except ValueError as error:
        raise complaint(path, "bands described by dates, such as 2017-07-01T12:00", str(error), _DESCRIBE) from error
    if times.size != raster.sizes["band"]:
        found = f"{times.size} descriptions of {raster.sizes['band']} bands"
        raise complaint(path, "a date as description of each band", found, _DESCRIBE)
    named = raster.rename({"band": "time", "y": "lat", "x": "lon"}).assign_coords(time=times)
    return named.transpose("time", "lat", "lon").load()


_DESCRIBE = "describe the bands (rasterio: dataset.descriptions), or give NetCDF"
