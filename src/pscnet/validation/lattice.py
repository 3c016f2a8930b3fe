"""Which cells stand for the region where series of all of them would not fit into memory: a regular lattice."""

from __future__ import annotations

import numpy as np


def lattice(region: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (cell,) of the region's cells on every k-th row and column, with the smallest k that fits.

    Neighbours have nearly the same series, so that a lattice loses little of what a mean over cells knows.

    Parameters
    ----------
    region : bool (lat, lon)
    most : int
        Most cells.
    """
    step = 1
    while np.count_nonzero(region[step // 2 :: step, step // 2 :: step]) > most:
        step += 1
    kept = np.zeros_like(region)
    kept[step // 2 :: step, step // 2 :: step] = region[step // 2 :: step, step // 2 :: step]
    # A small or ragged region may lie between the lattice's cells.
    rows, columns = np.nonzero(kept if kept.any() else region)
    return rows[:most], columns[:most]


def said(cells: int, total: int) -> str:
    """A sentence on how many cells take part."""
    if cells == total:
        return f"All {total} cells of the region take part."
    return f"{cells} of {total} cells of the region take part, on a regular lattice."
