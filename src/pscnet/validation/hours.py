"""Is the skill that SMAP's two overpass hours show the skill of the other six: scores by time of day.

On the simulated Plateau every method is scored against the truth at the stamps nearest to an overpass (06 and 18 hours
local solar time), at all eight and at the other six; a **relative change** is score(all) / score(overpass) - 1, as the
paper gives it (within 6 % for R and 2 % for ubRMSE). Its interval comes from drawn blocks of time, numerator and
denominator from the same draw. Without a truth SMAP itself sees its overpass hours only, and stations have to judge the
others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.scores import (
    MINIMUM_RETRIEVALS,
    MINIMUM_STEPS,
    PairMoments,
    mean_of_cells,
    overpass_stamps,
    relative_change,
)
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation import METHODS, PRODUCT, ScoreError, methods_of
from pscnet.validation.blocks import block_starts
from pscnet.validation.document import Column, Document, Row, ScoreTable
from pscnet.validation.lattice import lattice, said
from pscnet.validation.leakage import require_unseen_pairs
from pscnet.validation.presence import require_months
from pscnet.validation.resampling import (
    block_of,
    blocks_with_pairs,
    draw_cell_means,
    draw_pooled,
    draw_weights,
    interval_of,
)
from pscnet.validation.satellite import grouped, own_overpass
from pscnet.validation.series import Block, matched_months, read_blocks, read_region
from pscnet.validation.truth import MINIMUM_OF_HOUR

Intervals = Sequence[tuple[object, object]]

#: Sets of hours of the first table, and the fewest pairs of a cell in each.
SETS = {"overpass": MINIMUM_OF_HOUR, "all": MINIMUM_STEPS, "other": MINIMUM_OF_HOUR}

COLUMNS = [
    Column("r_overpass", "R, overpass hours", "", 3, "high"),
    Column("r_all", "R, all eight hours", "", 3, "high"),
    Column("r_other", "R, other six hours", "", 3, "high"),
    Column("r_change", "change of R, all against overpass", "%", 1, "zero"),
    Column("r_change_other", "change of R, other against overpass", "%", 1, "zero"),
    Column("ubrmse_overpass", "ubRMSE, overpass hours", "m3 m-3", 4, "low"),
    Column("ubrmse_all", "ubRMSE, all eight hours", "m3 m-3", 4, "low"),
    Column("ubrmse_other", "ubRMSE, other six hours", "m3 m-3", 4, "low"),
    Column("ubrmse_change", "change of ubRMSE, all against overpass", "%", 1, "zero"),
    Column("ubrmse_change_other", "change of ubRMSE, other against overpass", "%", 1, "zero"),
    Column("n", "samples", "", 0),
    Column("cells", "cells", "", 0),
]

BY_HOUR = [
    Column("r", "R, mean of cells", "", 3, "high"),
    Column("ubrmse", "ubRMSE, mean of cells", "m3 m-3", 4, "low"),
    Column("bias", "bias", "m3 m-3", 4, "zero"),
    Column("n", "samples", "", 0),
]

HELD_OUT = [
    Column("r", "R, pooled", "", 3, "high"),
    Column("ubrmsd", "ubRMSD, pooled", "m3 m-3", 4, "low"),
    Column("bias", "bias", "m3 m-3", 4, "zero"),
    Column("n", "retrievals", "", 0),
]

_PAPER = "The paper keeps R within 6 % and ubRMSE within 2 % between overpass hours and all hours."
_NO_TRUTH = (
    "There is no truth in this run: SMAP sees two hours of the day, so that the other six can be judged by stations "
    "only (their own table by hour). Here stands the agreement with held-out SMAP at its hours."
)


@dataclass
class HourMoments:
    """One method's moments against the truth by stamp of the day.

    Attributes
    ----------
    whole : list (stamp,) of PairMoments (cell,)
    drawn : list (block,) of list (stamp,) of PairMoments (cell of the lattice,)
    """

    whole: list[PairMoments]
    drawn: list[list[PairMoments]]

    @classmethod
    def zeros(cls, cells: int, blocks: int, picked: int) -> HourMoments:
        """No pairs yet."""
        hours = range(STEPS_PER_DAY)
        return cls(
            [PairMoments.zeros((cells,)) for _ in hours],
            [[PairMoments.zeros((picked,)) for _ in hours] for _ in range(blocks)],
        )

    def chosen(self, at: np.ndarray) -> PairMoments:
        """Moments (cell,) over the stamps that ``at`` (stamp, cell) chooses."""
        return PairMoments.stack(self.whole).selected(at).pooled(axis=0)

    def chosen_by_block(self, at: np.ndarray) -> PairMoments:
        """Moments (block, cell of the lattice) over the stamps that ``at`` (stamp, cell of the lattice) chooses."""
        return PairMoments.stack([PairMoments.stack(part).selected(at).pooled(axis=0) for part in self.drawn])


@dataclass
class HourScores:
    """Accumulator over blocks of a run: all cells for the scores, a lattice of them for the intervals.

    Parameters
    ----------
    region : bool (lat, lon)
    lon : ndarray (lon,) [degree east]
    methods : sequence of str
    intervals : list of (start, end), half-open
    block_days : int
        Length of the drawn blocks [day].
    most : int
        Most cells of the lattice.
    """

    region: np.ndarray
    lon: np.ndarray
    methods: Sequence[str]
    intervals: Intervals
    block_days: int
    most: int
    moments: dict[str, HourMoments] = field(init=False)

    def __post_init__(self) -> None:
        self.rows, self.columns = np.nonzero(self.region)
        wanted = lattice(self.region, self.most)
        number = np.full(self.region.shape, -1)
        number[self.rows, self.columns] = np.arange(self.rows.size)
        self.picked = number[wanted]
        self.starts = block_starts(self.intervals, self.block_days)
        self.at_overpass = overpass_stamps(self.lon, per_day=STEPS_PER_DAY)[:, self.columns]
        size = self.rows.size, self.starts.size, self.picked.size
        self.moments = {method: HourMoments.zeros(*size) for method in self.methods}

    def update(self, block: Block) -> None:
        """Add the steps of a block that lie inside the intervals, on the samples where all methods have a value."""
        number = block_of(block.times, self.starts, self.intervals)
        here = slice(None), self.rows, self.columns
        truth = np.where(block.scored(self.region), block.truth, np.nan)[here].astype(float)
        stamp = ((block.times - block.times.astype("M8[D]")) // np.timedelta64(STEP_HOURS, "h")).astype(int)
        for method, made in self.moments.items():
            values = block.fields[method][here].astype(float)
            for draw in np.unique(number[number >= 0]):
                for hour in np.unique(stamp):
                    steps = (number == draw) & (stamp == hour)
                    new = PairMoments.of(values[steps], truth[steps])
                    made.whole[hour].merge(new)
                    made.drawn[draw][hour].merge(PairMoments(*(array[self.picked] for array in new.arrays())))

    def sets(self) -> dict[str, np.ndarray]:
        """The stamps (stamp, cell) of each of :data:`SETS`."""
        return {"overpass": self.at_overpass, "all": np.ones_like(self.at_overpass), "other": ~self.at_overpass}


def validate_hours(
    *,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    heldout: str | Path,
    static: str | Path,
    fine: Grid,
    test_intervals: Intervals,
    json_path: str | Path,
    csv_path: str | Path,
    truths: Sequence[str | Path] = (),
    draws: int = 1000,
    block_days: int = 8,
    most_cells: int = 2500,
) -> Document:
    """Scores by time of day of a run's test split.

    Parameters
    ----------
    products, references : paths
        Product month and reference fields of each month of the test split, in the order of time.
    heldout : path
        Held-out SMAP pairs, see :mod:`pscnet.validation.heldout`.
    static : path
    fine : Grid
    test_intervals : list of (start, end), ISO, half-open
    json_path, csv_path : paths to write
    truths : paths
        The truth of each month; empty where there is none.
    draws, block_days : int
        Draws of the bootstrap, and length of its blocks [day].
    most_cells : int
        Most cells that the intervals rest on; scores rest on all.

    Raises
    ------
    ScoreError
        When the files do not belong together, or nothing can be scored.
    """
    months = matched_months(products, references, truths)
    require_months(products, test_intervals, "the product", "product_month")
    require_unseen_pairs(heldout, test_intervals)
    region = read_region(static, fine)
    with xr.open_dataset(months[0][1]) as first:
        names = methods_of(first.variables, months[0][1], product=False)
    document = Document("hours", "Skill by time of day", data=_hours_of_the_day(fine, region))
    if truths:
        scores = HourScores(region, fine.lon, [PRODUCT, *names], test_intervals, block_days, most_cells)
        for product, reference, truth in months:
            for block in read_blocks(product, reference, truth, names, fine):
                scores.update(block)
        document.tables = _truth_tables(scores, draws, document.data["hours"])
        document.note = f"{_PAPER} Scores rest on all cells. In intervals: " + said(
            scores.picked.size, scores.rows.size
        )
    else:
        document.note = f"{_PAPER} {_NO_TRUTH}"
    document.tables.append(_heldout_table(Path(heldout), test_intervals, draws, block_days, document.data["hours"]))
    document.write(json_path, csv_path)
    return document


def _hours_of_the_day(fine: Grid, region: np.ndarray) -> dict[str, object]:
    """UTC stamps, their local solar time at the region's centre, and which of them is an overpass somewhere."""
    columns = np.flatnonzero(region.any(axis=0))
    centre = float(fine.lon[columns].mean())
    utc = STEP_HOURS * np.arange(STEPS_PER_DAY)
    return {
        "longitude": centre,
        "hours": [
            {
                "utc": int(hour),
                "local": float(np.mod(hour + centre / 15.0, 24.0)),
                "overpass": bool(overpass_stamps(fine.lon[columns], per_day=STEPS_PER_DAY)[number].any()),
            }
            for number, hour in enumerate(utc)
        ],
    }


