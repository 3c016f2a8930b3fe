"""Held-out SMAP: every test retrieval beside what the net and the references say without its overpass.

File ``heldout.nc``, dimension ``pair``: ``time``, ``y``, ``x`` (coarse cell), ``smap``, its known noise ``smap_noise``,
one variable a method and the standard deviation of the product's footprint mean, ``{product}_std`` [m3 m-3].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from pscnet.baselines.interpolation import read_interpolators
from pscnet.baselines.smoothing import smoothed_smap
from pscnet.downscale import Downscaler
from pscnet.grids import TARGET_COVER
from pscnet.regrid import apply
from pscnet.samples.background import coarse_series
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import month_files
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split
from pscnet.validation import INTERPOLATED, PRODUCT, ScoreError


def write_heldout(
    months: Sequence[str],
    predictors: Sequence[str | Path],
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    weights: Mapping[str, str | Path],
    checkpoints: str | Path | Sequence[str | Path],
    covariance: str | Path,
    names: Sequence[str],
    split: Split,
    output: str | Path,
    device: str = "auto",
    tile: int | str = "auto",
    batch_steps: int = 8,
    threads: int = 1,
    model: str | None = None,
) -> None:
    """Predict every test overpass without itself, at 36 km.

    Parameters
    ----------
    months : consecutive months that hold the test split and their neighbours
    predictors, bands, coarse, smap : paths of these months' files
    static, covariance : paths
    checkpoints : path of the checkpoint, or paths of the members of an ensemble
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    names : predictor names in channel order
    split : Split
    output : path to write
    device, tile, batch_steps, model : see :class:`pscnet.downscale.Downscaler`
    threads : int

    Raises
    ------
    ScoreError
        When the test split holds no retrieval.
    """
    torch.set_num_threads(threads)
    downscaler = Downscaler(checkpoints, static, weights, names, device, tile, batch_steps, model=model)
    normaliser = downscaler.maker.normaliser
    causal = downscaler.checkpoint.causal
    retrievals = Retrievals.from_files(smap, coarse, normaliser.background, normaliser.noise, causal)
    stamps = retrievals.overpass_stamps()
    stamps = stamps[split.usable("test", stamps)]
    conservative = downscaler.weights["fine_to_coarse"]
    kriged = read_interpolators(
        smap, coarse, covariance, normaliser, _land(static), downscaler.weights, downscaler.checkpoint.window_days,
        causal,
    )  # fmt: skip
    covered = apply(conservative, np.where(downscaler.maker.region, 1.0, np.nan))[1] >= TARGET_COVER
    water_stamps, water = coarse_series(coarse, normaliser.background.variable)
    leave_out = downscaler.checkpoint.leave_out_hours
    files = month_files(months, predictors, bands, coarse, smap)
    rows: dict[str, list[np.ndarray]] = {}
    for position, file in enumerate(files):
        wanted = stamps[[str(stamp)[:7] == file.month for stamp in stamps]]
        if wanted.size == 0:
            continue
        previous = files[position - 1].bands if position else None
        before = files[position - 1].predictors if position else None
        for part in downscaler.fields(file.predictors, previous, retrievals, wanted, leave_out, before):
            seen = retrievals.around(part.times, downscaler.checkpoint.window_days, leave_out)
            here = water[np.searchsorted(water_stamps, part.times)]
            fields = {
                PRODUCT: apply(conservative, part.soil_moisture)[0],
                f"{PRODUCT}_std": np.sqrt(apply(conservative, part.uncertainty**2)[0]),
                "era5_land": here,
                "era5_land_rescaled": normaliser.matched(here),
                INTERPOLATED: smoothed_smap(seen, normaliser.target_mean),
            } | {name: method.at_footprints(part.times, here, leave_out) for name, method in kriged.items()}
            for step, stamp in enumerate(part.times):
                value, noise = retrievals.target(stamp)
                value = np.where(covered, value, np.nan)
                y, x = np.nonzero(np.isfinite(value))
                pairs = {"time": np.full(y.size, stamp, "M8[ns]"), "y": y, "x": x, "smap": value[y, x]}
                pairs["smap_noise"] = noise[y, x]
                pairs |= {name: field[step][y, x] for name, field in fields.items()}
                for name, column in pairs.items():
                    rows.setdefault(name, []).append(column)
    if not sum(column.size for column in rows.get("smap", [])):
        raise ScoreError(
            f"split.test {split.describe()['test']}: no accepted SMAP retrieval; lengthen it or set "
            "smap.quality: lenient"
        )
    made = xr.Dataset({name: ("pair", np.concatenate(columns)) for name, columns in rows.items()})
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4")


def _land(static: str | Path) -> np.ndarray:
    with xr.open_dataset(static) as data:
        return data["land"].values > 0
