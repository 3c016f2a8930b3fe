"""The tables of the comparison of methods: as Markdown inside a document, as CSV, and on the screen."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pscnet.report.tables import number
from pscnet.sources.atomic import replacing
from pscnet.validation import OPTIMAL, PRODUCT
from pscnet.validation.groups import ABLATION, GROUPS, OURS, TOGETHER, Entry, entries_of, entry_of, together

#: Columns of the main table: score, heading and decimals.
_COLUMNS = (
    ("temporal_r", "R", 3),
    ("ubrmse", "ubRMSE", 4),
    ("subpixel_r_beyond", "beyond", 2),
    ("subpixel_r_beyond_static", "static", 2),
    ("subpixel_r_beyond_dynamic", "dynamic", 2),
    ("change_r", "R of 3 h changes", 3),
    ("all_hours_r", "R, all / overpass hours - 1", 3),
    ("all_hours_ubrmse", "ubRMSE, all / overpass hours - 1", 3),
    ("bias", "bias", 3),
    ("rmse", "RMSE", 4),
    ("inside_1_sigma", "inside 1 σ", 2),
    ("crps", "CRPS", 4),
)

#: Differences of the ablation table: name, heading and decimals (None: percent).
_DIFFERENCES = (
    ("relative_ubrmse", "ubRMSE", None),
    ("temporal_r", "R", 3),
    ("subpixel_r_beyond", "beyond", 3),
    ("change_r", "R of 3 h changes", 3),
)

#: Share of samples below which a row is marked: other cells and steps make other scores.
_SAME_SAMPLES = 0.999


class TableError(ValueError):
    """A document that cannot be filled; the message says which, what was expected, what was found and what to do."""


@dataclass
class Table:
    """Text in rows and columns.

    Attributes
    ----------
    name : str
        Of its place in a document, see :func:`write_markdown`.
    title, note : str
    headings : list of str
    rows : list of list of str
        A row of a single cell is a heading within the table.
    """

    name: str
    title: str
    note: str
    headings: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """The table and its note as Markdown."""
        lines = ["| " + " | ".join(self.headings) + " |", "|---" * len(self.headings) + "|"]
        for row in self.rows:
            cells = [f"**{row[0]}**", *[""] * (len(self.headings) - 1)] if len(row) == 1 else row
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(lines) + (f"\n\n{self.note}" if self.note else "")

    def text(self) -> str:
        """The table in aligned columns."""
        rows = [[cell.replace("**", "") for cell in row] for row in [self.headings, *self.rows]]
        full = [row for row in rows if len(row) > 1]
        widths = [max(map(len, column)) for column in zip(*full, strict=True)]
        lines = [self.title]
        for row in rows:
            if len(row) == 1:
                lines.append(f"-- {row[0]}")
            else:
                first, *others = zip(row, widths, strict=True)
                lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]))
        return "\n".join([*lines, self.note] if self.note else lines)


def main_table(comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None) -> Table:
    """Every method but the ablations, by group: scores with their spread over seeds, and differences to PSCNet.

    Parameters
    ----------
    comparison : mapping
        See :func:`pscnet.validation.comparison.compare`.
    entries : mapping of method to Entry
        Labels, groups, parameters and seconds; what is missing follows from the name.
    """
    methods = comparison["methods"]
    known = entries_of(methods, entries)
    rows: list[list[str]] = []
    for group, title in GROUPS.items():
        members = [name for name in methods if known[name].group == group]
        if group == ABLATION or not members:
            continue
        rows.append([title])
        rows += [_main_row(name, methods[name], known[name]) for name in _by_ubrmse(members, methods)]
    headings = ["", *(heading for _, heading, _ in _COLUMNS)]
    headings[3:3] = ["ubRMSE to optimal interpolation"]
    headings += ["ubRMSE to PSCNet", "R to PSCNet", "parameters", "training [s]"]
    return Table("comparison", f"Against the truth, mean of {_worlds(comparison)}", _note(comparison), headings, rows)


def _main_row(name: str, method: Mapping[str, Any], entry: Entry) -> list[str]:
    marked = entry.label + (" *" if abs(_number(method.get("samples")) - 1.0) > 1.0 - _SAME_SAMPLES else "")
    cells = [f"**{marked}**" if entry.group == OURS else marked]
    cells += [_with_spread(method["scores"].get(score, {}), digits) for score, _, digits in _COLUMNS]
    cells[3:3] = [_difference(method, OPTIMAL, "relative_ubrmse", None, itself=name == OPTIMAL)]
    alike = TOGETHER if together(name) and TOGETHER in method["differences"] else PRODUCT
    cells += [_difference(method, alike, key, digits, itself=name == alike) for key, _, digits in _DIFFERENCES[:2]]
    seconds = "–" if entry.seconds is None else number(round(entry.seconds))
    return [*cells, number(entry.parameters), seconds]


def worlds_table(comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None) -> Table:
    """R and ubRMSE of every method but the ablations in each world, with the interval of ubRMSE."""
    methods = comparison["methods"]
    known = entries_of(methods, entries)
    rows = []
    shown = [name for name in methods if known[name].group != ABLATION]
    for name in sorted(shown, key=lambda name: list(GROUPS).index(known[name].group)):
        cells = [known[name].label]
        for world in comparison["worlds"]:
            scores = methods[name]["worlds"][world]
            cells.append(_with_spread(scores["temporal_r"], 3))
            cells.append(f"{_with_spread(scores['ubrmse'], 4)} ({_interval(scores['ubrmse'], 4)})")
        rows.append(cells)
    headings = ["", *(f"{world}: {score}" for world in comparison["worlds"] for score in ("R", "ubRMSE"))]
    note = "± spread over seeds; in brackets the 95 % interval from blocks of days drawn again."
    return Table("worlds", "By world", note, headings, rows)


def ablation_table(
    comparison: Mapping[str, Any], entries: Mapping[str, Entry] | None = None, full: str = PRODUCT
) -> Table:
    """What each part brings: the net without it minus the full net, worst loss first.

    A part that cannot be taken out of the full net alone is compared with the net that it was taken out of
    (``Entry.base``). "Within noise" is said where the interval of ubRMSE from blocks and seeds holds 0.
    """
    methods = comparison["methods"]
    known = entries_of(methods, entries)
    members = [name for name in methods if known[name].group == ABLATION and full in methods[name]["differences"]]
    rows = []
    for name in _by_ubrmse(members, methods):
        base = known[name].base if known[name].base in methods[name]["differences"] else full
        cells = [_difference(methods[name], base, key, digits) for key, _, digits in _DIFFERENCES]
        label = known[name].label if base == full else f"{known[name].label} (to: {known[base].label})"
        rows.append([label, *cells, verdict(methods[name]["differences"][base]["relative_ubrmse"])])
    headings = ["", *(heading for _, heading, _ in _DIFFERENCES), "ubRMSE without it"]
    note = (
        f"Difference to {entries_of([full], entries)[full].label}, or to what is named, in the mean of "
        f"{_worlds(comparison)}; in brackets the 95 % interval by blocks of days and seeds, paired by block."
    )
    return Table("ablation", "Ablations", note, headings, rows)


def verdict(difference: Mapping[str, Any]) -> str:
    """In words, whether an error that differs so is larger, smaller, or not known to differ."""
    low, high = _number(difference.get("low_seeds")), _number(difference.get("high_seeds"))
    if not (math.isfinite(low) and math.isfinite(high)):
        return "not known"
    return "within noise" if low <= 0.0 <= high else "worse" if low > 0.0 else "better"


def targets_table(targets: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Targets of PSCNet and of its ensemble, by their names: value, wanted, and whether it was reached."""
    words = {True: "reached", False: "**missed**", None: "undefined"}
    rows = []
    for name, found in targets.items():
        if len(targets) > 1:
            rows.append([entry_of(name).label + ("" if together(name) else ", mean of single nets")])
        rows += [[t["name"], number(t["value"], 4), t["wanted"].replace("-", "−"), words[t["reached"]]] for t in found]
    return Table("targets", "Targets", "", ["target", "value", "wanted", ""], rows)