def hour_label(hour: Mapping[str, float]) -> str:
    """Name of a stamp: UTC, and local solar time of the region's centre."""
    minutes = round(60 * hour["local"]) % (24 * 60)
    return f"{hour['utc']:02d} UTC ({minutes // 60:02d}:{minutes % 60:02d} local solar)"


def _truth_tables(scores: HourScores, draws: int, hours: Sequence[Mapping[str, float]]) -> list[ScoreTable]:
    blocks = scores.starts.size
    weights = draw_weights(blocks, draws, 0)
    sets = scores.sets()
    rows, by_hour = [], []
    for method, moments in scores.moments.items():
        row = _method_row(METHODS[method], moments, sets, scores.picked, weights)
        if method == PRODUCT and not row.values["n"]:
            raise ScoreError(
                "no cell and step on test days with the truth and a value of every method; check the product, the "
                "reference fields and the split"
            )
        rows.append(row)
        for number, hour in enumerate(hours):
            by_block = PairMoments.stack([part[number] for part in moments.drawn])
            by_hour.append(_hour_row(METHODS[method], hour_label(hour), moments.whole[number], by_block, weights))
    order = {hour_label(hour): number for number, hour in enumerate(hours)}
    by_hour.sort(key=lambda row: order[row.group])
    note = "Mean over cells of the scores in time, against the truth; 95 % intervals from drawn blocks of time."
    return [
        ScoreTable("hours", "All hours against overpass hours, 10 km", COLUMNS, rows, note),
        ScoreTable("by_hour", "Against the truth by stamp of the day, 10 km", BY_HOUR, by_hour, note),
    ]


