"""How does a method look in every figure of the validations, by its name for people; and what an empty figure says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pscnet.report.figures import STYLES
from pscnet.validation import METHODS

#: Width of a page's column [inch], 180 mm.
WIDTH = 7.09

UNIT = "m³ m⁻³"

_LABELS = METHODS | {"truth": "truth"}
_BY_LABEL = {_LABELS[name]: style for name, style in STYLES.items() if name in _LABELS}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def style_of(label: str, marker: bool = False) -> dict[str, Any]:
    """Colour and dash of a method, with its marker where that is asked for; grey for one that is not known."""
    style = dict(_BY_LABEL.get(label, {"color": "#777777", "linestyle": "-"}))
    style["linewidth"] = 1.8 if label in ("truth", METHODS["pscnet"]) else 1.1
    if marker:
        known = list(_LABELS.values())
        style |= {"marker": _MARKERS[known.index(label) % 7 if label in known else 0], "markersize": 4}
    return style


def numbers(values: Iterable[float | None]) -> np.ndarray:
    """Numbers of a document, NaN for null."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)


def arms(value: float | None, interval: Iterable[float | None]) -> np.ndarray:
    """Lengths (2, 1) of an error bar, 0 where the interval is not defined."""
    low, high = numbers(interval)
    middle = np.nan if value is None else value
    return np.nan_to_num(np.maximum(np.array([[middle - low], [high - middle]]), 0.0))


def legend(figure: Figure, axis: Axes, columns: int = 4) -> None:
    """The lines of one axis above the figure."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=8)


def tidy(axis: Axes, title: str = "", **labels: Any) -> None:
    """Labels, a faint grid and print-size letters."""
    axis.set(**labels)
    axis.set_title(title, fontsize=9)
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=8)
    for side in (axis.xaxis, axis.yaxis):
        side.label.set_size(8.5)


def empty(words: str) -> Figure:
    """A figure that says why there is nothing to be seen."""
    figure = Figure(figsize=(WIDTH, 1.6), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.text(0.5, 0.5, words, ha="center", va="center", wrap=True, fontsize=9, transform=axis.transAxes)
    return figure


def table_rows(document: Any, name: str) -> list[Any]:
    """Rows of the document's table of that name; none where it has no such table."""
    return next((table.rows for table in document.tables if table.name == name), [])


def known(mapping: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What a document's data hold under a key; empty where they hold nothing."""
    found = mapping.get(key)
    return dict(found) if found else {}
