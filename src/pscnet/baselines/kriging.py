"""Simple kriging of innovations: the best linear estimate of the background's error from the retrievals around.

At each coarse cell and stamp the retrievals of the neighbouring cells and days are ranked by their correlation with
the answer and the first ``most`` of them kept; with ``C`` their covariance, ``k`` their covariance with the answer and
``d`` their innovations (Gandin 1963, Objective Analysis of Meteorological Fields; Rasmussen and Williams 2006, Gaussian
Processes for Machine Learning, eq. 2.25 and 2.26)::

    w = C^-1 k        increment = w . d        variance = signal variance - w . k

Without retrievals the increment is 0 and the answer the background. What is left out of the set has no influence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pscnet.baselines.covariance import Covariance, Spacing
from pscnet.samples.retrievals import RetrievalSet

#: Half the side of the neighbourhood [coarse cell], and most retrievals of an answer.
REACH, MOST = 3, 40

#: Cells solved together: their matrices stay in the processor's cache, and no region needs more memory than another.
CELLS_TOGETHER = 128

#: Prefers one of several retrievals with the same correlation, so that the choice does not depend on their order.
_TIE = 1e-7


@dataclass(frozen=True)
class _Candidates:
    """Retrievals of one answer, packed and with a rim of ``reach`` cells without any; arrays (slot, y, x).

    ``rank`` is the correlation of a retrieval with the signal in its own cell at the answer's time, 0 where there is
    none; ``scale`` its noise relative to a recommended one's.
    """

    rank: np.ndarray
    age: np.ndarray
    scale: np.ndarray
    innovation: np.ndarray


def krige(
    seen: RetrievalSet,
    covariance: Covariance,
    spacing: Spacing,
    wanted: np.ndarray | None = None,
    reach: int = REACH,
    most: int = MOST,
) -> tuple[np.ndarray, np.ndarray]:
    """Increments of the background and their standard deviation.

    Parameters
    ----------
    seen : RetrievalSet
        The retrievals around each answer, the scored overpass already left out where one is scored.
    covariance : Covariance
    spacing : Spacing
    wanted : ndarray (y, x) bool, optional
        Cells to be answered; the others get 0 and NaN. Default: all.
    reach : int
        Half the side of the neighbourhood [coarse cell].
    most : int
        Most retrievals of an answer.

    Returns
    -------
    increment, std : ndarray (answer, y, x) float32 [m3 m-3]
    """
    shape = seen.age.shape[2:]
    rows, columns = np.nonzero(np.ones(shape, bool) if wanted is None else wanted)
    increment = np.zeros((seen.age.shape[0], *shape), "f4")
    std = np.full(increment.shape, np.nan, "f4")
    for answer in range(seen.age.shape[0]):
        candidates = _packed(seen, answer, covariance, reach)
        for first in range(0, rows.size, CELLS_TOGETHER):
            y, x = rows[first : first + CELLS_TOGETHER], columns[first : first + CELLS_TOGETHER]
            increment[answer, y, x], std[answer, y, x] = _solve(candidates, y, x, covariance, spacing, reach, most)
    return increment, std


def _packed(seen: RetrievalSet, answer: int, covariance: Covariance, reach: int) -> _Candidates:
    weight = seen.weight[answer].astype("f8")
    there = weight > 0
    order = np.argsort(~there, axis=0, kind="stable")[: max(int(there.sum(0).max(initial=0)), 1)]

    def packed(values: np.ndarray) -> np.ndarray:
        rim = ((0, 0), (reach, reach), (reach, reach))
        return np.pad(np.take_along_axis(values, order, 0).astype("f8"), rim)

    there = packed(there) > 0
    scale = 1.0 / np.sqrt(np.where(there, packed(weight), 1.0))
    age = packed(seen.age[answer])
    noise = (covariance.white**2 + covariance.shared**2) / covariance.variance
    rank = there * np.exp(-np.abs(age) / covariance.days) / np.sqrt(1.0 + noise * scale**2)
    longest = max(float(np.abs(age).max(initial=0.0)), 1.0)
    rank *= 1.0 - _TIE * age / longest
    return _Candidates(rank, age, np.where(there, scale, np.inf), packed(seen.innovation[answer]))


def _solve(
    candidates: _Candidates,
    y: np.ndarray,
    x: np.ndarray,
    covariance: Covariance,
    spacing: Spacing,
    reach: int,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Increment and standard deviation (cell,) at the cells ``y``, ``x`` (cell,)."""
    slots = candidates.rank.shape[0]
    offset_y, offset_x = (part.ravel() for part in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    north = -offset_y * spacing.height[y, None]
    east = offset_x * spacing.width[y, None]
    near = np.exp(-np.hypot(north, east) / covariance.length_km) * (1.0 - _TIE * np.arange(offset_y.size))
    at = (slice(None), y[:, None] + reach + offset_y, x[:, None] + reach + offset_x)
    rank = (candidates.rank[at] * near).transpose(1, 2, 0).reshape(y.size, -1)
    kept = min(most, rank.shape[1])
    chosen = np.argpartition(rank, -kept, axis=1)[:, -kept:] if kept < rank.shape[1] else np.arange(kept)[None]
    place, slot = np.broadcast_arrays(*np.divmod(chosen, slots), np.empty((y.size, 1)))[:2]
    source = (slot, y[:, None] + reach + offset_y[place], x[:, None] + reach + offset_x[place])
    age, scale, innovation = (part[source] for part in (candidates.age, candidates.scale, candidates.innovation))
    north, east = (np.take_along_axis(part, place, 1) for part in (north, east))
    matrix = covariance.matrix(north, east, age, scale)
    known = np.where(np.isfinite(scale), covariance.signal(np.hypot(north, east), age), 0.0)
    weights = np.linalg.solve(matrix, known[..., None])[..., 0]
    variance = covariance.variance - (weights * known).sum(1)
    return (weights * innovation).sum(1), np.sqrt(np.maximum(variance, 0.0))
