"""The simulated SMAP beside the truth: footprint, noise, bias, revisit, hours, frozen ground.

A retrieval is compared with Gaussian averages of the truth around its cell, at its own time between two stamps. Cells
near the edge of the box are left out of that: their footprints are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import sparse

from pscnet.grids import Grid
from pscnet.validation import ScoreError

#: Full widths at half maximum that are tried [km]; the stated one is :data:`STATED_WIDTH`.
WIDTHS = (15.0, 25.0, 32.5, 40.0, 47.5, 55.0, 70.0)
STATED_WIDTH = 40.0
#: Full width at half maximum of a Gaussian over its standard deviation.
FWHM = 2.3548
KM_PER_DEGREE = 111.2
#: A centre must lie this far inside the box [km].
RIM = 55.0
#: Months without frozen ground, for the revisit.
WARM_MONTHS = (6, 7, 8, 9)


@dataclass(frozen=True)
class Pairs:
    """Retrievals of the inner cells, each (pair,).

    Attributes
    ----------
    cell : ndarray
        Number of the coarse cell, row by row.
    position : ndarray
        Time as a position on the axis of the truth's stamps.
    half : ndarray
        Number of the half-orbit, even in the morning, odd in the evening.
    recommended : ndarray bool
    """

    shape: tuple[int, int]
    cell: np.ndarray
    position: np.ndarray
    half: np.ndarray
    value: np.ndarray
    recommended: np.ndarray

    def chosen(self, keep: np.ndarray) -> Pairs:
        return Pairs(
            self.shape, *(getattr(self, k)[keep] for k in ("cell", "position", "half", "value", "recommended"))
        )


def inner_cells(fine: Grid, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Coarse cells (y, x) bool whose centre lies :data:`RIM` inside the fine grid."""
    rim = RIM / KM_PER_DEGREE
    inside_y = (lat > fine.lat.min() + rim) & (lat < fine.lat.max() - rim)
    wide = rim / np.cos(np.deg2rad(lat.mean()))
    inside_x = (lon > fine.lon.min() + wide) & (lon < fine.lon.max() - wide)
    return inside_y[:, None] & inside_x[None, :]


