"""Calibration: forecasts that are right, too sure or biased are told apart, by class, and with honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import quad
from scipy.stats import norm

from pscnet.grids import cells_of, ease2_grid
from pscnet.validation.document import read_document
from pscnet.validation.observed import Looks
from pscnet.validation.reliability import NOMINAL, Reliability, class_names, classes_of
from pscnet.validation.resampling import draw_weights
from pscnet.validation.satellite import in_intervals
from pscnet.validation.score_run import score_run
from pscnet.validation.uncertainty import GROUPINGS, NEAREST, SINCE, validate_uncertainty

COUNT, BLOCKS = 40_000, 10


def filled(error: float = 0.03, sigma: float = 0.03, bias: float = 0.0, blocks: int = BLOCKS) -> Reliability:
    """Forecasts with an error of its own size, predicted ``sigma``."""
    rng = np.random.default_rng(0)
    truth = 0.2 + 0.05 * rng.standard_normal(COUNT)
    made = Reliability(blocks)
    mean = truth + bias + error * rng.standard_normal(COUNT)
    made.update(mean, np.full(COUNT, sigma), truth, np.arange(COUNT) * blocks // COUNT, np.zeros(COUNT, int))
    return made


def scores(made: Reliability) -> dict[str, float]:
    return {key: float(value[0]) for key, value in made.scores(0).items()}


def test_a_calibrated_forecast():
    made = filled()
    found = scores(made)
    assert found["inside_1"] == pytest.approx(0.683, abs=0.01) and found["inside_2"] == pytest.approx(0.954, abs=0.005)
    assert found["z_mean"] == pytest.approx(0.0, abs=0.02) and found["z_std"] == pytest.approx(1.0, abs=0.02)
    assert found["spread_skill"] == pytest.approx(1.0, abs=0.02)
    assert found["crps"] == pytest.approx(0.03 / np.sqrt(np.pi), rel=0.02)
    diagram = made.diagram(0, draw_weights(BLOCKS, 200, 0))
    assert np.abs(np.array(diagram["observed"]) - NOMINAL).max() < 0.01
    assert (np.array(diagram["low"]) < diagram["observed"]).all()
    assert np.abs(np.array(diagram["pit"]) - 1).max() < 0.1 and np.mean(diagram["pit"]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "key", "expected"),
    [
        ({"sigma": 0.015}, "z_std", 2.0),
        ({"sigma": 0.015}, "inside_1", 2 * norm.cdf(0.5) - 1),
        ({"sigma": 0.06}, "spread_skill", 2.0),
        ({"bias": 0.03}, "z_mean", -1.0),
        ({"bias": 0.03}, "bias", 0.03),
        ({"bias": 0.03}, "inside_1", norm.cdf(2) - norm.cdf(0)),
        ({"bias": 0.03}, "rmse", np.hypot(0.03, 0.03)),
    ],
)
def test_a_forecast_that_is_not_calibrated_shows(change, key, expected):
    """The control."""
    assert scores(filled(**change))[key] == pytest.approx(expected, abs=0.02)


def test_the_histogram_leans_and_bends():
    leaning = np.array(filled(bias=0.03).diagram(0, draw_weights(BLOCKS, 50, 0))["pit"])
    assert leaning[0] > 2 > 0.5 > leaning[-1], "values come lower than predicted"
    bent = np.array(filled(sigma=0.015).diagram(0, draw_weights(BLOCKS, 50, 0))["pit"])
    assert min(bent[0], bent[-1]) > 1.5 > 0.7 > bent[8:12].max()


def test_crps_is_an_integral():
    made = Reliability(1)
    cases = [(0.2, 0.03, 0.25), (0.3, 0.02, 0.29)]
    columns = [np.array(column) for column in zip(*cases, strict=True)]
    made.update(*columns, np.zeros(2, int), np.zeros(2, int))
    expected = [
        quad(lambda x, m=m, s=s, y=y: (norm.cdf(x, m, s) - (x >= y)) ** 2, m - 1, m + 1, points=[m, y], limit=200)[0]
        for m, s, y in cases
    ]
    assert scores(made)["crps"] == pytest.approx(np.mean(expected), rel=1e-6)


def test_draws_add_up_and_classes_are_kept_apart():
    rng = np.random.default_rng(1)
    made = Reliability(4, 2)
    block, group = rng.integers(0, 4, 2000), rng.integers(0, 2, 2000)
    size = np.where(group == 0, 0.02, 0.05)
    made.update(size * rng.standard_normal(2000), np.full(2000, 0.02), np.zeros(2000), block, group)
    whole, twice = made.scores(1), made.scores(1, np.full((1, 4), 2.0))
    for key, value in whole.items():
        assert twice[key] == pytest.approx(2 * value if key == "n" else value)
    assert made.scores(0)["z_std"][0] == pytest.approx(1.0, abs=0.1)
    assert made.scores(1)["z_std"][0] == pytest.approx(2.5, abs=0.2)
    first = made.scores(0, np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert first["n"][0] == ((block == 0) & (group == 0)).sum()


def test_few_forecasts_make_no_row_and_bad_ones_are_left_out():
    made = Reliability(1)
    nan, one = np.array([np.nan, 0.2, 0.2, 0.2]), np.array([0.2, 0.2, 0.2, 0.2])
    made.update(nan, np.array([0.02, 0.0, np.nan, 0.02]), one, np.zeros(4, int), np.array([0, 0, 0, -1]))
    assert made.sums["n"].sum() == 0
    assert made.row("x", "", 0, np.ones((5, 1))) is None
    assert np.isnan(made.scores(0)["crps"]).all()


def test_intervals_hold_the_nominal_share():
    """Blocks that are independent, days within them that are not: the interval of the share inside one sigma."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(60):
        made = Reliability(15)
        common = rng.standard_normal(15)
        error = 0.03 * (0.6 * common[:, None] + 0.8 * rng.standard_normal((15, 40))).ravel()
        made.update(error, np.full(600, 0.03), np.zeros(600), np.repeat(np.arange(15), 40), np.zeros(600, int))
        low, high = made.row("x", "", 0, draw_weights(15, 200, 0)).intervals["inside_1"]
        held += low <= 0.6827 <= high
    assert 0.85 <= held / 60 <= 1.0


