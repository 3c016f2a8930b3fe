"""Figures of the validation at stations: the map, mean series of networks, scores by method, skill by hour."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.figures import STYLES
from pscnet.validation import METHODS, PRODUCT
from pscnet.validation.document import Document, Row, ScoreTable

FIGURES: dict[str, Caption] = {
    "stations_map": Caption(
        "Correlation of the product with each station",
        "Map of the stations; the colour of a symbol is R of the product against the station, 3-hourly, its shape the "
        "network; hollow symbols have too few common stamps.",
    ),
    "stations_series": Caption(
        "Mean soil moisture of the networks, daily",
        "For each network the mean of its stations, the product with a band of one standard deviation, ERA5-Land, and "
        "the mean of SMAP's retrievals as dots, over the test days.",
    ),
    "stations_scores": Caption(
        "Scores at stations by method",
        "For each method R, ubRMSD and bias, means over stations with 95 % intervals over stations; small symbols are "
        "single networks.",
    ),
    "stations_hours": Caption(
        "Skill at stations by hour of the day",
        "R and ubRMSD of each method at the eight stamps of the day, means over stations; SMAP passes at two of them.",
    ),
}

_WIDTH = 7.1  # 180 mm
_UNIT = "m³ m⁻³"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SHAPES = dict(zip(METHODS, ("o", "s", "D", "^", "v", "P"), strict=True))
_PANELS = 6
_NAMED = 40
_NAMES = {label: name for name, label in METHODS.items()}


def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
    """All figures by name; one whose data are absent says so.

    Parameters
    ----------
    document : Document
        Of :func:`pscnet.validation.stations.validate_stations`.
    maps : Dataset, optional
        Not used.
    """
    tables = {table.name: table for table in document.tables}
    return {
        "stations_map": draw_map(document.data.get("stations", [])),
        "stations_series": draw_series(document.data.get("series", {})),
        "stations_scores": draw_scores(tables.get("networks")),
        "stations_hours": draw_hours(tables.get("hours")),
    }


def _empty(text: str) -> Figure:
    figure = Figure(figsize=(_WIDTH, 1.6), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    return figure


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def draw_map(stations: Sequence[Mapping[str, Any]]) -> Figure:
    """Stations coloured by R; those without a score are hollow."""
    if not stations:
        return _empty("no station to show")
    lat, lon, r = (np.array([_number(station[key]) for station in stations]) for key in ("lat", "lon", "r"))
    networks = list(dict.fromkeys(str(station["network"]) for station in stations))
    figure = Figure(figsize=(_WIDTH, 5.4), layout="constrained")
    axis = figure.subplots()
    low = math.floor(10 * np.nanmin(r, initial=1.0)) / 10 if np.isfinite(r).any() else 0.0
    colours = matplotlib.cm.ScalarMappable(Normalize(max(min(low, 0.9), -1.0), 1.0), matplotlib.colormaps["viridis"])
    for number, network in enumerate(networks):
        here = np.array([station["network"] == network for station in stations])
        marker = _MARKERS[number % len(_MARKERS)]
        good = here & np.isfinite(r)
        axis.scatter(
            lon[good], lat[good], c=colours.to_rgba(r[good]), marker=marker, s=70, edgecolors="black", zorder=3
        )
        poor = here & ~np.isfinite(r)
        axis.scatter(lon[poor], lat[poor], marker=marker, s=70, facecolors="none", edgecolors="#777777", zorder=3)
        axis.scatter(
            [], [], marker=marker, s=60, facecolors="none", edgecolors="black", label=f"{network} ({here.sum()})"
        )
    if len(stations) <= _NAMED:
        for station in stations:
            text = {"xytext": (6, 5), "textcoords": "offset points", "fontsize": 8}
            axis.annotate(str(station["station"]), (_number(station["lon"]), _number(station["lat"])), **text)
    axis.set(xlabel="longitude [° E]", ylabel="latitude [° N]", aspect=1 / math.cos(math.radians(float(lat.mean()))))
    axis.margins(0.12)
    axis.grid(alpha=0.25)
    figure.colorbar(colours, ax=axis, label="R of the product, 3-hourly", shrink=0.8)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, title="network (sensors)")
    return figure


def draw_series(series: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel for each network; the mean of all only where there is one network."""
    groups = [group for group in series if group != "all networks"][:_PANELS]
    if not groups:
        return _empty("no network with enough common stamps for a mean series")
    figure = Figure(figsize=(_WIDTH, 2.0 * len(groups) + 0.8), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(groups), 1, sharex=True))
    for axis, group in zip(axes, groups, strict=True):
        shown = series[group]
        times = np.array(shown["time"], dtype="M8[D]")
        lines = {name: np.array([_number(v) for v in shown[name]]) for name in shown if name != "time"}
        ours, sigma = lines[PRODUCT], lines["sigma"]
        axis.fill_between(times, ours - sigma, ours + sigma, color="#56B4E9", alpha=0.35, linewidth=0, label="± 1 σ")
        axis.plot(times, lines["era5_land"], label=METHODS["era5_land"], linewidth=1.0, **STYLES["era5_land"])
        axis.plot(times, lines["station"], label="stations", linewidth=1.6, **STYLES["truth"])
        axis.plot(times, ours, label=METHODS[PRODUCT], linewidth=1.4, **STYLES[PRODUCT])
        dots = {"markersize": 3.5, "markerfacecolor": "white", "markeredgecolor": "#333333", "linestyle": ""}
        axis.plot(times, lines["smap"], "o", label="SMAP retrievals", **dots)
        axis.set_title(group, loc="left", fontsize=9)
        axis.set_ylabel(_UNIT)
        axis.grid(alpha=0.25)
    locator = AutoDateLocator()
    axes[-1].xaxis.set_major_locator(locator)
    axes[-1].xaxis.set_major_formatter(ConciseDateFormatter(locator))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False, fontsize=8)
    return figure


