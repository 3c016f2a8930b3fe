"""The comparison: blocks add up to the whole, intervals cover, pairing pays, worlds stay apart."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter

from pscnet.grids import ease2_grid, regular_grid
from pscnet.scores import PairMoments
from pscnet.validation import ScoreError
from pscnet.validation.blocks import BlockMoments, block_starts
from pscnet.validation.comparison import BLOCK_DAYS, BlockScores, compare, scores_of
from pscnet.validation.comparison_targets import comparison_targets
from pscnet.validation.groups import entry_of
from pscnet.validation.resampling import draw_scores, draw_weights
from pscnet.validation.truth import Parts, TruthScores, inside

BOX = (31.5, 33.5), (90.0, 93.0)
INTERVALS = [("2016-07-03", "2016-08-01"), ("2016-09-01", "2016-09-20")]
STEPS = 8 * BLOCK_DAYS


@pytest.fixture(scope="module")
def fields() -> dict[str, np.ndarray]:
    """Times (time,), truth with holes, a method with detail, and its standard deviation (time, lat, lon)."""
    grid, rng = regular_grid(*BOX), np.random.default_rng(3)
    times = np.arange(np.datetime64("2016-07-01", "ns"), np.datetime64("2016-09-22", "ns"), np.timedelta64(3, "h"))
    shape = (times.size, *grid.shape)
    truth = 0.2 + 0.03 * rng.standard_normal(grid.shape) + 0.04 * _persistent(rng, shape, 20.0)
    method = 0.8 * truth + 0.07 + 0.02 * rng.standard_normal(shape)
    truth[rng.random(shape) < 0.05] = np.nan
    truth[40:200, :5, :5] = np.nan
    truth[:, -1, -1] = np.nan
    return {"times": times, "truth": truth, "method": method, "sigma": np.full(shape, 0.025)}


def _persistent(rng: np.random.Generator, shape: tuple[int, ...], memory: float) -> np.ndarray:
    """First-order autoregressive series (time, ...) of variance 1 that forgets within ``memory`` steps."""
    keep, start = np.exp(-1.0 / memory), int(8 * memory)
    noise = np.sqrt(1 - keep**2) * rng.standard_normal((start + shape[0], *shape[1:]))
    return lfilter([1.0], [1.0, -keep], noise, axis=0)[start:]


@pytest.fixture(scope="module")
def blocks(fields) -> BlockScores:
    made = BlockScores(regular_grid(*BOX), ease2_grid(*BOX), INTERVALS)
    for first in range(0, fields["times"].size, 37):
        made.update(*(fields[name][first : first + 37] for name in ("times", "truth", "method", "sigma")))
    return made


def _inside(times: np.ndarray, intervals: list) -> np.ndarray:
    return np.logical_or.reduce([(times >= np.datetime64(a)) & (times < np.datetime64(b)) for a, b in intervals])


def test_sums_over_blocks_equal_the_scores_of_the_whole(fields, blocks):
    whole = TruthScores(regular_grid(*BOX), ease2_grid(*BOX), ["method"])
    days = _inside(fields["times"], INTERVALS)
    whole.update(
        fields["times"][days],
        fields["truth"][days],
        {"method": fields["method"][days]},
        fields["sigma"][days],
        "method",
    )
    row, moments = scores_of(blocks.moments()), blocks.moments()
    expected = whole.table("method")["method"]
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-10)
    for score, values in whole.by_hour()["method"].items():
        np.testing.assert_allclose(moments.by_hour[score], values, atol=1e-12)
    assert moments.attrs["scorable"] == whole.scorable and moments.attrs["scored"] == whole.scored
    days[10:40] = False  # the control: other steps are other scores
    other = TruthScores(regular_grid(*BOX), ease2_grid(*BOX), ["method"])
    other.update(fields["times"][days], fields["truth"][days], {"method": fields["method"][days]})
    assert other.table()["method"]["temporal_r"] != pytest.approx(expected["temporal_r"], abs=1e-6)


def test_chosen_blocks_are_scored_alone_and_repeated_ones_twice(fields, blocks):
    moments = blocks.moments()
    days = _inside(fields["times"], [("2016-07-03", "2016-07-19")])
    alone = TruthScores(regular_grid(*BOX), ease2_grid(*BOX), ["method"])
    alone.update(fields["times"][days], fields["truth"][days], {"method": fields["method"][days]})
    row, expected = scores_of(moments, [0, 1]), alone.table()["method"]
    assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-10)
    twice = scores_of(moments, [0, 1, 0, 1])
    assert twice["n"] == 2 * row["n"] and twice["pooled_r"] == pytest.approx(row["pooled_r"])


def test_reliability_counts_the_truth_inside_nominal_intervals(fields, blocks):
    days = _inside(fields["times"], INTERVALS)
    z = np.abs(fields["truth"] - fields["method"])[days] / fields["sigma"][days]
    z = z[np.isfinite(z)]
    row = scores_of(blocks.moments())
    assert row[inside(0.5)] == pytest.approx((z <= 0.67449).mean(), abs=1e-4)
    assert row[inside(0.1)] < row[inside(0.5)] < row[inside(0.9)]


def test_draws_at_once_equal_rows_of_the_blocks_drawn(blocks):
    moments = blocks.moments()
    weights = draw_weights(moments.size, 40, world=0)
    drawn = draw_scores(moments, weights)
    for draw in (0, 17, 39):
        row = scores_of(moments, np.repeat(np.arange(moments.size), weights[draw].astype(int)))
        assert set(row) - set(drawn) == {"n", "cells"}
        for name, values in drawn.items():
            assert values[draw] == pytest.approx(row[name], abs=2e-6, nan_ok=True), name


def test_files_give_back_the_moments(blocks, tmp_path):
    blocks.write(tmp_path / "scores.nc", {"model": "pscnet", "parameters": 12_000})
    read, made = BlockScores.read(tmp_path / "scores.nc"), blocks.moments()
    assert read.attrs["parameters"] == 12_000 and read.attrs["scored"] == made.attrs["scored"]
    np.testing.assert_array_equal(read.starts, made.starts)
    row, expected = scores_of(read), scores_of(made)
    assert row == pytest.approx(expected, abs=2e-6)
    assert row["n"] == expected["n"] and row[inside(0.3)] == expected[inside(0.3)]


def test_a_world_of_64_cells_squared_stays_small(tmp_path):
    rng = np.random.default_rng(0)
    made = _blocks(*(rng.normal(0.2, 0.05, (16 * 64, 64 * 64)) for _ in range(2)))
    made.write(tmp_path / "scores.nc")
    assert (tmp_path / "scores.nc").stat().st_size < 5e6


def test_a_file_of_something_else_is_named(tmp_path, blocks):
    blocks.moments().write(tmp_path / "scores.nc")
    with xr.open_dataset(tmp_path / "scores.nc") as dataset:
        dataset.drop_vars("changes_sxy").to_netcdf(tmp_path / "cut.nc")
    with pytest.raises(ScoreError, match=r"cut\.nc: expected the moments .* changes_sxy missing"):
        BlockMoments.read(tmp_path / "cut.nc")


def test_steps_out_of_order_are_refused(fields):
    made = BlockScores(regular_grid(*BOX), ease2_grid(*BOX), INTERVALS)
    later, earlier = slice(200, 204), slice(60, 64)
    made.update(*(fields[name][later] for name in ("times", "truth", "method")))
    with pytest.raises(ScoreError, match="expected the order of time"):
        made.update(*(fields[name][earlier] for name in ("times", "truth", "method")))


def test_blocks_start_anew_in_each_interval_and_leave_no_stub():
    starts = block_starts([("2018-07-01", "2018-11-01"), ("2019-01-01", "2019-01-03")])
    assert starts.size == 15 + 1  # 123 days: 15 blocks, the last of 11 days
    assert str(starts[14])[:10] == "2018-10-21" and str(starts[15])[:10] == "2019-01-01"
    assert block_starts([("2018-07-01", "2018-07-13")]).size == 2  # 8 and 4 days


# ---- the bootstrap, on series whose errors are known


def _blocks(field: np.ndarray, truth: np.ndarray, steps: int = STEPS) -> BlockMoments:
    """Moments of series (time, cell), all parts alike, in blocks of ``steps``."""
    shape = (-1, steps, field.shape[1])
    moments = PairMoments.of(field.reshape(shape).swapaxes(0, 1), truth.reshape(shape).swapaxes(0, 1))
    return BlockMoments(np.arange(len(moments.n)).astype("M8[D]"), Parts(*[moments] * 5), {}, {})


def _season(rng: np.random.Generator, days: int = 120, cells: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth and two methods (time, cell) whose errors last a day and are largely the same."""
    shape = (8 * days, cells)
    truth = 0.2 + 0.05 * _persistent(rng, shape, 40.0)
    shared = _persistent(rng, shape, 8.0)
    own = (_persistent(rng, shape, 8.0) for _ in range(2))
    first, second = (truth + size * (0.9 * shared + 0.44 * e) for size, e in zip((0.030, 0.033), own, strict=True))
    return truth, first, second


