"""Which season is it: the quarters that climatology uses, by the initials of their months on either hemisphere."""

from __future__ import annotations

import numpy as np

#: Seasons in the order of the year.
SEASONS = ("MAM", "JJA", "SON", "DJF")


def season_of(times: np.ndarray) -> np.ndarray:
    """Position in :data:`SEASONS` of each time (datetime64, any shape)."""
    month = np.asarray(times).astype("M8[M]").astype(int) % 12
    return (month - 2) % 12 // 3


def seasons_of(times: np.ndarray) -> list[tuple[int, str]]:
    """Position and name of the seasons that ``times`` touch, in the order of the year."""
    found = set(np.unique(season_of(times)).tolist())
    return [(number, name) for number, name in enumerate(SEASONS) if number in found]
