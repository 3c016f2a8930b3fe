"""Triple collocation: the error of each of three data sets whose errors have nothing in common, without a truth.

With three data sets that see the same truth through lines of their own and with independent errors, the covariances
of each two tell the truth's variance, and what is left of each variance is error [Stoffelen 1998, JGR 103, 7755;
covariance notation: Gruber et al. 2016, doi:10.1016/j.jag.2015.09.002]. pytesmo computes it.

=============  =====================================================================================================
score          what it is
=============  =====================================================================================================
``error_std``  standard deviation of the error [m3 m-3], scaled to the first member's range
``snr``        variance of the truth over that of the error [dB]
``r2``         squared correlation with the unknown truth, SNR / (1 + SNR)
``fmse``       share of error in the variance, 1 - r2
=============  =====================================================================================================

A negative estimate of an error variance, or of a sensitivity, says that the sample is too small or the assumption does
not hold: it is an honest gap (NaN) and counted. Two members that are made of the same data have errors in common, which
would be taken for truth: they are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from pytesmo.metrics import tcol_metrics

from pscnet.lineage import lineage
from pscnet.validation import ScoreError
from pscnet.validation.agreement import Bootstrap
from pscnet.validation.resampling import interval_of

#: Fewest common values of a cell (pytesmo's own limit for intervals of triple collocation).
MINIMUM = 100

SCORES = ("error_std", "snr", "r2", "fmse")

#: Four points of zero mean whose second moments about it are the unit matrix (rows: the three members).
_POINTS = np.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]]) * np.sqrt(3.0) / 2.0


@dataclass(frozen=True)
class Member:
    """A data set of a triplet: its name for people, and what it is made of."""

    name: str
    made_of: tuple[str, ...]


@dataclass(frozen=True)
class Triple:
    """Estimates of three members; arrays (member,) or (member, cell).

    Attributes
    ----------
    pooled : dict of score to ndarray (member,)
        Of the departures of all cells from their own means together.
    intervals : dict of score to ndarray (member, 2), 95 %
    cells : dict of score to ndarray (member, cell)
        NaN with fewer than :data:`MINIMUM` common values, and where an estimate is negative.
    n : int, common values in all cells with enough
    enough : ndarray (cell,) bool
    negative : ndarray (member,) of int
        Cells with enough values and a negative estimate.
    """

    pooled: dict[str, np.ndarray]
    intervals: dict[str, np.ndarray]
    cells: dict[str, np.ndarray]
    n: int
    enough: np.ndarray
    negative: np.ndarray


def require_independent(members: Sequence[Member]) -> None:
    """Refuse a triplet two of whose members are made of the same data.

    Raises
    ------
    ScoreError
        Naming the two, and what they share.
    """
    for one, other in combinations(members, 2):
        shared = lineage(one.made_of) & lineage(other.made_of)
        if shared:
            names = ", ".join(member.name for member in members)
            raise ScoreError(
                f"triple collocation of {names}: expected three data sets with nothing in common; found that "
                f"{one.name} and {other.name} are both made of {' and '.join(sorted(shared))}, so that their errors "
                "are correlated and would be taken for truth; put another product in the place of one of them "
                "(validation.third)"
            )


def estimates(covariance: np.ndarray) -> dict[str, np.ndarray]:
    """Scores (member,) from the covariance (3, 3) of three data sets, the first being the reference of the scale.

    pytesmo takes series: it is given four points that have exactly this covariance.
    """
    nothing = np.full(3, np.nan)
    if not np.isfinite(covariance).all() or (np.diag(covariance) <= 0).any():
        return dict.fromkeys(SCORES, nothing)
    values, vectors = np.linalg.eigh(covariance)
    series = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T @ _POINTS
    with np.errstate(invalid="ignore", divide="ignore"):
        snr, error_std, beta = tcol_metrics(*series, ref_ind=0)
        ratio = 10.0 ** (snr / 10.0)
        r2 = np.where(np.isinf(ratio), 1.0, ratio / (1.0 + ratio))
    good = np.isfinite(error_std) & (np.asarray(beta) > 0).all() & (covariance > 0).all()
    made = {"error_std": error_std, "snr": snr, "r2": r2, "fmse": 1.0 - r2}
    return {name: np.where(good, score, np.nan) for name, score in made.items()}


def collocate(fields: Sequence[np.ndarray], times: np.ndarray, bootstrap: Bootstrap) -> Triple:
    """Estimate the errors of three data sets.

    Parameters
    ----------
    fields : three ndarray (time, cell)
        NaN where there is none; what all three have is used.
    times : datetime64 (time,)
    bootstrap : Bootstrap
        Blocks of days for the intervals of the pooled estimates.
    """
    stack = np.stack([np.asarray(field, float) for field in fields])
    common = np.isfinite(stack).all(axis=0)
    count = common.sum(axis=0)
    enough = count >= MINIMUM
    mean = np.where(common, stack, 0.0).sum(axis=1) / np.maximum(count, 1)
    departures = np.where(common & enough, stack - mean[:, None], 0.0)
    sums = np.einsum("itc,jtc->cij", departures, departures)
    by_cell = [
        estimates(total / max(n - 1, 1)) if ok else None for total, n, ok in zip(sums, count, enough, strict=True)
    ]
    cells = {
        name: np.stack([np.full(3, np.nan) if one is None else one[name] for one in by_cell], axis=1) for name in SCORES
    }
    negative = (np.isnan(cells["r2"]) & enough).sum(axis=1)
    pooled, intervals = _pooled(departures, common & enough, times, bootstrap)
    return Triple(pooled, intervals, cells, int(count[enough].sum()), enough, negative)


def _pooled(
    departures: np.ndarray, common: np.ndarray, times: np.ndarray, bootstrap: Bootstrap
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Estimates of departures (member, time, cell) together, and their intervals (member, 2) by blocks of days."""
    rows = common.any(axis=1)
    if not rows.any():
        nothing = np.full((3, 2), np.nan)
        return dict.fromkeys(SCORES, nothing[:, 0]), dict.fromkeys(SCORES, nothing)
    block, blocks = bootstrap.blocks_of(times[rows])
    departures = departures[:, rows]
    n = np.bincount(block, common[rows].sum(axis=1), blocks)
    first = np.stack([np.bincount(block, part.sum(axis=1), blocks) for part in departures], axis=1)
    products = np.einsum("itc,jtc->tij", departures, departures).reshape(-1, 9)
    second = np.stack([np.bincount(block, column, blocks) for column in products.T], axis=1)

    def covariances(weights: np.ndarray) -> np.ndarray:
        total = np.maximum(weights @ n, 1.0)[:, None]
        mean = weights @ first / total
        return (weights @ second / total).reshape(-1, 3, 3) - mean[:, :, None] * mean[:, None, :]

    pooled = estimates(covariances(np.ones((1, blocks)))[0])
    drawn = [estimates(covariance) for covariance in covariances(bootstrap.weights(blocks))]
    intervals = {
        name: np.array(
            [
                interval_of(float(pooled[name][member]), np.array([one[name][member] for one in drawn]), blocks)
                for member in range(3)
            ]
        )
        for name in SCORES
    }
    return pooled, intervals
