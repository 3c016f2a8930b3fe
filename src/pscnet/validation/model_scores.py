"""One model's moments against the truth, straight from its checkpoint: no product file is written for a comparison.

The fields are those that the product would hold: all eight hours of the test split, every retrieval used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from pscnet.downscale import Downscaler
from pscnet.grids import Grid
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import month_files
from pscnet.validation import ScoreError
from pscnet.validation.blocks import BlockScores
from pscnet.validation.series import scorable

#: Steps read and scored together.
_STEPS = 32

Intervals = Sequence[tuple[object, object]]


def write_model_scores(
    months: Sequence[str],
    predictors: Sequence[str | Path],
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    truths: Mapping[str, str | Path],
    static: str | Path,
    weights: Mapping[str, str | Path],
    checkpoints: Sequence[str | Path],
    curves: Sequence[str | Path],
    names: Sequence[str],
    test_intervals: Intervals,
    output: str | Path,
    threads: int = 1,
    **options: object,
) -> None:
    """Compute the fields of the test split and write their moments (:mod:`pscnet.validation.blocks`).

    Parameters
    ----------
    months : consecutive months that hold the test split and their neighbours
    predictors, bands, coarse, smap : paths of these months' files
    truths : month of the test split to path
    static : path
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    checkpoints : one path, or those of an ensemble
    curves : paths of their learning curves, from which the seconds of training are told
    names : predictor names in channel order
    test_intervals : list of (start, end), half-open
    output : path to write
    threads : int
        CPU threads of torch.
    options : see :class:`pscnet.downscale.Downscaler`
    """
    torch.set_num_threads(threads)
    downscaler = Downscaler(checkpoints, static, weights, names, **options)  # type: ignore[arg-type]
    maker, causal = downscaler.maker, downscaler.checkpoint.causal
    retrievals = Retrievals.from_files(smap, coarse, maker.normaliser.background, maker.normaliser.noise, causal)
    scores = BlockScores(downscaler.fine, downscaler.coarse, test_intervals)
    files = month_files(months, predictors, bands, coarse, smap)
    for position, file in enumerate(files):
        if file.month not in truths:
            continue
        before = files[position - 1] if position else None
        past = (before.bands, before.predictors) if before else (None, None)
        with xr.open_dataset(truths[file.month]) as truth:
            _check_cells(truth, truths[file.month], downscaler.fine)
            for part in downscaler.fields(file.predictors, past[0], retrievals, before=past[1]):
                exact = scorable(truth, np.arange(part.start, part.start + len(part.times)))
                exact = np.where(maker.region, exact, np.nan)
                _check_complete(part.soil_moisture, exact, checkpoints[0], part.times)
                scores.update(part.times, exact, part.soil_moisture, part.uncertainty)
    scores.write(
        output,
        {
            "parameters": downscaler.nets[0].learnt_numbers(),
            "members": len(downscaler.nets),
            "training_seconds": float(np.mean([_seconds(path) for path in curves])),
            "model": downscaler.spec.name,
        },
    )


def write_reference_scores(
    fields: Sequence[str | Path],
    truths: Sequence[str | Path],
    static: str | Path,
    fine: Grid,
    coarse: Grid,
    test_intervals: Intervals,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write the moments of the reference fields.

    Parameters
    ----------
    fields, truths : paths of the months of the test split, in the order of time
    static : path of ``static.nc``
    fine, coarse : Grid
    test_intervals : list of (start, end), half-open
    outputs : method to path to write
    """
    with xr.open_dataset(static) as data:
        region = data["region"].values > 0
    scores = {method: BlockScores(fine, coarse, test_intervals) for method in outputs}
    for reference, truth_file in zip(fields, truths, strict=True):
        with xr.open_dataset(reference) as found, xr.open_dataset(truth_file) as truth:
            _check_cells(truth, truth_file, fine)
            times = found["time"].values
            for first in range(0, len(times), _STEPS):
                rows = np.arange(first, min(first + _STEPS, len(times)))
                exact = np.where(region, scorable(truth, rows), np.nan)
                for method, accumulator in scores.items():
                    field = found[method].isel(time=rows).values
                    _check_complete(field, exact, reference, times[rows])
                    accumulator.update(times[rows], exact, field)
    for method, accumulator in scores.items():
        accumulator.write(outputs[method])


def _check_cells(truth: xr.Dataset, path: str | Path, fine: Grid) -> None:
    lat, lon = truth["lat"].values, truth["lon"].values
    same = (lat.size, lon.size) == fine.shape and np.allclose(lat, fine.lat, atol=1e-4)
    if not (same and np.allclose(lon, fine.lon, atol=1e-4)):
        raise ScoreError(f"{path}: the cells of {fine.name} {fine.shape} expected, found {(lat.size, lon.size)}")


def _check_complete(field: np.ndarray, truth: np.ndarray, source: str | Path, times: np.ndarray) -> None:
    """Methods that leave cells out would be scored on other samples."""
    absent = int((np.isfinite(truth) & ~np.isfinite(field)).sum())
    if absent:
        raise ScoreError(
            f"{source}: a value at every cell with truth expected, {absent} missing from {str(times[0])[:16]} on; a "
            "comparison needs the same samples of every method"
        )


def _seconds(curve: str | Path) -> float:
    rows = np.atleast_1d(np.genfromtxt(curve, delimiter=",", names=True))
    return float(rows["seconds"].sum())
