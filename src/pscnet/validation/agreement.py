"""How well do methods agree with SMAP: scores of a group of pairs, with intervals that respect autocorrelation.

==============  ====================================================================================================
score           what it is
==============  ====================================================================================================
``r``           R over all cells and overpasses of the group together
``cell_r``      mean over cells of R in time, of cells with at least :data:`~pscnet.scores.MINIMUM_RETRIEVALS` pairs
``anomaly_r``   R of departures from 35-day means (:meth:`pscnet.validation.pairs.Pairs.anomalies`), pooled
``ubrmsd``,     pooled [m3 m-3]
``rmsd``,
``bias``
``kge``         Kling-Gupta efficiency, pooled (Gupta et al. 2009)
==============  ====================================================================================================

Intervals (95 %) come from whole blocks of days, drawn with replacement and alike for all methods, so that differences
are paired (Kunsch 1989, Annals of Statistics 17, 1217); see :func:`pscnet.validation.resampling.interval_of`. Blocks
are as long as the window of retrievals or longer, but for the last of a stretch of test days
(:func:`pscnet.validation.blocks.block_starts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pscnet.scores import MINIMUM_RETRIEVALS, PairMoments, mean_of_cells
from pscnet.validation import METHODS, PRODUCT, block_length
from pscnet.validation.blocks import block_starts
from pscnet.validation.document import Column, Row
from pscnet.validation.pairs import Pairs
from pscnet.validation.resampling import draw_cell_means, draw_pooled, draw_weights, interval_of
from pscnet.validation.satellite import grouped

_UNIT = "m3 m-3"

#: Columns of a table of agreement.
COLUMNS = [
    Column("r", "R, pooled", better="high"),
    Column("cell_r", "R, mean of cells", better="high"),
    Column("anomaly_r", "anomaly R", better="high"),
    Column("ubrmsd", "ubRMSD", _UNIT, 4, "low"),
    Column("rmsd", "RMSD", _UNIT, 4, "low"),
    Column("bias", "bias", _UNIT, 4, "zero"),
    Column("kge", "KGE", better="one"),
    Column("n", "pairs", decimals=0),
    Column("cells", "cells", decimals=0),
]

#: Scores whose paired differences are told.
DIFFERENCES = ("r", "cell_r", "anomaly_r", "ubrmsd", "rmsd", "kge")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Agreement:
    """Scores of one group of pairs.

    Attributes
    ----------
    values : dict of method to dict of score to number
        ``n`` and ``cells`` (those with enough pairs) among them; NaN where a score is not defined.
    intervals : dict of method to dict of score to (low, high), 95 %
    differences : dict of method to dict of score to (value, low, high)
        Product minus that method, on the same pairs and draws.
    blocks : int
        Blocks of days with pairs.
    """

    values: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, tuple[float, float, float]]]
    blocks: int

    def rows(self, group: str = "") -> list[Row]:
        """Lines of a table with :data:`COLUMNS`."""
        return [Row(METHODS[name], dict(self.values[name]), group, self.intervals[name]) for name in self.values]

    def difference_rows(self, group: str = "") -> list[Row]:
        """Lines of the paired differences."""
        return [
            Row(
                f"product minus {METHODS[name]}",
                {score: value for score, (value, _, _) in scores.items()},
                group,
                {score: (low, high) for score, (_, low, high) in scores.items()},
            )
            for name, scores in self.differences.items()
        ]


@dataclass(frozen=True)
class Bootstrap:
    """Blocks of days, and how often they are drawn.

    Attributes
    ----------
    starts : datetime64 (block,)
    draws : int
    days : int
        Length of the blocks, see :func:`pscnet.validation.blocks.block_starts`.
    """

    starts: np.ndarray
    draws: int
    days: int

    @classmethod
    def of(cls, intervals: Sequence[tuple[object, object]], window_days: float, draws: int) -> Bootstrap:
        """Blocks in half-open intervals, no shorter than the window of retrievals."""
        days = block_length(window_days)
        return cls(block_starts(intervals, days), draws, days)

    def blocks_of(self, times: np.ndarray) -> tuple[np.ndarray, int]:
        """Block (pair,) of each time, numbered from 0 without those that hold none, and their number."""
        block = np.searchsorted(self.starts, times, side="right") - 1
        present, number = np.unique(block, return_inverse=True)
        return number, present.size

    def weights(self, blocks: int) -> np.ndarray:
        """How often each block (draw, block) is drawn."""
        return draw_weights(blocks, self.draws, 0)


def agree(
    pairs: Pairs,
    bootstrap: Bootstrap,
    departures: tuple[np.ndarray, Mapping[str, np.ndarray]],
    minimum: int = MINIMUM_RETRIEVALS,
) -> Agreement:
    """Score every method on the same pairs.

    Parameters
    ----------
    pairs : Pairs
    bootstrap : Bootstrap
    departures : what :meth:`Pairs.anomalies` gives, of the same pairs
    minimum : int
        Fewest pairs of a cell, and of the group: with fewer, no score is defined.
    """
    block, blocks = bootstrap.blocks_of(pairs.times)
    cells, cell = np.unique(pairs.cell, return_inverse=True)
    weights = bootstrap.weights(blocks) if blocks else np.zeros((bootstrap.draws, 0))
    values, drawn = {}, {}
    for name, field in pairs.fields.items():
        moments = _by_block_and_cell(field, pairs.smap, block, cell, (blocks, cells.size))
        anomaly = _by_block(departures[1][name], departures[0], block, blocks)
        values[name], drawn[name] = _scores(moments, anomaly, weights, minimum)
    intervals = {
        name: {score: interval_of(values[name][score], draws, blocks) for score, draws in scores.items()}
        for name, scores in drawn.items()
    }
    differences = {
        name: {score: _difference(values, drawn, name, score, blocks) for score in DIFFERENCES}
        for name in values
        if name != PRODUCT and PRODUCT in values
    }
    return Agreement(values, intervals, differences, blocks)


def _by_block_and_cell(
    x: np.ndarray, y: np.ndarray, block: np.ndarray, cell: np.ndarray, shape: tuple[int, int]
) -> PairMoments:
    """Moments of the shape (block, cell)."""
    made = grouped(x, y, block * shape[1] + cell, shape[0] * shape[1])
    return PairMoments(*(array.reshape(shape) for array in made.arrays()))


def _by_block(x: np.ndarray, y: np.ndarray, block: np.ndarray, blocks: int) -> PairMoments:
    good = np.isfinite(x) & np.isfinite(y)
    return grouped(x[good], y[good], block[good], blocks)


def _scores(
    moments: PairMoments, anomaly: PairMoments, weights: np.ndarray, minimum: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Values, and values of each draw (draw,), of moments (block, cell) and of those of anomalies (block,)."""
    by_block = moments.pooled(axis=1)
    whole, by_cell = by_block.pooled(), moments.pooled(axis=0)
    cell_r, cells = mean_of_cells(by_cell.r(minimum))
    values = {name: float(score) for name, score in _pooled_scores(whole, minimum).items()}
    values |= {"cell_r": cell_r, "anomaly_r": float(anomaly.pooled().r(minimum)), "n": int(whole.n), "cells": cells}
    if weights.shape[1] == 0:
        nothing = np.full(len(weights), np.nan)
        return values, dict.fromkeys((c.key for c in COLUMNS if c.decimals), nothing)
    drawn = _pooled_scores(draw_pooled(by_block, weights), minimum)
    drawn["cell_r"] = draw_cell_means(moments, weights, minimum)[0]
    drawn["anomaly_r"] = draw_pooled(anomaly, weights).r(minimum)
    return values, drawn


