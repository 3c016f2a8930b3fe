"""Scores at stations: product, reference fields and SMAP's own retrievals beside what sensors in the ground report."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources.atomic import replacing
from pscnet.sources.stations import reasons_of
from pscnet.timeaxis import STEPS_PER_DAY
from pscnet.validation import PRODUCT
from pscnet.validation.blocks import BLOCK_DAYS, block_starts
from pscnet.validation.document import Document
from pscnet.validation.leakage import require_unseen_pairs
from pscnet.validation.station_hours import hour_table
from pscnet.validation.station_match import Match, match
from pscnet.validation.station_networks import (
    RETRIEVALS,
    Pairs,
    difference_table,
    mean_series,
    mean_table,
    network_table,
    score_all,
    sensor_table,
)
from pscnet.validation.station_scores import Rules, Scored
from pscnet.validation.station_truth import truth_check

logger = logging.getLogger(__name__)

#: Days between two retrievals of a cell: two half-orbits in about three days.
_REVISIT_DAYS = 1.5

_TITLE = "At stations"


def validate_stations(
    *,
    sensors: str | Path,
    heldout: str | Path,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    predictors: Sequence[str | Path],
    smap: Sequence[str | Path],
    fine: Grid,
    coarse: Grid,
    test_intervals: Sequence[tuple[str, str]],
    window_days: float,
    json_out: str | Path,
    csv_out: str | Path,
    series_out: str | Path,
    truths: Sequence[str | Path] = (),
    min_stamps: int = 120,
    min_retrievals: int = 10,
    anomaly_days: float = 35.0,
    draws: int = 1000,
) -> Document:
    """Score the test days at stations; write tables and series.

    Parameters
    ----------
    sensors, products, references, predictors, smap, truths, fine, coarse, test_intervals
        See :func:`pscnet.validation.station_match.match`.
    heldout : path, see :mod:`pscnet.validation.heldout`; it says what the checkpoint was trained on
    window_days : float [day]
        Reach of the retrieval window: no block of the bootstrap is shorter.
    json_out, csv_out, series_out : paths to write
        Tables, and the series at the sensors (sensor, time) for maps and pages.
    min_stamps, min_retrievals : int
        Fewest common stamps of a score, of one on the stamps of SMAP's overpasses.
    anomaly_days : float [day]
    draws : int

    Returns
    -------
    Document

    Raises
    ------
    ScoreError
        When the net has seen a scored day, or the files do not belong together.
    """
    require_unseen_pairs(heldout, test_intervals)
    matched = match(
        sensors=sensors, products=products, references=references, predictors=predictors, smap=smap, truths=truths,
        fine=fine, coarse=coarse, test_intervals=test_intervals,
    )  # fmt: skip
    starts = block_starts(test_intervals, max(BLOCK_DAYS, int(np.ceil(window_days))))
    rules = Rules(min_stamps, 1.0 / STEPS_PER_DAY, anomaly_days, starts, draws)
    document = make_document(matched, rules, min_retrievals, _left_out(sensors))
    document.write(json_out, csv_out)
    write_series(matched, series_out)
    for line in document.note.splitlines():
        logger.info("%s", line)
    return document


def _left_out(sensors: str | Path) -> list[dict[str, str]]:
    with xr.open_dataset(sensors) as data:
        return json.loads(data.attrs.get("left_out", "[]"))


def make_document(matched: Match, rules: Rules, min_retrievals: int, left_out: Sequence[dict[str, str]]) -> Document:
    """All tables, and the data of the figures; a note alone where no sensor is of use."""
    if not matched.name:
        reasons = reasons_of(entry["reason"] for entry in left_out)
        note = f"No sensor is of use, so there are no scores at stations. Left out: {reasons}."
        return Document("stations", _TITLE, note, [], {"stations": [], "left_out": list(left_out), "series": {}})
    pairs = Pairs.of(matched)
    days = pairs.daily()
    passes = Pairs.of(matched, {RETRIEVALS: matched.smap})
    scored, daily = score_all(pairs, rules), score_all(days, rules.daily())
    at_passes = Rules(min_retrievals, _REVISIT_DAYS, rules.anomaly_days, rules.starts, rules.draws)
    overpasses = score_all(passes, at_passes, intervals=False)
    means, mean_days = mean_series(pairs, rules.minimum), mean_series(days, rules.daily().minimum)
    few = f"At least {rules.minimum} common stamps; below that the count is shown and no score."
    few_days = f"Daily means of common stamps, at least {rules.daily().minimum} days."
    over = "Means over stations; 95 % intervals from stations drawn with replacement."
    block = "95 % intervals from blocks of days drawn with replacement."
    half = "The mean of a network needs half of its stations; the product's is that of the same stations' cells."
    own = (
        f"On the smaller set of stamps at which the 36 km cell around the station has a retrieval, at least "
        f"{min_retrievals}; all methods on these stamps."
    )
    tables = [
        network_table("networks", "Networks, 3-hourly", matched, scored, rules, f"{over} {few}"),
        network_table("networks_daily", "Networks, daily", matched, daily, rules.daily(), f"{over} {few_days}"),
        difference_table(matched, scored, rules),
        mean_table("network_means", "Mean series of networks, 3-hourly", means, rules, f"{half} {block}"),
        mean_table(
            "network_means_daily", "Mean series of networks, daily", mean_days, rules.daily(), f"{half} {block}"
        ),
        network_table("overpasses", "Networks, at SMAP's overpasses", matched, overpasses, at_passes, f"{over} {own}"),
        hour_table(pairs, rules),
        sensor_table("sensors", "Sensors, 3-hourly", matched, scored, f"{block} {few}"),
        sensor_table("sensors_daily", "Sensors, daily", matched, daily, f"{block} {few_days}"),
    ]
    if matched.truth is not None:
        tables.insert(3, truth_check(pairs, matched.truth, rules))
    data = {
        "stations": _listing(matched, scored),
        "left_out": list(left_out),
        "series": _mean_data(matched, mean_days),
    }
    return Document("stations", _TITLE, _note(matched, scored, rules, left_out), tables, data)


def _listing(matched: Match, scored: dict[str, list[Scored]]) -> list[dict[str, Any]]:
    """Each sensor with its place, the counts of its stamps and the product's scores."""
    return [
        {
            "network": matched.network[k],
            "station": matched.station[k],
            "sensor": matched.name[k],
            "label": matched.label(k),
            "lat": float(matched.lat[k]),
            "lon": float(matched.lon[k]),
            "depth": [float(matched.depth_from[k]), float(matched.depth_to[k])],
            "n": scored[PRODUCT][k].n,
            **scored[PRODUCT][k].values,
            **counts,
        }
        for k, counts in enumerate(matched.counts())
    ]


