"""Is every month there that is to be scored? What is missing is named, with the command that makes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pscnet.timeaxis import months
from pscnet.validation import ScoreError


def require_months(
    paths: Sequence[str | Path], intervals: Sequence[tuple[object, object]], what: str, rule: str
) -> None:
    """Refuse to score where a file of a month is absent.

    Parameters
    ----------
    paths : paths that carry their month, YYYY-MM, in their names
    intervals : list of (start, end), half-open
        The days that are scored: each month that they touch needs a file.
    what, rule : str
        The files for people, and the rule that makes one.

    Raises
    ------
    ScoreError
    """
    named = {month_of(path): Path(path) for path in paths}
    for month in scored_months(intervals):
        if month in named and named[month].is_file():
            continue
        path = named.get(month)
        found = f"no file {path}" if path else f"only {', '.join(sorted(filter(None, named))) or 'none'}"
        target = path or next((str(p).replace(m, month) for m, p in named.items() if m), f"a target of {rule}")
        raise ScoreError(
            f"{what} of {month}: expected one file for each month of the scored days; found {found}; make it with the "
            f"rule {rule}: snakemake --cores 1 {target} (with the --configfile of the run)"
        )


def scored_months(intervals: Sequence[tuple[object, object]]) -> list[str]:
    """The months (YYYY-MM) that half-open intervals touch, in order."""
    touched: set[str] = set()
    for start, end in intervals:
        last = np.datetime64(end, "ns") - np.timedelta64(1, "ns")
        touched.update(months(str(np.datetime64(start, "ns"))[:7], str(last)[:7]))
    return sorted(touched)


def month_of(path: str | Path) -> str | None:
    """The month that a file's name carries last; None where it has none."""
    found = re.findall(r"\d{4}-(?:0[1-9]|1[0-2])(?!\d)", Path(path).name)
    return found[-1] if found else None
