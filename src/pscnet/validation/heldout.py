"""Held-out SMAP: test retrievals beside what the net and the references say without their overpass.

File ``heldout.nc``, dimension ``pair``:

=====================  ========  ===================================================================================
variable               unit      meaning
=====================  ========  ===================================================================================
``time``, ``y``, ``x``           stamp of the overpass, cell of the coarse grid
``hidden_days``        day       N: all retrievals within N days on both sides, in every cell, were left out; 0: those
                                 of the overpass alone
``smap``, ``noise``    m3 m-3    the retrieval and the stated standard deviation of its noise
one for each method    m3 m-3    what it says there
``{product}_std``      m3 m-3    standard deviation of the product's footprint mean, without the retrieval's noise
=====================  ========  ===================================================================================

A longer gap is computed for a share of the overpasses, drawn at random with a seed. The attribute ``learnt`` holds the
split that the checkpoint was trained on, ``causal`` whether it sees past retrievals alone, so that none is hidden after
the scored one (:mod:`pscnet.validation.leakage`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from pscnet.baselines.interpolation import Interpolator, read_interpolators
from pscnet.baselines.smoothing import smoothed_smap
from pscnet.downscale import Downscaler
from pscnet.grids import TARGET_COVER
from pscnet.regrid import apply
from pscnet.samples.background import coarse_series
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import MonthFiles, month_files
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split
from pscnet.validation import INTERPOLATED, PRODUCT, ScoreError
from pscnet.validation.leakage import CAUSAL, LEARNT, describe_learnt, require_unseen

#: Standard deviation of the product's footprint mean.
PRODUCT_STD = f"{PRODUCT}_std"


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
    gaps_days: Sequence[float] = (),
    gaps_share: float = 1.0,
    gaps_seed: int = 0,
) -> None:
    """Predict every test overpass without itself, at 36 km, and a share of them without their neighbours in time.

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
    gaps_days : sequence of float [day]
        Retrievals this near to the scored one are left out besides, before and after it and in every cell.
    gaps_share : float
        Share of the overpasses that these gaps are computed for.
    gaps_seed : int
        Of the draw of these overpasses.

    Raises
    ------
    ScoreError
        When the test split holds no retrieval, or a checkpoint has seen it.
    """
    torch.set_num_threads(threads)
    downscaler = Downscaler(checkpoints, static, weights, names, device, tile, batch_steps, model=model)
    trained = downscaler.checkpoint
    learnt = describe_learnt(trained.split, trained.buffer_days, trained.window_days)
    scored = split.describe()["test"]
    require_unseen(json.loads(learnt), scored, checkpoints if isinstance(checkpoints, str | Path) else checkpoints[0])
    witness = _Witness(downscaler, coarse, smap, static, covariance)
    stamps = witness.retrievals.overpass_stamps()
    stamps = stamps[split.usable("test", stamps)]
    files = month_files(months, predictors, bands, coarse, smap)
    rows: dict[str, list[np.ndarray]] = {}
    for hidden in (0.0, *gaps_days):
        chosen = drawn_overpasses(stamps, gaps_share, gaps_seed) if hidden else stamps
        for pairs in witness.pairs(files, chosen, hidden):
            for name, column in pairs.items():
                rows.setdefault(name, []).append(column)
    if not sum(column.size for column in rows.get("smap", [])):
        raise ScoreError(f"split.test {scored}: no accepted SMAP retrieval; lengthen it or set smap.quality: lenient")
    made = xr.Dataset({name: ("pair", np.concatenate(columns)) for name, columns in rows.items()})
    made.attrs = {LEARNT: learnt, CAUSAL: int(trained.causal), "gaps_share": gaps_share, "gaps_seed": gaps_seed}
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4")


def drawn_overpasses(stamps: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A random ``share`` (rounded up) of ascending ``stamps`` (n,), in their order; the same ones for a seed."""
    count = int(np.ceil(share * stamps.size))
    return np.sort(np.random.default_rng(seed).permutation(stamps)[:count])


class _Witness:
    """What is said of an overpass by methods that have not seen it."""

    def __init__(
        self,
        downscaler: Downscaler,
        coarse: Sequence[str | Path],
        smap: Sequence[str | Path],
        static: str | Path,
        covariance: str | Path,
    ) -> None:
        checkpoint, self.normaliser = downscaler.checkpoint, downscaler.maker.normaliser
        self.downscaler, self.window_days, self.leave_out = (
            downscaler, checkpoint.window_days, checkpoint.leave_out_hours,
        )  # fmt: skip
        background, noise = self.normaliser.background, self.normaliser.noise
        self.retrievals = Retrievals.from_files(smap, coarse, background, noise, checkpoint.causal)
        self.conservative = downscaler.weights["fine_to_coarse"]
        self.kriged: dict[str, Interpolator] = read_interpolators(
            smap, coarse, covariance, self.normaliser, _land(static), downscaler.weights, self.window_days,
            checkpoint.causal,
        )  # fmt: skip
        inside = np.where(downscaler.maker.region, 1.0, np.nan)
        self.covered = apply(self.conservative, inside)[1] >= TARGET_COVER
        self.water_stamps, self.water = coarse_series(coarse, background.variable)

    def pairs(
        self, files: Sequence[MonthFiles], stamps: np.ndarray, hidden_days: float
    ) -> Iterator[dict[str, np.ndarray]]:
        """Columns (pair,) of ``heldout.nc``, one overpass after the other."""
        leave_out = max(self.leave_out, 24.0 * hidden_days)
        for position, file in enumerate(files):
            wanted = stamps[[str(stamp)[:7] == file.month for stamp in stamps]]
            if wanted.size == 0:
                continue
            previous = files[position - 1].bands if position else None
            before = files[position - 1].predictors if position else None
            for part in self.downscaler.fields(file.predictors, previous, self.retrievals, wanted, leave_out, before):
                seen = self.retrievals.around(part.times, self.window_days, leave_out)
                here = self.water[np.searchsorted(self.water_stamps, part.times)]
                fields = {
                    PRODUCT: apply(self.conservative, part.soil_moisture)[0],
                    PRODUCT_STD: np.sqrt(apply(self.conservative, part.uncertainty**2)[0]),
                    "era5_land": here,
                    "era5_land_rescaled": self.normaliser.matched(here),
                    INTERPOLATED: smoothed_smap(seen, self.normaliser.target_mean),
                }
                fields |= {name: made.at_footprints(part.times, here, leave_out) for name, made in self.kriged.items()}
                for step, stamp in enumerate(part.times):
                    yield self._columns(stamp, hidden_days, {name: field[step] for name, field in fields.items()})

    def _columns(
        self, stamp: np.datetime64, hidden_days: float, fields: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        value, noise = self.retrievals.target(stamp)
        y, x = np.nonzero(np.isfinite(np.where(self.covered, value, np.nan)))
        columns = {"time": np.full(y.size, stamp, "M8[ns]"), "y": y, "x": x}
        columns |= {"hidden_days": np.full(y.size, hidden_days, "f4"), "smap": value[y, x], "noise": noise[y, x]}
        return columns | {name: field[y, x] for name, field in fields.items()}


def _land(static: str | Path) -> np.ndarray:
    with xr.open_dataset(static) as data:
        return data["land"].values > 0