def _coverage(steps: int, repeats: int = 120) -> dict[str, float]:
    """Share of repeated seasons whose intervals hold the mean over seasons."""
    rng = np.random.default_rng(11)
    found: dict[str, list] = {"ubrmse": [], "temporal_r": [], "difference": []}
    for repeat in range(repeats):
        truth, first, second = _season(rng)
        rows = {"pscnet": [[_blocks(first, truth, steps)]], "other": [[_blocks(second, truth, steps)]]}
        other = compare(rows, draws=200, seed=repeat)["methods"]["other"]
        for score in ("ubrmse", "temporal_r"):
            found[score].append(other["scores"][score])
        found["difference"].append(other["differences"]["pscnet"]["relative_ubrmse"])
    expected = {name: np.mean([row["mean"] for row in rows]) for name, rows in found.items()}
    return {
        name: float(np.mean([row["low"] <= expected[name] <= row["high"] for row in rows]))
        for name, rows in found.items()
    }


def test_intervals_cover_at_about_the_nominal_rate():
    """Of 300 seasons they held 0.90 (R) to 0.94 (ubRMSE); the bound is 3 standard errors of 120 seasons below 0.9."""
    coverage = _coverage(STEPS)
    assert all(share >= 0.82 for share in coverage.values()), coverage


