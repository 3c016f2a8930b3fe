"""Scores of every method by sensor, by station and by network, and the mean series of networks.

A station's score is the mean of its sensors', a network's the mean of its stations'; its interval comes from stations
drawn with replacement. The mean series of a network has a value at stamps where at least half of its stations report,
and is compared with the mean over the same stations' cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pscnet.validation import METHODS, PRODUCT
from pscnet.validation.document import Column, Row, ScoreTable
from pscnet.validation.resampling import FEWEST_BLOCKS
from pscnet.validation.station_match import Match
from pscnet.validation.station_scores import SCORES, Rules, Scored, daily_means, over_stations, score

#: The group of all stations where there are several networks.
ALL = "all networks"

#: SMAP's own retrievals, among the methods on the stamps of its overpasses.
RETRIEVALS = "smap_retrievals"

LABELS = METHODS | {RETRIEVALS: "SMAP, 36 km retrievals"}

#: Share of a network's stations that its mean needs.
PRESENT = 0.5

COUNT = Column("n", "stamps", decimals=0)
STATIONS = Column("stations", "stations", decimals=0)

_COUNTED = (
    "Stations and stamps are those behind R; ubRMSD, RMSD and bias rest on stations whose series does not vary too, "
    "anomaly R on those alone whose record is long enough."
)

FEW = (
    f"No interval over stations where fewer than {FEWEST_BLOCKS} stations have the score (a network with one station "
    "has scores and no such interval)."
)


@dataclass(frozen=True)
class Pairs:
    """Series that are scored: fields of each method and what was measured, both (sensor, time), NaN where not common.

    Attributes
    ----------
    match : Match
        Names and places of the sensors.
    times : datetime64 (time,)
    measured : ndarray
    fields : dict of method to ndarray
    """

    match: Match
    times: np.ndarray
    measured: np.ndarray
    fields: dict[str, np.ndarray]

    @classmethod
    def of(cls, match: Match, extra: Mapping[str, np.ndarray] | None = None) -> Pairs:
        """All methods and ``extra`` ones on the stamps where each has a value."""
        fields = {**match.fields, **(extra or {})}
        mask = match.common & np.logical_and.reduce([np.isfinite(values) for values in fields.values()])
        return cls(
            match,
            match.times,
            np.where(mask, match.measured, np.nan),
            {name: np.where(mask, values, np.nan) for name, values in fields.items()},
        )

    def daily(self) -> Pairs:
        """Daily means."""
        names = list(self.fields)
        days = np.unique(self.times.astype("M8[D]")).astype("M8[ns]")
        rows = [
            daily_means(self.times, [self.measured[k], *(self.fields[name][k] for name in names)])[1]
            for k in range(len(self.measured))
        ]
        means = np.array(rows).reshape(len(rows), 1 + len(names), days.size)
        return Pairs(self.match, days, means[:, 0], {name: means[:, 1 + m] for m, name in enumerate(names)})

    def against(self, other: np.ndarray) -> Pairs:
        """The same fields with ``other`` (sensor, time) in the place of what was measured."""
        return Pairs(self.match, self.times, np.where(np.isfinite(self.measured), other, np.nan), self.fields)

    def network_mean(self, stations: Sequence[tuple[str, str]]) -> Pairs:
        """Means over stations, as one sensor; the stations are those given by network and name."""
        names = ["", *self.fields]
        stacked = np.stack([self.measured, *self.fields.values()])
        parts = []
        for station in stations:
            rows = [k for k in range(len(self.measured)) if self.match.key(k) == station]
            parts.append(_mean(stacked[:, rows], axis=1))
        by_station = np.stack(parts)
        enough = np.isfinite(by_station[:, 0]).sum(axis=0) >= PRESENT * len(stations)
        means = np.where(enough, _mean(by_station, axis=0), np.nan)
        series = {name: means[number][None] for number, name in enumerate(names)}
        return Pairs(self.match, self.times, series.pop(""), series)


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the finite values; NaN where there is none."""
    count = np.isfinite(values).sum(axis=axis)
    return np.where(count > 0, np.nansum(values, axis=axis) / np.maximum(count, 1), np.nan)


def score_all(pairs: Pairs, rules: Rules, intervals: bool = True) -> dict[str, list[Scored]]:
    """Scores of each method at each sensor."""
    return {
        name: [score(values[k], pairs.measured[k], pairs.times, rules, intervals) for k in range(len(values))]
        for name, values in pairs.fields.items()
    }


