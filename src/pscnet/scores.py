"""Scores of one field against another: arrays in, numbers out.

Everything rests on :class:`PairMoments`, the counts, means and central second moments of pairs. Moments of two
blocks of data merge without loss (Chan, Golub and LeVeque 1983, The American Statistician 37, 242, eq. 2.1), so
scores of many months need the memory of one block, and one accumulator gives the scores per cell, pooled over cells,
and between and within cells.

===============  ===================================================================================  ==============
score            definition (x the field, y what it is scored against; population moments, ddof 0)    unit
===============  ===================================================================================  ==============
R                cov(x, y) / (std(x) std(y)); NaN where either side is constant                       1
bias             mean(x) - mean(y)                                                                    of x
RMSD             sqrt(mean((x - y)^2))                                                                of x
ubRMSD           sqrt(RMSD^2 - bias^2), that is std(x - y)                                            of x
KGE              1 - sqrt((R - 1)^2 + (a - 1)^2 + (b - 1)^2), a = std(x)/std(y), b = mean(x)/mean(y)  1
KGE, modified    the same with a = (std(x)/mean(x)) / (std(y)/mean(y))                                1
CRPS             Gneiting and Raftery 2007, JASA 102, 359, eq. 21 (Gaussian)                          of x
===============  ===================================================================================  ==============

A score of fewer than ``minimum`` samples is NaN, never zero; the count is kept beside it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.special import ndtr

from pscnet.grids import Grid

#: Fewest samples of a score over a cell's SMAP retrievals (ours: a month of both half-orbits gives about 20).
MINIMUM_RETRIEVALS = 10

#: Fewest samples of a score over a cell's 3-hour steps (ours: five days).
MINIMUM_STEPS = 40

#: A side whose standard deviation is below this share of its mean is a constant with rounding noise.
CONSTANT = 1e-10

#: Detail smaller than this standard deviation [m3 m-3] is no detail (rounding of float32 is 3e-8 at 0.5).
DETAIL_FLOOR = 1e-6


#: Keeps the equations of the smooth field regular at coarse centres that the data hardly touch; far below rounding.
_RIDGE = 1e-10


@dataclass
class PairMoments:
    """Count, means and central second moments of pairs (x, y), one set for each element of ``shape``.

    Attributes
    ----------
    n : ndarray of shape ``shape``
        Pairs in which both sides are finite.
    mean_x, mean_y, sxx, syy, sxy : ndarray of shape ``shape``
        Means, and sums of squares and products about them.
    """

    n: np.ndarray
    mean_x: np.ndarray
    mean_y: np.ndarray
    sxx: np.ndarray
    syy: np.ndarray
    sxy: np.ndarray

    @classmethod
    def zeros(cls, shape: tuple[int, ...] = ()) -> PairMoments:
        """No pairs yet."""
        return cls(*(np.zeros(shape) for _ in range(6)))

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> PairMoments:
        """Moments over the first axis of ``x`` and ``y`` (sample, ...); pairs with a NaN are left out."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if x.shape != y.shape:
            raise ValueError(f"pairs need equal shapes: x is {x.shape}, y is {y.shape}")
        good = np.isfinite(x) & np.isfinite(y)
        n = good.sum(axis=0).astype(float)
        divisor = np.maximum(n, 1.0)
        mean_x = np.where(good, x, 0.0).sum(axis=0) / divisor
        mean_y = np.where(good, y, 0.0).sum(axis=0) / divisor
        dx, dy = np.where(good, x - mean_x, 0.0), np.where(good, y - mean_y, 0.0)
        return cls(n, mean_x, mean_y, (dx * dx).sum(axis=0), (dy * dy).sum(axis=0), (dx * dy).sum(axis=0))

    @classmethod
    def stack(cls, parts: Sequence[PairMoments]) -> PairMoments:
        """Moments of equal shape along a new first axis."""
        return cls(*(np.stack(arrays) for arrays in zip(*(part.arrays() for part in parts), strict=True)))

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.n, self.mean_x, self.mean_y, self.sxx, self.syy, self.sxy

    def update(self, x: np.ndarray, y: np.ndarray) -> None:
        """Add the pairs of a block, ``x`` and ``y`` (sample, *shape)."""
        self.merge(PairMoments.of(x, y))

    def merge(self, other: PairMoments) -> None:
        """Add the pairs of ``other``, of the same shape."""
        merged = PairMoments.stack([self, other]).pooled(axis=0)
        self.n, self.mean_x, self.mean_y, self.sxx, self.syy, self.sxy = merged.arrays()

    def pooled(self, axis: int | tuple[int, ...] | None = None) -> PairMoments:
        """Moments of all pairs along ``axis`` (default: all) taken together."""
        n = self.n.sum(axis=axis, keepdims=True)
        divisor = np.maximum(n, 1.0)
        mean_x = (self.n * self.mean_x).sum(axis=axis, keepdims=True) / divisor
        mean_y = (self.n * self.mean_y).sum(axis=axis, keepdims=True) / divisor
        dx, dy = self.mean_x - mean_x, self.mean_y - mean_y
        sxx = (self.sxx + self.n * dx * dx).sum(axis=axis, keepdims=True)
        syy = (self.syy + self.n * dy * dy).sum(axis=axis, keepdims=True)
        sxy = (self.sxy + self.n * dx * dy).sum(axis=axis, keepdims=True)
        return PairMoments(*(np.squeeze(a, axis=axis) for a in (n, mean_x, mean_y, sxx, syy, sxy)))

    def within(self) -> PairMoments:
        """Pooled moments of the departures of each element from its own mean (scalar shape)."""
        zero = np.zeros(())
        return PairMoments(self.n.sum(), zero, zero, self.sxx.sum(), self.syy.sum(), self.sxy.sum())

    def between(self, minimum: int = 1) -> PairMoments:
        """Moments over the elements of their means, each element counting once (scalar shape)."""
        keep = self.n >= max(minimum, 1)
        return PairMoments.of(self.mean_x[keep], self.mean_y[keep])

    def selected(self, keep: np.ndarray) -> PairMoments:
        """The same moments with no pairs where ``keep`` (broadcastable to the shape) is false."""
        return PairMoments(*(np.where(keep, array, 0.0) for array in self.arrays()))

    def r(self, minimum: int = 2, floor: float = 0.0) -> np.ndarray:
        """Pearson correlation; NaN with fewer than ``minimum`` pairs or a side that does not vary.

        Parameters
        ----------
        minimum : int
        floor : float [unit of x]
            A side whose standard deviation is not above this counts as constant.
        """
        divisor = np.maximum(self.n, 1.0)
        std_x, std_y = np.sqrt(self.sxx / divisor), np.sqrt(self.syy / divisor)
        varies = (std_x > floor + CONSTANT * np.abs(self.mean_x)) & (std_y > floor + CONSTANT * np.abs(self.mean_y))
        with np.errstate(invalid="ignore", divide="ignore"):
            r = np.clip(self.sxy / np.sqrt(self.sxx * self.syy), -1.0, 1.0)
        return np.where(varies & (self.n >= max(minimum, 2)), r, np.nan)

    def std_ratio(self, minimum: int = 2) -> np.ndarray:
        """Standard deviation of x over that of y; NaN wherever R is."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.sqrt(self.sxx / self.syy)
        return np.where(np.isfinite(self.r(minimum)), ratio, np.nan)

    def bias(self, minimum: int = 1) -> np.ndarray:
        """Mean of x minus mean of y."""
        return self._enough(self.mean_x - self.mean_y, minimum)

    def ubrmsd(self, minimum: int = 2) -> np.ndarray:
        """Standard deviation (ddof 0) of x - y: the root mean square difference after taking the bias out."""
        variance = (self.sxx + self.syy - 2.0 * self.sxy) / np.maximum(self.n, 1.0)
        return self._enough(np.sqrt(np.maximum(variance, 0.0)), minimum)

    def rmsd(self, minimum: int = 1) -> np.ndarray:
        """Root mean square difference."""
        return self._enough(np.hypot(self.mean_x - self.mean_y, self.ubrmsd(1)), minimum)

    def kge(self, minimum: int = 2, modified: bool = False) -> np.ndarray:
        """Kling-Gupta efficiency; 1 is perfect, the mean of y alone would have 1 - sqrt(2).

        NaN wherever R is, and where the ratio of means is not defined (a mean of y, or modified of x, that is zero).

        Source: Gupta et al. 2009, Journal of Hydrology 377, 80, eq. 9 and 10; ``modified``: Kling, Fuchs and Paulin
        2012, Journal of Hydrology 424-425, 264, with the ratio of coefficients of variation.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            spread, level = np.sqrt(self.sxx / self.syy), self.mean_x / self.mean_y
            ratio = spread / level if modified else spread
            score = 1.0 - np.sqrt((self.r(minimum) - 1.0) ** 2 + (ratio - 1.0) ** 2 + (level - 1.0) ** 2)
        return np.where(np.isfinite(score), score, np.nan)

    def _enough(self, score: np.ndarray, minimum: int) -> np.ndarray:
        return np.where(self.n >= max(minimum, 1), score, np.nan)


