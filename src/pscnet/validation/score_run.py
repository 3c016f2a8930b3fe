"""The score tables of a run: held-out SMAP at 36 km and, on the twin, the truth at 10 km; test days only.

=================  ==================================================================================================
table              what it holds
=================  ==================================================================================================
satellite_36km     agreement with held-out SMAP: R pooled over cells and times with its 95 % block bootstrap interval,
                   mean R of cells, ubRMSD (pooled, mean of cells), bias, RMSD, ratio of standard deviations
truth_10km         against the truth (twin only): mean over cells of temporal R and ubRMSE; bias, RMSE, R and ubRMSE
                   pooled, and the ratio of standard deviations; R within 36 km cells, plain and beyond the smooth
                   field, lasting and changing; R of 3-hour changes; the same at overpass hours; the share of truth
                   inside 1 and 2 sigma, CRPS
by_hour            temporal R and ubRMSE of each stamp of the day (twin only)
coverage           unfrozen land cells and steps of the region that carry a value, by month
places             scores at the places of the report (twin only)
targets            numbers that are to be reached (twin only)
=================  ==================================================================================================
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources.atomic import replacing
from pscnet.validation import METHODS, PRODUCT, ScoreError, methods_of
from pscnet.validation.document import without_nan
from pscnet.validation.leakage import require_unseen_pairs
from pscnet.validation.places import Places, place_scores, write_places
from pscnet.validation.presence import require_months
from pscnet.validation.satellite import in_intervals, own_overpass, score_pairs
from pscnet.validation.series import Block, matched_months, read_blocks, read_region
from pscnet.validation.targets import make_targets
from pscnet.validation.truth import TruthScores

#: Columns of the printed tables: score and heading.
_SHOWN = {
    "satellite_36km": {
        "pooled_r": "R pooled", "cell_r": "R cells", "ubrmsd": "ubRMSD", "bias": "bias", "rmsd": "RMSD", "n": "n",
    },
    "truth_10km": {
        "temporal_r": "R", "ubrmse": "ubRMSE", "bias": "bias", "rmse": "RMSE", "subpixel_r": "sub-pixel",
        "subpixel_r_beyond": "beyond", "subpixel_r_beyond_static": "static", "subpixel_r_beyond_dynamic": "dynamic",
        "change_r": "R 3 h", "inside_1_sigma": "in 1 s", "inside_2_sigma": "in 2 s",
    },
}  # fmt: skip

_TITLES = {
    "satellite_36km": "Agreement with held-out SMAP, 36 km",
    "truth_10km": "Against the truth, 10 km, all eight hours",
}


def score_run(
    *,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    heldout: str | Path,
    static: str | Path,
    fine: Grid,
    coarse: Grid,
    test_intervals: Sequence[tuple[str, str]],
    scores_json: str | Path,
    scores_csv: str | Path,
    places_nc: str | Path,
    truths: Sequence[str | Path] = (),
    places: Sequence[tuple[float, float]] = (),
    run: str = "",
) -> dict[str, Any]:
    """Score the test split of a run; write the tables and the series at places; print the tables.

    Parameters
    ----------
    products, references : paths
        Product month and reference fields of each month of the test split, in the order of time.
    heldout : path
        Held-out SMAP pairs, see :func:`pscnet.validation.satellite.score_pairs`.
    static : path
        ``region`` (lat, lon): 1 where the product is to have values.
    fine, coarse : Grid
        The product's grid and that of the retrievals.
    test_intervals : list of (start, end), ISO, half-open
    scores_json, scores_csv, places_nc : paths to write
    truths : paths
        The truth of each month (twin only); empty otherwise.
    places : list of (lat, lon)
        Places of the series; default: five spread over the region.

    Returns
    -------
    dict
        What ``scores_json`` holds.

    Raises
    ------
    ScoreError
        Also when a month is missing, or the net has seen the test days.
    """
    months = matched_months(products, references, truths)
    require_unseen_pairs(heldout, test_intervals)
    intervals = [(np.datetime64(start, "ns"), np.datetime64(end, "ns")) for start, end in test_intervals]
    satellite, pair_counts = score_pairs(heldout, intervals)
    require_months(products, test_intervals, "the product", "product_month")
    require_months(references, test_intervals, "the reference fields", "verify_references")
    region = read_region(static, fine)
    chosen = Places.choose(fine, region, places)
    with xr.open_dataset(months[0][1]) as first:
        reference_names = methods_of(first.variables, months[0][1], product=False)
    truth_scores = TruthScores(fine, coarse, [PRODUCT, *reference_names]) if truths else None
    coverage: dict[str, dict[str, float]] = {}
    for product, reference, truth in months:
        for block in read_blocks(product, reference, truth, reference_names, fine):
            _count_coverage(coverage, block, region)
            _score_block(block, region, in_intervals(block.times, intervals), truth_scores, chosen)
    with xr.open_dataset(heldout) as pairs:
        series = chosen.dataset(own_overpass(pairs), coarse)
    document = _document(run, test_intervals, satellite, pair_counts, coverage, truth_scores)
    document["places"] = place_scores(series)
    write_places(series, places_nc)
    _write(document, Path(scores_json), Path(scores_csv))
    print(format_tables(document))
    return document


def _score_block(
    block: Block, region: np.ndarray, steps: np.ndarray, truth_scores: TruthScores | None, chosen: Places
) -> None:
    if not steps.any():
        return
    chosen.update(block, steps)
    if truth_scores is None or block.truth is None:
        return
    truth = np.where(region, block.truth, np.nan)[steps]
    fields = {method: values[steps] for method, values in block.fields.items()}
    truth_scores.update(block.times[steps], truth, fields, block.sigma[steps], PRODUCT)


def _count_coverage(coverage: dict[str, dict[str, float]], block: Block, region: np.ndarray) -> None:
    """Add the region's cells and steps that the product does not call frozen, and those of them with a value."""
    month = coverage.setdefault(str(block.times[0])[:7], {"unfrozen": 0, "with_value": 0, "frozen": 0})
    unfrozen = region & ~block.frozen
    month["unfrozen"] += int(unfrozen.sum())
    month["frozen"] += int((region & block.frozen).sum())
    month["with_value"] += int((unfrozen & np.isfinite(block.fields[PRODUCT])).sum())


