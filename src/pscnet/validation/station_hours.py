"""Skill at stations by hour of the day: is the product as good at the six hours at which SMAP never passes?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pscnet.scores import PairMoments, overpass_stamps
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation.document import Column, Row, ScoreTable
from pscnet.validation.resampling import interval_of
from pscnet.validation.station_networks import FEW, LABELS, STATIONS, Pairs, station_values, stations_of
from pscnet.validation.station_scores import Rules, over_stations, station_draws

COLUMNS = [
    Column("r", "R", better="high"),
    Column("ubrmsd", "ubRMSD", "m3 m-3", 4, better="low"),
    Column("r_change", "R against overpass hours", "%", 1, better="zero"),
    Column("ubrmsd_change", "ubRMSD against overpass hours", "%", 1, better="zero"),
    STATIONS,
]

#: Groups of the rows: all stamps, those nearest to overpasses, and each stamp of the day.
ALL_HOURS, OVERPASS = "all hours", "overpass hours"


def hour_table(pairs: Pairs, rules: Rules) -> ScoreTable:
    """R and ubRMSD at each stamp of the day, at overpass hours and at all, and the change from overpass hours.

    Parameters
    ----------
    pairs : Pairs
        3-hourly.
    rules : Rules
        A station needs an eighth of ``minimum`` at an hour.
    """
    stations = stations_of(pairs.match)
    masks = _masks(pairs)
    rows = []
    for method, field in pairs.fields.items():
        values = {group: _by_station(pairs, field, mask, rules, stations) for group, mask in masks.items()}
        for group in masks:
            row = Row(LABELS[method], {"stations": int(np.isfinite(values[group][0]).sum())}, group)
            for number, key in enumerate(("r", "ubrmsd")):
                row.values[key], row.intervals[key] = over_stations(values[group][number], rules.draws)
                change = f"{key}_change"
                row.values[change], row.intervals[change] = relative_change(
                    values[group][number], values[OVERPASS][number], rules.draws
                )
            rows.append(row)
    note = (
        "Means over all stations of scores of the common stamps at one hour [UTC]; overpass hours are the two stamps "
        "nearest to 6 and 18 h local solar time. The change is that of the mean over stations. "
    )
    return ScoreTable("hours", "At stations, by hour of the day", COLUMNS, rows, note + FEW)


def _masks(pairs: Pairs) -> dict[str, np.ndarray]:
    """Stamps (sensor, time) of each group of rows."""
    step = (pairs.times.astype("M8[h]").astype(int) // STEP_HOURS) % STEPS_PER_DAY
    everywhere = np.ones(pairs.measured.shape, dtype=bool)
    near = overpass_stamps(pairs.match.lon, per_day=STEPS_PER_DAY)[step].T
    hours = {f"{STEP_HOURS * hour:02d} UTC": everywhere & (step == hour) for hour in range(STEPS_PER_DAY)}
    return {ALL_HOURS: everywhere, OVERPASS: near, **hours}


def _by_station(
    pairs: Pairs, field: np.ndarray, mask: np.ndarray, rules: Rules, stations: Sequence[tuple[str, str]]
) -> tuple[np.ndarray, np.ndarray]:
    """R and ubRMSD, each (station,)."""
    enough = np.isfinite(pairs.measured).sum(axis=1) >= rules.minimum
    moments = PairMoments.of(np.where(mask, field, np.nan).T, pairs.measured.T)
    fewest = max(rules.minimum // STEPS_PER_DAY, 3)
    r, error = (np.where(enough, values, np.nan) for values in (moments.r(fewest), moments.ubrmsd(fewest)))
    return station_values(pairs.match, r, stations), station_values(pairs.match, error, stations)


def relative_change(values: np.ndarray, base: np.ndarray, draws: int) -> tuple[float, tuple[float, float]]:
    """Change [%] of the mean of ``values`` (station,) from that of ``base``, and its interval over stations."""
    good = np.isfinite(values) & np.isfinite(base)
    values, base = values[good], base[good]
    if not values.size or base.mean() == 0.0:
        return np.nan, (np.nan, np.nan)
    change = 100.0 * (values.mean() / base.mean() - 1.0)
    at = station_draws(values.size, draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = 100.0 * (values[at].mean(axis=1) / base[at].mean(axis=1) - 1.0)
    return float(change), interval_of(change, drawn, values.size)
