"""Two figures of what a run was made from and how it was learnt: the calendar of SMAP, and the learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from pscnet.report.figure_files import WIDTH

#: Days on which the region was not seen, or is frozen.
_UNSEEN: dict[str, Any] = {"facecolor": "#ebebeb", "edgecolor": "white", "linewidth": 0.5}

#: Days whose file is missing: told apart by hatching as well as by colour.
_NO_FILE: dict[str, Any] = {"facecolor": "#f2c9c9", "hatch": "xxxx", "edgecolor": "#803030", "linewidth": 0.5}


def draw_calendar(coverage: Mapping[str, Any]) -> Figure:
    """Share of the region's SMAP cells with a retrieval, a square for each day, a row for each month.

    Parameters
    ----------
    coverage : mapping
        As :func:`pscnet.report.coverage.daily_coverage` gives it.
    """
    days = np.array(coverage["days"], dtype="M8[D]")
    months = np.unique(days.astype("M8[M]"))
    share = np.array([np.nan if value is None else value for value in coverage["share"]], dtype=float)
    rows = np.searchsorted(months, days.astype("M8[M]"))
    columns = (days - days.astype("M8[M]").astype("M8[D]")).astype(int)
    figure = Figure(figsize=(WIDTH, 1.35 + 0.17 * months.size), layout="constrained")
    axis = figure.subplots()
    table = np.full((months.size, 31), np.nan)
    table[rows, columns] = np.where(share > 0, share, np.nan)
    for row, column in zip(rows[share == 0], columns[share == 0], strict=True):
        axis.add_patch(Rectangle((column, row), 1, 1, **_UNSEEN))
    lost = np.zeros(table.shape, bool)
    lost[rows, columns] = np.isnan(share)
    top = max(0.05, float(np.nanmax(share, initial=0.0)))
    squares = axis.pcolormesh(table, cmap="YlGnBu", vmin=0, vmax=top, edgecolors="white", linewidth=0.5)
    for row, column in zip(*np.nonzero(lost), strict=True):
        axis.add_patch(Rectangle((column, row), 1, 1, **_NO_FILE))
    axis.set_yticks(np.arange(months.size) + 0.5, [str(month) for month in months])
    axis.set_xticks(np.arange(0, 31, 5) + 0.5, [str(day + 1) for day in range(0, 31, 5)])
    axis.invert_yaxis()
    axis.set_xlabel("day of the month")
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    label = "share of the region's 36 km cells with a retrieval on that day"
    figure.colorbar(squares, ax=axis, orientation="horizontal", shrink=0.6, pad=0.02, aspect=40, label=label)
    keys = [Patch(**_UNSEEN, label="no retrieval in the region"), Patch(**_NO_FILE, label="no file")]
    figure.legend(handles=keys, loc="outside upper right", ncols=2, frameon=False)
    return figure


def draw_training(curves: Sequence[Sequence[Mapping[str, float]]]) -> Figure:
    """Loss by epoch on training and validation samples, a pair of lines for each member of the ensemble."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axis = figure.subplots()
    for member, curve in enumerate(curves):
        epochs = [epoch["epoch"] for epoch in curve]
        for name, colour, dash in (("train", "#0072B2", "-"), ("validation", "#D55E00", "--")):
            values = [epoch[f"{name}_loss"] for epoch in curve]
            label = _curve_label(name, len(curves)) if member == 0 else None
            axis.plot(epochs, values, color=colour, linestyle=dash, marker=".", markersize=3, label=label)
        best = min(curve, key=lambda epoch: epoch["validation_loss"])
        axis.plot(best["epoch"], best["validation_loss"], "o", color="#D55E00", markerfacecolor="white", markersize=6)
    _finish(axis)
    return figure


def _curve_label(name: str, members: int) -> str:
    what = {"train": "training", "validation": "validation; circle: what is kept"}[name]
    return what if members == 1 else f"{members} members, {what}"


def _finish(axis: Axes) -> None:
    if axis.get_lines():
        axis.legend(frameon=False)
    else:
        axis.text(0.5, 0.5, "this net is not trained by epochs", transform=axis.transAxes, ha="center")
    axis.set(xlabel="epoch (of trees: their number)", ylabel="loss")
    axis.grid(alpha=0.25)
