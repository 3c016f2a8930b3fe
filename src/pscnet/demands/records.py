"""What did jobs take? The records of time and memory that runs leave, beside what is asked for, and a fit to them."""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pscnet.config import Config
from pscnet.demands import DEMANDS, PASSES, SIZES, Demand, Demands, Extent
from pscnet.variants import ENSEMBLE


@dataclass(frozen=True)
class Record:
    """One job.

    Attributes
    ----------
    rule, run : str
    wildcards : mapping
        Those that decide on the size of a job.
    seconds, mb : float
        Time [s] and largest resident memory [MB] of the job.
    """

    rule: str
    run: str
    seconds: float
    mb: float
    wildcards: Mapping[str, str] = field(default_factory=dict)


def read_records(folders: Iterable[str | Path], runs: Iterable[str]) -> list[Record]:
    """The records below ``runtimes/`` folders, those of the given runs alone.

    A record without a number, which a job too short to be measured leaves, is left out.
    """
    names = sorted(runs, key=len, reverse=True)
    records = []
    for path in sorted(path for folder in folders for path in Path(folder).glob("*/*.tsv")):
        run = next((name for name in names if path.stem == name or path.stem.startswith(f"{name}_")), None)
        if run is None:
            continue
        rest = path.stem[len(run) + 1 :]
        words = rest.split("_")
        wildcards = {"part": "validation"} if words[0] == "validation" else {}
        wildcards |= {"members": ENSEMBLE} if words[-1] == ENSEMBLE else {}
        with open(path, encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                try:
                    records.append(Record(path.parent.name, run, float(row["s"]), float(row["max_rss"]), wildcards))
                except (TypeError, ValueError):
                    continue
    return records


@dataclass(frozen=True)
class Line:
    """One line of the table: the jobs of a rule in one run.

    Attributes
    ----------
    jobs : int
    seconds, longest : float
        Median and longest time [s].
    mb : float
        Largest memory [MB].
    asked_mb, asked_minutes : int or None
        None for a rule without an entry, and for the time of rules that wait for others.
    """

    rule: str
    run: str
    jobs: int
    seconds: float
    longest: float
    mb: float
    asked_mb: int | None
    asked_minutes: int | None


def asked(demands: Demands, rule: str) -> tuple[int | None, int | None]:
    """Memory [MB] and minutes of a rule's first attempt; None as in :class:`Line`."""
    known = DEMANDS.get(rule)
    return (
        demands.memory(rule)({}, 1) if known else None,
        demands.minutes(rule)({}, 1) if known and known.seconds else None,
    )


def table(records: Sequence[Record], configs: Mapping[str, Config]) -> list[Line]:
    """The records by rule and run."""
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.rule, record.run].append(record)
    demands = {run: Demands(config) for run, config in configs.items()}
    lines = []
    for (rule, run), found in sorted(groups.items()):
        seconds = [record.seconds for record in found]
        lines.append(
            Line(
                rule,
                run,
                len(found),
                statistics.median(seconds),
                max(seconds),
                max(record.mb for record in found),
                *asked(demands[run], rule),
            )
        )
    return lines


def suggest(records: Sequence[Record], configs: Mapping[str, Config]) -> dict[str, Demand]:
    """Entries of :data:`pscnet.demands.DEMANDS` at or above the largest memory and the median time of each size.

    The slope is that of least squares where runs of several sizes were recorded, and never below zero; the constant is
    raised until no size lies above. From runs of one size alone the slope is kept and the constant found. The median is
    taken of times since a machine that does other work as well makes single jobs many times slower.
    """
    extents = {run: Extent.of(config) for run, config in configs.items()}
    found = {}
    for rule in sorted({record.rule for record in records}):
        known = DEMANDS.get(rule, Demand("predictors, month", (100.0, 0.0), (1.0, 0.0)))
        jobs = [record for record in records if record.rule == rule]
        sizes = np.array([SIZES[known.size](extents[job.run], job.wildcards) for job in jobs])
        passes = np.array([PASSES[known.passes](extents[job.run], job.wildcards) for job in jobs])
        mb = _above(sizes, np.array([job.mb for job in jobs]), known.mb[1], np.max)
        seconds = None
        if known.seconds is not None:
            seconds = _above(sizes * passes, np.array([job.seconds for job in jobs]), known.seconds[1], np.median)
        found[rule] = Demand(known.size, mb, seconds, known.passes)
    return found


def _above(x: np.ndarray, y: np.ndarray, slope: float, of: Callable) -> tuple[float, float]:
    """Constant and slope of a line that lies at or above ``of`` the points at each x, rounded up to two digits."""
    places = np.unique(x)
    largest = np.array([of(y[x == place]) for place in places])
    if places.size > 1:
        slope = max(float(np.polyfit(places, largest, 1)[0]), 0.0)
    slope = _rounded_up(slope)
    return _rounded_up(max(float((largest - slope * places).max()), 0.0)), slope


def _rounded_up(value: float) -> float:
    if value <= 0:
        return 0.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(round(value / step, 6)) * step:.2g}")