def test_classes():
    edges = (0.0, 6.0, 12.0, np.inf)
    assert class_names(edges, "h") == ["under 6 h", "6 to 12 h", "12 h and more"]
    assert classes_of(np.array([0.0, 5.9, 6.0, 100.0, np.nan, -1.0]), edges).tolist() == [0, 0, 1, 2, -1, -1]
    assert all(len(set(names)) == len(names) for _, names in GROUPINGS.values())


# Time since SMAP's looks


@pytest.fixture
def looks(tmp_path) -> Looks:
    """Two cells in a row: the first is seen on the 2nd at 00 and the 4th at 12 UTC, the second never."""
    time = np.full((62, 1, 2), np.nan)
    time[2, 0, 0], time[7, 0, 0] = 24.0, 84.0
    value = np.where(np.isfinite(time), 0.2, np.nan)
    value[5, 0, 1] = np.nan
    time[5, 0, 1] = 60.0  # a look without an accepted retrieval
    dims = ("half_orbit", "y", "x")
    dates = np.datetime64("2017-07-01", "ns") + np.arange(62) // 2 * np.timedelta64(1, "D")
    data = {"soil_moisture": (dims, value), "time_offset": (dims, time)}
    xr.Dataset(data, {"date": ("half_orbit", dates)}).to_netcdf(tmp_path / "2017-07.nc")
    return Looks([tmp_path / "2017-07.nc"])


def test_hours_since_and_to_the_nearest_look(looks):
    stamps = np.array(["2017-07-01T12", "2017-07-02T00", "2017-07-03T12", "2017-07-04T09", "2017-07-05T00"], "M8[ns]")
    since, nearest = looks.hours(stamps, np.array([0, 1, -1]))
    assert since[:, 0].tolist() == [np.inf, 0.0, 36.0, 57.0, 12.0]
    assert nearest[:, 0].tolist() == [12.0, 0.0, 24.0, 3.0, 12.0]
    assert np.isinf(since[:, 1]).all() and np.isinf(nearest[:, 1]).all()
    assert np.isnan(since[:, 2]).all()


def test_hidden_looks_do_not_count(looks):
    at = np.array(["2017-07-04T12", "2017-07-04T12"], "M8[ns]")
    since, nearest = looks.hours_of_pairs(at, np.array([0, 0]), 6.0)
    assert since.tolist() == [60.0, 60.0] and nearest.tolist() == [60.0, 60.0]
    assert looks.hours_of_pairs(at, np.array([0, 0]), 72.0)[0].tolist() == [np.inf, np.inf]


def test_cells_hold_their_points():
    coarse = ease2_grid((31.5, 33.5), (90.0, 93.0))
    lat, lon = coarse.lat[2] + 0.05, coarse.lon[1] - 0.05
    assert cells_of(coarse, [lat, 50.0], [lon, lon]).tolist() == [2 * coarse.shape[1] + 1, -1]


# The whole


def arguments(run, folder, **changes) -> dict:
    wanted = ("products", "references", "truths", "heldout", "static", "fine", "coarse", "test_intervals")
    made = {key: value for key, value in run.arguments().items() if key in wanted}
    made |= {"smap": run.paths("smap"), "draws": 100, "block_days": 7}
    return made | {"json_path": folder / "u.json", "csv_path": folder / "u.csv"} | changes


def with_sigma(run, folder, noise: float = 0.015):
    """The run's held-out pairs, off by 0.02 in all, with a noise and a standard deviation of the rest."""
    path = folder / "heldout.nc"
    with xr.open_dataset(run.folder / "heldout.nc") as pairs:
        size = pairs.sizes["pair"]
        made = pairs.assign(
            noise=("pair", np.full(size, noise)), pscnet_std=("pair", np.full(size, np.sqrt(0.02**2 - noise**2)))
        )
        made.to_netcdf(path)
    return path


