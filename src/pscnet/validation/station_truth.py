"""On the simulated Plateau: do scores at stations say what scores against the truth of the same cells say?

A station stands for its cell only roughly, so its scores are worse than those against the truth, by as much as the
station errs itself. With an error of the station that is independent of that of the method:

    R(method, station)        = R(method, truth) R(station, truth)          [Spearman 1904, doi:10.2307/1412159]
    ubRMSD(method, station)^2 = ubRMSD(method, truth)^2 + ubRMSD(station, truth)^2

They hold in the mean over stations, where gains above and below 1 cancel. What stations see is compared with what these
expect; the difference between the product and each other method likewise. They agree when 0 lies in the 95 % interval,
over stations, of seen minus expected. The control has the truth shifted in time, and must not agree.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pscnet.scores import PairMoments
from pscnet.timeaxis import STEPS_PER_DAY
from pscnet.validation import PRODUCT
from pscnet.validation.document import Column, Row, ScoreTable
from pscnet.validation.station_networks import LABELS, STATIONS, Pairs, station_values, stations_of
from pscnet.validation.station_scores import Rules, over_stations

#: Shift of the control's truth [day].
SHIFT_DAYS = 15

COLUMNS = [
    Column("station", "against stations", decimals=4),
    Column("truth", "against the truth", decimals=4),
    Column("expected", "expected at stations", decimals=4),
    Column("difference", "seen minus expected", decimals=4, better="zero"),
    Column("agrees", "agrees (1: yes)", decimals=0),
    STATIONS,
]

#: Scores that are checked, with their names for people.
CHECKED = {"r": "R", "ubrmsd": "ubRMSD [m3 m-3]"}

CONTROL = f"control, truth shifted by {SHIFT_DAYS} days"


def truth_check(pairs: Pairs, truth: np.ndarray, rules: Rules) -> ScoreTable:
    """The table of the check and its control.

    Parameters
    ----------
    pairs : Pairs
        3-hourly, on common stamps.
    truth : ndarray (sensor, time) [m3 m-3]
        NaN where the ground is frozen or under snow.
    rules : Rules
    """
    rows = _rows(pairs, truth, rules, "")
    shifted = np.roll(truth, SHIFT_DAYS * STEPS_PER_DAY, axis=1)
    rows += [row for row in _rows(pairs, shifted, rules, f", {CONTROL}") if "minus" not in row.label]
    note = (
        "Scores at stations beside those against the simulated truth at the same cells and stamps, means over "
        "stations. A station's own error lowers R and raises ubRMSD; expected is what the truth's scores become with "
        "it: R(truth) R(station, truth), and the root of ubRMSD(truth)^2 + ubRMSD(station, truth)^2. They agree when 0 "
        "lies in the 95 % interval over stations of seen minus expected; one in twenty misses by chance. The rows of "
        "the control must not agree."
    )
    return ScoreTable("truth_check", "In-situ scores against scores with the truth", COLUMNS, rows, note)


def _rows(pairs: Pairs, truth: np.ndarray, rules: Rules, suffix: str) -> list[Row]:
    both = np.isfinite(pairs.measured) & np.isfinite(truth)
    measured, truth = (np.where(both, values, np.nan) for values in (pairs.measured, truth))
    own = PairMoments.of(measured.T, truth.T)
    stations = stations_of(pairs.match)
    seen, exact, expected = {}, {}, {}
    for method, field in pairs.fields.items():
        at_station, at_truth = (PairMoments.of(field.T, side.T) for side in (measured, truth))
        least = rules.minimum
        seen[method] = {"r": at_station.r(least), "ubrmsd": at_station.ubrmsd(least)}
        exact[method] = {"r": at_truth.r(least), "ubrmsd": at_truth.ubrmsd(least)}
        expected[method] = {
            "r": exact[method]["r"] * own.r(least),
            "ubrmsd": np.hypot(exact[method]["ubrmsd"], own.ubrmsd(least)),
        }

    def values(of: Mapping[str, Mapping[str, np.ndarray]], method: str, score: str) -> np.ndarray:
        return station_values(pairs.match, of[method][score], stations)

    rows = []
    for score, name in CHECKED.items():
        for method in pairs.fields:
            parts = [values(of, method, score) for of in (seen, exact, expected)]
            rows.append(_row(LABELS[method], f"{name}{suffix}", *parts, rules.draws))
        for method in pairs.fields:
            if method != PRODUCT:
                parts = [values(of, PRODUCT, score) - values(of, method, score) for of in (seen, exact, expected)]
                rows.append(_row(f"product minus {LABELS[method]}", f"{name}{suffix}", *parts, rules.draws))
    return rows


def _row(label: str, group: str, seen: np.ndarray, exact: np.ndarray, expected: np.ndarray, draws: int) -> Row:
    """One line: means over stations (station,), and whether what is seen is what is expected."""
    row = Row(label, {"stations": int(np.isfinite(seen - expected).sum())}, group)
    for key, values in (("station", seen), ("truth", exact), ("expected", expected), ("difference", seen - expected)):
        row.values[key], row.intervals[key] = over_stations(values, draws)
    low, high = row.intervals["difference"]
    row.values["agrees"] = None if low is None or not np.isfinite(low) else int(low <= 0.0 <= high)  # type: ignore
    return row
