"""The background: ERA5-Land soil water rescaled to SMAP, stripped of its static fine anomalies.

::

    background(p, t) = intercept(p) + slope(p) * (x(p, t) - detail(p)) + pattern(p)

with ``x`` the soil water of the top layer; ``intercept`` and ``slope`` fitted for each 36 km cell on training
retrievals (``slope`` shrunk towards the region's) and interpolated to 10 km; ``detail`` the part of the training mean
of ``x`` that its 36 km means do not hold; ``pattern`` what :mod:`pscnet.samples.pattern` puts in its place. The net
gets it as a skip connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.regrid import apply
from pscnet.weights import Weights

#: Number of retrievals at which a cell's own slope or offset weighs as much as the region's.
SHRINKAGE = 50.0

#: Soil water that varies less than this within its cells [(m3 m-3)^2] is constant.
CONSTANT_VARIANCE = 1e-9


@dataclass(frozen=True)
class Line:
    """A straight line of SMAP on coarse soil water for each cell: intercept [m3 m-3] and slope [1], (y, x) float32."""

    intercept: np.ndarray
    slope: np.ndarray

    def __call__(self, soil_water: np.ndarray) -> np.ndarray:
        """The line at coarse soil water (..., y, x)."""
        return self.intercept + self.slope * soil_water


@dataclass(frozen=True)
class Background:
    """The background's coefficients on both grids.

    Attributes
    ----------
    variable : str
        The predictor that is rescaled.
    fine : Line
        Coefficients (lat, lon).
    coarse : Line
        Footprint means (y, x) of the fine coefficients.
    detail, coarse_detail : ndarray (lat, lon), (y, x)
        Static fine anomalies taken out [m3 m-3], and their footprint means.
    pattern, coarse_pattern : ndarray (lat, lon), (y, x)
        Lasting fine pattern put in [m3 m-3], and its footprint means.
    """

    variable: str
    fine: Line
    coarse: Line
    detail: np.ndarray
    coarse_detail: np.ndarray
    pattern: np.ndarray
    coarse_pattern: np.ndarray

    def field(self, soil_water: np.ndarray) -> np.ndarray:
        """Background (..., lat, lon) [m3 m-3] of fine soil water (..., lat, lon)."""
        return (self.fine(soil_water - self.detail) + self.pattern).astype("f4")

    def footprint_series(self, coarse: Sequence[str | Path]) -> tuple[np.ndarray, np.ndarray]:
        """Stamps and footprint means (stamp, y, x) of the background over some months of ``coarse/{month}.nc``."""
        stamps, means = coarse_series(coarse, self.variable)
        return stamps, (self.coarse(means - self.coarse_detail) + self.coarse_pattern).astype("f4")


def coarse_series(coarse: Sequence[str | Path], variable: str) -> tuple[np.ndarray, np.ndarray]:
    """Stamps (stamp,) and coarse means (stamp, y, x) of one predictor over some months."""
    stamps, means = [], []
    for path in coarse:
        with xr.open_dataset(path) as data:
            stamps.append(data["time"].values.astype("M8[ns]"))
            means.append(data[variable].values)
    return np.concatenate(stamps), np.concatenate(means)


def make_background(
    variable: str,
    line: Line,
    mean: np.ndarray,
    pattern: np.ndarray,
    land: np.ndarray,
    conservative: Weights,
    bilinear: Weights,
) -> Background:
    """Interpolate a fitted line, take out the static fine anomalies of the model and put the fitted pattern in.

    Parameters
    ----------
    variable : str
    line : Line
        Fitted coefficients (y, x).
    mean : ndarray (lat, lon)
        Training mean of the variable [m3 m-3].
    pattern : ndarray (lat, lon)
        Lasting fine pattern [m3 m-3].
    land : ndarray (lat, lon) bool
    conservative, bilinear : Weights
        Fine to coarse, coarse to fine.
    """
    masked = np.where(land, mean, np.nan)
    smooth = apply(bilinear, filled(apply(conservative, masked)[0]))[0]
    detail = np.where(land, mean - smooth, 0.0).astype("f4")
    fine = Line(*(np.asarray(apply(bilinear, filled(part))[0], "f4") for part in (line.intercept, line.slope)))

    def footprint(field: np.ndarray) -> np.ndarray:
        return filled(apply(conservative, np.where(land, field, np.nan))[0])

    coarse = Line(footprint(fine.intercept), footprint(fine.slope))
    return Background(variable, fine, coarse, detail, footprint(detail), pattern, footprint(pattern))


def filled(field: np.ndarray) -> np.ndarray:
    """``field`` (y, x) with NaN (cells without land) replaced by the mean of the finite values."""
    good = np.isfinite(field)
    return np.where(good, field, field[good].mean() if good.any() else 0.0).astype("f4")


def fit_lines(soil_water: np.ndarray, retrieval: np.ndarray, noise: np.ndarray, mean: np.ndarray) -> tuple[Line, Line]:
    """Fit SMAP on coarse soil water in each cell.

    Parameters
    ----------
    soil_water, retrieval, noise : ndarray (slot, y, x) [m3 m-3]
        Pairs and the standard deviation of each retrieval's noise; NaN where there is none.
    mean : ndarray (y, x)
        Mean soil water of each cell over the training time, for cells without pairs.

    Returns
    -------
    regression : Line
        Least squares, slope and offset shrunk towards the region's: the background.
    matched : Line
        Mean and variance of the retrievals with their noise variance taken out (the usual rescaling): a reference.

    Raises
    ------
    ValueError
        When there are fewer than 10 pairs.
    """
    paired = np.isfinite(soil_water) & np.isfinite(retrieval)
    if paired.sum() < 10:
        raise ValueError(
            f"{int(paired.sum())} training retrievals have ERA5-Land beside them, at least 10 expected: lengthen "
            "split.train, or set smap.quality: lenient"
        )
    x, y = np.where(paired, soil_water, 0.0).astype("f8"), np.where(paired, retrieval, 0.0).astype("f8")
    count = paired.sum(0)
    safe = np.maximum(count, 1)
    mean_x, mean_y = x.sum(0) / safe, y.sum(0) / safe
    dx, dy = np.where(paired, x - mean_x, 0.0), np.where(paired, y - mean_y, 0.0)
    sxx, sxy, syy = (dx**2).sum(0), (dx * dy).sum(0), (dy**2).sum(0)
    if sxx.sum() <= CONSTANT_VARIANCE * count.sum():  # nothing but rounding: no line can be told from it
        sxx, sxy = np.zeros_like(sxx), np.zeros_like(sxy)
    cells = count > 0
    within = sxy.sum() / max(sxx.sum(), 1e-12)
    pull = SHRINKAGE * sxx.sum() / max(count.sum(), 1)
    slope = (sxy + pull * within) / np.maximum(sxx + pull, 1e-12)
    here = np.where(cells, mean_x, mean)
    region_x, region_y = x.sum() / count.sum(), y.sum() / count.sum()
    across = _slope_across(mean_x[cells], mean_y[cells], count[cells])
    expected = region_y + across * (np.nan_to_num(here, nan=region_x) - region_x)
    level = (count * mean_y + SHRINKAGE / 5 * expected) / (count + SHRINKAGE / 5)
    regression = Line((level - slope * np.nan_to_num(here, nan=region_x)).astype("f4"), slope.astype("f4"))

    signal = np.maximum(syy - (np.where(paired, noise, 0.0) ** 2).sum(0), 0.05 * syy)
    region_ratio = np.sqrt(signal.sum() / sxx.sum()) if sxx.any() else 0.0
    enough = (count >= 10) & (sxx > 1e-9)
    ratio = np.where(enough, np.sqrt(signal / np.maximum(sxx, 1e-12)), region_ratio)
    matched = Line((level - ratio * np.nan_to_num(here, nan=region_x)).astype("f4"), ratio.astype("f4"))
    return regression, matched


def _slope_across(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Weighted slope of cell means on cell means."""
    if x.size < 3:
        return 0.0
    mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
    variance = np.average((x - mean_x) ** 2, weights=weight)
    return float(np.average((x - mean_x) * (y - mean_y), weights=weight) / variance) if variance > 1e-12 else 0.0