def mean_of_cells(score: np.ndarray) -> tuple[float, int]:
    """Mean of a score over the cells that have one, and their number; (NaN, 0) where none has."""
    finite = np.asarray(score)[np.isfinite(score)]
    return (float(finite.mean()), int(finite.size)) if finite.size else (float("nan"), 0)


def relative_change(score: float | np.ndarray, base: float | np.ndarray) -> np.ndarray:
    """``score / base - 1``, element by element; NaN where either is not finite or the base is zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.asarray(score, dtype=float) / np.asarray(base, dtype=float) - 1.0
    return np.where(np.isfinite(change), change, np.nan)


def inside_share(error: np.ndarray, sigma: np.ndarray, width: float) -> float:
    """Share of errors whose size is at most ``width`` standard deviations; NaN without a finite pair."""
    good = np.isfinite(error) & np.isfinite(sigma)
    return float((np.abs(error[good]) <= width * sigma[good]).mean()) if good.any() else float("nan")


def crps_gaussian(mean: np.ndarray, sigma: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Continuous ranked probability score of a Gaussian forecast, element by element (lower is better).

    Source: Gneiting and Raftery 2007, JASA 102, 359, eq. 21 (with the sign that makes it an error). A forecast
    without spread scores its absolute error; a negative ``sigma`` scores NaN.
    """
    mean, sigma, truth = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (mean, sigma, truth)))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (truth - mean) / sigma
        density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
        score = sigma * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi))
    score = np.where(sigma == 0.0, np.abs(truth - mean), score)
    return np.where(sigma < 0.0, np.nan, score)


