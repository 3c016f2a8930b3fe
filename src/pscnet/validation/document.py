"""How are the findings of a validation written down: tables with intervals, as one JSON document and one CSV file.

The JSON document holds ``what``, ``title``, ``note``, ``tables`` and ``data`` (what only the figures need). A table
holds ``name``, ``title``, ``note``, ``columns`` and ``rows``; a row holds ``label``, ``group``, ``values`` (key to
number or null) and ``intervals`` (key to [low, high], 95 %). A number that is not defined is null, never zero.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pscnet.sources.atomic import replacing
from pscnet.validation import ScoreError

#: Which value of a column is the best.
Better = Literal["high", "low", "zero", "one", ""]


@dataclass(frozen=True)
class Column:
    """A score of a table.

    Attributes
    ----------
    key : str
        Name in the rows.
    heading, unit : str
        For people; the unit is empty for pure numbers.
    decimals : int
        Digits that a person sees after the point; counts have 0.
    better : "high", "low", "zero", "one" or ""
        Which value is the best; empty where none is.
    """

    key: str
    heading: str
    unit: str = ""
    decimals: int = 3
    better: Better = ""


@dataclass
class Row:
    """One line of a table: what is scored, in which group, its numbers and their 95 % intervals."""

    label: str
    values: dict[str, float | int | None]
    group: str = ""
    intervals: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)


@dataclass
class ScoreTable:
    """A table for people and programs; ``name`` is that of its lines in the CSV file."""

    name: str
    title: str
    columns: list[Column]
    rows: list[Row]
    note: str = ""


@dataclass
class Document:
    """The findings of one validation.

    Attributes
    ----------
    what : str
        Name of the validation: satellite, stations, dynamics, ...
    title, note : str
        The note says what a reader must know, and why something is not there.
    tables : list of ScoreTable
    data : dict
        What the figures need besides the tables, ready for JSON.
    """

    what: str
    title: str
    note: str = ""
    tables: list[ScoreTable] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def write(self, json_path: str | Path, csv_path: str | Path) -> None:
        """Write both files, replacing old ones only by complete ones."""
        text = json.dumps(without_nan(asdict(self)), indent=1, allow_nan=False) + "\n"
        for path, content in ((json_path, text), (csv_path, self.csv())):
            with replacing(path) as part:
                part.write_text(content, encoding="utf-8")

    def csv(self) -> str:
        """All tables as lines of table, group, label, score, unit, value, low, high; an undefined number is empty."""
        stream = io.StringIO()
        lines = csv.writer(stream, lineterminator="\n")
        lines.writerow(["table", "group", "label", "score", "unit", "value", "low", "high"])
        for table in self.tables:
            for row in table.rows:
                for column in table.columns:
                    value = row.values.get(column.key)
                    numbers = (value, *row.intervals.get(column.key, (None, None)))
                    lines.writerow([table.name, row.group, row.label, column.key, column.unit, *map(_plain, numbers)])
        return stream.getvalue()


def _plain(value: float | int | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}" if isinstance(value, float) else str(value)


def without_nan(value: Any) -> Any:
    """``value`` with null for numbers that are not finite, which JSON cannot hold."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_document(path: str | Path) -> Document:
    """Read what :meth:`Document.write` wrote as JSON.

    Raises
    ------
    ScoreError
        When the file is no such document.
    """
    try:
        content: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        tables = [
            ScoreTable(
                table["name"],
                table["title"],
                [Column(**column) for column in table["columns"]],
                [
                    Row(row["label"], row["values"], row["group"], {k: tuple(v) for k, v in row["intervals"].items()})
                    for row in table["rows"]
                ],
                table["note"],
            )
            for table in content["tables"]
        ]
        return Document(content["what"], content["title"], content["note"], tables, content["data"])
    except (KeyError, TypeError, ValueError) as error:
        raise ScoreError(
            f"{path}: expected the findings of a validation (what, title, note, tables, data); found {error!r}; "
            "rerun the rule that made the file"
        ) from error
