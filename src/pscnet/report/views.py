"""What does a table look like on the page: cells as text and as the number behind them, of any validation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pscnet.validation import METHODS, PRODUCT
from pscnet.validation.document import Better, Column, Document, Row, ScoreTable

#: Tables with more rows are folded.
LONG = 14


@dataclass(frozen=True)
class Cell:
    """A number of a table: as text, as the number to sort by (None where it is not defined), and its 95 % interval."""

    text: str
    value: float | None = None
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A row: its name, its group and its cells; ``ours`` is that of the product."""

    name: str
    cells: list[Cell]
    group: str = ""
    ours: bool = False


@dataclass(frozen=True)
class View:
    """A table ready for the page; headings are text and unit, ``first`` heads the names."""

    title: str
    headings: list[tuple[str, str]]
    rows: list[Line]
    note: str = ""
    first: str = "method"
    grouped: bool = field(default=False)

    @property
    def long(self) -> bool:
        """Whether it is to be folded."""
        return len(self.rows) > LONG


def number(value: float | int | None, digits: int = 3) -> str:
    """A number as text, a dash where it is not defined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:,.{digits}f}".replace(",", "\u202f").replace("-", "−")


def number_cell(value: float | int | None, digits: int = 3, best: bool = False, interval: str = "") -> Cell:
    """A cell of one number."""
    known = value is not None and math.isfinite(value)
    return Cell(number(value, digits), float(value) if known and value is not None else None, interval, best)


def best_of(values: dict[int, float | int | None], better: Better) -> set[int]:
    """Keys of the best value; none where there is no best, or only one value to choose from."""
    known = {key: float(value) for key, value in values.items() if value is not None and math.isfinite(value)}
    if not better or len(known) < 2:
        return set()
    merit = {"high": lambda v: -v, "low": lambda v: v, "zero": abs, "one": lambda v: abs(v - 1.0)}[better]
    top = min(map(merit, known.values()))
    return {key for key, value in known.items() if merit(value) == top}


def document_views(document: Document, net: str) -> list[View]:
    """The tables of a validation; ``net`` is the name for people of what made the product."""
    return [_table(table, net) for table in document.tables]


def _table(table: ScoreTable, net: str) -> View:
    best = {column.key: _best_by_group(table.rows, column) for column in table.columns}
    rows = [
        Line(
            name=product_name(row.label, net),
            ours=row.label == METHODS[PRODUCT],
            group=row.group,
            cells=[_cell(row, column, position in best[column.key]) for column in table.columns],
        )
        for position, row in enumerate(table.rows)
    ]
    labels = {row.label for row in table.rows}
    return View(
        title=table.title,
        headings=[(column.heading, column.unit) for column in table.columns],
        rows=rows,
        note=table.note,
        first="method" if labels & set(METHODS.values()) else "what",
        grouped=any(row.group for row in table.rows),
    )


def product_name(label: str, net: str) -> str:
    """A row's name, with the net's in place of the word for the product."""
    return f"{net} (product)" if label == METHODS[PRODUCT] else label


def _best_by_group(rows: Sequence[Row], column: Column) -> set[int]:
    """Positions of the rows with the best value of their group."""
    groups: dict[str, dict[int, float | int | None]] = {}
    for position, row in enumerate(rows):
        groups.setdefault(row.group, {})[position] = row.values.get(column.key)
    return set().union(*(best_of(values, column.better) for values in groups.values()))


def _cell(row: Row, column: Column, best: bool) -> Cell:
    value = row.values.get(column.key)
    whole = isinstance(value, float) and column.decimals == 0 and math.isfinite(value)
    shown = round(value) if whole and value is not None else value
    return number_cell(shown, column.decimals, best, interval_text(row.intervals.get(column.key), column.decimals))


def interval_text(interval: Iterable[float | None] | None, digits: int) -> str:
    """``low to high``; empty where one of them is not defined."""
    ends = [end for end in interval or () if end is not None and math.isfinite(end)]
    return f"{number(float(ends[0]), digits)} to {number(float(ends[1]), digits)}" if len(ends) == 2 else ""
