"""The simulated truth through the year and through the day: mean year, levels, daily cycle.

Climate zones come from the year's rain in the reanalysis, by China's usual isohyets. Arrays are (time, lat, lon) at
3-hour stamps from 00 UTC on, without a gap.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import find_peaks

from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY

#: Zones by the year's rain [mm]: the 200 and 400 mm isohyets of China's climate regions.
ZONES = {"arid": (0.0, 200.0), "semi-arid": (200.0, 400.0), "semi-humid": (400.0, np.inf)}
#: Months of each season.
SEASONS = {"spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11), "winter": (12, 1, 2)}
#: Windows of the three moisture peaks [day of year, from 0]: thaw in March to May [doi:10.3390/rs14195010];
#: the others around early to mid July and September [doi:10.11676/qxxb2018.057], widened.
PEAK_WINDOWS = {"thaw": (59, 151), "early monsoon": (151, 212), "late monsoon": (227, 304)}
#: Days of the running mean over the mean year, and the least height of a peak above its saddles [m3 m-3] (ours).
SMOOTHING, PROMINENCE = 15, 0.005
#: A zone needs this share of the box, or it is not reviewed (ours).
LEAST_SHARE = 0.03
#: Rain of a dry day in the reanalysis [mm], and wetting of a dry 3-hour step in the truth [m3 m-3] (ours).
DRY_DAY, DRY_STEP = 1.0, 0.01
YEAR = 366


def zones_of(yearly_rain: np.ndarray) -> dict[str, np.ndarray]:
    """Cells (lat, lon) bool of each zone that covers enough of the box, from the year's rain (lat, lon) [mm]."""
    found = {name: (yearly_rain >= low) & (yearly_rain < high) for name, (low, high) in ZONES.items()}
    return {name: cells for name, cells in found.items() if cells.mean() >= LEAST_SHARE}


