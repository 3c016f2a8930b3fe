"""What is said under a figure, and to whom cannot see it."""

from __future__ import annotations

from typing import NamedTuple


class Caption(NamedTuple):
    """Words of a figure: its title, and an alternative text that says what can be seen."""

    title: str
    alt: str
