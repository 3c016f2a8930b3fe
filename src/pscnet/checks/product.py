"""Contract of the delivered product month, and the step that verifies it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from ..grids import Grid
from ..timeaxis import STEP_HOURS
from ..variables import FLAG_BITS, SOIL_MOISTURE_RANGE
from .fields import UNCERTAINTY_RANGE, FieldSummary, field_layout_complaints, summarise
from .layout import CheckError, attribute, complaint

#: Share of the unfrozen land cells and steps of the region that has to carry a value.
MIN_COVERAGE = 0.999

#: Global attributes of a product file: CF 1.11 section 2.6.2, what ACDD 1.3 recommends highly or plainly, provenance.
# fmt: off
PRODUCT_ATTRIBUTES = (
    "Conventions", "title", "summary", "keywords", "keywords_vocabulary", "standard_name_vocabulary", "id",
    "naming_authority", "history", "source", "processing_level", "comment", "license", "references", "institution",
    "project", "creator_name", "creator_email", "creator_url", "publisher_name", "publisher_email", "publisher_url",
    "date_created", "geospatial_bounds", "geospatial_bounds_crs", "geospatial_lat_min", "geospatial_lat_max",
    "geospatial_lon_min", "geospatial_lon_max", "geospatial_vertical_min", "geospatial_vertical_max",
    "geospatial_vertical_positive", "time_coverage_start", "time_coverage_end", "time_coverage_duration",
    "time_coverage_resolution", "product_version", "version", "commit", "config_hash", "checkpoint_hash",
    "weight_engine", "manifests_hash",
)
# fmt: on

#: Attributes that each variable of a product file has to have, and their value where it is fixed.
VARIABLE_ATTRIBUTES: dict[str, dict[str, str | None]] = {
    "soil_moisture": {
        "standard_name": "volume_fraction_of_condensed_water_in_soil",
        "long_name": None,
        "valid_range": None,
        "cell_methods": None,
        "grid_mapping": "crs",
        "ancillary_variables": "soil_moisture_uncertainty flag",
    },
    "soil_moisture_uncertainty": {
        "standard_name": "volume_fraction_of_condensed_water_in_soil standard_error",
        "long_name": None,
        "valid_range": None,
        "grid_mapping": "crs",
    },
    "flag": {"standard_name": "status_flag", "long_name": None, "flag_meanings": None, "grid_mapping": "crs"},
    "time": {"standard_name": "time", "axis": "T", "bounds": "time_bnds"},
    "lat": {"standard_name": "latitude", "units": "degrees_north", "axis": "Y", "bounds": "lat_bnds"},
    "lon": {"standard_name": "longitude", "units": "degrees_east", "axis": "X", "bounds": "lon_bnds"},
    "crs": {"grid_mapping_name": "latitude_longitude", "crs_wkt": None, "spatial_ref": None},
}


def geo_transform(grid: Grid) -> tuple[float, float, float, float, float, float] | None:
    """GDAL's affine transform of the grid [degree], or None where its rows or columns are unequal (EASE-Grid 2.0)."""
    steps = [np.diff(edges) for edges in (grid.lon_edges, grid.lat_edges)]
    if any(np.ptp(step) > 1e-6 for step in steps):
        return None
    west, north = grid.lon_edges[0], grid.lat_edges[0]
    dx, dy = ((edges[-1] - edges[0]) / (edges.size - 1) for edges in (grid.lon_edges, grid.lat_edges))
    return tuple(round(float(value), 9) for value in (west, dx, 0.0, north, 0.0, dy))


def product_complaints(
    product: xr.Dataset | str | Path, fine: Grid, month: str, region: np.ndarray | None = None
) -> list[str]:
    """Complaints on a product month: everything asked of a downscaled month, and its CF and ACDD description.

    Parameters
    ----------
    product : Dataset or path
        As :func:`xarray.open_dataset` gives it (packed values decoded).
    fine : Grid
    month : str
    region : ndarray (lat, lon) of bool, optional
        Land cells of the region.

    Returns
    -------
    list of str
    """
    return _product_check(product, fine, month, region)[0]


