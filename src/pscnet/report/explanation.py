"""Two figures of an explanation: the importance of the inputs, and where each part carries the answer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pscnet.report.inputs import ReportError, edges
from pscnet.sources.atomic import replacing
from pscnet.variants import NET_TITLES

#: Items that say from where the answer comes; the others, parts of the predictors, stand in a panel of their own.
SOURCES = ("smap", "background", "predictors", "static", "season")

#: Colours of items by kind (Okabe and Ito).
COLOURS = {
    "smap": "#009E73",
    "background": "#D55E00",
    "predictors": "#0072B2",
    "predictor": "#0072B2",
    "band": "#56B4E9",
    "channel": "#E69F00",
    "static": "#CC79A7",
    "season": "#000000",
}

#: What the bars of the parts of the predictors are called.
LEGEND = {"predictor": "a predictor, all bands", "band": "a band, all predictors", "channel": "a band of a predictor"}

#: Items whose names are not those of predictors and bands.
LABELS = {
    "smap": "SMAP, all",
    "smap_past": "SMAP, past",
    "smap_future": "SMAP, future",
    "smap_kriged": "SMAP, kriged",
    "background": "background (rescaled ERA5-Land)",
    "predictors": "predictors (ERA5-Land), all bands",
    "static": "static fields, moved in space",
    "season": "season, between months",
}

#: Panels of the second figure.
PANELS = {"smap": "SMAP", "background": "ERA5-Land (background)", "residual": "net (residual)"}

_NOTHING = "#d9d9d9"


def write_explanation_figures(
    table: str | Path, maps: str | Path, bars: str | Path, shares: str | Path, most: int
) -> None:
    """Draw an explanation.

    Parameters
    ----------
    table, maps : paths of the JSON and the NetCDF of :mod:`pscnet.explain.files`
    bars, shares : paths of the PNG files to write
    most : int
        Bands and predictors of the first figure at most.

    Raises
    ------
    ReportError
        When a file does not hold what is to be drawn.
    """
    document = json.loads(Path(table).read_text(encoding="utf-8"))
    if not document.get("items"):
        raise ReportError(f"{table}: importance of at least one item expected, found none; rerun explain_model")
    with xr.open_dataset(maps) as data:
        missing = [name for name in ("share", "lat", "lon", "part") if name not in data.variables]
        if missing:
            raise ReportError(f"{maps}: {', '.join(missing)} expected, not found; rerun explain_model")
        drawn = draw_importance(document, most), draw_shares(data.load())
    for path, figure in zip((bars, shares), drawn, strict=True):
        FigureCanvasAgg(figure)
        with replacing(path) as part:
            figure.savefig(part, dpi=110, facecolor="white", metadata={"Software": None})


def draw_importance(document: Mapping[str, Any], most: int) -> Figure:
    """Bars with one standard deviation over repeats, the most important on top.

    Sources stand above, the ``most`` important bands and predictors below, on a scale of their own: what they tell
    beside the background is often small.
    """
    ranked = sorted(document["items"], key=lambda item: -item["increase"])
    sources = [item for item in ranked if item["kind"] in SOURCES]
    parts = [item for item in ranked if item["kind"] not in SOURCES][:most]
    heights = [max(len(part), 1) for part in (sources, parts)]
    figure = Figure(figsize=(8.5, 0.28 * sum(heights) + 2.2), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=heights)
    for axis, items in ((above, sources), (below, parts)):
        _bars(axis, items, 100 / document["loss"])
    used = {item["kind"] for item in parts}
    legend = [Patch(color=COLOURS[kind], label=label) for kind, label in LEGEND.items() if kind in used]
    below.legend(handles=legend, loc="lower right", frameon=False, fontsize=8)
    below.set_xlabel("squared difference from left-out SMAP: increase by exchange [%]; scales differ")
    net = NET_TITLES.get(document["model"], document["model"])
    samples = sum(document["samples"].values())
    above.set_title(
        f"{net}: importance of inputs; {samples} samples of {document['part']}, {document['repeats']} repeats",
        fontsize=10,
    )
    return figure


def _bars(axis: Axes, items: Sequence[Mapping[str, Any]], percent: float) -> None:
    axis.barh(
        range(len(items)),
        [item["increase"] * percent for item in items],
        xerr=[item["std"] * percent for item in items],
        color=[COLOURS[item["kind"]] for item in items],
        error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#666666"},
        height=0.7,
    )
    axis.set_yticks(range(len(items)), [LABELS.get(item["item"], item["item"]) for item in items])
    axis.invert_yaxis()
    axis.axvline(0, color="#333333", linewidth=0.8)
    axis.grid(axis="x", alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def draw_shares(maps: xr.Dataset) -> Figure:
    """Share of the answer's variance in time of each part: three maps on one scale."""
    lat, lon = maps["lat"].values, maps["lon"].values
    box = edges(lat), edges(lon)
    width = 4.3
    aspect = 1 / math.cos(math.radians(float(lat.mean())))
    height = width * (box[0][0] - box[0][-1]) * aspect / (box[1][-1] - box[1][0])
    figure = Figure(figsize=(len(PANELS) * width, min(height, 9) + 1.3), layout="constrained")
    axes = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    mesh = None
    for axis, (part, title) in zip(axes, PANELS.items(), strict=True):
        share = maps["share"].sel(part=part).values
        mesh = axis.pcolormesh(box[1], box[0], share, cmap="cividis", vmin=0, vmax=1, rasterized=True)
        mean = f"{np.nanmean(share):.2f}" if np.isfinite(share).any() else "none"
        axis.set(
            title=f"{title}; mean {mean}", xlim=(box[1][0], box[1][-1]), ylim=(box[0][-1], box[0][0]), aspect=aspect
        )
        axis.set_facecolor(_NOTHING)
        axis.set_xlabel("longitude [° E]")
    axes[0].set_ylabel("latitude [° N]")
    label = "share of the answer's variance in time; the three add up to 1"
    figure.colorbar(mesh, ax=axes, label=label, extend="both", orientation="horizontal", shrink=0.5, pad=0.02)
    return figure