def _method_row(
    label: str, moments: HourMoments, sets: Mapping[str, np.ndarray], picked: np.ndarray, weights: np.ndarray
) -> Row:
    """Scores of each set of hours and their relative changes [%], with intervals."""
    values: dict[str, float | int | None] = {}
    drawn: dict[str, np.ndarray] = {}
    blocks: dict[str, int] = {}
    for name, at in sets.items():
        whole, by_block = moments.chosen(at), moments.chosen_by_block(at[:, picked])
        values[f"r_{name}"], cells = mean_of_cells(whole.r(SETS[name]))
        values[f"ubrmse_{name}"] = mean_of_cells(whole.ubrmsd(SETS[name]))[0]
        drawn[f"r_{name}"], drawn[f"ubrmse_{name}"] = draw_cell_means(by_block, weights, SETS[name])
        blocks[f"r_{name}"] = blocks[f"ubrmse_{name}"] = blocks_with_pairs(by_block)
        if name == "all":
            values |= {"n": int(whole.n.sum()), "cells": cells}
    for score in ("r", "ubrmse"):
        for name, key in (("all", f"{score}_change"), ("other", f"{score}_change_other")):
            one, base = f"{score}_{name}", f"{score}_overpass"
            values[key] = float(100.0 * relative_change(values[one], values[base]))
            drawn[key] = 100.0 * relative_change(drawn[one], drawn[base])
            blocks[key] = min(blocks[one], blocks[base])
    intervals = {key: interval_of(float(values[key]), drawn[key], blocks[key]) for key in drawn}
    return Row(label, values, intervals=intervals)


