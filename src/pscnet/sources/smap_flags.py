"""Which SMAP retrievals to accept: the two masks from ``retrieval_qual_flag`` and ``surface_flag`` (SPL3SMP V009)."""

from __future__ import annotations

import numpy as np

#: Fill value of flag words.
NO_FLAG = 65534

#: Bits of ``retrieval_qual_flag``; a set bit is bad.
NOT_RECOMMENDED, SKIPPED, FAILED = 1, 2, 4

#: Bits of ``surface_flag``.
SURFACE_BITS: dict[str, int] = {
    "static_water": 1 << 0,
    "radar_water": 1 << 1,
    "coastal_proximity": 1 << 2,
    "urban": 1 << 3,
    "precipitation": 1 << 4,
    "snow_or_ice": 1 << 5,
    "permanent_snow_or_ice": 1 << 6,
    "frozen_ground_radiometer": 1 << 7,
    "frozen_ground_model": 1 << 8,
    "mountainous_terrain": 1 << 9,
    "dense_vegetation": 1 << 10,
    "nadir_region": 1 << 11,
}

#: Surfaces for which the lenient mask, too, accepts no retrieval: what is seen there is no liquid water in soil.
#: Terrain, vegetation, towns, coasts and rain make a retrieval worse, and the lenient noise allows for that.
LENIENT_REFUSES = (
    "static_water",
    "radar_water",
    "snow_or_ice",
    "permanent_snow_or_ice",
    "frozen_ground_radiometer",
    "frozen_ground_model",
)

#: Quality classes of the clean files.
RECOMMENDED, LENIENT, NONE = 0, 1, 255


def quality_class(retrieval_flag: np.ndarray, surface_flag: np.ndarray) -> np.ndarray:
    """Quality class of each retrieval.

    Parameters
    ----------
    retrieval_flag, surface_flag : ndarray of uint16
        Flag words; :data:`NO_FLAG` where there is none.

    Returns
    -------
    ndarray of uint8
        :data:`RECOMMENDED` where the provider recommends the retrieval (bit 0 clear), :data:`LENIENT` where it was
        attempted and succeeded (bits 1 and 2 clear) over a surface that :data:`LENIENT_REFUSES` does not name,
        :data:`NONE` elsewhere.
    """
    there = retrieval_flag != NO_FLAG
    refused = sum(SURFACE_BITS[name] for name in LENIENT_REFUSES)
    recommended = there & (retrieval_flag & NOT_RECOMMENDED == 0)
    lenient = (
        there & (retrieval_flag & (SKIPPED | FAILED) == 0) & (surface_flag != NO_FLAG) & (surface_flag & refused == 0)
    )
    return np.where(recommended, RECOMMENDED, np.where(lenient, LENIENT, NONE)).astype("u1")
