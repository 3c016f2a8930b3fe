"""The review of the twin on made-up worlds whose numbers are known: it finds them, and says when they are wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from pscnet.grids import ease2_grid, regular_grid
from pscnet.report.twin_figures import write_twin_figures
from pscnet.validation import ScoreError
from pscnet.validation import twin_seasons as seasons
from pscnet.validation import twin_smap as smap
from pscnet.validation import twin_sources as sources
from pscnet.validation.twin_expected import EXPECTED, judge
from pscnet.validation.twin_review import read_record, write_review

BOX = (30.0, 33.0), (90.0, 93.0)
FINE, COARSE = regular_grid(*BOX), ease2_grid(*BOX)


def stamps(first: str, days: int) -> np.ndarray:
    return np.datetime64(first, "s") + np.arange(days * 8) * np.timedelta64(3, "h")


# Ranges --------------------------------------------------------------------------------------------------------------


def test_a_wrong_bias_is_outside_a_right_one_inside_and_none_is_neither():
    name = "ERA5-Land-like bias, median cell"
    assert [judge(name, value)["inside"] for value in (0.05, 0.10, -0.05, float("nan"))] == [True, False, False, None]
    assert judge(name, float("nan"))["value"] is None
    assert judge(name, 0.05, "arid")["name"] == f"{name}: arid"


def test_every_range_has_a_source_and_its_bounds_in_order():
    for name, wanted in EXPECTED.items():
        assert wanted.source, name
        assert wanted.low is not None or wanted.high is not None, name
        assert None in (wanted.low, wanted.high) or wanted.low <= wanted.high, name
    with pytest.raises(KeyError):
        judge("something else", 1.0)


# Day and year --------------------------------------------------------------------------------------------------------


def daily_wave(amplitude: float, peak_hour: float, days: int = 30) -> np.ndarray:
    """Moisture (time, 3, 4) with a daily wave in local solar time, on a straight drying line."""
    lon = np.array([80.0, 85.0, 95.0, 102.0])
    hours = np.arange(days * 8) * 3.0
    solar = hours[:, None] + lon[None, :] / 15.0
    wave = 0.2 - 1e-4 * hours[:, None] + amplitude * np.cos(2 * np.pi * (solar - peak_hour) / 24)
    return np.repeat(wave[:, None, :], 3, axis=1)


@pytest.mark.parametrize(("amplitude", "peak_hour"), [(0.006, 7.0), (0.02, 17.5)])
def test_amplitude_and_phase_of_a_daily_cycle_are_found(amplitude, peak_hour):
    lon = np.array([80.0, 85.0, 95.0, 102.0])
    anomaly = seasons.day_anomalies(daily_wave(amplitude, peak_hour))
    assert anomaly.shape == (28, 8, 3, 4)
    found = seasons.daily_cycle(anomaly, np.ones((28, 3, 4), bool), lon)
    assert found["peak_hour"] == pytest.approx(peak_hour, abs=0.01)
    # eight stamps a day miss the crest by at most an hour and a half
    assert 2 * amplitude * np.cos(np.pi / 8) <= found["median_range"] <= 2 * amplitude
    assert seasons.daily_cycle(anomaly, np.zeros((28, 3, 4), bool), lon) is None


def test_without_a_daily_cycle_none_is_found_and_the_range_is_outside():
    anomaly = seasons.day_anomalies(daily_wave(0.0, 7.0))
    assert np.abs(anomaly).max() < 1e-12  # the straight line is gone
    plain = daily_wave(0.0, 7.0).reshape(30, 8, 3, 4)
    assert np.ptp(plain - plain.mean(axis=1, keepdims=True)) > 1e-3  # a plain daily mean leaves it in
    found = seasons.daily_cycle(anomaly, np.ones((28, 3, 4), bool), np.full(4, 90.0))
    assert judge("daily range, unfrozen dry days", found["median_range"])["inside"] is False


def test_moisture_against_temperature_has_the_right_sign():
    lon = np.array([80.0, 85.0, 95.0, 102.0])
    everything = np.ones((28, 3, 4), bool)

    def cycle(peak: float) -> dict:
        return seasons.daily_cycle(seasons.day_anomalies(daily_wave(0.01, peak)), everything, lon)

    assert seasons.cycle_agreement(cycle(15.0), cycle(15.0)) == pytest.approx(1.0)
    assert seasons.cycle_agreement(cycle(15.0), cycle(3.0)) == pytest.approx(-1.0)


def test_days_are_sorted_by_frost_rain_and_snow():
    shape = (6 * 8, 1, 2)
    moisture = np.full(shape, 0.2, "f4")
    frozen, snow, rain = np.zeros(shape, bool), np.zeros(shape, bool), np.zeros(shape, "f4")
    frozen[8:12, 0, 0] = True  # day 1: half frozen
    frozen[16:24, 0, 0] = True  # day 2: frozen
    rain[25, 0, 0] = 2.0  # day 3: rain
    snow[34, 0, 0] = True  # day 4: snow
    moisture[20:, 0, 1] += 0.05  # day 2 of the other cell: rain that the reanalysis does not know
    classes = seasons.day_classes(moisture, frozen, snow, rain)
    assert classes["freeze_thaw"][:, 0, 0].tolist() == [True, False, False, False]
    assert classes["frozen"][:, 0, 0].tolist() == [False, True, False, False]
    assert classes["unfrozen"][:, 0, 0].tolist() == [False, False, False, False]
    assert classes["unfrozen"][:, 0, 1].tolist() == [True, False, True, True]


def bumpy_year(peaks: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Two years with a moisture peak of 0.05 around each day of the year."""
    times = stamps("2016-01-01", 731)
    day = (times.astype("M8[D]") - times.astype("M8[Y]").astype("M8[D]")).astype(int)
    return times, 0.1 + sum(0.05 * np.exp(-0.5 * ((day - peak) / 14.0) ** 2) for peak in peaks)


