"""ERA5-Land files in, one clean month out: 3-hourly, on the fine grid, accumulations as interval totals.

Where the fine grid is the nodes of ERA5-Land, values are as delivered; on another one they are interpolated.

Layout of a clean month (``open_files``, and the predictors file of ``write_month``):

==========  ==============================  =====================================================================
name        dims, type                      meaning
==========  ==============================  =====================================================================
(variable)  (time, lat, lon) float32        ERA5-Land short names and units; instants at the stamp, accumulations
                                            as totals of the 3 hours that end at the stamp; NaN over sea
time        (time,)                         00, 03, ..., 21 UTC of every day of the month
lat, lon    (lat,), (lon,) [degree]         latitude descending, longitude ascending
==========  ==============================  =====================================================================

The coarse file of ``write_month`` holds the conservative means of the same variables on (time, y, x), and
``valid_fraction`` (y, x), the share of each cell that valid nodes cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.regrid import apply, read_weights
from pscnet.sources import complaint
from pscnet.sources import manifest as manifests
from pscnet.sources.atomic import replacing
from pscnet.sources.era5_files import CHUNK_CACHE, Piece, opened, require
from pscnet.sources.era5_merge import gather, labels
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY, month_stamps
from pscnet.variables import ERA5_LAND

#: A running total that falls within the day by more than this share of its largest value, in more than this
#: share of the values, is no running total. GRIB packing makes falls of about 1e-5 of the largest value.
FALL, FALL_SHARE = 0.02, 1e-3

#: An interpolated cell is land where nodes on land carry this share of its weight: land neither grows nor shrinks.
LAND_SHARE = 0.5

_STEP = np.timedelta64(STEP_HOURS, "h")


def open_files(
    paths: Iterable[str | Path], variables: Sequence[str], grid: Grid, month: str, previous: Iterable[str | Path] = ()
) -> xr.Dataset:
    """The clean month of a set of ERA5-Land files, in memory.

    Parameters
    ----------
    paths : iterable of path
        NetCDF files or zips, in any split by variable, time or box, which together hold the month.
    variables : sequence of str
        Short names.
    grid : Grid
        Regular grid of ERA5-Land nodes.
    month : str
        ``YYYY-MM``.
    previous : iterable of path
        Files of the month before, for the accumulations that end at the month's first stamp.

    Returns
    -------
    Dataset
        See the module's table.

    Raises
    ------
    SourceError
    """
    with opened([*paths, *previous]) as pieces:
        require(pieces, variables, f"ERA5-Land {month}")
        content = {
            name: (("time", "lat", "lon"), values, attrs)
            for name, values, attrs in _clean(pieces, variables, grid, month)
        }
    coords = {"time": month_stamps(month).astype("M8[ns]"), "lat": grid.lat, "lon": grid.lon}
    return xr.Dataset(content, coords=coords)


def write_month(
    manifest: str | Path,
    previous_manifest: str | Path | None,
    variables: Sequence[str],
    fine: Grid,
    month: str,
    weights: str | Path,
    coarse: Grid,
    predictors_out: str | Path,
    coarse_out: str | Path,
    min_valid_fraction: float = 0.0,
    source_to_fine: str | Path | None = None,
) -> None:
    """Write the clean month and its conservative means, one variable in memory at a time.

    Parameters
    ----------
    manifest, previous_manifest : path
        Manifests of the month and of the month before (None where the period starts).
    variables : sequence of str
    fine, coarse : Grid
    month : str
    weights : path
        Conservative weights from ``fine`` to ``coarse``.
    predictors_out, coarse_out : path
        NetCDF files to write; see the module's table. Replaced only when both are complete.
    min_valid_fraction : float
        Coarse cells with a smaller share of valid area become NaN.
    source_to_fine : path, optional
        Bilinear weights from the nodes on which ERA5-Land is read to ``fine``; none where ``fine`` is these nodes.

    Raises
    ------
    SourceError, WeightError
    """
    interpolation = None if source_to_fine is None else read_weights(source_to_fine, dst=fine, method="bilinear")
    nodes = fine if interpolation is None else interpolation.src
    matrix = read_weights(weights)
    if tuple(matrix.src_shape) != fine.shape or tuple(matrix.dst_shape) != coarse.shape:
        raise complaint(
            weights,
            f"weights from {fine.shape} to {coarse.shape} cells",
            f"weights from {tuple(matrix.src_shape)} to {tuple(matrix.dst_shape)}",
            "make the weight file again for this region",
        )
    valid = np.ones(fine.shape, bool)
    with (
        opened(_month_paths(manifest, previous_manifest, month)) as pieces,
        replacing(predictors_out) as fine_part,
        replacing(coarse_out) as coarse_part,
        netCDF4.Dataset(fine_part, "w") as fine_file,
        netCDF4.Dataset(coarse_part, "w") as coarse_file,
    ):
        require(pieces, variables, f"ERA5-Land {month}, listed in {manifest}")
        _define(fine_file, month, _axes(fine))
        _define(coarse_file, month, _cells(coarse))
        for name, values, attrs in _clean(pieces, variables, nodes, month):
            if interpolation is not None:
                values, _ = apply(interpolation, values, LAND_SHARE)
            valid &= np.isfinite(values).all(axis=0)
            _store(fine_file, name, ("time", "lat", "lon"), values, attrs)
            means, _ = apply(matrix, values, min_valid_fraction)
            _store(coarse_file, name, ("time", "y", "x"), means, attrs | {"cell_methods": "area: mean"})
        _, fraction = apply(matrix, np.where(valid, 0.0, np.nan).astype("f4"))
        _store(coarse_file, "valid_fraction", ("y", "x"), fraction, {"units": "1", "long_name": "valid area fraction"})


def _month_paths(manifest: str | Path, previous: str | Path | None, month: str) -> list[Path]:
    listed = manifests.read(manifest)
    if listed.source != "era5_land" or listed.month != month:
        raise complaint(
            manifest,
            f"the manifest of era5_land {month}",
            f"that of {listed.source} {listed.month}",
            "write the manifest again",
        )
    paths = listed.paths()
    return paths if previous is None else paths + manifests.read(previous).paths()


def _clean(
    pieces: Sequence[Piece], variables: Sequence[str], grid: Grid, month: str
) -> Iterator[tuple[str, np.ndarray, dict[str, str]]]:
    """Each variable's clean values (time, lat, lon) float32 and attributes, one after the other."""
    stamps = month_stamps(month).astype("M8[ns]")
    for name in variables:
        variable = ERA5_LAND[name]
        attrs = {"units": variable.units, "long_name": variable.long_name}
        if variable.kind == "instant":
            values = gather(pieces, name, grid, stamps, optional=0)
            attrs["cell_methods"] = "time: point"
        else:
            totals = gather(pieces, name, grid, np.insert(stamps, 0, stamps[0] - _STEP), optional=1)
            _check_running_total(totals, stamps, name, labels(pieces, name))
            values, first = deaccumulate(totals, stamps)
            attrs["cell_methods"] = "time: sum"
            attrs["comment"] = f"total of the {STEP_HOURS} hours that end at the stamp; {first}"
        if name.startswith("swvl") or (variable.kind == "accum" and not variable.signed):
            np.maximum(values, 0.0, out=values)  # NaN stays NaN; the negatives come from packing
        yield name, values, attrs


