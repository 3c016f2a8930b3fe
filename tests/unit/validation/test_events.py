"""Rain events, answers to them and dry-downs against series that were made with known sizes, delays and constants."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from pscnet.validation.events import (
    BEFORE,
    Events,
    composite,
    dry_downs,
    find_events,
    fit_exponential,
    responses,
    windows,
)

STEPS = 8 * 40


def rain_at(*events: tuple[int, float], cells: int = 1) -> np.ndarray:
    rain = np.zeros((STEPS, cells))
    for step, amount in events:
        rain[step] = amount
    return rain


def test_events_by_hand():
    events = find_events(rain_at((100, 6.0)))
    assert events.start.tolist() == [100] and events.cell.tolist() == [0]
    assert events.rain.tolist() == [6.0]
    # Dry from the next step on, longer than the longest dry-down.
    assert events.dry_start.tolist() == [101] and events.dry_steps.tolist() == [96]


@pytest.mark.parametrize(
    ("rain", "count"),
    [
        (rain_at((100, 4.9)), 0),  # too little
        (rain_at((100, 3.0), (104, 2.5)), 1),  # enough within 24 hours
        (rain_at((100, 3.0), (109, 4.5)), 0),  # too late, and the second has rain before it
        (rain_at((94, 0.4), (95, 0.4), (96, 0.4), (100, 6.0)), 0),  # rain within the dry hours
        (rain_at((95, 0.9), (100, 6.0)), 1),  # drizzle is allowed
        (rain_at((91, 5.0), (100, 6.0)), 1),  # the second lies within the answer to the first
        (rain_at((80, 5.0), (100, 6.0)), 2),
        (rain_at((3, 6.0)), 0),  # no day before it
        (rain_at((STEPS - 5, 6.0)), 0),  # no answer after it
    ],
)
def test_what_counts_as_an_event(rain, count):
    assert len(find_events(rain)) == count


@pytest.mark.parametrize(("unknown", "count"), [(91, 1), (92, 0), (97, 0), (115, 0), (116, 1)])
def test_unknown_rain_makes_no_event(unknown, count):
    """From 24 hours before the first wet step to the last of the 48 hours from it on."""
    rain = rain_at((100, 6.0))
    rain[unknown] = np.nan
    assert len(find_events(rain)) == count


def test_a_dry_down_ends_with_the_next_rain():
    events = find_events(rain_at((100, 6.0), (102, 1.0), (103 + 30, 0.6)))
    assert events.dry_start.tolist() == [103] and events.dry_steps.tolist() == [30]
    assert find_events(rain_at((100, 6.0), (101 + 20, 0.6), (101 + 42, 0.6))).dry_steps.tolist() == [0]


def answer(events: Events, rise: float, delay: int, tau: float, cells: int = 1) -> np.ndarray:
    """A series that climbs along a line for ``delay`` steps from the start of the rain, then dries."""
    series = np.full((STEPS, cells), 0.1)
    for start, cell in zip(events.start, events.cell, strict=True):
        time = np.arange(STEPS) - (start - 1)
        up = rise * np.clip(time / delay, 0, 1)
        down = rise * np.exp(-np.maximum(time - delay, 0) / 8 / tau)
        series[:, cell] += np.where(time <= delay, up, down)
    return series


@pytest.mark.parametrize("delay", [2, 5])
@pytest.mark.parametrize("tau", [1.5, 6.0])
def test_known_answers_are_found(delay, tau):
    events = find_events(rain_at((100, 6.0), cells=3))
    found = responses(answer(events, 0.08, delay, tau, 3), events)
    assert found["rise"] == pytest.approx(0.08, abs=1e-12)
    assert found["peak_delay"] == pytest.approx(3.0 * delay)
    assert found["half_delay"] == pytest.approx(1.5 * delay)
    assert found["tau"] == pytest.approx(tau, rel=0.01)
    assert (found["fit"] == 1).all()


def test_a_rise_before_the_rain_has_a_negative_delay():
    events = find_events(rain_at((100, 6.0)))
    early = np.roll(answer(events, 0.08, 2, 4.0), -4, axis=0)
    assert responses(early, events)["half_delay"][0] == pytest.approx(3.0 - 12.0, abs=1.5)


def test_no_answer_has_no_delay():
    events = find_events(rain_at((100, 6.0)))
    found = responses(np.full((STEPS, 1), 0.2), events)
    assert found["rise"] == pytest.approx(0.0)
    assert all(np.isnan(found[key]).all() for key in ("peak_delay", "half_delay", "tau"))
    assert found["fit"].tolist() == [0.0]
    gap = answer(events, 0.08, 2, 4.0)
    gap[103] = np.nan
    found = responses(gap, events)
    assert all(np.isnan(values).all() for values in found.values())


def test_fits_agree_with_scipy():
    rng = np.random.default_rng(3)
    time = np.arange(48) / 8
    curves = []
    for _ in range(20):
        a, tau, b = rng.uniform(0.03, 0.1), rng.uniform(0.5, 6.0), rng.uniform(0.05, 0.3)
        curves.append(a * np.exp(-time / tau) + b + 0.002 * rng.standard_normal(time.size))
    found = fit_exponential(np.array(curves))
    for curve, tau in zip(curves, found, strict=True):
        best, _ = curve_fit(lambda t, a, tau, b: a * np.exp(-t / tau) + b, time, curve, (0.05, 2.0, 0.1), maxfev=5000)
        assert tau == pytest.approx(best[1], rel=0.01)


def test_series_of_other_lengths_are_fitted_together():
    time = np.arange(96) / 8
    curve = 0.05 * np.exp(-time / 2.0) + 0.1
    short = np.where(np.arange(96) < 32, curve, np.nan)
    assert fit_exponential(np.array([curve, short])) == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(
    "series",
    [
        0.1 + 0.01 * np.arange(40),  # it rises
        0.3 - 0.01 * np.arange(40),  # a straight line has no time constant
        0.2 + 0.01 * np.sin(np.arange(40) * np.pi / 4),  # a daily cycle alone
        np.full(40, 0.2),
    ],
    ids=["rising", "straight", "daily", "constant"],
)
def test_bad_fits_fail(series):
    """The control of the fits."""
    assert np.isnan(fit_exponential(series[None, :])).all()


def test_no_dry_down_no_time_constant():
    events = find_events(rain_at((100, 6.0), (110, 0.6), (120, 0.6), (130, 0.6), (150, 0.6)))
    tau, fit = dry_downs(answer(events, 0.08, 2, 2.0), events)
    assert events.dry_steps.tolist() == [0]
    assert np.isnan(tau).all() and np.isnan(fit).all()


@pytest.mark.parametrize(("late", "fitted"), [(0, True), (6, True), (7, False)])
def test_a_fit_rests_on_three_days_at_least(late, fitted):
    """The spell lasts 30 steps: a maximum in its seventh leaves 24, one in its eighth two whole days."""
    events = find_events(rain_at((100, 6.0), (101 + 30, 0.6)))
    assert events.dry_start.tolist() == [101] and events.dry_steps.tolist() == [30] and events.fewest == 24
    time = np.arange(STEPS) - 101 - late
    series = np.where(time < 0, 0.15, 0.1 + 0.08 * np.exp(-np.maximum(time, 0) / 8 / 1.5))[:, None]
    tau, fit = dry_downs(series, events)
    assert np.isfinite(tau[0]) == fitted and np.isfinite(fit[0]) == fitted
    if fitted:
        assert tau[0] == pytest.approx(1.5, rel=0.01)


def test_windows_and_composite():
    events = find_events(rain_at((100, 6.0), cells=2))
    series = np.arange(STEPS, dtype=float)[:, None] + np.array([0.0, 1000.0])
    around = windows(series, events)
    assert around[0, BEFORE] == 100 and around[1, BEFORE] == 1100 and around[0, 0] == 92
    mean, n = composite(answer(events, 0.08, 2, 2.0, 2), events)
    assert n.tolist() == [2] * len(n)
    assert mean[:BEFORE] == pytest.approx(0.0, abs=1e-12) and mean.max() == pytest.approx(0.08)