def test_three_peaks_are_counted_and_two_are_outside():
    three = seasons.season_numbers(seasons.mean_year(*bumpy_year([110, 190, 260])))
    assert three["peaks"] == 3
    assert three["peak_thaw"] == pytest.approx(111, abs=2)
    assert three["thaw_day"] == pytest.approx(97, abs=3)  # steepest a standard deviation before the crest
    assert three["thaw_rise"] == pytest.approx(0.05, abs=0.008)
    two = seasons.season_numbers(seasons.mean_year(*bumpy_year([110, 260])))
    assert two["peaks"] == 2
    assert np.isnan(two["peak_early monsoon"])
    assert judge("peaks in the mean year", two["peaks"])["inside"] is False


def test_zones_follow_the_rain_and_small_ones_are_left_out():
    rain = np.full((10, 10), 300.0)
    rain[:3], rain[9, 9] = 100.0, 900.0
    zones = seasons.zones_of(rain)
    assert {name: int(cells.sum()) for name, cells in zones.items()} == {"arid": 30, "semi-arid": 69}


# Reanalysis, rain, stations ------------------------------------------------------------------------------------------


def test_r_and_bias_of_the_reanalysis_leave_shut_ground_out():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.3, (1000, 2, 2))
    model = truth + 0.05
    model[:, 0, 0] = truth[:, 0, 0] + 0.10
    model[:, 1, 1] = rng.uniform(0.1, 0.3, 1000)
    shut = np.zeros(truth.shape, bool)
    shut[:500, 0, 1] = True
    model[:500, 0, 1] = 0.9
    scores = sources.against_truth(model, truth, shut)
    np.testing.assert_allclose(scores["bias"][0], [0.10, 0.05], atol=1e-6)
    assert scores["r"][0, 1] == pytest.approx(1.0)
    assert abs(scores["r"][1, 1]) < 0.1
    open_all = sources.against_truth(model, truth, np.zeros_like(shut))
    assert open_all["bias"][0, 1] > 0.3  # what hiding shut ground prevents


