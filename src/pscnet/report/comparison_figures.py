"""Three figures of the comparison: errors by method and world, skill by hour of the day, reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pscnet.sources.atomic import replacing
from pscnet.timeaxis import STEP_HOURS
from pscnet.validation.groups import GROUPS, OURS, Entry, entries_of

#: Okabe and Ito's colours, which people with any colour vision tell apart; each has a marker and a dash as well.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":", (0, (6, 2)), (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))
_UNIT = "m³ m⁻³"


def write_comparison_figures(
    folder: str | Path,
    comparison: Mapping[str, Any],
    entries: Mapping[str, Entry] | None = None,
    shown: Sequence[str] | None = None,
) -> dict[str, Path]:
    """Write ``comparison.png``, ``hours.png`` and ``reliability.png`` into ``folder``; return their paths by name.

    ``shown`` are the methods whose lines are drawn by hour; default: see :func:`chosen_lines`.
    """
    made = {
        "comparison": draw_methods(comparison, entries),
        "hours": draw_hours(comparison, entries, shown),
        "reliability": draw_reliability(comparison, entries),
    }
    paths = {name: Path(folder) / f"{name}.png" for name in made}
    for name, figure in made.items():
        FigureCanvasAgg(figure)
        with replacing(paths[name]) as part:
            figure.savefig(part, dpi=110, facecolor="white", metadata={"Software": None})
    return paths


def draw_methods(
    comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None, score: str = "ubrmse"
) -> Figure:
    """Dots with 95 % intervals of one score, a row for each method and a marker for each world."""
    methods, worlds = comparison["methods"], comparison["worlds"]
    known = entries_of(methods, entries)
    names = [name for group in GROUPS for name in methods if known[name].group == group]
    figure = Figure(figsize=(9, 0.38 * len(names) + 1.6), layout="constrained")
    axis = figure.subplots()
    for number, world in enumerate(worlds):
        shift = (number - (len(worlds) - 1) / 2) * 0.6 / max(len(worlds), 2)
        values = np.array(
            [[_value(methods[n]["worlds"][world][score], k) for k in ("mean", "low", "high")] for n in names]
        )
        # An interval that is not defined (few blocks) is drawn as none.
        arms = np.nan_to_num(np.abs(values[:, 1:] - values[:, :1]))
        style = {"color": _COLOURS[number % 7], "fmt": _MARKERS[number % 7], "markersize": 5, "elinewidth": 1.2}
        axis.errorbar(values[:, 0], np.arange(len(names)) + shift, xerr=arms.T, label=world, **style)
    axis.set_yticks(range(len(names)), [known[name].label for name in names])
    for tick, name in zip(axis.get_yticklabels(), names, strict=True):
        tick.set_fontweight("bold" if known[name].group == OURS else "normal")
    for row in range(1, len(names)):
        if known[names[row]].group != known[names[row - 1]].group:
            axis.axhline(row - 0.5, color="#999999", linewidth=0.8)
    axis.set(ylim=(len(names) - 0.4, -0.6), xlabel=f"ubRMSE [{_UNIT}]" if score == "ubrmse" else score)
    axis.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=len(worlds), frameon=False, title="world")
    return figure


def chosen_lines(comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None) -> list[str]:
    """Few enough lines to be told apart: the method of smallest ubRMSE of each group, and the next best references."""
    methods = comparison["methods"]
    known = entries_of(methods, entries)

    def error(name: str) -> float:
        value = _value(methods[name]["scores"]["ubrmse"], "mean")
        return value if math.isfinite(value) else math.inf

    groups = [sorted((n for n in methods if known[n].group == g), key=error) for g in list(GROUPS)[:4]]
    first, *others = groups
    return [*(name for group in reversed(others) for name in group[:1]), *first][: len(_COLOURS)]


def draw_hours(
    comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None, shown: Sequence[str] | None = None
) -> Figure:
    """Temporal R and ubRMSE by hour of the day, mean of worlds and seeds."""
    methods = comparison["methods"]
    known = entries_of(methods, entries)
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    for number, name in enumerate(shown if shown is not None else chosen_lines(comparison, entries)):
        for axis, score in zip(axes, ("temporal_r", "ubrmse"), strict=True):
            line = [math.nan if v is None else v for v in methods[name]["by_hour"][score]]
            axis.plot(STEP_HOURS * np.arange(len(line)), line, label=known[name].label, markersize=4, **_style(number))
    for axis, title in zip(axes, ("temporal R", f"ubRMSE [{_UNIT}]"), strict=True):
        axis.set(title=title, xlabel="hour of the day [UTC]", xticks=np.arange(0, 24, STEP_HOURS))
        axis.grid(alpha=0.25)
    _legend(figure, axes[0])
    return figure


def draw_reliability(comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None) -> Figure:
    """Share of the truth inside central intervals against their nominal probability, of methods that give a sigma."""
    methods = comparison["methods"]
    known = entries_of(methods, entries)
    figure = Figure(figsize=(5.4, 5.8), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1, label="calibrated")
    for number, name in enumerate(name for name in methods if methods[name].get("reliability")):
        shares = {
            float(nominal): _value({"share": share}, "share") for nominal, share in methods[name]["reliability"].items()
        }
        axis.plot(shares.keys(), shares.values(), label=known[name].label, markersize=5, **_style(number))
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="nominal probability", ylabel="share of the truth inside")
    axis.grid(alpha=0.25)
    _legend(figure, axis)
    return figure


def _style(number: int) -> dict[str, Any]:
    """Colour, marker and dash; after seven the colours come again with the next marker and dash."""
    turn = number + number // len(_COLOURS)
    return {"color": _COLOURS[number % 7], "marker": _MARKERS[turn % 7], "linestyle": _DASHES[turn % 7]}


def _legend(figure: Figure, axis: Axes) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)


def _value(numbers: Mapping[str, Any], key: str) -> float:
    value = numbers.get(key)
    return math.nan if value is None else float(value)
