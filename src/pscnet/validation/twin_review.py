"""Is the simulated Plateau like the real one: every number beside the range that it is held to.

The review (:func:`review`) is a JSON-ready dict: ``checks``, one line a number (name, value, unit, range, inside,
source), and ``curves``, what the figures draw. Ranges and sources are in :mod:`pscnet.validation.twin_expected`, the
measures in ``twin_seasons``, ``twin_sources`` and ``twin_smap`` beside this module.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation import ScoreError
from pscnet.validation import twin_seasons as seasons
from pscnet.validation import twin_smap as smap
from pscnet.validation import twin_sources as sources
from pscnet.validation.twin_expected import EXPECTED, NETWORKS, judge

#: What is read of the predictors: soil water, soil temperature, rain.
NEEDED = ("swvl1", "stl1", "tp")
#: A network's surroundings [degree].
AROUND = 1.0

Check = dict[str, object]


@dataclass(frozen=True)
class Record:
    """The whole period at 3-hour stamps, each field (time, lat, lon).

    Attributes
    ----------
    grid : Grid
    times : datetime64[s] (time,)
        From 00 UTC on, without a gap.
    moisture : float32 [m3 m-3]
        The truth: liquid water, 0-5 cm.
    frozen, snow : bool
    model : float32 [m3 m-3]
        Soil water of the reanalysis, ice included.
    warmth : float32 [K]
        Its soil temperature.
    rain : float32 [mm]
        Its total of the 3 hours that end at the stamp.
    """

    grid: Grid
    times: np.ndarray
    moisture: np.ndarray
    frozen: np.ndarray
    snow: np.ndarray
    model: np.ndarray
    warmth: np.ndarray
    rain: np.ndarray

    @property
    def shut(self) -> np.ndarray:
        """Where no liquid water can be compared: frozen or under snow."""
        return self.frozen | self.snow


def read_record(truths: Sequence[str | Path], predictors: Sequence[str | Path], grid: Grid) -> Record:
    """Read the months in their order.

    Raises
    ------
    ScoreError
        When a predictor is missing, or stamps are missing or differ between truth and predictors.
    """
    fields: dict[str, list[np.ndarray]] = {}
    for truth_path, predictor_path in zip(truths, predictors, strict=True):
        with xr.open_dataset(truth_path) as truth, xr.open_dataset(predictor_path) as month:
            missing = [name for name in NEEDED if name not in month]
            if missing:
                raise ScoreError(
                    f"{predictor_path}: the review of the twin needs {', '.join(NEEDED)}; missing: "
                    f"{', '.join(missing)}; add them to the key predictors"
                )
            if not np.array_equal(truth["time"].values, month["time"].values):
                raise ScoreError(f"{truth_path}: other stamps than {predictor_path}; make both files again")
            for name, values in (
                ("times", truth["time"].values.astype("M8[s]")), ("moisture", truth["soil_moisture"].values),
                ("frozen", truth["frozen"].values > 0), ("snow", truth["snow"].values > 0),
                ("model", month["swvl1"].values), ("warmth", month["stl1"].values),
                ("rain", month["tp"].values * np.float32(1000.0)),
            ):  # fmt: skip
                fields.setdefault(name, []).append(values)
    record = Record(grid, **{name: np.concatenate(parts) for name, parts in fields.items()})
    steps = np.diff(record.times)
    if record.times[0] != record.times[0].astype("M8[D]") or (steps != np.timedelta64(STEP_HOURS, "h")).any():
        raise ScoreError(
            f"{truths[0]} ... {truths[-1]}: expected stamps every {STEP_HOURS} hours from 00 UTC on; found a gap or "
            "months out of order; give all months of the period in order"
        )
    return record


def review(record: Record, smap_months: Sequence[xr.Dataset], stations: Sequence[xr.Dataset]) -> dict[str, object]:
    """All checks and curves.

    Parameters
    ----------
    record : Record
    smap_months : sequence of Dataset
        Clean months of retrievals (``pscnet.sources.smap``).
    stations : sequence of Dataset
        Months of sensor values of the twin.

    Returns
    -------
    dict
        ``checks`` and ``curves``.
    """
    checks: list[Check] = []
    curves: dict[str, object] = {}
    days = record.times.size / STEPS_PER_DAY
    zones = seasons.zones_of(record.rain.sum(axis=0) / days * 365.2425)
    for part in (_levels, _seasons, _daily_cycles, _reanalysis, _rain):
        found, drawn = part(record, zones)
        checks += found
        curves.update(drawn)
    found, drawn = _retrievals(record, smap_months)
    checks += found
    curves.update(drawn)
    open_truth = xr.DataArray(
        np.where(record.shut, np.nan, record.moisture),
        {"lat": record.grid.lat, "lon": record.grid.lon}, ("time", "lat", "lon"),
    )  # fmt: skip
    errors = sources.station_errors(list(stations), record.times, open_truth)
    checks += [
        judge("station error, root mean square", float(np.sqrt(np.nanmean(errors**2)))),
        judge("station error, median station", float(np.nanmedian(errors))),
    ]
    curves["stations"] = np.round(errors, 5).tolist()
    return {"checks": checks, "curves": curves}


Found = tuple[list[Check], dict[str, object]]


def _levels(record: Record, zones: dict[str, np.ndarray]) -> Found:
    """Levels of unfrozen ground around the networks that lie in the box."""
    checks = []
    for name, ((lat, lon), _) in NETWORKS.items():
        near = (np.abs(record.grid.lat - lat) <= AROUND)[:, None] & (np.abs(record.grid.lon - lon) <= AROUND)[None, :]
        if near.sum() < 0.25 * (20 * AROUND) ** 2:
            continue
        values = record.moisture[:, near][~record.shut[:, near]]
        for end, share in (("5th", 5), ("95th", 95)):
            checks.append(judge(f"level around {name}, {end} percentile", float(np.percentile(values, share))))
    return checks, {}


def _seasons(record: Record, zones: dict[str, np.ndarray]) -> Found:
    checks, drawn = [], {}
    for zone, cells in zones.items():
        curve = seasons.mean_year(record.times, record.moisture[:, cells].mean(axis=1))
        numbers = seasons.season_numbers(curve)
        checks += [
            judge("peaks in the mean year", numbers["peaks"], zone),
            judge("thaw rise", numbers["thaw_rise"], zone),
            judge("steepest thaw", numbers["thaw_day"], zone),
        ]
        frozen = seasons.mean_year(record.times, record.frozen[:, cells].mean(axis=1))
        open_ground = np.where(record.shut[:, cells], np.nan, record.moisture[:, cells])
        drawn[zone] = {
            "share": float(cells.mean()), "moisture": curve.round(5).tolist(), "frozen": frozen.round(4).tolist(),
            "spread": np.nanpercentile(open_ground, [5, 95]).round(4).tolist(), **numbers,
        }  # fmt: skip
    return checks, {"seasons": drawn}


def _daily_cycles(record: Record, zones: dict[str, np.ndarray]) -> Found:
    anomaly, warmth = (seasons.day_anomalies(field) for field in (record.moisture, record.warmth))
    classes = seasons.day_classes(record.moisture, record.frozen, record.snow, record.rain)
    everything = np.ones(anomaly.shape[:1] + anomaly.shape[2:], bool)
    checks: list[Check] = []
    drawn: dict[str, dict[str, dict[str, object]]] = {}
    for zone, cells in zones.items():
        drawn[zone] = {}
        part, lon = anomaly[:, :, cells][..., None, :], np.broadcast_to(record.grid.lon, cells.shape)[cells]
        for season in seasons.SEASONS:
            days = seasons.season_of(record.times, season)
            here = part[days]
            kinds = {name: chosen[days][:, cells][:, None] for name, chosen in classes.items()}
            found = {name: seasons.daily_cycle(here, chosen, lon) for name, chosen in kinds.items()}
            whole = everything[days][:, cells][:, None]
            both = [
                seasons.daily_cycle(field[days][:, :, cells][..., None, :], whole, lon) for field in (anomaly, warmth)
            ]
            r = seasons.cycle_agreement(*both) if all(both) else float("nan")
            found["all"] = both[0]
            drawn[zone][season] = {**found, "r_with_temperature": r}
            checks += list(_cycle_checks(zone, season, found, r))
    return checks, {"daily": drawn}


def _cycle_checks(zone: str, season: str, found: dict[str, dict | None], r: float) -> Iterator[Check]:
    where = f"{zone}, {season}"
    if found["unfrozen"]:
        yield judge("daily range, unfrozen dry days", found["unfrozen"]["median_range"], where)
    for kind, days in (("freeze_thaw", "partly frozen dry days"), ("frozen", "frozen dry days")):
        if found[kind] and season in ("spring", "autumn"):
            yield judge(f"daily range, {days}", found[kind]["median_range"], where)
            yield judge(f"daily range, {days}, 95th percentile", found[kind]["high_range"], where)
    if found["all"] and season == "spring":
        yield judge("hour of the spring maximum, all days", found["all"]["peak_hour"], zone)
    names = [f"R of daily cycles, moisture and temperature, {kind}" for kind in (f"{zone} {season}", season)]
    known = [name for name in names if name in EXPECTED]
    if known and np.isfinite(r):
        yield judge(known[0], r, "" if zone in known[0] else zone)


def _reanalysis(record: Record, zones: dict[str, np.ndarray]) -> Found:
    scores = sources.against_truth(record.model, record.moisture, record.shut)
    checks = []
    for name, label in (("r", "R"), ("bias", "bias")):
        values = scores[name][np.isfinite(scores[name])]
        if not values.size:
            continue
        wanted = EXPECTED[f"ERA5-Land-like {label}, median cell"]
        inside = np.mean([wanted.holds(value) for value in values])
        checks += [
            judge(f"ERA5-Land-like {label}, median cell", float(np.median(values))),
            judge(f"ERA5-Land-like {label}, share of cells in range", float(inside)),
        ]
    maps = {name: values.round(4).tolist() for name, values in scores.items()}
    return checks, {"era5_land": {**maps, "lat": record.grid.lat.tolist(), "lon": record.grid.lon.tolist()}}


def _rain(record: Record, zones: dict[str, np.ndarray]) -> Found:
    warm = np.isin(record.times.astype("M8[M]").astype(int) % 12 + 1, sources.WARM_MONTHS)
    both = warm[1:] & warm[:-1]
    truth = sources.wettings(record.moisture, sources.TRUTH_DEPTH, record.shut)[both]
    model = sources.wettings(record.model, sources.MODEL_DEPTH, record.shut)[both]
    numbers = sources.rain_numbers(truth, model, STEP_HOURS)
    names = {
        "frequency_ratio": "wet steps, ERA5-Land-like over truth",
        "intensity_ratio": "intensity of wet steps, ERA5-Land-like over truth",
        "daily_r": "R of daily wettings, cell",
        "lead_hours": "lead of ERA5-Land-like rain",
    }
    checks = [judge(name, float(numbers[key])) for key, name in names.items()]  # type: ignore[arg-type]
    gain = float(numbers["daily_r_50km"]) - float(numbers["daily_r"])  # type: ignore[arg-type]
    checks.insert(3, judge("R of daily wettings, 50 km minus cell", gain))
    rain = record.rain[1:][both]
    numbers["curve"]["rain"] = [sources.wet_share(rain, limit) for limit in sources.THRESHOLDS]  # type: ignore[index]
    return checks, {"rain": numbers}


def _retrievals(record: Record, months: Sequence[xr.Dataset]) -> Found:
    lat, lon = months[0]["lat"].values, months[0]["lon"].values
    pairs = smap.collect(months, record.times, smap.inner_cells(record.grid, lat, lon))
    stated = smap.gaussian_weights(record.grid, lat, lon, smap.STATED_WIDTH)
    closed = [smap.at_pairs(field, stated, pairs) for field in (record.frozen, record.snow)]
    hours = smap.solar_hours(pairs, record.times, lon)
    gaps = smap.revisits(pairs, record.times)
    checks = [
        judge("revisit of one half, mean", float(gaps.mean()) if gaps.size else float("nan")),
        judge("revisits up to 3.5 days", float((gaps < 3.5).mean()) if gaps.size else float("nan")),
        judge("solar time, morning", float(hours[pairs.half % 2 == 0].mean())),
        judge("solar time, evening", float(hours[pairs.half % 2 == 1].mean())),
        judge("retrievals over frozen or snowy ground", float((np.maximum(*closed) > 0.5).mean())),
        judge("retrievals at the lower limit", float((pairs.value <= 0.0201).mean())),
    ]
    found, drawn = _noise(record, pairs, stated, lat, lon)
    drawn["gaps"] = np.histogram(gaps, np.arange(0.5, 9.0))[0].tolist()
    drawn["hours"] = np.histogram(hours, np.arange(0.0, 24.25, 0.25))[0].tolist()
    return checks + found, {"smap": drawn}


def _noise(record: Record, pairs: smap.Pairs, stated: object, lat: np.ndarray, lon: np.ndarray) -> Found:
    """Footprint, noise and bias: retrievals minus the truth of their footprints."""
    error = pairs.value - smap.at_pairs(record.moisture, stated, pairs)  # type: ignore[arg-type]
    good = pairs.recommended if pairs.recommended.any() else np.ones(error.size, bool)
    kept = pairs.chosen(good)
    residual, bias = smap.centred(error[good], kept.cell)
    spread = np.nanpercentile(bias, [5, 95])
    others = error[~good] - np.append(bias, np.full(pairs.cell.max() + 1 - bias.size, np.nan))[pairs.cell[~good]]
    by_width = []
    for width in smap.WIDTHS:
        weights = smap.gaussian_weights(record.grid, lat, lon, width)
        by_width.append(smap.centred(kept.value - smap.at_pairs(record.moisture, weights, kept), kept.cell)[0])
    months = record.times[kept.position.astype(int)].astype("M8[M]").astype(int)
    best, uncertain, variances = smap.footprint_width(by_width, months - months.min())
    correlation = smap.noise_correlation(residual, kept)
    checks = [
        judge("footprint, full width", best),
        judge("noise of recommended retrievals", float(residual.std())),
        judge("noise of the others", float(np.nanstd(others)) if others.size else float("nan")),
        judge("noise correlation, neighbours", correlation[1]),
        judge("regional bias, 5th percentile of cells", float(spread[0])),
        judge("regional bias, 95th percentile of cells", float(spread[1])),
    ]
    return checks, {
        "widths": list(smap.WIDTHS), "variances": variances, "width": best, "width_error": uncertain,
        "correlation": correlation, "bias": bias[np.isfinite(bias)].round(5).tolist(), "pairs": int(error.size),
    }  # fmt: skip


def write_review(
    truths: Sequence[str | Path],
    predictors: Sequence[str | Path],
    smap_months: Sequence[str | Path],
    stations: Sequence[str | Path],
    grid: Grid,
    run: str,
    output: str | Path,
) -> dict[str, object]:
    """Review the files of a run; write the document as JSON, replacing ``output`` only by a complete file."""
    record = read_record(truths, predictors, grid)
    found = review(record, [_load(path) for path in smap_months], [_load(path) for path in stations])
    document = {"run": run, **_without_nan(found)}
    with replacing(output) as part:
        part.write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")
    return document


def _without_nan(value: Any) -> Any:
    """The same nested document with None for numbers that are not defined: JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _load(path: str | Path) -> xr.Dataset:
    with xr.open_dataset(path) as month:
        return month.load()
