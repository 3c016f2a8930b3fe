"""Does the product move as soil moisture does: answers to rain, daily cycle, changes and spectra beside the references.

Everything is taken on common cells and steps, of thawed and bare ground. Where there is a truth (the simulated Plateau)
every method is compared with it; elsewhere the numbers describe the methods side by side and judge none. Definitions
stand in :mod:`pscnet.validation.events`, :mod:`~pscnet.validation.diurnal` and :mod:`~pscnet.validation.spectra`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pscnet.grids import Grid
from pscnet.scores import PairMoments
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation import METHODS
from pscnet.validation.blocks import block_starts
from pscnet.validation.diurnal import (
    CHANGES,
    DIURNAL,
    Harmonics,
    change_row,
    daily_harmonics,
    harmonic_row,
    mean_cycle,
)
from pscnet.validation.document import Column, Document, Row, ScoreTable
from pscnet.validation.events import BEFORE, composite, find_events, responses
from pscnet.validation.lattice import said
from pscnet.validation.leakage import require_unseen_pairs
from pscnet.validation.resampling import block_of, blocks_with_pairs, draw_pooled, draw_weights, interval_of
from pscnet.validation.sampled import TRUTH, Sampled, read_sampled
from pscnet.validation.satellite import grouped
from pscnet.validation.seasons import season_of, seasons_of
from pscnet.validation.series import read_region
from pscnet.validation.spectra import SpaceSpectra, Spectra, binned, time_spectra

Intervals = Sequence[tuple[object, object]]

#: Names for people, the truth's among them.
LABELS = METHODS | {TRUTH: "truth"}

EVENTS = [
    Column("events", "events", "", 0),
    Column("rise", "rise after rain, mean", "m3 m-3", 4),
    Column("rise_bias", "bias of the rise", "m3 m-3", 4, "zero"),
    Column("rise_r", "R of the rise", "", 3, "high"),
    Column("answered", "share of events with a rise of 0.01", "", 2),
    Column("half_delay", "delay of half of the rise, mean", "h", 1),
    Column("half_delay_bias", "bias of that delay", "h", 1, "zero"),
    Column("half_delay_r", "R of that delay", "", 3, "high"),
    Column("peak_delay", "delay of the peak, mean", "h", 1),
    Column("peak_delay_bias", "bias of that delay", "h", 1, "zero"),
    Column("peak_delay_r", "R of that delay", "", 3, "high"),
]

DRYDOWN = [
    Column("drydowns", "dry-downs", "", 0),
    Column("failed", "fits that failed", "", 0),
    Column("tau", "time constant, geometric mean", "day", 2),
    Column("tau_ratio", "ratio to the truth's", "", 2, "one"),
    Column("tau_r", "R of its logarithm", "", 3, "high"),
    Column("compared", "dry-downs with both fits", "", 0),
]

RESOLUTION = [
    Column("period", "time: power below half of the truth's", "h", 1, "low"),
    Column("period_coherence", "time: coherence below 0.5", "h", 1, "low"),
    Column("wavelength", "space: power below half of the truth's", "km", 0, "low"),
    Column("wavelength_coherence", "space: coherence below 0.5", "km", 0, "low"),
]


def validate_dynamics(
    *,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    predictors: Sequence[str | Path],
    heldout: str | Path,
    static: str | Path,
    fine: Grid,
    test_intervals: Intervals,
    json_path: str | Path,
    csv_path: str | Path,
    truths: Sequence[str | Path] = (),
    events: Mapping[str, float] | None = None,
    draws: int = 1000,
    block_days: int = 8,
    most_cells: int = 2500,
) -> Document:
    """Temporal dynamics of a run's test split.

    Parameters
    ----------
    products, references, predictors : paths
        Of each month of the test split, in the order of time; rain is ``tp`` of the predictors.
    heldout : path
        Held-out SMAP pairs, which say what the checkpoint was trained on.
    static : path
    fine : Grid
    test_intervals : list of (start, end), ISO, half-open
    json_path, csv_path : paths to write
    truths : paths
        The truth of each month; empty where there is none.
    events : mapping
        Arguments of :func:`pscnet.validation.events.find_events`.
    draws, block_days : int
        Draws of the bootstrap, and length of its blocks [day].
    most_cells : int
        Most cells whose series are read.

    Raises
    ------
    ScoreError
        When the net has seen a scored day, the files do not belong together, or hold nothing on test days.
    """
    require_unseen_pairs(heldout, test_intervals)
    starts = block_starts(test_intervals, block_days)
    in_space = SpaceSpectra(fine, read_region(static, fine), starts)
    series = read_sampled(
        products=products,
        references=references,
        predictors=predictors,
        static=static,
        fine=fine,
        test_intervals=test_intervals,
        truths=truths,
        most_cells=most_cells,
        each=in_space,
    )
    block = block_of(series.times, starts, test_intervals)
    weights = draw_weights(starts.size, draws, 0)
    document = Document("dynamics", "Temporal dynamics")
    notes = [said(series.rows.size, series.region_cells)]
    if series.truth is None:
        notes.append("No truth in this run: the numbers describe the methods side by side, and judge none.")
    notes += _add_events(document, series, block, weights, dict(events or {}))
    _add_cycles(document, series, block, draws)
    _add_changes(document, series, block, weights)
    notes += _add_spectra(document, series, in_space.spectra(), weights)
    document.note = " ".join(notes)
    document.write(json_path, csv_path)
    return document


def _order(series: Sampled) -> list[str]:
    return [*series.methods, *([TRUTH] if series.truth is not None else [])]


# Rain ----------------------------------------------------------------------------------------------------------------


def _add_events(
    document: Document, series: Sampled, block: np.ndarray, weights: np.ndarray, settings: dict[str, float]
) -> list[str]:
    """Tables of responses and dry-downs, and the composite; returns what is to be said of them."""
    if series.rain is None:
        return ["No rain events: tp is not among the predictors; add it to them."]
    events = find_events(series.rain, **settings)  # type: ignore[arg-type]
    events = events[block[events.start] >= 0]
    answers = {name: responses(series.fields[name], events) for name in _order(series)}
    number = block[events.start]
    document.tables.append(
        ScoreTable(
            "events",
            "Answers to rain events",
            EVENTS,
            [_event_row(LABELS[name], answers, name, number, weights) for name in answers],
            "Events of ERA5-Land's rain, the same for all; delays from the beginning of the rain, of events with a "
            "rise of at least 0.01 m3 m-3; bias and R against the truth's answer to the same event.",
        )
    )
    document.tables.append(
        ScoreTable(
            "drydown",
            "Dry-downs after them",
            DRYDOWN,
            [_drydown_row(LABELS[name], answers, name, number, weights) for name in answers],
            "theta = a exp(-t / tau) + b in whole days without ERA5-Land rain, from the series' own maximum in the "
            f"first of them on and at least {events.fewest // STEPS_PER_DAY}; a fit fails where the series does not "
            "fall, tau lies beyond 0.25 to 40 days, or less than half of the variance is explained.",
        )
    )
    shapes = {name: composite(series.fields[name], events) for name in answers}
    document.data["composite"] = {
        "hours": [STEP_HOURS * (step - BEFORE) for step in range(len(next(iter(shapes.values()))[0]))],
        "change": {LABELS[name]: [float(v) for v in mean] for name, (mean, _) in shapes.items()},
        "events": len(events),
    }
    dry = int((events.dry_steps > 0).sum())
    return [f"{len(events)} rain events; {len(events) - dry} of them are followed by rain too soon for a dry-down."]


def _event_row(
    label: str, answers: Mapping[str, Mapping[str, np.ndarray]], name: str, block: np.ndarray, weights: np.ndarray
) -> Row:
    ours, truth = answers[name], answers.get(TRUTH)
    known = np.isfinite(ours["rise"])
    values: dict[str, float | int | None] = {"events": int(known.sum())}
    values["answered"] = float(np.isfinite(ours["peak_delay"])[known].mean()) if known.any() else float("nan")
    intervals = {}
    for key in ("rise", "half_delay", "peak_delay"):
        found, limits = _compared(ours[key], truth[key] if truth and name != TRUTH else None, block, weights)
        values |= {key + suffix: value for suffix, value in found.items()}
        intervals |= {key + suffix: pair for suffix, pair in limits.items()}
    return Row(label, values, intervals=intervals)


def _drydown_row(
    label: str, answers: Mapping[str, Mapping[str, np.ndarray]], name: str, block: np.ndarray, weights: np.ndarray
) -> Row:
    ours, truth = answers[name], answers.get(TRUTH)
    values: dict[str, float | int | None] = {
        "drydowns": int(np.isfinite(ours["fit"]).sum()),
        "failed": int((ours["fit"] == 0).sum()),
    }
    theirs = np.log(truth["tau"]) if truth and name != TRUTH else None
    found, limits = _compared(np.log(ours["tau"]), theirs, block, weights)
    intervals = {}
    for suffix, key in (("", "tau"), ("_bias", "tau_ratio")):
        if suffix in found:
            values[key] = float(np.exp(found[suffix]))
            intervals[key] = tuple(float(np.exp(limit)) for limit in limits[suffix])
    if "_r" in found:
        values["tau_r"], intervals["tau_r"] = found["_r"], limits["_r"]
    if theirs is not None:
        values["compared"] = int((np.isfinite(ours["tau"]) & np.isfinite(theirs)).sum())
    return Row(label, values, intervals=intervals)


def _compared(
    ours: np.ndarray, truth: np.ndarray | None, block: np.ndarray, weights: np.ndarray
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Mean (key ""), and bias and R against the truth ("_bias", "_r") of numbers (event,), with intervals by block."""
    size = weights.shape[1]
    alone = _by_block(ours, ours, block, size)
    values, drawn, blocks = {"": _mean(alone.pooled())}, {"": _mean(draw_pooled(alone, weights))}, {"": alone}
    if truth is not None:
        pairs = _by_block(ours, truth, block, size)
        whole, again = pairs.pooled(), draw_pooled(pairs, weights)
        values |= {"_bias": whole.bias(2), "_r": whole.r(3)}
        drawn |= {"_bias": again.bias(2), "_r": again.r(3)}
        blocks |= {"_bias": pairs, "_r": pairs}
    found = {key: float(value) for key, value in values.items()}
    return found, {key: interval_of(found[key], drawn[key], blocks_with_pairs(blocks[key])) for key in found}