def overpass_stamps(lon: np.ndarray, hours: tuple[float, float] = (6.0, 18.0), per_day: int = 8) -> np.ndarray:
    """Which stamps of the day (per_day, lon) are nearest to SMAP's overpasses at local solar ``hours``.

    Parameters
    ----------
    lon : ndarray (n,) [degree east]
    """
    step = 24.0 / per_day
    near = np.zeros((per_day, np.size(lon)), dtype=bool)
    for hour in hours:
        stamp = np.round(np.mod(hour - np.asarray(lon) / 15.0, 24.0) / step).astype(int) % per_day
        near[stamp, np.arange(np.size(lon))] = True
    return near


@dataclass
class _Smooth:
    """Members and operators of one mask: see :meth:`SubPixel.split`."""

    members: np.ndarray
    groups: np.ndarray
    average: sparse.csr_array
    interpolate: sparse.csr_array
    solve: Callable[[np.ndarray], np.ndarray]

    def field(self, values: np.ndarray, means: np.ndarray) -> np.ndarray:
        """The smooth field (member, time) of ``values`` (member, time) with coarse ``means`` (cell, time)."""
        nodes = self.interpolate.shape[1]
        return self.interpolate @ self.solve(np.vstack([self.interpolate.T @ values, means]))[:nodes]


