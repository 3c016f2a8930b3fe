"""The validation by triple collocation: rule ``validate_triple``, where an independent product is configured.

Triplets: SMAP's retrievals, raw ERA5-Land and each independent product, over the whole record (neither of the first two
is fitted to anything); and, where there are two independent products, the product and these, on test days. The product
is made of SMAP and ERA5-Land, so that it never stands in a triplet with either.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.lineage import ERA5_LAND, SMAP
from pscnet.regrid import apply
from pscnet.samples.background import coarse_series
from pscnet.samples.retrievals import retrieval_times
from pscnet.sources.atomic import replacing
from pscnet.sources.third import read_third
from pscnet.timeaxis import HALF_STEP, Split, nearest_stamp
from pscnet.validation import ScoreError
from pscnet.validation.agreement import Bootstrap
from pscnet.validation.anomalies import anomalies
from pscnet.validation.document import Column, Document, Row, ScoreTable
from pscnet.validation.presence import require_months
from pscnet.validation.satellite import in_intervals
from pscnet.validation.triple import MINIMUM, SCORES, Member, Triple, collocate, require_independent
from pscnet.weights import Weights, read_weights

logger = logging.getLogger(__name__)

_COLUMNS = [
    Column("error_std", "error", "m3 m-3", 4, "low"),
    Column("snr", "signal-to-noise ratio", "dB", 1, "high"),
    Column("r2", "R² with the unknown truth", better="high"),
    Column("fmse", "share of error in the variance", better="low"),
    Column("cell_error_std", "error, median of cells", "m3 m-3", 4, "low"),
    Column("cell_r2", "R², median of cells", better="high"),
    Column("n", "common values", decimals=0),
    Column("cells", "cells", decimals=0),
    Column("gaps", "cells with a negative estimate", decimals=0),
]

_NOTE = (
    "Triple collocation asks three data sets with independent errors about each other; no truth is needed. Errors are "
    "scaled to the first of the three. Pooled estimates are of departures from each cell's mean, with 95 % intervals "
    "from blocks of days; a cell needs {minimum} common values. Negative estimates are gaps, and are counted."
)

_KINDS = ("values", "anomalies")

_PRODUCT = Member("product", (SMAP, ERA5_LAND))


@dataclass(frozen=True)
class Series:
    """A data set on the coarse cells: ``times`` (time,) ascending, ``values`` (time, y, x) [m3 m-3]."""

    member: Member
    times: np.ndarray
    values: np.ndarray
    hours: float = 0.0

    def at(self, times: np.ndarray) -> np.ndarray:
        """The value (time, y, x) nearest to each of ``times``, at most ``hours`` away; NaN where there is none."""
        made = np.full((times.size, *self.values.shape[1:]), np.nan, "f4")
        reach = np.timedelta64(round(self.hours * 3600), "s").astype("m8[ns]")
        for position, time in enumerate(times):
            first, end = np.searchsorted(self.times, [time - reach, time + reach + np.timedelta64(1, "ns")])
            near = np.arange(first, end)
            for step in near[np.argsort(np.abs(self.times[near] - time), kind="stable")]:
                made[position] = np.where(np.isfinite(made[position]), made[position], self.values[step])
        return made


def validate_triple(
    *,
    run: str,
    smap: Sequence[str | Path],
    coarse: Sequence[str | Path],
    products: Sequence[str | Path],
    fine_to_coarse: str | Path,
    third: Sequence[Mapping[str, Any]],
    split: Split,
    period: tuple[str, str],
    window_days: float,
    draws: int,
    background: str,
    json_path: str | Path,
    csv_path: str | Path,
    maps_path: str | Path,
) -> Document:
    """Estimate errors without a truth, and write document and maps.

    Parameters
    ----------
    run : str
    smap, coarse : paths of all months in order
    products : paths of the test months; used where there are two independent products
    fine_to_coarse : path
    third : list of mapping
        ``path``, ``name``, ``variable``, ``made_of``, ``scale``, ``hours`` of each independent product.
    split : Split
    period : (first instant, end), ISO
    window_days, draws : see :class:`pscnet.validation.agreement.Bootstrap`
    background : str
        ERA5-Land's soil water.
    json_path, csv_path, maps_path : paths to write

    Raises
    ------
    ScoreError
        When an independent product is made of SMAP or ERA5-Land, or a month of the product is missing.
    """
    weights = read_weights(fine_to_coarse)
    test = [(block.start, block.end) for block in split.blocks["test"]]
    independent = [_third(one, weights.dst) for one in third]
    triplets = [
        ((_retrievals(smap, weights.dst), _era5_land(coarse, background), one), 0, [period]) for one in independent
    ]
    for members, _, _ in triplets:
        require_independent([series.member for series in members])
    refused = []
    for one, other in combinations(independent, 2):
        try:
            require_independent([_PRODUCT, one.member, other.member])
        except ScoreError as error:
            refused.append(str(error))
            logger.warning(error)
            continue
        require_months(products, test, "the product", "product_month")
        triplets.append(((_product(products, weights, test), one, other), 1, test))
    document = Document("triple", "Triple collocation, 36 km", " ".join([_NOTE.format(minimum=MINIMUM), *refused]))
    maps: dict[str, tuple[tuple[str, ...], Triple]] = {}
    for number, (members, base, intervals) in enumerate(triplets):
        bootstrap = Bootstrap.of(intervals, window_days, draws)
        table, values = _table(f"triplet_{number + 1}", members, base, bootstrap, intervals)
        document.tables.append(table)
        names = tuple(series.member.name for series in members)
        document.data.setdefault("triplets", {})[table.name] = list(names)
        if values is not None:
            maps[table.name] = names, values
    document.data["run"] = run
    document.write(json_path, csv_path)
    write_maps(maps, weights.dst, maps_path)
    return document


def _table(
    name: str, members: Sequence[Series], base: int, bootstrap: Bootstrap, intervals: Sequence[tuple[object, object]]
) -> tuple[ScoreTable, Triple | None]:
    """The table of a triplet, of values and of anomalies, and the estimates of values.

    The times are those of the member ``base``: each of its values is compared once. Where no cell has enough common
    values, the table is empty and its note says how many there are.
    """
    first = members[base]
    bounds = [(np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in intervals]
    inside = in_intervals(first.times, bounds)
    times = first.times[inside]
    fields = [series.values[inside] if series is first else series.at(times) for series in members]
    flat = [field.reshape(times.size, -1).astype(float) for field in fields]
    common = np.isfinite(np.stack(flat)).all(axis=0)
    names = [series.member.name for series in members]
    most = int(common.sum(axis=0).max(initial=0))
    title = " · ".join(names)
    if most < MINIMUM:
        some = int(common.any(axis=0).sum())
        said = (
            f"{', '.join(names)}: no estimate, since a cell needs {MINIMUM} common values and none has more than "
            f"{most} ({some} cells have any); a longer record, or more validation.third.hours, gives more."
        )
        logger.warning(said)
        return ScoreTable(name, title, list(_COLUMNS), [], said), None
    masked = [np.where(common, field, np.nan) for field in flat]
    kept = collocate(masked, times, bootstrap)
    departures = collocate([anomalies(field, times) for field in masked], times, bootstrap)
    rows = [
        _row(made, number, label, kind)
        for kind, made in zip(_KINDS, (kept, departures), strict=True)
        for number, label in enumerate(names)
    ]
    note = f"{', '.join(names)}. Anomalies are departures from 35-day means. {_shares(members)}"
    return ScoreTable(name, title, list(_COLUMNS), rows, note), kept


def _row(made: Triple, member: int, label: str, kind: str) -> Row:
    cells = {score: made.cells[score][member] for score in ("error_std", "r2")}
    values: dict[str, float | int | None] = {score: float(made.pooled[score][member]) for score in SCORES}
    values |= {f"cell_{score}": _median(column) for score, column in cells.items()}
    values |= {"n": made.n, "cells": int(made.enough.sum()), "gaps": int(made.negative[member])}
    limits = {score: tuple(map(float, made.intervals[score][member])) for score in SCORES}
    return Row(label, values, kind, {score: (low, high) for score, (low, high) in limits.items()})


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _shares(members: Sequence[Series]) -> str:
    return "Made of: " + "; ".join(f"{s.member.name}: {', '.join(s.member.made_of)}" for s in members) + "."


def _third(one: Mapping[str, Any], grid: Grid) -> Series:
    times, values = read_third(one["path"], grid, one.get("variable"), float(one.get("scale", 1.0)))
    return Series(Member(one["name"], tuple(one["made_of"])), times, values, float(one.get("hours", 12.0)))


def _era5_land(coarse: Sequence[str | Path], background: str) -> Series:
    times, values = coarse_series(coarse, background)
    return Series(Member("ERA5-Land, raw", (ERA5_LAND,)), times, values)


def _retrievals(smap: Sequence[str | Path], grid: Grid) -> Series:
    """SMAP's retrievals by stamp, those of withheld cells left out."""
    times, values = [], []
    for path in smap:
        with xr.open_dataset(path) as month:
            stamps, value = nearest_stamp(retrieval_times(month)), month["soil_moisture"].values
        for half in range(len(value)):
            good = np.isfinite(value[half]) & ~np.isnat(stamps[half])
            for stamp in np.unique(stamps[half][good]):
                times.append(stamp)
                values.append(np.where(good & (stamps[half] == stamp), value[half], np.nan).astype("f4"))
    order = np.argsort(np.array(times, "M8[ns]"), kind="stable")
    stacked = np.stack(values)[order] if values else np.empty((0, *grid.shape), "f4")
    return Series(Member("SMAP", (SMAP,)), np.array(times, "M8[ns]")[order], stacked)


