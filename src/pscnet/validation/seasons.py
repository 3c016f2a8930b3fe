"""Which season is it: the quarters that climatology uses."""

from __future__ import annotations

import numpy as np

#: Seasons of the northern hemisphere by the initials of their months, with their names for people.
SEASONS = {"MAM": "spring (MAM)", "JJA": "summer (JJA)", "SON": "autumn (SON)", "DJF": "winter (DJF)"}


def season_of(times: np.ndarray) -> np.ndarray:
    """Position in :data:`SEASONS` of each time (datetime64, any shape)."""
    month = np.asarray(times).astype("M8[M]").astype(int) % 12
    return (month - 2) % 12 // 3


def seasons_of(times: np.ndarray) -> list[tuple[int, str, str]]:
    """Position, key and name of the seasons that ``times`` touch, in the order of the year."""
    found = set(np.unique(season_of(times)).tolist())
    return [(number, key, name) for number, (key, name) in enumerate(SEASONS.items()) if number in found]
