"""Paths in, an explanation out.

Files: ``{model}.json`` and ``{model}.csv`` hold the importance of every input, ``{model}.nc`` the carry maps (see
:func:`pscnet.explain.carry.carry_map`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import torch

from pscnet.downscale import LARGEST_BATCH, Downscaler
from pscnet.explain.carry import carry_map, require_own
from pscnet.explain.importance import Importance, ItemImportance, permutation_importance
from pscnet.samples.files import learnt_retrievals
from pscnet.samples.geometry import make_geometry, make_tiles
from pscnet.samples.kriged import kriging
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import MonthFiles, SampleStore, covered_cells, month_files
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split

#: What the numbers of the table mean.
MEANING = (
    "increase of the mean squared difference between 36 km means and left-out SMAP retrievals, weighted by their "
    "precision, when samples of the same calendar month exchange the item"
)


def write_explanation(
    months: Sequence[str],
    predictors: Sequence[str | Path],
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    weights: Mapping[str, str | Path],
    samples: str | Path,
    checkpoints: str | Path | Sequence[str | Path],
    names: Sequence[str],
    split: Split,
    mapped: Sequence[str],
    table: str | Path,
    rows: str | Path,
    maps: str | Path,
    device: str = "auto",
    tile: int | str = "auto",
    batch_steps: int = 8,
    threads: int = 1,
    model: str | None = None,
    part: str = "validation",
    seed: int = 0,
) -> None:
    """Explain a trained net: importance on a part of the split, and carry maps of some months.

    Parameters
    ----------
    months : consecutive months that hold ``part``, ``mapped`` and their neighbours
    predictors, bands, coarse, smap : paths of these months' files
    static : path
    samples : folder of the sample files
    checkpoints : path, or paths of an ensemble's members: the importance is that of the first
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    names : predictor names in channel order
    split : Split
    mapped : months of the carry maps
    table, rows, maps : paths to write: JSON, CSV, NetCDF
    device, tile, batch_steps, model : see :class:`pscnet.downscale.Downscaler`
    threads : int
        CPU threads of torch.
    part : {"train", "validation"}
        Samples of the importance.
    seed : int
        Of the permutations.

    Raises
    ------
    ExplainError
        When the net wears the literature's dress, before anything is computed; or when samples or files lack.
    """
    torch.set_num_threads(threads)
    downscaler = Downscaler(checkpoints, static, weights, names, device, tile, batch_steps, model=model)
    require_own(downscaler)
    files = month_files(months, predictors, bands, coarse, smap)
    importance = _importance(downscaler, files, split, part, seed, samples)
    made = carry_map(downscaler, files, _retrievals(downscaler, files), mapped)
    _write_table(table, importance, part, downscaler.checkpoint.spec.name)
    _write_rows(rows, importance)
    with replacing(maps) as unfinished:
        made.to_netcdf(unfinished, engine="netcdf4")


def _retrievals(downscaler: Downscaler, files: Sequence[MonthFiles]) -> Retrievals:
    normaliser = downscaler.maker.normaliser
    paths = [file.smap for file in files], [file.coarse for file in files]
    return Retrievals.from_files(*paths, normaliser.background, normaliser.noise, downscaler.checkpoint.causal)


def _importance(
    downscaler: Downscaler, files: Sequence[MonthFiles], split: Split, part: str, seed: int, samples: str | Path
) -> Importance:
    """Importance on the samples of a part, on the whole region as one tile as in training."""
    maker, causal = downscaler.maker, downscaler.checkpoint.causal
    paths = [file.smap for file in files], [file.coarse for file in files]
    retrievals = learnt_retrievals(*paths, maker.normaliser, split, causal)
    spec, conservative = downscaler.spec, downscaler.weights["fine_to_coarse"]
    (tile,) = make_tiles(conservative.src, conservative.dst, None, 0)
    geometry = make_geometry(downscaler.weights, maker.land, tile, downscaler.device)
    kriged = kriging(causal) if spec.kriged else None
    covered = covered_cells(maker, conservative)
    store = SampleStore(samples, part, maker, retrievals, covered, kriged, spec.sequence_days)
    steps = max(1, min(downscaler.batch_steps, LARGEST_BATCH // maker.land.size))
    leave_out = downscaler.checkpoint.leave_out_hours
    return permutation_importance(downscaler.nets[0], store, geometry, tile, leave_out, batch_steps=steps, seed=seed)


def _write_table(path: str | Path, importance: Importance, part: str, model: str) -> None:
    document = {"model": model, "part": part, "meaning": MEANING, "unit": "(m3 m-3)2", **asdict(importance)}
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _write_rows(path: str | Path, importance: Importance) -> None:
    with replacing(path) as unfinished, open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ItemImportance)])
        writer.writeheader()
        writer.writerows(asdict(item) for item in importance.items)