def mean_year(times: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Mean year (366,) of a series (time,), smoothed; the year is taken as a circle."""
    days = times.astype("M8[D]")
    position = (days - days.astype("M8[Y]")).astype(int)
    sums = np.bincount(position, series, YEAR)
    counts = np.bincount(position, minlength=YEAR)
    known = np.flatnonzero(counts)
    curve = np.interp(np.arange(YEAR), known, sums[known] / counts[known], period=YEAR)
    return uniform_filter1d(curve, SMOOTHING, mode="wrap")


def season_numbers(curve: np.ndarray) -> dict[str, float]:
    """Peaks and thaw of a mean year (366,) [m3 m-3].

    Returns
    -------
    dict
        ``peaks``: how many of the three windows hold a peak; ``peak_<window>``: day of the year (from 1) of its highest
        peak or NaN; ``thaw_rise``: highest of March to May minus mean of January and February [m3 m-3];
        ``thaw_day``: day of the year of the steepest rise over a fortnight before June, when the monsoon's begins.
    """
    thrice = np.tile(curve, 3)
    peaks = find_peaks(thrice, prominence=PROMINENCE)[0]
    peaks = peaks[(peaks >= YEAR) & (peaks < 2 * YEAR)] - YEAR
    numbers: dict[str, float] = {}
    for name, (first, last) in PEAK_WINDOWS.items():
        inside = peaks[(peaks >= first) & (peaks < last)]
        numbers[f"peak_{name}"] = float(inside[curve[inside].argmax()] + 1) if inside.size else float("nan")
    first, last = PEAK_WINDOWS["thaw"]
    rise = thrice[YEAR + 7 : 2 * YEAR + 7] - thrice[YEAR - 7 : 2 * YEAR - 7]
    return {
        "peaks": float(sum(np.isfinite(day) for day in numbers.values())),
        **numbers,
        "thaw_rise": float(curve[first:last].max() - curve[:59].mean()),
        "thaw_day": float(rise[:last].argmax() + 1),
    }


def day_anomalies(field: np.ndarray) -> np.ndarray:
    """Departure (day, 8, lat, lon) from the centred 24-hour mean; the first and the last day are left out.

    The mean takes nine stamps, the outer two with half their weight, so that a straight line leaves nothing.
    """
    n = STEPS_PER_DAY
    length = field.shape[0] - n
    mean = 0.5 * (field[:length] + field[n:])
    for k in range(1, n):
        mean += field[k : k + length]
    half = n // 2
    inner = field[half : half + length] - mean / n
    inner = inner[half : half + (length - half) // n * n]  # from the first midnight on
    return inner.reshape(-1, n, *field.shape[1:])


def day_classes(moisture: np.ndarray, frozen: np.ndarray, snow: np.ndarray, rain: np.ndarray) -> dict[str, np.ndarray]:
    """Dry days (day, lat, lon) bool without snow: ``unfrozen`` or ``frozen`` all day, ``freeze_thaw`` in between.

    Ground that is ``frozen`` to the truth's flag can hold much liquid water, which may come and go.

    Parameters
    ----------
    moisture : ndarray (time, lat, lon) [m3 m-3]
    frozen, snow : ndarray (time, lat, lon) bool
    rain : ndarray (time, lat, lon) [mm]
        3-hour totals of the reanalysis.

    Notes
    -----
    Days as in :func:`day_anomalies`.
    """

    def by_day(field: np.ndarray) -> np.ndarray:
        whole = field[: field.shape[0] // STEPS_PER_DAY * STEPS_PER_DAY]
        return whole.reshape(-1, STEPS_PER_DAY, *field.shape[1:])[1:-1]

    wetting = np.diff(moisture, axis=0, prepend=moisture[:1])
    calm = by_day(wetting).max(axis=1) < DRY_STEP
    dry = (by_day(rain).sum(axis=1) < DRY_DAY) & ~by_day(snow).any(axis=1)
    share = by_day(frozen).mean(axis=1)
    return {
        "unfrozen": dry & calm & (share == 0),
        "freeze_thaw": dry & (share > 0) & (share < 1),
        "frozen": dry & (share == 1),
    }


def season_of(times: np.ndarray, season: str) -> np.ndarray:
    """Which of the reviewed days (one for each 8 ``times``, outer two left out) lie in a season."""
    months = times[: times.size // STEPS_PER_DAY * STEPS_PER_DAY : STEPS_PER_DAY][1:-1].astype("M8[M]").astype(int)
    return np.isin(months % 12 + 1, SEASONS[season])


def daily_cycle(anomaly: np.ndarray, chosen: np.ndarray, lon: np.ndarray) -> dict[str, object] | None:
    """The mean cycle of chosen days and cells; None with fewer than 100 of them.

    Parameters
    ----------
    anomaly : ndarray (day, 8, lat, lon)
    chosen : ndarray (day, lat, lon) bool
    lon : ndarray (lon,) [degree east]

    Returns
    -------
    dict
        ``n``; ``hours`` (8,) local solar time and ``cycle`` (8,), in its order; ``range`` of that mean cycle;
        ``median_range`` and ``high_range`` (95th percentile) of single days' ranges; ``peak_hour`` of the first
        harmonic, fitted at every column's own solar time.
    """
    n = int(chosen.sum())
    if n < 100:
        return None
    by_column = np.einsum("dsyx,dyx->sx", anomaly, chosen.astype(np.float32), dtype=np.float64)
    hours = (np.arange(STEPS_PER_DAY)[:, None] * STEP_HOURS + lon[None, :] / 15.0) % 24.0
    first = (by_column * np.exp(2j * np.pi * hours / 24.0)).sum()
    cycle = by_column.sum(axis=1) / n
    middle = (np.arange(STEPS_PER_DAY) * STEP_HOURS + lon.mean() / 15.0) % 24.0
    order = np.argsort(middle)
    ranges = np.ptp(anomaly, axis=1)[chosen]
    return {
        "n": n,
        "hours": middle[order].tolist(),
        "cycle": cycle[order].tolist(),
        "range": float(np.ptp(cycle)),
        "median_range": float(np.median(ranges)),
        "high_range": float(np.percentile(ranges, 95)),
        "peak_hour": float(np.angle(first) * 24 / (2 * np.pi) % 24),
    }


def cycle_agreement(first: Mapping[str, object], second: Mapping[str, object]) -> float:
    """R of two mean cycles (8 hours) as :func:`daily_cycle` gives them."""
    return float(np.corrcoef(np.asarray(first["cycle"]), np.asarray(second["cycle"]))[0, 1])
