"""How does a figure for print get into the page: smaller, with few colours, as part of the text."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pscnet.report.inputs import ReportError

#: Width of a picture in the page [pixels]: more than a phone shows, about what a desk screen does.
WIDTH = 1200


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its words, and the data address of its PNG."""

    name: str
    title: str
    alt: str
    source: str
    width: int
    height: int


def embedded(entry: Mapping[str, str], root: str | Path = ".") -> Picture:
    """The picture of an entry of a list of figures (see :func:`pscnet.report.figure_files.read_index`).

    Raises
    ------
    ReportError
        When its file is gone.
    """
    path = Path(root) / entry["png"]
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError as error:
        raise ReportError(f"{path}: expected the figure {entry['name']}; found {error}; draw it again") from error
    if picture.width > WIDTH:
        height = round(picture.height * WIDTH / picture.width)
        picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    # The method that errs least for the rarest colour: those of a legend are rare.
    small = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(stream, "png", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(entry["name"], entry["title"], entry["alt"], source, picture.width, picture.height)