def test_rain_that_is_early_frequent_and_light_is_found():
    rng = np.random.default_rng(1)
    truth = np.where(rng.random((800, 10, 10)) < 0.05, rng.gamma(2.0, 2.0, (800, 10, 10)), 0.0)
    early = np.roll(truth, -1, axis=0)
    numbers = sources.rain_numbers(truth, early, 3.0)
    assert numbers["lead_hours"] == pytest.approx(3.0, abs=0.2)
    spread = 0.45 * truth + 0.3 * (np.roll(truth, -1, axis=0) + np.roll(truth, 1, axis=0))
    numbers = sources.rain_numbers(truth, spread, 3.0)
    assert numbers["frequency_ratio"] > 1.5
    assert numbers["intensity_ratio"] < 0.7
    assert numbers["lead_hours"] == pytest.approx(0.0, abs=0.1)
    same = sources.rain_numbers(truth, truth, 3.0)
    assert (same["frequency_ratio"], same["intensity_ratio"], same["daily_r"]) == pytest.approx((1.0, 1.0, 1.0))
    assert judge("wet steps, ERA5-Land-like over truth", same["frequency_ratio"])["inside"] is False


def test_misplaced_rain_agrees_better_over_an_area():
    rng = np.random.default_rng(2)
    truth = np.where(rng.random((400, 20, 20)) < 0.05, rng.gamma(2.0, 2.0, (400, 20, 20)), 0.0)
    numbers = sources.rain_numbers(truth, np.roll(truth, 1, axis=2), 3.0)
    assert numbers["daily_r"] < 0.2 < numbers["daily_r_50km"] - 0.2


def test_wettings_ignore_drying_and_thaw():
    water = np.array([0.10, 0.12, 0.11, 0.15, 0.20], "f4")[:, None, None]
    shut = np.array([False, False, False, False, True])[:, None, None]
    np.testing.assert_allclose(sources.wettings(water, 50.0, shut).ravel(), [1.0, 0.0, 2.0, np.nan], atol=1e-5)


def station_month(times: np.ndarray, values: np.ndarray, flag: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {"soil_moisture": (("time", "station"), values), "flag": (("time", "station"), flag),
         "latitude": ("station", [31.02, 32.0]), "longitude": ("station", [91.0, 91.98])},
        {"time": times.astype("M8[ns]")},
    )  # fmt: skip


def test_station_error_is_that_of_good_values_on_open_ground():
    times = stamps("2017-07-01", 60)
    truth = xr.DataArray(
        np.random.default_rng(3).uniform(0.1, 0.3, (times.size, *FINE.shape)), {"lat": FINE.lat, "lon": FINE.lon},
        ("time", "lat", "lon"),
    )  # fmt: skip
    at = truth.sel(lat=xr.DataArray([31.0, 32.0]), lon=xr.DataArray([91.0, 92.0]), method="nearest").values
    values, flag = at + np.array([0.03, -0.01]), np.zeros(at.shape, "i1")
    values[::7], flag[::7] = 0.9, 3
    errors = sources.station_errors([station_month(times, values, flag)], times, truth)
    np.testing.assert_allclose(errors, [0.03, 0.01], atol=1e-6)
    bad = sources.station_errors([station_month(times, values, np.zeros_like(flag))], times, truth)
    assert (bad > 0.1).all()  # the flags matter


# SMAP ----------------------------------------------------------------------------------------------------------------


def rough_truth(times: np.ndarray) -> np.ndarray:
    return np.random.default_rng(4).uniform(0.1, 0.3, (times.size, *FINE.shape)).astype("f4")