def test_a_run_against_truth_and_smap(made_up_run, tmp_path):
    validate_uncertainty(**arguments(made_up_run, tmp_path, heldout=with_sigma(made_up_run, tmp_path)))
    document = read_document(tmp_path / "u.json")
    tables = {table.name: {(row.group, row.label): row for row in table.rows} for table in document.tables}
    whole = tables["truth"]["all", "all"]
    outputs = {name: tmp_path / name for name in ("scores_json", "scores_csv", "places_nc")}
    scored = score_run(**made_up_run.arguments(**outputs))["truth_10km"]["pscnet"]
    assert whole.values["inside_1"] == pytest.approx(scored["inside_1_sigma"], abs=1e-3)
    assert whole.values["crps"] == pytest.approx(scored["crps"], rel=1e-3)
    assert list(whole.intervals["inside_1"]) == sorted(whole.intervals["inside_1"])
    pairs = tables["heldout"]["all", "all"].values
    assert pairs["z_std"] == pytest.approx(1.0, abs=0.06) and pairs["inside_1"] == pytest.approx(0.683, abs=0.04)
    groups = {group for group, _ in tables["truth"]}
    assert groups == {heading for heading, _ in GROUPINGS.values()}
    parts = [row.values["n"] for (group, _), row in tables["truth"].items() if group == "time since SMAP's last look"]
    assert sum(parts) >= 0.99 * whole.values["n"]
    assert len(document.data["truth"]["all"]["pit"]) == 20


def with_gaps(run, folder, **attrs):
    """The held-out pairs without repetitions, and again as if retrievals of 1 and 3 days around had been hidden."""
    with xr.open_dataset(with_sigma(run, folder)) as pairs:
        pairs = pairs.load()
    key = np.stack([pairs["time"].values.astype(np.int64), pairs["y"].values, pairs["x"].values])
    pairs = pairs.isel(pair=np.sort(np.unique(key, axis=1, return_index=True)[1]))
    parts = [pairs.assign(hidden_days=("pair", np.full(pairs.sizes["pair"], days))) for days in (0.0, 1.0, 3.0)]
    path = folder / "gaps.nc"
    xr.concat(parts, "pair").assign_attrs(attrs).to_netcdf(path)
    return path, pairs


def test_a_retrieval_counts_once_in_a_class(made_up_run, tmp_path):
    """Gaps that leave its class as it is add nothing; those that move it add it to the other class."""
    path, pairs = with_gaps(made_up_run, tmp_path)
    document = validate_uncertainty(**arguments(made_up_run, tmp_path, heldout=path, truths=[]))
    found = {(row.group, row.label): row.values["n"] for row in document.tables[0].rows}
    looks = Looks(made_up_run.paths("smap"))
    times, cell = pairs["time"].values.astype("M8[ns]"), pairs["y"].values * looks.columns + pairs["x"].values
    test = in_intervals(
        times, [(np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in made_up_run.arguments()["test_intervals"]]
    )
    assert found["all", "all"] == test.sum()
    for number, (name, edges) in enumerate((("since", SINCE), ("nearest", NEAREST))):
        heading, names = GROUPINGS[name]
        hours = [looks.hours_of_pairs(times, cell, gap)[number] for gap in (6.0, 24.0, 72.0)]
        classes = [np.where(np.isinf(gap), len(edges) - 1, classes_of(gap, edges)) for gap in hours]
        once = 0
        for position, label in enumerate(names):
            expected = int((np.any([own == position for own in classes], axis=0) & test).sum())
            once += expected
            assert found.get((heading, label), 0) == (expected if expected >= 100 else 0), (name, label)
        assert once < 3 * test.sum(), "the control: added up for every gap they were more"
    assert "distinct retrievals" in document.tables[0].note


def test_a_net_that_sees_the_past_alone_has_no_nearest_look(made_up_run, tmp_path):
    path, _ = with_gaps(made_up_run, tmp_path, causal=1)
    document = validate_uncertainty(**arguments(made_up_run, tmp_path, heldout=path))
    for table in document.tables:
        groups = {row.group for row in table.rows}
        assert GROUPINGS["since"][0] in groups and GROUPINGS["nearest"][0] not in groups
    note = document.tables[1].note
    assert "retrievals before are hidden" in note and "and to" not in note


def test_too_small_a_noise_shows(made_up_run, tmp_path):
    """The control: the noise variance belongs to it."""
    path = with_sigma(made_up_run, tmp_path)
    with xr.open_dataset(path) as pairs:
        pairs.load().assign(noise=0 * pairs["noise"]).to_netcdf(tmp_path / "less.nc")
    document = validate_uncertainty(**arguments(made_up_run, tmp_path, heldout=tmp_path / "less.nc", truths=[]))
    assert document.tables[0].rows[0].values["z_std"] > 1.3


def test_without_truth_or_sigma_it_says_so(made_up_run, tmp_path):
    document = validate_uncertainty(**arguments(made_up_run, tmp_path, truths=[]))
    assert document.tables == []
    assert "No truth" in document.note and "rerun verify_heldout" in document.note
