"""Scores by time of day: hours with larger errors show, hours alike do not, and without a truth nothing is claimed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from pscnet.grids import regular_grid
from pscnet.scores import overpass_stamps, relative_change
from pscnet.validation import METHODS, ScoreError
from pscnet.validation.document import read_document
from pscnet.validation.hours import HourScores, hour_label, validate_hours
from pscnet.validation.lattice import lattice
from pscnet.validation.resampling import draw_weights
from pscnet.validation.score_run import score_run
from pscnet.validation.series import Block

BOX = (31.5, 33.5), (90.0, 93.0)


def arguments(run, folder, **changes) -> dict:
    wanted = ("products", "references", "truths", "heldout", "static", "fine", "test_intervals")
    made = {key: value for key, value in run.arguments().items() if key in wanted}
    return made | {"json_path": folder / "hours.json", "csv_path": folder / "hours.csv", "draws": 100} | changes


@pytest.fixture(scope="module")
def document(made_up_run, tmp_path_factory):
    return validate_hours(**arguments(made_up_run, tmp_path_factory.mktemp("hours")))


def table(document, name):
    return next(table for table in document.tables if table.name == name)


def test_scores_are_those_of_the_score_stage(made_up_run, document, tmp_path):
    outputs = {name: tmp_path / name for name in ("scores_json", "scores_csv", "places_nc")}
    scored = score_run(**made_up_run.arguments(**outputs))
    rows = {row.label: row.values for row in table(document, "hours").rows}
    for method, expected in scored["truth_10km"].items():
        found = rows[METHODS[method]]
        for ours, theirs in (
            ("r_all", "temporal_r"), ("r_overpass", "overpass_temporal_r"),
            ("ubrmse_all", "ubrmse"), ("ubrmse_overpass", "overpass_ubrmse"), ("n", "n"), ("cells", "cells"),
        ):  # fmt: skip
            assert found[ours] == pytest.approx(expected[theirs], rel=1e-9), (method, ours)
        change = 100 * (expected["temporal_r"] / expected["overpass_temporal_r"] - 1)
        assert found["r_change"] == pytest.approx(change, abs=1e-6)
        hours = [row for row in table(document, "by_hour").rows if row.label == METHODS[method]]
        assert [row.values["r"] for row in hours] == pytest.approx(scored["by_hour"][method]["temporal_r"], abs=1e-9)


def test_the_product_comes_first_and_the_document_reads_back(made_up_run, document, tmp_path):
    validate_hours(**arguments(made_up_run, tmp_path))
    read = read_document(tmp_path / "hours.json")
    assert read.tables[0].rows[0].label == "product"
    assert [t.name for t in read.tables] == ["hours", "by_hour", "heldout_by_hour"]
    assert len(table(read, "by_hour").rows) == 8 * 4
    json.loads((tmp_path / "hours.json").read_text())


def _scores(error_at_overpass: float, error_elsewhere: float, known_days: int = 48) -> HourScores:
    """Scores of a method whose error has another size at overpass hours, over 48 days and 6 x 6 cells.

    The truth is known in the first ``known_days`` of them: the ground is frozen or white in the others.
    """
    rng = np.random.default_rng(0)
    grid = regular_grid((31.0, 31.5), (90.0, 90.5))
    times = np.datetime64("2017-07-01", "ns") + np.arange(8 * 48) * np.timedelta64(3, "h")
    truth = 0.2 + 0.05 * rng.standard_normal((times.size, *grid.shape))
    near = np.tile(overpass_stamps(grid.lon)[:, :1].ravel(), 48)
    size = np.where(near, error_at_overpass, error_elsewhere)[:, None, None]
    field = truth + size * rng.standard_normal(truth.shape)
    truth[8 * known_days :] = np.nan
    nothing = np.zeros(truth.shape, bool)
    block = Block(times, {"pscnet": field}, np.full(truth.shape, 0.02), nothing, nothing, truth)
    intervals = [("2017-07-01T00:00", "2017-08-18T00:00")]
    scores = HourScores(np.ones(grid.shape, bool), grid.lon, ["pscnet"], intervals, 8, 100)
    scores.update(block)
    return scores


def _tables(scores: HourScores):
    from pscnet.validation.hours import _truth_tables

    hours = [{"utc": 3 * n, "local": (3 * n + 6) % 24} for n in range(8)]
    return _truth_tables(scores, 200, hours)


def _row(scores: HourScores):
    return _tables(scores)[0].rows[0]


def test_errors_that_depend_on_the_hour_are_found():
    row = _row(_scores(0.02, 0.04))
    all_hours = np.sqrt((2 * 0.02**2 + 6 * 0.04**2) / 8)
    assert row.values["ubrmse_change"] == pytest.approx(100 * (all_hours / 0.02 - 1), rel=0.05)
    assert row.values["ubrmse_change_other"] == pytest.approx(100.0, rel=0.05)
    low, high = row.intervals["ubrmse_change"]
    assert 50 < low < row.values["ubrmse_change"] < high
    assert row.intervals["r_change"][1] < 0


def test_hours_alike_show_no_change():
    """The control."""
    row = _row(_scores(0.03, 0.03))
    low, high = row.intervals["ubrmse_change"]
    assert low < 0 < high and high - low < 6
    assert abs(row.values["r_change"]) < 1.0


@pytest.mark.parametrize(("known_days", "some"), [(16, False), (40, True)])
def test_an_interval_needs_blocks_with_data(known_days, some):
    """Of six blocks two have pairs: that is too few for an interval. The control has five."""
    for table in _tables(_scores(0.02, 0.04, known_days)):
        row = table.rows[0]
        assert np.isfinite(row.values.get("ubrmse_change", row.values["bias" if "bias" in row.values else "r_all"]))
        for key, limits in row.intervals.items():
            assert np.isfinite(limits).all() == some, (table.name, key)


@pytest.mark.parametrize(("days", "some"), [(8, False), (40, True)])
def test_held_out_intervals_need_blocks_with_data(made_up_run, tmp_path, days, some):
    with xr.open_dataset(made_up_run.folder / "heldout.nc") as pairs:
        first = pairs["time"].values.min()
        pairs.isel(pair=np.flatnonzero(pairs["time"].values < first + np.timedelta64(days, "D"))).to_netcdf(
            tmp_path / "few.nc"
        )
    changed = {"heldout": tmp_path / "few.nc", "truths": [], "block_days": 7}
    rows = validate_hours(**arguments(made_up_run, tmp_path, **changed)).tables[0].rows
    assert rows and all(np.isfinite(limits).all() == some for row in rows for limits in row.intervals.values())


def test_draws_hold_the_data():
    """Each block once gives the score of the whole: numerator and denominator of a draw are the same blocks."""
    scores = _scores(0.02, 0.04)
    moments = scores.moments["pscnet"]
    for at in scores.sets().values():
        whole = moments.chosen(at)
        drawn = moments.chosen_by_block(at[:, scores.picked]).pooled(axis=0)
        np.testing.assert_allclose(drawn.ubrmsd(), whole.ubrmsd()[scores.picked], rtol=1e-9)
    assert draw_weights(scores.starts.size, 10, 0).sum() == 10 * 6


def test_without_truth_only_smap_is_asked(made_up_run, tmp_path):
    document = validate_hours(**arguments(made_up_run, tmp_path, truths=[]))
    assert [t.name for t in document.tables] == ["heldout_by_hour"]
    assert "stations only" in document.note
    groups = {row.group for row in document.tables[0].rows}
    assert groups and all("UTC" in group for group in groups)


def test_a_stamp_that_the_product_lacks_is_named(made_up_run, tmp_path):
    short = tmp_path / "fields_2016-08.nc"
    with xr.open_dataset(made_up_run.paths("fields")[1]) as fields:
        fields.isel(time=slice(8, None)).to_netcdf(short)
    changed = [made_up_run.paths("fields")[0], short]
    with pytest.raises(ScoreError, match="2016-08-01T00:00 is missing"):
        validate_hours(**arguments(made_up_run, tmp_path, references=changed))


def test_labels_and_changes():
    assert hour_label({"utc": 0, "local": 6.2}) == "00 UTC (06:12 local solar)"
    assert hour_label({"utc": 18, "local": 23.9999}) == "18 UTC (00:00 local solar)"
    assert relative_change(0.72, 0.75) == pytest.approx(-0.04)
    assert np.isnan(relative_change(0.7, 0.0)) and np.isnan(relative_change(np.nan, 1.0))


def test_a_lattice_holds_few_cells_of_the_region_only():
    region = np.zeros((40, 60), bool)
    region[5:30, 10:50] = True
    assert lattice(region, 2000)[0].size == region.sum()
    for most in (300, 50):
        rows, columns = lattice(region, most)
        assert region[rows, columns].all() and 0.3 * most < rows.size <= most
    thin = np.zeros((40, 60), bool)
    thin[0, :] = True
    assert 1 <= lattice(thin, 5)[0].size <= 5
