"""Agreement with held-out SMAP retrievals at 36 km. SMAP is what the method learns from, so this is no accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.scores import MINIMUM_RETRIEVALS, PairMoments, mean_of_cells
from pscnet.validation import ScoreError, methods_of

#: Length of the blocks that the bootstrap draws [day] (ours: longer than the memory of a storm in the top 5 cm).
BLOCK_DAYS = 5

_DRAWS = 1000


def score_pairs(
    path: str | Path, intervals: Sequence[tuple[np.datetime64, np.datetime64]] | None = None
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Score table of the held-out pairs.

    Parameters
    ----------
    path : path
        Dims ``pair``: ``time``, ``y``, ``x``, ``smap`` and one variable for each method [m3 m-3], each predicted
        without the overpass that it is compared with.
    intervals : list of [start, end), optional
        Pairs at other times are left out.

    Returns
    -------
    table : dict
        Method to score to number. All methods are scored on the pairs where every one has a value.
    counts : dict
        ``pairs`` in the file, ``in_test`` those inside the intervals, ``scored`` those with every value.
    """
    path = Path(path)
    with xr.open_dataset(path) as file:
        methods = methods_of(file.variables, path, product=True)
        pairs = own_overpass(file)
        missing = [name for name in ("time", "y", "x", "smap") if name not in pairs.variables]
        if missing or pairs["smap"].dims != ("pair",):
            raise ScoreError(
                f"{path}: expected time, y, x and smap on the dimension pair; missing: {', '.join(missing) or 'none'}, "
                f"found dimensions {dict(pairs.sizes)}; rerun verify_heldout"
            )
        times = pairs["time"].values.astype("M8[ns]")
        cell = np.unique(np.stack([pairs["y"].values, pairs["x"].values]), axis=1, return_inverse=True)[1].ravel()
        values = {name: pairs[name].values.astype(float) for name in ("smap", *methods)}
    keep = in_intervals(times, intervals)
    counts = {"pairs": int(times.size), "in_test": int(keep.sum())}
    keep &= np.logical_and.reduce([np.isfinite(field) for field in values.values()])
    counts["scored"] = int(keep.sum())
    if not keep.any():
        raise ScoreError(
            f"{path}: no pair to score: {counts['pairs']} pairs, {counts['in_test']} on test days, none with a value "
            "of every method; check the split and verify_heldout"
        )
    smap = values.pop("smap")[keep]
    cell, times = cell[keep], times[keep]
    table = {method: _row(field[keep], smap, cell, times) for method, field in values.items()}
    return table, counts


def own_overpass(pairs: xr.Dataset) -> xr.Dataset:
    """The pairs that were predicted without their own overpass alone: no longer gap was hidden around it."""
    if "hidden_days" not in pairs.variables:
        return pairs
    return pairs.isel(pair=np.flatnonzero(pairs["hidden_days"].values == 0))


def in_intervals(times: np.ndarray, intervals: Sequence[tuple[np.datetime64, np.datetime64]] | None) -> np.ndarray:
    """Which times lie in one of the half-open intervals; all where none are given."""
    if intervals is None:
        return np.ones(np.shape(times), dtype=bool)
    inside = np.zeros(np.shape(times), dtype=bool)
    for start, end in intervals:
        inside |= (times >= start) & (times < end)
    return inside


def _row(field: np.ndarray, smap: np.ndarray, cell: np.ndarray, times: np.ndarray) -> dict[str, float]:
    by_cell = grouped(field, smap, cell)
    total = by_cell.pooled()
    cell_r, cells = mean_of_cells(by_cell.r(MINIMUM_RETRIEVALS))
    low, high = block_interval(field, smap, times)
    return {
        "pooled_r": float(total.r()),
        "pooled_r_low": low,
        "pooled_r_high": high,
        "cell_r": cell_r,
        "ubrmsd": float(total.ubrmsd()),
        "cell_ubrmsd": mean_of_cells(by_cell.ubrmsd(MINIMUM_RETRIEVALS))[0],
        "bias": float(total.bias()),
        "rmsd": float(total.rmsd()),
        "std_ratio": float(total.std_ratio()),
        "n": int(total.n),
        "cells": cells,
    }


def grouped(x: np.ndarray, y: np.ndarray, group: np.ndarray, size: int | None = None) -> PairMoments:
    """Moments (groups,) of the finite pairs (n,) of each group (n,), numbered from 0; ``size`` groups, or as found."""
    size = int(group.max()) + 1 if size is None else size
    n = np.bincount(group, minlength=size).astype(float)
    divisor = np.maximum(n, 1.0)
    mean_x = np.bincount(group, x, size) / divisor
    mean_y = np.bincount(group, y, size) / divisor
    dx, dy = x - mean_x[group], y - mean_y[group]
    sums = (np.bincount(group, product, size) for product in (dx * dx, dy * dy, dx * dy))
    return PairMoments(n, mean_x, mean_y, *sums)


def block_interval(x: np.ndarray, y: np.ndarray, times: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of pooled R from whole blocks of days drawn with replacement; NaN with fewer than 5 blocks.

    Neighbouring days are not independent, so days are drawn in blocks (Kunsch 1989, Annals of Statistics 17, 1217).
    """
    days = times.astype("M8[D]").astype(int)
    _, block = np.unique((days - days.min()) // BLOCK_DAYS, return_inverse=True)
    parts = grouped(x, y, block)
    if parts.n.size < 5:
        return float("nan"), float("nan")
    draws = np.random.default_rng(seed).integers(0, parts.n.size, (parts.n.size, _DRAWS))
    drawn = PairMoments(
        *(array[draws] for array in (parts.n, parts.mean_x, parts.mean_y)),
        *(array[draws] for array in (parts.sxx, parts.syy, parts.sxy)),
    )
    r = drawn.pooled(axis=0).r()
    low, high = np.nanpercentile(r, [2.5, 97.5]) if np.isfinite(r).any() else (np.nan, np.nan)
    return float(low), float(high)