def deaccumulate(totals: np.ndarray, stamps: np.ndarray) -> tuple[np.ndarray, str]:
    """Totals of the 3 hours that end at each stamp, from running totals since 00 UTC.

    The value at 00 UTC is the whole previous day (ECMWF, ERA5-Land documentation, "accumulations"). So at 03 UTC
    the running total itself is the interval's; at other stamps it is the difference to the stamp before; at
    00 UTC too, the stamp before being 21 UTC of the same accumulation.

    Parameters
    ----------
    totals : ndarray (n + 1, ...)
        Running totals at the stamp before the first one (NaN where unknown), then at ``stamps``.
    stamps : ndarray datetime64 (n,)
        3-hourly, from 00 UTC.

    Returns
    -------
    ndarray (n, ...)
        Of ``totals``' type and unit.
    str
        How the first stamp was found.
    """
    values = np.diff(totals, axis=0)
    at_three = (stamps - stamps.astype("M8[D]")) == _STEP
    values[at_three] = totals[1:][at_three]
    unknown = np.isnan(values[0]) & ~np.isnan(totals[1])
    values[0] = np.where(unknown, totals[1] * (STEP_HOURS / 24), values[0])
    return values, (
        "at the first stamp one eighth of the previous day's total, as the month before is not there"
        if unknown.any()
        else "at the first stamp from the month before"
    )


