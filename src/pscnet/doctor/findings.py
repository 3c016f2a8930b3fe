"""What a check found: one line in words, and whether a run can start with it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "attention", "missing"]

#: Columns of the state and of the topic, before the words.
_STATE, _TOPIC = 11, 20


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes
    ----------
    state : {"ok", "attention", "missing"}
        Only what is ``missing`` keeps a run from starting.
    topic : str
        What was looked at, in a word or two.
    text : str
        What was found, and where it is not well what to do.
    """

    state: State
    topic: str
    text: str

    def line(self) -> str:
        """The finding as one line; line breaks within it become spaces."""
        return f"{self.state:<{_STATE}}{self.topic:<{_TOPIC}}{' '.join(self.text.split())}"


def ok(topic: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", topic, text)


def attention(topic: str, text: str) -> Finding:
    """A run can start, but a person should know."""
    return Finding("attention", topic, text)


def missing(topic: str, text: str) -> Finding:
    """A run cannot start, or would fail later."""
    return Finding("missing", topic, text)


def can_start(findings: Iterable[Finding]) -> bool:
    """Whether nothing is missing."""
    return all(finding.state != "missing" for finding in findings)


def conclusion(findings: Sequence[Finding]) -> str:
    """The last sentence of the report."""
    count = {state: sum(finding.state == state for finding in findings) for state in ("attention", "missing")}
    if count["missing"]:
        things = "thing is" if count["missing"] == 1 else "things are"
        return f"A run cannot start: {count['missing']} {things} missing."
    if count["attention"]:
        return f"A run can start; {count['attention']} to look at."
    return "A run can start."


def gigabytes(size: float) -> str:
    """A size in words, in decimal units as disks and providers count."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.{0 if size >= 10 * factor else 1}f} {unit}"
    return f"{max(size, 0) / 1e3:.0f} kB"


def duration(low: float, high: float) -> str:
    """A rough range of hours in words."""
    if high < 1:
        return "less than an hour"
    if high <= 48:
        return f"{max(low, 1):.0f} to {high:.0f} hours" if low >= 1 else f"up to {high:.0f} hours"
    return f"{low:.0f} hours to {high / 24:.0f} days" if low < 48 else f"{low / 24:.0f} to {high / 24:.0f} days"


def short(text: str, width: int = 160) -> str:
    """The beginning of what a service or a library said, on one line."""
    return textwrap.shorten(text, width, placeholder=" ...")
