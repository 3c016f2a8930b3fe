"""What is left of a series when its season is taken out: departures from a moving average of 35 days.

The definition of pytesmo's ``calc_anomaly`` (centred window, both ends belong to it) for whole fields at once; the
window of 35 days is that of most evaluations of satellite soil moisture (Albergel et al. 2012, Remote Sensing of
Environment 118, 215; Gruber et al. 2020, Remote Sensing of Environment 244, 111806).
"""

from __future__ import annotations

import numpy as np

from pscnet.scores import PairMoments

#: Length of the window [day].
WINDOW_DAYS = 35.0

#: Fewest values of a window whose mean says something of the season (ours: one a week).
MINIMUM_OF_WINDOW = 5

_DAY = np.timedelta64(1, "D").astype("m8[ns]").astype(np.int64)


def anomalies(
    values: np.ndarray, times: np.ndarray, window_days: float = WINDOW_DAYS, minimum: int = MINIMUM_OF_WINDOW
) -> np.ndarray:
    """Departures of each value from the mean of the finite values within half a window before and after it.

    Parameters
    ----------
    values : ndarray (time, ...)
        NaN where there is none; the stamps may lie at any distances.
    times : datetime64 (time,)
        In ascending order.
    window_days : float [day]
    minimum : int
        Fewest finite values of a window; NaN where it holds fewer.

    Returns
    -------
    ndarray of float (time, ...), in the unit of ``values``

    Raises
    ------
    ValueError
        When there are not as many times as values, or they do not ascend.
    """
    values, stamps = np.asarray(values, dtype=float), np.asarray(times).astype("M8[ns]").astype(np.int64)
    if stamps.shape != values.shape[:1]:
        raise ValueError(f"expected a time for each of the {len(values)} values, found {stamps.size} times")
    if (np.diff(stamps) < 0).any():
        raise ValueError("expected times in ascending order; sort the values by time")
    half = round(0.5 * window_days * _DAY)
    first, end = np.searchsorted(stamps, stamps - half, "left"), np.searchsorted(stamps, stamps + half, "right")
    good = np.isfinite(values)
    count = good.sum(axis=0)
    # About their own mean, so that running sums lose no digits.
    level = np.where(good, values, 0.0).sum(axis=0) / np.maximum(count, 1)
    sums = _running(np.where(good, values - level, 0.0))
    counts = _running(good.astype(np.int64))
    n = counts[end] - counts[first]
    mean = level + (sums[end] - sums[first]) / np.maximum(n, 1)
    return np.where(good & (n >= max(minimum, 1)), values - mean, np.nan)


def _running(values: np.ndarray) -> np.ndarray:
    """Sums (time + 1, ...) of the values before each position."""
    return np.concatenate([np.zeros((1, *values.shape[1:]), values.dtype), np.cumsum(values, axis=0)])


def anomaly_moments(
    x: np.ndarray,
    y: np.ndarray,
    times: np.ndarray,
    window_days: float = WINDOW_DAYS,
    minimum: int = MINIMUM_OF_WINDOW,
) -> PairMoments:
    """Moments (...) of the anomalies of both sides, taken on the stamps where both have a value.

    Parameters
    ----------
    x, y : ndarray (time, ...)
    times : datetime64 (time,)
        See :func:`anomalies`.

    Returns
    -------
    PairMoments
        Its ``r()`` is the anomaly R.
    """
    both = np.isfinite(x) & np.isfinite(y)
    sides = [anomalies(np.where(both, side, np.nan), times, window_days, minimum) for side in (x, y)]
    return PairMoments.of(*sides)
