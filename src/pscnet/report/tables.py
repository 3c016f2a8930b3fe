"""The score tables of a run ready for the page, with the best of each column marked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pscnet.report.views import Cell, Line, View, best_of, interval_text, number, number_cell
from pscnet.validation import INTERPOLATED, METHODS, PRODUCT
from pscnet.validation.document import Better

#: table: (title, what it says, columns of (score, heading, which is better: high, low, near zero or none)).
_TABLES: dict[str, tuple[str, str, list[tuple[str, str, Better]]]] = {
    "truth_10km": (
        "Against the simulated truth, 10 km, all eight hours of the test days",
        "R and ubRMSE are means over cells. Sub-pixel R is the correlation of departures from the 36 km cell's mean; "
        "“beyond” takes the smooth field away first, so that interpolation alone earns nothing: a dash means no "
        "detail at all. Static is its lasting part, dynamic its changing part.",
        [
            ("temporal_r", "R", "high"),
            ("ubrmse", "ubRMSE", "low"),
            ("bias", "bias", "zero"),
            ("rmse", "RMSE", "low"),
            ("pooled_r", "R pooled", "high"),
            ("subpixel_r", "sub-pixel R", "high"),
            ("subpixel_r_beyond", "beyond", "high"),
            ("subpixel_r_beyond_static", "static", "high"),
            ("subpixel_r_beyond_dynamic", "dynamic", "high"),
            ("change_r", "R of 3 h changes", "high"),
            ("inside_1_sigma", "inside 1 σ", ""),
            ("inside_2_sigma", "inside 2 σ", ""),
        ],
    ),
    "satellite_36km": (
        "Agreement with SMAP, 36 km, overpasses that the prediction did not see",
        "The method learns from SMAP, so this is agreement with SMAP and says nothing about the truth. SMAP's own "
        "noise caps it: even a perfect field agrees only in part.",
        [
            ("pooled_r", "R pooled", "high"),
            ("cell_r", "R of cells, mean", "high"),
            ("ubrmsd", "ubRMSD", "low"),
            ("bias", "bias", "zero"),
            ("rmsd", "RMSD", "low"),
            ("n", "pairs", ""),
        ],
    ),
}


def score_tables(document: Mapping[str, Any], net: str) -> list[View]:
    """The score tables ready for the page.

    ``net`` is the name for people of what made the product.
    """
    made = []
    for key, (title, note, columns) in _TABLES.items():
        rows: Mapping[str, Mapping[str, Any]] = document.get(key, {})
        if not rows:
            continue
        best = {
            score: best_of({place: row.get(score) for place, row in enumerate(rows.values())}, better)
            for score, _, better in columns
        }
        body = [
            Line(
                name=f"{net} (product)" if method == PRODUCT else METHODS.get(method, method),
                ours=method == PRODUCT,
                cells=[_cell(row, score, position in best[score]) for score, _, _ in columns],
            )
            for position, (method, row) in enumerate(rows.items())
        ]
        made.append(View(title, [(heading, "") for _, heading, _ in columns], body, note))
    return made


def targets_table(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """Targets as text: name, value, wanted, and whether it was reached."""
    words = {True: "reached", False: "missed", None: "undefined"}
    return [
        {
            "name": t["name"],
            "value": number(t["value"], 4),
            "wanted": t["wanted"].replace("-", "−"),
            "reached": words[t["reached"]],
        }
        for t in document.get("targets", [])
    ]


def tiles(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """The numbers that head the page."""
    share = document["coverage"]["all"]["share"]
    made = [
        {
            "value": "–" if share is None else f"{_floor(100 * share):.2f} %",
            "label": "of unfrozen land cells and steps have a value",
        }
    ]
    ours = document["satellite_36km"][PRODUCT]
    made.append({"value": number(ours["pooled_r"], 3), "label": "R, pooled: agreement with held-out SMAP at 36 km"})
    truth = document.get("truth_10km")
    if truth:
        smap, mine = truth[INTERPOLATED], truth[PRODUCT]
        made.append(
            {
                "value": number(mine["temporal_r"], 3),
                "label": f"temporal R against the truth (interpolated SMAP {number(smap['temporal_r'], 3)})",
            }
        )
        made.append(
            {
                "value": number(mine["ubrmse"], 4),
                "label": f"ubRMSE against the truth, m³ m⁻³ (interpolated SMAP {number(smap['ubrmse'], 4)})",
            }
        )
    else:
        made.append({"value": number(ours["ubrmsd"], 4), "label": "ubRMSD against held-out SMAP, m³ m⁻³"})
    return made


def _floor(percent: float) -> float:
    """Two decimals, never rounded up: 99.996 % is not 100 %."""
    return math.floor(percent * 100 + 1e-9) / 100


def _cell(row: Mapping[str, Any], score: str, best: bool) -> Cell:
    digits = 4 if score in ("ubrmse", "bias", "rmse", "ubrmsd", "rmsd") else 3
    ends = row.get(f"{score}_low"), row.get(f"{score}_high")
    return number_cell(row.get(score), digits, best, interval_text(ends, digits))
