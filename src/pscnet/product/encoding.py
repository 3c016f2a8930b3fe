"""Variables of a product month: coordinates with bounds, grid mapping, packed fields, flags."""

from __future__ import annotations

import netCDF4
import numpy as np
import pyproj
import xarray as xr

from ..checks import UNCERTAINTY_RANGE, geo_transform
from ..grids import Grid
from ..timeaxis import STEP_HOURS, month_stamps
from ..variables import FLAG_BITS, SOIL_MOISTURE_RANGE
from .attributes import DEPTH, ProductError

#: Resolution of packed values [m3 m-3], about 3.1e-5: a thousandth of the least uncertainty, and 0.9 fits an int16.
#: A power of two is exact in float32 and float64, so every reader unpacks to the same number.
SCALE = 2.0**-15
FILL = -32768

#: Epoch of the time axis, the same in every file so that files join without re-encoding.
EPOCH = "1970-01-01"

_NAME = "volume_fraction_of_condensed_water_in_soil"

#: Fields: physical range, and the attributes that do not depend on the type on disk.
_FIELDS = {
    "soil_moisture": (
        SOIL_MOISTURE_RANGE,
        {
            "standard_name": _NAME,
            "long_name": "liquid water content of the soil, 0 to 5 cm",
            "cell_methods": "area: mean depth: mean (from 0 to 0.05 m) time: point",
            "coverage_content_type": "modelResult",
            "ancillary_variables": "soil_moisture_uncertainty flag",
        },
    ),
    "soil_moisture_uncertainty": (
        UNCERTAINTY_RANGE,
        {
            "standard_name": f"{_NAME} standard_error",
            "long_name": "one standard deviation of soil_moisture, calibrated",
            "coverage_content_type": "qualityInformation",
        },
    ),
}
_FLAG = {
    "standard_name": "status_flag",
    "long_name": "state of the cell, and how the estimate came about",
    "coverage_content_type": "qualityInformation",
}


def _variable(
    nc: netCDF4.Dataset, name: str, dims: tuple[str, ...], values: object, attributes: dict | None = None
) -> None:
    """A float64 coordinate or bounds variable with all its values."""
    variable = nc.createVariable(name, "f8", dims, fill_value=False)
    variable.setncatts(attributes or {})
    variable[...] = values


def write_axes(nc: netCDF4.Dataset, fine: Grid, month: str) -> None:
    """Dimensions, coordinates with their bounds, and the grid mapping."""
    stamps = month_stamps(month)
    hours = (stamps - np.datetime64(EPOCH, "ns")) / np.timedelta64(1, "h")
    half = STEP_HOURS / 2
    for name, size in (("time", stamps.size), ("lat", fine.shape[0]), ("lon", fine.shape[1]), ("nv", 2)):
        nc.createDimension(name, size)
    time = {"units": f"hours since {EPOCH} 00:00:00", "calendar": "standard", "units_metadata": "leap_seconds: none"}
    time["bounds"] = "time_bnds"
    _variable(
        nc, "time", ("time",), hours, {"long_name": "instant of the estimate (UTC)", **time, **_axis("time", "T")}
    )
    _variable(nc, "time_bnds", ("time", "nv"), np.stack([hours - half, hours + half], axis=1))
    for name, standard, axis, units, centres, edges in (
        ("lat", "latitude", "Y", "degrees_north", fine.lat, fine.lat_edges),
        ("lon", "longitude", "X", "degrees_east", fine.lon, fine.lon_edges),
    ):
        attributes = {"long_name": f"{standard} of cell centres", "units": units, "bounds": f"{name}_bnds"}
        _variable(nc, name, (name,), centres, {**attributes, **_axis(standard, axis)})
        _variable(nc, f"{name}_bnds", (name, "nv"), np.stack([edges[:-1], edges[1:]], axis=1))
    # The layer's bounds stand in words: CF gives a scalar coordinate one-dimensional bounds, which validators refuse.
    attributes = {"long_name": f"centre of the soil layer from {DEPTH[1]:g} to {DEPTH[2]:g} m", "units": "m"}
    _variable(nc, "depth", (), DEPTH[0], {**attributes, "positive": "down", **_axis("depth", "Z")})
    crs = nc.createVariable("crs", "i4", (), fill_value=False)
    crs.setncatts(_grid_mapping(fine))
    crs[...] = 0  # carries attributes only; left unwritten it would hold whatever was in memory