def _document(
    run: str,
    test_intervals: Sequence[tuple[str, str]],
    satellite: dict[str, dict[str, float]],
    pair_counts: dict[str, int],
    coverage: dict[str, dict[str, float]],
    truth_scores: TruthScores | None,
) -> dict[str, Any]:
    sums = [sum(month[key] for month in coverage.values()) for key in ("unfrozen", "with_value", "frozen")]
    coverage["all"] = dict(zip(("unfrozen", "with_value", "frozen"), sums, strict=True))
    for month in coverage.values():
        month["share"] = month["with_value"] / month["unfrozen"] if month["unfrozen"] else float("nan")
    document: dict[str, Any] = {
        "run": run,
        "test_days": [list(interval) for interval in test_intervals],
        "pairs": pair_counts,
        "satellite_36km": satellite,
        "coverage": coverage,
    }
    if truth_scores is not None:
        if truth_scores.scored == 0:
            raise ScoreError(
                f"no cell and step to score against the truth: {truth_scores.scorable} unfrozen and free of snow on "
                "test days, none of them with a value of every method; check the product and the reference fields"
            )
        document["truth_10km"] = truth_scores.table(PRODUCT)
        for method, row in document["truth_10km"].items():
            row["std_ratio"] = float(truth_scores.parts(method).levels.pooled().std_ratio())
        document["truth_samples"] = truth_scores.counts()
        document["by_hour"] = truth_scores.by_hour()
        document["targets"] = make_targets(document["truth_10km"], coverage["all"]["share"])
    return document


def _write(document: dict[str, Any], scores_json: Path, scores_csv: Path) -> None:
    with replacing(scores_json) as part:
        part.write_text(json.dumps(without_nan(document), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "method", "score", "value"])
    for table in _SHOWN:
        for method, row in document.get(table, {}).items():
            writer.writerows([table, method, score, value] for score, value in row.items())
    with replacing(scores_csv) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def format_tables(document: dict[str, Any]) -> str:
    """The tables as text; a score that is not defined shows as a dash."""
    parts: list[str] = []
    for table, columns in _SHOWN.items():
        if table not in document:
            continue
        lines = [_TITLES[table], f"{'':30}" + "".join(f"{heading:>11}" for heading in columns.values())]
        for method, row in document[table].items():
            lines.append(f"{METHODS[method]:30}" + "".join(f"{_number(row.get(key)):>11}" for key in columns))
        parts.append("\n".join(lines))
    for target in document.get("targets", []):
        mark = {True: "reached", False: "MISSED", None: "undefined"}[target["reached"]]
        parts.append(f"{mark:>9}  {target['name']}: {_number(target['value'])} (wanted: {target['wanted']})")
    share = document["coverage"]["all"]["share"]
    parts.append(f"Unfrozen land cells and steps of the region with a value: {100 * share:.3f} %")
    return "\n\n".join(parts[:2]) + "\n\n" + "\n".join(parts[2:]) if "truth_10km" in document else "\n\n".join(parts)


def _number(value: float | int | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
