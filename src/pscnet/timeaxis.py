"""When: the 3-hourly axis, months, overpass times and splits by whole blocks of time with buffers.

All times are UTC, ``datetime64[ns]``; months are strings ``YYYY-MM``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

#: Hours between two stamps of the product, and stamps a day.
STEP_HOURS = 3
STEPS_PER_DAY = 24 // STEP_HOURS

#: Farthest that a retrieval lies from its stamp.
HALF_STEP = np.timedelta64(30 * STEP_HOURS, "m").astype("m8[ns]")

#: Names of the parts of a split, in the order in which "auto" lays them out.
PARTS = ("train", "validation", "test")

#: Shares of the period that "auto" gives to train, validation and test.
AUTO_SHARES = (1 / 2, 1 / 6, 1 / 3)

#: Fewest whole months from which "auto" splits by month; shorter periods are split by day.
AUTO_BY_MONTH = 6


class TimeError(ValueError):
    """A period, month or split that cannot be used."""


def is_month(text: str) -> bool:
    """Whether ``text`` is a month as this project writes it, ``YYYY-MM``."""
    return re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text) is not None


def months(start: str, end: str) -> list[str]:
    """All months from ``start`` to ``end``, both included.

    Raises
    ------
    TimeError
        When either is no month, or ``end`` comes before ``start``.
    """
    if not (is_month(start) and is_month(end)):
        raise TimeError(f"period {start!r} to {end!r}: expected months such as 2016-01")
    first, last = pd.Period(start, "M"), pd.Period(end, "M")
    if last < first:
        raise TimeError(f"period {start} to {end}: the end lies before the start")
    return [str(period) for period in pd.period_range(first, last, freq="M")]


def neighbour(month: str, offset: int) -> str:
    """The month ``offset`` months after ``month`` (negative: before)."""
    return str(pd.Period(month, "M") + offset)


def month_bounds(month: str) -> tuple[np.datetime64, np.datetime64]:
    """First instant of the month and of the next month."""
    start = np.datetime64(month, "ns")
    return start, np.datetime64(neighbour(month, 1), "ns")


def month_stamps(month: str) -> np.ndarray:
    """The month's 3-hourly stamps 00, 03, ..., 21 UTC, shape (8 x days,)."""
    start, end = month_bounds(month)
    return np.arange(start, end, np.timedelta64(STEP_HOURS, "h"))


def month_days(month: str) -> list[str]:
    """The month's days as ``YYYY-MM-DD``."""
    start, end = month_bounds(month)
    return [str(day) for day in np.arange(start.astype("M8[D]"), end.astype("M8[D]"))]


