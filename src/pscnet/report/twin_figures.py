"""Five figures of a review of the simulated Plateau, drawn from its document alone. Drawn without a display."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pscnet.sources.atomic import replacing

#: Okabe and Ito's colours, which people with any colour vision tell apart; each zone has its own dash as well.
ZONES: dict[str, dict[str, Any]] = {
    "arid": {"color": "#D55E00", "linestyle": "--"},
    "semi-arid": {"color": "#009E73", "linestyle": "-"},
    "semi-humid": {"color": "#0072B2", "linestyle": "-."},
}
_DAYS: dict[str, dict[str, Any]] = {
    "unfrozen": {"color": "#000000", "linestyle": "-", "marker": "o", "label": "dry days, unfrozen"},
    "freeze_thaw": {"color": "#CC79A7", "linestyle": "--", "marker": "s", "label": "dry days, partly frozen"},
    "frozen": {"color": "#56B4E9", "linestyle": "-.", "marker": "^", "label": "dry days, frozen throughout"},
    "all": {"color": "#0072B2", "linestyle": ":", "marker": "", "label": "all days"},
}
_WANTED = {"color": "#F0E442", "alpha": 0.45, "linewidth": 0, "zorder": 0}
_GREY, _UNIT = "#777777", "m³ m⁻³"
#: Day of the year on which each month starts.
_MONTHS = np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30])
#: Fewest days and cells of a cycle that is drawn (ours).
_FEWEST = 1000


def write_twin_figures(document: Mapping[str, Any], folder: str | Path) -> dict[str, Path]:
    """Write ``twin_<name>.png`` for seasons, daily, era5_land, rain and smap into ``folder``; their paths by name.

    Parameters
    ----------
    document : mapping
        As :func:`pscnet.validation.twin_review.write_review` gives it.
    """
    curves = document["curves"]
    drawers: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
        "seasons": draw_seasons, "daily": draw_daily, "era5_land": draw_era5_land, "rain": draw_rain, "smap": draw_smap,
    }  # fmt: skip
    paths = {}
    for name, draw in drawers.items():
        figure = draw(curves[name])
        FigureCanvasAgg(figure)
        paths[name] = Path(folder) / f"twin_{name}.png"
        with replacing(paths[name]) as part:
            figure.savefig(part, dpi=90, facecolor="white", metadata={"Software": None})
    return paths


def _plain(axis: Axes, title: str, xlabel: str, ylabel: str = "") -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.grid(alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def draw_seasons(zones: Mapping[str, Any]) -> Figure:
    """Mean year of the truth's liquid water and of the frozen share by zone; the windows of the peaks are shaded."""
    figure = Figure(figsize=(8.5, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for name, zone in zones.items():
        curve = np.asarray(zone["moisture"])
        upper.plot(curve, label=f"{name} ({zone['share']:.0%} of the box)", **ZONES[name])
        lower.plot(zone["frozen"], **ZONES[name])
        days = [zone[key] for key in zone if key.startswith("peak_") and zone[key] is not None]
        marked = np.asarray(days, int) - 1
        upper.plot(marked, curve[marked], "v", color=ZONES[name]["color"], markersize=8)
    for (first, last), word in zip(((59, 151), (151, 212), (227, 304)), ("thaw", "early", "late"), strict=True):
        upper.axvspan(first, last - 1, **(_WANTED | {"alpha": 0.25}))
        upper.text((first + last) / 2, 0.99, word, ha="center", va="top", transform=upper.get_xaxis_transform())
    upper.margins(y=0.12)
    upper.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    _plain(
        upper, "Mean year of liquid soil water, 0-5 cm (15-day mean); triangles are peaks in their window", "", _UNIT
    )
    _plain(lower, "", "month", "frozen share")
    lower.set_xticks(_MONTHS, list("JFMAMJJASOND"))
    lower.set_xlim(0, 365)
    return figure


def draw_daily(zones: Mapping[str, Any]) -> Figure:
    """Mean daily cycles by zone and season; what range the design gives is a bar at the left."""
    names = ("spring", "summer", "autumn", "winter")
    figure = Figure(figsize=(10, 1.0 + 2.0 * len(zones)), layout="constrained")
    axes = figure.subplots(len(zones), 4, sharex=True, sharey=True, squeeze=False)
    last = list(zones)[-1]
    for row, (zone, seasons) in zip(axes, zones.items(), strict=True):
        for axis, season in zip(row, names, strict=True):
            for kind, style in _DAYS.items():
                cycle = seasons[season][kind]
                if cycle and cycle["n"] >= _FEWEST:
                    axis.plot(cycle["hours"], cycle["cycle"], markersize=3, **style)
            axis.errorbar(0.7, 0, 0.0025, color="#E69F00", capsize=3, linewidth=1.5)
            axis.errorbar(0.7, 0, 0.01, color="#E69F00", capsize=3, linewidth=1.5, label="range 0.005 and 0.02")
            _plain(axis, f"{zone}, {season}", "local solar hour" if zone == last else "", "")
            axis.set_xticks(range(0, 25, 6))
    handles = {label: h for axis in axes.flat for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5, frameon=False, fontsize=9)
    figure.supylabel(f"departure from the 24-hour mean [{_UNIT}]", fontsize=10)
    return figure


def draw_era5_land(scores: Mapping[str, Any]) -> Figure:
    """R and bias of the reanalysis by cell: maps, and histograms with the wanted range shaded."""
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    axes = figure.subplots(2, 2, height_ratios=(2, 1))
    panels = (
        ("r", "R in time", "viridis", (0.3, 0.95), (0.6, 0.8)),
        ("bias", f"bias [{_UNIT}]", "PuOr", (-0.16, 0.16), (0.03, 0.06)),
    )
    for (name, title, colours, limits, wanted), column in zip(panels, axes.T, strict=True):
        values = np.asarray(scores[name], float)
        mesh = column[0].pcolormesh(
            scores["lon"], scores["lat"], values, cmap=colours, vmin=limits[0], vmax=limits[1], rasterized=True
        )
        column[0].set_aspect(1 / np.cos(np.deg2rad(np.mean(scores["lat"]))))
        column[0].set_title(f"ERA5-Land-like against the truth: {title}", fontsize=10)
        column[0].set(xlabel="longitude [° E]", ylabel="latitude [° N]")
        figure.colorbar(mesh, ax=column[0], shrink=0.85)
        column[1].hist(np.clip(values[np.isfinite(values)], *limits), np.linspace(*limits, 33), color="#0072B2")
        column[1].axvspan(*wanted, **_WANTED)
        column[1].axvline(
            np.nanmedian(values), color="black", linestyle="--", label=f"median {np.nanmedian(values):.3f}"
        )
        column[1].legend(frameon=False, fontsize=9)
        _plain(column[1], "", title, "cells")
    return figure


def draw_rain(rain: Mapping[str, Any]) -> Figure:
    """Share of wet steps by threshold, and agreement of daily wettings at a cell and over 50 km."""
    figure = Figure(figsize=(8.5, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    curve = rain["curve"]
    for name, label, style in (
        ("truth", "wettings of the truth", {"color": "#000000", "linestyle": "-", "marker": "o"}),
        ("model", "wettings, ERA5-Land-like", {"color": "#E69F00", "linestyle": "--", "marker": "s"}),
        ("rain", "rain, ERA5-Land-like", {"color": "#56B4E9", "linestyle": ":", "marker": "^"}),
    ):
        share = np.asarray(curve[name], float)
        left.loglog(curve["threshold"], np.where(share > 0, share, np.nan), label=label, markersize=5, **style)
    left.legend(frameon=False, fontsize=9)
    _plain(left, "Steps of 3 hours wetter than ..., June to September", "threshold [mm]", "share of steps")
    left.set_xticks(curve["threshold"], [f"{value:g}" for value in curve["threshold"]])
    left.minorticks_off()
    bars = np.array([rain["daily_r"], rain["daily_r_50km"]], float)
    right.bar([0, 1], bars, color=["#0072B2", "#56B4E9"], width=0.6)
    for place, value in enumerate(bars):
        right.annotate(f"{value:.2f}", (place, value), (0, 2), textcoords="offset points", ha="center", fontsize=9)
    lead = "" if rain["lead_hours"] is None else f"Model early by {rain['lead_hours']:.1f} h"
    _plain(right, lead, "", "R of daily wettings")
    right.set_xticks([0, 1], ["10 km", "50 km"])
    right.set_ylim(0, 1)
    return figure


def draw_smap(smap: Mapping[str, Any]) -> Figure:
    """Footprint, correlation of the noise, bias by cell, revisit and hours of the retrievals."""
    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    first, second = figure.subplots(2, 3)
    excess = (np.asarray(smap["variances"]) - min(smap["variances"])) * 1e6
    first[0].plot(smap["widths"], excess, "o-", color="#0072B2")
    first[0].axvspan(36, 47, **_WANTED)
    best = f"Best footprint {smap['width']:.1f} ± {smap['width_error']:.1f} km"
    _plain(first[0], best, "full width of the average [km]", "excess variance [10⁻⁶]")
    first[1].plot(range(1, len(smap["correlation"])), smap["correlation"][1:], "o-", color="#0072B2")
    first[1].axhline(0, color=_GREY, linewidth=0.8)
    _plain(first[1], "Noise of one overpass", "distance [36 km cells]", "correlation")
    first[2].hist(smap["bias"], 24, color="#0072B2")
    first[2].axvspan(0, 0.03, **_WANTED)
    _plain(first[2], "Bias of a cell, recommended", f"mean of SMAP minus footprint [{_UNIT}]", "cells")
    gaps = np.asarray(smap["gaps"], float)
    second[0].bar(np.arange(gaps.size) + 1, gaps / max(gaps.sum(), 1), 0.8, color="#0072B2")
    second[0].axvspan(2, 3, **_WANTED)
    _plain(second[0], "Revisit of a cell in one half", "gap [day]", "share")
    hours = np.asarray(smap["hours"], float)
    for axis, start in zip(second[1:], (4.5, 16.5), strict=True):
        axis.bar(np.arange(hours.size) * 0.25 + 0.125, hours / max(hours.sum(), 1), 0.22, color="#0072B2")
        axis.axvline(start + 1.5, color="black", linestyle="--", linewidth=1)
        axis.set_xlim(start, start + 3)
        _plain(axis, f"Overpass around {start + 1.5:.0f} h", "local solar time [hour]", "share")
    return figure
