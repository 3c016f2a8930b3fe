"""Training from files: samples in, checkpoint and learning curve out."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pscnet.baselines.covariance import read_covariances
from pscnet.channels import LEARNT_PARTS
from pscnet.checkpoint import Checkpoint
from pscnet.devices import choose_device, deterministic
from pscnet.nets import NETS, NetSpec, make_net
from pscnet.provenance import behind
from pscnet.samples.bands import SampleError
from pscnet.samples.files import learnt_retrievals
from pscnet.samples.geometry import cell_share, make_geometry, make_pyramid, make_tiles, read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.kriged import COVARIANCE, kriging
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.store import (
    SampleStore,
    covered_cells,
    time_scales,
)
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split
from pscnet.training.calibration import calibrate
from pscnet.training.memory import Memory
from pscnet.training.trainer import Options, Trainer, TrainingTile, every_batch, too_large
from pscnet.weights import Weights

logger = logging.getLogger(__name__)

#: Largest side of a region [fine cell] that ``training.tile: auto`` trains on as a whole.
LARGEST_WHOLE = 400


def training_tiles(
    spec: NetSpec, weights: Mapping[str, Weights], land: np.ndarray, size: int | str, device: torch.device
) -> list[TrainingTile]:
    """The tiles that a net is trained on: the whole region, or cores with as much around them as the net can see.

    Parameters
    ----------
    spec : NetSpec
    weights : weight set
    land : ndarray (lat, lon) bool
    size : int, "auto" or "whole"
        Fine cells a side of a core; ``auto``: the whole region up to :data:`LARGEST_WHOLE`, then tiles of that size.
    device : torch.device
    """
    fine, coarse = weights["fine_to_coarse"].src, weights["fine_to_coarse"].dst
    longest = max(fine.shape)
    core = {"auto": LARGEST_WHOLE, "whole": longest}.get(size, size)
    whole = core >= longest or not spec.own
    core = -(-longest // -(-longest // core))  # cores of about equal size: a cell of a sliver would weigh more
    reach = 0 if whole else NETS[spec.name](spec).reach_coarse_cells(cell_share(fine, coarse))
    made = []
    for tile in make_tiles(fine, coarse, None if whole else core, reach):
        rows, cols = tile.core
        y = (coarse.lat <= fine.lat_edges[rows.start]) & (coarse.lat > fine.lat_edges[rows.stop])
        x = (coarse.lon >= fine.lon_edges[cols.start]) & (coarse.lon < fine.lon_edges[cols.stop])
        owned = np.ones(coarse.shape, bool) if whole else y[:, None] & x[None, :]
        geometry = make_geometry(weights, land, tile, device)
        cells = None if spec.own else make_pyramid(geometry.coarse_weight[0, 0].cpu().numpy(), device)
        here = torch.from_numpy(owned[tile.coarse].astype("f4")).to(device)[None, None]
        made.append(TrainingTile(tile, geometry, here, cells))
    return made


def train_files(
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    samples: str | Path,
    static: str | Path,
    normaliser: str | Path,
    weights: Mapping[str, str | Path],
    split: Split,
    model: Mapping[str, object],
    options: Options,
    window_days: float,
    leave_out_hours: float,
    config_hash: str,
    output: str | Path,
    curve: str | Path,
    threads: int = 1,
    covariance: str | Path | None = None,
    causal: bool = False,
) -> None:
    """Train from files and write the checkpoint and the learning curve.

    Parameters
    ----------
    coarse, smap : paths of the consecutive months that hold the training and validation split and their neighbours
    samples : folder of the sample files
    static, normaliser : paths
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    split : Split
    model : fields of :class:`NetSpec` other than those that the data decide
    options : Options
    window_days, leave_out_hours : float
    config_hash : str
    output : path of the checkpoint; the state to resume from lies beside it while training runs
    curve : path of the CSV with one row an epoch
    threads : int
        CPU threads of torch.
    covariance : path, where the net reads the kriged innovation
    causal : bool
        Past retrievals only.
    """
    torch.set_num_threads(threads)
    output = Path(output)
    statistics = Normaliser.read(normaliser)
    maker = InputMaker(statistics, static, window_days)
    retrievals = learnt_retrievals(smap, coarse, statistics, split, causal)
    weight_set = read_weight_set(weights)
    fine, coarse_grid = weight_set["fine_to_coarse"].src, weight_set["fine_to_coarse"].dst
    spec = NetSpec(
        predictors=len(statistics.predictors), bands=statistics.bands, statics=maker.static_channels,
        window_days=window_days, **model,
    )  # fmt: skip
    kriged = kriging(causal) if spec.kriged else None
    covered = covered_cells(maker, weight_set["fine_to_coarse"])
    stores = {
        part: SampleStore(samples, part, maker, retrievals, covered, kriged, spec.sequence_days)
        for part in LEARNT_PARTS
    }
    trees = NETS[spec.name].learns == "trees"
    resume = output.with_name(f"{output.stem}.resume.safetensors")
    device = choose_device(options.device)
    with deterministic(device):
        for store in stores.values():
            store.to_device(device)
        tiles = training_tiles(spec, weight_set, maker.land, "whole" if trees else options.tile, device)
        memory = Memory(device, list(stores.values()), too_large(tiles, device, cut=spec.own and not trees))
        logger.info("%d training, %d validation overpasses, %d tiles", *map(len, stores.values()), len(tiles))
        if trees:
            learnt = _grow(spec, options, stores, tiles[0], leave_out_hours, memory)
        else:
            own = [path for store in stores.values() for path in store.files]
            read = [*coarse, *smap, *own, static, normaliser, *weights.values()]
            fingerprint = _fingerprint(read, spec, options, split.describe(), leave_out_hours, causal, config_hash)
            learnt = _descend(spec, options, stores, tiles, leave_out_hours, memory, resume, fingerprint)
        variance_scale = _calibrate(spec, learnt, stores["validation"], tiles, options, leave_out_hours, memory)
    Checkpoint(
        spec, learnt.weights, statistics, fine.describe(), coarse_grid.describe(), time_scales(statistics.channels),
        window_days, leave_out_hours, split.describe(), split.buffer_days, variance_scale,
        {"validation_loss": learnt.loss, "epoch": learnt.epoch}, config_hash,
        vars(read_covariances(covariance)[COVARIANCE]) if spec.kriged and covariance else None, causal,
    ).write(output)  # fmt: skip
    write_curve(curve, learnt.history)
    resume.unlink(missing_ok=True)


@dataclass(frozen=True)
class Learnt:
    """What training gives: weights, the curve's rows, and validation loss and number of the kept epoch (or trees)."""

    weights: dict[str, torch.Tensor]
    history: list[dict[str, float]]
    loss: float
    epoch: int


