"""The day of soil moisture: amplitude and phase of its first harmonic, by season; and how well changes are followed.

A series less its centred 24-hour mean (nine stamps, the outer two with half weight, which a straight line passes
unchanged) is the departure within the day. On each complete day its first harmonic is c = (2/8) sum x exp(i w t), with
t in local solar time (UTC + longitude / 15), so that |c| is the amplitude and the angle of c the time of the maximum.
c is averaged over days before amplitude and phase are taken: what has no fixed place in the day cancels. Circular mean
and standard deviation sqrt(-2 ln R) of phases: Mardia and Jupp 2000, Directional Statistics, chapter 2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pscnet.scores import MINIMUM_STEPS, PairMoments, mean_of_cells
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation.document import Column, Row
from pscnet.validation.resampling import blocks_with_pairs, draw_cell_means, draw_weights, interval_of

#: Fewest complete days of a cell's mean harmonic (ours).
FEWEST_DAYS = 10

#: Fewest changes of daily means of a cell's score (ours: two weeks).
FEWEST_CHANGES = 14

#: Smallest amplitude [m3 m-3] whose phase means something (ours; the product is packed to 0.0001).
LEAST_AMPLITUDE = 0.0005

DIURNAL = [
    Column("amplitude", "amplitude, mean of cells", "m3 m-3", 4),
    Column("amplitude_bias", "bias of the amplitude", "m3 m-3", 4, "zero"),
    Column("amplitude_r", "R of the amplitude over cells", "", 3, "high"),
    Column("phase", "time of the maximum, local solar", "h", 1),
    Column("phase_bias", "time of the maximum less the truth's", "h", 1, "zero"),
    Column("phase_spread", "circular standard deviation of that", "h", 1, "low"),
    Column("cells", "cells", "", 0),
]

CHANGES = [
    Column("r_3h", "R of 3-hour changes", "", 3, "high"),
    Column("std_3h", "standard deviation of 3-hour changes", "m3 m-3", 4),
    Column("r_day", "R of changes of daily means", "", 3, "high"),
    Column("std_day", "standard deviation of changes of daily means", "m3 m-3", 4),
    Column("n_3h", "3-hour changes", "", 0),
    Column("n_day", "daily changes", "", 0),
]


def within_day(field: np.ndarray) -> np.ndarray:
    """Departures (time, cell) from the centred 24-hour mean; NaN where one of its nine stamps is missing."""
    half = STEPS_PER_DAY // 2
    values = np.asarray(field, dtype=float)
    weights = np.full(STEPS_PER_DAY + 1, 1.0 / STEPS_PER_DAY)
    weights[[0, -1]] *= 0.5
    result = np.full(values.shape, np.nan)
    inner = len(values) - STEPS_PER_DAY
    if inner > 0:
        mean = sum(weight * values[shift : shift + inner] for shift, weight in enumerate(weights))
        result[half : half + inner] = values[half : half + inner] - mean
    return result


def daily_harmonics(field: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """First harmonic (day, cell), complex, of each UTC day; NaN where the day is not complete.

    Parameters
    ----------
    field : ndarray (time, cell)
        From 00 UTC on without gap.
    lon : ndarray (cell,) [degree east]
    """
    days = len(field) // STEPS_PER_DAY
    parts = within_day(field)[: days * STEPS_PER_DAY].reshape(days, STEPS_PER_DAY, -1)
    turn = 2j * np.pi / 24.0
    utc = np.exp(turn * STEP_HOURS * np.arange(STEPS_PER_DAY))
    return 2.0 / STEPS_PER_DAY * np.einsum("dhc,h->dc", parts, utc) * np.exp(turn * np.asarray(lon) / 15.0)


def mean_cycle(field: np.ndarray, days: np.ndarray) -> list[float]:
    """Mean departure within the day (8,) over cells and the complete ones of the ``days`` (bool); NaN without any."""
    parts = within_day(field)[: days.size * STEPS_PER_DAY].reshape(days.size, STEPS_PER_DAY, -1)[days]
    complete = np.isfinite(parts).all(axis=1, keepdims=True)
    n = complete.sum()
    return [float(v) for v in np.where(complete, parts, 0.0).sum(axis=(0, 2)) / n] if n else [float("nan")] * 8


class Harmonics:
    """Harmonics of several fields by block of time, on the days that all of them have complete.

    Parameters
    ----------
    fields : mapping of name to complex (day, cell)
    block : int (day,)
        Block of each day; -1: no block.
    chosen : bool (day,)
        The days of the season.
    """

    def __init__(self, fields: dict[str, np.ndarray], block: np.ndarray, chosen: np.ndarray):
        known = np.logical_and.reduce([np.isfinite(values) for values in fields.values()])
        used = [number for number in np.unique(block[block >= 0]) if known[chosen & (block == number)].any()]
        rows = [chosen & (block == number) for number in used]
        cells = known.shape[1]
        self.blocks = len(used)
        self.n = np.array([known[row].sum(axis=0) for row in rows]).reshape(-1, cells)
        self.sums = {
            name: np.array([np.where(known[row], values[row], 0.0).sum(axis=0) for row in rows]).reshape(-1, cells)
            for name, values in fields.items()
        }

    def means(self, name: str, weights: np.ndarray | None = None) -> np.ndarray:
        """Mean harmonic (draw, cell) of the blocks taken ``weights`` (draw, block) times; NaN of too few days."""
        weights = np.ones((1, self.blocks)) if weights is None else weights
        n = weights @ self.n
        total = weights.astype(np.float32) @ self.sums[name].astype(np.complex64)
        return np.where(n >= FEWEST_DAYS, total / np.maximum(n, 1.0), np.nan)


def harmonic_row(
    label: str, group: str, parts: Harmonics, name: str, truth: str | None, draws: int, picked: int = 100
) -> Row:
    """Amplitude and phase of one field, against the truth's where there is one.

    Parameters
    ----------
    name, truth : str
        Fields of ``parts``.
    picked : int
        Draws at a time, so that they stay small.
    """
    values = {key: float(found[0]) for key, found in _scores(parts, name, truth, None).items()}
    weights = draw_weights(max(parts.blocks, 1), draws, 0)[:, : parts.blocks]
    chunks = [_scores(parts, name, truth, weights[first : first + picked]) for first in range(0, draws, picked)]
    drawn = {key: np.concatenate([chunk[key] for chunk in chunks]) for key in values}
    # About the value, so that a phase near midnight has no jump.
    drawn["phase"] = values["phase"] + around(drawn["phase"] - values["phase"])
    intervals = {key: interval_of(values[key], drawn[key], parts.blocks) for key in values}
    cells = int(np.isfinite(parts.means(name)).sum()) if parts.blocks else 0
    return Row(label, values | {"cells": cells}, group, intervals)


def _scores(parts: Harmonics, name: str, truth: str | None, weights: np.ndarray | None) -> dict[str, np.ndarray]:
    """Scores (draw,) over cells."""
    draws = 1 if weights is None else len(weights)
    nothing = np.full(draws, np.nan)
    keys = ("amplitude", "phase", "amplitude_bias", "amplitude_r", "phase_bias", "phase_spread")
    if not parts.blocks:
        return dict.fromkeys(keys, nothing)
    ours = parts.means(name, weights)
    clear = np.where(np.abs(ours) >= LEAST_AMPLITUDE, ours, np.nan)
    made = {"amplitude": _mean(np.abs(ours)), "phase": np.mod(direction(clear)[0], 24.0)}
    if truth is None or truth == name:
        return made | dict.fromkeys(keys[2:], nothing)
    theirs = parts.means(truth, weights)
    late, spread = direction(np.where(np.abs(theirs) >= LEAST_AMPLITUDE, clear * np.conj(theirs), np.nan))
    return made | {
        "amplitude_bias": _mean(np.abs(ours) - np.abs(theirs)),
        "amplitude_r": PairMoments.of(np.abs(ours).T, np.abs(theirs).T).r(FEWEST_DAYS),
        "phase_bias": late,
        "phase_spread": spread,
    }


def direction(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Circular mean [h], between -12 and 12, and circular standard deviation [h] of the angles (draw, cell).

    Every number counts once, however long; 0 and NaN do not.
    """
    size = np.abs(z)
    good = np.isfinite(size) & (size > 0)
    n = good.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(good, z / size, 0.0).sum(axis=1) / np.maximum(n, 1)
        length = np.minimum(np.abs(unit), 1.0)
        spread = np.sqrt(-2.0 * np.log(length)) * 12.0 / np.pi
    middle = np.angle(unit) * 12.0 / np.pi
    return np.where(n > 0, middle, np.nan), np.where(n > 0, spread, np.nan)