def _axis(standard_name: str, axis: str) -> dict[str, str]:
    return {"standard_name": standard_name, "axis": axis, "coverage_content_type": "coordinate"}


def _grid_mapping(fine: Grid) -> dict[str, object]:
    """CF grid mapping of WGS 84, with what GDAL and rioxarray read in addition (``spatial_ref``, ``GeoTransform``)."""
    crs = pyproj.CRS.from_epsg(4326)
    cf = crs.to_cf()
    transform = geo_transform(fine)
    extra = {"GeoTransform": " ".join(f"{value:.10g}" for value in transform)} if transform else {}
    return {**cf, "long_name": "WGS 84", "spatial_ref": crs.to_wkt("WKT1_GDAL"), **extra}


def chunk_shape(sizes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Chunks (time, lat, lon) for a map as well as a series: about a week by 50 x 50 cells, cut evenly.

    A map of the default month opens 18 chunks, the series of a cell 4; a chunk is 0.3 MB packed.
    """
    return tuple(-(-size // -(-size // most)) for size, most in zip(sizes, (62, 56, 56), strict=True))


def write_fields(nc: netCDF4.Dataset, ds: xr.Dataset, dtype: str) -> None:
    """Soil moisture, uncertainty and flags, block by block along time."""
    for field, (limits, attributes) in _FIELDS.items():
        if dtype == "int16":
            kind, fill, valid = "i2", np.int16(FILL), np.floor(np.array(limits) / SCALE).astype("i2")
            packing = {"scale_factor": np.float32(SCALE), "add_offset": np.float32(0)}
        else:
            kind, fill, valid, packing = "f4", np.float32(np.nan), np.array(limits, "f4"), {}
        attributes = {**attributes, "units": "m3 m-3", **packing, "valid_range": valid}
        _write_field(nc, ds[field], kind, fill, attributes)
    masks = np.array(list(FLAG_BITS.values()), "u1")
    table = {"flag_masks": masks, "flag_meanings": " ".join(FLAG_BITS), "valid_range": np.array([0, masks.sum()], "u1")}
    _write_field(nc, ds["flag"], "u1", False, {**_FLAG, **table})


def _write_field(nc: netCDF4.Dataset, data: xr.DataArray, kind: str, fill: object, attributes: dict) -> None:
    """One variable (time, lat, lon), compressed; int16 is packed."""
    chunks = chunk_shape(data.shape)
    options = {"zlib": True, "complevel": 4, "shuffle": True, "chunksizes": chunks}
    variable = nc.createVariable(data.name, kind, data.dims, fill_value=fill, **options)
    variable.set_auto_maskandscale(False)
    variable.setncatts({**attributes, "grid_mapping": "crs", "coordinates": "depth"})
    for start in range(0, data.shape[0], chunks[0]):
        values = data[start : start + chunks[0]].values
        variable[start : start + chunks[0]] = pack(values, data.name) if kind == "i2" else values.astype(kind)


def pack(values: np.ndarray, name: str = "values") -> np.ndarray:
    """Values [m3 m-3] as int16 in units of :data:`SCALE`, NaN as :data:`FILL`; never saturating.

    Raises
    ------
    ProductError
        When a value is infinite, lies outside the valid range, or is positive and would round to zero uncertainty.
    """
    limits = UNCERTAINTY_RANGE if name == "soil_moisture_uncertainty" else SOIL_MOISTURE_RANGE
    missing = np.isnan(values)
    numbers = np.rint(np.where(missing, 0.0, values) / np.float64(SCALE))
    low = 1 if name == "soil_moisture_uncertainty" else limits[0] / SCALE
    bad = ~missing & ((numbers < low) | (numbers > np.floor(limits[1] / SCALE)))
    if bad.any():
        raise ProductError(
            f"{name}: expected values in {low * SCALE:.3g} .. {limits[1]:g} m3 m-3 to pack into int16, found "
            f"{int(bad.sum())} outside, such as {float(values[bad][0]):.6g}; "
            "correct the downscaled month, or set product.dtype to float32"
        )
    return np.where(missing, FILL, numbers).astype("i2")
