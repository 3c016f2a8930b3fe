"""Samples of training and validation: predictors at overpass stamps on disk, retrieval sets made on demand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pscnet.nets.frame import Batch
from pscnet.samples.bands import BandStream, SampleError
from pscnet.samples.geometry import Tile
from pscnet.samples.inputs import InputMaker
from pscnet.samples.retrievals import Retrievals
from pscnet.timeaxis import Split, neighbour

#: Fewest overpass stamps of a part from which a net is trained or calibrated.
FEWEST_STAMPS = 4


@dataclass(frozen=True)
class MonthFiles:
    """Paths of one month's files."""

    month: str
    predictors: Path
    bands: Path
    coarse: Path
    smap: Path


def month_files(
    months: Sequence[str],
    predictors: Sequence[str | Path],
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
) -> list[MonthFiles]:
    """Zip aligned lists of paths, months ascending and without gap."""
    for first, second in pairwise(months):
        if neighbour(first, 1) != second:
            raise SampleError(f"consecutive months expected, found {second} after {first}")
    rows = zip(months, predictors, bands, coarse, smap, strict=True)
    return [MonthFiles(month, *(Path(path) for path in paths)) for month, *paths in rows]


@dataclass(frozen=True)
class Target:
    """What a batch is compared with; all (batch, 1, y, x), standardised.

    Attributes
    ----------
    value : retrievals
    extra_variance : noise variance beyond that of a recommended retrieval
    precision : relative to a recommended retrieval's, at most 1
    used : 1 at observed, covered cells
    """

    value: Tensor
    extra_variance: Tensor
    precision: Tensor
    used: Tensor


class SampleStore:
    """Samples of one part of the split.

    Standardised bands of the part's overpass stamps lie in a memory-mapped float16 file, so that a long record trains
    in bounded memory; everything else is small.

    Parameters
    ----------
    files : list of MonthFiles
        Consecutive months around the part.
    part : {"train", "validation", "test"}
    split : Split
    maker : InputMaker
    retrievals : Retrievals
        Of the same months.
    covered : ndarray (y, x) bool
        Coarse cells that count as targets.
    scratch : path of the memory-mapped file
    """

    def __init__(
        self,
        files: Sequence[MonthFiles],
        part: str,
        split: Split,
        maker: InputMaker,
        retrievals: Retrievals,
        covered: np.ndarray,
        scratch: Path,
    ) -> None:
        self.maker, self.retrievals, self.covered = maker, retrievals, covered
        stamps = retrievals.overpass_stamps()
        self.stamps = stamps[split.usable(part, stamps)]
        months = {file.month for file in files}
        self.stamps = self.stamps[
            [
                str(stamp)[:7] in months and bool(np.isfinite(retrievals.target(stamp)[0][covered]).any())
                for stamp in self.stamps
            ]
        ]
        if self.stamps.size < FEWEST_STAMPS:
            raise SampleError(
                f"split.{part}: {self.stamps.size} overpasses with accepted retrievals on cells that the region "
                f"covers, at least {FEWEST_STAMPS} expected; lengthen its blocks, widen the region, or set "
                "smap.quality: lenient"
            )
        shape = (self.stamps.size, len(maker.normaliser.channels), *maker.land.shape)
        scratch.parent.mkdir(parents=True, exist_ok=True)
        self._bands = np.memmap(scratch, "f2", "w+", shape=shape)
        self._background = np.empty((shape[0], *shape[2:]), "f4")
        self._fill(files)

    def _fill(self, files: Sequence[MonthFiles]) -> None:
        normaliser = self.maker.normaliser
        scales = time_scales(normaliser.channels)
        for position, file in enumerate(files):
            if not any(str(stamp)[:7] == file.month for stamp in self.stamps):
                continue
            previous = files[position - 1].bands if position else None
            for chunk in BandStream(file.predictors, normaliser.predictors, scales, previous):
                wanted = np.flatnonzero(np.isin(chunk.times, self.stamps))
                if wanted.size == 0:
                    continue
                rows = np.searchsorted(self.stamps, chunk.times[wanted])
                self._bands[rows] = self.maker.bands(chunk.bands[torch.from_numpy(wanted)]).numpy()
                water = chunk.raw[normaliser.background.variable][wanted]
                self._background[rows] = self.maker.background(water)

    def __len__(self) -> int:
        return self.stamps.size

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Order of the samples in an epoch: the same for the same seed and epoch, whatever was run before."""
        return np.random.default_rng([seed, epoch]).permutation(len(self))

    def batches(
        self, order: np.ndarray, size: int, tile: Tile, leave_out_hours: float, device: torch.device
    ) -> Iterator[tuple[Batch, Target, np.ndarray]]:
        """Batches in the given order: input, target, stamps. The scored overpass is left out of the input.

        Parameters
        ----------
        order : ndarray of sample positions
        size : samples a batch
        tile : Tile
        leave_out_hours : float
        device : torch.device
        """
        for first in range(0, len(order), size):
            rows = np.sort(order[first : first + size])
            stamps = self.stamps[rows]
            seen = self.retrievals.around(stamps, self.maker.window_days, leave_out_hours)
            bands = torch.from_numpy(np.asarray(self._bands[rows]))
            batch = self.maker.batch(bands, self._background[rows], stamps, seen, tile, device)
            yield batch, self._target(stamps, tile, device), stamps

    def _target(self, stamps: np.ndarray, tile: Tile, device: torch.device) -> Target:
        normaliser = self.maker.normaliser
        pairs = [self.retrievals.target(stamp) for stamp in stamps]
        value, noise = (
            np.stack(part)[:, None][..., tile.coarse[0], tile.coarse[1]] for part in zip(*pairs, strict=True)
        )
        used = np.isfinite(value) & self.covered[tile.coarse]
        scale = normaliser.target_std
        value = np.where(used, (value - normaliser.target_mean) / scale, 0.0)
        extra = np.where(used, np.maximum(noise**2 - normaliser.noise**2, 0.0) / scale**2, 0.0)
        precision = np.where(used, np.minimum((normaliser.noise / np.where(used, noise, 1.0)) ** 2, 1.0), 0.0)
        return Target(*(torch.from_numpy(part.astype("f4")).to(device) for part in (value, extra, precision, used)))


def time_scales(channels: Sequence[str]) -> list[float]:
    """The time constants [day] that the channel names carry."""
    names = [name.split(":")[1] for name in channels if name.split(":")[0] == channels[0].split(":")[0]]
    return [float(name.removesuffix("d")) for name in names[1:-1]]
