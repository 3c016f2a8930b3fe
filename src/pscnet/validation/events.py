"""How does soil moisture answer rain: size and delay of the rise, and the time constant of the dry-down after it.

Events and dry spells are those of ERA5-Land's rain, so that every method, and the truth, is looked at in the same
windows; where ERA5-Land rains in the wrong place, the truth's mean response is smaller. Definitions ("ours" where no
source is given):

- **Event**: a step with at least ``wet_mm`` after ``dry_hours`` hours with less than ``dry_mm`` together, and at least
  ``rain_mm`` within 24 hours from it on. Events of a cell do not overlap.
- **Response**: the largest value within 48 hours from the event's start (its rain's first 3 hours) less the mean of the
  24 hours before, in which the daily cycle averages out.
- **Delay** of the peak, and of half of the rise: from the beginning of the first wet step to the peak, and to the last
  crossing of half of the rise on the way up to it, between steps along a line; negative where the rise came before the
  rain. Defined where the rise is at least 0.01 m3 m-3.
- **Dry-down**: from the first dry step after the event's rain to the next wet step or to 12 days, where it lasts at
  least ``drydown_days`` and begins within 96 hours from the event's start. From the series' own maximum in the first
  day of it on, in whole days, theta = a exp(-t / tau) + b is fitted, as Shellito et al. 2016, Geophysical Research
  Letters 43, 8068, and McColl et al. 2017, Geophysical Research Letters 44, 3682, do; a series whose maximum comes so
  late that fewer than ``drydown_days`` are left has no dry-down there. A fit fails where the series does not fall
  (a <= 0), tau lies at an end of 0.25 to 40 days, or the curve explains less than half of the variance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY

#: Steps before an event's start, and from it on, that must be known.
BEFORE, AFTER = STEPS_PER_DAY, 2 * STEPS_PER_DAY

#: Steps of the composite after the start.
COMPOSITE = 5 * STEPS_PER_DAY

#: Smallest rise [m3 m-3] whose delay means something: a few times the daily cycle's amplitude in the 24-hour mean.
LEAST_RISE = 0.01

#: A dry-down begins at most this many steps after its event's start, and is followed for at most so many.
LATEST_DRY, LONGEST_DRY = 4 * STEPS_PER_DAY, 12 * STEPS_PER_DAY

#: Steps of a dry-down in which a series that answers late may still rise.
STILL_RISING = STEPS_PER_DAY

#: Time constants that are tried [day]; one at either end is none.
TAUS = np.geomspace(0.25, 40.0, 120)

#: Least share of the variance that the curve explains.
LEAST_EXPLAINED = 0.5


@dataclass(frozen=True)
class Events:
    """Rain events, in the order of cell and time.

    Attributes
    ----------
    start : int (event,)
        Step of the first rain.
    cell : int (event,)
    rain : float (event,) [mm]
        Of the first 24 hours.
    dry_start, dry_steps : int (event,)
        Where its dry spell begins, and its steps; 0 where it has none that is long enough.
    fewest : int
        Fewest steps of a dry-down, a whole number of days.
    """

    start: np.ndarray
    cell: np.ndarray
    rain: np.ndarray
    dry_start: np.ndarray
    dry_steps: np.ndarray
    fewest: int

    def __len__(self) -> int:
        return self.start.size

    def __getitem__(self, keep: np.ndarray) -> Events:
        arrays = (self.start, self.cell, self.rain, self.dry_start, self.dry_steps)
        return Events(*(array[keep] for array in arrays), self.fewest)


def find_events(
    rain: np.ndarray,
    wet_mm: float = 0.5,
    dry_hours: int = 24,
    dry_mm: float = 1.0,
    rain_mm: float = 5.0,
    drydown_days: int = 3,
) -> Events:
    """The events of ``rain`` (time, cell) [mm in the 3 hours before each stamp]; NaN belongs to no event.

    See the head of this module for what the numbers mean.
    """
    steps, cells = rain.shape
    dry_steps = max(round(dry_hours / STEP_HOURS), 1)
    sums = np.concatenate([np.zeros((1, cells)), np.cumsum(np.nan_to_num(rain), axis=0)])
    unknown = np.concatenate([np.zeros((1, cells)), np.cumsum(np.isnan(rain), axis=0)])
    begins = np.arange(max(dry_steps, BEFORE), steps - AFTER + 1)
    before = sums[begins] - sums[begins - dry_steps]
    after = sums[begins + STEPS_PER_DAY] - sums[begins]
    known = unknown[begins + AFTER] == unknown[begins - dry_steps]
    found = known & (rain[begins] >= wet_mm) & (before < dry_mm) & (after >= rain_mm)
    cell, row = np.nonzero(_apart(found).T)
    start = begins[row]
    fewest = drydown_days * STEPS_PER_DAY
    return Events(start, cell, after[row, cell], *_dry_spells(rain < wet_mm, start, cell, fewest), fewest)


def _apart(found: np.ndarray) -> np.ndarray:
    """The same without those (time, cell) that begin before the response to an earlier one is over."""
    kept = np.zeros_like(found)
    free = np.zeros(found.shape[1], dtype=int)
    for row in np.flatnonzero(found.any(axis=1)):
        new = found[row] & (row >= free)
        kept[row] = new
        free[new] = row + AFTER
    return kept


def _dry_spells(dry: np.ndarray, start: np.ndarray, cell: np.ndarray, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and length [step] of the first long enough dry spell after each event; length 0 where there is none.

    ``dry`` (time, cell) is false where the rain is not known.
    """
    ahead = np.zeros((dry.shape[0] + 1, dry.shape[1]), dtype=int)
    for step in range(dry.shape[0] - 1, -1, -1):
        ahead[step] = np.where(dry[step], ahead[step + 1] + 1, 0)
    begin, length = np.zeros_like(start), np.zeros_like(start)
    for later in range(1, LATEST_DRY + 1):
        step = np.minimum(start + later, dry.shape[0])
        begins = (length == 0) & ~dry[step - 1, cell] & (ahead[step, cell] >= fewest)
        begin[begins], length[begins] = step[begins], ahead[step, cell][begins]
    return begin, np.minimum(length, LONGEST_DRY)


