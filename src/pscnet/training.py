"""How the net learns: area-average loss against left-out overpasses, early stopping, exact resume."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pscnet.checkpoint import Checkpoint, CheckpointError, read_tensors, write_tensors
from pscnet.devices import choose_device
from pscnet.losses import area_average_loss, footprint_means
from pscnet.nets import NetSpec, make_net
from pscnet.nets.frame import Geometry
from pscnet.samples.bands import SampleError
from pscnet.samples.geometry import Tile, make_geometry, make_tiles, read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.normaliser import TARGET_COVER, Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import SampleStore, month_files, time_scales
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split

logger = logging.getLogger(__name__)

#: Share of the steps over which the learning rate rises.
WARM_UP = 0.05


@dataclass(frozen=True)
class Options:
    """Options of training; names and meanings as in the configuration."""

    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    epochs: int = 40
    patience: int = 6
    batch_steps: int = 4
    learning_rate: float = 3e-3
    weight_decay: float = 0.03
    scale_weights: tuple[float, float, float] = (0.25, 0.25, 1.0)


@dataclass
class Progress:
    """Where training stands after an epoch."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains one net on one store of samples.

    Parameters
    ----------
    spec : NetSpec
    options : Options
    train, validation : SampleStore
    geometry : Geometry
    tile : Tile
        The whole region as one tile.
    leave_out_hours : float
    """

    def __init__(
        self,
        spec: NetSpec,
        options: Options,
        train: SampleStore,
        validation: SampleStore,
        geometry: Geometry,
        tile: Tile,
        leave_out_hours: float,
    ) -> None:
        self.options, self.train, self.validation = options, train, validation
        self.geometry, self.tile, self.leave_out_hours = geometry, tile, leave_out_hours
        self.device = choose_device(options.device)
        torch.manual_seed(options.seed)
        self.net = make_net(spec).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.steps_per_epoch = math.ceil(len(train) / options.batch_steps)
        self.progress = Progress()
        self.best: dict[str, Tensor] = self._copy()

    def run(self, resume: Path | None = None, fingerprint: str = "") -> None:
        """Train to the end, going on from ``resume`` where it holds the state of the same training.

        Parameters
        ----------
        resume : path of the resume file, written after every epoch
        fingerprint : what the training depends on; a resume file of another fingerprint is not used
        """
        if resume is not None and resume.exists():
            self._load(resume, fingerprint)
        options = self.options
        bar = tqdm(total=options.epochs, initial=self.progress.epoch, desc="training", unit="epoch", mininterval=1)
        while self.progress.epoch < options.epochs:
            if self.progress.epoch - self.progress.best_epoch >= options.patience:
                logger.info("no better validation loss for %d epochs: stopping", options.patience)
                break
            started = time.perf_counter()
            train_loss = self._epoch()
            validation_loss = self.evaluate(self.validation)
            self._note(train_loss, validation_loss, time.perf_counter() - started)
            if resume is not None:
                self._save(resume, fingerprint)
            bar.update()
            bar.set_postfix(train=f"{train_loss:.4f}", validation=f"{validation_loss:.4f}")
        bar.close()
        self.net.load_state_dict(self.best)

    def _epoch(self) -> float:
        """One pass; returns the mean loss. Seeded by the epoch alone, so that a resumed run repeats it."""
        epoch = self.progress.epoch
        torch.manual_seed(self.options.seed * 100003 + epoch + 1)
        self.net.train()
        total, count = 0.0, 0
        order = self.train.order(self.options.seed, epoch)
        batches = self.train.batches(order, self.options.batch_steps, self.tile, self.leave_out_hours, self.device)
        for step, (batch, target, stamps) in enumerate(batches):
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate(epoch * self.steps_per_epoch + step)
            loss = self._loss(batch, target)
            if not torch.isfinite(loss):
                raise SampleError(self._why_not_finite(batch, stamps))
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            self.optimizer.step()
            total, count = total + float(loss.detach()), count + 1
        return total / max(count, 1)

    def _loss(self, batch, target) -> Tensor:
        autocast = (
            torch.autocast(self.device.type, torch.bfloat16) if self.options.precision == "bf16" else nullcontext()
        )
        with autocast:
            answer = self.net(batch, self.geometry)
        return area_average_loss(
            answer,
            self.geometry,
            target.value,
            target.extra_variance,
            target.precision,
            target.used,
            self.options.scale_weights,
        )

    def _learning_rate(self, step: int) -> float:
        """Linear rise, then a cosine to zero over all epochs."""
        total = self.options.epochs * self.steps_per_epoch
        warm = max(1, int(WARM_UP * total))
        if step < warm:
            return self.options.learning_rate * (step + 1) / warm
        return self.options.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    @torch.no_grad()
    def evaluate(self, store: SampleStore) -> float:
        """Mean loss over a store, every overpass left out in its turn."""
        self.net.eval()
        losses, weights = [], []
        order = np.arange(len(store))
        for batch, target, _ in store.batches(
            order, self.options.batch_steps, self.tile, self.leave_out_hours, self.device
        ):
            count = float(target.used.sum())
            if count:
                losses.append(float(self._loss(batch, target)))
                weights.append(count)
        return float(np.average(losses, weights=weights)) if losses else math.nan

    @torch.no_grad()
    def calibrate(self, store: SampleStore) -> float:
        """The factor by which predicted variances have to grow for squared residuals to fit them on average."""
        self.net.eval()
        parts = []
        order = np.arange(len(store))
        for batch, target, _ in store.batches(
            order, self.options.batch_steps, self.tile, self.leave_out_hours, self.device
        ):
            mean, variance = footprint_means(self.net(batch, self.geometry), self.geometry)["10km"]
            used = target.used > 0
            parts.append([part[used] for part in ((target.value - mean) ** 2, variance, target.extra_variance)])
        return variance_scale(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _note(self, train_loss: float, validation_loss: float, seconds: float) -> None:
        progress = self.progress
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            "train_loss": train_loss,
            "validation_loss": validation_loss,
            "seconds": seconds,
        }
        progress.history.append(row)
        if validation_loss < progress.best_loss:
            progress.best_loss, progress.best_epoch = validation_loss, progress.epoch
            self.best = self._copy()
        logger.info(
            "epoch %d: train %.4f, validation %.4f (best %.4f at %d), %.1f s",
            progress.epoch, train_loss, validation_loss, progress.best_loss, progress.best_epoch, seconds,
        )  # fmt: skip

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.net.state_dict().items()}

    def _save(self, path: Path, fingerprint: str) -> None:
        tensors = {f"net.{name}": tensor for name, tensor in self._copy().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for position, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{position}.{name}": value for name, value in state.items()}
        header = {"fingerprint": fingerprint, "progress": vars(self.progress)}
        write_tensors(path, {name: tensor.contiguous() for name, tensor in tensors.items()}, header)

    def _load(self, path: Path, fingerprint: str) -> None:
        try:
            tensors, header = read_tensors(path)
        except CheckpointError as error:
            logger.warning("%s: not used, training starts afresh", error)
            return
        if header.get("fingerprint") != fingerprint:
            logger.warning("%s belongs to another training: not used, training starts afresh", path)
            return
        self.net.load_state_dict(_with_prefix(tensors, "net."))
        self.best = {name: tensor.to(self.device) for name, tensor in _with_prefix(tensors, "best.").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in _with_prefix(tensors, "optimizer.").items():
            position, name = key.split(".", 1)
            state.setdefault(int(position), {})[name] = tensor
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.progress = Progress(**header["progress"])
        logger.info("going on after epoch %d of %s", self.progress.epoch, path)

    def _why_not_finite(self, batch, stamps: np.ndarray) -> str:
        channels = self.train.maker.normaliser.channels
        bad = ~torch.isfinite(batch.bands).all(-1).all(-1)
        where = [f"{channels[int(c)]} at {str(stamps[int(s)])[:16]}" for s, c in bad.nonzero()[:3]]
        blame = (
            f"not finite in the input: {', '.join(where)}"
            if where
            else "the input is finite: lower training.learning_rate"
        )
        return f"the loss is not finite at {', '.join(str(stamp)[:16] for stamp in stamps)}; {blame}"


def variance_scale(error2: Tensor, variance: Tensor, extra: Tensor) -> float:
    """The s for which the mean of ``error2 / (s * variance + extra)`` is 1, by bisection; all (n,)."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        too_small = float((error2 / (math.exp(middle) * variance + extra)).mean()) > 1.0
        low, high = (middle, high) if too_small else (low, middle)
    return math.exp(0.5 * (low + high))


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def train_files(
    months: Sequence[str],
    predictors: Sequence[str | Path],
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
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
) -> None:
    """Train from files and write the checkpoint and the learning curve.

    Parameters
    ----------
    months : consecutive months that hold the training and validation split and their neighbours
    predictors, bands, coarse, smap : paths of these months' files
    static, normaliser : paths
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    split : Split
    model : name, width, heads, blocks, squeeze_km, regional_km, dropout of :class:`NetSpec`
    options : Options
    window_days, leave_out_hours : float
    config_hash : str
    output : path of the checkpoint; the state to resume from lies beside it while training runs
    curve : path of the CSV with one row an epoch
    threads : int
        CPU threads of torch.
    """
    torch.set_num_threads(threads)
    output = Path(output)
    statistics = Normaliser.read(normaliser)
    files = month_files(months, predictors, bands, coarse, smap)
    maker = InputMaker(statistics, static, window_days)
    retrievals = Retrievals.from_files(
        [f.smap for f in files], [f.coarse for f in files], statistics.background, statistics.noise
    )
    retrievals.hide(split.part_of_blocks("test", retrievals.stamp))
    weight_set = read_weight_set(weights)
    fine, coarse_grid = weight_set["fine_to_coarse"].src, weight_set["fine_to_coarse"].dst
    (tile,) = make_tiles(fine, coarse_grid, None, 0)
    geometry = make_geometry(weight_set, maker.land, tile, choose_device(options.device))
    covered = geometry.to_coarse.covered.cpu().numpy() >= TARGET_COVER
    scratch = output.parent / f".{output.stem}.scratch"
    spec = NetSpec(
        predictors=len(statistics.predictors), bands=statistics.bands, statics=maker.static_channels,
        window_days=window_days, **model,
    )  # fmt: skip
    resume = output.with_name(f"{output.stem}.resume.safetensors")
    try:
        stores = {
            part: SampleStore(files, part, split, maker, retrievals, covered, scratch / f"{part}.f2")
            for part in ("train", "validation")
        }
        logger.info("%d training and %d validation overpasses", len(stores["train"]), len(stores["validation"]))
        trainer = Trainer(spec, options, stores["train"], stores["validation"], geometry, tile, leave_out_hours)
        read = [*predictors, *bands, *coarse, *smap, static, normaliser, *weights.values()]
        trainer.run(resume, _fingerprint(read, spec, options, split.describe(), leave_out_hours, config_hash))
        if not math.isfinite(trainer.progress.best_loss):
            raise SampleError("the validation loss was never finite: no net was kept; lengthen split.validation")
        scale = trainer.calibrate(stores["validation"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    progress = trainer.progress
    Checkpoint(
        spec, trainer.best, statistics, fine.describe(), coarse_grid.describe(), time_scales(statistics.channels),
        window_days, leave_out_hours, split.describe(), scale,
        {"validation_loss": progress.best_loss, "epoch": progress.best_epoch}, config_hash,
    ).write(output)  # fmt: skip
    _write_curve(curve, progress.history)
    resume.unlink(missing_ok=True)


def _fingerprint(read: Sequence[str | Path], spec: NetSpec, options: Options, *settings: object) -> str:
    """Hash of all that decides the weights: settings, files read (name, size, date), code; not the device."""
    chosen = {name: value for name, value in vars(options).items() if name != "device"}
    files = [[str(path), Path(path).stat().st_size, Path(path).stat().st_mtime_ns] for path in read]
    digest = hashlib.sha256(json.dumps([spec.as_dict(), chosen, settings, files], sort_keys=True).encode())
    package = Path(__file__).parent
    for path in sorted(
        [package / "losses.py", package / "training.py", *package.glob("nets/*.py"), *package.glob("samples/*.py")]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _write_curve(path: str | Path, history: Sequence[Mapping[str, float]]) -> None:
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "train_loss", "validation_loss", "seconds"])
        writer.writeheader()
        writer.writerows(history)
