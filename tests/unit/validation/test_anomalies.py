"""Anomalies from a moving average: pytesmo's numbers, for whole fields; a season is taken out, weather is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pytesmo.time_series.anomaly import calc_anomaly

from pscnet.validation.anomalies import anomalies, anomaly_moments

TIMES = np.datetime64("2017-01-01", "ns") + np.arange(8 * 120) * np.timedelta64(3, "h")


@pytest.fixture
def series() -> np.ndarray:
    """Soil moisture (time, 3) with holes."""
    rng = np.random.default_rng(0)
    values = 0.2 + 0.05 * np.cumsum(rng.standard_normal((TIMES.size, 3)), axis=0) / 30
    values[rng.random(values.shape) < 0.3] = np.nan
    return values


@pytest.mark.parametrize("window", [35, 7])
def test_anomalies_are_those_of_pytesmo(series, window):
    # pytesmo works on Julian days as doubles, 4e-10 day wide: the window's very edge would be a matter of rounding.
    times = TIMES + np.random.default_rng(1).integers(0, 3600, TIMES.size) * np.timedelta64(1, "s")
    got = anomalies(series, times, window, minimum=1)
    for cell in range(3):
        expected = calc_anomaly(pd.Series(series[:, cell], pd.DatetimeIndex(times)), window_size=window)
        np.testing.assert_allclose(got[:, cell], expected.to_numpy(), atol=1e-12)


def test_anomalies_by_hand():
    times = np.array(["2017-01-01", "2017-01-02", "2017-01-05", "2017-01-06"], "M8[ns]")
    values = np.array([1.0, 3.0, 5.0, np.nan])
    np.testing.assert_allclose(anomalies(values, times, 2.0, 1), [-1.0, 1.0, 0.0, np.nan])
    # The edge belongs to the window.
    np.testing.assert_allclose(anomalies(values, times, 6.0, 1), [1 - 2, 3 - 3, 5 - 4, np.nan])
    np.testing.assert_allclose(anomalies(values, times, 6.0, 3), [np.nan, 0.0, np.nan, np.nan])


def test_a_shared_season_makes_r_but_no_anomaly_r():
    rng = np.random.default_rng(2)
    times = np.datetime64("2017-01-01", "ns") + np.arange(2 * 365) * np.timedelta64(12, "h")
    season = 0.1 * np.sin(2 * np.pi * np.arange(times.size) / times.size)
    x, y = (season + 0.02 * rng.standard_normal(times.size) for _ in range(2))
    assert np.corrcoef(x, y)[0, 1] > 0.9
    assert abs(anomaly_moments(x, y, times).r()) < 0.15
    # The control: shared weather stays.
    weather = 0.05 * rng.standard_normal(times.size)
    assert anomaly_moments(x + weather, y + weather, times).r() > 0.8


def test_both_sides_are_taken_on_common_stamps(series):
    x, y = series[:, 0], series[:, 1]
    both = np.isfinite(x) & np.isfinite(y)
    got = anomaly_moments(x, y, TIMES)
    only = anomaly_moments(x[both], y[both], TIMES[both])
    assert got.n == both.sum()
    assert got.r() == pytest.approx(only.r(), abs=1e-12)


def test_bad_times_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        anomalies(np.zeros(3), TIMES[[0, 2, 1]])
    with pytest.raises(ValueError, match="a time for each"):
        anomalies(np.zeros(3), TIMES[:2])
