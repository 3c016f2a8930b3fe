"""A made-up run of three months on a small region: the files that the learning rooms read."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.baselines.covariance import Covariance, write_covariances
from pscnet.baselines.rescaling import BACKGROUNDS
from pscnet.grids import WEIGHTS, Grid, ease2_grid, halved, regular_grid
from pscnet.regrid import apply, make_weights, write_weight_file
from pscnet.samples.bands import write_bands
from pscnet.timeaxis import Split, make_split, month_days, month_stamps

MONTHS = ["2020-05", "2020-06", "2020-07"]
PREDICTORS = ["swvl1", "tp", "stl1"]
SCALES = [1.5, 5.0, 15.0]
LAT, LON = (31.0, 32.9), (91.0, 93.2)
WINDOW_DAYS, LEAVE_OUT_HOURS, SEQUENCE_DAYS = 8.0, 6.0, 3
NOISE, LENIENT_NOISE = 0.04, 0.06


@dataclass(frozen=True)
class MadeRun:
    """Paths of a made-up run."""

    folder: Path
    fine: Grid
    coarse: Grid

    def files(self, kind: str, months: list[str] | None = None) -> list[Path]:
        return [self.folder / kind / f"{month}.nc" for month in months or MONTHS]

    @property
    def weights(self) -> dict[str, Path]:
        return {name: self.folder / "weights" / f"{name}.nc" for name in WEIGHTS}

    @property
    def static(self) -> Path:
        return self.folder / "static.nc"

    @property
    def normaliser(self) -> Path:
        return self.folder / "normaliser.nc"

    @property
    def covariance(self) -> Path:
        return self.folder / "covariance.json"

    @property
    def samples(self) -> Path:
        return self.folder / "samples"

    @property
    def split(self) -> Split:
        parts = {"train": ["2020-05"], "validation": ["2020-06"], "test": ["2020-07"]}
        return make_split(parts, (MONTHS[0], MONTHS[-1]), 8)


def make_run(folder: Path, box: tuple = (LAT, LON), sea: int = 6, outside: int = 2) -> MadeRun:
    """Write predictors, coarse means, SMAP, statics, weights and bands; the first rows and columns are sea, the
    last two columns land outside the region."""
    run = MadeRun(folder, regular_grid(*box), ease2_grid(*box))
    grids = {"fine": run.fine, "middle": halved(run.coarse), "coarse": run.coarse}
    for name, method in WEIGHTS.items():
        source, target = name.split("_to_")
        write_weight_file(grids[source], grids[target], method, "exact", run.weights[name])
    land = np.ones(run.fine.shape, bool)
    land[:sea, :sea] = False
    rng = np.random.default_rng(0)
    conservative = make_weights(run.fine, run.coarse, "conservative", "exact")
    pattern = rng.normal(0, 0.03, run.fine.shape)
    previous = None
    for month in MONTHS:
        truth = _predictors(run, month, land, pattern, rng)
        _coarse_and_smap(run, month, truth, conservative, rng)
        output = folder / "bands" / f"{month}.nc"
        write_bands(folder / "predictors" / f"{month}.nc", previous, PREDICTORS, "swvl1", SCALES, output)
        previous = output
    fields = {"elevation": 4000 + 300 * pattern, "slope": np.abs(pattern), "elevation_anomaly": 100 * pattern}
    region = land.copy()
    region[:, region.shape[1] - outside :] = False
    xr.Dataset(
        {name: (("lat", "lon"), field.astype("f4")) for name, field in fields.items()}
        | {"land": (("lat", "lon"), land.astype("i1")), "region": (("lat", "lon"), region.astype("i1"))},
        coords={"lat": run.fine.lat, "lon": run.fine.lon},
    ).to_netcdf(run.static)
    known = Covariance(variance=0.02**2, length_km=100.0, days=5.0, white=0.035, shared=0.02, shared_km=50.0)
    write_covariances(dict.fromkeys(BACKGROUNDS, known), {}, run.covariance)
    return run


def _predictors(run: MadeRun, month: str, land: np.ndarray, pattern: np.ndarray, rng) -> np.ndarray:
    """Write one month of predictors; returns the soil moisture that SMAP observes (time, lat, lon)."""
    stamps = month_stamps(month)
    rain = np.maximum(rng.gamma(0.2, 0.003, (stamps.size, 1, 1)) * (1 + pattern), 0)
    level = np.array(list(itertools.accumulate(rain[:, 0, 0], lambda w, r: 0.97 * w + 6 * r, initial=0.1))[1:])
    water = 0.15 + level[:, None, None] + pattern + rng.normal(0, 0.005, (stamps.size, *run.fine.shape))
    hour = (stamps - stamps.astype("M8[D]")) / np.timedelta64(1, "h")
    warmth = 280 + 5 * np.sin(2 * np.pi * hour / 24)[:, None, None] + 10 * pattern
    fields = {"swvl1": water, "tp": np.broadcast_to(rain, water.shape), "stl1": warmth}
    made = xr.Dataset(
        {name: (("time", "lat", "lon"), np.where(land, field, np.nan).astype("f4")) for name, field in fields.items()},
        coords={"time": stamps, "lat": run.fine.lat, "lon": run.fine.lon},
    )
    _write(made, run.folder / "predictors" / f"{month}.nc")
    return np.where(land, 0.8 * water + 0.5 * pattern, np.nan)


def _coarse_and_smap(run: MadeRun, month: str, truth: np.ndarray, conservative, rng) -> None:
    with xr.open_dataset(run.folder / "predictors" / f"{month}.nc") as data:
        coarse = {name: apply(conservative, data[name].values)[0] for name in PREDICTORS}
        stamps = data["time"].values
    dims = ("time", "y", "x")
    made = xr.Dataset({name: (dims, field) for name, field in coarse.items()}, coords={"time": stamps})
    _write(made, run.folder / "coarse" / f"{month}.nc")
    footprints = apply(conservative, truth)[0]
    days = month_days(month)
    shape = (2 * len(days), *run.coarse.shape)
    # Mornings lie in the evening before by UTC, the month's first one in the month before.
    offset = np.repeat(np.arange(2 * len(days)) * 12.0 - 0.6, run.coarse.size).reshape(shape)
    position = np.round(offset / 3).astype(int)
    y, x = np.indices(run.coarse.shape)
    noise = np.where(rng.random(shape) < 0.3, LENIENT_NOISE, NOISE)
    value = footprints[position, y, x] + rng.normal(0, 1, shape) * noise
    seen = (rng.random((shape[0], 1, 1)) < 0.6) & np.isfinite(value)
    smap = xr.Dataset(
        {
            "soil_moisture": (("half_orbit", "y", "x"), np.where(seen, value, np.nan).astype("f4")),
            "time_offset": (("half_orbit", "y", "x"), np.where(seen, offset, np.nan)),
            "soil_moisture_error": (("half_orbit", "y", "x"), np.where(seen, noise, np.nan).astype("f4")),
            "surface_flag": (("half_orbit", "y", "x"), np.where(seen, 0, 65534).astype("u2")),
        },
        coords={"date": ("half_orbit", np.repeat(np.array(days, "M8[ns]"), 2))},
    )
    _write(smap, run.folder / "smap" / f"{month}.nc")


def _write(data: xr.Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_netcdf(path)
