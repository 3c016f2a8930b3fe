"""Two figures of the skill by time of day: scores at the eight stamps, and the change from overpass hours to all."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.lines import UNIT, WIDTH, arms, empty, legend, numbers, style_of, table_rows, tidy
from pscnet.validation.document import Document

FIGURES: dict[str, Caption] = {
    "hours_by_hour": Caption(
        "Skill by stamp of the day, against the truth",
        "Three panels, a line for each method: correlation, error and bias against the truth at the eight stamps of "
        "the day; overpass hours are shaded. Lines that stay level across the day carry their skill to all hours.",
    ),
    "hours_change": Caption(
        "Change of skill from overpass hours to all eight hours",
        "Two panels with a row for each method: relative change of R and of ubRMSE from SMAP's overpass hours to all "
        "hours, with 95 % intervals and dashed lines at the paper's 6 % and 2 %.",
    ),
}

#: The paper's changes [%] between overpass hours and all hours.
_PAPER = {"r_change": 6.0, "ubrmse_change": 2.0}


def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
    """The figures by the names of :data:`FIGURES`."""
    if not table_rows(document, "by_hour"):
        words = "No truth in this run: hours without an overpass can be judged by stations only."
        return {name: empty(words) for name in FIGURES}
    return {"hours_by_hour": _by_hour(document), "hours_change": _change(document)}


def _by_hour(document: Document) -> Figure:
    hours = document.data["hours"]
    utc = np.array([hour["utc"] for hour in hours])
    rows = table_rows(document, "by_hour")
    labels = list(dict.fromkeys(row.label for row in rows))
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    axes = figure.subplots(1, 3)
    for axis, (key, name) in zip(
        axes, (("r", "R"), ("ubrmse", f"ubRMSE [{UNIT}]"), ("bias", f"bias [{UNIT}]")), strict=True
    ):
        for hour in hours:
            if hour["overpass"]:
                axis.axvspan(hour["utc"] - 1.5, hour["utc"] + 1.5, color="#eeeeee", zorder=0)
        for label in labels:
            mine = [row for row in rows if row.label == label]
            axis.plot(utc, numbers(row.values[key] for row in mine), label=label, **style_of(label, marker=True))
        if len(labels):
            first = [row for row in rows if row.label == labels[0]]
            low, high = (numbers(row.intervals[key][side] for row in first) for side in (0, 1))
            axis.fill_between(utc, low, high, color=style_of(labels[0])["color"], alpha=0.15, linewidth=0)
        tidy(axis, xlabel="hour of the day [UTC]", ylabel=name, xticks=utc[::2], xlim=(-1.5, 22.5))
        above = axis.secondary_xaxis("top")
        above.set_xticks(utc[::2], [f"{hour['local']:.0f}" for hour in hours[::2]], fontsize=7)
        above.set_xlabel("local solar [h]", fontsize=7.5)
    axes[2].axhline(0.0, color="#999999", linewidth=0.8)
    legend(figure, axes[0], 3)
    return figure


def _change(document: Document) -> Figure:
    rows = table_rows(document, "hours")
    figure = Figure(figsize=(WIDTH, 0.34 * len(rows) + 1.1), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (key, name) in zip(axes, (("r_change", "R"), ("ubrmse_change", "ubRMSE")), strict=True):
        axis.axvline(0.0, color="#999999", linewidth=0.8)
        for side in (-1, 1):
            axis.axvline(side * _PAPER[key], color="#444444", linewidth=0.9, linestyle=(0, (4, 3)))
        for place, row in enumerate(rows):
            value = row.values[key]
            style = {"color": style_of(row.label)["color"], "marker": style_of(row.label, True)["marker"]}
            position = np.nan if value is None else value
            axis.errorbar(position, place, xerr=arms(value, row.intervals[key]), markersize=5, elinewidth=1.2, **style)
        tidy(axis, xlabel=f"change of {name} [%]")
    axes[0].set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.suptitle("From overpass hours to all eight hours", fontsize=9)
    return figure
