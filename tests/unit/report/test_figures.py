"""Figures: listed by their modules, delivered for print with their words, and right where they show numbers."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import xarray as xr
import yaml
from matplotlib.figure import Figure
from PIL import Image

from pscnet.grids import ease2_grid
from pscnet.plan import Plan
from pscnet.report import run_figures
from pscnet.report.captions import Caption
from pscnet.report.coverage import cells_of_region, count_sources, coverage_by_month, daily_coverage
from pscnet.report.figure_files import read_index, save_figures
from pscnet.report.figure_names import ROOM, figure_names, validation_figures
from pscnet.report.inputs import ReportError
from pscnet.report.target_figure import target_points
from pscnet.report.validation_figures import MODULES, write_validation_figures
from pscnet.scores import PairMoments
from tests.unit.report.conftest import figure_module, made_up_document

#: Modules of the room that draw, but no validation.
OTHERS = {"run_figures", "comparison_figures", "coverage_figures", "twin_figures", "validation_figures"}


# Every validation has its figures -------------------------------------------------------------------------------------


def plans(repository):
    """A plan of each kind of run: the twin, and one of a person's own files with stations."""
    base = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    demo = base | yaml.safe_load((repository / "config" / "demo.yaml").read_text())
    return [Plan(base), Plan(demo), Plan(base | {"stations": "some/where"})]


def test_every_validation_of_a_plan_has_a_module_that_draws(repository):
    wanted = {what for plan in plans(repository) for what in plan.validations}
    lacking = wanted - set(MODULES)
    assert not lacking, f"write pscnet/report/{{what}}_figures.py and list it in validation_figures.MODULES: {lacking}"
    rules = re.findall(r"^rule validate_(\w+):", (repository / "workflow/rules/validate.smk").read_text(), re.M)
    assert wanted <= set(rules), "each validation has a rule validate_{what}, whose outputs the figures are drawn from"
    modules = {path.stem.removesuffix("_figures") for path in ROOM.glob("*_figures.py") if path.stem not in OTHERS}
    assert modules == set(MODULES), "a module that draws a validation is not in the list"


def test_every_module_says_what_it_draws_in_words():
    for what, module in MODULES.items():
        assert figure_names(f"{what}_figures") == list(module.FIGURES), "the plan reads the names from the source"
        assert callable(module.draw)
        for name, (title, alt) in module.FIGURES.items():
            assert name.startswith(f"{what}_") and title.strip(), name
            assert len(alt) >= 30 and alt != title, f"{name}: the alternative text says what can be seen"
    assert figure_names("run_figures") == list(run_figures.FIGURES)
    assert all(len(alt) >= 30 for _, alt in run_figures.FIGURES.values())


def test_a_module_without_a_list_is_named(tmp_path):
    with pytest.raises(LookupError, match=r"unheard_figures.py: expected a module that lists its figures as FIGURES"):
        validation_figures("unheard", tmp_path)
    for text in ("X = {}\n", "FIGURES = made()\n", "FIGURES = {}\n", "FIGURES = {name: 1}\n"):
        (tmp_path / "bad_figures.py").write_text(text)
        with pytest.raises(LookupError, match="with names written out"):
            validation_figures("bad", tmp_path)
    (tmp_path / "good_figures.py").write_text('FIGURES: dict = {"good_a": 1, "good_b": 2}\n')
    assert validation_figures("good", tmp_path) == ["good_a", "good_b"]


def test_a_plan_with_an_unknown_validation_says_so(repository, monkeypatch):
    plan = plans(repository)[0]
    monkeypatch.setattr(type(plan), "validations", ["unheard"])
    with pytest.raises(LookupError, match=r"unheard_figures\.py"):
        _ = plan.validation_figures