def stations_of(match: Match) -> list[tuple[str, str]]:
    """Network and name of each station, in the order of the sensors."""
    return list(dict.fromkeys(match.key(k) for k in range(len(match.name))))


def groups_of(match: Match) -> dict[str, list[tuple[str, str]]]:
    """Stations of each network, and of all where there are several."""
    stations = stations_of(match)
    networks = list(dict.fromkeys(network for network, _ in stations))
    groups = {network: [station for station in stations if station[0] == network] for network in networks}
    return groups | ({ALL: stations} if len(networks) > 1 else {})


def station_values(match: Match, values: np.ndarray, stations: Sequence[tuple[str, str]]) -> np.ndarray:
    """Means (station,) over the sensors (sensor,) of each station."""
    keys = [match.key(k) for k in range(len(match.name))]
    return np.array([_mean(values[[key == station for key in keys]], axis=0) for station in stations])


def sensor_table(name: str, title: str, match: Match, scored: Mapping[str, Sequence[Scored]], note: str) -> ScoreTable:
    """One row for each sensor and method."""
    rows = [
        Row(LABELS[method], {**scored[method][k].values, "n": scored[method][k].n}, match.label(k),
            dict(scored[method][k].intervals))
        for k in range(len(match.name))
        for method in scored
    ]  # fmt: skip
    return ScoreTable(name, title, [*SCORES, COUNT], rows, note)


def network_table(
    name: str, title: str, match: Match, scored: Mapping[str, Sequence[Scored]], rules: Rules, note: str
) -> ScoreTable:
    """One row for each network and method: means over stations, with intervals from stations drawn anew."""
    rows = []
    for group, stations in groups_of(match).items():
        for method, at in scored.items():
            row = Row(LABELS[method], {}, group)
            for column in SCORES:
                values = station_values(match, np.array([one.values[column.key] for one in at]), stations)
                row.values[column.key], row.intervals[column.key] = over_stations(values, rules.draws)
            used = [k for k, one in enumerate(at) if match.key(k) in stations and np.isfinite(one.values["r"])]
            row.values |= {"stations": len({match.key(k) for k in used}), "n": sum(at[k].n for k in used)}
            rows.append(row)
    return ScoreTable(name, title, [*SCORES, STATIONS, COUNT], rows, f"{note} {_COUNTED} {FEW}".strip())


def difference_table(match: Match, scored: Mapping[str, Sequence[Scored]], rules: Rules) -> ScoreTable:
    """The product's score minus that of each other method, paired by station."""
    columns = [
        Column("r", "R", better="high"),
        Column("anomaly_r", "anomaly R", better="high"),
        Column("ubrmsd", "ubRMSD", "m3 m-3", 4, better="low"),
    ]
    rows = []
    for group, stations in groups_of(match).items():
        for method in scored:
            if method == PRODUCT:
                continue
            row = Row(f"product minus {LABELS[method]}", {}, group)
            for column in columns:
                ours, theirs = (
                    station_values(match, np.array([one.values[column.key] for one in scored[of]]), stations)
                    for of in (PRODUCT, method)
                )
                row.values[column.key], row.intervals[column.key] = over_stations(ours - theirs, rules.draws)
            rows.append(row)
    note = f"Means over stations of the difference at each, 3-hourly, with 95 % intervals over stations. {FEW}"
    return ScoreTable("differences", "The product against each other method", columns, rows, note)


def mean_series(pairs: Pairs, minimum: int) -> dict[str, Pairs]:
    """The mean series of each network (and of all) over its stations with at least ``minimum`` common stamps."""
    counts = np.isfinite(pairs.measured).sum(axis=1)
    enough = {pairs.match.key(k) for k in range(len(counts)) if counts[k] >= minimum}
    groups = {
        group: [station for station in stations if station in enough]
        for group, stations in groups_of(pairs.match).items()
    }
    return {group: pairs.network_mean(stations) for group, stations in groups.items() if stations}


def mean_table(name: str, title: str, means: Mapping[str, Pairs], rules: Rules, note: str) -> ScoreTable:
    """Scores of each network's mean series, with intervals from blocks of days drawn anew."""
    rows = []
    for group, pairs in means.items():
        for method, (one,) in score_all(pairs, rules).items():
            rows.append(Row(LABELS[method], {**one.values, "n": one.n}, group, dict(one.intervals)))
    return ScoreTable(name, title, [*SCORES, COUNT], rows, note)