def nearest_stamp(times: np.ndarray) -> np.ndarray:
    """The 3-hourly stamp nearest to each time, at most 1.5 h away; halves go to the later stamp. NaT stays NaT."""
    times = np.asarray(times, "M8[ns]")
    step = np.timedelta64(STEP_HOURS, "h").astype("m8[ns]")
    valid = ~np.isnat(times)
    whole = np.where(valid, times, np.datetime64(0, "ns")).astype("i8")
    stamps = ((whole + step.astype("i8") // 2) // step.astype("i8")) * step.astype("i8")
    return np.where(valid, stamps.astype("M8[ns]"), np.datetime64("NaT"))


@dataclass(frozen=True)
class Block:
    """A half-open block of time [start, end)."""

    start: np.datetime64
    end: np.datetime64

    def holds(self, times: np.ndarray) -> np.ndarray:
        """Which of ``times`` lie in the block (bool, same shape)."""
        return (times >= self.start) & (times < self.end)


@dataclass(frozen=True)
class Split:
    """Blocks of time of each part, and the buffer kept between samples of different parts.

    A training sample may see retrievals up to one window away on both sides. Samples nearer than
    ``buffer_days`` to a block of a part that is touched later (validation, then test) are therefore left out, so
    that no training or validation sample sees a test retrieval, and no training sample a validation one. A retrieval
    belongs to its nearest stamp, so those of a block begin up to half a step before it; the buffer counts from there.
    """

    blocks: Mapping[str, tuple[Block, ...]]
    buffer_days: float

    def part_of_blocks(self, part: str, times: np.ndarray) -> np.ndarray:
        """Which times lie in the blocks of ``part``, buffers included (bool)."""
        times = np.asarray(times, "M8[ns]")
        inside = np.zeros(times.shape, bool)
        for block in self.blocks[part]:
            inside |= block.holds(times)
        return inside

    def usable(self, part: str, times: np.ndarray) -> np.ndarray:
        """Which times may be samples of ``part``: in its blocks and a buffer away from every later part (bool)."""
        times = np.asarray(times, "M8[ns]")
        inside = self.part_of_blocks(part, times)
        buffer = np.timedelta64(round(self.buffer_days * 86400), "s").astype("m8[ns]")
        for later in PARTS[PARTS.index(part) + 1 :]:
            for block in self.blocks[later]:
                inside &= ~((times >= block.start - HALF_STEP - buffer) & (times < block.end + buffer))
        return inside

    def months(self, part: str) -> list[str]:
        """The months that the blocks of ``part`` touch."""
        found: set[str] = set()
        for block in self.blocks[part]:
            last = block.end - np.timedelta64(1, "ns")
            found.update(months(str(block.start)[:7], str(last)[:7]))
        return sorted(found)

    def usable_days(self, part: str) -> float:
        """Days of ``part`` that remain after the buffers are taken out."""
        return sum(
            float(self.usable(part, np.arange(block.start, block.end, np.timedelta64(3, "h"))).sum()) / STEPS_PER_DAY
            for block in self.blocks[part]
        )

    def describe(self) -> dict[str, list[list[str]]]:
        """JSON-ready: part to list of [start, end) in ISO form."""
        return {part: [[str(b.start)[:16], str(b.end)[:16]] for b in self.blocks[part]] for part in PARTS}

    @classmethod
    def from_description(cls, blocks: Mapping[str, Sequence[Sequence[str]]], buffer_days: float) -> Split:
        """The inverse of :meth:`describe`."""
        return cls(
            {
                part: tuple(Block(np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in blocks[part])
                for part in PARTS
            },
            buffer_days,
        )


def parse_block(text: str) -> Block:
    """A block from a month or a day (``YYYY-MM``, ``YYYY-MM-DD``) or a range of them (``2016-05/2016-07``).

    Both ends of a range are included.

    Raises
    ------
    TimeError
        For anything else, and for a range that ends before it starts.
    """
    ends = text.split("/")
    try:
        if len(ends) > 2:
            raise ValueError("a range has two ends")
        bounds = [_bounds(end) for end in ends]
    except ValueError as error:
        raise TimeError(
            f"split entry {text!r}: expected a month (2016-05), months (2016-05/2016-07) "
            "or days (2016-05-01/2016-05-20)"
        ) from error
    block = Block(bounds[0][0], bounds[-1][1])
    if block.end <= block.start:
        raise TimeError(f"split entry {text!r}: the end lies before the start")
    return block


def _bounds(text: str) -> tuple[np.datetime64, np.datetime64]:
    """First instant of a month or day, and of the next one."""
    if is_month(text):
        return month_bounds(text)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(text)
    day = np.datetime64(text, "D")
    return day.astype("M8[ns]"), (day + 1).astype("M8[ns]")


def make_split(split: str | Mapping[str, Sequence[str]], period: tuple[str, str], buffer_days: float) -> Split:
    """Resolve the ``split`` of the configuration.

    Parameters
    ----------
    split : "auto" or mapping of part to months or day ranges
    period : (first month, last month)
    buffer_days : float

    Raises
    ------
    TimeError
        When blocks overlap, leave the period, or nothing usable remains after the buffers.
    """
    start, end = month_bounds(period[0])[0], month_bounds(period[1])[1]
    if split == "auto":
        blocks = _auto_blocks(period)
    else:
        blocks = {part: tuple(parse_block(entry) for entry in split[part]) for part in PARTS}
    labelled = [(part, block) for part in PARTS for block in blocks[part]]
    for part, block in labelled:
        if block.start < start or block.end > end:
            raise TimeError(
                f"split.{part}: {_show(block)} lies outside the period {period[0]} to {period[1]}; "
                "change the entry, lengthen the period, or set split: auto"
            )
    for (part, block), (other, rival) in combinations(labelled, 2):
        if block.start < rival.end and rival.start < block.end:
            raise TimeError(f"split.{part} {_show(block)} overlaps split.{other} {_show(rival)}: take it out of one")
    made = Split(blocks, buffer_days)
    for part in PARTS:
        if not blocks[part]:
            raise TimeError(f"split.{part} is empty: give it at least one month or day, or set split: auto")
        days = made.usable_days(part)
        if days < 1:
            raise TimeError(
                f"split.{part}: {days:.1f} days remain after the buffer of {buffer_days:g} days to the later parts; "
                f"{_remedy(blocks, buffer_days)}"
            )
    return made


def _remedy(blocks: Mapping[str, tuple[Block, ...]], buffer_days: float) -> str:
    """What to type when a buffer leaves nothing: the longest whole buffer that leaves a day to every part."""
    for days in range(int(np.ceil(buffer_days)) - 1, 0, -1):
        shorter = Split(blocks, days)
        if all(shorter.usable_days(part) >= 1 for part in PARTS):
            return (
                "lengthen the period or the part's blocks, or set samples.window_days and samples.buffer_days to "
                f"{days} or less"
            )
    return "lengthen the period or the part's blocks"


def _auto_blocks(period: tuple[str, str]) -> dict[str, tuple[Block, ...]]:
    """Train, validation, test in this order: by whole months where the period has enough, else by whole days."""
    names = months(*period)
    if len(names) >= AUTO_BY_MONTH:
        edges = [month_bounds(name)[0] for name in names] + [month_bounds(names[-1])[1]]
    else:
        first, last = month_bounds(names[0])[0], month_bounds(names[-1])[1]
        edges = list(np.arange(first, last + np.timedelta64(1, "D"), np.timedelta64(1, "D")))
    count = len(edges) - 1
    test = max(1, round(count * AUTO_SHARES[2]))
    validation = max(1, round(count * AUTO_SHARES[1]))
    cuts = (0, count - test - validation, count - test, count)
    return {part: (Block(edges[a], edges[b]),) for part, a, b in zip(PARTS, cuts[:-1], cuts[1:], strict=True)}


def _show(block: Block) -> str:
    last = block.end - np.timedelta64(1, "D")
    return f"{str(block.start)[:10]} to {str(last)[:10]}"