def _mean(moments: PairMoments) -> np.ndarray:
    """The mean of x; NaN, not 0, where there is no pair."""
    return np.where(moments.n > 0, moments.mean_x, np.nan)


def _by_block(x: np.ndarray, y: np.ndarray, block: np.ndarray, size: int) -> PairMoments:
    """Moments (block,) of the finite pairs (event,)."""
    good = np.isfinite(x) & np.isfinite(y)
    if not good.any():
        return PairMoments.zeros((size,))
    moments = grouped(x[good], y[good], block[good])
    return PairMoments(*(np.pad(array, (0, size - array.size)) for array in moments.arrays()))


# Day, changes, spectra -----------------------------------------------------------------------------------------------


def _add_cycles(document: Document, series: Sampled, block: np.ndarray, draws: int) -> None:
    days = len(series.times) // STEPS_PER_DAY
    noon = series.times[: days * STEPS_PER_DAY : STEPS_PER_DAY]
    by_day, season = block[: days * STEPS_PER_DAY : STEPS_PER_DAY], season_of(noon)
    parts = {name: daily_harmonics(series.fields[name], series.lon) for name in _order(series)}
    truth = TRUTH if series.truth is not None else None
    rows, cycles = [], {}
    for number, title in seasons_of(noon[by_day >= 0]):
        chosen = (season == number) & (by_day >= 0)
        harmonics = Harmonics(parts, by_day, chosen)
        rows += [harmonic_row(LABELS[name], title, harmonics, name, truth, draws) for name in parts]
        cycles[title] = {LABELS[name]: mean_cycle(series.fields[name], chosen) for name in parts}
    document.tables.append(
        ScoreTable(
            "diurnal",
            "Daily cycle by season: first harmonic",
            DIURNAL,
            rows,
            "Of the mean departure from the centred 24-hour mean in each cell; phases of cells whose amplitude is at "
            "least 0.0005 m3 m-3.",
        )
    )
    document.data["cycle"] = {
        "utc": [STEP_HOURS * hour for hour in range(STEPS_PER_DAY)],
        "longitude": float(series.lon.mean()),
        "seasons": cycles,
    }


