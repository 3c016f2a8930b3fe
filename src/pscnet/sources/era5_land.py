"""ERA5-Land files in, one clean month out: 3-hourly, on the nodes of the grid, accumulations as interval totals.

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
import pandas as pd
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources import complaint
from pscnet.sources import manifest as manifests
from pscnet.sources.atomic import replacing
from pscnet.sources.era5_files import Piece, opened, place, require
from pscnet.timeaxis import STEP_HOURS, month_stamps
from pscnet.variables import ERA5_LAND

#: A running total that falls within the day by more than this share of its largest value, in more than this
#: share of the values, is no running total. GRIB packing makes falls of about 1e-5 of the largest value.
FALL, FALL_SHARE = 0.02, 1e-3

#: Relative difference that two files may show for the same value (GRIB and NetCDF packing).
SAME = 1e-5

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

    Raises
    ------
    SourceError
    """
    from pscnet.regrid import apply, read_weights

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
        _define(fine_file, month, _nodes(fine))
        _define(coarse_file, month, _cells(coarse))
        for name, values, attrs in _clean(pieces, variables, fine, month):
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
            _check_running_total(totals, stamps, name, _labels(pieces, name))
            values, first = deaccumulate(totals, stamps)
            attrs["cell_methods"] = "time: sum"
            attrs["comment"] = f"total of the {STEP_HOURS} hours that end at the stamp; {first}"
        if name.startswith("swvl") or (variable.kind == "accum" and not variable.signed):
            np.maximum(values, 0.0, out=values)  # NaN stays NaN; the negatives come from packing
        yield name, values, attrs


def gather(pieces: Sequence[Piece], name: str, grid: Grid, stamps: np.ndarray, optional: int) -> np.ndarray:
    """One variable as delivered, at the stamps, put together from all files that hold parts of it.

    Parameters
    ----------
    pieces : sequence of Piece
    name : str
    grid : Grid
    stamps : ndarray datetime64[ns] (n,)
    optional : int
        So many of the first stamps may be absent (NaN then).

    Returns
    -------
    ndarray float32 (n, ny, nx)

    Raises
    ------
    SourceError
        Missing or empty steps, missing cells, contradicting duplicates, a wrong unit or grid, no valid value.
    """
    values = np.full((stamps.size, *grid.shape), np.nan, "f4")
    ranks = np.zeros(values.shape, "u1")
    for piece in pieces:
        if name in piece.variables:
            _add(piece, name, grid, stamps, values, ranks)
    _check_complete(values[optional:], ranks[optional:], stamps[optional:], grid, name, _labels(pieces, name))
    return values


def _add(piece: Piece, name: str, grid: Grid, stamps: np.ndarray, values: np.ndarray, ranks: np.ndarray) -> None:
    """Put what a file holds of the variable at the stamps into ``values``, and its rank into ``ranks``."""
    times = piece.time_of(name)
    steps = np.flatnonzero(np.isin(times, stamps))
    if steps.size == 0:
        return
    piece.check_unit(name)
    rows, cols = place(piece, grid)
    inside_rows, inside_cols = np.flatnonzero(rows >= 0), np.flatnonzero(cols >= 0)
    if inside_rows.size == 0 or inside_cols.size == 0:
        return
    target = np.searchsorted(stamps, times[steps])
    step_ranks = piece.ranks(name)[steps]
    box = (slice(inside_rows[0], inside_rows[-1] + 1), slice(inside_cols[0], inside_cols[-1] + 1))
    for window, block in piece.blocks(name, steps, rows[inside_rows], cols[inside_cols]):
        _check_range(piece, name, block)
        for step, rank, new in zip(target[window], step_ranks[window], block, strict=True):
            _merge(piece, name, stamps[step], rank, new, values[step][box], ranks[step][box])


