"""Scores at stations: hand-computed values, honest gaps, coverage of intervals, and the check against the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pytesmo import metrics
from pytesmo.time_series.anomaly import calc_anomaly

from pscnet.grids import ease2_grid, regular_grid
from pscnet.validation import METHODS, PRODUCT, ScoreError
from pscnet.validation.blocks import block_starts
from pscnet.validation.document import read_document
from pscnet.validation.leakage import LEARNT
from pscnet.validation.station_hours import ALL_HOURS, OVERPASS, hour_table, relative_change
from pscnet.validation.station_match import Match, match, read_smap
from pscnet.validation.station_networks import ALL, Pairs, mean_series, network_table, score_all
from pscnet.validation.station_scores import Rules, daily_means, over_stations, score
from pscnet.validation.station_truth import CONTROL, truth_check
from pscnet.validation.stations import make_document, validate_stations, write_series
from pscnet.variables import FLAG_BITS

INTERVALS = [("2017-07-01T00:00", "2017-09-01T00:00")]
TIMES = np.arange(np.datetime64("2017-07-01", "ns"), np.datetime64("2017-09-01", "ns"), np.timedelta64(3, "h"))
RULES = Rules(120, 1 / 8, 35.0, block_starts(INTERVALS, 8), 400)
NOISE = {PRODUCT: 0.015, "era5_land": 0.04, "era5_land_rescaled": 0.03, "smap_interpolated": 0.025}


def wander(rng: np.random.Generator, count: int, size: float, days: float) -> np.ndarray:
    """Series (count, time) that forget within so many days."""
    keep = np.exp(-1 / (8 * days))
    out, state = np.empty((count, TIMES.size)), rng.standard_normal(count)
    for step in range(TIMES.size):
        state = keep * state + np.sqrt(1 - keep**2) * rng.standard_normal(count)
        out[:, step] = state
    return size * out


def world(seed: int = 0, networks: dict[str, int] | None = None) -> Match:
    """Made-up stations that err in gain and drift, and methods that err more and more."""
    rng = np.random.default_rng(seed)
    names = [(net, f"S{k}") for net, count in (networks or {"A": 6, "B": 6}).items() for k in range(count)]
    n = len(names)
    truth = 0.2 + wander(rng, n, 0.05, 4)
    gain = rng.uniform(0.85, 1.15, (n, 1))
    measured = 0.2 + gain * (truth - 0.2) + 0.03 * rng.standard_normal((n, 1)) + wander(rng, n, 0.012, 10)
    fields = {name: truth + wander(rng, n, size, 2) + 0.01 for name, size in NOISE.items()}
    smap = np.where(rng.random(truth.shape) < 0.1, truth + 0.04 * rng.standard_normal(truth.shape), np.nan)
    nothing = np.zeros(truth.shape, dtype=bool)
    return Match(
        TIMES, [net for net, _ in names], [name for _, name in names], ["5TM"] * n, np.linspace(31, 33, n),
        np.linspace(91, 93, n), np.full(n, 0.05), np.full(n, 0.05), measured, np.full(truth.shape, 5.0), fields,
        np.full(truth.shape, 0.02), smap, nothing, nothing.copy(), nothing.copy(), nothing.copy(), truth,
    )  # fmt: skip


# Scores of one series ----------------------------------------------------------------------------------------------


def test_scores_by_hand():
    """Three pairs with differences 0, 2 and 1: bias 1, ubRMSD sqrt(2/3); sums of squares 6 and 2, of products 3."""
    x, y = np.array([1.0, 4.0, 4.0]), np.array([1.0, 2.0, 3.0])
    rules = Rules(3, 1.0, 35.0, RULES.starts, 100)
    one = score(x, y, TIMES[::8][:3], rules)
    r = 3 / np.sqrt(6 * 2)
    spread, level = np.sqrt(6 / 2), 3 / 2
    assert one.values["r"] == pytest.approx(r)
    assert one.values["bias"] == pytest.approx(1.0)
    assert one.values["rmsd"] == pytest.approx(np.sqrt((0 + 4 + 1) / 3))
    assert one.values["ubrmsd"] == pytest.approx(np.sqrt(2 / 3))
    assert one.values["kge"] == pytest.approx(1 - np.sqrt((r - 1) ** 2 + (spread - 1) ** 2 + (level - 1) ** 2))
    assert all(np.isnan(end) for pair in one.intervals.values() for end in pair), "too few blocks for an interval"


def test_scores_are_those_of_pytesmo():
    made = world()
    x, y = made.fields["era5_land"][0].copy(), made.measured[0].copy()
    x[5:40] = np.nan
    y[100:103] = np.nan
    one = score(x, y, TIMES, RULES)
    good = np.isfinite(x) & np.isfinite(y)
    assert one.n == good.sum()
    for key, metric in (("r", metrics.pearson_r), ("ubrmsd", metrics.ubrmsd), ("rmsd", metrics.rmsd)):
        assert one.values[key] == pytest.approx(metric(x[good], y[good]), abs=1e-10)
    assert one.values["bias"] == pytest.approx(metrics.bias(x[good], y[good]), abs=1e-10)
    away = [calc_anomaly(pd.Series(side[good], TIMES[good]), window_size=35).values for side in (x, y)]
    assert one.values["anomaly_r"] == pytest.approx(metrics.pearson_r(*away), abs=1e-6)
    for key, value in one.values.items():
        low, high = one.intervals[key]
        assert low < value < high


def test_too_few_stamps_have_a_count_and_no_score():
    made = world()
    x, y = made.fields[PRODUCT][0].copy(), made.measured[0]
    x[RULES.minimum - 1 :] = np.nan
    one = score(x, y, TIMES, RULES)
    assert one.n == RULES.minimum - 1 and all(np.isnan(value) for value in one.values.values())
    x[RULES.minimum - 1] = 0.2
    assert np.isfinite(score(x, y, TIMES, RULES).values["r"]), "the control: one more is enough"


def test_a_constant_series_has_neither_r_nor_kge():
    y = world().measured[0]
    one = score(np.full(TIMES.size, 0.2), y, TIMES, RULES)
    assert np.isnan(one.values["r"]) and np.isnan(one.values["kge"]) and np.isnan(one.values["anomaly_r"])
    assert one.values["ubrmsd"] == pytest.approx(y.std()) and np.isfinite(one.values["bias"])
    assert np.isnan(one.intervals["r"]).all()


def test_daily_means_need_half_of_the_stamps():
    values = np.arange(TIMES.size, dtype=float)
    other = values.copy()
    other[0:4] = np.nan
    other[8:13] = np.nan
    days, (a, b) = daily_means(TIMES, [values, other])
    assert days[0] == TIMES[0] and days.size == 62
    assert a[0] == b[0] == np.mean([4, 5, 6, 7]) and np.isnan([a[1], b[1]]).all()
    assert a[2] == np.mean(values[16:24])


# Common stamps -----------------------------------------------------------------------------------------------------


def test_all_methods_are_scored_on_the_same_stamps_and_never_on_frozen_ground():
    made = world(networks={"A": 2})
    made.fields["era5_land"][0, :10] = np.nan
    made.warmth[0, 10:20] = 0.0
    made.frozen_model[0, 20:30] = True
    made.warmth[1] = np.nan
    assert np.flatnonzero(~made.common[0]).tolist() == list(range(30))
    assert made.common[1, 40:].all(), "a sensor without thermometer is masked by the model alone"
    counts = made.counts()[0]
    assert (counts["frozen_by_sensor"], counts["frozen_by_model"], counts["common"]) == (10, 10, TIMES.size - 30)
    pairs = Pairs.of(made)
    masks = [np.isfinite(values) for values in (pairs.measured, *pairs.fields.values())]
    assert all((mask == masks[0]).all() for mask in masks)


def test_retrievals_have_a_smaller_set_of_stamps_on_which_all_are_scored():
    made = world()
    passes = Pairs.of(made, {"smap_retrievals": made.smap})
    assert 0 < np.isfinite(passes.measured).sum() < np.isfinite(Pairs.of(made).measured).sum()
    assert (np.isfinite(passes.fields[PRODUCT]) == np.isfinite(passes.fields["smap_retrievals"])).all()


# Networks ----------------------------------------------------------------------------------------------------------


def test_a_network_is_the_mean_of_its_stations_and_a_station_that_of_its_sensors():
    made = world(networks={"A": 6})
    made.station[1] = "S0"
    pairs = Pairs.of(made)
    scored = score_all(pairs, RULES)
    table = network_table("networks", "", made, scored, RULES, "")
    r = [one.values["r"] for one in scored[PRODUCT]]
    row = table.rows[0]
    assert row.values["r"] == pytest.approx(np.mean([np.mean(r[:2]), *r[2:]]))
    assert row.values["stations"] == 5 and row.values["n"] == 6 * TIMES.size
    assert made.label(0) == "A, S0, 5TM 5-5 cm" and made.label(2) == "A, S2"


def test_a_network_with_one_station_has_scores_and_no_interval_and_the_note_says_so():
    made = world(networks={"A": 6, "LONE": 1})
    document = make_document(made, RULES, 10, [])
    row = next(row for row in document.tables[0].rows if row.group == "LONE")
    assert np.isfinite(row.values["r"]) and np.isnan(row.intervals["r"]).all() and row.values["stations"] == 1
    assert "LONE has one station" in document.note
    whole = next(row for row in document.tables[0].rows if row.group == ALL)
    assert np.isfinite(whole.intervals["r"]).all(), "the control: seven stations have one"


def test_stations_are_counted_that_have_the_score():
    """One of two does not vary: R is of one station, and the table says one."""
    made = world(networks={"A": 2})
    made.measured[1] = 0.2
    scored = score_all(Pairs.of(made), RULES)
    table = network_table("networks", "", made, scored, RULES, "")
    row = table.rows[0]
    assert row.values["r"] == scored[PRODUCT][0].values["r"]
    assert (row.values["stations"], row.values["n"]) == (1, TIMES.size)
    assert row.values["ubrmsd"] == pytest.approx(np.mean([one.values["ubrmsd"] for one in scored[PRODUCT]]))
    assert "Stations and stamps are those behind R" in table.note


def test_mean_series_compare_the_same_stations():
    made = world(networks={"A": 4})
    made.measured[0] += 0.2  # a wet station ...
    made.fields[PRODUCT][0] += 0.2
    made.measured[0, 100:] = np.nan  # ... that falls silent
    (pairs,) = mean_series(Pairs.of(made), RULES.minimum // 2).values()
    inside = pairs.measured[0, :100].mean() - pairs.fields[PRODUCT][0, :100].mean()
    after = pairs.measured[0, 100:].mean() - pairs.fields[PRODUCT][0, 100:].mean()
    assert inside == pytest.approx(after, abs=0.02), "both sides step down together"
    assert pairs.measured[0, :100].mean() - pairs.measured[0, 100:].mean() > 0.03
    made.measured[1:3, :50] = np.nan
    (pairs,) = mean_series(Pairs.of(made), RULES.minimum // 2).values()
    assert np.isfinite(pairs.measured[0, :50]).all()
    made.measured[3, :50] = np.nan
    (pairs,) = mean_series(Pairs.of(made), RULES.minimum // 2).values()
    assert np.isnan(pairs.measured[0, :50]).all(), "fewer than half of the stations"


@pytest.mark.parametrize("stations", [5, 8, 20])
def test_intervals_over_stations_cover(stations):
    rng, inside, trials = np.random.default_rng(stations), 0, 600
    for trial in range(trials):
        _, (low, high) = over_stations(rng.normal(0.7, 0.08, stations), 1000, seed=trial)
        inside += low <= 0.7 <= high
    assert 0.88 <= inside / trials <= 0.98


def test_too_few_stations_have_no_interval():
    assert np.isnan(over_stations(np.array([0.5, 0.6, 0.7, 0.8]), 100)[1]).all()
    assert over_stations(np.array([np.nan, 0.5]), 100)[0] == 0.5
    assert np.isnan(over_stations(np.array([np.nan]), 100)[0])


# Hours -------------------------------------------------------------------------------------------------------------


def test_a_method_that_is_worse_between_overpasses_shows_it():
    made = world()
    step = np.arange(TIMES.size) % 8
    # Near 92 degrees east the overpasses of 6 and 18 h local time are at 00 and 12 UTC.
    rng = np.random.default_rng(1)
    made.fields["era5_land"] = made.truth + np.where(np.isin(step, [0, 4]), 0.005, 0.05) * rng.standard_normal(
        made.truth.shape
    )
    table = hour_table(Pairs.of(made), RULES)
    rows = {(row.label, row.group): row.values for row in table.rows}
    bad, fine = METHODS["era5_land"], METHODS[PRODUCT]
    assert rows[bad, ALL_HOURS]["ubrmsd_change"] > 30 and rows[bad, ALL_HOURS]["r_change"] < -5
    assert abs(rows[fine, ALL_HOURS]["ubrmsd_change"]) < 10
    assert rows[bad, "00 UTC"]["ubrmsd"] < rows[bad, "03 UTC"]["ubrmsd"]
    assert rows[bad, OVERPASS]["r_change"] == 0
    assert len({group for _, group in rows}) == 10


def test_a_change_from_overpass_hours_is_best_at_zero():
    """As in the table of skill by time of day: more skill at other hours is as odd as less."""
    better = {column.key: column.better for column in hour_table(Pairs.of(world()), RULES).columns}
    assert better["r_change"] == better["ubrmsd_change"] == "zero"
    assert (better["r"], better["ubrmsd"]) == ("high", "low")


def test_relative_change_by_hand():
    change, _ = relative_change(np.array([0.5, 0.7]), np.array([0.4, 0.8]), 10)
    assert change == pytest.approx(0.0)
    assert relative_change(np.array([0.9]), np.array([0.6]), 10)[0] == pytest.approx(50.0)
    assert np.isnan(relative_change(np.array([np.nan]), np.array([0.5]), 10)[0])


# The truth ---------------------------------------------------------------------------------------------------------


def agreement(table) -> tuple[list, list]:
    real = [row.values["agrees"] for row in table.rows if CONTROL not in row.group]
    control = [row.values["agrees"] for row in table.rows if CONTROL in row.group]
    return real, control


def test_scores_at_stations_agree_with_those_against_the_truth_and_the_control_does_not():
    shares = []
    for seed in range(4):
        made = world(seed)
        real, control = agreement(truth_check(Pairs.of(made), made.truth, RULES))
        assert len(real) == 2 * (4 + 3) and len(control) == 2 * 4
        assert control == [0] * 8
        shares.append(np.mean(real))
    assert np.mean(shares) > 0.8


def test_the_truth_of_other_stations_does_not_agree():
    made = world()
    real, _ = agreement(truth_check(Pairs.of(made), made.truth[::-1], RULES))
    assert np.mean(real) < 0.5


def test_the_true_differences_between_methods_are_seen_at_stations():
    made = world()
    table = truth_check(Pairs.of(made), made.truth, RULES)
    row = next(row for row in table.rows if row.label == "product minus ERA5-Land, raw" and row.group.startswith("ub"))
    low, high = row.intervals["station"]
    assert low < row.values["truth"] < high < 0


# Files -------------------------------------------------------------------------------------------------------------

BOX = (31.0, 33.0), (91.0, 93.0)


@pytest.fixture
def files(tmp_path):
    """Files of July 2017 for two sensors: the arguments of ``match``, and the fields (time, lat, lon) behind them."""
    fine, coarse = regular_grid(*BOX), ease2_grid(*BOX)
    times = TIMES[:248]
    rng = np.random.default_rng(3)
    shape = (times.size, *fine.shape)
    fields = {name: rng.uniform(0.1, 0.4, shape).astype("f4") for name in NOISE}
    fields["truth"] = rng.uniform(0.1, 0.4, shape).astype("f4")
    on = ("time", "lat", "lon")
    place = {"time": times, "lat": fine.lat, "lon": fine.lon}

    def write(name: str, variables: dict, coordinates: dict = place, **attrs) -> Path:
        xr.Dataset(variables, coordinates, attrs).to_netcdf(tmp_path / name)
        return tmp_path / name

    flag = np.zeros(shape, "u1")
    flag[100] = 1
    warm = np.full(shape, 280.0, "f4")
    warm[101] = 273.15
    seen = np.full((62, *coarse.shape), np.nan, "f4")
    offset = np.full(seen.shape, np.nan)
    seen[4], offset[4] = 0.3, 24 * 2 + 1.2
    seen[5], offset[5] = 0.2, 24 * 2 + 12 + 1.6
    sensors = {
        "soil_moisture": (("sensor", "time"), rng.uniform(0.1, 0.4, (2, times.size)).astype("f4")),
        "soil_temperature": (("sensor", "time"), np.full((2, times.size), 5.0, "f4")),
    }
    names = {"network": ["N", "N"], "station": ["A", "B"], "sensor_name": ["5TM", "5TM"]}
    numbers = {"lat": [31.52, 32.0], "lon": [91.97, 92.3], "depth_from": [0.05, 0.05], "depth_to": [0.05, 0.05]}
    coordinates = {"time": times} | {key: ("sensor", value) for key, value in (names | numbers).items()}
    arguments = {
        "sensors": write("sensors.nc", sensors, coordinates, left_out='[{"what": "x", "reason": "too deep"}]'),
        "products": [
            write(
                "product_2017-07.nc",
                {"soil_moisture": (on, fields[PRODUCT]), "soil_moisture_uncertainty": (on, fields[PRODUCT] * 0.1),
                 "flag": (on, flag)},
            )
        ],
        "references": [write("fields_2017-07.nc", {name: (on, fields[name]) for name in NOISE if name != PRODUCT})],
        "predictors": [write("predictors_2017-07.nc", {"stl1": (on, warm)})],
        "smap": [
            write(
                "smap_2017-07.nc",
                {"soil_moisture": (("half_orbit", "y", "x"), seen), "time_offset": (("half_orbit", "y", "x"), offset)},
                {}, month="2017-07",
            )
        ],
        "truths": [
            write(
                "truth_2017-07.nc",
                {"soil_moisture": (on, fields["truth"]), "frozen": (on, flag), "snow": (on, 0 * flag)},
            )
        ],
        "fine": fine, "coarse": coarse, "test_intervals": [("2017-07-02T00:00", "2017-08-01T00:00")],
    }  # fmt: skip
    return arguments, fields


def test_everything_is_read_at_the_cells_of_the_sensors(files):
    arguments, fields = files
    made = match(**arguments)
    fine = arguments["fine"]
    row, column = np.abs(fine.lat - 31.52).argmin(), np.abs(fine.lon - 91.97).argmin()
    assert made.times[0] == np.datetime64("2017-07-02") and made.times.size == 240
    for name in NOISE:
        assert made.fields[name][0] == pytest.approx(fields[name][8:, row, column])
    assert made.truth[0, 0] == pytest.approx(fields["truth"][8, row, column])
    assert np.flatnonzero(made.frozen_flag[0]).tolist() == [92] and np.flatnonzero(made.frozen_model[0]).tolist() == [
        93
    ]
    assert np.isnan(made.truth[0, 92])
    stamps = np.flatnonzero(np.isfinite(made.smap[0]))
    assert [str(made.times[k])[:13] for k in stamps] == ["2017-07-03T00", "2017-07-03T15"], "the nearest stamps"
    assert made.smap[0, stamps] == pytest.approx([0.3, 0.2])


def test_predictors_without_stl1_mask_by_sensor_and_flag_alone(files):
    arguments, _ = files
    with xr.open_dataset(arguments["predictors"][0]) as data:
        data.load()
    data.rename(stl1="t2m").to_netcdf(arguments["predictors"][0])
    assert not match(**arguments).frozen_model.any()


def test_snow_and_an_unknown_soil_temperature_are_not_common(files):
    """Snow is masked by the product's flag, as in all other scores; ground of unknown temperature may be frozen."""
    arguments, _ = files
    with xr.open_dataset(arguments["products"][0]) as data:
        data.load()
    data["flag"].values[150] = FLAG_BITS["snow"]
    data.to_netcdf(arguments["products"][0])
    with xr.open_dataset(arguments["predictors"][0]) as data:
        data.load()
    data["stl1"].values[160:163] = np.nan
    data.to_netcdf(arguments["predictors"][0])
    made = match(**arguments)
    hidden = [92, 93, 142, 152, 153, 154]
    assert np.flatnonzero(~made.common[0]).tolist() == hidden, "frozen by flag and by model, snow, unknown"
    assert np.flatnonzero(made.snow_flag[0]).tolist() == [142] and not made.frozen[0, 142]
    assert np.flatnonzero(made.unknown_model[0]).tolist() == [152, 153, 154] and not made.frozen[0, 152:155].any()
    assert (made.counts()[0]["snow_by_flag"], made.counts()[0]["unknown_by_model"]) == (1, 3)
    assert "6 values are not scored, as the model's soil temperature" in make_document(made, RULES, 10, []).note