def _by_ubrmse(names: Sequence[str], methods: Mapping[str, Any]) -> list[str]:
    """Names by ubRMSE, largest first; undefined ones before them all, whatever the order they came in."""
    values = {name: _number(methods[name]["scores"]["ubrmse"]["mean"]) for name in names}
    return sorted(names, key=lambda name: (-values[name] if math.isfinite(values[name]) else -math.inf, name))


def _worlds(comparison: Mapping[str, Any]) -> str:
    names = comparison["worlds"]
    return f"{len(names)} worlds ({', '.join(names)})" if len(names) > 1 else f"one world ({names[0]})"


def _note(comparison: Mapping[str, Any]) -> str:
    marked = [m for m in comparison["methods"].values() if abs(_number(m.get("samples")) - 1.0) > 1.0 - _SAME_SAMPLES]
    seeds = sorted({count for method in comparison["methods"].values() for count in method["seeds"]})
    text = (
        "R and ubRMSE [m³ m⁻³] in time, means over cells; beyond: R within 36 km cells beyond the smooth field, then "
        f"its lasting and its changing part. ± is the standard deviation over seeds (at most {seeds[-1]}); in brackets "
        f"the 95 % interval of the paired difference from {comparison['draws']} draws of blocks of "
        f"{comparison['block_days']} days within each world and of the scatter over seeds (of single trainings that of "
        "the method compared with, or of those of the same dress with several; where there is none, of blocks alone)."
    )
    if TOGETHER in comparison["methods"]:
        text += " Ensembles are set against PSCNet's ensemble, single nets against single nets."
    return text + (" \\* scored on other samples than the first row compared with." if marked else "")


