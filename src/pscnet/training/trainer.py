"""A net learns: area-average loss against left-out overpasses, early stopping, exact resume, bounded memory."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pscnet.checkpoint import CheckpointError, read_tensors, write_tensors
from pscnet.losses import area_average_loss, observed
from pscnet.nets import NetSpec, make_net
from pscnet.nets.frame import Batch, Geometry
from pscnet.samples.bands import SampleError
from pscnet.samples.geometry import Tile
from pscnet.samples.store import SampleStore, Target, not_finite
from pscnet.training.memory import Memory

logger = logging.getLogger(__name__)

#: Share of the steps over which the learning rate rises.
WARM_UP = 0.05

#: Smallest tile that the configuration takes [fine cell a side].
SMALLEST_TILE = 8


@dataclass(frozen=True)
class Options:
    """Options of training; names and meanings as in the configuration."""

    seed: int = 0
    device: str = "auto"
    precision: str = "float32"
    epochs: int = 40
    patience: int = 6
    batch_steps: int = 4
    tile: int | str = "auto"
    sampling: str = "even"
    learning_rate: float = 3e-3
    weight_decay: float = 0.03
    loss: str = "separate"
    scale_weights: tuple[float, float, float] = (0.25, 0.25, 1.0)


@dataclass(frozen=True)
class TrainingTile:
    """A tile to train on.

    Attributes
    ----------
    tile : Tile
    geometry : Geometry
    owned : Tensor (1, 1, y, x)
        1 at coarse cells whose centre lies in the tile's core: each cell is judged in one tile only.
    cells : Geometry or None
        The coarse grid's pyramid, for the literature's dress.
    """

    tile: Tile
    geometry: Geometry
    owned: Tensor
    cells: Geometry | None = None


def draw(
    store: SampleStore, tile: TrainingTile, rows: np.ndarray, leave_out_hours: float, device: torch.device
) -> tuple[Batch, Target, np.ndarray]:
    """Input, target and stamps of some samples of a store on a tile; the target only where the tile owns it."""
    batch, target, stamps = store.batch(rows, tile.tile, leave_out_hours, device)
    return batch, target.within(tile.owned), stamps


def every_batch(
    store: SampleStore, tiles: Sequence[TrainingTile], size: int, leave_out_hours: float, device: torch.device
) -> Iterator[tuple[TrainingTile, Batch, Target, np.ndarray]]:
    """Tile, input, target and stamps of every sample of a store, in order, ``size`` samples at a time."""
    for tile in tiles:
        for first in range(0, len(store), size):
            rows = np.arange(first, min(first + size, len(store)))
            yield tile, *draw(store, tile, rows, leave_out_hours, device)


def too_large(tiles: Sequence[TrainingTile], device: torch.device, cut: bool) -> str:
    """What to type where one overpass of a tile does not fit into memory; ``cut``: whether smaller tiles may help."""
    side = max(part.stop - part.start for tile in tiles for part in tile.tile.core)
    smaller = f"training.tile: {max(SMALLEST_TILE, side // 2)} or less, or " if cut and side > SMALLEST_TILE else ""
    return (
        f"training: one overpass of a tile of {side} cells a side, and of what the net sees around it, does not "
        f"fit into the memory of {device}; type {smaller}training.device: cpu"
    )


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
    tiles : list of TrainingTile
        Together they cover the region.
    leave_out_hours : float
    memory : Memory
        Of the device to train on.
    """

    def __init__(
        self,
        spec: NetSpec,
        options: Options,
        train: SampleStore,
        validation: SampleStore,
        tiles: Sequence[TrainingTile],
        leave_out_hours: float,
        memory: Memory,
    ) -> None:
        self.options, self.train, self.validation = options, train, validation
        self.tiles, self.leave_out_hours = list(tiles), leave_out_hours
        self.memory, self.device = memory, memory.device
        torch.manual_seed(options.seed)
        self.net = make_net(spec).to(self.device)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.steps_per_epoch = len(self.plan(0))
        self.progress = Progress()
        self.best: dict[str, Tensor] = self._copy()

    def plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """The batches of an epoch: position of the tile, and samples (ascending).

        The same for the same seed and epoch, whatever was run before. Every tile comes equally often.
        """
        made = []
        for position in range(len(self.tiles)):
            order = self.train.order([self.options.seed, epoch, position], self.options.sampling)
            size = self.options.batch_steps
            made += [(position, np.sort(order[first : first + size])) for first in range(0, len(order), size)]
        shuffled = np.random.default_rng([self.options.seed, epoch]).permutation(len(made))
        return [made[place] for place in shuffled]

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
        losses = []
        for step, (position, rows) in enumerate(self.plan(epoch)):
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate(epoch * self.steps_per_epoch + step)
            losses.append(self._step(self.tiles[position], rows))
        return float(np.mean([loss for loss in losses if loss is not None]))

    def _step(self, tile: TrainingTile, rows: np.ndarray) -> float | None:
        """One step of the optimiser, in as many parts as memory asks for; returns the loss.

        Where the tile saw no retrieval at these samples, no step is made and None returned.
        """

        def accumulated(parts: int) -> float | None:
            self.optimizer.zero_grad()
            return self._accumulate(tile, np.array_split(rows, parts))

        loss = self.memory.in_parts(accumulated, len(rows))
        if loss is None:
            return None
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if not torch.isfinite(norm):  # a bad input away from all observed cells leaves the loss finite
            batch, _, stamps = draw(self.train, tile, rows, self.leave_out_hours, self.device)
            raise SampleError(self._why_not_finite("gradient", self.train, batch, stamps))
        self.optimizer.step()
        return loss

    def _accumulate(self, tile: TrainingTile, parts: Sequence[np.ndarray]) -> float | None:
        """Add up the gradients of parts of a batch, each by its number of observed cells."""
        drawn = [draw(self.train, tile, rows, self.leave_out_hours, self.device) for rows in parts]
        counts = [float(target.used.sum()) for _, target, _ in drawn]
        whole = sum(counts)
        if whole == 0:
            return None
        total = 0.0
        for (batch, target, stamps), count in zip(drawn, counts, strict=True):
            loss = self._loss(tile, batch, target) * (count / whole)
            if not torch.isfinite(loss):
                raise SampleError(self._why_not_finite("loss", self.train, batch, stamps))
            loss.backward()
            total += float(loss.detach())
        return total

    def _loss(self, tile: TrainingTile, batch: Batch, target: Target) -> Tensor:
        bf16 = self.options.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if bf16 else nullcontext():
            means = observed(self.net, batch, tile.geometry, tile.cells)
        return area_average_loss(
            means,
            target.value,
            target.extra_variance,
            target.precision,
            target.used,
            self.options.scale_weights,
            self.options.loss,
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
        """Mean loss over a store, every overpass left out in its turn; in as many parts as memory asks for."""
        self.net.eval()

        def mean_loss(size: int) -> float:
            losses, weights = [], []
            for tile, batch, target, stamps in every_batch(store, self.tiles, size, self.leave_out_hours, self.device):
                count = float(target.used.sum())
                if count:
                    losses.append(float(self._loss(tile, batch, target)))
                    weights.append(count)
                    if not math.isfinite(losses[-1]):
                        raise SampleError(self._why_not_finite("validation loss", store, batch, stamps))
            return float(np.average(losses, weights=weights)) if losses else math.nan

        return self.memory.in_batches(mean_loss, self.options.batch_steps)

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
        header = {"fingerprint": fingerprint, "progress": vars(self.progress), "parts": self.memory.parts}
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
        self.memory.parts = header["parts"]  # or dropout would draw for other parts than without the break
        logger.info("going on after epoch %d of %s", self.progress.epoch, path)

    @staticmethod
    def _why_not_finite(what: str, store: SampleStore, batch: Batch, stamps: np.ndarray) -> str:
        """Which channels of which samples are to blame."""
        blame = not_finite(batch, stamps, store.maker.normaliser.channels)
        blame = blame or "the input is finite: lower training.learning_rate"
        return f"the {what} is not finite at {', '.join(str(stamp)[:16] for stamp in stamps)}; {blame}"


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
