"""A made-up test split: held-out pairs with autocorrelated soil moisture, and the files around them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.signal import lfilter

from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import write_weight_file
from pscnet.sources.smap import withhold
from pscnet.timeaxis import Split, make_split, month_days, nearest_stamp

BOX = (31.5, 33.5), (90.0, 93.0)
PERIOD = ("2016-03", "2016-09")
SPLIT = {"train": ["2016-03", "2016-04"], "validation": ["2016-05"], "test": ["2016-07", "2016-08"]}
NOISE = 0.04
FINE, COARSE = regular_grid(*BOX), ease2_grid(*BOX)
ERRORS = {
    "pscnet": 0.015,
    "era5_land": 0.04,
    "era5_land_rescaled": 0.03,
    "smap_interpolated": 0.025,
    "optimal_interpolation": 0.018,
}


def split() -> Split:
    return make_split(SPLIT, PERIOD, 8)


def persistent(rng: np.random.Generator, shape: tuple[int, ...], memory: float) -> np.ndarray:
    """First-order autoregressive series (time, ...) of variance 1 that forgets within ``memory`` steps."""
    keep, start = np.exp(-1.0 / memory), int(8 * memory)
    noise = np.sqrt(1 - keep**2) * rng.standard_normal((start + shape[0], *shape[1:]))
    return lfilter([1.0], [1.0, -keep], noise, axis=0)[start:]


def heldout(folder: Path, seed: int = 0, leak: float = 0.0, gaps: tuple[float, ...] = (1.0, 3.0), **attrs) -> Path:
    """Write ``heldout.nc``: two months, an overpass every 12 hours that sees a third of the cells.

    ``leak`` is the share of a retrieval's own noise that the product has taken in.
    """
    rng = np.random.default_rng(seed)
    times = np.arange(np.datetime64("2016-07-01", "ns"), np.datetime64("2016-09-01", "ns"), np.timedelta64(12, "h"))
    shape = (times.size, *COARSE.shape)
    climate = 0.2 + 0.05 * rng.standard_normal(COARSE.shape)
    truth = climate + 0.04 * persistent(rng, shape, 8.0)
    noise = NOISE * rng.standard_normal(shape)
    seen = rng.random(shape) < 0.35
    seen[:, 0, 0] = False
    seen[4:, 0, 1] = False
    errors = {name: size * persistent(rng, shape, 4.0) for name, size in ERRORS.items()}
    parts = []
    for hidden in (0.0, *gaps):
        here = seen & (np.arange(times.size) % 2 == 0)[:, None, None] if hidden else seen
        step, y, x = np.nonzero(here)
        made = {"time": times[step], "y": y, "x": x, "hidden_days": np.full(y.size, hidden, "f4")}
        made |= {"smap": (truth + noise)[step, y, x], "noise": np.full(y.size, NOISE, "f4")}
        for name, error in errors.items():
            worse = 1.0 + (0.5 * hidden if not name.startswith("era5") else 0.0)
            value = truth + worse * error + (leak * noise if name == "pscnet" else 0.0)
            made[name] = value[step, y, x]
        parts.append(made)
    columns = {name: ("pair", np.concatenate([part[name] for part in parts])) for name in parts[0]}
    learnt = {"split": split().describe(), "buffer_days": 8.0, "window_days": 8.0}
    path = folder / "heldout.nc"
    xr.Dataset(columns, attrs={"learnt": json.dumps(learnt)} | attrs).to_netcdf(path)
    return path


def surroundings(folder: Path, boxes: list[dict] | None = None) -> dict[str, object]:
    """Write statics, weights, retrievals, product and references; keyword arguments of ``validate_satellite``."""
    rng = np.random.default_rng(1)
    elevation = 4000 + 20.0 * np.arange(FINE.size).reshape(FINE.shape)
    xr.Dataset(
        {
            "elevation": (("lat", "lon"), elevation.astype("f4")),
            "region": (("lat", "lon"), np.ones(FINE.shape, "i1")),
        },
        {"lat": FINE.lat, "lon": FINE.lon},
    ).to_netcdf(folder / "static.nc")
    write_weight_file(FINE, COARSE, "conservative", "exact", folder / "weights.nc")
    wet = np.linspace(0.1, 0.3, COARSE.size).reshape(COARSE.shape)
    for month in ("2016-03", "2016-04", "2016-06", "2016-07", "2016-08", "2016-09"):
        _smap_month(folder / f"smap_{month}.nc", month, wet, rng, boxes)
    for month in SPLIT["test"]:
        _fields(folder, month, wet, rng)
    return {
        "run": "made_up",
        "static": folder / "static.nc",
        "fine_to_coarse": folder / "weights.nc",
        "smap_train": [folder / f"smap_{month}.nc" for month in SPLIT["train"]],
        "smap_test": [folder / f"smap_2016-{month}.nc" for month in ("06", "07", "08", "09")],
        "split": split(),
        "window_days": 8.0,
        "draws": 200,
        "json_path": folder / "out" / "satellite.json",
        "csv_path": folder / "out" / "satellite.csv",
        "maps_path": folder / "out" / "satellite_maps.nc",
        "products": [folder / f"sm_{month}.nc" for month in SPLIT["test"]],
        "references": [folder / f"fields_{month}.nc" for month in SPLIT["test"]],
    }


def _smap_month(path: Path, month: str, wet: np.ndarray, rng: np.random.Generator, boxes: list[dict] | None) -> None:
    halves = 2 * len(month_days(month))
    shape = (halves, *COARSE.shape)
    seen = rng.random(shape) < 0.4
    dims = ("half_orbit", "y", "x")
    value = wet + NOISE * rng.standard_normal(shape)
    made = xr.Dataset(
        {
            "soil_moisture": (dims, np.where(seen, value, np.nan).astype("f4")),
            "time_offset": (dims, np.where(seen, np.arange(halves)[:, None, None] * 12.0 - 0.2, np.nan)),
            "quality": (dims, np.where(seen, 0, 255).astype("u1")),
            "soil_moisture_error": (dims, np.where(seen, NOISE, np.nan).astype("f4")),
            "surface_flag": (dims, np.where(seen, 0, 65534).astype("u2")),
        },
        {"date": ("half_orbit", np.repeat(np.array(month_days(month), "M8[ns]"), 2))},
    )
    withhold(made, COARSE, boxes or []).to_netcdf(path)


def _fields(folder: Path, month: str, wet: np.ndarray, rng: np.random.Generator) -> None:
    """A product that knows every cell's mean, and references with a bias of their own."""
    days = month_days(month)
    times = nearest_stamp(np.datetime64(days[0], "ns") + np.arange(8 * len(days)) * np.timedelta64(3, "h"))
    rows = np.abs(FINE.lat[:, None] - COARSE.lat).argmin(1)
    columns = np.abs(FINE.lon[:, None] - COARSE.lon).argmin(1)
    means = np.broadcast_to(wet[np.ix_(rows, columns)], (times.size, *FINE.shape))
    coords = {"time": times, "lat": FINE.lat, "lon": FINE.lon}

    def field(bias: float, size: float) -> tuple:
        return ("time", "lat", "lon"), (means + bias + size * rng.standard_normal(means.shape)).astype("f4")

    xr.Dataset({"soil_moisture": field(0.0, 0.002)}, coords).to_netcdf(folder / f"sm_{month}.nc")
    names = [name for name in ERRORS if name != "pscnet"]
    made = {name: field(0.01 * (1 + number), 0.05) for number, name in enumerate(names)}
    xr.Dataset(made, coords).to_netcdf(folder / f"fields_{month}.nc")