def _product(
    products: Sequence[str | Path], weights: Weights, intervals: Sequence[tuple[np.datetime64, np.datetime64]]
) -> Series:
    """Footprint means of the product at its stamps on test days."""
    times, values = [], []
    for path in products:
        with xr.open_dataset(path) as data:
            stamps = data["time"].values.astype("M8[ns]")
            inside = np.flatnonzero(in_intervals(stamps, intervals))
            field = data["soil_moisture"].isel(time=inside).transpose("time", "lat", "lon").values
        times.append(stamps[inside])
        values.append(apply(weights, field)[0])
    half_step = HALF_STEP / np.timedelta64(1, "h")
    return Series(_PRODUCT, np.concatenate(times), np.concatenate(values), half_step)


def write_maps(maps: Mapping[str, tuple[tuple[str, ...], Triple]], coarse: Grid, path: str | Path) -> None:
    """Write ``{triplet}_{score}`` (member, y, x) of values, with the members' names as attribute ``members``."""
    made = xr.Dataset(
        coords={
            "lat": ("y", coarse.lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("x", coarse.lon, {"units": "degrees_east", "standard_name": "longitude"}),
            "lat_bnds": (("y", "nv"), np.stack([coarse.lat_edges[:-1], coarse.lat_edges[1:]], 1)),
            "lon_bnds": (("x", "nv"), np.stack([coarse.lon_edges[:-1], coarse.lon_edges[1:]], 1)),
        },
        attrs={"Conventions": "CF-1.11", "title": "Triple collocation by 36 km cell"},
    )
    made["lat"].attrs["bounds"], made["lon"].attrs["bounds"] = "lat_bnds", "lon_bnds"
    units = {column.key: column.unit or "1" for column in _COLUMNS}
    words = {column.key: column.heading for column in _COLUMNS}
    for name, (members, triple) in maps.items():
        for score in SCORES:
            values = triple.cells[score].reshape(3, *coarse.shape).astype("f4")
            attrs = {"units": units[score], "long_name": words[score], "members": "; ".join(members)}
            made[f"{name}_{score}"] = ("member", "y", "x"), values, attrs
    with replacing(path) as part:
        made.to_netcdf(part, engine="netcdf4")