def test_blocks_of_one_step_cover_too_rarely():
    """The control: errors last a day, so that steps are no independent draws."""
    coverage = _coverage(1, repeats=40)
    assert all(share < 0.75 for share in coverage.values()), coverage


def test_pairing_narrows_the_interval_of_a_difference():
    truth, first, second = _season(np.random.default_rng(5))
    rows = {"pscnet": [[_blocks(first, truth)]], "other": [[_blocks(second, truth)]]}
    paired = compare(rows)["methods"]["other"]["differences"]["pscnet"]["relative_ubrmse"]
    ours, theirs = (draw_scores(leaves[0][0], draw_weights(15, 1000, 0))["ubrmse"] for leaves in rows.values())
    apart = theirs / np.random.default_rng(0).permutation(ours) - 1.0
    low, high = np.percentile(apart, [2.5, 97.5])
    assert paired["high"] - paired["low"] < 0.7 * (high - low)
    assert paired["low"] < paired["mean"] < paired["high"]


def test_a_method_differs_from_itself_by_nothing():
    truth, first, _ = _season(np.random.default_rng(5))
    made = _blocks(first, truth)
    comparison = compare({"pscnet": [[made, made]], "twin": [[made]]})
    for method in ("pscnet", "twin"):
        for difference in comparison["methods"][method]["differences"]["pscnet"].values():
            finite = {value for value in difference.values() if np.isfinite(value)}
            assert finite <= {0.0}
    zero = comparison["methods"]["twin"]["differences"]["pscnet"]["relative_ubrmse"]
    assert (zero["mean"], zero["low"], zero["high"]) == (0.0, 0.0, 0.0)


def test_worlds_are_drawn_apart():
    rng = np.random.default_rng(6)
    worlds = [_season(rng), _season(rng), _season(rng, days=80)]
    made = [{"pscnet": _blocks(first, truth), "other": _blocks(second, truth)} for truth, first, second in worlds]
    both = compare({m: [[made[0][m]], [made[1][m]]] for m in made[0]}, ["one", "two"])
    swapped = compare({m: [[made[0][m]], [made[2][m]]] for m in made[0]}, ["one", "two"])
    ones = [str(comparison["methods"]["other"]["worlds"]["one"]) for comparison in (both, swapped)]
    assert ones[0] == ones[1]
    assert swapped["blocks"] == {"one": 15, "two": 10}
    streams = [draw_weights(15, 1000, world).ravel() for world in (0, 1)]
    assert abs(np.corrcoef(*streams)[0, 1]) < 0.05
    # The same data twice: intervals of the mean are narrower by about sqrt(2), as draws of two worlds are independent.
    double = compare({"pscnet": [[made[0]["pscnet"]], [made[0]["pscnet"]]]})["methods"]["pscnet"]
    width = {
        name: scores["ubrmse"]["high"] - scores["ubrmse"]["low"]
        for name, scores in {"mean": double["scores"], "one": double["worlds"]["1"]}.items()
    }
    assert 1.2 < width["one"] / width["mean"] < 1.8


