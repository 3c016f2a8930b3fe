"""The kriged innovation as input of a net: optimal interpolation's increment, and how sure it is.

The increment is that of :mod:`pscnet.baselines.kriging` on the innovations against the net's own background, with the
covariance that optimal interpolation uses. A net that takes it as it is, with a residual of zero, is optimal
interpolation on that background; what the net learns is what is wrong with it (ours). In training the scored
overpass is left out of it as it is of the set of retrievals; that fewer retrievals then carry it, its standard
deviation tells.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pscnet.baselines.covariance import Covariance, Spacing
from pscnet.baselines.kriging import krige
from pscnet.samples.retrievals import Retrievals, RetrievalSet
from pscnet.sources.atomic import replacing

#: The fitted covariance that holds for innovations against rescaled ERA5-Land.
COVARIANCE = "optimal_interpolation"

#: Samples kriged together.
_STAMPS = 8


def kriging(causal: bool) -> str:
    """The name of the sample file: from retrievals of both sides, or from past ones alone."""
    return "kriged_causal" if causal else "kriged"


def kriged_channels(
    seen: RetrievalSet, covariance: Covariance, spacing: Spacing, target_std: float, wanted: np.ndarray | None = None
) -> np.ndarray:
    """Kriged innovation, standardised, and its standard deviation relative to the signal's: (answer, 2, y, x) float32.

    Parameters
    ----------
    seen : RetrievalSet
        The scored overpass already left out where one is scored.
    covariance : Covariance
    spacing : Spacing
    target_std : float [m3 m-3]
    wanted : ndarray (y, x) bool, optional
        Cells to be answered; the others get 0 and 1.
    """
    increment, std = krige(seen, covariance, spacing, wanted)
    relative = np.where(np.isfinite(std), std / np.sqrt(covariance.variance), 1.0)
    return np.stack([increment / target_std, relative], 1).astype("f4")


def write_kriged(
    retrievals: Retrievals,
    stamps: np.ndarray,
    covariance: Covariance,
    spacing: Spacing,
    target_std: float,
    window_days: float,
    leave_out_hours: float,
    output: str | Path,
) -> None:
    """Write the channels of samples, each without its own overpass: float32 (sample, 2, y, x).

    Parameters
    ----------
    retrievals : Retrievals
        With innovations against the net's background; test retrievals hidden.
    stamps : ndarray (sample,)
    covariance, spacing, target_std : see :func:`kriged_channels`
    window_days, leave_out_hours : float
    output : path to write
    """
    shape = (len(stamps), 2, *retrievals.value.shape[1:])
    with replacing(output) as part:
        made = np.lib.format.open_memmap(part, "w+", "f4", shape)
        for first in range(0, len(stamps), _STAMPS):
            seen = retrievals.around(stamps[first : first + _STAMPS], window_days, leave_out_hours)
            made[first : first + _STAMPS] = kriged_channels(seen, covariance, spacing, target_std)
        made.flush()
