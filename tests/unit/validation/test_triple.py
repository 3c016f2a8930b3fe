"""Triple collocation: known errors are recovered, correlated ones are not, and what shares an origin is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from pytesmo.metrics import tcol_metrics

from pscnet.lineage import lineage
from pscnet.regrid import write_weight_file
from pscnet.timeaxis import make_split, month_days
from pscnet.validation import ScoreError
from pscnet.validation.agreement import Bootstrap
from pscnet.validation.triple import MINIMUM, SCORES, Member, collocate, estimates, require_independent
from pscnet.validation.triple_run import Series, validate_triple
from tests.unit.validation.satellite_world import COARSE, FINE, persistent

FIRST = np.datetime64("2016-01-01", "ns")
TIMES = FIRST + np.arange(480) * np.timedelta64(12, "h")
TEST = [(TIMES[0], TIMES[-1] + np.timedelta64(1, "D"))]
SIGNAL, ERRORS, GAINS, CELLS = 0.05, (0.03, 0.02, 0.04), (1.0, 0.6, 1.5), 12
NAMES = ("SMAP", "ERA5-Land, raw", "third")


def triplet(seed: int = 0, shared: float = 0.0) -> list[np.ndarray]:
    """Three data sets (time, cell) of one truth; a share of the second's error is also the third's."""
    rng = np.random.default_rng(seed)
    shape = (TIMES.size, CELLS)
    truth = SIGNAL * persistent(rng, shape, 6.0)
    errors = [size * persistent(rng, shape, 2.0) for size in ERRORS]
    common = np.sqrt(1 - shared**2) * errors[2] / ERRORS[2] + shared * errors[1] / ERRORS[1]
    errors[2] = ERRORS[2] * common
    made = [0.2 + gain * truth + error for gain, error in zip(GAINS, errors, strict=True)]
    made[0][rng.random(shape) < 0.3] = np.nan
    return made


BOOTSTRAP = Bootstrap.of(TEST, 8, 300)
#: Errors in the range of the first data set.
SCALED = np.array([error / gain for error, gain in zip(ERRORS, GAINS, strict=True)])
R2 = SIGNAL**2 / (SIGNAL**2 + SCALED**2)


def test_known_errors_are_recovered_within_the_interval():
    made = collocate(triplet(), TIMES, BOOTSTRAP)
    np.testing.assert_allclose(made.pooled["error_std"], SCALED, rtol=0.06)
    np.testing.assert_allclose(made.pooled["r2"], R2, atol=0.03)
    np.testing.assert_allclose(made.pooled["snr"], 10 * np.log10(SIGNAL**2 / SCALED**2), atol=0.6)
    for score, truth in (("error_std", SCALED), ("r2", R2), ("fmse", 1 - R2)):
        low, high = made.intervals[score].T
        assert (low <= truth).all() and (truth <= high).all() and (low < high).all(), score
    np.testing.assert_allclose(np.nanmedian(made.cells["error_std"], axis=1), SCALED, rtol=0.12)
    assert made.enough.all() and (made.negative == 0).all()
    assert made.n == np.isfinite(triplet()[0]).sum()


def test_intervals_hold_the_truth_in_most_made_up_records():
    inside = []
    for seed in range(40):
        low, high = collocate(triplet(seed), TIMES, Bootstrap.of(TEST, 8, 100)).intervals["error_std"].T
        inside.append((low <= SCALED) & (high >= SCALED))
    assert np.mean(inside) > 0.85


def test_the_control_correlated_errors_are_taken_for_truth():
    made = collocate(triplet(shared=0.8), TIMES, BOOTSTRAP)
    low, high = made.intervals["error_std"].T
    outside = (low > SCALED) | (high < SCALED)
    assert outside[1] and outside[0], "the innocent one gets the blame"
    assert made.pooled["error_std"][1] < 0.8 * SCALED[1] and made.pooled["error_std"][0] > 1.15 * SCALED[0]


def test_scores_are_those_of_pytesmo():
    series = [field[:, 0] for field in triplet()]
    common = np.isfinite(np.stack(series)).all(axis=0)
    series = [one[common] for one in series]
    snr, error_std, _ = tcol_metrics(*series, ref_ind=0)
    made = estimates(np.cov(np.stack(series)))
    np.testing.assert_allclose(made["snr"], snr, rtol=1e-9)
    np.testing.assert_allclose(made["error_std"], error_std, rtol=1e-9)
    np.testing.assert_allclose(made["r2"], 1 / (1 + 10 ** (-snr / 10)), rtol=1e-9)
    cell = collocate([field[:, :1] for field in triplet()], TIMES, BOOTSTRAP).cells
    np.testing.assert_allclose(cell["error_std"][:, 0], error_std, rtol=1e-9)


def test_negative_estimates_are_gaps_and_are_counted():
    # The third agrees with each of the others better than they do with each other: its own error would be negative.
    covariance = np.array([[1.0, 0.5, 0.9], [0.5, 1.0, 0.9], [0.9, 0.9, 1.0]])
    made = estimates(covariance)
    assert np.isnan([made[score][2] for score in SCORES]).all() and np.isfinite(made["r2"][:2]).all()
    opposed = estimates(np.array([[1.0, -0.5, 0.5], [-0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]))
    assert all(np.isnan(opposed[score]).all() for score in SCORES)
    constant = estimates(np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert all(np.isnan(constant[score]).all() for score in SCORES)
    rng = np.random.default_rng(0)
    nothing = [rng.standard_normal((TIMES.size, 30)) for _ in range(3)]
    found = collocate(nothing, TIMES, Bootstrap.of(TEST, 8, 100))
    assert (found.negative > 5).all() and found.negative.max() <= 30
    assert (np.isnan(found.cells["r2"]).sum(axis=1) == found.negative).all()


def test_a_cell_with_too_few_values_has_no_estimate():
    fields = triplet()
    fields[1][MINIMUM:, 0] = np.nan
    made = collocate(fields, TIMES, BOOTSTRAP)
    assert not made.enough[0] and made.enough[1:].all()
    assert np.isnan(made.cells["error_std"][:, 0]).all() and (made.negative == 0).all()


# Lineage --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "origin"),
    [
        (["SMAP L3", "smap", "SPL3SMP_E"], {"SMAP"}),
        (["ERA5", "era5-land", "ERA5 Land"], {"ERA5-Land"}),
        (["ASCAT", "ascat"], {"ASCAT"}),
        (["AMSR-2", "amsr2"], {"AMSR2"}),
    ],
)
def test_one_origin_has_one_name(names, origin):
    assert lineage(names) == origin


PRODUCT = Member("product", ("SMAP", "ERA5-Land"))
ASCAT, CCI = Member("ASCAT", ("ASCAT",)), Member("ESA CCI combined", ("ASCAT", "SMAP", "AMSR2"))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ((PRODUCT, Member("SMAP retrievals", ("SMAP",)), ASCAT), "product and SMAP retrievals are both made of SMAP"),
        (
            (PRODUCT, Member("ERA5-Land, raw", ("ERA5-Land",)), ASCAT),
            "product and ERA5-Land, raw are both made of ERA5-L",
        ),
        ((PRODUCT, ASCAT, CCI), "product and ESA CCI combined are both made of SMAP"),
        ((Member("SMOS", ("SMOS",)), ASCAT, CCI), "ASCAT and ESA CCI combined are both made of ASCAT"),
    ],
)
def test_what_shares_an_origin_is_refused(members, said):
    with pytest.raises(ScoreError, match=said):
        require_independent(members)


def test_what_shares_nothing_is_taken():
    require_independent((Member("SMAP", ("SMAP",)), Member("ERA5-Land", ("ERA5-Land",)), ASCAT))
    require_independent((PRODUCT, ASCAT, Member("station", ("in situ",))))


# The rule -------------------------------------------------------------------------------------------------------------

MONTHS = [f"2016-{month:02d}" for month in range(1, 9)]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory) -> dict:
    """Eight months of retrievals and ERA5-Land, a product of two of them, and two independent products."""
    folder = tmp_path_factory.mktemp("triple")
    rng = np.random.default_rng(0)
    times = np.arange(np.datetime64("2016-01-01", "ns"), np.datetime64("2016-09-01", "ns"), np.timedelta64(3, "h"))
    truth = 0.2 + SIGNAL * persistent(rng, (times.size, 1, 1), 60.0) + np.zeros((times.size, *COARSE.shape))
    for month in MONTHS:
        here = times.astype("M8[M]").astype(str) == month
        _months(folder, month, times[here], truth[here], rng)
    noon = np.arange(4, times.size, 8)
    for name, size in (("one", 0.02), ("two", 0.03)):
        values = truth[noon] + size * rng.standard_normal((noon.size, *COARSE.shape))
        coords = {"time": times[noon], "latitude": COARSE.lat, "longitude": COARSE.lon % 360}
        xr.Dataset({"sm": (("time", "latitude", "longitude"), values * 100)}, coords).to_netcdf(folder / f"{name}.nc")
    write_weight_file(FINE, COARSE, "conservative", "exact", folder / "weights.nc")
    split = make_split(
        {"train": ["2016-01"], "validation": ["2016-03"], "test": ["2016-05/2016-08"]}, (MONTHS[0], MONTHS[-1]), 8
    )
    one, two = (
        {
            "path": str(folder / f"{name}.nc"),
            "name": name,
            "variable": None,
            "made_of": [name],
            "scale": 0.01,
            "hours": 12,
        }
        for name in ("one", "two")
    )
    return {
        "run": "made_up",
        "smap": [folder / f"smap_{month}.nc" for month in MONTHS],
        "coarse": [folder / f"coarse_{month}.nc" for month in MONTHS],
        "products": [folder / f"sm_{month}.nc" for month in MONTHS[4:]],
        "fine_to_coarse": folder / "weights.nc",
        "third": [one, two],
        "split": split,
        "period": ("2016-01-01T00:00", "2016-09-01T00:00"),
        "window_days": 8.0,
        "draws": 100,
        "background": "swvl1",
        "json_path": folder / "out" / "triple.json",
        "csv_path": folder / "out" / "triple.csv",
        "maps_path": folder / "out" / "triple_maps.nc",
    }


def _months(folder, month, times, truth, rng) -> None:
    era5 = 0.05 + 0.7 * truth + 0.015 * rng.standard_normal(truth.shape)
    xr.Dataset({"swvl1": (("time", "y", "x"), era5)}, {"time": times}).to_netcdf(folder / f"coarse_{month}.nc")
    halves = 2 * len(month_days(month))
    value = truth[::4] + 0.04 * rng.standard_normal((halves, *COARSE.shape))
    value[rng.random(value.shape) < 0.3] = np.nan
    offset = np.where(np.isfinite(value), np.arange(halves)[:, None, None] * 12.0, np.nan)
    dims = ("half_orbit", "y", "x")
    days = np.repeat(np.array(month_days(month), "M8[ns]"), 2)
    made = {"soil_moisture": (dims, value), "time_offset": (dims, offset)}
    xr.Dataset(made, {"date": ("half_orbit", days)}).to_netcdf(folder / f"smap_{month}.nc")
    product = np.broadcast_to(truth[:, :1, :1], (times.size, *FINE.shape)) + 0.01 * rng.standard_normal(
        (times.size, 1, 1)
    )
    coords = {"time": times, "lat": FINE.lat, "lon": FINE.lon}
    xr.Dataset({"soil_moisture": (("time", "lat", "lon"), product.astype("f4"))}, coords).to_netcdf(
        folder / f"sm_{month}.nc"
    )


@pytest.fixture(scope="module")
def document(arguments):
    return validate_triple(**arguments)


def value(document, table, label, score, kind="values"):
    rows = next(part for part in document.tables if part.name == table).rows
    return next(row for row in rows if row.label == label and row.group == kind).values[score]


def test_the_rule_finds_what_was_put_in(document, arguments):
    assert document.data["triplets"] == {
        "triplet_1": ["SMAP", "ERA5-Land, raw", "one"],
        "triplet_2": ["SMAP", "ERA5-Land, raw", "two"],
        "triplet_3": ["product", "one", "two"],
    }
    assert value(document, "triplet_1", "SMAP", "error_std") == pytest.approx(0.04, rel=0.1)
    # The independent product is half a day away from most overpasses: some of the truth's change is error, too.
    assert 0.02 < value(document, "triplet_1", "one", "error_std") < 0.03
    assert value(document, "triplet_3", "product", "error_std") == pytest.approx(0.01, rel=0.3)
    assert value(document, "triplet_3", "two", "error_std") == pytest.approx(0.03, rel=0.1)
    days = 31 + 30 + 31 + 31
    assert value(document, "triplet_3", "product", "n") == days * COARSE.size, "each value of a daily product once"
    with xr.open_dataset(arguments["maps_path"]) as maps:
        assert maps["triplet_1_r2"].dims == ("member", "y", "x") and maps["triplet_1_r2"].shape[1:] == COARSE.shape
        assert maps["triplet_3_error_std"].attrs["members"] == "product; one; two"
    assert json.loads(arguments["json_path"].read_text())["what"] == "triple"


def outputs(folder) -> dict:
    return {name: folder / name for name in ("json_path", "csv_path", "maps_path")}


def test_products_of_one_origin_make_no_triplet_with_the_product(arguments, tmp_path):
    related = [arguments["third"][0], arguments["third"][1] | {"made_of": ["One"]}]
    made = validate_triple(**arguments | outputs(tmp_path) | {"third": related})
    assert list(made.data["triplets"]) == ["triplet_1", "triplet_2"]
    assert "one and two are both made of ONE" in made.note


def test_a_third_product_made_of_smap_is_refused(arguments, tmp_path):
    mixed = [arguments["third"][0] | {"made_of": ["ASCAT", "SMAP"]}]
    with pytest.raises(ScoreError, match="SMAP and one are both made of SMAP"):
        validate_triple(**arguments | outputs(tmp_path) | {"third": mixed})


def test_too_few_common_values_are_counted_not_scored(arguments, tmp_path):
    changes = {"period": ("2016-01-01T00:00", "2016-02-01T00:00"), "third": arguments["third"][:1]}
    made = validate_triple(**arguments | outputs(tmp_path) | changes)
    table = made.tables[0]
    assert table.rows == [] and f"needs {MINIMUM} common values and none has more than" in table.note


def test_a_missing_month_of_the_product_is_named(arguments, tmp_path):
    with pytest.raises(ScoreError, match=r"the product of 2016-08: .* rule product_month"):
        validate_triple(**arguments | outputs(tmp_path) | {"products": arguments["products"][:3]})


def test_the_nearest_value_within_reach_is_taken():
    times = np.array(["2016-01-01T00", "2016-01-01T06", "2016-01-02T00"], "M8[ns]")
    series = Series(ASCAT, times, np.array([1.0, np.nan, 3.0])[:, None, None], hours=12)
    wanted = np.array(["2016-01-01T05", "2016-01-01T20", "2016-01-03T01"], "M8[ns]")
    np.testing.assert_array_equal(series.at(wanted)[:, 0, 0], [1.0, 3.0, np.nan])
    exact = Series(ASCAT, times, np.array([1.0, 2.0, 3.0])[:, None, None])
    np.testing.assert_array_equal(exact.at(wanted)[:, 0, 0], [np.nan] * 3)
    np.testing.assert_array_equal(exact.at(times)[:, 0, 0], [1, 2, 3])