def _check_running_total(totals: np.ndarray, stamps: np.ndarray, name: str, files: str) -> None:
    """Refuse values that are not running totals since 00 UTC, such as ERA5's hourly totals."""
    if ERA5_LAND[name].signed:
        return
    hours = (stamps - stamps.astype("M8[D]")).astype("m8[h]").astype(int)
    steps = np.diff(totals, axis=0)[hours != STEP_HOURS]
    largest = float(np.nanmax(totals))
    share = float(np.mean(steps < -FALL * largest)) if largest > 0 else 0.0
    if share > FALL_SHARE:
        raise complaint(
            files,
            f"{name} as running total since 00 UTC, as ERA5-Land has it",
            f"values that fall within the day in {100 * share:.1f} % of the steps (hourly totals, as ERA5 has them?)",
            "request reanalysis-era5-land, and do not de-accumulate it beforehand",
        )


def _define(file: netCDF4.Dataset, month: str, coords: Mapping[str, tuple[str, np.ndarray, str]]) -> None:
    """Time, and coordinates given as name to (dimension, values, unit), of an output file."""
    stamps = month_stamps(month)
    file.createDimension("time", stamps.size)
    time = file.createVariable("time", "i4", ("time",))
    time.setncatts({"units": "hours since 1970-01-01 00:00:00", "calendar": "standard", "standard_name": "time"})
    time[:] = stamps.astype("M8[h]").astype("i8")
    for name, (dim, values, units) in coords.items():
        if dim not in file.dimensions:
            file.createDimension(dim, values.size)
        variable = file.createVariable(name, values.dtype, (dim,))
        variable.units = units
        variable[:] = values


def _axes(fine: Grid) -> dict[str, tuple[str, np.ndarray, str]]:
    """Coordinates of the fine grid: name to (dimension, values, unit)."""
    return {"lat": ("lat", fine.lat, "degrees_north"), "lon": ("lon", fine.lon, "degrees_east")}


def _cells(coarse: Grid) -> dict[str, tuple[str, np.ndarray, str]]:
    """Coordinates of the coarse cells: name to (dimension, values, unit)."""
    ny, nx = coarse.shape
    return {
        "lat": ("y", coarse.lat, "degrees_north"),
        "lon": ("x", coarse.lon, "degrees_east"),
        "row": ("y", np.arange(coarse.row0, coarse.row0 + ny, dtype="i4"), "1"),
        "column": ("x", np.arange(coarse.col0, coarse.col0 + nx, dtype="i4"), "1"),
    }


def _store(
    file: netCDF4.Dataset, name: str, dims: tuple[str, ...], values: np.ndarray, attrs: Mapping[str, str]
) -> None:
    """Write one float32 variable in chunks of a day of the whole field: readers take a few steps at a time."""
    chunks = [min(size, STEPS_PER_DAY if dim == "time" else 512) for dim, size in zip(dims, values.shape, strict=True)]
    variable = file.createVariable(
        name, "f4", dims, zlib=True, complevel=1, shuffle=True, chunksizes=chunks, fill_value=np.float32(np.nan)
    )
    variable.set_var_chunk_cache(size=CHUNK_CACHE)  # written at once: a cache that stays full would only cost memory
    if "y" in dims:
        variable.coordinates = "lat lon row column"
    variable.setncatts(attrs)
    variable[:] = values.astype("f4", copy=False)
