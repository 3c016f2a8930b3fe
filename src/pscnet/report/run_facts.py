"""What was run, and what did it cost: versions, raw files and the records of time and memory, as tables of the page."""

from __future__ import annotations

import csv
import math
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import xarray as xr

from pscnet import __version__
from pscnet.report.views import Cell, Line, View, number_cell
from pscnet.variables import ERA5_LAND

#: Packages whose version a reader asks for first.
PACKAGES = ("torch", "numpy", "scipy", "xarray", "netCDF4", "pytesmo", "ismn", "snakemake")

#: What a product says of its making, and the word for it.
_MADE_BY = {
    "commit": "commit of the product",
    "config_hash": "hash of the configuration",
    "checkpoint_hash": "hash of the checkpoints",
    "manifests_hash": "hash of the input manifests",
    "weight_engine": "weights made by",
    "date_created": "product made",
}

_SOURCES = {
    "era5_land": "ERA5-Land",
    "smap": "SMAP SPL3SMP",
    "smap_e": "SMAP SPL3SMP_E",
    "smap_l4": "SMAP SPL4SMGP",
    "terrain": "elevation",
}


def provenance_of(product: str | Path) -> dict[str, str]:
    """What a product file says of its making, and the versions of the packages at hand; nothing of the machine."""
    with xr.open_dataset(product) as made:
        said = {word: str(made.attrs[key]) for key, word in _MADE_BY.items() if made.attrs.get(key)}
    said["pscnet"] = __version__
    said["Python"] = platform.python_version()
    for name in PACKAGES:
        try:
            said[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return said


def inputs_view(sources: Sequence[Mapping[str, Any]]) -> View:
    """Raw files by source, with what they lack."""
    rows = []
    for source in sources:
        missing = list(source["missing_days"]) + [
            f"variable {name}" if name in ERA5_LAND else str(name) for name in source["missing_variables"]
        ]
        rows.append(
            Line(
                _SOURCES.get(source["source"], source["source"]),
                [
                    Cell(source["made_by"] or "–"),
                    number_cell(int(source["months"]) or None),
                    number_cell(int(source["files"])),
                    number_cell(source["bytes"] / 1e6, 1),
                    Cell(", ".join(source["versions"]) or "–"),
                    number_cell(len(missing)),
                    Cell(", ".join(missing) or "none"),
                ],
            )
        )
    headings = [
        ("from", ""),
        ("months", ""),
        ("files", ""),
        ("size", "MB"),
        ("versions", ""),
        ("gaps", ""),
        ("which", ""),
    ]
    return View("Raw files", headings, rows, first="source")


def runtimes_view(folder: str | Path, run: str, others: Sequence[str] = ()) -> View | None:
    """Time and memory by rule, from Snakemake's records as they are at this moment; None where there are none.

    Parameters
    ----------
    folder : path
        Holds ``{rule}/{run}.tsv`` and ``{rule}/{run}_{...}.tsv``.
    run : str
    others : sequence of str
        Names of other runs in the same checkout: ``demo_fetch_2017-07.tsv`` is none of ``demo``.
    """
    longer = [name for name in others if name.startswith(f"{run}_")]
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for path in sorted(Path(folder).glob("*/*.tsv")):
        mine = path.stem == run or path.stem.startswith(f"{run}_")
        if mine and not any(path.stem == name or path.stem.startswith(f"{name}_") for name in longer):
            found[path.parent.name] += _records(path)
    rows = [
        Line(
            rule,
            [
                number_cell(len(jobs)),
                number_cell(sum(job["s"] for job in jobs), 1),
                number_cell(max(job["s"] for job in jobs), 1),
                number_cell(_sum([job["cpu_time"] for job in jobs]), 1),
                number_cell(max((job["max_rss"] for job in jobs if math.isfinite(job["max_rss"])), default=None), 0),
            ],
        )
        for rule, jobs in found.items()
        if jobs
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: -(row.cells[1].value or 0.0))
    headings = [("jobs", ""), ("time, sum", "s"), ("longest job", "s"), ("processor time", "s"), ("peak memory", "MB")]
    note = "As recorded by Snakemake when this page was made; a job that ran again counts with its last run."
    return View("Time and memory by rule", headings, rows, note, first="rule")


def _sum(values: Sequence[float]) -> float | None:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) if known else None


def _records(path: Path) -> list[dict[str, float]]:
    """Lines of a benchmark file; what is not a number (such as ``-`` and ``NA``) is NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    made = [{key: _float(line.get(key)) for key in ("s", "max_rss", "cpu_time")} for line in lines]
    return [record for record in made if math.isfinite(record["s"])]


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