def _add_changes(document: Document, series: Sampled, block: np.ndarray, weights: np.ndarray) -> None:
    rows = [
        change_row(
            LABELS[name], series.fields[name], None if name == TRUTH else series.truth, block, weights.shape[1], weights
        )
        for name in _order(series)
    ]
    note = "Mean over cells; R against the truth's changes." if series.truth is not None else "Mean over cells."
    document.tables.append(ScoreTable("changes", "First differences", CHANGES, rows, note))


def _add_spectra(document: Document, series: Sampled, in_space: Spectra | None, weights: np.ndarray) -> list[str]:
    """Spectra for the figures, and the table of effective resolution; returns what is to be said of them."""
    in_time = time_spectra(series.fields)
    notes = []
    for key, what, made in (("time", "time", in_time), ("space", "space", in_space)):
        if made is None:
            notes.append(f"No spectrum in {what}: no segment without a gap is long enough.")
            continue
        document.data[f"spectrum_{key}"] = _spectrum_data(made)
        notes.append(f"Spectra in {what}: {made.used} segments, {made.left_out} with gaps left out.")
    if series.truth is not None and (in_time or in_space):
        rows = [_resolution_row(name, in_time, in_space, weights) for name in series.methods]
        never = [
            f"{LABELS[name]} ({what}: {', '.join(kinds)})"
            for name in series.methods
            for what, made in (("time", in_time and binned(in_time)), ("space", in_space))
            if made is not None and (kinds := made.never(name))
        ]
        note = (
            "Empty where a ratio stays above one half to the finest scale, or is nowhere above it (the longest scale, "
            f"which detrending and window change most, is left out). Nowhere above it: {'; '.join(never) or 'none'}. "
            "Intervals in space only."
        )
        document.tables.append(ScoreTable("resolution", "Effective resolution", RESOLUTION, rows, note))
    return notes


def _spectrum_data(made: Spectra) -> dict[str, Any]:
    data: dict[str, Any] = {
        "frequency": made.frequency.tolist(),
        "power": {LABELS[name]: made.mean(name)[0].tolist() for name in made.power},
        "segments": made.used,
    }
    if made.cross:
        data["coherence"] = {LABELS[name]: made.coherence(name)[0].tolist() for name in made.power if name != TRUTH}
    return data


def _resolution_row(name: str, in_time: Spectra | None, in_space: Spectra | None, weights: np.ndarray) -> Row:
    values: dict[str, float | int | None] = {}
    intervals = {}
    if in_time is not None:
        found = binned(in_time).resolution(name)
        values |= {"period": 24.0 * float(found["power"][0]), "period_coherence": 24.0 * float(found["coherence"][0])}
    if in_space is not None:
        found, drawn = in_space.resolution(name), in_space.resolution(name, weights)
        blocks = int((in_space.n.sum(axis=1) > 0).sum())
        for key, kind in (("wavelength", "power"), ("wavelength_coherence", "coherence")):
            values[key] = float(found[kind][0])
            intervals[key] = interval_of(values[key], drawn[kind], blocks)
    return Row(LABELS[name], values, intervals=intervals)