def _descend(
    spec: NetSpec,
    options: Options,
    stores: Mapping[str, SampleStore],
    tiles: Sequence[TrainingTile],
    leave_out_hours: float,
    memory: Memory,
    resume: Path,
    fingerprint: str,
) -> Learnt:
    """A net by gradient descent, going on from ``resume`` where that is of the same training."""
    trainer = Trainer(spec, options, stores["train"], stores["validation"], tiles, leave_out_hours, memory)
    trainer.run(resume, fingerprint)
    progress = trainer.progress
    if not math.isfinite(progress.best_loss):
        raise SampleError("the validation loss was never finite: no net was kept; lengthen split.validation")
    return Learnt(trainer.best, progress.history, progress.best_loss, progress.best_epoch)


def _grow(
    spec: NetSpec,
    options: Options,
    stores: Mapping[str, SampleStore],
    tile: TrainingTile,
    leave_out_hours: float,
    memory: Memory,
) -> Learnt:
    """An ensemble of trees."""
    from pscnet.trees import train_trees  # only here: nets by gradient descent need no scikit-learn

    parts = stores["train"], stores["validation"]
    grown = train_trees(spec, options, *parts, tile.geometry, tile.tile, leave_out_hours, memory)
    return Learnt(grown.state, grown.history, grown.loss, grown.options.trees)


def _calibrate(
    spec: NetSpec,
    learnt: Learnt,
    validation: SampleStore,
    tiles: Sequence[TrainingTile],
    options: Options,
    leave_out_hours: float,
    memory: Memory,
) -> float:
    """The scale of the variances of what was learnt, in as many parts as memory asks for."""
    net = make_net(spec).to(memory.device)
    net.load_state_dict(learnt.weights)

    def scale(size: int) -> float:
        return calibrate(net, every_batch(validation, tiles, size, leave_out_hours, memory.device))

    return memory.in_batches(scale, options.batch_steps)


def _fingerprint(read: Sequence[str | Path], spec: NetSpec, options: Options, *settings: object) -> str:
    """Hash of all that decides the weights: settings, files read (name, size, date), code, torch.

    Neither the device nor the number of threads, though the last digits of sums depend on both: a job that is started
    again may get others, and to go on is worth more to it than those digits.
    """
    chosen = {name: value for name, value in vars(options).items() if name != "device"}
    files = [[str(path), Path(path).stat().st_size, Path(path).stat().st_mtime_ns] for path in read]
    decided = [spec.as_dict(), chosen, settings, files, torch.__version__]
    digest = hashlib.sha256(json.dumps(decided, sort_keys=True).encode())
    for path in sorted(behind(Path(__file__).resolve())):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write_curve(path: str | Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write a learning curve: a CSV with one row an epoch."""
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "train_loss", "validation_loss", "seconds"])
        writer.writeheader()
        writer.writerows(history)
