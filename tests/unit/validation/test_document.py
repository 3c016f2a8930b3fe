"""The findings of a validation: what is written is read again, and nothing undefined becomes a number."""

from __future__ import annotations

import csv
import json

import pytest

from pscnet.validation import ScoreError
from pscnet.validation.document import Column, Document, Row, ScoreTable, read_document


@pytest.fixture
def document():
    table = ScoreTable(
        "cells",
        "Cells",
        [Column("r", "R", better="high"), Column("n", "pairs", decimals=0)],
        [
            Row("product", {"r": 0.75, "n": 12}, "summer", {"r": (0.7, 0.8)}),
            Row("constant", {"r": float("nan"), "n": 0}, "summer", {"r": (float("nan"), None)}),
        ],
    )
    return Document("satellite", "Agreement with SMAP", "held out", [table], {"share": 0.5})


def test_a_document_is_read_as_it_was_written(tmp_path, document):
    document.write(tmp_path / "a.json", tmp_path / "a.csv")
    again = read_document(tmp_path / "a.json")
    assert (again.what, again.note, again.data) == ("satellite", "held out", {"share": 0.5})
    assert again.tables[0].columns == document.tables[0].columns
    assert again.tables[0].rows[0] == document.tables[0].rows[0]
    assert again.tables[0].rows[1] == Row("constant", {"r": None, "n": 0}, "summer", {"r": (None, None)})


def test_an_undefined_number_is_null_and_empty_never_zero(tmp_path, document):
    document.write(tmp_path / "a.json", tmp_path / "a.csv")
    json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    lines = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [(line["label"], line["score"], line["value"], line["low"], line["high"]) for line in lines] == [
        ("product", "r", "0.75", "0.7", "0.8"),
        ("product", "n", "12", "", ""),
        ("constant", "r", "", "", ""),
        ("constant", "n", "0", "", ""),
    ]


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text('{"what": "satellite"}')
    with pytest.raises(ScoreError, match=r"other.json: expected the findings of a validation .* found KeyError"):
        read_document(tmp_path / "other.json")
