"""A made-up month of the whole Plateau box in the pipeline's own layout, and a checkpoint of random weights.

What the fields say does not matter to memory and time; their sizes, gaps and files are those of the real run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import torch
import xarray as xr

from pscnet.baselines.covariance import Covariance
from pscnet.checkpoint import Checkpoint
from pscnet.config import DEFAULT_PREDICTORS, Model, Samples
from pscnet.grids import WEIGHTS, Grid, ease2_grid, halved, regular_grid
from pscnet.nets import NetSpec, make_net
from pscnet.nets.frame import SEASON
from pscnet.regrid import write_weight_file
from pscnet.samples.background import Background, Line
from pscnet.samples.bands import channel_names
from pscnet.samples.normaliser import STATICS, Normaliser
from pscnet.sources.era5_land import _store  # chunks and compression as the pipeline writes them
from pscnet.timeaxis import month_days, month_stamps, neighbour

LAT, LON = (25.0, 40.0), (73.0, 105.0)
MONTH = "2017-07"
PREDICTORS = list(DEFAULT_PREDICTORS)

#: Of innovations, about as on the demo.
COVARIANCE = Covariance(variance=0.024**2, length_km=71.0, days=7.4, white=0.035, shared=0.030, shared_km=43.0)

#: Share of half-orbits in which a cell has a retrieval: an overpass every two to three days, and gaps.
SEEN = 0.2


@dataclass(frozen=True)
class Plateau:
    """Files of the made-up month."""

    folder: Path

    @property
    def fine(self) -> Grid:
        return regular_grid(LAT, LON)

    @property
    def coarse(self) -> Grid:
        return ease2_grid(LAT, LON)

    @property
    def weights(self) -> dict[str, Path]:
        return {name: self.folder / "weights" / f"{name}.nc" for name in WEIGHTS}

    def arguments(self) -> dict[str, object]:
        """Arguments of :func:`pscnet.downscale.write_month` but for the output."""
        around = [neighbour(MONTH, offset) for offset in (-1, 0, 1)]
        return {
            "predictors": self.folder / "predictors.nc",
            "previous": None,
            "coarse": [self.folder / "coarse" / f"{month}.nc" for month in around],
            "smap": [self.folder / "smap" / f"{month}.nc" for month in around],
            "static": self.folder / "static.nc",
            "weights": self.weights,
            "checkpoints": self.folder / "checkpoint.safetensors",
            "names": PREDICTORS,
        }


def make_plateau(folder: Path) -> Plateau:
    """Write all files (about 700 MB)."""
    rng = np.random.default_rng(0)
    made = make_region(folder, rng)
    with xr.open_dataset(folder / "static.nc") as static:
        land = static["land"].values > 0
    _write_predictors(made, land, rng)
    for month in (neighbour(MONTH, offset) for offset in (-1, 0, 1)):
        write_coarse_and_smap(made, month, rng)
    return made


def make_region(folder: Path, rng: np.random.Generator) -> Plateau:
    """Write what does not change in time: weights, static fields and the checkpoint."""
    made = Plateau(folder)
    grids = {"fine": made.fine, "middle": halved(made.coarse), "coarse": made.coarse}
    for part in ("weights", "coarse", "smap"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, method in WEIGHTS.items():
        source, target = name.split("_to_")
        write_weight_file(grids[source], grids[target], method, "exact", made.weights[name])
    land = np.ones(made.fine.shape, bool)
    land[-30:, 60:110] = False
    fields = {name: rng.normal(0, 1, made.fine.shape) for name in ("elevation", "slope", "elevation_anomaly")}
    xr.Dataset(
        {name: (("lat", "lon"), field.astype("f4")) for name, field in fields.items()}
        | {name: (("lat", "lon"), land.astype("i1")) for name in ("land", "region")},
        coords={"lat": made.fine.lat, "lon": made.fine.lon},
    ).to_netcdf(folder / "static.nc")
    _write_checkpoint(made, rng)
    return made


def _write_predictors(made: Plateau, land: np.ndarray, rng: np.random.Generator) -> None:
    stamps = month_stamps(MONTH)
    with netCDF4.Dataset(made.folder / "predictors.nc", "w") as file:
        for name, values in {"lat": made.fine.lat, "lon": made.fine.lon}.items():
            file.createDimension(name, values.size)
            file.createVariable(name, "f8", (name,))[:] = values
        file.createDimension("time", stamps.size)
        time = file.createVariable("time", "i8", ("time",))
        time.units, time.calendar = f"hours since {MONTH}-01", "standard"
        time[:] = np.arange(stamps.size) * 3
        for name in PREDICTORS:
            steps = rng.integers(0, 1024, (stamps.size, *land.shape), "u2")  # compresses about as real fields do
            values = np.where(land, steps.astype("f4") / 1024, np.float32(np.nan))
            _store(file, name, ("time", "lat", "lon"), values, {})


def write_coarse_and_smap(
    made: Plateau, month: str, rng: np.random.Generator, names: Sequence[str] = tuple(PREDICTORS)
) -> None:
    """Write a month's coarse means of some predictors, and its retrievals: overpasses at 00 and 12 UTC."""
    shape = made.coarse.shape
    stamps, days = month_stamps(month), month_days(month)
    xr.Dataset(
        {name: (("time", "y", "x"), rng.random((stamps.size, *shape), "f4")) for name in names},
        coords={"time": stamps},
    ).to_netcdf(made.folder / "coarse" / f"{month}.nc")
    slots = (2 * len(days), *shape)
    seen = rng.random(slots) < SEEN
    offset = np.broadcast_to((np.arange(slots[0]) * 12.0 + 0.4)[:, None, None], slots)
    fields = {
        "soil_moisture": np.where(seen, rng.random(slots, "f4") * 0.4, np.nan).astype("f4"),
        "time_offset": np.where(seen, offset, np.nan),
        "soil_moisture_error": np.where(seen, 0.043, np.nan).astype("f4"),
        "surface_flag": np.where(seen, 0, 65534).astype("u2"),
    }
    xr.Dataset(
        {name: (("half_orbit", "y", "x"), field) for name, field in fields.items()},
        coords={"date": ("half_orbit", np.repeat(np.array(days, "M8[ns]"), 2))},
    ).to_netcdf(made.folder / "smap" / f"{month}.nc")