def test_order_of_methods_and_undefined_scores_change_nothing():
    truth, first, second = _season(np.random.default_rng(8))
    constant = np.full_like(truth, 0.2)
    leaves = {"flat": constant, "pscnet": first, "other": second}
    forward = compare({name: [[_blocks(field, truth)]] for name, field in leaves.items()})
    backward = compare({name: [[_blocks(leaves[name], truth)]] for name in reversed(leaves)})
    for name in leaves:
        assert str(forward["methods"][name]) == str(backward["methods"][name])
    flat = forward["methods"]["flat"]
    assert np.isnan([flat["scores"]["temporal_r"][kind] for kind in ("mean", "low", "high")]).all()
    assert np.isfinite([flat["scores"]["ubrmse"][kind] for kind in ("mean", "low", "high")]).all()
    assert np.isnan(flat["differences"]["pscnet"]["temporal_r"]["mean"])
    assert flat["differences"]["pscnet"]["relative_ubrmse"]["low"] > 0


def test_seeds_widen_what_is_known_of_a_difference():
    rng = np.random.default_rng(9)
    truth, first, second = _season(rng)
    scatter = [_blocks(second + size * rng.standard_normal(truth.shape), truth) for size in (0.0, 0.01, 0.02)]
    other = compare({"pscnet": [[_blocks(first, truth)]], "other": [scatter]})["methods"]["other"]
    difference = other["differences"]["pscnet"]["relative_ubrmse"]
    expected = np.std([scores_of(part)["ubrmse"] for part in scatter], ddof=1)
    assert other["scores"]["ubrmse"]["seed_spread"] == pytest.approx(expected)
    assert difference["low_seeds"] < difference["low"] and difference["high_seeds"] > difference["high"]
    assert other["seeds"] == [3]


def _trained(field, truth, members=1):
    made = _blocks(field, truth)
    made.attrs["members"] = members
    return made


def test_a_single_training_is_no_surer_than_three():
    rng = np.random.default_rng(9)
    truth, first, second = _season(rng)
    scatter = [0.01 * size * rng.standard_normal(truth.shape) for size in (0.0, 1.0, 2.0)]
    three = [_trained(first + noise, truth) for noise in scatter]
    rows = {"pscnet": [three], "single": [[_trained(second, truth)]], "together": [[_trained(second, truth, 3)]]}
    made = compare(rows | {"optimal_interpolation": [[_blocks(second, truth)]]})["methods"]

    def width(name: str, kind: str, other: str = "pscnet") -> float:
        found = made[name]["differences"][other]["relative_ubrmse"]
        return found[f"high{kind}"] - found[f"low{kind}"]

    both = {name: width(name, "_seeds") for name in ("single", "together", "optimal_interpolation")}
    assert both["single"] > both["together"] > both["optimal_interpolation"] > width("single", "")
    # The other side has no training: the scatter is that of the methods with several seeds.
    assert width("single", "_seeds", "optimal_interpolation") > width("single", "", "optimal_interpolation")


def test_a_single_training_scatters_as_those_of_its_own_dress():
    rng = np.random.default_rng(9)
    truth, first, second = _season(rng)

    def seeds(size: float) -> list[BlockMoments]:
        return [_trained(first + size * number * rng.standard_normal(truth.shape), truth) for number in range(3)]

    rows = {"pscnet": [seeds(0.001)], "lstm": [[_trained(second, truth)]], "tcn": [[_trained(first, truth)]]}
    alone = [_trained(second, truth)]
    steady = compare(rows | {"lstm_literature": [alone]}, against=["pscnet", "tcn"])["methods"]
    made = compare(rows | {"lstm_literature": [alone], "mlp_literature": [seeds(0.02)]}, against=["pscnet", "tcn"])[
        "methods"
    ]

    def width(rows: dict, name: str, other: str) -> float:
        found = rows[name]["differences"][other]["relative_ubrmse"]
        return found["high_seeds"] - found["low_seeds"]

    # Seeds of the literature's dress that differ much say nothing of the own dress, and all of their own.
    assert width(made, "lstm", "pscnet") == width(steady, "lstm", "pscnet")
    assert width(made, "lstm", "tcn") == width(steady, "lstm", "tcn")
    assert width(made, "lstm_literature", "pscnet") > 1.5 * width(steady, "lstm_literature", "pscnet")
    # Where no seeds of its dress are known, those that it is compared with stand in.
    assert width(steady, "lstm_literature", "pscnet") == width(steady, "lstm", "pscnet")


