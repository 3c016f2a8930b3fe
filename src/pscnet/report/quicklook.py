"""What does a month look like at a glance? One picture, one animation of its days, and one line on its coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from PIL import Image

from pscnet.report.figure_files import STYLE, WIDTH
from pscnet.report.inputs import Month, Retrievals, edges, read_month, read_retrievals
from pscnet.sources.atomic import replacing
from pscnet.variables import FLAG_BITS

#: Resolution of picture and animation [dots per inch], and the time that a day is shown [ms].
_PICTURE_DPI = 150
_FRAME_DPI = 90
_FRAME_MS = 400

#: Colours of an animation's one palette.
_COLOURS = 128

_NOTHING = "#d9d9d9"
_UNIT = "m³ m⁻³"


@dataclass(frozen=True)
class Coverage:
    """Shares of the land cell-steps of a month: with a value, frozen, with a SMAP retrieval within the window."""

    cells_and_steps: int
    valued: float
    frozen: float
    observed: float

    def line(self, month: str) -> str:
        """The line for the log."""
        if not self.cells_and_steps:
            return f"{month}: the region has no land cell"
        count = f"{self.cells_and_steps:,}".replace(",", " ")
        return (
            f"{month}: of {count} land cell-steps {100 * self.valued:.2f} % have a value, "
            f"{100 * self.frozen:.1f} % are frozen, {100 * self.observed:.1f} % have a SMAP retrieval within the window"
        )


def write_quicklook(
    *,
    product: str | Path,
    smap: str | Path,
    picture: str | Path,
    animation: str | Path,
    month: str,
    run: str,
    colormap: str = "YlGnBu",
    value_range: tuple[float, float] = (0.0, 0.45),
) -> Coverage:
    """Draw a product month, animate its days, and print its coverage.

    Parameters
    ----------
    product, smap : paths
        Product and SMAP retrievals of the same month.
    picture, animation : paths of the PNG and the GIF to write
    month, run : str
        Names, for the titles.
    colormap : str
        Matplotlib name.
    value_range : (low, high) [m3 m-3]
        Range of the colour scale.

    Raises
    ------
    ReportError
        When a file lacks something.
    """
    made = read_month(product, None)
    retrievals = read_retrievals([smap], made.times[0])
    coverage = month_coverage(product)
    soil = {"cmap": matplotlib.colormaps[colormap], "vmin": value_range[0], "vmax": value_range[1]}
    with matplotlib.rc_context(STYLE):
        figure = draw_month(made, retrievals, coverage, f"{run}, {month}", soil)
        FigureCanvasAgg(figure)
        with replacing(picture) as part:
            figure.savefig(part, dpi=_PICTURE_DPI, facecolor="white", metadata={"Title": f"{run}, {month}"})
        write_animation(animation, made, retrievals, run, soil)
    print(coverage.line(month), flush=True)
    return coverage


def month_coverage(product: str | Path) -> Coverage:
    """Count the land cell-steps of a product file that carry a value and its flags."""
    with xr.open_dataset(product) as made:
        flags = np.nan_to_num(made["flag"].values).astype(np.uint8)
        valued = np.isfinite(made["soil_moisture"].values)
    land = (flags & FLAG_BITS["outside_region"]) == 0
    count = int(land.sum())

    def share(wanted: np.ndarray) -> float:
        return float((wanted & land).sum() / count) if count else math.nan

    frozen, observed = ((flags & FLAG_BITS[name]) > 0 for name in ("frozen", "smap_observed"))
    return Coverage(count, share(valued), share(frozen), share(observed))


def mean_of(values: np.ndarray, least: int = 1) -> np.ndarray:
    """Mean over the first axis of the finite values; NaN where fewer than ``least`` are."""
    count = np.isfinite(values).sum(axis=0)
    total = np.where(np.isfinite(values), values, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count >= least, total / np.maximum(count, 1), np.nan)


def draw_month(month: Month, retrievals: Retrievals, coverage: Coverage, title: str, soil: dict) -> Figure:
    """Mean, mean uncertainty, share of frozen steps, and the mean of SMAP's retrievals on their own cells."""
    box = edges(month.lat), edges(month.lon)
    mean, sigma = mean_of(month.moisture), mean_of(month.sigma)
    frozen = np.where(np.isfinite(mean) | month.frozen.any(axis=0), month.frozen.mean(axis=0), np.nan)
    inside = retrievals.times >= month.times[0]
    seen = mean_of(np.where(inside, retrievals.moisture, np.nan))
    aspect = 1 / math.cos(math.radians(float(month.lat.mean())))
    height = (WIDTH / 2 - 0.9) * aspect * float(box[0][0] - box[0][-1]) / float(box[1][-1] - box[1][0])
    figure = Figure(figsize=(WIDTH, 2 * min(max(height, 1.2), 4.0) + 0.9), layout="constrained")
    figure.suptitle(f"{title}: {100 * coverage.valued:.1f} % of land cell-steps with a value")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    coarse = edges(retrievals.lat), edges(retrievals.lon)
    top = float(np.nanmax(sigma, initial=0.01))
    panels = [
        (box, mean, soil, f"product, mean [{_UNIT}]"),
        (coarse, seen, soil, f"SMAP, mean of retrievals [{_UNIT}]"),
        (box, sigma, {"cmap": "Purples", "vmin": 0, "vmax": top}, f"uncertainty, mean of 1 σ [{_UNIT}]"),
        (box, 100 * frozen, {"cmap": "Blues", "vmin": 0, "vmax": 100}, "frozen steps [%]"),
    ]
    for axis, (where, field, style, name) in zip(axes.flat, panels, strict=True):
        mesh = _map(axis, where, field, style)
        axis.set(title=name, xlim=(box[1][0], box[1][-1]), ylim=(box[0][-1], box[0][0]), aspect=aspect)
        figure.colorbar(mesh, ax=axis, shrink=0.85, extend="max" if style is soil else "neither")
    for axis in axes[-1]:
        axis.set_xlabel("longitude [° E]")
    for axis in axes[:, 0]:
        axis.set_ylabel("latitude [° N]")
    return figure