def _product_check(
    product: xr.Dataset | str | Path, fine: Grid, month: str, region: np.ndarray | None
) -> tuple[list[str], FieldSummary | None]:
    """The complaints on a product, and the summary of its values where the layout allows one."""
    if not isinstance(product, xr.Dataset):
        with xr.open_dataset(product, engine="netcdf4") as ds:
            return _product_check(ds, fine, month, region)
    layout = field_layout_complaints(product, fine, month, ("f4", "f8"))
    out = layout + _product_metadata(product, fine) + _product_encoding(product)
    if layout:
        return out, None
    summary = summarise(product, region)
    return out + _product_bounds(product, fine) + summary.complaints(), summary


def _product_metadata(ds: xr.Dataset, fine: Grid) -> list[str]:
    """Complaints on global attributes, variable attributes, flag table and grid mapping."""
    out = [
        complaint(f"attribute {name}", "a text or number", "none")
        for name in PRODUCT_ATTRIBUTES
        if str(ds.attrs.get(name, "")).strip() == ""
    ]
    out += [
        complaint("attribute Conventions", f"{wanted} in it", repr(ds.attrs["Conventions"]))
        for wanted in ("CF-1.11", "ACDD-1.3")
        if wanted not in ds.attrs.get("Conventions", wanted)
    ]
    for name, attributes in VARIABLE_ATTRIBUTES.items():
        if name not in ds.variables:
            out += [complaint(name, "a variable", "none")]
            continue
        for key, wanted in attributes.items():
            found = attribute(ds[name], key)
            if found is None or (wanted is not None and found != wanted):
                out.append(complaint(f"{name}:{key}", "an attribute" if wanted is None else repr(wanted), repr(found)))
    table = {"flag_masks": list(FLAG_BITS.values()), "flag_meanings": list(FLAG_BITS)}
    for key, wanted in table.items():
        found = attribute(ds["flag"], key) if "flag" in ds else None
        found = found.split() if isinstance(found, str) else np.ravel([] if found is None else found).tolist()
        if found != wanted:
            out.append(complaint(f"flag:{key}", wanted, found))
    wanted = geo_transform(fine)
    if wanted is not None and "crs" in ds.variables:
        found = str(attribute(ds["crs"], "GeoTransform") or "")
        numbers = [float(part) for part in found.split()]
        if len(numbers) != 6 or not np.allclose(numbers, wanted, rtol=0, atol=1e-6):
            out.append(complaint("crs:GeoTransform", " ".join(f"{value:g}" for value in wanted), repr(found)))
    return out


def _product_encoding(ds: xr.Dataset) -> list[str]:
    """Complaints on types on disk and on ``valid_range``, which CF wants in packed terms."""
    out = []
    for name, (low, high) in {
        "soil_moisture": SOIL_MOISTURE_RANGE,
        "soil_moisture_uncertainty": UNCERTAINTY_RANGE,
    }.items():
        if name not in ds.variables:
            continue
        encoding = ds[name].encoding
        dtype = np.dtype(encoding.get("dtype", ds[name].dtype))
        if dtype not in (np.dtype("i2"), np.dtype("f4")):
            out.append(complaint(name, "int16 or float32 on disk", dtype))
        scale, offset = encoding.get("scale_factor", 1.0), encoding.get("add_offset", 0.0)
        if dtype == np.dtype("i2") and not 0 < scale <= 1e-4:
            out.append(complaint(f"{name}:scale_factor", "a resolution of at most 1e-4 m3 m-3", scale))
        packed = np.atleast_1d(attribute(ds[name], "valid_range"))
        if packed.size != 2 or packed.dtype != dtype:
            out.append(complaint(f"{name}:valid_range", f"two values of type {dtype}", f"{packed} of {packed.dtype}"))
        elif np.abs(packed * scale + offset - (low, high)).max() > max(scale if dtype.kind == "i" else 0, 1e-6):
            found = (packed * scale + offset).tolist()
            out.append(complaint(f"{name}:valid_range", f"{low:g} .. {high:g} when unpacked", found))
    return out


