"""The figures of the validation at stations: all are drawn, and what is absent is said."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pscnet.report.stations_figures import FIGURES, draw
from pscnet.validation.document import Document
from pscnet.validation.stations import make_document
from tests.unit.validation.test_stations import RULES, world


@pytest.fixture(scope="module")
def document():
    made = world(networks={"A": 6, "B": 2})
    made.measured[0, 20:] = np.nan
    return make_document(made, RULES, 10, [])


def words(figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_every_figure_is_drawn_at_print_width(document):
    figures = draw(document)
    assert list(figures) == list(FIGURES)
    for name, figure in figures.items():
        FigureCanvasAgg(figure).draw()
        assert figure.get_size_inches()[0] == pytest.approx(180 / 25.4, abs=0.05), name
    assert "A (6)" in words(figures["stations_map"]) and "S3" in words(figures["stations_map"])
    assert {"A", "B"} <= set(words(figures["stations_series"]).split())
    assert "optimal" not in words(figures["stations_scores"]), "a method that the run has not"
    assert "hour of the day [UTC]" in words(figures["stations_hours"])


def test_hollow_symbols_are_stations_without_a_score(document):
    axis = draw(document)["stations_map"].axes[0]
    assert sum(len(points.get_offsets()) for points in axis.collections if points.get_facecolors().size == 0) >= 1


def test_what_is_absent_is_said():
    for name, figure in draw(Document("stations", "At stations")).items():
        FigureCanvasAgg(figure).draw()
        assert words(figure).strip().startswith("no "), name


def test_captions_have_an_alternative_text():
    assert all(caption.title and len(caption.alt) > 40 for caption in FIGURES.values())
