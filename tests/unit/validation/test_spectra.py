"""Spectra: densities integrate to the variance, waves stand at their scale, and the effective resolution is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.signal import welch

from pscnet.grids import regular_grid
from pscnet.validation.sampled import TRUTH
from pscnet.validation.spectra import (
    KM_OF_DEGREE,
    SpaceSpectra,
    binned,
    densities,
    falls_below_half,
    never_above_half,
    time_spectra,
)

STEPS, CELLS = 8 * 62, 200
GRID = regular_grid((31.0, 35.7), (91.0, 95.7))
REGION = np.ones(GRID.shape, bool)
STARTS = np.array(["2017-07-01", "2017-07-09"], "M8[ns]")


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return 0.05 * np.random.default_rng(0).standard_normal((STEPS, CELLS))


def test_white_noise_has_the_density_of_its_variance(noise):
    made = time_spectra({TRUTH: noise})
    density = made.mean(TRUTH)[0]
    # One-sided: 2 s^2 dt, with dt an eighth of a day.
    assert density[2:-2].mean() == pytest.approx(2 * 0.05**2 / 8, rel=0.01)
    assert (density * made.frequency[0]).sum() == pytest.approx(0.05**2, rel=0.01)
    assert made.used == 3 * CELLS and made.left_out == 0
    assert made.frequency[0] == pytest.approx(1 / 30) and made.frequency[-1] == pytest.approx(4.0)


def test_densities_are_those_of_scipy(noise):
    segment = noise[:240, :1].T
    transforms, cycles = densities(segment, 0.125)
    frequency, expected = welch(segment[0], fs=8.0, window="hann", nperseg=240, detrend="linear")
    np.testing.assert_allclose(np.abs(transforms[0]) ** 2, expected[1:], rtol=1e-9)
    np.testing.assert_allclose(cycles * 8.0, frequency[1:])


def test_segments_with_gaps_are_left_out_and_counted(noise):
    holes = noise.copy()
    holes[10, :50] = np.nan
    holes[:, 150:] = np.nan
    made = time_spectra({TRUTH: noise + 0 * holes})
    assert made.left_out == 50 and made.used == 150 * 3 - 50
    assert time_spectra({TRUTH: noise[:60]}) is None, "shorter than eight days"
    assert time_spectra({TRUTH: noise * np.nan}) is None


def test_the_effective_resolution_of_a_filter_is_known(noise):
    """A Gaussian of s steps passes exp(-(2 pi f s)^2): half of the power at f = sqrt(ln 2) / (2 pi s)."""
    smooth = gaussian_filter1d(noise, 4.0, axis=0, mode="wrap")
    made = binned(time_spectra({"smooth": smooth, TRUTH: noise}))
    expected = 2 * np.pi * 4.0 / np.sqrt(np.log(2)) / 8
    assert made.resolution("smooth")["power"][0] == pytest.approx(expected, rel=0.1)
    # A filter loses nothing of the coherence; a stranger with the right power has none.
    assert made.coherence("smooth")[0][:10].min() > 0.95
    stranger = binned(time_spectra({"stranger": noise[:, ::-1], TRUTH: noise}))
    assert np.isnan(stranger.resolution("stranger")["power"]).all()
    assert stranger.coherence("stranger").max() < 0.1
    assert np.isnan(stranger.resolution("stranger")["coherence"][0]) and stranger.never("stranger") == ["coherence"]
    assert made.never("smooth") == []


def test_coherence_with_noise_is_the_share_of_the_signal(noise):
    other = noise + 0.05 * np.random.default_rng(1).standard_normal(noise.shape)
    made = time_spectra({"noisy": other, TRUTH: noise})
    assert made.coherence("noisy")[0].mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        ([1.0, 1.0, 0.5, 0.1], 1 / 4.0),
        ([1.0, 0.75, 0.25, 0.1], 1 / np.sqrt(8.0)),
        ([1.0, 1.0, 1.0, 0.9], np.nan),
        ([1.0, 0.9, np.nan, 0.1], 1 / 8.0),
        # The longest scale is not looked at: what is amiss there alone is no resolution of 1.
        ([0.2, 1.0, 1.0, 1.0], np.nan),
        ([0.2, 1.0, 0.5, 0.1], 1 / 4.0),
        ([np.nan, 1.0, 0.5, 0.1], 1 / 4.0),
        # Never above one half: there is no scale to name, whatever the longest one says.
        ([0.2, 0.2, 0.3, 0.1], np.nan),
        ([1.0, 0.4, 0.3, 0.1], np.nan),
        ([np.nan] * 4, np.nan),
    ],
)
def test_where_a_ratio_falls_below_half(ratio, expected):
    found = falls_below_half(np.array([1.0, 2.0, 4.0, 8.0]), np.array([ratio]))[0]
    assert found == pytest.approx(expected, rel=0.02, nan_ok=True)


def test_ratios_that_are_never_above_half():
    ratios = [[1.0, 0.4, 0.3, 0.1], [0.1, 0.1, 0.6, 0.1], [np.nan] * 4]
    assert never_above_half(np.array(ratios)).tolist() == [True, False, True]


def in_space(**fields: np.ndarray) -> SpaceSpectra:
    """Fields (16 days x 8, lat, lon)."""
    made = SpaceSpectra(GRID, REGION, STARTS)
    times = STARTS[0] + np.arange(8 * 16) * np.timedelta64(3, "h")
    made(times, fields)
    return made


def test_a_wave_stands_at_its_wavelength_in_km():
    x = KM_OF_DEGREE * np.cos(np.deg2rad(GRID.lat))[:, None] * (GRID.lon - GRID.lon[0])
    wave = np.repeat(np.sin(2 * np.pi * x / 90.0)[None], 128, axis=0)
    made = in_space(**{TRUTH: wave}).spectra()
    power = made.mean(TRUTH)[0]
    step = made.frequency[1] / made.frequency[0]
    assert np.abs(np.log(made.frequency[power.argmax()] * 90.0)) < np.log(step)


def test_white_noise_in_space():
    rng = np.random.default_rng(2)
    truth = 0.05 * rng.standard_normal((128, *GRID.shape))
    spectra = in_space(**{TRUTH: truth, "half": np.sqrt(0.5) * truth})
    made = spectra.spectra()
    # 2 s^2 d: cells are 11.1 km high and 9.0 to 9.5 km wide.
    assert made.mean(TRUTH)[0].mean() == pytest.approx(2 * 0.05**2 * 0.5 * (11.1 + 9.3), rel=0.05)
    assert spectra.length == 48 and made.used == 16 * 2 * 48 and made.left_out == 0
    np.testing.assert_allclose(made.mean("half") / made.mean(TRUTH), 0.5, rtol=1e-9)


def test_the_effective_resolution_in_space_is_that_of_the_filter():
    """Stripes along rows and along columns: what crosses a line does not alias into its spectrum."""
    rng = np.random.default_rng(4)
    stripes = [rng.standard_normal((128, 48)) for _ in range(2)]

    def field(parts: list[np.ndarray]) -> np.ndarray:
        return parts[0][:, :, None] + parts[1][:, None, :]

    smooth = [gaussian_filter1d(part, 2.0, axis=1, mode="wrap") for part in stripes]
    made = in_space(**{TRUTH: field(stripes), "smooth": field(smooth)}).spectra()
    expected = 2 * np.pi * 2.0 * 10.2 / np.sqrt(np.log(2))
    assert made.resolution("smooth")["power"][0] == pytest.approx(expected, rel=0.2)
    drawn = made.resolution("smooth", np.array([[1.0, 1.0], [2.0, 0.0]]))["power"]
    assert drawn[0] == made.resolution("smooth")["power"][0] != drawn[1]


def test_gaps_and_small_regions_in_space():
    truth = np.random.default_rng(3).standard_normal((128, *GRID.shape))
    truth[:, 5, 7] = np.nan
    made = in_space(**{TRUTH: truth}).spectra()
    assert made.left_out == 2 * 16 and made.used == 94 * 16
    small = SpaceSpectra(GRID, np.eye(48, dtype=bool), STARTS)
    small(STARTS, {TRUTH: truth[:2]})
    assert small.length == 0 and small.spectra() is None