def windows(field: np.ndarray, events: Events, before: int = BEFORE, after: int = AFTER) -> np.ndarray:
    """Values (event, before + after) of ``field`` (time, cell) around the events; NaN beyond the ends of the series."""
    padded = np.pad(field, ((before, after), (0, 0)), constant_values=np.nan)
    view = sliding_window_view(padded, before + after, axis=0)
    return view[events.start, events.cell]


def responses(field: np.ndarray, events: Events) -> dict[str, np.ndarray]:
    """What a series makes of each event.

    Parameters
    ----------
    field : ndarray (time, cell) [m3 m-3]

    Returns
    -------
    dict of str to ndarray (event,)
        ``rise`` [m3 m-3], ``peak_delay`` and ``half_delay`` [h], ``tau`` [day], and ``fit``: 1 where the fit holds, 0
        where it failed. NaN where they are not defined; ``fit`` is NaN where the event has no dry-down.
    """
    around = windows(field, events).astype(float)
    known = np.isfinite(around).all(axis=1)
    with np.errstate(invalid="ignore"):
        base = around[:, :BEFORE].mean(axis=1)
        late = np.where(known[:, None], around[:, BEFORE:], -np.inf)
        peak = late.argmax(axis=1)
        rise = np.where(known, late[np.arange(peak.size), peak] - base, np.nan)
    clear = known & (rise >= LEAST_RISE)
    # The rain of the first wet step begins one step before its stamp.
    peak_delay = np.where(clear, STEP_HOURS * (peak + 1.0), np.nan)
    half = _crossing(around, base + 0.5 * rise, BEFORE + peak)
    half_delay = np.where(clear, STEP_HOURS * (half - BEFORE + 1.0), np.nan)
    tau, fit = dry_downs(field, events)
    return {"rise": rise, "peak_delay": peak_delay, "half_delay": half_delay, "tau": tau, "fit": fit}


