"""The score stage on a made-up run: streamed tables equal those of whole arrays, and bad input is named."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import xarray as xr
from pytesmo import metrics

from pscnet.grids import ease2_grid, fine_grid, regular_grid
from pscnet.validation import ScoreError
from pscnet.validation.score_run import format_tables, score_run
from pscnet.validation.truth import TruthScores


@pytest.fixture(scope="module")
def document(made_up_run):
    return score_run(**made_up_run.arguments())


def _scored(run) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Truth and fields as the score stage must see them, from the arrays."""
    days = (run.times >= np.datetime64("2016-07-05")) & (run.times < np.datetime64("2016-08-11"))
    hidden = run.arrays["frozen"] | run.arrays["sea"]
    truth = np.where(hidden, np.nan, run.arrays["truth"])[days]
    return truth, {name: values[days] for name, values in run.arrays.items() if values.ndim == 3}


def test_streamed_table_equals_scores_of_whole_series(made_up_run, document):
    truth, fields = _scored(made_up_run)
    for method in ("pscnet", "era5_land", "smap_interpolated"):
        row = document["truth_10km"][method]
        rs, errors = [], []
        for cell in np.ndindex(truth.shape[1:]):
            good = np.isfinite(truth[(slice(None), *cell)])
            if good.sum() < 40:
                continue
            a, b = fields[method][(slice(None), *cell)][good], truth[(slice(None), *cell)][good]
            rs.append(metrics.pearson_r(a, b))
            errors.append(metrics.ubrmsd(a, b))
        good = np.isfinite(truth)
        tolerance = 2e-4 if method == "pscnet" else 2e-6  # the product is packed, the others are float32
        assert row["temporal_r"] == pytest.approx(np.mean(rs), abs=tolerance)
        assert row["ubrmse"] == pytest.approx(np.mean(errors), abs=tolerance)
        assert row["rmse"] == pytest.approx(metrics.rmsd(fields[method][good], truth[good]), abs=tolerance)
        assert row["bias"] == pytest.approx(metrics.bias(fields[method][good], truth[good]), abs=tolerance)
        assert row["pooled_r"] == pytest.approx(metrics.pearson_r(fields[method][good], truth[good]), abs=tolerance)
        change, true_change = np.diff(fields[method], axis=0), np.diff(truth, axis=0)
        good = np.isfinite(true_change)
        expected = metrics.pearson_r(change[good], true_change[good])
        assert row["change_r_pooled"] == pytest.approx(expected, abs=tolerance)
        assert row["n"] == np.isfinite(truth).sum()


def _outputs(folder) -> dict:
    return {name: folder / name for name in ("scores_json", "scores_csv", "places_nc")}


def test_blocks_of_any_length_give_the_same_table(made_up_run):
    truth, fields = _scored(made_up_run)
    times = made_up_run.times
    times = times[(times >= np.datetime64("2016-07-05")) & (times < np.datetime64("2016-08-11"))]
    grids = regular_grid((31.5, 33.5), (90.0, 93.0)), ease2_grid((31.5, 33.5), (90.0, 93.0))
    methods = ["pscnet", "smap_interpolated"]
    tables = []
    for length in (times.size, 37):
        scores = TruthScores(*grids, methods)
        for first in range(0, times.size, length):
            rows = slice(first, first + length)
            part = {method: fields[method][rows] for method in methods}
            scores.update(times[rows], truth[rows], part, fields["uncertainty"][rows], "pscnet")
        tables.append(scores.table("pscnet"))
    for method in methods:
        assert tables[0][method] == pytest.approx(tables[1][method], abs=1e-9, nan_ok=True)


def test_the_table_tells_good_from_bad(document):
    table = document["truth_10km"]
    ours, smap = table["pscnet"], table["smap_interpolated"]
    assert ours["inside_1_sigma"] == pytest.approx(0.683, abs=0.01)
    assert ours["inside_2_sigma"] == pytest.approx(0.954, abs=0.01)
    assert ours["mean_z2"] == pytest.approx(1.0, abs=0.02)
    assert ours["subpixel_r_beyond"] > 0.7 > 0.3 > abs(smap["subpixel_r_beyond"])
    assert ours["subpixel_r_beyond_static"] > 0.99
    assert table["era5_land"]["bias"] == pytest.approx(0.05 - 0.4 * 0.2, abs=0.03)
    assert document["by_hour"]["pscnet"]["temporal_r"][0] > 0.5
    assert "inside_1_sigma" not in smap


def test_a_shuffled_product_scores_nothing(made_up_run, tmp_path):
    """The control: the same values at other times and cells."""
    rng = np.random.default_rng(1)
    shuffled = []
    for path in made_up_run.paths("product"):
        with xr.open_dataset(path) as product:
            product.load()
        values = product["soil_moisture"].values
        land = np.isfinite(values)
        values[land] = rng.permutation(values[land])
        shuffled.append(tmp_path / path.name)
        product.to_netcdf(shuffled[-1])
    document = score_run(**made_up_run.arguments(products=shuffled, **_outputs(tmp_path)))
    row = document["truth_10km"]["pscnet"]
    # Values keep their month, and with it a little of the season.
    assert abs(row["temporal_r"]) < 0.1 and abs(row["subpixel_r_beyond"]) < 0.02 and abs(row["change_r"]) < 0.02
    reached = {target["name"]: target["reached"] for target in document["targets"]}
    assert not reached["temporal R, product minus interpolated SMAP"]
    assert not reached["truth inside 1 sigma"]