def test_figures_of_validations_that_are_missing_or_lack_a_module_are_named(tmp_path):
    made_up_document().write(tmp_path / "stations.json", tmp_path / "stations.csv")
    paths = {"folder": tmp_path, "index": tmp_path / "index.json"}
    files = [tmp_path / "stations.json"]
    with pytest.raises(ReportError, match=r"validation hours: expected its module"):
        write_validation_figures(validations=["hours"], files=files, modules={}, **paths)
    with pytest.raises(ReportError, match=r"validation hours: expected hours.json; found stations.json"):
        write_validation_figures(validations=["hours"], files=files, modules={"hours": figure_module("hours")}, **paths)
    module = figure_module()
    module.FIGURES["stations_more"] = Caption("More", "A figure that is listed and never drawn by the module")
    with pytest.raises(ReportError, match=r"expected the figures stations_line, stations_more; found stations_line"):
        write_validation_figures(validations=["stations"], files=files, modules={"stations": module}, **paths)


def test_a_run_without_validations_has_an_empty_list(tmp_path):
    write_validation_figures(validations=[], files=[], folder=tmp_path, index=tmp_path / "index.json")
    assert read_index(tmp_path / "index.json") == []


def test_a_module_gets_its_maps(tmp_path):
    made_up_document().write(tmp_path / "stations.json", tmp_path / "stations.csv")
    xr.Dataset({"r": ("lat", [0.5])}).to_netcdf(tmp_path / "stations_maps.nc")
    seen, module = [], figure_module()
    draw = module.draw
    module.draw = lambda document, maps: (seen.append(float(maps["r"][0])), draw(document, maps))[1]
    write_validation_figures(
        validations=["stations"],
        files=sorted(tmp_path.glob("stations*")),
        folder=tmp_path,
        index=tmp_path / "i.json",
        modules={"stations": module},
    )
    assert seen == [0.5]


# For print ------------------------------------------------------------------------------------------------------------


def test_figures_are_for_print_and_carry_their_words(reported):
    folder = reported.folder / "figures"
    entries = read_index(reported.folder / "figures.json") + read_index(reported.folder / "validation.json")
    assert [entry["name"] for entry in entries] == [*run_figures.FIGURES, "stations_line"]
    for entry in entries:
        with Image.open(entry["png"]) as png:
            assert png.width == pytest.approx(180 / 25.4 * 300, abs=2), "180 mm at 300 dots per inch"
            assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert (png.text["Title"], png.text["Description"]) == (entry["title"], entry["alt"])
        pdf = (folder / entry["png"]).with_suffix(".pdf").read_bytes()
        assert pdf.startswith(b"%PDF") and b"/Title" in pdf and b"CreationDate" not in pdf
    assert (folder / "stations" / "stations_line.pdf").is_file()


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in "ab":
        figure = Figure(figsize=(3, 2))
        figure.subplots().plot([1, 2])
        save_figures({"line": figure}, {"line": Caption("A line", "It goes up.")}, tmp_path / name)
    for kind in ("png", "pdf"):
        assert (tmp_path / "a" / f"line.{kind}").read_bytes() == (tmp_path / "b" / f"line.{kind}").read_bytes()
    with Image.open(tmp_path / "a" / "line.png") as png:
        assert png.width == 900, "a narrow figure keeps its size"


def test_a_figure_without_words_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"figure line: expected a title and an alternative text; found 'A line' and"):
        save_figures({"line": Figure()}, {"line": Caption("A line", " ")}, tmp_path)
    assert not list(tmp_path.iterdir())


# Target diagram -------------------------------------------------------------------------------------------------------


def test_target_points_are_those_of_the_samples():
    rng = np.random.default_rng(0)
    truth = rng.normal(0.2, 0.05, 5000)
    methods = {"pscnet": 0.5 * truth + 0.13, "era5_land": 1.6 * truth + rng.normal(0, 0.03, 5000)}
    rows = {}
    for name, field in methods.items():
        moments = PairMoments.of(field, truth)
        rows[name] = {"pooled_r": float(moments.r()), "std_ratio": float(moments.std_ratio())}
        rows[name] |= {"bias": float(moments.bias()), "ubrmsd": float(moments.ubrmsd())}
    points = target_points(rows, "ubrmsd")
    for name, field in methods.items():
        error = field - truth
        assert abs(points[name][0]) == pytest.approx(error.std() / truth.std(), rel=1e-6)
        assert points[name][1] == pytest.approx(error.mean() / truth.std(), rel=1e-6)
        assert math.hypot(*points[name]) == pytest.approx(np.sqrt((error**2).mean()) / truth.std(), rel=1e-6)
    assert points["pscnet"][0] < 0 < points["era5_land"][0], "too little variation stands left"


