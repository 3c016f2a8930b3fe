"""Is the product good: agreement with held-out SMAP, and on the twin scores against the truth.

Only the rules named ``verify_*`` use this room, because it may read the truth.
"""

from __future__ import annotations

import math
from pathlib import Path


class ScoreError(ValueError):
    """Files that cannot be scored; the message says which, what was expected, what was found and what to do."""


#: The product's name among the methods of a table, whichever net made it.
PRODUCT = "pscnet"

#: Interpolated SMAP, the reference that the targets are measured against.
INTERPOLATED = "smap_interpolated"

#: Kriged SMAP, where the run makes it.
KRIGED = "smap_kriged"

#: Optimal interpolation, where the run makes it.
OPTIMAL = "optimal_interpolation"

#: Methods of every table, in its order, with their names for people.
METHODS: dict[str, str] = {
    PRODUCT: "product",
    "era5_land": "ERA5-Land, raw",
    "era5_land_rescaled": "ERA5-Land, rescaled to SMAP",
    INTERPOLATED: "SMAP, interpolated",
    KRIGED: "SMAP, kriged",
    OPTIMAL: "optimal interpolation",
}

#: References that must be there; the others are scored where they are.
REQUIRED = ("era5_land", "era5_land_rescaled", INTERPOLATED)

#: Length of the blocks that bootstraps draw [day] (ours: as long as the usual window of retrievals on either side, and
#: short enough for 15 blocks in a test season).
BLOCK_DAYS = 8


def block_length(window_days: float) -> int:
    """Length of blocks [day] where samples see retrievals ``window_days`` [day] away: no shorter than that."""
    return max(BLOCK_DAYS, math.ceil(window_days))


def blocks_in_words(days: int) -> str:
    """What blocks of ``days`` are, for people; see :func:`pscnet.validation.blocks.block_starts`."""
    return f"blocks of {days} days (what is left of a stretch of test days is one too, from {days / 2:g} days on)"


def methods_of(names: object, path: Path, product: bool) -> list[str]:
    """The methods among variable ``names`` of a file, in the order of the tables.

    Raises
    ------
    ScoreError
        When a required one is missing.
    """
    present = set(map(str, names))  # type: ignore[call-overload]
    wanted = ((PRODUCT,) if product else ()) + REQUIRED
    missing = [name for name in wanted if name not in present]
    if missing:
        raise ScoreError(
            f"{path}: expected the variables {', '.join(wanted)}; {', '.join(missing)} missing, found "
            f"{', '.join(sorted(present)) or 'none'}; rerun the rule that made the file"
        )
    return [name for name in METHODS if name in present and (product or name != PRODUCT)]
