"""The figures that every run has: maps, series, scores, target diagram, training, calendar of SMAP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import xarray as xr
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.coverage_figures import draw_calendar, draw_training
from pscnet.report.figure_files import STYLE, save_figures, write_index
from pscnet.report.figures import best_step, draw_maps, draw_scores, draw_series
from pscnet.report.inputs import read_curve, read_month, read_retrievals
from pscnet.report.target_figure import draw_target
from pscnet.variants import NET_TITLES

FIGURES: dict[str, Caption] = {
    "map": Caption(
        "From 36 km to 10 km at one step",
        "Three maps of the region at the step with most SMAP cells seen: SMAP retrievals of the last 3 days on 36 km "
        "cells, the product on 10 km cells, and the product's standard deviation",
    ),
    "series": Caption(
        "Soil moisture at places, test days",
        "One panel for each place with lines over the test days: the product with a band of one standard deviation, "
        "the references, and SMAP retrievals as circles",
    ),
    "scores": Caption(
        "Main scores of each method",
        "Bars of the main scores of each method, and where the truth is known lines of temporal R at each hour of the "
        "day; the numbers are in the score tables",
    ),
    "target": Caption(
        "Target diagram",
        "A point for each method: bias upwards, unbiased error to the right where it varies more than the reference "
        "and to the left where it varies less; the closer to the centre, the smaller the RMSD; the numbers are in the "
        "score tables",
    ),
    "training": Caption(
        "Learning curves",
        "Loss by epoch on training and validation samples, a pair of lines for each member of the ensemble, with a "
        "circle at the epoch that is kept",
    ),
    "coverage": Caption(
        "Calendar of SMAP",
        "A coloured square for each day, a row for each month: the share of the region's 36 km cells with a "
        "retrieval; the means of the months are in a table",
    ),
}


def write_run_figures(
    *,
    folder: str | Path,
    index: str | Path,
    product: str | Path,
    smap: Sequence[str | Path],
    scores: str | Path,
    places: str | Path,
    inputs: str | Path,
    curves: Sequence[str | Path] = (),
    model: str = "pscnet",
    colormap: str = "YlGnBu",
    value_range: tuple[float, float] = (0.0, 0.45),
) -> None:
    """Draw the figures of :data:`FIGURES`, and list them.

    Parameters
    ----------
    folder : path of the folder to write PNG and PDF into
    index : path of the list to write
    product, smap, scores, places
        As for :func:`pscnet.report.page.whole.write_page`.
    inputs : path of the JSON of :func:`pscnet.report.coverage.write_inputs`
    curves : paths of the learning curves of all members
    model : str
        Name of the net.
    colormap : str
        Matplotlib name.
    value_range : (low, high) [m3 m-3]
        Range of the colour scale.

    Raises
    ------
    ReportError
        When an input lacks something.
    """
    month = read_month(product, None)
    retrievals = read_retrievals(smap, month.times[0])
    document = json.loads(Path(scores).read_text(encoding="utf-8"))
    coverage = json.loads(Path(inputs).read_text(encoding="utf-8"))["coverage"]
    net = NET_TITLES[model]
    with xr.open_dataset(places) as opened:
        series = opened.load()
    with matplotlib.rc_context(STYLE):
        drawn: dict[str, Figure] = {
            "map": draw_maps(month, retrievals, best_step(month, retrievals), colormap, value_range, net),
            "series": draw_series(series, net),
            "scores": draw_scores(document, net),
            "target": draw_target(document, net),
            "training": draw_training([read_curve(path) for path in curves]),
            "coverage": draw_calendar(coverage),
        }
        made = save_figures(drawn, FIGURES, folder)
    write_index(index, made)