def _with_spread(score: Mapping[str, Any], digits: int) -> str:
    text, spread = number(_number(score.get("mean")), digits), _number(score.get("seed_spread"))
    return f"{text} ± {number(spread, digits)}" if math.isfinite(spread) else text


def _interval(score: Mapping[str, Any], digits: int) -> str:
    return " to ".join(number(_number(score.get(end)), digits) for end in ("low", "high"))


def _difference(method: Mapping[str, Any], other: str, key: str, digits: int | None, itself: bool = False) -> str:
    """A difference to ``other`` with its interval by blocks and seeds, or blocks alone where seeds are not known.

    A dash where there is none or it is the method itself.
    """
    found = method["differences"].get(other, {}).get(key)
    if itself or found is None or not math.isfinite(_number(found["mean"])):
        return "–"
    ending = "_seeds" if math.isfinite(_number(found["low_seeds"])) else ""
    low, high = (_signed(_number(found[f"{end}{ending}"]), digits) for end in ("low", "high"))
    unit = " %" if digits is None else ""
    return f"{_signed(_number(found['mean']), digits)}{unit} ({low} to {high})"


def _signed(value: float, digits: int | None) -> str:
    """A number with its sign; as percent with one decimal where ``digits`` is None."""
    text = number(100 * value, 1) if digits is None else number(value, digits)
    return f"+{text}" if math.isfinite(value) and value > 0 else text


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def write_csv(path: str | Path, comparison: Mapping[str, Any]) -> None:
    """Every number: method, world (empty: all), score, against (of a difference), mean, spread over seeds, interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = ("mean", "seed_spread", "low", "high", "low_seeds", "high_seeds")
    writer.writerow(["method", "world", "score", "against", *kinds])

    def add(method: str, world: str, against: str, scores: Mapping[str, Mapping[str, Any]]) -> None:
        for score, numbers in scores.items():
            values = [_number(numbers.get(kind)) for kind in kinds]
            writer.writerow([method, world, score, against, *("" if math.isnan(v) else v for v in values)])

    for name, method in comparison["methods"].items():
        add(name, "", "", method["scores"])
        for world, scores in method["worlds"].items():
            add(name, world, "", scores)
        for other, differences in method["differences"].items():
            add(name, "", other, differences)
    with replacing(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def write_markdown(path: str | Path, tables: Sequence[Table]) -> None:
    """Fill the document ``path`` and print the tables.

    Each table replaces what stands between ``<!-- table: NAME -->`` and the next ``<!-- end -->``; every other
    character stays as it is.

    Raises
    ------
    TableError
        When the document or the marker of a table is missing, is there twice, or has no end. Nothing is written then.
    """
    path = Path(path)
    if not path.is_file():
        raise TableError(
            f"{path}: expected a document with the markers {_marker(tables[0].name)} and {_END}, found none"
        )
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    for table in tables:
        text = _filled(text, table, path)
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
    print("\n\n".join(table.text() for table in tables))


_END = "<!-- end -->"


def _marker(name: str) -> str:
    return f"<!-- table: {name} -->"


def _filled(text: str, table: Table, path: Path) -> str:
    before, *after = text.split(_marker(table.name))
    if len(after) != 1:
        names = ", ".join(re.findall(r"<!-- table: (.*?) -->", text)) or "none"
        raise TableError(
            f"{path}: expected the marker {_marker(table.name)} once, found it {len(after)} times (tables there: "
            f"{names}); put it, and {_END} after it, where the table belongs"
        )
    old, end, rest = after[0].partition(_END)
    if not end or "<!-- table: " in old:
        raise TableError(f"{path}: expected {_END} after {_marker(table.name)}, found none before the next table")
    return f"{before}{_marker(table.name)}\n\n{table.markdown()}\n\n{end}{rest}"
