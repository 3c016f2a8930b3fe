"""SMAP smoothed in time at each cell and interpolated in space: the simplest field without gaps."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from pscnet.regrid import apply
from pscnet.samples.retrievals import RetrievalSet
from pscnet.weights import Weights

#: Standard deviation of the Gaussian in time [day].
SMOOTHING_DAYS = 1.5

#: Kernel weights below this count as no retrieval: the cell is filled from its neighbours.
_LEAST_WEIGHT = 1e-6


def smoothed_smap(seen: RetrievalSet, fallback: float) -> np.ndarray:
    """SMAP smoothed in time at each coarse cell.

    Parameters
    ----------
    seen : RetrievalSet
        The retrievals around each answer, the scored overpass already left out where one is scored.
    fallback : float [m3 m-3]
        Value where not one cell of the region has a retrieval in the window.

    Returns
    -------
    ndarray (answer, y, x) [m3 m-3]
        Without gaps: cells without retrievals take the Gaussian mean of their neighbours, in growing circles.
    """
    kernel = seen.weight * np.exp(-0.5 * (seen.age / SMOOTHING_DAYS) ** 2)
    mass = kernel.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        made = np.where(mass > _LEAST_WEIGHT, (kernel * seen.value).sum(1) / mass, np.nan)
    return np.stack([_without_gaps(field, fallback) for field in made]).astype("f4")


def _without_gaps(field: np.ndarray, fallback: float) -> np.ndarray:
    for reach in (1.0, 2.0, 4.0, 8.0, 16.0):
        gaps = ~np.isfinite(field)
        if not gaps.any():
            return field
        total = gaussian_filter(np.where(gaps, 0.0, field), reach, mode="constant")
        share = gaussian_filter((~gaps).astype(float), reach, mode="constant")
        field = np.where(gaps & (share > 1e-3), total / np.maximum(share, 1e-12), field)
    return np.where(np.isfinite(field), field, fallback)


def interpolated_smap(seen: RetrievalSet, bilinear: Weights, fallback: float) -> np.ndarray:
    """:func:`smoothed_smap` on the fine grid (answer, lat, lon) [m3 m-3]."""
    return apply(bilinear, smoothed_smap(seen, fallback))[0]
