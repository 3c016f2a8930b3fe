"""The whole of the temporal dynamics on a made-up run: tables of all methods, the truth beside them, gaps in words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pscnet.report import dynamics_figures, hours_figures, uncertainty_figures
from pscnet.validation import ScoreError
from pscnet.validation.document import Document, read_document
from pscnet.validation.dynamics import validate_dynamics
from pscnet.validation.leakage import LEARNT
from pscnet.validation.resampling import draw_weights


def predictors(run, folder: Path, names: tuple[str, ...] = ("tp",)) -> list[Path]:
    """Rain where the truth's storms come, in files as the pipeline has them."""
    truth = run.arrays["truth"]
    smooth = truth - truth.mean(axis=0)
    rain = np.zeros(truth.shape)
    rain[1:] = np.where(np.diff(smooth, axis=0) > 0.06, 0.008, 0.0)
    paths = []
    for path in run.paths("fields"):
        with xr.open_dataset(path) as fields:
            here = np.isin(run.times, fields["time"].values)
            made = {name: (("time", "lat", "lon"), rain[here].astype("f4")) for name in names}
            paths.append(folder / path.name.replace("fields", "predictors"))
            xr.Dataset(made, {name: fields[name] for name in ("time", "lat", "lon")}).to_netcdf(paths[-1])
    return paths


def arguments(run, folder, **changes) -> dict:
    wanted = ("products", "references", "truths", "heldout", "static", "fine", "test_intervals")
    made = {key: value for key, value in run.arguments().items() if key in wanted}
    made |= {"predictors": predictors(run, folder), "draws": 100, "most_cells": 200, "block_days": 7}
    return made | {"json_path": folder / "d.json", "csv_path": folder / "d.csv"} | changes


@pytest.fixture(scope="module")
def document(made_up_run, tmp_path_factory) -> Document:
    folder = tmp_path_factory.mktemp("dynamics")
    validate_dynamics(**arguments(made_up_run, folder))
    return read_document(folder / "d.json")


def rows(document: Document, name: str) -> dict:
    return {row.label: row for table in document.tables if table.name == name for row in table.rows}


def test_all_tables_are_there_and_the_product_is_first(document):
    assert [table.name for table in document.tables] == ["events", "drydown", "diurnal", "changes", "resolution"]
    for table in document.tables:
        assert table.rows[0].label == "product"
        assert ("truth" in rows(document, table.name)) == (table.name != "resolution")
    assert "on a regular lattice" in document.note and "rain events" in document.note


def test_what_follows_the_truth_scores_better(document):
    """The product is the truth with little noise, interpolated SMAP knows the storms only."""
    changes = rows(document, "changes")
    assert changes["product"].values["r_3h"] > changes["SMAP, interpolated"].values["r_3h"] + 0.2
    answers = rows(document, "events")
    assert answers["product"].values["events"] == answers["truth"].values["events"] > 20
    # The peak of 16 noisy steps lies above the truth's.
    assert answers["truth"].values["rise"] < answers["product"].values["rise"] < answers["truth"].values["rise"] + 0.06
    assert answers["product"].values["rise_r"] > answers["ERA5-Land, raw"].values["rise_r"]
    cycle = rows(document, "diurnal")
    assert cycle["truth"].values["amplitude"] == pytest.approx(0.01, rel=0.1)
    assert abs(cycle["product"].values["phase_bias"]) < 0.5
    assert cycle["SMAP, interpolated"].values["amplitude"] < 0.006
    low, high = changes["product"].intervals["r_3h"]
    assert low < changes["product"].values["r_3h"] < high


def test_data_of_the_figures(document):
    assert len(document.data["composite"]["hours"]) == len(document.data["composite"]["change"]["truth"]) == 48
    assert list(document.data["cycle"]["seasons"]) == ["JJA"]
    for key in ("spectrum_time", "spectrum_space"):
        assert set(document.data[key]["power"]) >= {"product", "truth"}
        assert len(document.data[key]["coherence"]["product"]) == len(document.data[key]["frequency"])


