"""Months, stamps and splits; that no window of an earlier part reaches a later one."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pscnet.timeaxis import (
    PARTS,
    Block,
    Split,
    TimeError,
    make_split,
    month_bounds,
    month_days,
    month_stamps,
    months,
    nearest_stamp,
    neighbour,
    parse_block,
)

DAY = np.timedelta64(24 * 3600 * 10**9, "ns")
HOUR = np.timedelta64(3600 * 10**9, "ns")


def at(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


def blocks_of(**parts: str) -> dict[str, list[str]]:
    return {part: [parts[part]] for part in PARTS}


# Months and stamps ----------------------------------------------------------------------------------------------------


def test_months_include_both_ends_and_cross_years():
    assert months("2016-11", "2017-02") == ["2016-11", "2016-12", "2017-01", "2017-02"]
    assert months("2016-02", "2016-02") == ["2016-02"]


@pytest.mark.parametrize("bad", ["2016", "2016-13", "2016-1", "2016-00", "2016-01-01", "May 2016", ""])
def test_what_is_no_month_is_refused(bad):
    with pytest.raises(TimeError, match="expected months such as 2016-01"):
        months(bad, "2018-12")
    with pytest.raises(TimeError, match="expected months such as 2016-01"):
        months("2016-01", bad)


def test_a_period_that_ends_before_it_starts_is_refused():
    with pytest.raises(TimeError, match="period 2016-02 to 2016-01: the end lies before the start"):
        months("2016-02", "2016-01")


def test_neighbours_cross_years():
    assert neighbour("2016-12", 1) == "2017-01"
    assert neighbour("2016-01", -1) == "2015-12"


@pytest.mark.parametrize(("month", "days"), [("2016-02", 29), ("2017-02", 28), ("2016-12", 31), ("2016-04", 30)])
def test_a_month_has_eight_stamps_a_day(month, days):
    stamps = month_stamps(month)
    assert stamps.dtype == "M8[ns]" and len(stamps) == 8 * days
    assert stamps[0] == at(f"{month}-01T00") and stamps[-1] == at(f"{month}-{days}T21")
    assert (np.diff(stamps) == 3 * HOUR).all()
    assert month_days(month) == [f"{month}-{day:02d}" for day in range(1, days + 1)]
    assert month_bounds(month) == (stamps[0], stamps[-1] + 3 * HOUR)


@pytest.mark.parametrize(
    ("time", "stamp"),
    [
        ("2016-05-01T00:00", "2016-05-01T00"),
        ("2016-05-01T01:29:59.999999999", "2016-05-01T00"),
        ("2016-05-01T01:30", "2016-05-01T03"),  # a half goes to the later stamp
        ("2016-05-01T04:29:59", "2016-05-01T03"),
        ("2016-05-31T22:30", "2016-06-01T00"),  # and so into the next day and month
        ("1969-12-31T23:00", "1970-01-01T00"),  # before the epoch too
        ("1969-12-31T22:29", "1969-12-31T21"),
    ],
)
def test_nearest_stamp(time, stamp):
    assert nearest_stamp(np.array([at(time)]))[0] == at(stamp)


def test_no_time_has_no_stamp_and_shapes_stay():
    times = np.array([["NaT", "2016-05-01T02:00"], ["2016-05-01T01:00", "NaT"]], "M8[ns]")
    found = nearest_stamp(times)
    assert found.shape == times.shape and found.dtype == "M8[ns]"
    np.testing.assert_array_equal(np.isnat(found), np.isnat(times))
    assert found[0, 1] == at("2016-05-01T03")


@given(st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)))
def test_the_nearest_stamp_is_a_stamp_at_most_half_a_step_away(time):
    stamp = nearest_stamp(np.array([time], "M8[ns]"))[0]
    offset = np.datetime64(time, "ns") - stamp
    assert -1.5 * 3600e9 <= offset.astype("i8") < 1.5 * 3600e9
    assert (stamp - stamp.astype("M8[D]")) % (3 * HOUR) == 0


# Blocks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2016-05", "2016-05-01", "2016-06-01"),
        ("2016-12", "2016-12-01", "2017-01-01"),
        ("2016-05-03", "2016-05-03", "2016-05-04"),
        ("2016-05-03/2016-05-20", "2016-05-03", "2016-05-21"),
        ("2016-05/2016-07", "2016-05-01", "2016-08-01"),  # the last month is whole
        ("2016-05-20/2016-06", "2016-05-20", "2016-07-01"),
    ],
)
def test_entries_of_a_split(text, start, end):
    assert parse_block(text) == Block(at(start), at(end))


@pytest.mark.parametrize(
    "text",
    ["2016", "2016-5", "2016-13", "2016-02-30", "2016-05/", "2016-05-01/x/y", "a/b", "", "2016-05-01T12/2016-06"],
)
def test_entries_that_cannot_be_read_are_named(text):
    with pytest.raises(TimeError, match=r"split entry '.*': expected a month \(2016-05\)") as caught:
        parse_block(text)
    assert repr(text) in str(caught.value)


def test_a_range_that_ends_before_it_starts_is_refused():
    with pytest.raises(TimeError, match="'2016-05-20/2016-05-01': the end lies before the start"):
        parse_block("2016-05-20/2016-05-01")


# Splits and their buffers ---------------------------------------------------------------------------------------------


def test_the_buffer_lies_before_and_after_later_parts_only():
    split = make_split(
        {"train": ["2016-01", "2016-03"], "validation": ["2016-02"], "test": ["2016-04"]}, ("2016-01", "2016-04"), 8
    )
    stamps = np.concatenate([month_stamps(month) for month in months("2016-01", "2016-04")])
    train = stamps[split.usable("train", stamps)]
    assert train[0] == at("2016-01-01") and train[train < at("2016-02")][-1] == at("2016-01-23T21")
    assert train[train > at("2016-02")][0] == at("2016-03-09") and train[-1] == at("2016-03-23T21")
    assert split.usable("validation", stamps).sum() == 8 * 29, "the test block is more than a buffer away"
    assert split.usable("test", stamps).sum() == 8 * 30, "a test block loses nothing: it is touched last"
    assert split.usable_days("train") == 23 + 15
    assert split.months("train") == ["2016-01", "2016-03"]


def test_times_that_are_missing_are_nobodys():
    split = make_split("auto", ("2016-01", "2016-12"), 8)
    nothing = np.array(["NaT"], "M8[ns]")
    assert not any(split.usable(part, nothing)[0] or split.part_of_blocks(part, nothing)[0] for part in PARTS)


@st.composite
def splits(draw, buffer_days):
    """Blocks of whole days in any order, with gaps or without, labelled at random; each part at least once."""
    lengths = draw(st.lists(st.integers(1, 30), min_size=3, max_size=9))
    labels = [*PARTS, *draw(st.lists(st.sampled_from(PARTS), min_size=len(lengths) - 3, max_size=len(lengths) - 3))]
    labels = draw(st.permutations(labels))
    gaps = draw(st.lists(st.integers(0, 12), min_size=len(lengths), max_size=len(lengths)))
    blocks: dict[str, list[Block]] = {part: [] for part in PARTS}
    day = at("2016-01-01")
    for length, label, gap in zip(lengths, labels, gaps, strict=True):
        day = day + gap * DAY
        blocks[label].append(Block(day, day + length * DAY))
        day = day + length * DAY
    return Split({part: tuple(blocks[part]) for part in PARTS}, draw(buffer_days))


def seen_of_later_parts(split: Split, window_days: float) -> int:
    """How many retrievals whose stamp lies in a later part's block fall into a window of an earlier part's sample.

    The retrievals stand at the awkward times: around the edges of every block, to the second.
    """
    edges = [edge for part in PARTS for block in split.blocks[part] for edge in (block.start, block.end)]
    stamps = np.arange(min(edges), max(edges), 3 * HOUR)
    near = [edge + np.timedelta64(second, "s") for edge in edges for second in (-5401, -5400, -5399, -1, 0, 1, 5399)]
    times = np.unique(np.array(near, "M8[ns]"))
    window = np.timedelta64(round(window_days * 86400), "s")
    count = 0
    for position, part in enumerate(PARTS):
        samples = stamps[split.usable(part, stamps)]
        for later in PARTS[position + 1 :]:
            theirs = times[split.part_of_blocks(later, nearest_stamp(times))]
            count += int((np.abs(samples[:, None] - theirs[None]) <= window).sum())
    return count


@settings(deadline=None, max_examples=60)
@given(st.data(), st.floats(0.1, 12).map(lambda days: round(days, 2)))
def test_no_window_reaches_a_later_part_when_the_buffer_is_no_shorter(data, window):
    split = data.draw(splits(st.floats(window, 14)))
    assert seen_of_later_parts(split, window) == 0


@pytest.mark.parametrize(("buffer", "reaches"), [(8, False), (8.1, False), (7.8, True), (0, True)])
def test_a_shorter_buffer_lets_windows_through(buffer, reaches):
    """The control; a window that is no multiple of the step is among the cases that must hold."""
    split = make_split(blocks_of(train="2016-01", validation="2016-02", test="2016-03"), ("2016-01", "2016-03"), buffer)
    assert (seen_of_later_parts(split, max(buffer, 8)) > 0) is reaches


def test_description_and_back():
    split = make_split("auto", ("2016-01", "2016-12"), 8)
    assert Split.from_description(split.describe(), 8) == split


# Auto -----------------------------------------------------------------------------------------------------------------


def test_auto_takes_whole_months_of_three_years():
    split = make_split("auto", ("2016-01", "2018-12"), 8)
    assert {part: len(split.months(part)) for part in PARTS} == {"train": 18, "validation": 6, "test": 12}
    assert split.describe() == {
        "train": [["2016-01-01T00:00", "2017-07-01T00:00"]],
        "validation": [["2017-07-01T00:00", "2018-01-01T00:00"]],
        "test": [["2018-01-01T00:00", "2019-01-01T00:00"]],
    }


def test_auto_takes_whole_days_of_one_month():
    split = make_split("auto", ("2016-05", "2016-05"), 2)
    assert split.describe() == {
        "train": [["2016-05-01T00:00", "2016-05-17T00:00"]],
        "validation": [["2016-05-17T00:00", "2016-05-22T00:00"]],
        "test": [["2016-05-22T00:00", "2016-06-01T00:00"]],
    }
    assert [split.usable_days(part) for part in PARTS] == [14, 3, 10]


def test_one_month_is_too_short_for_the_default_buffer_and_the_message_says_what_works():
    with pytest.raises(TimeError) as caught:
        make_split("auto", ("2016-05", "2016-05"), 8)
    assert "split.validation: 0.0 days remain after the buffer of 8 days" in str(caught.value)
    assert "samples.window_days and samples.buffer_days to 4 or less" in str(caught.value)
    make_split("auto", ("2016-05", "2016-05"), 4)
    with pytest.raises(TimeError):
        make_split("auto", ("2016-05", "2016-05"), 5)


@given(st.integers(1, 60), st.integers(0, 11))
def test_auto_covers_the_period_in_order(length, offset):
    first = neighbour("2015-01", offset)
    period = (first, neighbour(first, length - 1))
    split = make_split("auto", period, 1)
    edges = [(split.blocks[part][0].start, split.blocks[part][0].end) for part in PARTS]
    assert edges[0][0] == month_bounds(period[0])[0] and edges[2][1] == month_bounds(period[1])[1]
    assert edges[0][1] == edges[1][0] and edges[1][1] == edges[2][0]


# Messages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            blocks_of(train="2016-01-01/2016-02-05", validation="2016-02", test="2016-03"),
            "split.train 2016-01-01 to 2016-02-05 overlaps split.validation 2016-02-01 to 2016-02-29: take it",
        ),
        (
            blocks_of(train="2016-01", validation="2016-02", test="2016-05"),
            "split.test: 2016-05-01 to 2016-05-31 lies outside the period 2016-01 to 2016-04; change the entry",
        ),
        (
            blocks_of(train="2015-12-31/2016-01-20", validation="2016-02", test="2016-03"),
            "split.train: 2015-12-31 to 2016-01-20 lies outside the period",
        ),
        (
            {"train": ["2016-01", "2016-01-31"], "validation": ["2016-02"], "test": ["2016-03"]},
            "split.train 2016-01-01 to 2016-01-31 overlaps split.train 2016-01-31 to 2016-01-31",
        ),
        (
            {"train": [], "validation": ["2016-02"], "test": ["2016-03"]},
            "split.train is empty: give it at least one month or day, or set split: auto",
        ),
        (
            blocks_of(train="2016-01-25/2016-01-31", validation="2016-02", test="2016-03"),
            "split.train: 0.0 days remain after the buffer of 8 days to the later parts; lengthen the period or the "
            "part's blocks, or set samples.window_days and samples.buffer_days to 6 or less",
        ),
        (
            blocks_of(train="2016-01-31", validation="2016-02", test="2016-03"),
            "split.train: 0.0 days remain after the buffer of 8 days to the later parts; lengthen the period or the "
            "part's blocks",
        ),
    ],
)
def test_messages_say_what_to_type(split, message):
    with pytest.raises(TimeError) as caught:
        make_split(split, ("2016-01", "2016-04"), 8)
    assert str(caught.value).startswith(message)


def test_days_of_a_leap_year_add_up():
    days = (datetime(2017, 1, 1) - datetime(2016, 1, 1)) / timedelta(days=1)
    assert sum(len(month_days(month)) for month in months("2016-01", "2016-12")) == days == 366
