"""Sums that tell whether errors are as large as their standard deviation says, by block of time and class.

Of forecasts N(m, s^2) and what came true y, with z = (y - m) / s: shares of |z| up to the quantiles of central
intervals, sums of z and z^2, CRPS (Gneiting and Raftery 2007, JASA 102, 359, eq. 21), histogram of the probability
integral transform Phi(z) (flat where the forecast is calibrated; Gneiting, Balabdaoui and Raftery 2007, Journal of the
Royal Statistical Society B 69, 243). All of them add up, so that a draw of blocks is a weighted sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.special import ndtr, ndtri

from pscnet.scores import crps_gaussian
from pscnet.validation.blocks import NOMINAL
from pscnet.validation.document import Column, Row
from pscnet.validation.resampling import interval_of

#: Bins of the histogram of the probability integral transform.
PIT_BINS = 20

#: Fewest forecasts of a class that is scored (ours).
FEWEST = 100

#: Central intervals whose share is counted: those of the diagram, one and two standard deviations.
_LIMITS = np.array([*ndtri(0.5 + 0.5 * np.array(NOMINAL)), 1.0, 2.0])

_SUMS = ("n", "z", "z2", "crps", "sigma", "sigma2", "error", "error2")

COLUMNS = [
    Column("n", "samples", "", 0),
    Column("inside_1", "inside 1 sigma (0.683 expected)", "", 3),
    Column("inside_2", "inside 2 sigma (0.954 expected)", "", 3),
    Column("crps", "CRPS", "m3 m-3", 4, "low"),
    Column("z_mean", "mean of z", "", 2, "zero"),
    Column("z_std", "standard deviation of z", "", 2, "one"),
    Column("sigma", "predicted sigma, root mean square", "m3 m-3", 4),
    Column("rmse", "error, root mean square", "m3 m-3", 4, "low"),
    Column("spread_skill", "predicted sigma / error", "", 2, "one"),
    Column("bias", "bias", "m3 m-3", 4, "zero"),
]

#: Columns that get an interval.
_WITH_INTERVAL = [column.key for column in COLUMNS if column.key != "n"]


class Reliability:
    """Accumulator over blocks of time and the classes of one grouping.

    Parameters
    ----------
    blocks, classes : int
    """

    def __init__(self, blocks: int, classes: int = 1) -> None:
        self.shape = blocks, classes
        self.sums = {name: np.zeros(self.shape) for name in _SUMS}
        self.inside = np.zeros((*self.shape, _LIMITS.size))
        self.pit = np.zeros((*self.shape, PIT_BINS))

    def update(
        self, mean: np.ndarray, sigma: np.ndarray, truth: np.ndarray, block: np.ndarray, group: np.ndarray
    ) -> None:
        """Add forecasts (n,); those with a NaN, without spread, or of a block or class below 0 are left out."""
        good = np.isfinite(mean) & np.isfinite(truth) & (sigma > 0) & (block >= 0) & (group >= 0)
        mean, sigma, truth = (np.asarray(a, dtype=float)[good] for a in (mean, sigma, truth))
        where = block[good] * self.shape[1] + group[good]
        error = mean - truth
        z = -error / sigma
        parts = {
            "n": np.ones_like(z), "z": z, "z2": z * z, "crps": crps_gaussian(mean, sigma, truth),
            "sigma": sigma, "sigma2": sigma * sigma, "error": error, "error2": error * error,
        }  # fmt: skip
        size = self.shape[0] * self.shape[1]
        for name, values in parts.items():
            self.sums[name] += np.bincount(where, values, size).reshape(self.shape)
        # Each forecast once, in the smallest interval that holds it; the share of an interval is then a running sum.
        order = np.argsort(_LIMITS)
        first = np.searchsorted(_LIMITS[order], np.abs(z), side="left")
        counts = np.bincount(where * (_LIMITS.size + 1) + first, minlength=size * (_LIMITS.size + 1))
        within = np.cumsum(counts.reshape(*self.shape, -1)[..., :-1], axis=-1)
        self.inside[..., order] += within
        rank = np.minimum((ndtr(z) * PIT_BINS).astype(int), PIT_BINS - 1)
        self.pit += np.bincount(where * PIT_BINS + rank, minlength=size * PIT_BINS).reshape(*self.shape, PIT_BINS)

    def scores(self, number: int, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Scores (draw,) of a class, of blocks taken ``weights`` (draw, block) times; NaN of an empty class."""
        weights = np.ones((1, self.shape[0])) if weights is None else weights
        total = {name: weights @ sums[:, number] for name, sums in self.sums.items()}
        inside = weights @ self.inside[:, number]
        n = total.pop("n")
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = {name: sums / n for name, sums in total.items()}
            sigma, rmse = np.sqrt(mean["sigma2"]), np.sqrt(mean["error2"])
            made = {
                "inside_1": inside[:, -2] / n,
                "inside_2": inside[:, -1] / n,
                "crps": mean["crps"],
                "z_mean": mean["z"],
                "z_std": np.sqrt(np.maximum(mean["z2"] - mean["z"] ** 2, 0.0)),
                "sigma": sigma,
                "rmse": rmse,
                "spread_skill": sigma / rmse,
                "bias": mean["error"],
            }
        return {"n": n} | {key: np.where(n > 0, value, np.nan) for key, value in made.items()}

    def row(self, label: str, group: str, number: int, weights: np.ndarray) -> Row | None:
        """The row of class ``number``; None where it has too few forecasts.

        Intervals are drawn over the blocks that have any.
        """
        found = self.scores(number)
        if found["n"][0] < FEWEST:
            return None
        drawn = self.scores(number, weights)
        blocks = int((self.sums["n"][:, number] > 0).sum())
        values: dict[str, float | int | None] = {key: float(found[key][0]) for key in _WITH_INTERVAL}
        intervals = {key: interval_of(float(found[key][0]), drawn[key], blocks) for key in _WITH_INTERVAL}
        return Row(label, {"n": int(found["n"][0])} | values, group, intervals)

    def diagram(self, number: int, weights: np.ndarray) -> dict[str, object]:
        """Observed shares of the central intervals with 95 % intervals, and the histogram (mean 1), of a class."""
        n = self.sums["n"][:, number]
        drawn_n = weights @ n
        blocks = int((n > 0).sum())
        observed, low, high = [], [], []
        for position in range(len(NOMINAL)):
            inside = self.inside[:, number, position]
            share = float(inside.sum() / n.sum()) if n.sum() else float("nan")
            with np.errstate(invalid="ignore", divide="ignore"):
                limits = interval_of(share, np.where(drawn_n > 0, weights @ inside / drawn_n, np.nan), blocks)
            observed.append(share)
            low.append(limits[0])
            high.append(limits[1])
        pit = self.pit[:, number].sum(axis=0)
        density = pit / max(pit.sum(), 1.0) * PIT_BINS
        return {"nominal": list(NOMINAL), "observed": observed, "low": low, "high": high, "pit": density.tolist()}


def classes_of(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Class of each value between ascending ``edges``, the lower one belonging to it; -1 outside and of NaN."""
    number = np.searchsorted(np.asarray(edges), values, side="right") - 1
    return np.where(np.isfinite(values) & (number >= 0) & (number < len(edges) - 1), number, -1)


def class_names(edges: Sequence[float], unit: str, digits: int = 0) -> list[str]:
    """Names of the classes between ``edges``."""
    names = [f"{low:.{digits}f} to {high:.{digits}f} {unit}" for low, high in pairwise(edges)]
    if np.isinf(edges[-1]):
        names[-1] = f"{edges[-2]:.{digits}f} {unit} and more"
    if edges[0] == 0:
        names[0] = f"under {edges[1]:.{digits}f} {unit}"
    return names
