"""Scores of fine fields against the truth, in one pass over the blocks of a long series.

All methods are scored on the same cells and steps: those where the truth is given and every method has a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from pscnet.grids import Grid
from pscnet.scores import (
    MINIMUM_STEPS,
    PairMoments,
    SubPixel,
    crps_gaussian,
    detail_scores,
    mean_of_cells,
    relative_change,
)
from pscnet.scores import overpass_stamps as nearest_to_overpass
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY

_STEP = np.timedelta64(STEP_HOURS, "h")


class Calibration:
    """Running sums that tell whether errors are as large as their standard deviation says.

    Parameters
    ----------
    nominal : sequence of float
        Probabilities of central Gaussian intervals whose share of the truth is counted as well, see :func:`inside`.
    """

    def __init__(self, nominal: Sequence[float] = ()) -> None:
        self.n = 0
        self.sums = {"inside_1_sigma": 0.0, "inside_2_sigma": 0.0, "crps": 0.0, "mean_sigma": 0.0, "mean_z2": 0.0}
        self.limits = {inside(p): float(ndtri(0.5 + 0.5 * p)) ** 2 for p in nominal}
        self.sums |= dict.fromkeys(self.limits, 0.0)

    def update(self, mean: np.ndarray, sigma: np.ndarray, truth: np.ndarray) -> None:
        """Add forecasts; elements with a NaN or a standard deviation that is not positive are left out."""
        good = np.isfinite(mean) & np.isfinite(truth) & (sigma > 0)
        mean, sigma, truth = mean[good], sigma[good], truth[good]
        z2 = ((truth - mean) / sigma) ** 2
        self.n += int(z2.size)
        self.sums["inside_1_sigma"] += float((z2 <= 1.0).sum())
        self.sums["inside_2_sigma"] += float((z2 <= 4.0).sum())
        self.sums["crps"] += float(crps_gaussian(mean, sigma, truth).sum())
        self.sums["mean_sigma"] += float(sigma.sum())
        self.sums["mean_z2"] += float(z2.sum())
        for name, limit in self.limits.items():
            self.sums[name] += float((z2 <= limit).sum())

    def scores(self) -> dict[str, float]:
        """Shares and means; NaN where nothing was added."""
        return {name: total / self.n if self.n else float("nan") for name, total in self.sums.items()}


def inside(nominal: float) -> str:
    """Name of the share of truth inside the central interval of probability ``nominal``."""
    return f"inside_{round(100 * nominal)}_percent"


@dataclass
class Parts:
    """Moments of one method over time, a set (cells,) for each kind of score.

    Attributes
    ----------
    levels, overpass : PairMoments
        Soil moisture at all hours and at the stamps nearest to an overpass.
    changes : PairMoments
        3-hour changes.
    plain, beyond : PairMoments
        Anomalies within coarse cells, see :class:`pscnet.scores.SubPixel`.
    """

    levels: PairMoments
    overpass: PairMoments
    changes: PairMoments
    plain: PairMoments
    beyond: PairMoments


#: Fewest samples of a score over a cell's steps at one or two hours of the day.
MINIMUM_OF_HOUR = MINIMUM_STEPS // STEPS_PER_DAY


class TruthScores:
    """Accumulator of the 10 km score table.

    Parameters
    ----------
    fine, coarse : Grid
    methods : sequence of str
        Names of the fields that every block brings.
    nominal : sequence of float
        See :class:`Calibration`.
    """

    def __init__(self, fine: Grid, coarse: Grid, methods: Sequence[str], nominal: Sequence[float] = ()):
        self.shape = fine.shape
        self.methods = list(methods)
        self.subpixel = SubPixel(fine, coarse)
        self.at_overpass = np.broadcast_to(
            nearest_to_overpass(fine.lon, per_day=STEPS_PER_DAY)[:, None, :], (STEPS_PER_DAY, *fine.shape)
        ).reshape(STEPS_PER_DAY, -1)
        self.nominal = tuple(nominal)
        self.scorable = self.scored = 0
        self.valued = dict.fromkeys(self.methods, 0)
        self._last: tuple[np.datetime64, dict[str, np.ndarray], np.ndarray] | None = None
        self.restart()

    def restart(self) -> None:
        """Forget the moments and the calibration, such as when those of one block of time have been taken.

        The last step stays known, so that the change across a border counts, with the block after it; so do the counts.
        """
        cells = self.at_overpass.shape[1:]
        self.levels = {m: [PairMoments.zeros(cells) for _ in range(STEPS_PER_DAY)] for m in self.methods}
        self.changes = {m: PairMoments.zeros(cells) for m in self.methods}
        self.plain = {m: PairMoments.zeros(cells) for m in self.methods}
        self.beyond = {m: PairMoments.zeros(cells) for m in self.methods}
        self.calibration = Calibration(self.nominal)

    def update(
        self,
        times: np.ndarray,
        truth: np.ndarray,
        fields: Mapping[str, np.ndarray],
        sigma: np.ndarray | None = None,
        calibrated: str | None = None,
    ) -> None:
        """Add a block; blocks come in the order of time.

        Parameters
        ----------
        times : datetime64 (time,)
        truth : ndarray (time, lat, lon) [m3 m-3]
            NaN where it is not to be scored.
        fields : mapping of method to ndarray (time, lat, lon) [m3 m-3]
        sigma : ndarray (time, lat, lon) [m3 m-3], optional
            Standard deviation of the field named ``calibrated``.
        """
        flat = (len(times), -1)
        truth = np.array(truth, dtype=float).reshape(flat)
        values = {m: np.array(fields[m], dtype=float).reshape(flat) for m in self.methods}
        self.scorable += int(np.isfinite(truth).sum())
        for method, field in values.items():
            self.valued[method] += int((np.isfinite(truth) & np.isfinite(field)).sum())
        common = np.logical_and.reduce([np.isfinite(truth), *(np.isfinite(v) for v in values.values())])
        self.scored += int(common.sum())
        for field in (truth, *values.values()):
            field[~common] = np.nan
        self._add_levels(np.asarray(times), truth, values)
        self._add_changes(np.asarray(times), truth, values)
        (truth_plain, truth_beyond), *parts = self.subpixel.split([truth, *values.values()])
        for method, (plain, beyond) in zip(self.methods, parts, strict=True):
            self.plain[method].update(plain, truth_plain)
            self.beyond[method].update(beyond, truth_beyond)
        if sigma is not None and calibrated is not None:
            self.calibration.update(values[calibrated], np.asarray(sigma, dtype=float).reshape(flat), truth)

    def _add_levels(self, times: np.ndarray, truth: np.ndarray, values: dict[str, np.ndarray]) -> None:
        stamp = (times - times.astype("M8[D]")) // _STEP
        for hour in np.unique(stamp):
            rows = stamp == hour
            for method in self.methods:
                self.levels[method][int(hour)].update(values[method][rows], truth[rows])

    def _add_changes(self, times: np.ndarray, truth: np.ndarray, values: dict[str, np.ndarray]) -> None:
        """Changes between neighbouring steps, across the border to the block before where it is one step away."""
        before = self._last
        self._last = times[-1], {m: values[m][-1].copy() for m in self.methods}, truth[-1].copy()
        if before is not None:
            times = np.insert(times, 0, before[0])
            truth = np.vstack([before[2], truth])
        one_step = np.diff(times) == _STEP
        truth_change = np.diff(truth, axis=0)[one_step]
        for method in self.methods:
            field = values[method] if before is None else np.vstack([before[1][method], values[method]])
            self.changes[method].update(np.diff(field, axis=0)[one_step], truth_change)

    def counts(self) -> dict[str, object]:
        """Cells and steps where the truth is given, where all methods have a value too, and where each has one."""
        return {"scorable": self.scorable, "scored": self.scored, "valued": dict(self.valued)}

    def table(self, calibrated: str | None = None) -> dict[str, dict[str, float]]:
        """The score table: method to score to number."""
        rows = {method: score_row(self.parts(method)) for method in self.methods}
        if calibrated is not None:
            rows[calibrated] |= self.calibration.scores()
        return rows

    def parts(self, method: str) -> Parts:
        """Moments of one method, from which its row follows."""
        by_hour = PairMoments.stack(self.levels[method])
        overpass = by_hour.selected(self.at_overpass).pooled(axis=0)
        return Parts(by_hour.pooled(axis=0), overpass, self.changes[method], self.plain[method], self.beyond[method])

    def by_hour(self) -> dict[str, dict[str, list[float]]]:
        """Mean over cells of temporal R and ubRMSE of each stamp of the day (00, 03, ... 21 UTC), by method."""
        return {method: hourly_scores(self.levels[method]) for method in self.methods}


def hourly_scores(levels: Sequence[PairMoments]) -> dict[str, list[float]]:
    """Mean over cells of temporal R and ubRMSE of the moments (cells,) of each stamp of the day."""
    return {
        "temporal_r": [mean_of_cells(part.r(MINIMUM_OF_HOUR))[0] for part in levels],
        "ubrmse": [mean_of_cells(part.ubrmsd(MINIMUM_OF_HOUR))[0] for part in levels],
    }


def score_row(parts: Parts) -> dict[str, float]:
    """A method's row of the score table."""
    total = parts.levels.pooled()
    temporal_r, scored_cells = mean_of_cells(parts.levels.r(MINIMUM_STEPS))
    plain, beyond = detail_scores(parts.plain), detail_scores(parts.beyond)
    row = {
        "temporal_r": temporal_r,
        "ubrmse": mean_of_cells(parts.levels.ubrmsd(MINIMUM_STEPS))[0],
        "bias": float(total.bias()),
        "rmse": float(total.rmsd()),
        "pooled_r": float(total.r()),
        "pooled_ubrmse": float(total.ubrmsd()),
        "subpixel_r": plain["all"],
        "subpixel_r_static": plain["static"],
        "subpixel_r_dynamic": plain["dynamic"],
        "subpixel_r_beyond": beyond["all"],
        "subpixel_r_beyond_static": beyond["static"],
        "subpixel_r_beyond_dynamic": beyond["dynamic"],
        "change_r": mean_of_cells(parts.changes.r(MINIMUM_STEPS))[0],
        "change_r_pooled": float(parts.changes.pooled().r()),
        "overpass_temporal_r": mean_of_cells(parts.overpass.r(MINIMUM_OF_HOUR))[0],
        "overpass_ubrmse": mean_of_cells(parts.overpass.ubrmsd(MINIMUM_OF_HOUR))[0],
        "n": int(total.n),
        "cells": scored_cells,
    }
    return row | {name: float(change) for name, change in hour_changes(row).items()}


def hour_changes(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Relative change of R and of ubRMSE from overpass hours to all hours, of numbers or draws; NaN where undefined."""
    return {
        name: relative_change(row[score], row[f"overpass_{score}"])
        for name, score in (("all_hours_r", "temporal_r"), ("all_hours_ubrmse", "ubrmse"))
    }
