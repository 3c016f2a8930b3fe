"""What was the run made from: raw files by source, what they lack, and the share of cells that SMAP saw each day."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.report.inputs import ReportError, edges
from pscnet.sources.atomic import replacing

#: A SMAP cell belongs to the region when at least this share of the fine nodes in it does.
LEAST_IN_REGION = 0.5


def write_inputs(
    *, smap: Sequence[str | Path], static: str | Path, manifests: Sequence[str | Path], output: str | Path
) -> None:
    """Write the JSON with ``sources`` and ``coverage``, and print a line of each.

    Parameters
    ----------
    smap : paths
        SMAP months of the period, as the rule ``regrid_smap`` writes them.
    static : path
        Static file, for the region.
    manifests : paths of all manifests of the run
    output : path to write

    Raises
    ------
    ReportError
        When a file lacks what is read from it.
    """
    found = {"sources": count_sources(manifests), "coverage": daily_coverage(smap, static)}
    for source in found["sources"]:
        print(f"{source['source']}: {source['files']} files, {source['bytes'] / 1e6:.1f} MB", flush=True)
    shares = [value for value in found["coverage"]["share"] if value is not None]
    print(f"SMAP: {len(shares)} of {len(found['coverage']['days'])} days have a file; mean share of cells seen a day "
          f"{np.mean(shares) if shares else float('nan'):.3f}", flush=True)  # fmt: skip
    with replacing(output) as part:
        part.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def count_sources(manifests: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Raw files by source.

    Returns
    -------
    list of dict
        ``source``, ``made_by``, ``months`` (with a manifest), ``files``, ``bytes``, ``versions``, ``missing_days``
        (sorted dates; ``all of YYYY-MM`` where a month has none) and ``missing_variables``.
    """
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(map(str, manifests)):
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        lacking = {"source", "files", "missing"} - set(manifest)
        if lacking:
            raise ReportError(f"{path}: expected a manifest; {', '.join(sorted(lacking))} missing; make it again")
        by_source[manifest["source"]].append(manifest)
    return [_count(source, parts) for source, parts in by_source.items()]


def _count(source: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    # One file may serve several months.
    files = {(part.get("root"), item["path"]): item for part in parts for item in part["files"]}
    days = {
        f"all of {part.get('month')}" if day == "all" else str(day)
        for part in parts
        for day in part["missing"].get("days", [])
    }
    return {
        "source": source,
        "made_by": "/".join(sorted({str(part["made_by"]) for part in parts if part.get("made_by")})),
        "months": len({part["month"] for part in parts if part.get("month")}),
        "files": len(files),
        "bytes": sum(int(item["size"]) for item in files.values()),
        "versions": sorted({str(item["version"]) for item in files.values() if item.get("version")}),
        "missing_days": sorted(days),
        "missing_variables": sorted({str(name) for part in parts for name in part["missing"].get("variables", [])}),
    }


def daily_coverage(smap: Sequence[str | Path], static: str | Path) -> dict[str, Any]:
    """Share of the region's SMAP cells with at least one retrieval on each day of the period.

    A cell belongs to the region when at least :data:`LEAST_IN_REGION` of its fine nodes do.

    Returns
    -------
    dict
        ``cells`` (of the region), ``days`` (dates, every day from the first to the last month) and ``share`` (0 .. 1;
        null on days without any file).
    """
    inside: np.ndarray | None = None
    seen: dict[np.datetime64, float] = {}
    months = []
    for path in sorted(map(Path, smap)):
        with xr.open_dataset(path, decode_timedelta=False) as month:
            lacking = [name for name in ("soil_moisture", "date", "lat", "lon") if name not in month.variables]
            if lacking:
                raise ReportError(f"{path}: {', '.join(lacking)} expected, not found; rerun regrid_smap")
            if inside is None:
                inside = cells_of_region(month["lat"].values, month["lon"].values, static)
            there = np.isfinite(month["soil_moisture"].transpose("half_orbit", "y", "x").values)[:, inside]
            dates = month["date"].values.astype("M8[D]")
            lost = {np.datetime64(day) for day in _names(month.attrs.get("missing_days", ""))}
            months.append(dates.min().astype("M8[M]") if dates.size else np.datetime64(path.stem, "M"))
        for day in np.setdiff1d(np.unique(dates), sorted(lost)):
            seen[day] = float(there[dates == day].any(axis=0).mean()) if inside.any() else 0.0
    if not months or inside is None:
        raise ReportError("the calendar needs the SMAP months of the period; found none")
    every = np.arange(min(months).astype("M8[D]"), (max(months) + 1).astype("M8[D]"))
    share = [round(seen[day], 4) if day in seen else None for day in every]
    return {"cells": int(inside.sum()), "days": [str(day) for day in every], "share": share}


def cells_of_region(lat: np.ndarray, lon: np.ndarray, static: str | Path) -> np.ndarray:
    """Which coarse cells (y, x), given by their centres, belong to the region of a static file."""
    with xr.open_dataset(static) as fixed:
        if "region" not in fixed:
            raise ReportError(f"{static}: expected the variable region; found {', '.join(map(str, fixed.variables))}")
        region = fixed["region"].transpose("lat", "lon").values > 0
        rows = np.searchsorted(-edges(lat), -fixed["lat"].values) - 1
        columns = np.searchsorted(edges(lon), fixed["lon"].values) - 1
    good = ((rows >= 0) & (rows < lat.size))[:, None] & ((columns >= 0) & (columns < lon.size))[None, :]
    cell = (rows[:, None] * lon.size + columns[None, :])[good]
    nodes = np.bincount(cell, minlength=lat.size * lon.size)
    of_region = np.bincount(cell, weights=region[good], minlength=lat.size * lon.size)
    return ((nodes > 0) & (of_region >= LEAST_IN_REGION * nodes)).reshape(lat.size, lon.size)


def coverage_by_month(coverage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The calendar in numbers: of each month its days, those without file and without retrieval, and the mean share."""
    groups: dict[str, list[float | None]] = defaultdict(list)
    for day, share in zip(coverage["days"], coverage["share"], strict=True):
        groups[day[:7]].append(share)
    made = []
    for month, shares in groups.items():
        known = [share for share in shares if share is not None]
        made.append(
            {
                "month": month,
                "days": len(shares),
                "no_file": len(shares) - len(known),
                "unseen": sum(share == 0 for share in known),
                "share": sum(known) / len(known) if known else None,
            }
        )
    return made


def _names(text: Any) -> list[str]:
    return [name.strip() for name in str(text).split(",") if name.strip()]