def _crossing(values: np.ndarray, level: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Position (event,) of the last crossing of ``level`` (event,) before ``peak``, along lines between steps.

    NaN where the series (event, step) is not below the level before its peak.
    """
    position = np.arange(values.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        below = (values < level[:, None]) & (position < peak[:, None])
        last = values.shape[1] - 1 - below[:, ::-1].argmax(axis=1)
        row = np.arange(last.size)
        following = np.minimum(last + 1, values.shape[1] - 1)
        share = (level - values[row, last]) / (values[row, following] - values[row, last])
    return np.where(below.any(axis=1), last + share, np.nan)


def dry_downs(field: np.ndarray, events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Time constant [day] of the dry-down of each event, NaN where there is none; and whether the fit holds.

    Both are NaN where fewer than ``events.fewest`` steps are left from the series' maximum on.
    """
    tau, fit = np.full(len(events), np.nan), np.full(len(events), np.nan)
    some = np.flatnonzero(events.dry_steps > 0)
    if not some.size:
        return tau, fit
    longest = int(events.dry_steps[some].max())
    moved = replace(events, start=events.dry_start)[some]
    values = windows(field, moved, 0, longest).astype(float)
    step = np.arange(longest)
    inside = step < moved.dry_steps[:, None]
    peak = np.where(np.isfinite(values), values, -np.inf)[:, :STILL_RISING].argmax(axis=1)
    days = (moved.dry_steps - peak) // STEPS_PER_DAY
    used = (np.isfinite(values) | ~inside).all(axis=1) & (days * STEPS_PER_DAY >= events.fewest)
    if not used.any():
        return tau, fit
    values, peak, end = values[used], peak[used], (peak + days * STEPS_PER_DAY)[used]
    made = fit_exponential(np.where((step >= peak[:, None]) & (step < end[:, None]), values, np.nan))
    fit[some[used]] = np.isfinite(made)
    tau[some[used]] = made
    return tau, fit


def fit_exponential(values: np.ndarray, step_days: float = STEP_HOURS / 24) -> np.ndarray:
    """Time constants (series,) [day] of theta = a exp(-t / tau) + b; NaN where the fit fails.

    Least squares by variable projection: a and b follow from tau by linear regression, tau from the smallest remaining
    sum of squares over :data:`TAUS` and a parabola through the three lowest (in log tau).

    Parameters
    ----------
    values : ndarray (series, step)
        NaN after the end of a series.
    """
    good = np.isfinite(values)
    time = step_days * np.arange(values.shape[1])
    curves = np.exp(-time[:, None] / TAUS)
    n = good.sum(axis=1)[:, None].astype(float)
    weight = good.astype(float)
    level = np.where(good, values, 0.0).sum(axis=1, keepdims=True) / n
    y = np.where(good, values - level, 0.0)
    mean = weight @ curves / n
    sxx = weight @ curves**2 - n * mean**2
    sxy = y @ curves
    syy = (y**2).sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.where(sxy > 0, syy - sxy**2 / sxx, syy)
    best = left.argmin(axis=1)
    row = np.arange(best.size)
    inner = (best > 0) & (best < TAUS.size - 1)
    low, middle, high = (left[row, np.clip(best + shift, 0, TAUS.size - 1)] for shift in (-1, 0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = 0.5 * (low - high) / (low - 2.0 * middle + high)
        tau = np.exp(np.log(TAUS)[best] + np.nan_to_num(shift) * np.log(TAUS[1] / TAUS[0]))
        explained = 1.0 - middle / syy[:, 0]
    holds = inner & (sxy[row, best] > 0) & (explained >= LEAST_EXPLAINED)
    return np.where(holds, tau, np.nan)


def composite(field: np.ndarray, events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Mean change (step,) [m3 m-3] from the mean of the 24 hours before, around all events, and the number behind it.

    From 24 hours before the start to five days after; later rain is part of it.
    """
    around = windows(field, events, BEFORE, COMPOSITE).astype(float)
    change = around - around[:, :BEFORE].mean(axis=1, keepdims=True)
    n = np.isfinite(change).sum(axis=0)
    return np.where(n > 0, np.nansum(change, axis=0) / np.maximum(n, 1), np.nan), n