def around(hours: np.ndarray) -> np.ndarray:
    """The same time difference [h] between -12 and 12."""
    return np.mod(hours + 12.0, 24.0) - 12.0


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean (draw,) over the finite cells (draw, cell)."""
    n = np.isfinite(values).sum(axis=1)
    return np.where(n > 0, np.nansum(values, axis=1) / np.maximum(n, 1), np.nan)


def change_row(
    label: str, field: np.ndarray, truth: np.ndarray | None, block: np.ndarray, blocks: int, weights: np.ndarray
) -> Row:
    """R of changes against the truth's, and their size.

    Parameters
    ----------
    field, truth : ndarray (time, cell)
        From 00 UTC on without gap; without ``truth`` there is no R.
    block : int (time,)
        Block of each step, -1 outside.
    weights : ndarray (draw, block)
    """
    days = len(field) // STEPS_PER_DAY
    values: dict[str, float | int | None] = {}
    intervals = {}
    other = field if truth is None else truth
    for key, x, y, number, fewest in (
        ("3h", field, other, block, MINIMUM_STEPS),
        ("day", daily_means(field), daily_means(other), block[: days * STEPS_PER_DAY : STEPS_PER_DAY], FEWEST_CHANGES),
    ):
        moments = block_moments(np.diff(x, axis=0), np.diff(y, axis=0), number[1:], blocks)
        whole = moments.pooled(axis=0)
        enough = whole.n >= fewest
        values[f"n_{key}"] = int(whole.n.sum())
        values[f"std_{key}"] = mean_of_cells(np.where(enough, np.sqrt(whole.sxx / np.maximum(whole.n, 1)), np.nan))[0]
        if truth is not None:
            values[f"r_{key}"] = mean_of_cells(whole.r(fewest))[0]
            drawn = draw_cell_means(moments, weights, fewest)[0]
            intervals[f"r_{key}"] = interval_of(values[f"r_{key}"], drawn, blocks_with_pairs(moments))
    return Row(label, values, intervals=intervals)


def daily_means(field: np.ndarray) -> np.ndarray:
    """Means (day, cell) of complete UTC days of ``field`` (time, cell)."""
    days = len(field) // STEPS_PER_DAY
    return np.asarray(field, dtype=float)[: days * STEPS_PER_DAY].reshape(days, STEPS_PER_DAY, -1).mean(axis=1)


def block_moments(x: np.ndarray, y: np.ndarray, block: np.ndarray | Sequence[int], blocks: int) -> PairMoments:
    """Moments (block, ...) of the pairs of each block."""
    return PairMoments.stack([PairMoments.of(x[block == number], y[block == number]) for number in range(blocks)])