def _pooled_scores(moments: PairMoments, minimum: int) -> dict[str, np.ndarray]:
    return {
        "r": moments.r(minimum),
        "ubrmsd": moments.ubrmsd(minimum),
        "rmsd": moments.rmsd(minimum),
        "bias": moments.bias(minimum),
        "kge": moments.kge(minimum),
    }


def _difference(
    values: Mapping[str, Mapping[str, float]],
    drawn: Mapping[str, Mapping[str, np.ndarray]],
    name: str,
    score: str,
    blocks: int,
) -> tuple[float, float, float]:
    value = values[PRODUCT][score] - values[name][score]
    return value, *interval_of(value, drawn[PRODUCT][score] - drawn[name][score], blocks)


def ratio_interval(difference: np.ndarray, noise: np.ndarray, times: np.ndarray, bootstrap: Bootstrap) -> Interval:
    """95 % interval of :func:`pscnet.validation.leakage.innovation_ratio` by blocks of days."""
    good = np.isfinite(difference) & np.isfinite(noise) & (noise > 0)
    if not good.any():
        return float("nan"), float("nan")
    block, blocks = bootstrap.blocks_of(times[good])
    squares = (difference[good] / noise[good]) ** 2
    sums, counts = np.bincount(block, squares, blocks), np.bincount(block, minlength=blocks)
    weights = bootstrap.weights(blocks)
    return interval_of(float(squares.mean()), (weights @ sums) / np.maximum(weights @ counts, 1), blocks)


def cell_maps(pairs: Pairs, minimum: int = MINIMUM_RETRIEVALS) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
    """R, ubRMSD and bias of each cell (y, x) by method, NaN below ``minimum`` pairs, and the number of pairs."""
    size = pairs.shape[0] * pairs.shape[1]
    maps = {}
    for name, field in pairs.fields.items():
        moments = grouped(field, pairs.smap, pairs.cell, size)
        scores = {"r": moments.r(minimum), "ubrmsd": moments.ubrmsd(minimum), "bias": moments.bias(minimum)}
        maps[name] = {score: values.reshape(pairs.shape) for score, values in scores.items()}
    return maps, np.bincount(pairs.cell, minlength=size).reshape(pairs.shape)