def test_without_truth_nothing_is_judged(made_up_run, tmp_path):
    document = validate_dynamics(**arguments(made_up_run, tmp_path, truths=[]))
    assert [table.name for table in document.tables] == ["events", "drydown", "diurnal", "changes"]
    assert "judge none" in document.note
    for row in rows(document, "changes").values():
        assert "r_3h" not in row.values
    for row in rows(document, "events").values():
        assert "rise_bias" not in row.values and row.values["rise"] is not None
    assert set(dynamics_figures.draw(document)) == set(dynamics_figures.FIGURES)


def test_test_days_that_the_net_was_trained_on_are_refused(made_up_run, tmp_path):
    """The control is the untouched run, which is described elsewhere."""
    blocks = {"train": [["2016-06-01", "2016-07-20"]], "validation": [["2016-03-01", "2016-04-01"]], "test": []}
    said = {"split": blocks, "buffer_days": 8, "window_days": 8}
    leaking = tmp_path / "heldout.nc"
    xr.Dataset(attrs={LEARNT: json.dumps(said)}).to_netcdf(leaking)
    with pytest.raises(ScoreError, match=r"trained \(split\.train\), are among the days that are scored"):
        validate_dynamics(**arguments(made_up_run, tmp_path, heldout=leaking))
    assert not (tmp_path / "d.json").exists()


def test_without_rain_the_rest_is_there(made_up_run, tmp_path):
    (tmp_path / "dry").mkdir()
    dry = predictors(made_up_run, tmp_path / "dry", ("t2m",))
    document = validate_dynamics(**arguments(made_up_run, tmp_path, predictors=dry))
    assert "tp is not among the predictors" in document.note
    assert [table.name for table in document.tables] == ["diurnal", "changes", "resolution"]
    assert set(dynamics_figures.draw(document)) == set(dynamics_figures.FIGURES)


def test_rain_without_an_event_is_an_honest_gap(made_up_run, tmp_path):
    document = validate_dynamics(**arguments(made_up_run, tmp_path, events={"rain_mm": 500.0}))
    row = rows(document, "events")["product"]
    assert row.values["events"] == 0 and np.isnan(row.values["rise"]) and np.isnan(row.values["half_delay_r"])
    assert "0 rain events" in document.note


def test_means_rest_on_draws_with_events_only():
    """A tenth of the blocks has events: draws without any have no mean, where 0 would pull the interval down."""
    from pscnet.validation.dynamics import _compared

    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(5), 4)
    ours = 0.1 + 0.005 * rng.standard_normal(block.size)
    found, limits = _compared(ours, ours + 0.01, block, draw_weights(30, 500, 0))
    assert found[""] == pytest.approx(0.1, abs=0.005) and found["_bias"] == pytest.approx(-0.01)
    low, high = limits[""]
    assert 0.08 < low < found[""] < high < 0.12
    assert np.isnan(_compared(ours[:4], None, block[:4], draw_weights(30, 50, 0))[1][""]).all(), "one block"
    nothing = _compared(ours * np.nan, ours, block, draw_weights(30, 50, 0))[0]
    assert all(np.isnan(value) for value in nothing.values())


# Figures


@pytest.mark.parametrize("module", [dynamics_figures, hours_figures, uncertainty_figures])
def test_figures_of_an_empty_document_say_so(module):
    what = module.__name__.rsplit(".", 1)[-1].removesuffix("_figures")
    figures = module.draw(Document(what, ""))
    assert set(figures) == set(module.FIGURES)
    assert all(name.startswith(f"{what}_") for name in figures)
    for name, figure in figures.items():
        assert figure.axes[0].texts, name
        assert module.FIGURES[name].title and len(module.FIGURES[name].alt) > 60


def test_figures_draw_what_the_document_holds(document):
    figures = dynamics_figures.draw(document)
    assert len(figures["dynamics_events"].axes[0].lines) == 2 + 5  # zero lines; four methods and the truth
    assert len(figures["dynamics_spectra"].axes) == 4
    labels = [axis.get_xlabel() for figure in figures.values() for axis in figure.axes]
    assert any("[km]" in label for label in labels) and any("[h]" in label for label in labels)