def _map(axis: Axes, where: tuple[np.ndarray, np.ndarray], field: np.ndarray, style: dict) -> QuadMesh:
    axis.set_facecolor(_NOTHING)
    return axis.pcolormesh(where[1], where[0], field, rasterized=True, **style)


def days_of(month: Month, retrievals: Retrievals) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Date, mean of SMAP's retrievals (y, x) and mean of the product (lat, lon) of each day; NaN where none."""
    dates, seen = month.times.astype("M8[D]"), retrievals.times.astype("M8[D]")
    return [
        (
            str(day),
            mean_of(np.where(seen == day, retrievals.moisture, np.nan)),
            mean_of(month.moisture[dates == day]),
        )
        for day in np.unique(dates)
    ]


def write_animation(path: str | Path, month: Month, retrievals: Retrievals, run: str, soil: dict) -> None:
    """Write a GIF of the month's days: SMAP as it came beside the mean of the product's eight hours."""
    box = edges(month.lat), edges(month.lon)
    aspect = 1 / math.cos(math.radians(float(month.lat.mean())))
    height = (WIDTH / 2 - 0.3) * aspect * float(box[0][0] - box[0][-1]) / float(box[1][-1] - box[1][0])
    figure = Figure(figsize=(WIDTH, min(max(height, 1.2), 5.0) + 0.95))
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.9, bottom=0.2, wspace=0.05)
    days = days_of(month, retrievals)
    left = _map(axes[0], (edges(retrievals.lat), edges(retrievals.lon)), days[0][1], soil)
    right = _map(axes[1], box, days[0][2], soil)
    for axis, name in zip(axes, ("SMAP, 36 km, retrievals of the day", "product, 10 km, mean of the day"), strict=True):
        axis.set(title=name, xlim=(box[1][0], box[1][-1]), ylim=(box[0][-1], box[0][0]), aspect=aspect)
    bar = figure.add_axes((0.25, 0.095, 0.5, 0.025))
    figure.colorbar(right, cax=bar, orientation="horizontal", extend="max", label=f"soil moisture, 0-5 cm [{_UNIT}]")
    figure.set_dpi(_FRAME_DPI)
    title = figure.suptitle("", y=0.985)
    frames = []
    for day, coarse, fine in days:
        left.set_array(coarse)
        right.set_array(fine)
        title.set_text(f"{run}, {day}")
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()))
    _save_frames(path, frames)


def _save_frames(path: str | Path, frames: Sequence[Image.Image]) -> None:
    """One palette for all frames, made of the first, a middle and the last one, so that colours do not flicker."""
    chosen = [frames[0], frames[len(frames) // 2], frames[-1]]
    sheet = Image.new("RGB", (frames[0].width, 3 * frames[0].height))
    for row, frame in enumerate(chosen):
        sheet.paste(frame, (0, row * frame.height))
    palette = sheet.quantize(_COLOURS)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    with replacing(path) as part:
        flat[0].save(part, save_all=True, append_images=flat[1:], duration=_FRAME_MS, loop=0, optimize=False)
