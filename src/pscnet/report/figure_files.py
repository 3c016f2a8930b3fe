"""How is a figure delivered: as PNG and PDF for print that carry their words, and in a list for the page."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from pscnet.report.captions import Caption
from pscnet.report.inputs import ReportError
from pscnet.sources.atomic import replacing

#: Width of a printed figure: two columns of the usual journals [mm], and the resolution they ask for [dots per inch].
PRINT_MM = 180.0
PRINT_DPI = 300
WIDTH = PRINT_MM / 25.4

#: Sizes that are legible at that width [points].
STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "figure.titlesize": 9,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
}


def save_figures(
    figures: Mapping[str, Figure], captions: Mapping[str, Caption], folder: str | Path
) -> list[dict[str, str]]:
    """Write ``{name}.png`` and ``{name}.pdf`` of each figure into ``folder``.

    A figure wider than :data:`PRINT_MM` is made to fit; a narrower one keeps its size. Title and alternative text stand
    in both files as well.

    Returns
    -------
    list of dict
        ``name``, ``title``, ``alt`` and ``png`` of each figure, in the order of ``captions``.

    Raises
    ------
    ReportError
        When the figures are not those of the captions, or one of them lacks its words.
    """
    if set(figures) != set(captions):
        raise ReportError(f"{folder}: expected the figures {', '.join(captions)}; found {', '.join(figures) or 'none'}")
    made = []
    for name, (title, alt) in captions.items():
        if not title.strip() or not alt.strip():
            raise ReportError(f"figure {name}: expected a title and an alternative text; found {title!r} and {alt!r}")
        png, pdf = Path(folder) / f"{name}.png", Path(folder) / f"{name}.pdf"
        _save(figures[name], png, pdf, title, alt)
        made.append({"name": name, "title": title, "alt": alt, "png": str(png)})
    return made


def _save(figure: Figure, png: Path, pdf: Path, title: str, alt: str) -> None:
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph
    FigureCanvasAgg(figure)
    for mesh in figure.findobj(QuadMesh):
        mesh.set_rasterized(True)  # a map of thousands of vector cells is slow to open
    dpi = min(PRINT_DPI, PRINT_DPI * WIDTH / figure.get_figwidth())
    words = {"Title": title, "Description": alt, "Software": None}
    with replacing(png) as part:
        sized = {"dpi": (PRINT_DPI, PRINT_DPI)}
        figure.savefig(part, dpi=dpi, facecolor="white", metadata=words, pil_kwargs=sized)
    # Neither date nor program: the same figure is the same file.
    words = {"Title": title, "Subject": alt, "Creator": None, "Producer": None, "CreationDate": None}
    with replacing(pdf) as part, matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(part, dpi=dpi, facecolor="white", metadata=words)


def write_index(path: str | Path, entries: list[dict[str, str]]) -> None:
    """Write the list of figures that the page reads; ``entries`` as of :func:`save_figures`."""
    with replacing(path) as part:
        part.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def read_index(path: str | Path) -> list[dict[str, str]]:
    """The list of figures of :func:`write_index`.

    Raises
    ------
    ReportError
        When the file is no such list.
    """
    entries = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(entries, list) or not all({"name", "title", "alt", "png"} <= set(entry) for entry in entries):
        raise ReportError(
            f"{path}: expected a list of figures with name, title, alt and png; rerun the rule that made it"
        )
    return entries