def test_a_retrieval_belongs_to_the_cell_that_the_station_lies_in(files):
    arguments, _ = files
    coarse = arguments["coarse"]
    with xr.open_dataset(arguments["smap"][0]) as data:
        data.load()
    data["soil_moisture"].values[4] = np.arange(coarse.size).reshape(coarse.shape) / 1000
    data.to_netcdf(arguments["smap"][0])
    lat, lon = coarse.lat[2], coarse.lon[3]
    found = read_smap(arguments["smap"], coarse, np.array([lat, lat]), np.array([lon, lon + 0.3]), TIMES)
    at = int(np.searchsorted(TIMES, np.datetime64("2017-07-03T00")))
    assert found[:, at] == pytest.approx([(2 * coarse.shape[1] + 3) / 1000, (2 * coarse.shape[1] + 4) / 1000])


FAULTS = {
    "a product without flag": ("products", lambda data: data.drop_vars("flag"), "flag missing"),
    "references of other cells": ("references", lambda data: data.isel(lat=slice(3)), "expected the product's grid"),
    "references that lack a day": (
        "references",
        lambda data: data.isel(time=slice(20, None)),
        r"2017-07-02T00:00 is mi",
    ),
    "a lacking reference": ("references", lambda data: data.drop_vars("era5_land"), "era5_land missing"),
    "sensors that lack a day": ("sensors", lambda data: data.isel(time=slice(200)), "expected every stamp"),
    "a sensor elsewhere": ("sensors", lambda data: data.assign_coords(lat=data["lat"] + 9), "outside the grid"),
    "retrievals of other cells": ("smap", lambda data: data.isel(y=slice(2)), "cells of M36"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_files_are_named(fault, files):
    arguments, _ = files
    kind, spoil, message = FAULTS[fault]
    path = arguments[kind] if kind == "sensors" else arguments[kind][0]
    with xr.open_dataset(path) as data:
        data.load()
    spoil(data).to_netcdf(path)
    with pytest.raises(ScoreError, match=message) as error:
        match(**arguments)
    assert str(path) in str(error.value)


def test_a_missing_product_month_is_named(files):
    arguments, _ = files
    for kind, what, rule in (
        ("products", "the product", "product_month"),
        ("references", "the reference fields", "verify_references"),
        ("predictors", "the predictors", "regrid_era5_land"),
    ):
        for paths in ([], [arguments[kind][0].with_name("absent_2017-07.nc")]):
            with pytest.raises(ScoreError, match=f"{what} of 2017-07: .*make it with the rule {rule}"):
                match(**(arguments | {kind: paths}))
    with pytest.raises(ScoreError, match="found 1, 1, 1 and 2"):
        match(**(arguments | {"truths": arguments["truths"] * 2}))


def test_one_month_of_two_is_not_taken_for_both(files):
    arguments, _ = files
    with pytest.raises(ScoreError, match="the product of 2017-08: expected one file for each month"):
        match(**(arguments | {"test_intervals": [("2017-07-02T00:00", "2017-08-02T00:00")]}))


@pytest.fixture
def heldout(tmp_path):
    """Held-out pairs of a checkpoint that was trained on so many blocks of time."""

    def write(train: tuple[str, str]) -> Path:
        blocks = {"train": [train], "validation": [["2016-07-01", "2016-08-01"]], "test": []}
        said = json.dumps({"split": blocks, "buffer_days": 8, "window_days": 8})
        xr.Dataset(attrs={LEARNT: said}).to_netcdf(tmp_path / "heldout.nc")
        return tmp_path / "heldout.nc"

    return write


HONEST = ("2016-01-01", "2016-07-01")


def test_test_days_that_the_net_was_trained_on_are_refused(files, heldout, tmp_path):
    arguments, _ = files
    out = {f"{kind}_out": tmp_path / kind for kind in ("json", "csv", "series")}
    leaking = heldout(("2017-07-10", "2017-07-20"))
    with pytest.raises(ScoreError, match=r"trained \(split\.train\), are among the days that are scored"):
        validate_stations(**arguments, **out, heldout=leaking, window_days=8, draws=100)
    assert not any(path.exists() for path in out.values())
    validate_stations(**arguments, **out, heldout=heldout(HONEST), window_days=8, draws=100)
    assert all(path.exists() for path in out.values()), "the control: a net that has not seen them"


def test_the_whole_validation_writes_its_files(files, heldout, tmp_path):
    arguments, _ = files
    out = {
        "json_out": tmp_path / "stations.json",
        "csv_out": tmp_path / "stations.csv",
        "series_out": tmp_path / "s.nc",
    }
    validate_stations(**arguments, **out, heldout=heldout(HONEST), window_days=8, min_stamps=100, draws=100)
    document = read_document(out["json_out"])
    assert [table.name for table in document.tables] == [
        "networks", "networks_daily", "differences", "truth_check", "network_means", "network_means_daily",
        "overpasses", "hours", "sensors", "sensors_daily",
    ]  # fmt: skip
    assert document.data["left_out"] == [{"what": "x", "reason": "too deep"}]
    station = document.data["stations"][0]
    assert (station["network"], station["station"], station["n"]) == ("N", "A", 238)
    overpasses = next(table for table in document.tables if table.name == "overpasses")
    assert [row.label for row in overpasses.rows][-1] == "SMAP, 36 km retrievals"
    assert overpasses.rows[-1].values["r"] is None, "two retrievals are too few"
    with xr.open_dataset(out["series_out"]) as series:
        assert series["in_situ"].dims == ("sensor", "time") and series["in_situ"].attrs["units"] == "m3 m-3"
        assert {"product", "uncertainty", "smap", "truth", "common", "era5_land"} <= set(series.data_vars)
        assert series["network"].values.tolist() == ["N", "N"]


def test_too_few_stamps_and_constant_series_are_told_in_the_note():
    made = world(networks={"A": 6})
    made.measured[0, 50:] = np.nan
    made.measured[1] = 0.2
    document = make_document(made, RULES, 10, [])
    assert "Too few common stamps for scores (fewer than 120): A, S0: 50." in document.note
    assert "No R and KGE where a series does not vary: A, S1." in document.note
    rows = {row.group: row for row in document.tables[-2].rows if row.label == METHODS[PRODUCT]}
    assert rows["A, S0"].values["n"] == 50 and np.isnan(rows["A, S0"].values["ubrmsd"])
    assert np.isnan(rows["A, S1"].values["r"]) and np.isfinite(rows["A, S1"].values["ubrmsd"])


def test_no_sensor_of_use_is_an_honest_gap(files, heldout, tmp_path):
    arguments, _ = files
    with xr.open_dataset(arguments["sensors"]) as data:
        data.load()
    data.isel(sensor=slice(0)).drop_encoding().to_netcdf(arguments["sensors"])
    out = {
        "json_out": tmp_path / "stations.json",
        "csv_out": tmp_path / "stations.csv",
        "series_out": tmp_path / "s.nc",
    }
    document = validate_stations(**arguments, **out, heldout=heldout(HONEST), window_days=8)
    assert document.tables == [] and "No sensor is of use" in document.note and "too deep (1)" in document.note
    with xr.open_dataset(out["series_out"]) as series:
        assert series.sizes["sensor"] == 0


def test_series_keep_the_unmasked_values(tmp_path):
    made = world(networks={"A": 2})
    made.frozen_flag[0, :5] = True
    write_series(made, tmp_path / "s.nc")
    with xr.open_dataset(tmp_path / "s.nc") as series:
        assert np.isfinite(series["in_situ"].values).all() and not series["common"].values[0, :5].any()
