"""The daily cycle: known amplitudes and phases are found, drifts are not taken for cycles; changes and their R."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import circmean, circstd

from pscnet.validation.diurnal import (
    Harmonics,
    around,
    change_row,
    daily_harmonics,
    direction,
    harmonic_row,
    mean_cycle,
    within_day,
)
from pscnet.validation.resampling import draw_weights
from pscnet.validation.seasons import season_of, seasons_of

DAYS, CELLS = 40, 30
HOURS = 3.0 * np.arange(8 * DAYS)
LON = np.linspace(80.0, 100.0, CELLS)


def cycle(amplitude: float, at: float, lon: np.ndarray = LON) -> np.ndarray:
    """A cycle (time, cell) with its maximum at a local solar hour."""
    return amplitude * np.cos(2 * np.pi * (HOURS[:, None] + lon / 15.0 - at) / 24.0)


def test_amplitude_and_phase_in_local_solar_time():
    harmonics = daily_harmonics(0.2 + cycle(0.01, 14.5), LON)
    inner = harmonics[1:-1]
    assert np.abs(inner) == pytest.approx(0.01, abs=1e-12)
    assert np.mod(np.angle(inner) * 12 / np.pi, 24) == pytest.approx(14.5, abs=1e-9)
    # The first and last days lack half of their 24-hour means.
    assert np.isnan(harmonics[0]).all() and np.isnan(harmonics[-1]).all()


def test_a_drift_is_no_cycle():
    drift = np.repeat(0.3 - 0.0005 * HOURS[:, None], CELLS, axis=1)
    assert within_day(drift)[4:-4] == pytest.approx(0.0, abs=1e-12)
    assert np.nanmax(np.abs(daily_harmonics(drift, LON))) < 1e-12
    # The control: less the mean of the calendar day, a dry-down looks like a cycle.
    days = drift.reshape(DAYS, 8, CELLS)
    naive = np.abs(
        np.einsum("dhc,h->dc", days - days.mean(axis=1, keepdims=True), np.exp(2j * np.pi * np.arange(8) / 8))
    )
    assert (2 / 8 * naive > 0.003).all()


def test_incomplete_days_are_left_out():
    field = 0.2 + cycle(0.01, 6.0)
    field[80] = np.nan
    harmonics = daily_harmonics(field, LON)
    assert np.isnan(harmonics[9:11]).all() and np.isfinite(harmonics[[8, 12]]).all()


def parts(**fields: np.ndarray) -> Harmonics:
    block = np.arange(DAYS) // 5
    made = {name: daily_harmonics(field, LON) for name, field in fields.items()}
    return Harmonics(made, block, np.ones(DAYS, bool))


def test_rows_against_the_truth():
    rng = np.random.default_rng(0)
    sizes = rng.uniform(0.004, 0.012, CELLS)
    truth = 0.2 + cycle(1.0, 23.0) * sizes + 0.002 * rng.standard_normal((HOURS.size, CELLS))
    late = 0.2 + cycle(1.0, 1.0) * (0.5 * sizes) + 0.002 * rng.standard_normal(truth.shape)
    row = harmonic_row("late", "summer", parts(late=late, truth=truth), "late", "truth", 200)
    assert row.values["amplitude"] == pytest.approx(0.5 * sizes.mean(), rel=0.05)
    assert row.values["amplitude_bias"] == pytest.approx(-0.5 * sizes.mean(), rel=0.05)
    assert row.values["amplitude_r"] > 0.9 and row.values["cells"] == CELLS
    # Across midnight: 01 is two hours after 23, not 22 before it.
    assert row.values["phase"] == pytest.approx(1.0, abs=0.1)
    assert row.values["phase_bias"] == pytest.approx(2.0, abs=0.1)
    for key in ("amplitude", "phase", "phase_bias"):
        low, high = row.intervals[key]
        assert low < row.values[key] < high and high - low < 0.6


def test_no_cycle_has_no_phase():
    flat = np.full((HOURS.size, CELLS), 0.2)
    row = harmonic_row("flat", "", parts(flat=flat, truth=0.2 + cycle(0.01, 6.0)), "flat", "truth", 50)
    assert row.values["amplitude"] == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(row.values["phase"]) and np.isnan(row.values["phase_bias"]) and np.isnan(row.values["amplitude_r"])
    alone = harmonic_row("truth", "", parts(truth=0.2 + cycle(0.01, 6.0)), "truth", None, 50)
    assert np.isnan(alone.values["amplitude_bias"]) and alone.values["phase"] == pytest.approx(6.0)


def test_circular_statistics_are_scipys():
    hours = np.array([[23.5, 0.25, 1.0, 22.0, 2.0]])
    middle, spread = direction(np.exp(2j * np.pi * hours / 24))
    assert np.mod(middle[0], 24) == pytest.approx(circmean(hours[0], high=24, low=0))
    assert spread[0] == pytest.approx(circstd(hours[0], high=24, low=0))
    assert np.isnan(direction(np.full((1, 3), np.nan))[0]).all()
    assert around(np.array([23.0, -13.0, 5.0])).tolist() == [-1.0, 11.0, 5.0]


def test_mean_cycle():
    field = 0.2 + cycle(0.01, 0.0, np.zeros(CELLS))
    assert mean_cycle(field, np.ones(DAYS, bool)) == pytest.approx(0.01 * np.cos(np.pi * np.arange(8) / 4))
    assert np.isnan(mean_cycle(field * np.nan, np.ones(DAYS, bool))).all()


def test_changes_tell_followers_from_strangers():
    rng = np.random.default_rng(1)
    truth = 0.2 + 0.01 * np.cumsum(rng.standard_normal((HOURS.size, CELLS)), axis=0)
    block = np.repeat(np.arange(DAYS) // 5, 8)
    weights = draw_weights(8, 100, 0)
    row = change_row("follower", truth + 0.005 * rng.standard_normal(truth.shape), truth, block, 8, weights)
    # Changes have variance 1e-4, and with noise 1e-4 + 2 * 25e-6.
    assert row.values["r_3h"] == pytest.approx(np.sqrt(1 / 1.5), abs=0.01)
    assert row.values["std_3h"] == pytest.approx(0.01 * np.sqrt(1.5), rel=0.02)
    assert row.values["r_day"] > 0.95
    assert row.intervals["r_3h"][0] < row.values["r_3h"] < row.intervals["r_3h"][1]
    assert row.values["n_3h"] == (HOURS.size - 1) * CELLS and row.values["n_day"] == (DAYS - 1) * CELLS
    stranger = change_row("stranger", np.roll(truth, 80, axis=0), truth, block, 8, weights)
    assert abs(stranger.values["r_3h"]) < 0.03
    alone = change_row("alone", truth, None, block, 8, weights)
    assert "r_3h" not in alone.values and alone.values["std_day"] > 0


def test_changes_in_few_blocks_have_no_interval():
    """The ground is thawed in two of eight blocks alone: a value, and no interval of zero width."""
    rng = np.random.default_rng(1)
    truth = 0.2 + 0.01 * np.cumsum(rng.standard_normal((HOURS.size, CELLS)), axis=0)
    block = np.repeat(np.arange(DAYS) // 5, 8)
    weights = draw_weights(8, 100, 0)
    for known, some in ((2, False), (6, True)):
        field = np.where((block < known)[:, None], truth, np.nan) + 0.005 * rng.standard_normal(truth.shape)
        row = change_row("thawed", field, truth, block, 8, weights)
        assert np.isfinite(row.values["r_3h"]) and np.isfinite(row.intervals["r_3h"]).all() == some


def test_seasons():
    months = np.array([f"2017-{month:02d}" for month in range(1, 13)], "M8[M]").astype("M8[ns]")
    names = ["MAM", "JJA", "SON", "DJF"]
    expected = ["DJF", "DJF"] + [name for name in names[:3] for _ in range(3)] + ["DJF"]
    assert [names[number] for number in season_of(months)] == expected
    assert [name for _, name in seasons_of(months[5:9])] == ["JJA", "SON"], "no word of a hemisphere"
