"""Tables of any validation on the page: numbers, units, intervals, the best of each group, and gaps."""

from __future__ import annotations

import math

import pytest

from pscnet.report.run_facts import runtimes_view
from pscnet.report.views import best_of, document_views, interval_text, number, number_cell
from tests.unit.report.conftest import made_up_document, write_runtimes


def test_numbers_as_people_write_them():
    assert [number(v) for v in (None, math.nan, 1234, -0.5, 1234.5)] == [
        "–",
        "–",
        "1\u202f234",
        "−0.500",
        "1\u202f234.500",
    ]
    assert number_cell(math.nan).value is None and number_cell(None).text == "–"
    assert number_cell(0.0).value == 0.0


def test_the_best_is_marked_where_there_is_a_choice():
    values = {0: 0.5, 1: -0.1, 2: None, 3: 1.2, 4: math.nan}
    assert [best_of(values, better) for better in ("high", "low", "zero", "one", "")] == [{3}, {1}, {1}, {3}, set()]
    assert best_of({0: 0.5, 1: None}, "high") == set(), "one number alone is not the best"
    assert best_of({0: 0.5, 1: 0.5}, "high") == {0, 1}


def test_an_interval_with_an_undefined_end_is_not_shown():
    assert interval_text((0.1, 0.2), 2) == "0.10 to 0.20"
    assert interval_text((0.1, None), 2) == interval_text(None, 2) == interval_text((math.nan, 1.0), 2) == ""


def test_a_document_becomes_tables():
    networks, sensors, withheld = document_views(made_up_document(), "U-Net")
    assert networks.headings == [("R", ""), ("bias", "m3 m-3"), ("common stamps", "")]
    assert (networks.grouped, networks.long, sensors.grouped, sensors.long) == (True, False, False, True)
    assert [row.name for row in networks.rows] == ["U-Net (product)", "ERA5-Land, raw", "U-Net (product)"]
    assert [row.ours for row in networks.rows] == [True, False, True]
    assert [cell.best for cell in networks.rows[0].cells] == [True, True, False]
    assert not any(cell.best for cell in networks.rows[2].cells), "a group of one row has no best"
    assert networks.rows[2].cells[0].value is None and networks.rows[2].cells[2].text == "3"
    assert withheld.rows == [] and not withheld.long
    assert (networks.first, sensors.first) == ("method", "what")


@pytest.mark.parametrize(("others", "seconds"), [((), 1029.5), (("made_up_other", "elsewhere"), 30.5)])
def test_records_of_a_run_whose_name_begins_alike_are_left_out(tmp_path, others, seconds):
    write_runtimes(tmp_path)
    view = runtimes_view(tmp_path, "made_up", others)
    assert view.rows[0].name == "train_model" and view.rows[0].cells[1].value == seconds
    assert runtimes_view(tmp_path / "nowhere", "made_up") is None
