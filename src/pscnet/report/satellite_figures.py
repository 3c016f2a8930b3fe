"""Figures of the validation against the satellite: maps, skill by length of the gap, skill by class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.figures import STYLES
from pscnet.validation import METHODS, OPTIMAL, PRODUCT
from pscnet.validation.document import Document, Row, ScoreTable

FIGURES: dict[str, Caption] = {
    "satellite_maps": Caption(
        "Agreement of the product with held-out SMAP retrievals by 36 km cell",
        "Four maps of the region on 36 km cells: correlation in time, ubRMSD and bias of the product against held-out "
        "SMAP retrievals, and the number of retrievals; cells with fewer than ten are grey.",
    ),
    "satellite_gaps": Caption(
        "Agreement with SMAP against the length of an artificial gap",
        "Two panels with a line for each method: correlation and ubRMSD with 95 % intervals against the days hidden "
        "around the scored overpass. Methods that read SMAP lose with the length of the gap.",
    ),
    "satellite_classes": Caption(
        "Agreement with SMAP by season, overpass and class of land",
        "Dots with 95 % intervals of the ubRMSD of the product, of optimal interpolation and of rescaled ERA5-Land, "
        "one row for each season, overpass, class of wetness, of elevation and of land cover.",
    ),
}

_UNIT = "m³ m⁻³"
_EMPTY = "#d9d9d9"

#: Width of a printed page's figure [inch] (180 mm).
_WIDTH = 7.1

_MARKERS = {
    PRODUCT: "o",
    "era5_land": "s",
    "era5_land_rescaled": "D",
    "smap_interpolated": "^",
    "smap_kriged": "v",
    OPTIMAL: "P",
}

#: Methods of the figure of classes: more would not be told apart.
_FEW = (PRODUCT, OPTIMAL, "era5_land_rescaled")

_CLASSES = ("by_season", "by_overpass", "by_wetness", "by_elevation", "by_land_cover")


def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
    """The figures of :data:`FIGURES`; one whose data are absent says so.

    Parameters
    ----------
    document : Document of ``validate_satellite``
    maps : Dataset, optional
        What ``satellite_maps.nc`` holds.
    """
    return {
        "satellite_maps": _maps(maps),
        "satellite_gaps": _gaps(_table(document, "gaps")),
        "satellite_classes": _classes(document),
    }


def _table(document: Document, name: str) -> ScoreTable | None:
    return next((table for table in document.tables if table.name == name and table.rows), None)


def _nothing(text: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = Figure(figsize=(_WIDTH, 1.6), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", wrap=True, fontsize=10)
    return figure


def _maps(maps: xr.Dataset | None) -> Figure:
    if maps is None or PRODUCT not in maps["source"].values:
        return _nothing("No maps of agreement: results/{run}/validation/satellite_maps.nc is not there.")
    product = maps.sel(source=PRODUCT)
    largest = float(np.nanmax(np.abs(product["bias"]))) if np.isfinite(product["bias"]).any() else 0.01
    panels = (
        ("r", "R in time", "viridis", (None, None)),
        ("ubrmsd", f"ubRMSD [{_UNIT}]", "cividis", (None, None)),
        ("bias", f"bias [{_UNIT}]", "PuOr_r", (-largest, largest)),
        ("n", "retrievals", "Greys", (0, None)),
    )
    lat, lon = _edges(maps, "lat"), _edges(maps, "lon")
    aspect = 1 / math.cos(math.radians(float(maps["lat"].mean())))
    shape = (lat[0] - lat[-1]) * aspect / (lon[-1] - lon[0])
    figure = Figure(figsize=(_WIDTH, min(0.5 * _WIDTH * shape * 1.55 + 0.9, 9)), layout="constrained")
    for axis, (name, title, colours, (low, high)) in zip(figure.subplots(2, 2).ravel(), panels, strict=True):
        values = product[name].values.astype(float)
        values = np.where(values > 0, values, np.nan) if name == "n" else values
        axis.set_facecolor(_EMPTY)
        drawn = axis.pcolormesh(lon, lat, np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=high)
        figure.colorbar(drawn, ax=axis, shrink=0.9)
        axis.set(title=title, aspect=aspect, xlim=(lon[0], lon[-1]), ylim=(lat[-1], lat[0]))
        axis.tick_params(labelsize=8)
        _outline(axis, maps["withheld"].values > 0, lat, lon)
    figure.supxlabel("longitude [° E]", fontsize=9)
    figure.supylabel("latitude [° N]", fontsize=9)
    return figure


def _edges(maps: xr.Dataset, name: str) -> np.ndarray:
    bounds = maps[f"{name}_bnds"].values
    return np.append(bounds[:, 0], bounds[-1, 1])


def _outline(axis: Axes, cells: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> None:
    """A line around the cells of held-out regions."""
    padded = np.pad(cells, 1)
    for y, x in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        axis.plot(lon[[x, x + 1]], lat[[y, y]], color="#D55E00", linewidth=1.5)
    for y, x in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        axis.plot(lon[[x, x]], lat[[y, y + 1]], color="#D55E00", linewidth=1.5)


def _gaps(table: ScoreTable | None) -> Figure:
    if table is None:
        return _nothing("No artificial gaps were computed: see validation.gaps_days.")
    figure = Figure(figsize=(_WIDTH, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    groups = list(dict.fromkeys(row.group for row in table.rows))
    for axis, (score, title) in zip(axes, (("r", "R, pooled"), ("ubrmsd", f"ubRMSD [{_UNIT}]")), strict=True):
        for number, (method, name) in enumerate(METHODS.items()):
            rows = [_row(table.rows, name, group) for group in groups]
            if None in rows:
                continue
            shift = 0.06 * (number - (len(METHODS) - 1) / 2)
            values, arms = _numbers([row for row in rows if row], score)
            axis.errorbar(
                np.arange(len(groups)) + shift, values, yerr=arms, label=name, marker=_MARKERS[method], markersize=4,
                elinewidth=1, linewidth=1.3, **STYLES[method],
            )  # fmt: skip
        axis.set(title=title, xticks=range(len(groups)), xticklabels=groups, xlabel="hidden around the scored overpass")
        axis.tick_params(labelsize=8)
        axis.grid(axis="y", alpha=0.25)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _row(rows: Sequence[Row], label: str, group: str) -> Row | None:
    return next((row for row in rows if row.label == label and row.group == group), None)


def _numbers(rows: Sequence[Row], score: str) -> tuple[np.ndarray, np.ndarray]:
    """Values (row,) and arms (2, row) down and up; an interval that is not defined has none."""
    values = np.array([math.nan if row.values.get(score) is None else float(row.values[score] or 0) for row in rows])
    limits = [row.intervals.get(score, (None, None)) for row in rows]
    found = np.array([[math.nan if side is None else side for side in pair] for pair in limits])
    arms = np.stack([values - found[:, 0], found[:, 1] - values])
    return values, np.maximum(np.nan_to_num(arms), 0.0)


def _classes(document: Document, score: str = "ubrmsd") -> Figure:
    tables = [table for name in _CLASSES if (table := _table(document, name))]
    if not tables:
        return _nothing("No classes to score: the test split holds no held-out retrieval.")
    lines = [(table, group) for table in tables for group in dict.fromkeys(row.group for row in table.rows)]
    figure = Figure(figsize=(_WIDTH, 0.34 * len(lines) + 1.5), layout="constrained")
    axis = figure.subplots()
    for number, method in enumerate(_FEW):
        rows = [(place, _row(table.rows, METHODS[method], group)) for place, (table, group) in enumerate(lines)]
        there = [(place, row) for place, row in rows if row is not None]
        values, arms = _numbers([row for _, row in there], score)
        places = np.array([place for place, _ in there]) + 0.22 * (number - 1)
        colour = STYLES[method]["color"]
        axis.errorbar(
            values, places, xerr=arms, fmt=_MARKERS[method], color=colour, markersize=4.5, elinewidth=1.1,
            label=METHODS[method],
        )  # fmt: skip
    counts = [_row(table.rows, METHODS[PRODUCT], group) for table, group in lines]
    named = [f"{group}, n = {row.values['n'] if row else 0}" for (_, group), row in zip(lines, counts, strict=True)]
    axis.set_yticks(range(len(lines)), named, fontsize=8)
    for place in range(1, len(lines)):
        if lines[place][0] is not lines[place - 1][0]:
            axis.axhline(place - 0.5, color="#999999", linewidth=0.8)
    axis.set(ylim=(len(lines) - 0.4, -0.6), xlabel=f"ubRMSD against held-out SMAP [{_UNIT}]")
    axis.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure
