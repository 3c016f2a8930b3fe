"""Figures of the validation by triple collocation: errors of the members with intervals, and maps of R² by cell."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.validation.document import Document, Row, ScoreTable

FIGURES: dict[str, Caption] = {
    "triple_errors": Caption(
        "Errors of three independent data sets, by triple collocation",
        "For each triplet dots with 95 % intervals: standard deviation of the error of each member, scaled to the "
        "first, and squared correlation with the unknown truth; of values and of anomalies.",
    ),
    "triple_maps": Caption(
        "Squared correlation with the unknown truth by 36 km cell",
        "Maps of the region, a row for each triplet and a column for each member; cells with too few common values or "
        "a negative estimate are grey.",
    ),
}

_UNIT = "m³ m⁻³"
_EMPTY = "#d9d9d9"

#: Width of a printed page's figure [inch] (180 mm).
_WIDTH = 7.1

#: Okabe and Ito's colours with a marker each: values, anomalies.
_KINDS = {"values": ("#0072B2", "o"), "anomalies": ("#D55E00", "s")}


def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
    """The figures of :data:`FIGURES`; one whose data are absent says so.

    Parameters
    ----------
    document : Document of ``validate_triple``
    maps : Dataset, optional
        What ``triple_maps.nc`` holds.
    """
    return {"triple_errors": _errors(document), "triple_maps": _maps(document, maps)}


def _nothing(text: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, 1.6), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", wrap=True, fontsize=10)
    return figure


def _errors(document: Document) -> Figure:
    tables = [table for table in document.tables if table.rows]
    if not tables:
        return _nothing("No triplet has enough common values for an estimate.")
    figure = Figure(figsize=(_WIDTH, 1.25 * len(tables) + 1.2), layout="constrained")
    axes = figure.subplots(len(tables), 2, squeeze=False, sharex="col")
    panels = (("error_std", f"error [{_UNIT}]"), ("r2", "R² with the unknown truth"))
    for position, (table, line) in enumerate(zip(tables, axes, strict=True)):
        labels = list(dict.fromkeys(row.label for row in table.rows))
        for axis, (score, title) in zip(line, panels, strict=True):
            for number, (kind, (colour, marker)) in enumerate(_KINDS.items()):
                rows = [_row(table, label, kind) for label in labels]
                values, arms = _numbers(rows, score)
                places = np.arange(len(labels)) + 0.24 * (number - 0.5)
                axis.errorbar(values, places, xerr=arms, fmt=marker, color=colour, markersize=5, label=kind)
            shown = labels if axis is line[0] else [""] * len(labels)
            axis.set_yticks(range(len(labels)), shown, fontsize=8)
            axis.set_ylim(len(labels) - 0.5, -0.5)
            axis.grid(axis="x", alpha=0.25)
            axis.tick_params(labelsize=8)
            if position == len(tables) - 1:
                axis.set_xlabel(title, fontsize=9)
    axes[0, 0].set_xlim(left=0)
    axes[0, 1].set_xlim(0, 1)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    return figure


def _row(table: ScoreTable, label: str, kind: str) -> Row | None:
    return next((row for row in table.rows if row.label == label and row.group == kind), None)


def _numbers(rows: list[Row | None], score: str) -> tuple[np.ndarray, np.ndarray]:
    """Values (row,) and arms (2, row) down and up; what is not defined is NaN, and has no arms."""
    found = [
        (math.nan, math.nan, math.nan)
        if row is None
        else (row.values.get(score), *row.intervals.get(score, (None, None)))
        for row in rows
    ]
    numbers = np.array([[math.nan if value is None else float(value) for value in line] for line in found])
    arms = np.stack([numbers[:, 0] - numbers[:, 1], numbers[:, 2] - numbers[:, 0]])
    return numbers[:, 0], np.maximum(np.nan_to_num(arms), 0.0)


def _maps(document: Document, maps: xr.Dataset | None) -> Figure:
    names = [table.name for table in document.tables if maps is not None and f"{table.name}_r2" in maps]
    if maps is None or not names:
        return _nothing("No maps of triple collocation: no triplet has enough common values in a cell.")
    lat, lon = (
        np.append(maps[f"{axis}_bnds"].values[:, 0], maps[f"{axis}_bnds"].values[-1, 1]) for axis in ("lat", "lon")
    )
    aspect = 1 / math.cos(math.radians(float(maps["lat"].mean())))
    shape = (lat[0] - lat[-1]) * aspect / (lon[-1] - lon[0])
    figure = Figure(figsize=(_WIDTH, min(_WIDTH / 3.4 * shape * len(names) + 1.2, 9.5)), layout="constrained")
    axes = figure.subplots(len(names), 3, squeeze=False)
    drawn = None
    for name, line in zip(names, axes, strict=True):
        field = maps[f"{name}_r2"]
        for axis, label, values in zip(line, str(field.attrs["members"]).split("; "), field.values, strict=True):
            axis.set_facecolor(_EMPTY)
            drawn = axis.pcolormesh(lon, lat, np.ma.masked_invalid(values), cmap="viridis", vmin=0, vmax=1)
            axis.set(aspect=aspect, xlim=(lon[0], lon[-1]), ylim=(lat[-1], lat[0]))
            axis.set_title(label, fontsize=9)
            axis.tick_params(labelsize=7)
    figure.colorbar(drawn, ax=axes, shrink=0.7, label="R² with the unknown truth")
    figure.supxlabel("longitude [° E]", fontsize=9)
    figure.supylabel("latitude [° N]", fontsize=9)
    return figure