def _hour_row(label: str, group: str, whole: PairMoments, by_block: PairMoments, weights: np.ndarray) -> Row:
    total = whole.pooled()
    values = {
        "r": mean_of_cells(whole.r(MINIMUM_OF_HOUR))[0],
        "ubrmse": mean_of_cells(whole.ubrmsd(MINIMUM_OF_HOUR))[0],
        "bias": float(total.bias()),
        "n": int(total.n),
    }
    r, error = draw_cell_means(by_block, weights, MINIMUM_OF_HOUR)
    drawn = {"r": r, "ubrmse": error, "bias": draw_pooled(by_block.pooled(axis=1), weights).bias()}
    blocks = blocks_with_pairs(by_block)
    intervals = {key: interval_of(float(values[key]), drawn[key], blocks) for key in drawn}
    return Row(label, values, group, intervals)


def _heldout_table(
    path: Path, intervals: Intervals, draws: int, block_days: int, hours: Sequence[Mapping[str, float]]
) -> ScoreTable:
    """Agreement with held-out SMAP by stamp of the day, pooled over cells and days."""
    with xr.open_dataset(path) as file:
        methods = methods_of(file.variables, path, product=True)
        pairs = own_overpass(file)
        times = pairs["time"].values.astype("M8[ns]")
        smap = pairs["smap"].values.astype(float)
        fields = {method: pairs[method].values.astype(float) for method in methods}
    starts = block_starts(intervals, block_days)
    number = block_of(times, starts, intervals)
    weights = draw_weights(starts.size, draws, 0)
    good = (number >= 0) & np.logical_and.reduce([np.isfinite(values) for values in (smap, *fields.values())])
    hour = ((times - times.astype("M8[D]")) // np.timedelta64(1, "h")).astype(int)
    rows = []
    for stamp in hours:
        here = good & (hour == stamp["utc"])
        if np.count_nonzero(here) < MINIMUM_RETRIEVALS:
            continue
        for method, values in fields.items():
            by_block = _padded(grouped(values[here], smap[here], number[here]), starts.size)
            whole, drawn = by_block.pooled(), draw_pooled(by_block, weights)
            found = {"r": whole.r(MINIMUM_RETRIEVALS), "ubrmsd": whole.ubrmsd(), "bias": whole.bias()}
            again = {"r": drawn.r(), "ubrmsd": drawn.ubrmsd(), "bias": drawn.bias()}
            blocks = blocks_with_pairs(by_block)
            limits = {key: interval_of(float(found[key]), again[key], blocks) for key in found}
            kept = {key: float(value) for key, value in found.items()} | {"n": int(whole.n)}
            rows.append(Row(METHODS[method], kept, hour_label(stamp), limits))
    note = "SMAP is what the method learns from: agreement, not accuracy. Each pair without the overpass it is held to."
    return ScoreTable("heldout_by_hour", "Agreement with held-out SMAP by stamp, 36 km", HELD_OUT, rows, note)


def _padded(moments: PairMoments, size: int) -> PairMoments:
    """Moments (group,) with empty ones up to ``size`` groups."""
    return PairMoments(*(np.pad(array, (0, size - array.size)) for array in moments.arrays()))