def collect(months: Sequence[xr.Dataset], times: np.ndarray, inside: np.ndarray) -> Pairs:
    """The accepted retrievals of ``inside`` cells (y, x) within the time of the truth.

    Raises
    ------
    ScoreError
        Where there are none.
    """
    parts: list[list[np.ndarray]] = [[] for _ in range(5)]
    hour0 = times[0].astype("M8[h]").astype(int)
    for month in months:
        start = np.datetime64(month.attrs["month"], "M").astype("M8[h]").astype(int)
        good = np.isfinite(month["soil_moisture"].values) & inside
        half, y, x = np.nonzero(good)
        hours = month["time_offset"].values[good] + start - hour0
        first = 2 * int(start // 24)
        for part, values in zip(
            parts,
            (y * inside.shape[1] + x, hours / 3.0, half + first, month["soil_moisture"].values[good],
             month["quality"].values[good] == 0),
            strict=True,
        ):  # fmt: skip
            part.append(values)
    pairs = Pairs(inside.shape, *(np.concatenate(part) for part in parts))
    pairs = pairs.chosen((pairs.position >= 0) & (pairs.position < times.size - 1))
    if not pairs.cell.size:
        raise ScoreError(
            f"no retrieval in the inner cells between {times[0]} and {times[-1]}: the box must reach {2 * RIM:.0f} km "
            "beyond a 36 km cell, and the months of SMAP and truth must be the same"
        )
    return pairs


def gaussian_weights(fine: Grid, lat: np.ndarray, lon: np.ndarray, width: float) -> sparse.csr_array:
    """Weights (coarse, fine) of Gaussians of a full width [km] around coarse centres; rows sum to 1."""
    sigma = width / FWHM
    rows = []
    for y in lat:
        north = np.exp(-0.5 * (KM_PER_DEGREE * (fine.lat - y) / sigma) ** 2)
        for x in lon:
            east = KM_PER_DEGREE * np.cos(np.deg2rad(y)) * (fine.lon - x)
            weight = np.outer(north, np.exp(-0.5 * (east / sigma) ** 2)).ravel()
            weight[weight < 0.01] = 0.0
            rows.append(sparse.csr_array(weight[None, :] / max(weight.sum(), 1e-12)))
    return sparse.csr_array(sparse.vstack(rows), dtype=np.float32)


def at_pairs(field: np.ndarray, weights: sparse.csr_array, pairs: Pairs) -> np.ndarray:
    """Averages (pair,) of a fine field (time, lat, lon), linear in time between stamps."""
    averages = (weights @ field.reshape(field.shape[0], -1).T.astype(np.float32)).T
    early = pairs.position.astype(int)
    share = pairs.position - early
    return averages[early, pairs.cell] * (1 - share) + averages[early + 1, pairs.cell] * share


def centred(values: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (pair,) minus their cell's mean, and those means (cells,), NaN with fewer than 30 values."""
    count = np.bincount(cell)
    mean = np.bincount(cell, values) / np.maximum(count, 1)
    return values - mean[cell], np.where(count >= 30, mean, np.nan)


def footprint_width(residuals: Sequence[np.ndarray], block: np.ndarray) -> tuple[float, float, list[float]]:
    """The full width [km] with the least residual variance, its standard error, and the variances by width.

    Parameters
    ----------
    residuals : sequence of ndarray (pair,)
        Centred residuals from the averages of each of :data:`WIDTHS`.
    block : ndarray (pair,) int
        Blocks for the jackknife, such as months.
    """
    squares = np.array([np.bincount(block, residual**2) for residual in residuals])
    counts = np.bincount(block)

    def best(keep: np.ndarray) -> float:
        variance = squares[:, keep].sum(axis=1) / counts[keep].sum()
        k = int(np.clip(variance.argmin(), 1, len(WIDTHS) - 2))
        a, b, _ = np.polyfit(WIDTHS[k - 1 : k + 2], variance[k - 1 : k + 2], 2)
        return float(np.clip(-b / (2 * a), WIDTHS[0], WIDTHS[-1])) if a > 0 else WIDTHS[int(variance.argmin())]

    used = np.flatnonzero(counts)
    left_out = np.array([best(used[used != one]) for one in used])
    error = np.sqrt((used.size - 1) / used.size * ((left_out - left_out.mean()) ** 2).sum())
    return best(used), float(error), (squares.sum(axis=1) / counts.sum()).tolist()


def noise_correlation(residual: np.ndarray, pairs: Pairs, reach: int = 6) -> list[float]:
    """Correlation of residuals of one overpass between cells 0, 1, ... ``reach`` apart along rows and columns."""
    halves, index = np.unique(pairs.half, return_inverse=True)
    grid = np.full((halves.size, *pairs.shape), np.nan, dtype=np.float32)
    grid.reshape(halves.size, -1)[index, pairs.cell] = residual
    result = [1.0]
    for lag in range(1, reach + 1):
        ends = (grid[:, lag:], grid[:, :-lag]), (grid[:, :, lag:], grid[:, :, :-lag])
        first, second = (np.concatenate([pair[k].ravel() for pair in ends]) for k in (0, 1))
        both = np.isfinite(first) & np.isfinite(second)
        result.append(float(np.corrcoef(first[both], second[both])[0, 1]) if both.sum() > 2 else float("nan"))
    return result


def revisits(pairs: Pairs, times: np.ndarray) -> np.ndarray:
    """Days between successive retrievals of a cell in the same half (morning or evening), June to September."""
    stamps = times[pairs.position.astype(int)]
    warm = np.isin(stamps.astype("M8[M]").astype(int) % 12 + 1, WARM_MONTHS)
    kept = pairs.chosen(warm)
    series = kept.cell * 2 + kept.half % 2
    order = np.lexsort((kept.position, series))
    gap = np.diff(kept.position[order]) / 8.0
    same = np.diff(series[order]) == 0
    return gap[same & (gap < 60)]  # not from one summer to the next


def solar_hours(pairs: Pairs, times: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Local solar time (pair,) [hour]."""
    hour = pairs.position * 3.0 + times[0].astype("M8[h]").astype(int) % 24
    return (hour + lon[pairs.cell % pairs.shape[1]] / 15.0) % 24.0
