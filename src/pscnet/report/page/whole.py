"""The page of a run: one HTML file that opens from disk, without network, on a screen or a phone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import xarray as xr
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pscnet import provenance
from pscnet.report.coverage import coverage_by_month
from pscnet.report.figure_files import read_index
from pscnet.report.inputs import ReportError, read_checks, read_curve, read_month, read_retrievals
from pscnet.report.page.data import page_data
from pscnet.report.page.pictures import embedded
from pscnet.report.run_facts import inputs_view, provenance_of, runtimes_view
from pscnet.report.stations import read_sensors
from pscnet.report.tables import score_tables, targets_table, tiles
from pscnet.report.views import Line, View, document_views, number, number_cell
from pscnet.sources.atomic import replacing
from pscnet.validation.document import read_document
from pscnet.variants import NET_TITLES

#: Largest page [bytes], and what its text, tables and series may take besides pictures and fields.
PAGE_LIMIT = 15_000_000
TEXT_ROOM = 1_500_000

#: The least that the fields get, whatever the pictures take [bytes].
LEAST_FIELDS = 1_000_000

#: The page's scripts, in the order in which they need each other.
SCRIPTS = ("decode.js", "maps.js", "cursor.js", "charts.js", "tables.js", "page.js")

#: Figures of the run that the page shows as pictures; the others are drawn by its scripts.
SHOWN = ("map", "scores", "target", "coverage")


def write_page(
    *,
    page: str | Path,
    product: str | Path,
    smap: Sequence[str | Path],
    scores: str | Path,
    places: str | Path,
    inputs: str | Path,
    figures: str | Path,
    summary: Mapping[str, Any],
    references: str | Path | None = None,
    curves: Sequence[str | Path] = (),
    checks: Sequence[str | Path] = (),
    documents: Sequence[str | Path] = (),
    document_figures: str | Path | None = None,
    stations: str | Path | None = None,
    runtimes: str | Path = "runtimes",
    colormap: str = "YlGnBu",
    value_range: tuple[float, float] = (0.0, 0.45),
) -> Path:
    """Write the page.

    Parameters
    ----------
    page : path to write
    product : path
        Product month that the maps show, one of the test split.
    smap : paths
        SMAP file of that month and, where there is one, of the month before.
    scores, places : paths
        As :func:`pscnet.validation.score_run.score_run` writes them.
    inputs : path
        As :func:`pscnet.report.coverage.write_inputs` writes it.
    figures, document_figures : paths
        Lists of the figures of the run, and of its validations.
    summary : mapping
        What was run; nested mappings and lists are shown as they are. ``title`` and ``run`` head the page.
    references : path, optional
        Reference fields of the same month, for ERA5-Land.
    curves : paths
        Learning curves of all members: CSV with the columns epoch, train_loss, validation_loss, seconds.
    checks : paths
        Results of the contract checks of product months.
    documents : paths
        Findings of the validations, in the order of the page.
    stations : path, optional
        Series of the stations.
    runtimes : path
        Folder of Snakemake's records of time and memory; what is there is shown.
    colormap : str
        Matplotlib name.
    value_range : (low, high) [m3 m-3]
        Range of the colour scale.

    Returns
    -------
    Path
        ``page``.

    Raises
    ------
    ReportError
        When an input lacks something, or the page would be larger than :data:`PAGE_LIMIT`.
    """
    month = read_month(product, references)
    retrievals = read_retrievals(smap, month.times[0])
    learnt = [curve for curve in map(read_curve, curves) if curve]
    sensors = None if stations is None else read_sensors(stations)
    net = NET_TITLES[summary.get("model", {}).get("name", "pscnet")]
    pictures = {entry["name"]: embedded(entry) for entry in read_index(figures) if entry["name"] in SHOWN}
    drawn = [] if document_figures is None else read_index(document_figures)
    findings = [_finding(path, drawn, net) for path in documents]
    taken = sum(len(p.source) for p in [*pictures.values(), *(p for one in findings for p in one["pictures"])])
    with xr.open_dataset(places) as series:
        data = page_data(
            month=month,
            retrievals=retrievals,
            series=series.load(),
            sensors=sensors,
            curves=learnt,
            net=net,
            colormap=colormap,
            value_range=value_range,
            field_limit=max(PAGE_LIMIT - TEXT_ROOM - taken, LEAST_FIELDS),
        )
    run = str(summary.get("run", ""))
    others = [path.name for path in Path(page).resolve().parents[1].iterdir() if path.is_dir()]
    made_from = json.loads(Path(inputs).read_text(encoding="utf-8"))
    text = _render(
        data=data,
        document=json.loads(Path(scores).read_text(encoding="utf-8")),
        title=str(summary.get("title", "Soil moisture at 10 km")),
        run=run,
        summary={key: value for key, value in summary.items() if key not in ("title", "run")},
        product=Path(product).name,
        checks=read_checks(checks),
        pictures=pictures,
        findings=findings,
        training=_training(learnt),
        raw_files=inputs_view(made_from["sources"]),
        seen=_seen_view(made_from["coverage"]),
        provenance={"commit of this page": provenance.commit(), **provenance_of(product)},
        runtimes=runtimes_view(runtimes, run, others),
    )
    size = len(text.encode("utf-8"))
    if size > PAGE_LIMIT:
        raise ReportError(f"{page}: the page would have {size} bytes, more than {PAGE_LIMIT}; name fewer report.places")
    with replacing(page) as part:
        part.write_text(text, encoding="utf-8")
    print(
        f"{page}: {size / 1e6:.2f} MB, {len(pictures) + sum(len(f['pictures']) for f in findings)} pictures", flush=True
    )
    return Path(page)


def _finding(path: str | Path, drawn: Sequence[Mapping[str, str]], net: str) -> dict[str, Any]:
    """A validation as the page shows it: words, tables and pictures."""
    document = read_document(path)
    return {
        "what": document.what,
        "title": document.title,
        "note": document.note,
        "tables": document_views(document, net),
        "pictures": [embedded(entry) for entry in drawn if entry.get("what") == document.what],
    }


def _seen_view(coverage: Mapping[str, Any]) -> View:
    """The calendar of SMAP in numbers."""
    rows = [
        Line(
            month["month"],
            [
                number_cell(month["days"]),
                number_cell(month["no_file"]),
                number_cell(month["unseen"]),
                number_cell(None if month["share"] is None else 100 * month["share"], 1),
            ],
        )
        for month in coverage_by_month(coverage)
    ]
    headings = [
        ("days", ""),
        ("days without file", ""),
        ("days without retrieval", ""),
        ("cells seen a day, mean", "%"),
    ]
    note = f"Of {coverage['cells']} cells of 36 km in the region. Frozen ground has no retrievals."
    return View("What SMAP saw, by month", headings, rows, note, first="month")


def _render(*, data: Mapping[str, Any], document: Mapping[str, Any], **parts: Any) -> str:
    assets = resources.files("pscnet.report.page") / "assets"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["plain"], environment.filters["number"] = _plain, number
    template = environment.from_string((assets / "page.html").read_text(encoding="utf-8"))
    return template.render(
        **parts,
        tiles=tiles(document),
        net=data["net"],
        tables=score_tables(document, data["net"]),
        targets=targets_table(document),
        coverage=document["coverage"],
        test_days=document["test_days"],
        has_era5=("era5_land" in data["fields"]),
        stations=data["stations"],
        style=Markup((assets / "page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((assets / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        data=Markup(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
    )


def _training(curves: Sequence[Sequence[Mapping[str, float]]]) -> str:
    """One sentence for each member on its training; empty where there was none."""
    said = []
    for member, curve in enumerate(curves, start=1):
        best = min(curve, key=lambda epoch: epoch["validation_loss"])
        minutes = sum(epoch["seconds"] for epoch in curve) / 60
        who = f"Member {member}: " if len(curves) > 1 else ""
        said.append(
            f"{who}{len(curve)} epochs in {minutes:.1f} minutes; best validation loss {best['validation_loss']:.4f} "
            f"in epoch {best['epoch']:g}."
        )
    return " ".join(said)


def _plain(value: Any) -> str:
    """A number, list or text of the summary as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else "not given"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return "not given" if value is None else str(value)