def test_where_every_method_was_trained_once_training_is_not_known():
    truth, first, second = _season(np.random.default_rng(9))
    rows = {"pscnet": [[_trained(first, truth)]], "other": [[_trained(second, truth)]]}
    found = compare(rows)["methods"]["other"]["differences"]["pscnet"]["relative_ubrmse"]
    assert (
        np.isnan([found["low_seeds"], found["high_seeds"]]).all() and np.isfinite([found["low"], found["high"]]).all()
    )


def test_other_blocks_or_worlds_are_named(tmp_path):
    truth, first, second = _season(np.random.default_rng(9))
    made = _blocks(first, truth)
    with pytest.raises(ScoreError, match=r"other: expected in world 1 the 15 blocks of pscnet .* found 30"):
        compare({"pscnet": [[made]], "other": [[_blocks(second, truth, STEPS // 2)]]})
    with pytest.raises(ScoreError, match=r"other: expected 1 worlds \(1\), found 2"):
        compare({"pscnet": [[made]], "other": [[made], [made]]})
    with pytest.raises(ScoreError, match="found none of other"):
        compare({"pscnet": [[made]], "other": [[]]})


def test_paths_are_read_and_samples_are_compared(tmp_path):
    truth, first, second = _season(np.random.default_rng(9))
    holed = np.where(np.random.default_rng(0).random(second.shape) < 0.1, np.nan, second)
    _blocks(first, truth).write(tmp_path / "pscnet.nc")
    rows = {"pscnet": [[tmp_path / "pscnet.nc"]], "other": [[_blocks(holed, truth)]]}
    comparison = compare(rows, draws=100)
    assert str(compare(rows, draws=100, threads=3)) == str(comparison)
    assert comparison["methods"]["pscnet"]["samples"] == 1.0
    assert comparison["methods"]["other"]["samples"] == pytest.approx(0.9, abs=0.01)


# ---- targets


def _comparison(**rows: dict[str, float]) -> dict:
    made = {}
    for name, row in rows.items():
        scores = {score: {"mean": value} for score, value in row.items()}
        made[name] = {"scores": scores, "worlds": {"one": scores}, "differences": {}}
    return {"worlds": ["one"], "methods": made}


def test_targets_tell_reached_from_missed():
    ours = {
        "ubrmse": 0.020, "temporal_r": 0.80, "subpixel_r_beyond": 0.60, "change_r": 0.50, "inside_1_sigma": 0.68,
        "inside_2_sigma": 0.99, "overpass_temporal_r": 0.81, "overpass_ubrmse": 0.0195,
    }  # fmt: skip
    boosted = {"ubrmse": 0.0205, "subpixel_r_beyond": 0.57}
    rows = {
        "pscnet": ours,
        "pscnet_no_squeeze": {"ubrmse": 0.010, "subpixel_r_beyond": 0.9},  # no other method
        "smap_interpolated": {"ubrmse": 0.025, "temporal_r": 0.7, "subpixel_r_beyond": float("nan")},
        "optimal_interpolation": {"ubrmse": 0.0208, "subpixel_r_beyond": 0.5},
        "era5_land_rescaled": {"ubrmse": 0.03, "subpixel_r_beyond": 0.5, "change_r": 0.5},
        "gradient_boosting": boosted,
        "unet": {"ubrmse": None, "subpixel_r_beyond": 0.55},
    }
    controls = {"perfect": _comparison(pscnet={"temporal_r": 0.985})}
    targets = comparison_targets(_comparison(**rows), controls=controls)
    reached = [target["reached"] for target in targets]
    assert reached == [True, False, True, True, False, True, True, False, True, False, True]
    assert targets[0]["value"] == pytest.approx(-0.2) and "gradient_boosting" in targets[2]["name"]
    del rows["gradient_boosting"], rows["optimal_interpolation"], rows["unet"]
    without = comparison_targets(_comparison(**rows))
    assert [t["reached"] for t in without][:5] == [True, None, None, True, None]


@pytest.mark.parametrize(
    ("name", "group", "label"),
    [
        ("smap_kriged", "reference", "SMAP, kriged"),
        ("unet_literature", "literature", "U-Net (literature)"),
        ("unet", "own", "U-Net"),
        ("gradient_boosting", "own", "gradient boosting"),
        ("pscnet", "pscnet", "PSCNet"),
        ("pscnet_ensemble", "pscnet", "PSCNet, ensemble"),
        ("pscnet_no_squeeze", "ablation", "PSCNet, no squeeze"),
    ],
)
def test_names_tell_the_group(name, group, label):
    assert (entry_of(name).group, entry_of(name).label) == (group, label)
