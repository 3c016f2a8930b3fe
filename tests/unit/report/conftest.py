"""A made-up run with everything that the page shows: scores, validations, stations, figures, records of time."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.coverage import write_inputs
from pscnet.report.page.whole import write_page
from pscnet.report.run_figures import write_run_figures
from pscnet.report.validation_figures import write_validation_figures
from pscnet.validation.document import Column, Document, Row, ScoreTable
from pscnet.validation.score_run import score_run

SUMMARY = {
    "run": "made_up",
    "period": "2016-07 to 2016-08",
    "region": {"lat": [31.5, 33.5], "lon": [90.0, 93.0]},
    "inputs": {"note": "<script>alert(1)</script>"},
}


def made_up_document(what: str = "stations") -> Document:
    """Findings with intervals, groups, a gap, a count, and a table that is long enough to be folded."""
    columns = [
        Column("r", "R", better="high"),
        Column("bias", "bias", "m3 m-3", 4, "zero"),
        Column("n", "common stamps", decimals=0),
    ]
    rows = [
        Row("product", {"r": 0.8, "bias": -0.01, "n": 1234}, "TWINMAQU", {"r": (0.7, 0.9)}),
        Row("ERA5-Land, raw", {"r": 0.6, "bias": 0.05, "n": 1234}, "TWINMAQU", {"r": (0.5, None)}),
        Row("product", {"r": None, "bias": None, "n": 3}, "TWINNAQU"),
    ]
    many = [Row(f"station {number}", {"r": number / 40, "bias": 0.0, "n": number}) for number in range(30)]
    tables = [
        ScoreTable("networks", "Networks", columns, rows, "Fewer than 120 common stamps have no score."),
        ScoreTable("sensors", "Sensors", columns, many),
        ScoreTable("withheld", "Withheld regions", columns, [], "No region was withheld."),
    ]
    return Document(what, f"Findings of {what}", "Made up <b>for a test</b>.", tables, {"n": 3})


def figure_module(what: str = "stations") -> ModuleType:
    """A module as the validations bring it."""

    def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
        figure = Figure(figsize=(12, 3))
        figure.subplots().plot([0, document.data["n"]])
        return {f"{what}_line": figure}

    module = ModuleType(f"{what}_figures")
    module.FIGURES = {f"{what}_line": Caption("A line", "A line that goes up from the left to the right")}
    module.draw = draw
    return module


def write_stations(path: Path, times: np.ndarray) -> None:
    """Two sensors in the region, one outside; the second one with a gap."""
    rng = np.random.default_rng(3)
    measured = 0.2 + 0.02 * rng.standard_normal((3, times.size))
    measured[1, 40:200] = np.nan
    coords = {
        "network": ("sensor", ["TWINMAQU", "TWINMAQU", "FAR"]),
        "station": ("sensor", ["ST01", "ST02", "ST99"]),
        "lat": ("sensor", [32.52, 33.01, 10.0]),
        "lon": ("sensor", [91.48, 92.2, 10.0]),
        "time": times,
    }
    xr.Dataset({"in_situ": (("sensor", "time"), measured.astype("f4"))}, coords).to_netcdf(path)


def write_manifests(folder: Path) -> list[Path]:
    """One manifest of each source; SMAP lacks a day."""
    item = {"path": "a.h5", "size": 2_000_000, "sha256": "0" * 64, "version": "R19240_001"}
    made = []
    for source, missing in (("era5_land", {"variables": ["tp"]}), ("smap", {"days": ["2016-07-03"]}), ("terrain", {})):
        month = None if source == "terrain" else "2016-07"
        content = {
            "source": source,
            "month": month,
            "root": ".",
            "files": [item],
            "missing": missing,
            "made_by": "twin",
        }
        made.append(folder / f"{source}.json")
        made[-1].write_text(json.dumps(content))
    return made


def write_runtimes(folder: Path) -> None:
    """Records of time and memory: two jobs of the run, one of a run whose name begins alike, one without numbers."""
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    records = {
        "train_model/made_up_pscnet_0": "10.5\t0:00:10\t500.00\t1\t1\t1\t1\t1\t1\t9.5\n",
        "train_model/made_up_pscnet_1": "20.0\t0:00:20\t600.00\t1\t1\t1\t1\t1\t1\t-\n",
        "train_model/made_up_other_2016-07": "999.0\t0:00:10\t500.00\t1\t1\t1\t1\t1\t1\t9.5\n",
        "verify_scores/made_up": "0.2\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\t0\t0\n",
        "regrid_smap/elsewhere_2016-07": "5\t0:00:05\t1\t1\t1\t1\t1\t1\t1\t1\n",
    }
    for name, line in records.items():
        path = folder / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + line)


@pytest.fixture(scope="session")
def reported(made_up_run, tmp_path_factory) -> SimpleNamespace:
    """The made-up run with its scores, findings and figures: ``folder``, and the ``arguments`` of ``write_page``."""
    folder = tmp_path_factory.mktemp("results") / "made_up"
    folder.mkdir()
    (folder.parent / "made_up_other").mkdir()
    scored = {name: folder / name for name in ("scores_json", "scores_csv", "places_nc")}
    score_run(**made_up_run.arguments(**scored))
    curves = [folder / f"pscnet_{member}_curve.csv" for member in range(2)]
    for member, curve in enumerate(curves):
        curve.write_text(
            f"epoch,train_loss,validation_loss,seconds\n1,0.9,1.{member},2.0\n2,0.5,0.7,2.0\n3,0.4,0.65,2.1\n"
        )
    check = folder / "product_2016-08.json"
    check.write_text(json.dumps({"file": "sm_made_up.nc", "complaints": [], "coverage": 1.0}))
    write_inputs(
        smap=made_up_run.paths("smap"),
        static=made_up_run.folder / "static.nc",
        manifests=write_manifests(folder),
        output=folder / "inputs.json",
    )
    common = {"product": made_up_run.paths("product")[1], "smap": made_up_run.paths("smap")}
    common |= {"scores": scored["scores_json"], "places": scored["places_nc"], "inputs": folder / "inputs.json"}
    write_run_figures(folder=folder / "figures", index=folder / "figures.json", curves=curves, **common)
    document = folder / "stations.json"
    made_up_document().write(document, folder / "stations.csv")
    write_validation_figures(
        validations=["stations"],
        files=[document],
        folder=folder / "figures",
        index=folder / "validation.json",
        modules={"stations": figure_module()},
    )
    write_stations(folder / "stations_series.nc", made_up_run.times)
    write_runtimes(folder / "runtimes")
    arguments = common | {
        "page": folder / "report.html",
        "figures": folder / "figures.json",
        "references": made_up_run.paths("fields")[1],
        "curves": curves,
        "checks": [check],
        "documents": [document],
        "document_figures": folder / "validation.json",
        "stations": folder / "stations_series.nc",
        "runtimes": folder / "runtimes",
        "summary": SUMMARY,
    }
    return SimpleNamespace(folder=folder, arguments=arguments)


@pytest.fixture(scope="session")
def arguments(reported) -> dict:
    """Keyword arguments of ``write_page`` for the made-up run."""
    return reported.arguments


@pytest.fixture(scope="session")
def page_path(arguments) -> Path:
    """The page of the made-up run."""
    return write_page(**arguments)


@pytest.fixture(scope="session")
def page(page_path) -> str:
    """Its text."""
    return page_path.read_text(encoding="utf-8")
