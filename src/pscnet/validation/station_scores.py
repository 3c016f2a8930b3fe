"""Scores of one series against a station's, with what they would be had other blocks of days been drawn.

R, bias, RMSD, ubRMSD and KGE are those of :class:`pscnet.scores.PairMoments`, anomaly R is that of departures from a
moving mean (:mod:`pscnet.validation.anomalies`). Intervals come from blocks of whole days drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pscnet.scores import PairMoments
from pscnet.timeaxis import STEPS_PER_DAY
from pscnet.validation.anomalies import anomalies
from pscnet.validation.document import Column
from pscnet.validation.resampling import draw_pooled, draw_weights, interval_of
from pscnet.validation.satellite import grouped

#: Columns of the scores of a table.
SCORES = [
    Column("r", "R", better="high"),
    Column("anomaly_r", "anomaly R", better="high"),
    Column("ubrmsd", "ubRMSD", "m3 m-3", 4, better="low"),
    Column("rmsd", "RMSD", "m3 m-3", 4, better="low"),
    Column("bias", "bias", "m3 m-3", 4, better="zero"),
    Column("kge", "KGE", better="one"),
]

#: Fewest common stamps of a day that has a mean: half of them.
STAMPS_OF_DAY = STEPS_PER_DAY // 2

#: Fewest values of an anomaly window, as a share of the stamps that it spans.
WINDOW_SHARE = 0.25


@dataclass(frozen=True)
class Rules:
    """How series are scored.

    Attributes
    ----------
    minimum : int
        Fewest common stamps of a score.
    step_days : float [day]
        Distance of the stamps.
    anomaly_days : float [day]
    starts : datetime64 (block,)
        First stamps of the blocks that are drawn.
    draws : int
    """

    minimum: int
    step_days: float
    anomaly_days: float
    starts: np.ndarray
    draws: int

    def daily(self) -> Rules:
        """The same for daily means."""
        fewest = max(-(-self.minimum // STEPS_PER_DAY), 2)
        return Rules(fewest, 1.0, self.anomaly_days, self.starts, self.draws)

    def at_least(self, minimum: int) -> Rules:
        """The same with another minimum."""
        return Rules(minimum, self.step_days, self.anomaly_days, self.starts, self.draws)


@dataclass
class Scored:
    """Scores of one series: NaN where not defined.

    Attributes
    ----------
    n : int
        Common stamps.
    values : dict of score to float
    intervals : dict of score to (low, high)
    """

    n: int
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


def score(x: np.ndarray, y: np.ndarray, times: np.ndarray, rules: Rules, intervals: bool = True) -> Scored:
    """Scores of ``x`` against ``y``, both (time,); pairs with a NaN are left out.

    Fewer pairs than ``rules.minimum`` have a count and no score; a series that does not vary has neither R nor KGE.
    """
    good = np.isfinite(x) & np.isfinite(y)
    x, y, times = x[good], y[good], times[good]
    if x.size < rules.minimum:
        return Scored(int(x.size), {column.key: np.nan for column in SCORES})
    away_x, away_y = (_anomaly(side, times, rules) for side in (x, y))
    block = np.searchsorted(rules.starts, times, side="right") - 1
    levels = _by_block(x, y, block)
    both = np.isfinite(away_x) & np.isfinite(away_y)
    changes = _by_block(away_x[both], away_y[both], block[both]) if both.sum() >= rules.minimum else None
    values = _scores(levels.pooled(), None if changes is None else changes.pooled())
    made = Scored(int(x.size), {name: float(value) for name, value in values.items()})
    if intervals:
        made.intervals = _intervals(levels, changes, made.values, rules.draws)
    return made


def _anomaly(side: np.ndarray, times: np.ndarray, rules: Rules) -> np.ndarray:
    """Departures (time,) where at least a quarter of the window has values."""
    spans = rules.anomaly_days / rules.step_days
    # Half a window at either end of the record, so that a whole one is not asked for there.
    return anomalies(side, times, rules.anomaly_days, max(int(np.ceil(WINDOW_SHARE * spans)), 2))


def _by_block(x: np.ndarray, y: np.ndarray, block: np.ndarray) -> PairMoments:
    """Moments of the blocks that have pairs."""
    return grouped(x, y, np.unique(block, return_inverse=True)[1].ravel())


def _scores(levels: PairMoments, changes: PairMoments | None) -> dict[str, np.ndarray]:
    return {
        "r": levels.r(),
        "anomaly_r": np.full(np.shape(levels.n), np.nan) if changes is None else changes.r(),
        "ubrmsd": levels.ubrmsd(),
        "rmsd": levels.rmsd(),
        "bias": levels.bias(),
        "kge": levels.kge(),
    }


def _intervals(
    levels: PairMoments, changes: PairMoments | None, values: Mapping[str, float], draws: int
) -> dict[str, tuple[float, float]]:
    """95 % interval of each score; NaN with few blocks."""
    blocks = levels.n.size
    drawn = _scores(draw_pooled(levels, draw_weights(blocks, draws, 0)), None)
    if changes is not None:
        drawn["anomaly_r"] = draw_pooled(changes, draw_weights(changes.n.size, draws, 0)).r()
    made = {name: interval_of(values[name], drawn[name], blocks) for name in values}
    if changes is not None:
        made["anomaly_r"] = interval_of(values["anomaly_r"], drawn["anomaly_r"], changes.n.size)
    return made


def daily_means(times: np.ndarray, fields: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Means of the stamps of each day on which all fields have a value, of days with at least half of the stamps.

    Parameters
    ----------
    times : datetime64 (time,)
    fields : sequence of ndarray (time,)

    Returns
    -------
    days : datetime64 (day,)
    means : list of ndarray (day,)
        NaN on days with fewer stamps.
    """
    days, number = np.unique(times.astype("M8[D]"), return_inverse=True)
    good = np.logical_and.reduce([np.isfinite(values) for values in fields])
    count = np.bincount(number[good], minlength=days.size)
    means = [
        np.where(
            count >= STAMPS_OF_DAY,
            np.bincount(number[good], values[good], days.size) / np.maximum(count, 1),
            np.nan,
        )
        for values in fields
    ]
    return days.astype("M8[ns]"), means


def over_stations(values: np.ndarray, draws: int, seed: int = 0) -> tuple[float, tuple[float, float]]:
    """Mean over stations (station,) of a score, and its 95 % interval from stations drawn with replacement.

    Stations without the score are left out. NaN with fewer than five stations: so few do not tell how different
    stations are.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return np.nan, (np.nan, np.nan)
    mean = float(finite.mean())
    drawn = finite[station_draws(finite.size, draws, seed)].mean(axis=1)
    return mean, interval_of(mean, drawn, finite.size)


def station_draws(stations: int, draws: int, seed: int = 0) -> np.ndarray:
    """Positions (draw, station) of stations drawn with replacement."""
    return np.random.default_rng(seed).integers(0, stations, (draws, stations))