def _mean_data(matched: Match, means: dict[str, Pairs]) -> dict[str, dict[str, Any]]:
    """Daily series of each network's mean, for the figure."""
    made = {}
    for group, pairs in means.items():
        members = [group == matched.network[k] or group not in matched.network for k in range(len(matched.name))]
        shown = {"station": pairs.measured[0], **{name: values[0] for name, values in pairs.fields.items()}}
        shown["sigma"] = _daily_mean(matched, np.where(matched.common, matched.sigma, np.nan)[members])
        shown["smap"] = _daily_mean(matched, matched.smap[members])
        made[group] = {
            "time": [str(day) for day in pairs.times.astype("M8[D]")],
            **{name: [float(value) for value in np.round(values, 5)] for name, values in shown.items()},
        }
    return made


def _daily_mean(matched: Match, values: np.ndarray) -> np.ndarray:
    """Mean (day,) of all finite values (sensor, time) of a day."""
    days, number = np.unique(matched.times.astype("M8[D]"), return_inverse=True)
    good = np.isfinite(values)
    sums = [np.bincount(number, part.sum(axis=0), days.size) for part in (np.where(good, values, 0.0), good)]
    return np.where(sums[1] > 0, sums[0] / np.maximum(sums[1], 1), np.nan)


def _note(matched: Match, scored: dict[str, list[Scored]], rules: Rules, left_out: Sequence[dict[str, str]]) -> str:
    """What a reader must know: which stations, on which stamps, and what is not there."""
    stations = {matched.key(k) for k in range(len(matched.name))}
    parts = [
        f"{len(matched.name)} sensors at {len(stations)} stations of {len(set(matched.network))} networks; good values "
        "within 1.5 h of a stamp, on ground that is unfrozen by sensor, model and product and free of snow by the "
        "product, on stamps where all methods have a value."
    ]
    unknown = int((matched.unknown_model & np.isfinite(matched.measured)).sum())
    if unknown:
        parts.append(f"{unknown} values are not scored, as the model's soil temperature (stl1) is not known there.")
    lacking = [(k, one.n) for k, one in enumerate(scored[PRODUCT]) if one.n < rules.minimum]
    if lacking:
        shown = "; ".join(f"{matched.label(k)}: {n}" for k, n in lacking)
        parts.append(f"Too few common stamps for scores (fewer than {rules.minimum}): {shown}.")
    constant = [
        k for k, one in enumerate(scored[PRODUCT]) if one.n >= rules.minimum and not np.isfinite(one.values["r"])
    ]
    if constant:
        shown = "; ".join(matched.label(k) for k in constant)
        parts.append(f"No R and KGE where a series does not vary: {shown}.")
    for network in dict.fromkeys(matched.network):
        if len({station for of, station in stations if of == network}) == 1:
            parts.append(f"{network} has one station: its scores have no interval over stations.")
    if not np.isfinite(matched.warmth).any():
        parts.append("No sensor has a thermometer: frozen soil is masked by model and product alone.")
    if left_out:
        parts.append(f"{len(left_out)} files or stations are left out; their reasons are in the data of this document.")
    return "\n".join(parts)