def draw_scores(table: ScoreTable | None) -> Figure:
    """R, ubRMSD and bias of each method with their intervals over stations."""
    if table is None or not any(_number(row.values.get("r")) == _number(row.values.get("r")) for row in table.rows):
        return _empty("no station with enough common stamps for scores")
    groups = list(dict.fromkeys(row.group for row in table.rows))
    main, others = groups[-1], groups[:-1]  # all networks come last
    methods = [row.label for row in table.rows if row.group == main]
    figure = Figure(figsize=(_WIDTH, 0.34 * len(methods) + 1.5), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    panels = (("r", "R"), ("ubrmsd", f"ubRMSD [{_UNIT}]"), ("bias", f"bias [{_UNIT}]"))
    for axis, (score, title) in zip(axes, panels, strict=True):
        for number, group in enumerate(others):
            values = [_number(row.values.get(score)) for row in table.rows if row.group == group]
            marker = _MARKERS[1 + number % (len(_MARKERS) - 1)]
            axis.plot(
                values, range(len(values)), linestyle="", marker=marker, markersize=4,
                markerfacecolor="none", markeredgecolor="#777777", label=group,
            )  # fmt: skip
        _bars(axis, [row for row in table.rows if row.group == main], score, main)
        axis.set_xlabel(title)
        axis.grid(axis="x", alpha=0.25)
    axes[-1].axvline(0, color="#999999", linewidth=0.8)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].set_ylim(len(methods) - 0.5, -0.5)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return figure


def _bars(axis: Axes, rows: Sequence[Row], score: str, label: str) -> None:
    """A dot and its interval for each row."""
    for place, row in enumerate(rows):
        value = _number(row.values.get(score))
        low, high = (_number(end) for end in row.intervals.get(score, (None, None)))
        arms = np.nan_to_num(np.array([[value - low], [high - value]]))
        colour = STYLES[_NAMES.get(row.label, PRODUCT)]["color"]
        axis.errorbar(
            [value], [place], xerr=np.maximum(arms, 0), fmt="o", markersize=6, color=colour, elinewidth=1.4,
            label=label if place == 0 else None,
        )  # fmt: skip


def draw_hours(table: ScoreTable | None) -> Figure:
    """R and ubRMSD by hour of the day, a line for each method."""
    rows = [] if table is None else [row for row in table.rows if row.group.endswith(" UTC")]
    if not any(np.isfinite(_number(row.values.get("r"))) for row in rows):
        return _empty("no station with enough common stamps at each hour")
    figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, (score, title) in zip(axes, (("r", "R"), ("ubrmsd", f"ubRMSD [{_UNIT}]")), strict=True):
        for label in dict.fromkeys(row.label for row in rows):
            line = [(int(row.group[:2]), _number(row.values.get(score))) for row in rows if row.label == label]
            name = _NAMES.get(label, PRODUCT)
            style = {**STYLES[name], "marker": _SHAPES[name], "markersize": 3.5}
            axis.plot(*zip(*line, strict=True), label=label, **style)
        axis.set(xlabel="hour of the day [UTC]", ylabel=title, xticks=np.arange(0, 24, 3))
        axis.grid(alpha=0.25)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure
