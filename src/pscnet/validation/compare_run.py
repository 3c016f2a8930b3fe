"""The comparison of models over one world or several: from the files of moments to one JSON document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pscnet.sources.atomic import replacing
from pscnet.validation import OPTIMAL, PRODUCT
from pscnet.validation.blocks import BlockMoments
from pscnet.validation.comparison import compare
from pscnet.validation.comparison_targets import comparison_targets
from pscnet.validation.document import without_nan
from pscnet.validation.groups import TOGETHER, Entry, entry_of

#: World to method to the files of its seeds.
Files = Mapping[str, Mapping[str, Sequence[str | Path]]]


def compare_worlds(worlds: Files, output: str | Path, controls: Files | None = None) -> dict[str, Any]:
    """Compare the methods that every world has, and write the numbers.

    Parameters
    ----------
    worlds : mapping of world to method to paths
        Files of :mod:`pscnet.validation.blocks`.
    output : path to write, JSON
        ``comparison`` (:func:`pscnet.validation.comparison.compare`), ``entries`` of the tables, ``targets``,
        ``controls``.
    controls : the same of the ``null`` and ``perfect`` worlds

    Returns
    -------
    dict
        What ``output`` holds.
    """
    names = list(worlds)
    common = [method for method in worlds[names[0]] if all(method in worlds[name] for name in names)]
    rows = {method: [worlds[name][method] for name in names] for method in common}
    entries = {method: _entry(method, leaves) for method, leaves in rows.items()}
    bases = (entry.base for entry in entries.values())
    comparison = compare(rows, names, list(dict.fromkeys([PRODUCT, OPTIMAL, TOGETHER, *bases])))
    checks = {
        name: compare({method: [paths] for method, paths in methods.items()}, [name])
        for name, methods in (controls or {}).items()
    }
    document = {
        "comparison": comparison,
        "entries": {method: vars(entry) for method, entry in entries.items()},
        "targets": {
            name: comparison_targets(comparison, entries, checks, name) for name in (PRODUCT, TOGETHER) if name in rows
        },
        "controls": checks,
    }
    with replacing(output) as part:
        part.write_text(json.dumps(without_nan(document), indent=1) + "\n", encoding="utf-8")
    return document


def _entry(method: str, leaves: Sequence[Sequence[str | Path]]) -> Entry:
    """The row of a method: parameters and mean seconds of training from its files, an ensemble's of all members."""
    found = [BlockMoments.attributes(path) for seeds in leaves for path in seeds]
    members = int(found[0].get("members", 1))
    seconds = [float(attrs["training_seconds"]) * members for attrs in found if "training_seconds" in attrs]
    parameters = found[0].get("parameters")
    return entry_of(
        method,
        None if parameters is None else int(parameters) * members,
        sum(seconds) / len(seconds) if seconds else None,
    )
