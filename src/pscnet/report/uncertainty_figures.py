"""Three figures of the product's uncertainty: reliability, by time since SMAP's last look, and the PIT histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.lines import UNIT, WIDTH, arms, empty, known, legend, numbers, table_rows, tidy
from pscnet.validation.document import Document

FIGURES: dict[str, Caption] = {
    "uncertainty_reliability": Caption(
        "Reliability of the predicted uncertainty",
        "Left: share of the truth, and of held-out SMAP, inside central intervals against their nominal probability; a "
        "calibrated forecast lies on the diagonal. Right: root mean square error against predicted standard deviation, "
        "by class of the latter, with the line of equality.",
    ),
    "uncertainty_since": Caption(
        "Uncertainty by time since SMAP saw the place",
        "Three panels by class of hours since SMAP's last look: share inside one standard deviation with its nominal "
        "value, predicted standard deviation beside the error, and CRPS; with 95 % intervals.",
    ),
    "uncertainty_pit": Caption(
        "Histogram of the probability integral transform",
        "Bars of how often the truth, and held-out SMAP, fall into each twentieth of the predicted distribution; level "
        "at one where it is calibrated, leaning where it is biased, U-shaped where it is too narrow.",
    ),
}

#: What the product is held to: name of its table, words, colour and marker.
_AGAINST = (("truth", "against the truth, 10 km", "#0072B2", "o"), ("heldout", "held-out SMAP, 36 km", "#D55E00", "s"))
_GREY = "#777777"


def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
    """The figures by the names of :data:`FIGURES`."""
    found = {name: known(document.data, name) for name, *_ in _AGAINST}
    if not any(found.values()):
        words = "Neither a truth nor held-out SMAP with a standard deviation: rerun verify_heldout."
        return {name: empty(words) for name in FIGURES}
    return {
        "uncertainty_reliability": _reliability(document, found),
        "uncertainty_since": _since(document),
        "uncertainty_pit": _pit(found),
    }


def _rows(document: Document, table: str, group: str) -> list[Any]:
    return [row for row in table_rows(document, table) if row.group == group]


def _reliability(document: Document, found: dict[str, dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    largest = 0.0
    for name, words, colour, marker in _AGAINST:
        if found[name]:
            part = found[name]["all"]
            nominal, observed = part["nominal"], numbers(part["observed"])
            left.fill_between(
                nominal, numbers(part["low"]), numbers(part["high"]), color=colour, alpha=0.2, linewidth=0
            )
            left.plot(nominal, observed, color=colour, marker=marker, markersize=4, label=words)
        classes = _rows(document, name, "predicted sigma")
        if classes:
            sigma, error = (numbers(row.values[key] for row in classes) for key in ("sigma", "rmse"))
            bars = np.concatenate([arms(row.values["rmse"], row.intervals["rmse"]) for row in classes], axis=1)
            right.errorbar(sigma, error, yerr=bars, color=colour, marker=marker, markersize=4, elinewidth=1)
            largest = max(largest, float(np.nanmax([sigma, error])))
    right.plot([0, 1.1 * largest], [0, 1.1 * largest], color=_GREY, linewidth=1)
    tidy(left, xlabel="nominal probability of the interval", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
    labels = {"xlabel": f"predicted standard deviation [{UNIT}]", "ylabel": f"root mean square error [{UNIT}]"}
    tidy(right, xlim=(0, 1.1 * largest), ylim=(0, 1.1 * largest), **labels)
    for axis in (left, right):
        axis.set_aspect("equal")
    legend(figure, left)
    return figure


def _since(document: Document) -> Figure:
    group = "time since SMAP's last look"
    classes = list(dict.fromkeys(row.label for name, *_ in _AGAINST for row in _rows(document, name, group)))
    order = {label: place for place, label in enumerate(sorted(classes, key=_first_hour))}
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].axhline(0.683, color=_GREY, linewidth=1)
    for number, (name, words, colour, marker) in enumerate(_AGAINST):
        rows = _rows(document, name, group)
        place = np.array([order[row.label] for row in rows]) + 0.16 * (number - 0.5)
        style = {"color": colour, "marker": marker, "markersize": 4, "linestyle": "none", "elinewidth": 1}
        for axis, key in zip(axes, ("inside_1", "rmse", "crps"), strict=True):
            if rows:
                values = numbers(row.values[key] for row in rows)
                bars = np.concatenate([arms(row.values[key], row.intervals[key]) for row in rows], axis=1)
                axis.errorbar(place, values, yerr=bars, label=words, **style)
        if rows:
            sigma = numbers(row.values["sigma"] for row in rows)
            axes[1].plot(place, sigma, color=colour, linestyle="none", marker="_", markersize=11, markeredgewidth=2)
    names = ("share inside 1 σ", f"error; bars: σ [{UNIT}]", f"CRPS [{UNIT}]")
    for axis, name in zip(axes, names, strict=True):
        tidy(axis, ylabel=name)
        axis.set_xticks(range(len(order)), list(order), rotation=60, ha="right", fontsize=7.5)
    axes[0].set_ylim(0, 1)
    for axis in axes[1:]:
        axis.set_ylim(bottom=0)
    legend(figure, axes[0])
    return figure


def _first_hour(label: str) -> float:
    """The lower edge of a class of hours by its name; the class without a look comes last."""
    word = label.split()[0]
    return -1.0 if word == "under" else float(word) if word.isdigit() else np.inf


def _pit(found: dict[str, dict[str, Any]]) -> Figure:
    shown = [entry for entry in _AGAINST if found[entry[0]]]
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    for axis, (name, words, colour, _) in zip(axes, shown, strict=True):
        density = numbers(found[name]["all"]["pit"])
        edges = np.linspace(0.0, 1.0, density.size + 1)
        axis.bar(edges[:-1], density, width=1.0 / density.size, align="edge", color=colour, edgecolor="white")
        axis.axhline(1.0, color="#000000", linewidth=1)
        tidy(axis, words, xlabel="predicted probability of a smaller value", xlim=(0, 1))
    axes[0].set_ylabel("frequency (1 if calibrated)")
    return figure
