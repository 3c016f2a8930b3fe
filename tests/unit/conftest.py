"""A small made-up run on disk: everything that the score and report stages read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator

from pscnet.grids import ease2_grid, regular_grid
from pscnet.timeaxis import month_bounds, month_stamps
from pscnet.variables import FLAG_BITS

BOX = (31.5, 33.5), (90.0, 93.0)
MONTHS = ("2016-07", "2016-08")
TEST_DAYS = [("2016-07-05T00:00", "2016-08-11T00:00")]


@dataclass
class MadeUpRun:
    """Paths of the files of a run, and the arrays behind them (time, lat, lon) over both months."""

    folder: Path
    arrays: dict[str, np.ndarray]
    times: np.ndarray

    def paths(self, name: str) -> list[Path]:
        return [self.folder / f"{name}_{month}.nc" for month in MONTHS]

    def arguments(self, **changes: object) -> dict:
        """Keyword arguments of ``score_run``."""
        made = {
            "products": self.paths("product"),
            "references": self.paths("fields"),
            "truths": self.paths("truth"),
            "heldout": self.folder / "heldout.nc",
            "static": self.folder / "static.nc",
            "fine": regular_grid(*BOX),
            "coarse": ease2_grid(*BOX),
            "test_intervals": TEST_DAYS,
            "scores_json": self.folder / "out" / "scores.json",
            "scores_csv": self.folder / "out" / "scores.csv",
            "places_nc": self.folder / "out" / "places.nc",
            "run": "made_up",
        }
        return made | changes


def _arrays(rng: np.random.Generator, times: np.ndarray) -> dict[str, np.ndarray]:
    fine, coarse = regular_grid(*BOX), ease2_grid(*BOX)
    hours = np.arange(times.size) * 3.0
    storms = np.zeros((times.size, *coarse.shape))
    state = np.zeros(coarse.shape)
    for step in range(times.size):
        state = 0.99 * state + np.where(rng.random(coarse.shape) < 0.01, 0.1, 0.0)
        storms[step] = state
    between = RegularGridInterpolator(
        (-coarse.lat, coarse.lon), np.moveaxis(storms, 0, -1), bounds_error=False, fill_value=None
    )
    nodes = np.stack(np.meshgrid(-fine.lat, fine.lon, indexing="ij"), axis=-1)
    smooth = np.moveaxis(between(nodes), -1, 0)
    texture = 0.03 * rng.standard_normal(fine.shape)
    day = 0.01 * np.sin(2 * np.pi * hours / 24)[:, None, None]
    truth = 0.15 + smooth + texture + day + 0.01 * rng.standard_normal(smooth.shape)
    error = 0.02 * rng.standard_normal(truth.shape)
    return {
        "truth": truth,
        "pscnet": truth + error,
        "uncertainty": np.full_like(truth, 0.02),
        "era5_land": 0.05 + 0.6 * truth + 0.04 * rng.standard_normal(truth.shape),
        "era5_land_rescaled": 0.02 + 0.9 * truth + 0.05 * rng.standard_normal(truth.shape),
        "smap_interpolated": 0.15
        + smooth
        + 0.03 * rng.standard_normal((times.size, 1, 1))
        + 0.003 * rng.standard_normal(truth.shape),
    }


def _write_month(
    folder: Path, month: str, times: np.ndarray, arrays: dict, frozen: np.ndarray, sea: np.ndarray
) -> None:
    fine = regular_grid(*BOX)
    here = (times >= month_bounds(month)[0]) & (times < month_bounds(month)[1])
    coordinates = {"time": times[here], "lat": fine.lat, "lon": fine.lon}
    dims = ("time", "lat", "lon")

    def on_grid(name: str) -> tuple:
        return dims, np.where(sea, np.nan, arrays[name][here]).astype(np.float32)

    flag = np.where(frozen[here], FLAG_BITS["frozen"], 0).astype(np.uint8)
    product = {
        "soil_moisture": on_grid("pscnet"),
        "soil_moisture_uncertainty": on_grid("uncertainty"),
        "flag": (dims, flag),
    }
    packed = {"dtype": "int16", "scale_factor": 1e-4, "_FillValue": -32768}
    xr.Dataset(product, coordinates).to_netcdf(
        folder / f"product_{month}.nc", encoding={"soil_moisture": packed, "soil_moisture_uncertainty": packed}
    )
    names = ("era5_land", "era5_land_rescaled", "smap_interpolated")
    xr.Dataset({name: on_grid(name) for name in names}, coordinates).to_netcdf(folder / f"fields_{month}.nc")
    truth = {
        "soil_moisture": on_grid("truth"),
        "frozen": (dims, frozen[here].astype(np.int8)),
        "snow": (dims, np.zeros(frozen[here].shape, np.int8)),
    }
    xr.Dataset(truth, coordinates).to_netcdf(folder / f"truth_{month}.nc")


def _write_smap(folder: Path, month: str, rng: np.random.Generator) -> None:
    coarse = ease2_grid(*BOX)
    start, end = month_bounds(month)
    halves = 2 * int((end - start) / np.timedelta64(1, "D"))
    shape = (halves, *coarse.shape)
    seen = rng.random(shape) < 0.4
    offset = np.where(seen, np.arange(halves)[:, None, None] * 12.0 + rng.uniform(-0.5, 0.5, shape), np.nan)
    dims = ("half_orbit", "y", "x")
    xr.Dataset(
        {
            "soil_moisture": (dims, np.where(seen, 0.2 + 0.05 * rng.standard_normal(shape), np.nan).astype(np.float32)),
            "time_offset": (dims, offset),
        },
        {
            "lat": ("y", coarse.lat),
            "lon": ("x", coarse.lon),
            "date": ("half_orbit", start + np.arange(halves) // 2 * np.timedelta64(1, "D")),
        },
    ).to_netcdf(folder / f"smap_{month}.nc")


def _write_heldout(folder: Path, times: np.ndarray, rng: np.random.Generator) -> None:
    coarse = ease2_grid(*BOX)
    count = 2000
    smap = 0.2 + 0.06 * rng.standard_normal(count)
    noise = {"pscnet": 0.02, "era5_land": 0.06, "era5_land_rescaled": 0.05, "smap_interpolated": 0.03}
    variables = {
        "time": ("pair", np.sort(rng.choice(times, count))),
        "y": ("pair", rng.integers(0, coarse.shape[0], count)),
        "x": ("pair", rng.integers(0, coarse.shape[1], count)),
        "smap": ("pair", smap),
    }
    variables |= {name: ("pair", smap + size * rng.standard_normal(count)) for name, size in noise.items()}
    learnt = {"train": [["2016-01-01", "2016-05-01"]], "validation": [["2016-05-01", "2016-06-20"]], "test": TEST_DAYS}
    attrs = {"learnt": json.dumps({"split": learnt, "buffer_days": 8.0, "window_days": 8.0})}
    xr.Dataset(variables, attrs=attrs).to_netcdf(folder / "heldout.nc")


@pytest.fixture(scope="session")
def made_up_run(tmp_path_factory: pytest.TempPathFactory) -> MadeUpRun:
    """A run of two months on 21 x 31 cells with sea in a corner and frost in the north-east; read only."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    times = np.concatenate([month_stamps(month) for month in MONTHS])
    fine = regular_grid(*BOX)
    arrays = _arrays(rng, times)
    sea = np.zeros(fine.shape, bool)
    sea[:3, :4] = True
    frozen = np.zeros((times.size, *fine.shape), bool)
    frozen[:, :5, -5:] = (np.arange(times.size) % 8 < 3)[:, None, None]
    for month in MONTHS:
        _write_month(folder, month, times, arrays, frozen, sea)
        _write_smap(folder, month, rng)
    region = xr.Dataset({"region": (("lat", "lon"), (~sea).astype(np.int8))}, {"lat": fine.lat, "lon": fine.lon})
    region.to_netcdf(folder / "static.nc")
    _write_heldout(folder, times, rng)
    arrays["sea"], arrays["frozen"] = sea, frozen
    return MadeUpRun(folder, arrays, times)