def _product_bounds(ds: xr.Dataset, fine: Grid) -> list[str]:
    """Complaints on the bounds of time, lat and lon: the cells of the grid and of the 3-hourly axis."""
    half = np.timedelta64(STEP_HOURS * 30, "m")
    times = ds["time"].values.astype("M8[ns]")
    wanted = {
        "time_bnds": np.stack([times - half, times + half], axis=1),
        "lat_bnds": np.stack([fine.lat_edges[:-1], fine.lat_edges[1:]], axis=1),
        "lon_bnds": np.stack([fine.lon_edges[:-1], fine.lon_edges[1:]], axis=1),
    }
    out = []
    for name, edges in wanted.items():
        if name not in ds.variables:
            out.append(complaint(name, f"bounds {edges.shape}", "none"))
        elif ds[name].shape != edges.shape:
            out.append(complaint(name, f"shape {edges.shape}", ds[name].shape))
        elif name == "time_bnds" and not np.array_equal(ds[name].values.astype("M8[ns]"), edges):
            out.append(complaint(name, "1.5 h before to 1.5 h after the stamp", f"{ds[name].values[0]} first"))
        elif name != "time_bnds" and not np.allclose(ds[name].values, edges, rtol=0, atol=1e-6):
            off = np.abs(ds[name].values - edges).max()
            out.append(complaint(name, "the edges of the grid's cells", f"edges up to {off:.4g} degree off"))
    return out


def verify_product(
    product: str | Path,
    output: str | Path,
    month: str,
    fine: Grid,
    static: str | Path | None = None,
    min_coverage: float = MIN_COVERAGE,
) -> dict:
    """Check a product month and write the finding as JSON; the file is written also when there are complaints.

    Parameters
    ----------
    product, output : path
        Product NetCDF, and the JSON to write: file, month, complaints, coverage, counts and ranges.
    month : str
    fine : Grid
    static : path, optional
        ``static.nc`` of the run, whose ``region`` says which cells have to be covered.
    min_coverage : float
        Least share of unfrozen land cells and steps of the region that carries a value.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    CheckError
        When there are complaints.
    """
    product, output = Path(product), Path(output)
    region = None
    if static is not None:
        with xr.open_dataset(static, engine="netcdf4") as ds:
            region = ds["region"].values == 1
    complaints, summary = _product_check(product, fine, month, region)
    finding: dict = {"file": product.name, "month": month, "complaints": complaints, "coverage": None}
    if summary is not None:
        if summary.coverage is not None and summary.coverage < min_coverage:
            found = f"{summary.coverage:.5f} ({summary.unfrozen - summary.valued} of {summary.unfrozen} without)"
            complaints.append(complaint("coverage", f"at least {min_coverage:g} of unfrozen cells and steps", found))
        finding |= _numbers(summary)
    _write_json(output, finding)
    if complaints:
        remedy = "delete the file and make the product again; if this comes back, look into the downscaled month"
        raise CheckError(product, complaints, remedy)
    return finding


def _numbers(summary: FieldSummary) -> dict:
    """The summary as JSON-ready numbers."""
    shares = {name: number / summary.steps for name, number in summary.flags.items() if name != "outside_region"}
    return {
        "coverage": summary.coverage,
        "cells_and_steps": {"region": summary.steps, "unfrozen": summary.unfrozen, "with_value": summary.valued},
        "flag_shares": {name: round(share, 6) for name, share in shares.items()} if summary.steps else {},
        "ranges": {
            name: [round(value, 6) if np.isfinite(value) else None for value in pair]
            for name, pair in summary.ranges.items()
        },
    }


def _write_json(path: Path, content: Mapping) -> None:
    """Write ``content`` at once: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
