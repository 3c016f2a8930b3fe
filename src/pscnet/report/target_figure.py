"""Target diagram: bias and unbiased error of each method, and which of them varies too much or too little.

Jolliff et al. 2009, Journal of Marine Systems 76, 64: abscissa ubRMSD with the sign of std(method) - std(reference),
ordinate bias, both over std(reference); the distance from the centre is the RMSD. Inside the circle of radius 1 a
method is better than the reference's own mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pscnet.report.figure_files import WIDTH
from pscnet.report.figures import STYLES
from pscnet.validation import METHODS, PRODUCT

#: Table of the scores: panel title, and the score that holds the pooled ubRMSD.
_PANELS = {
    "truth_10km": ("against the simulated truth, 10 km", "pooled_ubrmse"),
    "satellite_36km": ("agreement with held-out SMAP, 36 km", "ubrmsd"),
}

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def target_points(rows: Mapping[str, Mapping[str, Any]], error: str) -> dict[str, tuple[float, float]]:
    """Abscissa and ordinate of each method; methods without the numbers, or whose reference is constant, are left out.

    With a = std(method) / std(reference), (ubRMSD / std(reference))^2 = 1 + a^2 - 2 a R.

    Parameters
    ----------
    rows : mapping of method to scores
        ``pooled_r``, ``std_ratio``, ``bias`` and the score ``error`` (ubRMSD of all samples pooled).
    """
    points = {}
    for method, row in rows.items():
        numbers = [row.get(key) for key in ("pooled_r", "std_ratio", "bias", error)]
        if any(value is None or not math.isfinite(value) for value in numbers):
            continue
        r, ratio, bias, unbiased = map(float, numbers)  # type: ignore[arg-type]
        normed = math.sqrt(max(0.0, 1.0 + ratio**2 - 2.0 * ratio * r))
        if normed > 0.0 and unbiased > 0.0:
            points[method] = math.copysign(normed, ratio - 1.0), bias * normed / unbiased
    return points


def draw_target(document: Mapping[str, Any], net: str) -> Figure:
    """Target diagrams of the score tables that the run has; ``net`` is the name of what made the product."""
    panels = [(key, *_PANELS[key]) for key in _PANELS if document.get(key)]
    figure = Figure(figsize=(WIDTH, 4.2 if len(panels) > 1 else 5.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    methods = [m for m in METHODS if any(m in document[key] for key, _, _ in panels)]
    for axis, (key, title, error) in zip(axes, panels, strict=True):
        _draw_panel(axis, target_points(document[key], error), methods)
        axis.set_title(title)
    names = [f"{net} (product)" if method == PRODUCT else METHODS[method] for method in methods]
    handles = [Line2D([], [], linestyle="", **_marker(methods, method)) for method in methods]
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    return figure


def _marker(methods: list[str], method: str) -> dict[str, Any]:
    return {
        "marker": _MARKERS[methods.index(method) % len(_MARKERS)],
        "color": STYLES[method]["color"],
        "markersize": 8 if method == PRODUCT else 6,
        "markeredgecolor": "#222222",
        "markeredgewidth": 0.6,
    }


def _draw_panel(axis: Axes, points: Mapping[str, tuple[float, float]], methods: list[str]) -> None:
    reach = max([1.15, *(1.15 * math.hypot(*point) for point in points.values())])
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in np.arange(0.5, reach + 0.5, 0.5):
        bold = math.isclose(radius, 1.0)
        line = {"color": "#555555" if bold else "#bbbbbb", "linewidth": 1.0 if bold else 0.6}
        axis.plot(radius * np.cos(angle), radius * np.sin(angle), zorder=1, **line)
    axis.axhline(0, color="#999999", linewidth=0.6, zorder=1)
    axis.axvline(0, color="#999999", linewidth=0.6, zorder=1)
    for method, (x, y) in points.items():
        axis.plot(x, y, zorder=3, **_marker(methods, method))
    if not points:
        axis.text(0, 0.25, "not defined: no ratio of\nstandard deviations in the scores", ha="center", va="center")
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis.set_xlabel("ubRMSD / σ of the reference\n← varies too little      varies too much →")
    axis.set_ylabel("bias / σ of the reference")
