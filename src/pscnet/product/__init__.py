"""How is it delivered? Product months: CF 1.11 and ACDD 1.3 NetCDF with encoding, flags and provenance.

=============================  ========================  =======================================================
variable                       dims, type                meaning
=============================  ========================  =======================================================
``soil_moisture``              time, lat, lon; int16     liquid water in the top 5 cm [m3 m-3]
``soil_moisture_uncertainty``  time, lat, lon; int16     one standard deviation [m3 m-3]
``flag``                       time, lat, lon; uint8     bits of :data:`pscnet.variables.FLAG_BITS`
``time``, ``time_bnds``        time; float64             instants 00, 03, .. 21 UTC; the 3 hours around each
``lat``, ``lat_bnds``          lat; float64              centres and edges of rows, north first
``lon``, ``lon_bnds``          lon; float64              centres and edges of columns, west first
``depth``                      scalar                    centre of the layer, which reaches from 0 to 5 cm
``crs``                        scalar                    WGS 84, for CF readers, rioxarray and GDAL
=============================  ========================  =======================================================

Time is an instant with a cell around it. The estimate is of the state at the stamp (predictors are taken at the stamp),
so its cell method over time is ``point``. The bounds, 1.5 h before to 1.5 h after, say which overpasses count as
this stamp's (:func:`pscnet.timeaxis.nearest_stamp`), and they tile the months without gap or overlap.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import netCDF4
import xarray as xr

from ..checks import CheckError, downscaled_complaints, product_complaints
from ..grids import Grid
from .attributes import (
    REQUIRED_ATTRIBUTES,
    REQUIRED_PROVENANCE,
    ProductError,
    check_attributes,
    global_attributes,
    iso,
)
from .encoding import FILL, SCALE, chunk_shape, pack, write_axes, write_fields

__all__ = [
    "FILL",
    "REQUIRED_ATTRIBUTES",
    "REQUIRED_PROVENANCE",
    "SCALE",
    "ProductError",
    "chunk_shape",
    "global_attributes",
    "pack",
    "write_month",
]


def write_month(
    downscaled: str | Path,
    output: str | Path,
    run: str,
    month: str,
    fine: Grid,
    dtype: str = "int16",
    attributes: Mapping[str, str] | None = None,
    provenance: Mapping[str, str] | None = None,
    simulated: bool = False,
    date_created: str | None = None,
) -> Path:
    """Write a downscaled month as a product file: to a temporary name, checked, then renamed.

    Parameters
    ----------
    downscaled, output : path
        Downscaled month (time, lat, lon) to read, product to write.
    run : str
        Name of the run; part of the product's ``id``.
    month : str
        ``YYYY-MM``.
    fine : Grid
    dtype : {"int16", "float32"}
        Type of soil moisture and uncertainty on disk.
    attributes : mapping
        Global attributes: :data:`REQUIRED_ATTRIBUTES`, and any other of ACDD 1.3 to replace a default.
    provenance : mapping
        Global attributes on the making: :data:`REQUIRED_PROVENANCE`, and any other.
    simulated : bool
        Whether the input is the twin's: title, summary and source then say so.
    date_created : str, optional
        ISO 8601. Default: the modification time of ``downscaled``, the moment at which the values were made, so
        that the same input gives the same bytes.

    Returns
    -------
    Path
        ``output``.

    Raises
    ------
    ProductError
        When an attribute is missing or a value does not fit.
    CheckError
        When the input or the file written breaks its contract. Nothing is then left under a new name, and an older
        product stays.
    """
    downscaled, output = Path(downscaled), Path(output)
    attributes, provenance = _given(attributes), _given(provenance)
    if dtype not in ("int16", "float32"):
        raise ProductError(f"product dtype {dtype!r}: expected 'int16' or 'float32'; set product.dtype in the config")
    check_attributes(attributes, provenance)
    created = date_created or iso(datetime.fromtimestamp(int(downscaled.stat().st_mtime), UTC))
    header = global_attributes(run, month, fine, attributes, provenance, simulated, created, downscaled.name)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".part")
    try:
        with xr.open_dataset(downscaled, engine="netcdf4") as ds:
            complaints = downscaled_complaints(ds, fine, month)
            if complaints:
                raise CheckError(downscaled, complaints, "make the downscaled month again; no product was written")
            with netCDF4.Dataset(partial, "w", format="NETCDF4") as nc:
                write_axes(nc, fine, month)
                write_fields(nc, ds, dtype)
                nc.setncatts(header)
        complaints = product_complaints(partial, fine, month)
        if complaints:
            raise CheckError(output, complaints, f"nothing was written under this name; look into {downscaled}")
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    return output


def _given(texts: Mapping[str, str] | None) -> dict[str, str]:
    """The attributes that are not None, so that an unset option takes its default."""
    return {name: text for name, text in (texts or {}).items() if text is not None}