class SubPixel:
    """Detail within coarse cells: what a fine field shows that its own coarse means do not.

    A fine cell belongs to the coarse cell that its centre lies in. With A the average over the valid members of each
    coarse cell and W the bilinear interpolation between coarse centres (with a ring of centres outside the grid, so
    that gradients go on to its edge), a field f has two anomalies:

    - **plain**: f - A f, departures from the coarse cell's mean. Regional gradients are part of it, so that even
      interpolated SMAP scores well.
    - **beyond the smooth field**: f - W n with A W n = A f. The subtracted field is the bilinear one whose coarse
      means are those of f (mean-preserving). Centres of cells that take no part leave n some freedom; the solution
      with the smallest sum of (f - W n)^2 is taken. So every bilinear field has anomaly zero, whatever the mask:
      only detail that no interpolation of coarse values can show is left. Both anomalies average to zero within
      each coarse cell.

    Parameters
    ----------
    fine, coarse : Grid
    minimum_share : float
        A coarse cell takes part at a step when at least this share of its area is covered by valid fine cells; with
        half or more, A W stays well conditioned (two neighbours that are covered only along their common border).
    """

    _REMEMBERED = 8

    def __init__(self, fine: Grid, coarse: Grid, minimum_share: float = 0.5):
        if min(coarse.shape) < 2:
            raise ValueError(
                f"sub-pixel detail needs at least 2 x 2 coarse cells, found {coarse.shape[0]} x {coarse.shape[1]}"
            )
        rows = np.searchsorted(-coarse.lat_edges, -fine.lat, side="right") - 1
        columns = np.searchsorted(coarse.lon_edges, fine.lon, side="right") - 1
        inside = ((rows >= 0) & (rows < coarse.shape[0]))[:, None] & ((columns >= 0) & (columns < coarse.shape[1]))
        self.cell = np.where(inside, rows[:, None] * coarse.shape[1] + columns, -1).ravel()
        self.coarse_size = coarse.size
        extent = -np.diff(coarse.lat_edges)[:, None] * np.diff(coarse.lon_edges)[None, :]
        node = np.abs(np.diff(fine.lat_edges)).mean() * np.abs(np.diff(fine.lon_edges)).mean()
        self._needed = minimum_share * (extent / node).ravel()
        self._interpolate = sparse.kron(
            _linear_weights(-fine.lat, _padded(-coarse.lat)),
            _linear_weights(fine.lon, _padded(coarse.lon)),
            format="csr",
        )
        self._smooths: OrderedDict[bytes, _Smooth | None] = OrderedDict()

    def split(self, fields: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Plain and beyond-smooth anomalies of several fields on their common valid cells.

        Parameters
        ----------
        fields : sequence of ndarray (time, fine.size)

        Returns
        -------
        list of (plain, beyond), each float64 (time, fine.size), NaN where no anomaly is defined
        """
        fields = [np.asarray(field, dtype=float) for field in fields]
        valid = np.logical_and.reduce([np.isfinite(field) for field in fields]) & (self.cell >= 0)
        result = [(np.full(field.shape, np.nan), np.full(field.shape, np.nan)) for field in fields]
        groups: dict[bytes, list[int]] = {}
        for step, row in enumerate(np.packbits(valid, axis=1)):
            groups.setdefault(row.tobytes(), []).append(step)
        for key, steps in groups.items():
            smooth = self._smooth(key, valid[steps[0]])
            if smooth is None:
                continue
            where = np.ix_(steps, smooth.members)
            for field, (plain, beyond) in zip(fields, result, strict=True):
                values = field[where].T
                means = smooth.average @ values
                plain[where] = (values - means[smooth.groups]).T
                beyond[where] = (values - smooth.field(values, means)).T
        return result

    def _smooth(self, key: bytes, valid: np.ndarray) -> _Smooth | None:
        """Operators of one mask, kept for the next block: in summer the mask does not change for weeks."""
        if key not in self._smooths:
            self._smooths[key] = self._operators(valid)
            if len(self._smooths) > self._REMEMBERED:
                self._smooths.popitem(last=False)
        self._smooths.move_to_end(key)
        return self._smooths[key]

    def _operators(self, valid: np.ndarray) -> _Smooth | None:
        count = np.bincount(self.cell[valid], minlength=self.coarse_size)
        kept = np.flatnonzero((count >= self._needed) & (count > 1))
        if kept.size == 0:
            return None
        number = np.full(self.coarse_size, -1)
        number[kept] = np.arange(kept.size)
        members = np.flatnonzero(valid & (number[self.cell] >= 0))
        groups = number[self.cell[members]]
        ones = 1.0 / count[self.cell[members]]
        average = sparse.csr_array((ones, (groups, np.arange(members.size))), shape=(kept.size, members.size))
        weights = sparse.csc_array(self._interpolate[members])
        weights = weights[:, np.flatnonzero(np.diff(weights.indptr))]
        means = average @ weights
        normal = weights.T @ weights + _RIDGE * sparse.eye_array(weights.shape[1])
        system = sparse.block_array([[normal, means.T], [means, None]], format="csc")
        return _Smooth(members, groups, average, sparse.csr_array(weights), splu(system).solve)


def _padded(nodes: np.ndarray) -> np.ndarray:
    """``nodes`` (n >= 2,) with one more at either end, as far away as the next."""
    return np.concatenate([[2 * nodes[0] - nodes[1]], nodes, [2 * nodes[-1] - nodes[-2]]])


def _linear_weights(points: np.ndarray, nodes: np.ndarray) -> sparse.csr_array:
    """Weights (points, nodes) of linear interpolation between ascending ``nodes`` that enclose the points."""
    left = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, nodes.size - 2)
    share = (points - nodes[left]) / (nodes[left + 1] - nodes[left])
    row = np.arange(points.size)
    data = np.concatenate([1.0 - share, share])
    return sparse.csr_array((data, (np.tile(row, 2), np.concatenate([left, left + 1]))), (points.size, nodes.size))


def detail_scores(moments: PairMoments, minimum: int = MINIMUM_STEPS) -> dict[str, float]:
    """Correlation of anomalies within coarse cells: all, their lasting part and their changing part.

    Parameters
    ----------
    moments : PairMoments (fine.size,)
        Of the anomalies of a field and of the truth over time, see :meth:`SubPixel.split`.
    minimum : int
        Fewest steps of a fine cell that takes part in the static score.

    Returns
    -------
    dict
        ``all``: R over all cells and steps; ``static``: R over the cells of the time means; ``dynamic``: R over all
        cells and steps of the departures from the time means. NaN where a side has no detail.
    """
    enough = moments.selected(moments.n >= minimum)
    return {
        "all": float(enough.pooled().r(floor=DETAIL_FLOOR)),
        "static": float(enough.between(minimum).r(floor=DETAIL_FLOOR)),
        "dynamic": float(enough.within().r(floor=DETAIL_FLOOR)),
    }
