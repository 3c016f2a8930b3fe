"""Blocks of time hold every test day once, in whatever order the configuration names the months."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pscnet.grids import ease2_grid, regular_grid
from pscnet.timeaxis import make_split
from pscnet.validation import BLOCK_DAYS, block_length, blocks_in_words
from pscnet.validation.blocks import BlockScores, block_starts, joined
from pscnet.validation.resampling import block_of
from pscnet.validation.station_scores import Rules, score

PERIOD = ("2016-05", "2017-12")
STEP = np.timedelta64(3, "h")


def intervals_of(test: list[str]) -> list[list[str]]:
    """What the rules hand to the validations."""
    split = {"train": ["2016-08/2017-03"], "validation": ["2017-04"], "test": test}
    return make_split(split, PERIOD, 8).describe()["test"]


def stamps(intervals: list[list[str]]) -> np.ndarray:
    """All stamps inside, in the order of time."""
    parts = [np.arange(np.datetime64(a, "ns"), np.datetime64(b, "ns"), STEP) for a, b in intervals]
    return np.sort(np.concatenate(parts))


@pytest.mark.parametrize("test", [["2017-08", "2017-07", "2016-06"], ["2017-08", "2017-06"], ["2017-08/2017-09"]])
def test_every_day_is_in_a_block_of_the_right_length(test):
    intervals = intervals_of(test)
    starts = block_starts(intervals)
    assert (np.diff(starts) > np.timedelta64(0)).all()
    number = block_of(stamps(intervals), starts, intervals)
    days = np.bincount(number, minlength=starts.size) / 8
    assert number.min() == 0 and days.sum() * 8 == number.size
    assert days.min() >= BLOCK_DAYS / 2 and days.max() <= 1.5 * BLOCK_DAYS


def test_the_order_of_the_months_does_not_matter():
    expected = block_starts(intervals_of(["2016-06", "2017-07", "2017-08"]))
    for order in itertools.permutations(["2016-06", "2017-07", "2017-08"]):
        np.testing.assert_array_equal(block_starts(intervals_of(list(order))), expected)


def test_entries_that_adjoin_are_one_stretch():
    days = [f"2017-07-{day:02d}/2017-07-{day + 1:02d}" for day in range(1, 31, 2)]
    assert joined(intervals_of(days)) == joined([("2017-07-01", "2017-07-31")])
    np.testing.assert_array_equal(block_starts(intervals_of(days)), block_starts([("2017-07-01", "2017-07-31")]))
    assert block_starts(intervals_of(["2017-07", "2017-08"])).size == 8, "62 days: seven of 8 and one of 6"
    # The control: a day between them keeps them apart.
    apart = joined(intervals_of(["2017-07-01/2017-07-09", "2017-07-11/2017-07-20"]))
    assert len(apart) == 2


@pytest.mark.parametrize("test", [["2017-08", "2017-07", "2016-06"], ["2017-08", "2017-06"]])
def test_a_station_is_scored_alike_in_any_order(test):
    rng = np.random.default_rng(0)
    results = []
    for order in (test, sorted(test)):
        intervals = intervals_of(order)
        times = stamps(intervals)
        rng = np.random.default_rng(0)
        y = 0.2 + 0.05 * rng.standard_normal(times.size)
        rules = Rules(40, 1 / 8, 35.0, block_starts(intervals), 200)
        results.append(score(y + 0.02 * rng.standard_normal(times.size), y, times, rules))
    assert results[0].intervals["r"] == results[1].intervals["r"]
    low, high = results[0].intervals["r"]
    assert low < results[0].values["r"] < high


def test_moments_of_a_comparison_are_alike_in_any_order():
    fine, coarse = regular_grid((31.5, 33.5), (90.0, 93.0)), ease2_grid((31.5, 33.5), (90.0, 93.0))
    found = []
    for order in (["2017-08-01/2017-08-10", "2017-07-20/2017-07-31"], ["2017-07-20/2017-08-10"]):
        made = BlockScores(fine, coarse, intervals_of(order))
        rng = np.random.default_rng(1)
        for time in np.arange(np.datetime64("2017-07-18", "ns"), np.datetime64("2017-08-12", "ns"), 4 * STEP):
            truth = 0.2 + 0.05 * rng.standard_normal((1, *fine.shape))
            made.update(np.array([time]), truth, truth + 0.01)
        found.append(made.moments())
    assert [len(blocks.starts) for blocks in found] == [3, 3]
    counts = [blocks.parts.levels.n.sum(axis=1) for blocks in found]
    np.testing.assert_array_equal(counts[0], counts[1])
    assert counts[0].sum() == 44 * fine.size and (counts[0] > 0).all()


def test_blocks_are_no_shorter_than_the_window():
    assert [block_length(days) for days in (3, 8, 8.5, 12)] == [8, 8, 9, 12]
    assert blocks_in_words(9) == (
        "blocks of 9 days (what is left of a stretch of test days is one too, from 4.5 days on)"
    )
