"""Figures of the satellite and of triple collocation: all of them from whole documents, words instead of empty axes."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pscnet.report import satellite_figures, triple_figures
from pscnet.validation.document import Document, Row, ScoreTable, read_document
from pscnet.validation.satellite_run import validate_satellite
from tests.unit.validation.satellite_world import heldout, surroundings

MODULES = {"satellite": satellite_figures, "triple": triple_figures}


def printed(figure) -> int:
    """Bytes of the figure as PNG."""
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=60)
    return stream.getbuffer().nbytes


def words(figure) -> str:
    return " ".join(text.get_text() for axis in figure.axes for text in axis.texts)


@pytest.fixture(scope="module")
def satellite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    boxes = [{"lat": (32.0, 33.0), "lon": (91.0, 92.0)}]
    arguments = surroundings(folder, boxes) | {"heldout": heldout(folder), "draws": 100}
    validate_satellite(**arguments)
    with xr.open_dataset(arguments["maps_path"]) as maps:
        return read_document(arguments["json_path"]), maps.load()


def triple() -> tuple[Document, xr.Dataset]:
    names = ("SMAP", "ERA5-Land, raw", "third")
    rows = [
        Row(name, {"error_std": 0.03, "r2": 0.6}, kind, {"error_std": (0.02, 0.04), "r2": (None, None)})
        for kind in ("values", "anomalies")
        for name in names
    ]
    rows[1].values["error_std"] = None
    tables = [ScoreTable("triplet_1", "", [], rows), ScoreTable("triplet_2", "", [], [], "too few")]
    lat, lon = np.array([33.0, 32.6]), np.array([91.0, 91.4, 91.8])
    maps = xr.Dataset(
        {"triplet_1_r2": (("member", "y", "x"), np.full((3, 2, 3), 0.5), {"members": "; ".join(names)})},
        {
            "lat": ("y", lat),
            "lon": ("x", lon),
            "lat_bnds": (("y", "nv"), np.stack([lat + 0.2, lat - 0.2], 1)),
            "lon_bnds": (("x", "nv"), np.stack([lon - 0.2, lon + 0.2], 1)),
        },
    )
    return Document("triple", "", "", tables), maps


def test_every_figure_of_the_satellite_is_drawn(satellite):
    figures = satellite_figures.draw(*satellite)
    assert list(figures) == list(satellite_figures.FIGURES)
    for name, figure in figures.items():
        assert printed(figure) > 5000 and not words(figure), name
    assert figures["satellite_gaps"].axes[0].get_xticklabels()[1].get_text() == "±1 d"
    labels = [label.get_text() for label in figures["satellite_classes"].axes[0].get_yticklabels()]
    assert labels[0].startswith("JJA, n = ") and len(labels) == 1 + 2 + 3 + 3


def test_every_figure_of_triple_collocation_is_drawn():
    figures = triple_figures.draw(*triple())
    assert list(figures) == list(triple_figures.FIGURES)
    for name, figure in figures.items():
        assert printed(figure) > 3000 and not words(figure), name
    assert [axis.get_xlabel() for axis in figures["triple_errors"].axes] == [
        "error [m³ m⁻³]",
        "R² with the unknown truth",
    ]


@pytest.mark.parametrize("what", MODULES)
def test_absent_data_are_said_in_words(what):
    for figure in MODULES[what].draw(Document(what, "", ""), None).values():
        assert words(figure).startswith("No ") and printed(figure) > 500


@pytest.mark.parametrize("what", MODULES)
def test_every_figure_has_a_title_and_an_alternative_text(what):
    for name, caption in MODULES[what].FIGURES.items():
        assert name.startswith(f"{what}_") and caption.title and len(caption.alt) > 60