def _write_checkpoint(made: Plateau, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    samples = Samples()
    channels = tuple(channel_names(PREDICTORS, samples.time_scales_days))
    bands = len(channels) // len(PREDICTORS)

    def line(grid: Grid) -> Line:
        return Line(np.full(grid.shape, 0.05, "f4"), np.full(grid.shape, 0.8, "f4"))

    background = Background(
        PREDICTORS[0],
        line(made.fine),
        line(made.coarse),
        detail=rng.normal(0, 0.01, made.fine.shape).astype("f4"),
        coarse_detail=np.zeros(made.coarse.shape, "f4"),
        pattern=rng.normal(0, 0.01, made.fine.shape).astype("f4"),
        coarse_pattern=np.zeros(made.coarse.shape, "f4"),
    )
    size = len(channels)
    normaliser = Normaliser(
        channels,
        *(np.full(size, value, "f4") for value in (0.1, 0.3, -1.0, 1.0)),
        np.zeros(len(STATICS), "f4"),
        np.ones(len(STATICS), "f4"),
        0.2,
        0.08,
        0.043,
        np.zeros((len(PREDICTORS), *made.fine.shape), "f4"),
        background,
        line(made.coarse),
    )
    spec = NetSpec(
        predictors=len(PREDICTORS), bands=bands, statics=len(STATICS) + len(PREDICTORS) + SEASON,
        window_days=samples.window_days, **Model().model_dump() | {"sequence_days": 0},
    )  # fmt: skip
    Checkpoint(
        spec, make_net(spec).state_dict(), normaliser, made.fine.describe(), made.coarse.describe(),
        list(samples.time_scales_days), samples.window_days, samples.leave_out_hours, {}, 1.0,
        covariance=vars(COVARIANCE),
    ).write(made.folder / "checkpoint.safetensors")  # fmt: skip
