"""Tiles, and the grids of one tile as operators of the net.

A tile is a core of fine cells, of which the answer is kept, inside a wider window. The window is laid out in whole
36 km cells and reaches as far beyond the core as an input can matter (``Net.reach_coarse_cells``), so that tiled and
untiled answers are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
import torch

from pscnet.grids import WEIGHTS, Grid
from pscnet.nets.frame import Geometry
from pscnet.nets.operators import GridOperator, MaskedMean
from pscnet.weights import Weights, read_weights

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """One tile; all slices are rows and columns.

    Attributes
    ----------
    core : on the fine grid, what is kept
    window : on the fine grid, what the net sees
    inner : the core within the window
    coarse : the window on the coarse grid
    """

    core: Box
    window: Box
    inner: Box
    coarse: Box

    @property
    def middle(self) -> Box:
        """The window on the middle grid."""
        rows, cols = self.coarse
        return slice(2 * rows.start, 2 * rows.stop), slice(2 * cols.start, 2 * cols.stop)


def make_tiles(fine: Grid, coarse: Grid, size: int | None, reach: int) -> list[Tile]:
    """Tiles that cover the fine grid.

    Parameters
    ----------
    fine, coarse : Grid
    size : int or None
        Fine cells a side of a core; None for one tile.
    reach : int
        Overlap [coarse cells].
    """
    rows = _axis_tiles(-fine.lat_edges, -coarse.lat_edges, size, reach)
    cols = _axis_tiles(fine.lon_edges, coarse.lon_edges, size, reach)
    tiles = []
    for core_y, window_y, coarse_y in rows:
        for core_x, window_x, coarse_x in cols:
            inner = (
                slice(core_y.start - window_y.start, core_y.stop - window_y.start),
                slice(core_x.start - window_x.start, core_x.stop - window_x.start),
            )
            tiles.append(Tile((core_y, core_x), (window_y, window_x), inner, (coarse_y, coarse_x)))
    return tiles


def cell_share(fine: Grid, coarse: Grid) -> float:
    """Largest side of a fine cell over the smallest side of a coarse cell."""
    shares = (
        np.abs(np.diff(fine.lat_edges)).max() / np.abs(np.diff(coarse.lat_edges)).min(),
        np.abs(np.diff(fine.lon_edges)).max() / np.abs(np.diff(coarse.lon_edges)).min(),
    )
    return float(max(shares))


def _axis_tiles(fine: np.ndarray, coarse: np.ndarray, size: int | None, reach: int) -> list[tuple[slice, slice, slice]]:
    """Core, window and coarse slices along one axis whose edges ascend."""
    count, cells = fine.size - 1, coarse.size - 1
    size = size or count
    made = []
    for start in range(0, count, size):
        stop = min(start + size, count)
        low = int(np.searchsorted(coarse, fine[start], side="right")) - 1 - reach
        high = int(np.searchsorted(coarse, fine[stop], side="left")) + reach
        low, high = max(low, 0), min(high, cells)
        first = 0 if low == 0 else int(np.searchsorted(fine, coarse[low], side="right")) - 1
        last = count if high == cells else int(np.searchsorted(fine, coarse[high], side="left"))
        made.append((slice(start, stop), slice(max(first, 0), min(last, count)), slice(low, high)))
    return made


def read_weight_set(paths: Mapping[str, str | Path]) -> dict[str, Weights]:
    """Read the weight files of :data:`pscnet.grids.WEIGHTS`.

    Raises
    ------
    KeyError
        When one is not given.
    """
    return {name: read_weights(paths[name]) for name in WEIGHTS}


def owners(conservative: Weights) -> np.ndarray:
    """Flat index of the coarse cell that covers most of each fine cell, shape (fine cells,)."""
    columns = conservative.matrix.tocsc()
    best = np.zeros(columns.shape[1], "i8")
    for cell in range(columns.shape[1]):
        part = slice(columns.indptr[cell], columns.indptr[cell + 1])
        if part.stop > part.start:
            best[cell] = columns.indices[part][np.argmax(columns.data[part])]
    return best


def make_geometry(
    weights: Mapping[str, Weights], land: np.ndarray, tile: Tile, device: torch.device | str = "cpu"
) -> Geometry:
    """The operators of one tile.

    Parameters
    ----------
    weights : the weight set of the whole region
    land : ndarray (lat, lon) bool
        Land of the whole region.
    tile : Tile
    device : torch.device
    """
    boxes = {"fine": tile.window, "middle": tile.middle, "coarse": tile.coarse}

    def operator(name: str) -> GridOperator:
        source, target = name.split("_to_")
        whole = weights[name]
        matrix = whole.matrix[_cells(boxes[target], whole.dst_shape)][:, _cells(boxes[source], whole.src_shape)]
        return GridOperator(matrix, _shape(boxes[source]), _shape(boxes[target]), device)

    land_here = torch.from_numpy(land[tile.window].astype("f4")).to(device)
    to_coarse = MaskedMean(operator("fine_to_coarse"), land_here)
    to_middle = MaskedMean(operator("fine_to_middle"), land_here)
    middle_to_coarse = MaskedMean(operator("middle_to_coarse"), to_middle.covered)
    fine = weights["fine_to_coarse"].src
    area = fine.areas[tile.window] / fine.areas.max()
    return Geometry(
        to_coarse=to_coarse,
        to_middle=to_middle,
        middle_to_coarse=middle_to_coarse,
        coarse_to_middle=operator("coarse_to_middle"),
        middle_to_fine=operator("middle_to_fine"),
        coarse_to_fine=operator("coarse_to_fine"),
        fine_weight=(torch.from_numpy(area.astype("f4")).to(device) * land_here)[None, None],
        middle_weight=to_middle.covered[None, None],
        coarse_weight=to_coarse.covered[None, None],
    )


def make_pyramid(weight: np.ndarray, device: torch.device | str = "cpu") -> Geometry:
    """The operators of one grid and its 2 x 2 and 4 x 4 blocks, counted from its north-west corner.

    This is the geometry of nets that know nothing of footprints: on the coarse grid, where they are trained, and on the
    fine grid, where they are applied.

    Parameters
    ----------
    weight : ndarray (y, x)
        Relative area, 0 where there is no land.
    device : torch.device
    """
    shapes = {factor: tuple(-(-size // factor) for size in weight.shape) for factor in (1, 2, 4)}

    def means(fine: int, coarse: int) -> GridOperator:
        rows, cols = (_blocks(n, m, coarse // fine) for n, m in zip(shapes[fine], shapes[coarse], strict=True))
        return GridOperator(scipy.sparse.kron(rows, cols).tocsr(), shapes[fine], shapes[coarse], device)

    def interpolation(coarse: int, fine: int) -> GridOperator:
        rows, cols = (_linear(n, m, coarse // fine) for n, m in zip(shapes[coarse], shapes[fine], strict=True))
        return GridOperator(scipy.sparse.kron(rows, cols).tocsr(), shapes[coarse], shapes[fine], device)

    base = torch.from_numpy(weight.astype("f4")).to(device)
    land = (base > 0).float()
    to_coarse, to_middle = MaskedMean(means(1, 4), land), MaskedMean(means(1, 2), land)
    return Geometry(
        to_coarse=to_coarse,
        to_middle=to_middle,
        middle_to_coarse=MaskedMean(means(2, 4), to_middle.covered),
        coarse_to_middle=interpolation(4, 2),
        middle_to_fine=interpolation(2, 1),
        coarse_to_fine=interpolation(4, 1),
        fine_weight=base[None, None],
        middle_weight=to_middle.covered[None, None],
        coarse_weight=to_coarse.covered[None, None],
    )


def _blocks(count: int, blocks: int, size: int) -> scipy.sparse.csr_matrix:
    """Means of ``count`` cells over ``blocks`` blocks of ``size``, the last one perhaps shorter."""
    rows = np.arange(count) // size
    share = 1.0 / np.bincount(rows, minlength=blocks)[rows]
    return scipy.sparse.csr_matrix((share, (rows, np.arange(count))), shape=(blocks, count))


def _linear(count: int, targets: int, factor: int) -> scipy.sparse.csr_matrix:
    """Linear interpolation from ``count`` cells to ``targets`` cells of a ``factor``-th of their size."""
    position = np.clip((np.arange(targets) + 0.5) / factor - 0.5, 0, count - 1)
    low = np.minimum(position.astype(int), max(count - 2, 0))
    high = np.minimum(low + 1, count - 1)
    share = position - low
    rows = np.tile(np.arange(targets), 2)
    weights = np.concatenate([1 - share, share])
    return scipy.sparse.csr_matrix((weights, (rows, np.concatenate([low, high]))), shape=(targets, count))


def _shape(box: Box) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _cells(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """Flat indices of a box of a grid, row-major."""
    return np.arange(shape[0] * shape[1]).reshape(shape)[box].ravel()
