"""Intervals of agreement cover at their nominal rate on autocorrelated series; those of a plain bootstrap do not."""

from __future__ import annotations

import numpy as np
import pytest

from pscnet.validation.agreement import Bootstrap, agree
from pscnet.validation.pairs import Pairs
from pscnet.validation.resampling import interval_of
from tests.unit.validation.satellite_world import persistent

#: A test split of half a year with an overpass every 12 hours in each of a few cells.
DAYS, CELLS, SERIES = 184, 4, 200
FIRST = np.datetime64("2016-05-01", "ns")
TEST = [(FIRST, FIRST + np.timedelta64(DAYS, "D"))]
SIGNAL, ERROR, NOISE = 0.04, 0.03, 0.02
SCORES = ("r", "ubrmsd")

#: Lowest share of series whose interval holds the truth. Nominal is 0.95; 200 series tell it to 0.02, and two dozen
#: blocks of series that remember for days are few (see :func:`interval_of`).
TOLERATED = 0.85


def season(rng: np.random.Generator) -> Pairs:
    """Soil moisture that forgets within 3 days, a method's error within 1.5, seen with white noise; all cells alike."""
    steps = 2 * DAYS

    def common(memory: float) -> np.ndarray:
        # Weather is shared by neighbours, so that cells add little information of their own.
        return 0.8 * persistent(rng, (steps, 1), memory) + 0.6 * persistent(rng, (steps, CELLS), memory)

    truth, error = SIGNAL * common(6.0), ERROR * common(3.0)
    smap = 0.2 + truth + NOISE * rng.standard_normal(truth.shape)
    times = np.repeat(FIRST + np.arange(steps) * np.timedelta64(12, "h"), CELLS)
    cell = np.tile(np.arange(CELLS), steps)
    noise = np.full(cell.size, NOISE)
    field = {"pscnet": (0.2 + truth + error).ravel()}
    return Pairs(times, cell, (1, CELLS), smap.ravel(), noise, field, np.zeros(cell.size))


TRUE = {
    "r": SIGNAL**2 / np.sqrt((SIGNAL**2 + ERROR**2) * (SIGNAL**2 + NOISE**2)),
    "ubrmsd": np.sqrt(ERROR**2 + NOISE**2),
}


def plain_intervals(pairs: Pairs, rng: np.random.Generator, draws: int = 200) -> dict[str, tuple[float, float]]:
    """The control: pairs drawn one by one, as if each were independent of its neighbours."""
    x, y = pairs.fields["pscnet"], pairs.smap
    chosen = rng.integers(0, x.size, (draws, x.size))
    dx, dy = x[chosen] - x[chosen].mean(1, keepdims=True), y[chosen] - y[chosen].mean(1, keepdims=True)
    drawn = {
        "r": (dx * dy).sum(1) / np.sqrt((dx**2).sum(1) * (dy**2).sum(1)),
        "ubrmsd": (dx - dy).std(1),
    }
    values = {"r": np.corrcoef(x, y)[0, 1], "ubrmsd": (x - y).std()}
    return {score: interval_of(float(values[score]), drawn[score], x.size) for score in SCORES}


@pytest.fixture(scope="module")
def shares() -> dict[str, dict[str, float]]:
    """Share of made-up seasons whose interval holds the true score: by blocks of days, and pair by pair."""
    rng = np.random.default_rng(0)
    bootstrap = Bootstrap.of(TEST, 8, 300)
    held: dict[str, dict[str, list[bool]]] = {kind: {score: [] for score in SCORES} for kind in ("blocks", "plain")}
    for _ in range(SERIES):
        pairs = season(rng)
        found = {
            "blocks": agree(pairs, bootstrap, (pairs.smap, pairs.fields)).intervals["pscnet"],
            "plain": plain_intervals(pairs, rng),
        }
        for kind, intervals in found.items():
            for score in SCORES:
                low, high = intervals[score]
                held[kind][score].append(low <= TRUE[score] <= high)
    return {kind: {score: float(np.mean(inside)) for score, inside in by.items()} for kind, by in held.items()}


@pytest.mark.parametrize("score", SCORES)
def test_block_intervals_cover(shares, score):
    assert shares["blocks"][score] >= TOLERATED, shares


@pytest.mark.parametrize("score", SCORES)
def test_a_plain_bootstrap_covers_too_seldom(shares, score):
    assert shares["plain"][score] < 0.8, shares
    assert shares["plain"][score] < shares["blocks"][score] - 0.1