def write_series(matched: Match, path: str | Path) -> None:
    """Write the series at the sensors: NetCDF with dims (sensor, time) and what each variable is."""
    moisture = {"units": "m3 m-3"}
    series = {
        "in_situ": (matched.measured, {**moisture, "long_name": "soil moisture of the sensor, good values"}),
        "product": (matched.fields[PRODUCT], {**moisture, "long_name": "product at the sensor's cell"}),
        "uncertainty": (matched.sigma, {**moisture, "long_name": "standard deviation of the product"}),
        **{
            name: (values, {**moisture, "long_name": f"{name} at the sensor's cell"})
            for name, values in matched.fields.items()
            if name != PRODUCT
        },
        "smap": (matched.smap, {**moisture, "long_name": "SMAP retrieval of the 36 km cell around the sensor"}),
        "soil_temperature": (matched.warmth, {"units": "degC", "long_name": "temperature at the sensor"}),
    }
    if matched.truth is not None:
        series["truth"] = (matched.truth, {**moisture, "long_name": "simulated truth of the sensor's cell"})
    names = {"network": matched.network, "station": matched.station, "sensor_name": matched.name}
    places = {"lat": "degrees_north", "lon": "degrees_east", "depth_from": "m", "depth_to": "m"}
    made = xr.Dataset(
        {name: (("sensor", "time"), values.astype("f4"), attrs) for name, (values, attrs) in series.items()},
        coords={"time": matched.times}
        | {name: ("sensor", np.array(values, dtype=str)) for name, values in names.items()}
        | {name: ("sensor", getattr(matched, name), {"units": unit}) for name, unit in places.items()},
        attrs={"Conventions": "CF-1.11", "title": "Stations, product and references on the stamps of the test days"},
    )
    made["common"] = (
        ("sensor", "time"), matched.common.astype("i1"), {"long_name": "1: unfrozen, no snow, all methods have a value"}
    )  # fmt: skip
    # A variable without any value cannot be compressed.
    encoding = {name: {"zlib": True, "complevel": 1} for name in made.data_vars if made.sizes["sensor"]}
    with replacing(path) as part:
        made.to_netcdf(part, engine="netcdf4", encoding=encoding)
