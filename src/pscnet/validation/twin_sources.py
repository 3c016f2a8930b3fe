"""The simulated reanalysis and stations beside the truth: R, bias, rain, representativeness.

The true rain is not delivered, so rain is compared through what it leaves in the ground: *wettings*, the rise of a
layer's water over 3 hours. Arrays are (time, lat, lon).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from pscnet.scores import PairMoments

#: Depth of the truth's and of the reanalysis' top layer [mm].
TRUTH_DEPTH, MODEL_DEPTH = 50.0, 70.0
#: Wetting from which a 3-hour step is wet [mm]: suction alone moves 0.1 mm or so (ours).
WET_STEP = 0.5
#: Thresholds of the curve of wet steps [mm in 3 hours].
THRESHOLDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Months in which it rains and nothing freezes.
WARM_MONTHS = (6, 7, 8, 9)
#: Fewest common steps of a cell or station.
MINIMUM = 200


def against_truth(model: np.ndarray, truth: np.ndarray, shut: np.ndarray) -> dict[str, np.ndarray]:
    """``r`` and ``bias`` [m3 m-3] (lat, lon) of the reanalysis where the ground is not ``shut`` (frozen or snow)."""
    flat = truth.reshape(truth.shape[0], -1)
    moments = PairMoments.zeros((flat.shape[1],))
    for start in range(0, flat.shape[0], 800):
        block = slice(start, start + 800)
        hidden = shut.reshape(flat.shape)[block]
        pair = (np.where(hidden, np.nan, field.reshape(flat.shape)[block]) for field in (model, truth))
        moments.update(*(field.astype(float) for field in pair))
    shape = truth.shape[1:]
    return {"r": moments.r(MINIMUM).reshape(shape), "bias": moments.bias(MINIMUM).reshape(shape)}


def wettings(water: np.ndarray, depth: float, shut: np.ndarray) -> np.ndarray:
    """Rise of a layer's water over each step (time - 1, lat, lon) [mm], at least 0; NaN next to shut ground."""
    rise = np.clip(np.diff(water, axis=0), 0, None) * np.float32(depth)
    rise[shut[1:] | shut[:-1]] = np.nan
    return rise


def wet_share(wetting: np.ndarray, threshold: float) -> float:
    """Share of the steps that are wetter than a threshold [mm]."""
    known = np.isfinite(wetting)
    return float((wetting[known] > threshold).mean()) if known.any() else float("nan")


def intensity(wetting: np.ndarray) -> float:
    """Mean of the wet steps [mm in 3 hours]."""
    wet = wetting[wetting > WET_STEP]
    return float(wet.mean()) if wet.size else float("nan")


def pooled_r(first: np.ndarray, second: np.ndarray) -> float:
    """R of all finite pairs."""
    both = np.isfinite(first) & np.isfinite(second)
    return float(np.corrcoef(first[both], second[both])[0, 1]) if both.sum() > 2 else float("nan")


def block_means(field: np.ndarray, size: int) -> np.ndarray:
    """Means (time, lat // size, lon // size) over squares of cells."""
    ny, nx = (n // size for n in field.shape[1:])
    cut = field[:, : ny * size, : nx * size]
    return cut.reshape(field.shape[0], ny, size, nx, size).mean(axis=(2, 4))


def rain_numbers(truth: np.ndarray, model: np.ndarray, hours: float) -> dict[str, object]:
    """Compare wettings (time, lat, lon) [mm], truth first; steps last ``hours``.

    Returns
    -------
    dict
        ``frequency_ratio`` and ``intensity_ratio``, model over truth; ``daily_r`` at a cell and ``daily_r_50km`` after
        averaging over 5 x 5 cells; ``lead_hours``: how much earlier the model's rain comes, by the best of the lagged
        correlations of steps (parabola through its neighbours); ``curve``: shares of wet steps by threshold.
    """
    per_day = round(24 / hours)
    whole = truth.shape[0] // per_day * per_day

    def daily(field: np.ndarray) -> np.ndarray:
        return field[:whole].reshape(-1, per_day, *field.shape[1:]).sum(axis=1)

    days = daily(truth), daily(model)
    lags = np.arange(-3, 4)
    by_lag = np.array([pooled_r(truth[3 + k : truth.shape[0] - 3 + k], model[3:-3]) for k in lags])
    best = int(np.clip(by_lag.argmax(), 1, lags.size - 2))
    before, here, after = by_lag[best - 1 : best + 2]
    curvature = before - 2 * here + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return {
        "frequency_ratio": wet_share(model, WET_STEP) / (wet_share(truth, WET_STEP) or float("nan")),
        "intensity_ratio": intensity(model) / intensity(truth),
        "daily_r": pooled_r(*days),
        "daily_r_50km": pooled_r(*(block_means(field, 5) for field in days)),
        "lead_hours": float((lags[best] + shift) * hours),
        "curve": {
            "threshold": list(THRESHOLDS),
            "truth": [wet_share(truth, limit) for limit in THRESHOLDS],
            "model": [wet_share(model, limit) for limit in THRESHOLDS],
        },
    }


def station_errors(stations: list[xr.Dataset], times: np.ndarray, truth: xr.DataArray) -> np.ndarray:
    """RMSD (station,) [m3 m-3] of good sensor values from the truth of the cell that holds the station.

    Parameters
    ----------
    stations : list of Dataset
        Months of ``soil_moisture``, ``flag`` (time, station), ``latitude``, ``longitude`` (station).
    times : datetime64 (time,)
    truth : DataArray (time, lat, lon)
        NaN where the ground is frozen or under snow.
    """
    rows = [int(np.abs(truth["lat"].values - lat).argmin()) for lat in stations[0]["latitude"].values]
    columns = [int(np.abs(truth["lon"].values - lon).argmin()) for lon in stations[0]["longitude"].values]
    errors = []
    for month in stations:
        _, here, there = np.intersect1d(month["time"].values.astype("M8[s]"), times, return_indices=True)
        good = month["flag"].values[here] == 0  # the code of G, see the variable's attribute
        sensor = np.where(good, month["soil_moisture"].values[here], np.nan)
        errors.append(sensor - truth.values[there][:, rows, columns])
    squares = np.concatenate(errors) ** 2
    enough = np.isfinite(squares).sum(axis=0) >= MINIMUM
    with np.errstate(invalid="ignore"):
        return np.where(enough, np.sqrt(np.nansum(squares, axis=0) / np.isfinite(squares).sum(axis=0)), np.nan)
