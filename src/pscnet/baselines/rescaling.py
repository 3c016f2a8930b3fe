"""Backgrounds without a net: ERA5-Land rescaled to SMAP by a line of each cell, and SMAP's own mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pscnet.regrid import apply
from pscnet.samples.background import Background, Line, filled
from pscnet.samples.normaliser import Normaliser
from pscnet.weights import Weights


def fine_line(line: Line, bilinear: Weights) -> Line:
    """A line of each coarse cell, its coefficients interpolated to the fine grid."""
    return Line(apply(bilinear, line.intercept)[0], apply(bilinear, line.slope)[0])


def through_line(variable: str, fine: Line, land: np.ndarray, conservative: Weights) -> Background:
    """ERA5-Land's own field through a line of each fine cell, and the footprint means of that field.

    Unlike PSCNet's background it keeps ERA5-Land's lasting fine anomalies and has no fitted pattern.

    Parameters
    ----------
    variable : str
        The predictor that is rescaled.
    fine : Line
        Coefficients (lat, lon).
    land : ndarray (lat, lon) bool
    conservative : Weights
        Fine to coarse.
    """
    means = (apply(conservative, np.where(land, part, np.nan))[0] for part in (fine.intercept, fine.slope))
    none, none_coarse = np.zeros(land.shape, "f4"), np.zeros(conservative.dst_shape, "f4")
    return Background(variable, fine, Line(*map(filled, means)), none, none_coarse, none, none_coarse)


def regressed_era5_land(
    normaliser: Normaliser, land: np.ndarray, conservative: Weights, bilinear: Weights
) -> Background:
    """ERA5-Land through the regression line of SMAP on it, the background of optimal interpolation.

    Matched variances would put ERA5-Land's errors into the background at full size: with the regression line, which
    PSCNet's background has too, training innovations are smaller and more likely.
    """
    background = normaliser.background
    return through_line(background.variable, background.fine, land, conservative)


def mean_smap(normaliser: Normaliser, land: np.ndarray, conservative: Weights, bilinear: Weights) -> Background:
    """SMAP's training mean of each cell, constant in time: the matched line at mean soil water, without slope."""
    variable = normaliser.background.variable
    water = normaliser.lasting[normaliser.predictors.index(variable)]
    level = normaliser.matched(filled(apply(conservative, np.where(land, water, np.nan))[0]))
    fine = fine_line(Line(level.astype("f4"), np.zeros(level.shape, "f4")), bilinear)
    return through_line(variable, fine, land, conservative)


#: Background of each kriged method, by the method's name.
BACKGROUNDS: dict[str, Callable[[Normaliser, np.ndarray, Weights, Weights], Background]] = {
    "smap_kriged": mean_smap,
    "optimal_interpolation": regressed_era5_land,
}
