"""Three figures of a run: the maps, the series at places, the scores. Drawn without a display, for print."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from pscnet.report.figure_files import WIDTH
from pscnet.report.inputs import Month, Retrievals, edges
from pscnet.validation import METHODS, PRODUCT

#: Okabe and Ito's colours, which people with any colour vision tell apart; each line has its own dash as well.
STYLES: dict[str, dict[str, Any]] = {
    PRODUCT: {"color": "#0072B2", "linestyle": "-"},
    "truth": {"color": "#000000", "linestyle": "-"},
    "era5_land": {"color": "#E69F00", "linestyle": "--"},
    "era5_land_rescaled": {"color": "#D55E00", "linestyle": (0, (6, 2))},
    "smap_interpolated": {"color": "#009E73", "linestyle": "-."},
    "smap_kriged": {"color": "#56B4E9", "linestyle": (0, (4, 1, 1, 1, 1, 1))},
    "optimal_interpolation": {"color": "#CC79A7", "linestyle": ":"},
}

_UNIT = "m³ m⁻³"
_NOTHING = "#d9d9d9"


def _label(method: str, net: str) -> str:
    return f"{net} (product)" if method == PRODUCT else METHODS.get(method, method)


def best_step(month: Month, retrievals: Retrievals) -> int:
    """The step at which most coarse cells have a retrieval of the last 3 days; of equals the one nearest mid-month."""
    seen = np.array([np.isfinite(retrievals.latest(stamp)[0]).sum() for stamp in month.times])
    best = np.flatnonzero(seen == seen.max())
    return int(best[np.abs(best - month.times.size / 2).argmin()])


def draw_maps(
    month: Month, retrievals: Retrievals, step: int, colormap: str, value_range: tuple[float, float], net: str
) -> Figure:
    """SMAP at 36 km, the product and its uncertainty at one step."""
    box = edges(month.lat), edges(month.lon)
    width = WIDTH / 3
    aspect = 1 / math.cos(math.radians(float(month.lat.mean())))
    height = width * (box[0][0] - box[0][-1]) * aspect / (box[1][-1] - box[1][0])
    figure = Figure(figsize=(WIDTH, min(height, 6) + 1.2), layout="constrained")
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    colours = matplotlib.colormaps[colormap]
    coarse = retrievals.latest(month.times[step])[0]
    soil = {"cmap": colours, "vmin": value_range[0], "vmax": value_range[1], "rasterized": True}
    axes[0].pcolormesh(edges(retrievals.lon), edges(retrievals.lat), coarse, **soil)
    mesh = axes[1].pcolormesh(box[1], box[0], month.moisture[step], **soil)
    spread = axes[2].pcolormesh(box[1], box[0], month.sigma[step], cmap="Purples", vmin=0, rasterized=True)
    when = np.datetime_as_string(month.times[step], unit="m").replace("T", " ")
    titles = ("SMAP, 36 km\nlast 3 days", f"{net}, 10 km\n{when} UTC", f"{net}\none standard deviation")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=title, xlim=(box[1][0], box[1][-1]), ylim=(box[0][-1], box[0][0]), aspect=aspect)
        axis.set_facecolor(_NOTHING)
        axis.set_xlabel("longitude [° E]")
    axes[0].set_ylabel("latitude [° N]")
    below = {"orientation": "horizontal", "shrink": 0.7, "pad": 0.02}
    figure.colorbar(mesh, ax=axes[:2], label=f"soil moisture, 0-5 cm [{_UNIT}]", extend="max", **below)
    figure.colorbar(spread, ax=axes[2], label=f"uncertainty [{_UNIT}]", **below)
    return figure


def draw_series(series: xr.Dataset, net: str) -> Figure:
    """Product with its band, references, SMAP retrievals and, on the twin, the truth at each place."""
    count = series.sizes["place"]
    figure = Figure(figsize=(WIDTH, 1.45 * count + 0.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(count, 1, sharex=True))
    times = series["time"].values
    for place, axis in enumerate(axes):
        ours, sigma = series[PRODUCT].values[place], series["uncertainty"].values[place]
        axis.fill_between(times, ours - sigma, ours + sigma, color="#56B4E9", alpha=0.35, linewidth=0, label="± 1 σ")
        for name, style in STYLES.items():
            if name in series:
                wide = 1.1 if name in (PRODUCT, "truth") else 0.7
                axis.plot(times, series[name].values[place], label=_label(name, net), linewidth=wide, **style)
        axis.plot(
            series["smap_time"].values[place], series["smap"].values[place], "o", markersize=3,
            markerfacecolor="white", markeredgecolor="#333333", markeredgewidth=0.6, label="SMAP retrieval",
        )  # fmt: skip
        axis.set_title(str(series["name"].values[place]), loc="left")
        axis.set_ylabel(_UNIT)
        axis.set_ylim(bottom=0)
        axis.set_xlim(times[0], times[-1])
        axis.grid(alpha=0.25)
    locator = AutoDateLocator()
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def draw_scores(document: Mapping[str, Any], net: str) -> Figure:
    """Bars of the main scores of each method and, on the twin, skill by hour of the day."""
    truth: Mapping[str, Any] = document.get("truth_10km", {})
    rows = truth or document["satellite_36km"]
    panels = (
        [("temporal_r", "temporal R"), ("ubrmse", f"ubRMSE [{_UNIT}]"), ("subpixel_r_beyond", "sub-pixel R, beyond")]
        if truth
        else [("pooled_r", "R pooled"), ("ubrmsd", f"ubRMSD [{_UNIT}]"), ("bias", f"bias [{_UNIT}]")]
    )
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axes = figure.subplots(1, len(panels) + bool(truth), width_ratios=[1] * len(panels) + [1.25] * bool(truth))
    for axis, (score, title) in zip(axes, panels, strict=False):
        _bars(axis, rows, score, title, net if axis is axes[0] else None)
    if truth:
        hours = np.arange(0, 24, 3)
        for method, lines in document["by_hour"].items():
            values = [np.nan if v is None else v for v in lines["temporal_r"]]
            axes[-1].plot(hours, values, marker="o", markersize=3, **STYLES[method])
        axes[-1].set_title("temporal R by hour [UTC]")
        axes[-1].set_xticks(hours)
        axes[-1].grid(alpha=0.25)
    what = "Against the simulated truth, 10 km" if truth else "Agreement with held-out SMAP, 36 km"
    figure.suptitle(f"{what}; test days")
    return figure


def _bars(axis: Axes, rows: Mapping[str, Mapping[str, Any]], score: str, title: str, net: str | None) -> None:
    """Bars of one score; the methods are named where ``net`` is given."""
    methods = list(rows)[::-1]
    values = [rows[m].get(score) for m in methods]
    drawn = [0.0 if v is None or not math.isfinite(v) else v for v in values]
    axis.barh(range(len(methods)), drawn, color=[STYLES[m]["color"] for m in methods], height=0.65)
    axis.set_yticks(range(len(methods)), [_label(m, net) if net else "" for m in methods])
    for row, (value, size) in enumerate(zip(values, drawn, strict=True)):
        text = "no detail" if value is None and "subpixel" in score else "–" if value is None else f"{value:.3f}"
        axis.annotate(text, (max(size, 0), row), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axis.set_title(title)
    axis.margins(x=0.3)
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