def smap_months(times: np.ndarray, truth: np.ndarray, width: float, noise: float, common: float = 0.0) -> list:
    """Retrievals of every cell at 06 and 18 local solar time on every second day, as clean months."""
    rng = np.random.default_rng(5)
    weights = smap.gaussian_weights(FINE, COARSE.lat, COARSE.lon, width)
    average = (weights @ truth.reshape(times.size, -1).T).T.reshape(times.size, *COARSE.shape)
    months = []
    for month in np.unique(times.astype("M8[M]")):
        days = np.arange(month, month + 1, dtype="M8[D]")
        offset = np.full((2 * days.size, *COARSE.shape), np.nan)
        value = offset.copy()
        for k in range(0, 2 * days.size, 4):
            for half, solar in enumerate((6.0, 18.0)):
                offset[k + half] = (k // 2) * 24 + solar - COARSE.lon / 15.0
                hours = offset[k + half] + (days[0] - times[0].astype("M8[D]")).astype(int) * 24
                early = np.clip(np.floor(hours / 3).astype(int), 0, times.size - 2)
                y, x = np.indices(COARSE.shape)
                share = hours / 3 - early
                value[k + half] = average[early, y, x] * (1 - share) + average[early + 1, y, x] * share + 0.02
                value[k + half] += rng.normal(0, noise, COARSE.shape) + rng.normal(0, common)
        quality = np.where(np.isfinite(value), 0, 255).astype("u1")
        months.append(
            xr.Dataset(
                {"soil_moisture": (("half_orbit", "y", "x"), value), "time_offset": (("half_orbit", "y", "x"), offset),
                 "quality": (("half_orbit", "y", "x"), quality), "lat": ("y", COARSE.lat), "lon": ("x", COARSE.lon)},
                attrs={"month": str(month)},
            )
        )  # fmt: skip
    return months


def found_width(width: float) -> float:
    times = stamps("2017-06-01", 122)
    truth = rough_truth(times)
    pairs = smap.collect(smap_months(times, truth, width, 0.01), times, smap.inner_cells(FINE, COARSE.lat, COARSE.lon))
    residuals = [
        smap.centred(
            pairs.value - smap.at_pairs(truth, smap.gaussian_weights(FINE, COARSE.lat, COARSE.lon, tried), pairs),
            pairs.cell,
        )[0]
        for tried in smap.WIDTHS
    ]
    return smap.footprint_width(residuals, times[pairs.position.astype(int)].astype("M8[M]").astype(int) - 569)[0]


def test_footprint_width_is_found_and_a_wide_one_is_outside():
    assert found_width(40.0) == pytest.approx(40.0, abs=4.0)
    wide = found_width(55.0)
    assert wide > 48.0
    assert judge("footprint, full width", wide)["inside"] is False


def test_noise_bias_revisit_and_hours_of_retrievals_are_found():
    times = stamps("2017-06-01", 122)
    truth = rough_truth(times)
    inside = smap.inner_cells(FINE, COARSE.lat, COARSE.lon)
    weights = smap.gaussian_weights(FINE, COARSE.lat, COARSE.lon, 40.0)
    correlations = {}
    for common in (0.0, 0.03):
        pairs = smap.collect(smap_months(times, truth, 40.0, 0.03, common), times, inside)
        residual, bias = smap.centred(pairs.value - smap.at_pairs(truth, weights, pairs), pairs.cell)
        assert residual.std() == pytest.approx(np.hypot(0.03, common), rel=0.08)
        assert np.nanmean(bias) == pytest.approx(0.02, abs=0.006)
        correlations[common] = smap.noise_correlation(residual, pairs)
    assert correlations[0.03][1] == pytest.approx(0.5, abs=0.1)
    assert abs(correlations[0.0][1]) < 0.05
    gaps = smap.revisits(pairs, times)
    np.testing.assert_allclose(np.percentile(gaps, [5, 50]), 2.0, atol=1e-6)
    hours = smap.solar_hours(pairs, times, COARSE.lon)
    assert hours[pairs.half % 2 == 0] == pytest.approx(6.0, abs=1e-6)
    assert hours[pairs.half % 2 == 1] == pytest.approx(18.0, abs=1e-6)


def test_a_box_without_inner_cells_is_refused():
    times = stamps("2017-06-01", 30)
    months = smap_months(times, rough_truth(times), 40.0, 0.01)
    with pytest.raises(ScoreError, match="no retrieval in the inner cells"):
        smap.collect(months, times, np.zeros(COARSE.shape, bool))


# Files ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, list]:
    """Fourteen months of truth, predictors, SMAP and stations; the reanalysis is the truth plus 0.10."""
    folder = tmp_path_factory.mktemp("twin")
    times = stamps("2016-05-01", 426)
    rng = np.random.default_rng(6)
    hours = np.arange(times.size) * 3.0
    wave = 0.01 * np.cos(2 * np.pi * (hours[:, None, None] + FINE.lon[None, None, :] / 15.0 - 7.0) / 24)
    truth = (0.2 + wave + 0.05 * np.sin(hours / 1400)[:, None, None] + rng.normal(0, 0.01, FINE.shape)).astype("f4")
    model = truth + np.float32(0.10) + rng.normal(0, 0.005, truth.shape).astype("f4")
    frozen = np.broadcast_to(np.isin(times.astype("M8[M]").astype(int) % 12, (0, 1, 11))[:, None, None], truth.shape)
    warmth = 280.0 - 500 * wave + np.zeros_like(truth)
    paths: dict[str, list] = {name: [] for name in ("truths", "predictors", "smap_months", "stations")}
    retrievals = smap_months(times, truth, 40.0, 0.03)
    for k, month in enumerate(np.unique(times.astype("M8[M]"))):
        here = times.astype("M8[M]") == month
        axes = {"time": times[here].astype("M8[ns]"), "lat": FINE.lat, "lon": FINE.lon}
        dims = ("time", "lat", "lon")
        at = truth[here][:, [20, 10], [10, 20]]
        made = {
            "truths": xr.Dataset(
                {"soil_moisture": (dims, truth[here]), "frozen": (dims, frozen[here].astype("i1")),
                 "snow": (dims, np.zeros(frozen[here].shape, "i1"))}, axes,
            ),
            "predictors": xr.Dataset(
                {"swvl1": (dims, model[here]), "stl1": (dims, warmth[here]),
                 "tp": (dims, np.full(frozen[here].shape, 1e-4, "f4"))}, axes,
            ),
            "smap_months": retrievals[k],
            "stations": station_month(times[here], at + 0.03, np.zeros(at.shape, "i1")),
        }  # fmt: skip
        for name, dataset in made.items():
            paths[name].append(folder / f"{name}_{month}.nc")
            dataset.to_netcdf(paths[name][-1])
    return paths


def test_the_document_says_what_is_wrong_and_draws(files, tmp_path):
    document = write_review(**files, grid=FINE, run="made_up", output=tmp_path / "twin.json")
    assert json.loads((tmp_path / "twin.json").read_text()) == document
    checks = {check["name"]: check for check in document["checks"]}
    wrong = checks["ERA5-Land-like bias, median cell"]
    assert (wrong["value"], wrong["inside"]) == (pytest.approx(0.10, abs=0.001), False)
    right = checks["daily range, unfrozen dry days: semi-arid, summer"]
    assert (right["value"], right["inside"]) == (pytest.approx(0.0195, abs=0.001), True)
    assert checks["noise of recommended retrievals"]["inside"] is False
    assert checks["level around naqu, 95th percentile"]["inside"] is True
    assert "level around ngari, 95th percentile" not in checks  # not in this box
    assert checks["R of daily cycles, moisture and temperature, summer: semi-arid"]["value"] == pytest.approx(-1)
    paths = write_twin_figures(document, tmp_path)
    assert set(paths) == {"seasons", "daily", "era5_land", "rain", "smap"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths.values())


def test_a_missing_predictor_and_a_gap_are_named(files, tmp_path):
    with xr.open_dataset(files["predictors"][0]) as month:
        month.drop_vars("stl1").to_netcdf(tmp_path / "poor.nc")
    with pytest.raises(ScoreError, match=r"poor\.nc.*missing: stl1"):
        read_record(files["truths"][:1], [tmp_path / "poor.nc"], FINE)
    with pytest.raises(ScoreError, match="a gap"):
        read_record([files["truths"][0], files["truths"][2]], [files["predictors"][0], files["predictors"][2]], FINE)
    with pytest.raises(ScoreError, match="other stamps"):
        read_record(files["truths"][:1], files["predictors"][1:2], FINE)
    record = read_record(files["truths"][:2], files["predictors"][:2], FINE)
    assert record.times.size == 61 * 8
    assert not replace(record, frozen=np.zeros_like(record.frozen)).shut.any()