def _merge(
    piece: Piece, name: str, stamp: np.datetime64, rank: int, new: np.ndarray, old: np.ndarray, old_ranks: np.ndarray
) -> None:
    """Merge one step into what is there: higher rank wins, missing values give way, equal ranks must agree."""
    if old_ranks.any():
        rivals = (old_ranks == rank) & ~np.isnan(old) & ~np.isnan(new)
        tolerance = SAME * np.maximum(np.abs(old), np.abs(new)) + piece.step_size(name) + 1e-12
        if (wrong := rivals & (np.abs(old - new) > tolerance)).any():
            at = tuple(np.argwhere(wrong)[0])
            raise complaint(
                piece.label,
                f"one value of {name} for {_show(stamp)}",
                f"that time twice with different values ({old[at]:.6g} and {new[at]:.6g}; "
                f"{int(wrong.sum())} cells differ)",
                "take the wrong one of the two steps or files out of the archive",
            )
        chosen = (old_ranks < rank) & ~np.isnan(new) | np.isnan(old)
    else:
        chosen = np.ones(new.shape, bool)
    old[chosen] = new[chosen]
    old_ranks[chosen] = np.maximum(old_ranks[chosen], rank)


def _check_range(piece: Piece, name: str, block: np.ndarray) -> None:
    variable = ERA5_LAND[name]
    with np.errstate(invalid="ignore"):
        outside = (block < variable.minimum) | (block > variable.maximum)
    if outside.any():
        found = block[outside]
        raise complaint(
            piece.label,
            f"{name} in {variable.units}, within {variable.minimum:g} to {variable.maximum:g}",
            f"{found.size} values outside, such as {found[0]:.6g}",
            "check its unit (percent, Celsius, hPa or mm are not converted) and download it again from the CDS",
        )


def _check_complete(
    values: np.ndarray, ranks: np.ndarray, stamps: np.ndarray, grid: Grid, name: str, files: str
) -> None:
    """Refuse missing cells, missing steps, steps without any value, and months without any value."""
    request = f"request {ERA5_LAND[name].request}"
    covered = ranks.any(axis=0)
    if not covered.any():
        raise complaint(
            files,
            f"{name} at {_show(stamps[0])} to {_show(stamps[-1])}, inside {_box(grid.lat, grid.lon)}",
            "no value of that period and box",
            f"{request} for this month and box",
        )
    if not covered.all():
        lost = np.argwhere(~covered)
        (south, west), (north, east) = lost.max(axis=0), lost.min(axis=0)
        raise complaint(
            files,
            f"{name} on all {grid.size} nodes of {_box(grid.lat, grid.lon)}",
            f"{len(lost)} missing cells, within {_box(grid.lat[north : south + 1], grid.lon[east : west + 1])}",
            f"{request} for the whole box, or make the region smaller",
        )
    partial = ~ranks.all(axis=(1, 2))
    if partial.any():
        raise complaint(
            files,
            f"{name} at all {stamps.size} 3-hourly steps",
            f"{int(partial.sum())} missing steps: {_some(stamps[partial])}",
            f"{request} for these times",
        )
    empty = ~np.isfinite(values).any(axis=(1, 2))
    if empty.all():
        raise complaint(
            files,
            f"{name} on land",
            "NaN in every cell and step of the month",
            "move the region to land (ERA5-Land is missing over sea), or download the month again",
        )
    if empty.any():
        raise complaint(
            files,
            f"{name} with values at every step",
            f"{int(empty.sum())} steps that hold only NaN: {_some(stamps[empty])}",
            f"{request} for these times again",
        )


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


def _nodes(fine: Grid) -> dict[str, tuple[str, np.ndarray, str]]:
    """Coordinates of the fine nodes: name to (dimension, values, unit)."""
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
    """Write one float32 variable; whole months of small tiles are one chunk each."""
    chunks = [size if dim == "time" else min(size, 64) for dim, size in zip(dims, values.shape, strict=True)]
    variable = file.createVariable(
        name, "f4", dims, zlib=True, complevel=1, shuffle=True, chunksizes=chunks, fill_value=np.float32(np.nan)
    )
    if "y" in dims:
        variable.coordinates = "lat lon"
    variable.setncatts(attrs)
    variable[:] = values.astype("f4", copy=False)


def _labels(pieces: Sequence[Piece], name: str) -> str:
    labels = [piece.label for piece in pieces if name in piece.variables]
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def _box(lat: np.ndarray, lon: np.ndarray) -> str:
    return f"{lat[-1]:g} to {lat[0]:g} N, {lon[0]:g} to {lon[-1]:g} E"


def _show(stamp: np.datetime64) -> str:
    return f"{pd.Timestamp(stamp):%Y-%m-%d %H:%M}"


def _some(stamps: np.ndarray, limit: int = 4) -> str:
    text = ", ".join(_show(stamp) for stamp in stamps[:limit])
    return text + (f", ... {_show(stamps[-1])}" if stamps.size > limit else "")
