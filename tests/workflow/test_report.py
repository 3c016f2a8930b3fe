"""What a complete run leaves for people: page, figures, quicklooks, and all of them in `snakemake --report`."""

from __future__ import annotations

import re
import zipfile

import pytest

from pscnet.report.figure_names import figure_names

pytestmark = pytest.mark.slow

MONTHS = ("2016-06", "2016-07", "2016-08")


def carried(space) -> tuple[set[str], str]:
    """Names of the files that Snakemake's report carries, and its own page."""
    path = space.root / "report.zip"
    space.snakemake("--report", path.name, "--configfile", "tiny.yaml")
    with zipfile.ZipFile(path) as archive:
        names = {name.split("/")[-1] for name in archive.namelist() if "/data/raw/" in name}
        page = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("report/report.html"))
    path.unlink()
    return names, page


def test_page_figures_and_quicklooks_are_there(tiny_run):
    results = tiny_run.root / "results" / "tiny"
    figures = {path.relative_to(results / "figures").as_posix() for path in (results / "figures").rglob("*.*")}
    assert {f"{name}.{kind}" for name in figure_names("run_figures") for kind in ("png", "pdf")} <= figures
    quicklooks = {path.name for path in (results / "quicklooks").iterdir()}
    assert quicklooks == {f"tiny_{month}.{kind}" for month in MONTHS for kind in ("png", "gif")}
    for month in MONTHS:
        log = (tiny_run.root / f"logs/report_quicklook/tiny_{month}.log").read_text()
        line = rf"^{month}: of [\d ]+ land cell-steps [\d.]+ % have a value, [\d.]+ % are frozen, [\d.]+ % have a SMAP"
        assert re.search(line, log, re.M), log
    page = (results / "report.html").read_text()
    assert "Time and memory by rule" in page and "train_model" in page, "records are read as they are at that moment"
    assert len(page) < 15_000_000


def test_the_report_of_snakemake_carries_them_with_captions(tiny_run):
    names, page = carried(tiny_run)
    pictures = {f"{name}.png" for name in figure_names("run_figures")} | {f"tiny_{month}.png" for month in MONTHS}
    assert pictures | {"report.html"} <= names
    for words in ("300 dots per inch", "share of frozen steps", "Quicklooks", "Page of the run", "Seamless 3-hourly"):
        assert words in page, words


def test_what_is_not_marked_is_not_carried(tiny_run):
    """The control of the test above."""

    def unmark(text: str) -> str:
        return re.sub(r"picture=report\(\s*(\S+),.*?\n        \),", r"picture=\1,", text, flags=re.S)

    with tiny_run.edited("workflow/rules/report.smk", unmark):
        names, _ = carried(tiny_run)
    assert "map.png" in names and "tiny_2016-07.png" not in names
