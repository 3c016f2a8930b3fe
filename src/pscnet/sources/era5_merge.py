"""One ERA5-Land variable, put together from all files that hold parts of it, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pscnet.grids import Grid
from pscnet.sources import complaint
from pscnet.sources.era5_files import Piece, place
from pscnet.variables import ERA5_LAND

#: Relative difference that two files may show for the same value (GRIB and NetCDF packing).
SAME = 1e-5


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
    _check_complete(values[optional:], ranks[optional:], stamps[optional:], grid, name, labels(pieces, name))
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


def labels(pieces: Sequence[Piece], name: str) -> str:
    """The files that hold a variable, for messages."""
    names = [piece.label for piece in pieces if name in piece.variables]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _box(lat: np.ndarray, lon: np.ndarray) -> str:
    return f"{lat[-1]:g} to {lat[0]:g} N, {lon[0]:g} to {lon[-1]:g} E"


def _show(stamp: np.datetime64) -> str:
    return f"{pd.Timestamp(stamp):%Y-%m-%d %H:%M}"


def _some(stamps: np.ndarray, limit: int = 4) -> str:
    text = ", ".join(_show(stamp) for stamp in stamps[:limit])
    return text + (f", ... {_show(stamps[-1])}" if stamps.size > limit else "")
