"""Four figures of the temporal dynamics: answers to rain, dry-downs, the daily cycle by season, spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pscnet.report.captions import Caption
from pscnet.report.lines import UNIT, WIDTH, arms, empty, known, legend, numbers, style_of, table_rows, tidy
from pscnet.validation.document import Document

FIGURES: dict[str, Caption] = {
    "dynamics_events": Caption(
        "Mean answer to rain events",
        "Lines of the mean change of soil moisture from a day before to five days after the beginning of ERA5-Land's "
        "rain, one for each method and the truth: how high, how late, and how fast it falls again.",
    ),
    "dynamics_numbers": Caption(
        "Rise, delay and dry-down",
        "Three panels with a row for each method: mean rise after rain, mean delay of half of the rise, and the time "
        "constant of the dry-down, with 95 % intervals; the truth as a vertical line.",
    ),
    "dynamics_cycle": Caption(
        "Daily cycle by season",
        "A panel for each season with the mean departure from the 24-hour mean at the eight stamps of the day, a line "
        "for each method and the truth.",
    ),
    "dynamics_spectra": Caption(
        "Power spectra in time and space",
        "Upper panels: power of each method and the truth against period in days and wavelength in kilometres, on "
        "logarithmic axes. Lower panels: squared coherence with the truth, where there is one, and one half.",
    ),
}


#: Periods [day] and wavelengths [km] at the ticks; least power that is drawn, as a share of the largest.
_TICKS = (1000, 500, 200, 100, 50, 20, 10, 5, 2, 1, 0.5, 0.25)
_DECADES = 1e-7


def draw(document: Document, maps: xr.Dataset | None = None) -> dict[str, Figure]:
    """The figures by the names of :data:`FIGURES`."""
    composite, cycle = known(document.data, "composite"), known(document.data, "cycle")
    no_rain = "No rain events: tp is not among the predictors, or no event was found."
    spectra = {key: known(document.data, f"spectrum_{key}") for key in ("time", "space")}
    drawn = any(spectra.values())
    return {
        "dynamics_events": _events(composite) if composite.get("events") else empty(no_rain),
        "dynamics_numbers": _numbers(document) if composite.get("events") else empty(no_rain),
        "dynamics_cycle": _cycles(cycle) if cycle.get("seasons") else empty("No complete day on the common cells."),
        "dynamics_spectra": _spectra(spectra) if drawn else empty("No segment without a gap is long enough."),
    }


def _events(composite: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axis = figure.subplots()
    days = np.array(composite["hours"]) / 24.0
    axis.axvline(0.0, color="#999999", linewidth=0.8)
    axis.axhline(0.0, color="#999999", linewidth=0.8)
    for label, change in composite["change"].items():
        axis.plot(days, numbers(change), label=label, **style_of(label))
    tidy(
        axis,
        xlabel=f"days from the first stamp with rain (mean of {composite['events']} events)",
        ylabel=f"change from the day before [{UNIT}]",
        xlim=(days[0], days[-1]),
    )
    legend(figure, axis)
    return figure


def _numbers(document: Document) -> Figure:
    panels = (
        ("events", "rise", f"rise [{UNIT}]"),
        ("events", "half_delay", "delay of half of the rise [h]"),
        ("drydown", "tau", "time constant [day]"),
    )
    labels = [row.label for row in table_rows(document, "events")]
    shown = [label for label in labels if label != "truth"]
    figure = Figure(figsize=(WIDTH, 0.34 * len(shown) + 1.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (table, key, name) in zip(axes, panels, strict=True):
        rows = {row.label: row for row in table_rows(document, table)}
        if "truth" in rows:
            _truth_line(axis, rows["truth"].values.get(key), rows["truth"].intervals.get(key, (None, None)))
        for place, label in enumerate(shown):
            value = rows[label].values.get(key)
            style = {"color": style_of(label)["color"], "marker": style_of(label, True)["marker"]}
            bar = arms(value, rows[label].intervals.get(key, (None, None)))
            axis.errorbar(np.nan if value is None else value, place, xerr=bar, markersize=5, elinewidth=1.2, **style)
        tidy(axis, xlabel=name)
    axes[0].set_yticks(range(len(shown)), shown, fontsize=8)
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    return figure


def _truth_line(axis: Axes, value: float | None, interval: tuple[float | None, float | None]) -> None:
    low, high = numbers(interval)
    if value is not None:
        axis.axvline(value, color="#000000", linewidth=1.2)
    if np.isfinite(low) and np.isfinite(high):
        axis.axvspan(low, high, color="#dddddd", zorder=0)


def _cycles(cycle: dict[str, Any]) -> Figure:
    seasons = cycle["seasons"]
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(seasons), sharey=True))
    local = np.mod(np.array(cycle["utc"]) + cycle["longitude"] / 15.0, 24.0)
    order = np.argsort(local)
    for axis, (season, lines) in zip(axes, seasons.items(), strict=True):
        axis.axhline(0.0, color="#999999", linewidth=0.8)
        for label, values in lines.items():
            axis.plot(local[order], numbers(values)[order], label=label, **style_of(label, marker=True))
        tidy(axis, season, xlabel="local solar time [h]", xlim=(0, 24), xticks=range(0, 25, 6))
    axes[0].set_ylabel(f"departure from the 24-hour mean [{UNIT}]")
    legend(figure, axes[0])
    return figure


def _scales(axes: np.ndarray, scale: np.ndarray) -> None:
    """Long scales on the left, plain numbers at the ticks, and no more than seven decades of power."""
    ticks = [tick for tick in _TICKS if scale.min() <= tick <= scale.max()]
    for axis in axes:
        axis.set_xlim(scale.max(), scale.min())
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.xaxis.set_minor_formatter(NullFormatter())
    low, high = axes[0].get_ylim()
    axes[0].set_ylim(max(low, _DECADES * high), high)


def _spectra(spectra: dict[str, dict[str, Any]]) -> Figure:
    coherent = any(found.get("coherence") for found in spectra.values())
    figure = Figure(figsize=(WIDTH, 5.4 if coherent else 3.4), layout="constrained")
    axes = figure.subplots(1 + coherent, 2, squeeze=False, height_ratios=[3, 2] if coherent else [1])
    units = {"time": ("period [day]", f"power [({UNIT})² day]"), "space": ("wavelength [km]", f"power [({UNIT})² km]")}
    for column, (key, found) in enumerate(spectra.items()):
        if not found:
            axes[0, column].text(0.5, 0.5, "no segment without a gap", ha="center", transform=axes[0, column].transAxes)
            continue
        scale = 1.0 / np.array(found["frequency"])
        for label, power in found["power"].items():
            axes[0, column].loglog(scale, numbers(power), label=label, **style_of(label))
        for label, coherence in found.get("coherence", {}).items():
            axes[1, column].semilogx(scale, numbers(coherence), **style_of(label))
        below = axes[-1, column]
        tidy(axes[0, column], f"in {key}", ylabel=units[key][1])
        if coherent:
            below.axhline(0.5, color="#444444", linewidth=0.9, linestyle=(0, (4, 3)))
            tidy(below, ylabel="squared coherence with the truth", ylim=(0, 1))
        below.set_xlabel(units[key][0], fontsize=8.5)
        _scales(axes[:, column], scale)
    legend(figure, axes[0, 0] if spectra["time"] else axes[0, 1])
    return figure