def test_satellite_table_uses_test_days_only(made_up_run, document):
    with xr.open_dataset(made_up_run.folder / "heldout.nc") as pairs:
        pairs.load()
    test = (pairs["time"].values >= np.datetime64("2016-07-05")) & (pairs["time"].values < np.datetime64("2016-08-11"))
    row = document["satellite_36km"]["pscnet"]
    assert row["n"] == test.sum() == document["pairs"]["in_test"] < document["pairs"]["pairs"]
    expected = metrics.pearson_r(pairs["pscnet"].values[test], pairs["smap"].values[test])
    assert row["pooled_r"] == pytest.approx(expected, abs=1e-10)
    assert row["pooled_r_low"] < row["pooled_r"] < row["pooled_r_high"]
    assert row["rmsd"] == pytest.approx(metrics.rmsd(pairs["pscnet"].values[test], pairs["smap"].values[test]))


def test_coverage_counts_unfrozen_land_only(made_up_run, document, tmp_path):
    everything = document["coverage"]["all"]
    land = ~made_up_run.arrays["sea"]
    assert everything["share"] == 1.0
    assert everything["frozen"] == made_up_run.arrays["frozen"][:, land].sum()
    path = made_up_run.paths("product")[0]
    with xr.open_dataset(path) as product:
        product.load()
    product["soil_moisture"][40, 10, 10] = np.nan
    product.to_netcdf(tmp_path / path.name)
    products = [tmp_path / path.name, made_up_run.paths("product")[1]]
    holed = score_run(**made_up_run.arguments(products=products, **_outputs(tmp_path)))
    assert everything["with_value"] - holed["coverage"]["all"]["with_value"] == 1
    assert holed["truth_samples"]["scored"] == holed["truth_samples"]["scorable"] - 1


def test_files_hold_what_was_returned(made_up_run, document):
    arguments = made_up_run.arguments()
    text = arguments["scores_json"].read_text()
    assert "NaN" not in text
    stored = json.loads(text)
    assert stored["truth_10km"]["pscnet"]["ubrmse"] == document["truth_10km"]["pscnet"]["ubrmse"]
    with arguments["scores_csv"].open() as file:
        rows = {(r["table"], r["method"], r["score"]): r["value"] for r in csv.DictReader(file)}
    assert float(rows["satellite_36km", "pscnet", "pooled_r"]) == document["satellite_36km"]["pscnet"]["pooled_r"]
    printed = format_tables(document)
    assert "Agreement with held-out SMAP" in printed and "accuracy" not in printed.lower()


def test_series_at_places(made_up_run, document):
    with xr.open_dataset(made_up_run.arguments()["places_nc"]) as places:
        assert places.sizes["place"] == 5
        assert places["time"].values[0] == np.datetime64("2016-07-05")
        lat, lon = float(places["lat"][1]), float(places["lon"][1])
        grid = regular_grid((31.5, 33.5), (90.0, 93.0))
        row, column = np.abs(grid.lat - lat).argmin(), np.abs(grid.lon - lon).argmin()
        truth, _ = _scored(made_up_run)
        np.testing.assert_allclose(places["truth"].values[1], truth[:, row, column], atol=1e-6)
        assert np.isfinite(places["smap"].values).sum() > 10
    assert {row["method"] for row in document["places"]} == set(document["truth_10km"])


def test_without_truth_only_agreement_with_smap_is_scored(made_up_run, tmp_path):
    outputs = _outputs(tmp_path)
    document = score_run(**made_up_run.arguments(truths=[], places=[(32.0, 91.0)], **outputs))
    assert "truth_10km" not in document and "targets" not in document and document["places"] == []
    assert document["satellite_36km"]["pscnet"]["pooled_r"] > 0.9
    with xr.open_dataset(outputs["places_nc"]) as places:
        assert "truth" not in places and places.sizes["place"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"places": [(40.0, 91.0)]}, "report.places: 40 N 91 E"),
        ({"test_intervals": [("2015-01-01", "2015-02-01")]}, "no pair to score"),
        (
            {"fine": regular_grid((31.5, 34.5), (90.0, 93.0))},
            "static.nc: expected the fine grid r0100, 31 x 31 cells from 34.5 N 90 E, found 21 x 31 from 33.5 N 90 E",
        ),
        ({"fine": fine_grid("ease2", (31.5, 33.5), (90.0, 93.0))}, "static.nc: expected the fine grid M09"),
        ({"truths": "one"}, "found 2, 2 and 1"),
        ({"references": "swapped"}, r"fields_2016-08.nc: expected every stamp of .*product_2016-07.nc"),
        ({"references": "product"}, "era5_land, era5_land_rescaled, smap_interpolated missing"),
    ],
)
def test_bad_input_is_named(made_up_run, tmp_path, changes, message):
    known = {
        "one": made_up_run.paths("truth")[:1],
        "swapped": made_up_run.paths("fields")[::-1],
        "product": made_up_run.paths("product"),
    }
    changes = {key: known.get(value, value) if isinstance(value, str) else value for key, value in changes.items()}
    outputs = _outputs(tmp_path)
    with pytest.raises(ScoreError, match=message):
        score_run(**made_up_run.arguments(**outputs, **changes))
    assert not outputs["scores_json"].exists()


def test_a_file_of_another_region_is_named(made_up_run, tmp_path):
    path = made_up_run.paths("truth")[0]
    with xr.open_dataset(path) as truth:
        truth.assign_coords(lat=truth["lat"] + 0.05).to_netcdf(tmp_path / path.name)
    truths = [tmp_path / path.name, made_up_run.paths("truth")[1]]
    with pytest.raises(ScoreError, match=r"truth_2016-07.nc: expected the cells of the static file"):
        score_run(**made_up_run.arguments(truths=truths, **_outputs(tmp_path)))