def test_methods_without_the_numbers_have_no_point():
    whole = {"pooled_r": 0.5, "std_ratio": 0.8, "bias": 0.0, "ubrmsd": 0.04}
    for key in whole:
        assert target_points({"pscnet": whole | {key: None}}, "ubrmsd") == {}
        assert target_points({"pscnet": {k: v for k, v in whole.items() if k != key}}, "ubrmsd") == {}
    assert target_points({"pscnet": whole}, "ubrmsd")["pscnet"][1] == 0.0


# What the run was made from -------------------------------------------------------------------------------------------


def test_the_calendar_counts_cells_of_the_region_once_a_day(tmp_path):
    coarse = ease2_grid((31.5, 33.5), (90.0, 93.0))
    rows, columns = coarse.shape
    fine_lat, fine_lon = np.arange(33.5, 31.45, -0.1), np.arange(90.0, 93.05, 0.1)
    region = np.ones((fine_lat.size, fine_lon.size), np.int8)
    region[:, fine_lon > 91.5] = 0
    static = tmp_path / "static.nc"
    xr.Dataset({"region": (("lat", "lon"), region)}, {"lat": fine_lat, "lon": fine_lon}).to_netcdf(static)
    inside = cells_of_region(coarse.lat, coarse.lon, static)
    assert inside[:, 0].all() and not inside[:, -1].any()
    moisture = np.full((6, rows, columns), np.nan)
    first, second = np.argwhere(inside)[:2]
    for half, cell in ((0, first), (1, first), (1, second), (2, np.argwhere(~inside)[0])):
        moisture[half][tuple(cell)] = 0.2
    path = tmp_path / "2016-02.nc"
    days = np.repeat(np.array(["2016-02-01", "2016-02-02", "2016-02-04"], "M8[ns]"), 2)
    xr.Dataset(
        {"soil_moisture": (("half_orbit", "y", "x"), moisture)},
        {"date": ("half_orbit", days), "lat": ("y", coarse.lat), "lon": ("x", coarse.lon)},
        {"missing_days": "2016-02-04"},
    ).to_netcdf(path)
    found = daily_coverage([path], static)
    assert found["cells"] == inside.sum() and len(found["days"]) == len(found["share"]) == 29
    assert found["share"][:4] == [pytest.approx(2 / inside.sum(), abs=1e-4), 0.0, None, None]
    assert coverage_by_month(found) == [
        {"month": "2016-02", "days": 29, "no_file": 27, "unseen": 1, "share": pytest.approx(1 / inside.sum(), abs=1e-4)}
    ]
    with pytest.raises(ReportError, match="found none"):
        daily_coverage([], static)


def test_a_file_that_serves_two_months_is_counted_once(tmp_path):
    item = {"path": "year.nc", "size": 10, "sha256": "0" * 64}
    for month in ("2016-01", "2016-02"):
        content = {"source": "era5_land", "month": month, "root": "r", "files": [item], "missing": {"days": ["all"]}}
        (tmp_path / f"{month}.json").write_text(json.dumps(content))
    (counted,) = count_sources(tmp_path.glob("*.json"))
    assert (counted["files"], counted["bytes"], counted["months"]) == (1, 10, 2)
    assert counted["missing_days"] == ["all of 2016-01", "all of 2016-02"]
    (tmp_path / "bad.json").write_text('{"source": "smap"}')
    with pytest.raises(ReportError, match=r"bad.json: expected a manifest; files, missing missing"):
        count_sources(tmp_path.glob("*.json"))
