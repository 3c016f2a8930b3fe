"""Samples of training and validation: what is slow to make lies on disk, retrieval sets are made on demand.

Files of one part of the split, ``samples/{part}.{name}.npy``, which are mapped into memory, not read as a whole, so
that a long record of a large region trains in bounded memory:

===================  ================================  ===========================================================
name                 dims, type                        meaning
===================  ================================  ===========================================================
stamps               sample, int64                     overpass stamps [ns since 1970]
bands                sample, channel, lat, lon; f2     standardised bands
background           sample, lat, lon; f4              standardised background
kriged,              sample, 2, y, x; f4               kriged innovation without the sample's overpass, and its
kriged_causal                                          standard deviation (:mod:`pscnet.samples.kriged`)
sequence             day, 2 * predictor, lat, lon; f2  values and daily means (:mod:`pscnet.samples.sequences`)
sequence_stamps      day, int64                        their stamps [ns since 1970]
===================  ================================  ===========================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pscnet.grids import TARGET_COVER
from pscnet.nets.frame import Batch
from pscnet.samples.bands import BandStream, SampleError
from pscnet.samples.geometry import Tile
from pscnet.samples.inputs import InputMaker
from pscnet.samples.resident import SampleArray, hold_where_it_fits
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.sequences import lagged_rows
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split, neighbour
from pscnet.weights import Weights

#: Fewest overpass stamps of a part from which a net is trained or calibrated.
FEWEST_STAMPS = 4

#: Fields of a batch whose second dimension are the retrievals around a step.
RETRIEVAL_FIELDS = ("age", "weight", "value", "innovation")


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


def sample_file(folder: str | Path, part: str, name: str) -> Path:
    """The path of one file of a part."""
    return Path(folder) / f"{part}.{name}.npy"


def read_stamps(path: str | Path) -> np.ndarray:
    """Stamps (sample,) datetime64[ns] of a ``stamps`` file."""
    return np.load(path, allow_pickle=False).astype("M8[ns]")


def write_stamps(path: str | Path, stamps: np.ndarray) -> None:
    """Write stamps, replacing ``path`` only by a complete file."""
    with replacing(path) as part, open(part, "wb") as file:
        np.save(file, stamps.astype("M8[ns]").astype("i8"), allow_pickle=False)


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

    def within(self, owned: Tensor) -> Target:
        """The same, used only at the cells (1, 1, y, x) that are owned."""
        return replace(self, used=self.used * owned)


def covered_cells(maker: InputMaker, conservative: Weights) -> np.ndarray:
    """Coarse cells (y, x) bool of which land covers enough to be a target."""
    share = conservative.matrix @ maker.land.ravel().astype("f8")
    return share.reshape(conservative.dst_shape) >= TARGET_COVER


def usable_stamps(retrievals: Retrievals, split: Split, part: str, covered: np.ndarray) -> np.ndarray:
    """Overpass stamps of a part with accepted retrievals on cells that count as targets.

    Parameters
    ----------
    retrievals : Retrievals
    split : Split
    part : {"train", "validation", "test"}
    covered : ndarray (y, x) bool

    Raises
    ------
    SampleError
        When there are fewer than :data:`FEWEST_STAMPS`.
    """
    stamps = retrievals.overpass_stamps()
    stamps = stamps[split.usable(part, stamps)]
    seen = [bool(np.isfinite(retrievals.target(stamp)[0][covered]).any()) for stamp in stamps]
    stamps = stamps[np.array(seen, bool)]
    if stamps.size < FEWEST_STAMPS:
        raise SampleError(
            f"split.{part}: {stamps.size} overpasses with accepted retrievals on the {int(covered.sum())} SMAP cells "
            f"that land of the region covers to {TARGET_COVER:.0%}, at least {FEWEST_STAMPS} expected; lengthen its "
            "blocks, widen the region, or set smap.quality: lenient"
        )
    return stamps


def write_samples(
    files: Sequence[MonthFiles], stamps: np.ndarray, maker: InputMaker, folder: str | Path, part: str
) -> None:
    """Write ``stamps``, ``bands`` and ``background`` of a part.

    Parameters
    ----------
    files : list of MonthFiles
        Consecutive months around the part.
    stamps : ndarray (sample,)
        See :func:`usable_stamps`; those outside the months of ``files`` are left out.
    maker : InputMaker
    folder : path
    part : str
    """
    months = {file.month for file in files}
    stamps = stamps[[str(stamp)[:7] in months for stamp in stamps]]
    normaliser = maker.normaliser
    scales = time_scales(normaliser.channels)
    shape = (stamps.size, len(normaliser.channels), *maker.land.shape)
    bands_file, background_file = (sample_file(folder, part, name) for name in ("bands", "background"))
    with replacing(bands_file) as bands_part, replacing(background_file) as background_part:
        bands = np.lib.format.open_memmap(bands_part, "w+", "f2", shape)
        background = np.lib.format.open_memmap(background_part, "w+", "f4", (shape[0], *shape[2:]))
        for position, file in enumerate(files):
            if not any(str(stamp)[:7] == file.month for stamp in stamps):
                continue
            previous = files[position - 1].bands if position else None
            for chunk in BandStream(file.predictors, normaliser.predictors, scales, previous):
                wanted = np.flatnonzero(np.isin(chunk.times, stamps))
                if wanted.size:
                    rows = np.searchsorted(stamps, chunk.times[wanted])
                    bands[rows] = maker.bands(chunk.bands[torch.from_numpy(wanted)], file.predictors).numpy()
                    background[rows] = maker.background(chunk.raw[normaliser.background.variable][wanted])
        bands.flush()
        background.flush()
    write_stamps(sample_file(folder, part, "stamps"), stamps)


class SampleStore:
    """Samples of one part of the split, read from the files of :func:`write_samples`.

    Parameters
    ----------
    folder : path
    part : str
    maker : InputMaker
    retrievals : Retrievals
        Of the same months.
    covered : ndarray (y, x) bool
        Coarse cells that count as targets.
    kriged : str, optional
        Name of the file with the kriged innovation, where batches hold it.
    sequence_days : int
        Days of the batches' sequence; 0 for none.

    Attributes
    ----------
    stamps : ndarray (sample,)
    files : list of Path
        What is read; other samples may lie beside it.

    Raises
    ------
    SampleError
        When the files lie on another grid or hold other channels than ``maker`` asks for.
    """

    def __init__(
        self,
        folder: str | Path,
        part: str,
        maker: InputMaker,
        retrievals: Retrievals,
        covered: np.ndarray,
        kriged: str | None = None,
        sequence_days: int = 0,
    ) -> None:
        self.maker, self.retrievals, self.covered = maker, retrievals, covered
        self.files: list[Path] = [sample_file(folder, part, "stamps")]
        self.stamps = read_stamps(self.files[0])
        self._bands = self._open(folder, part, "bands")
        wanted = (self.stamps.size, len(maker.normaliser.channels), *maker.land.shape)
        if self._bands.shape != wanted:
            raise SampleError(
                f"{sample_file(folder, part, 'bands')}: {wanted} (sample, channel, lat, lon) expected, found "
                f"{self._bands.shape}; delete the folder and run again"
            )
        self._background = self._open(folder, part, "background")
        self._kriged = self._open(folder, part, kriged) if kriged else None
        self._sequence = self._days = None
        self._sequence_days = sequence_days
        if sequence_days:
            self._sequence = self._open(folder, part, "sequence")
            self.files.append(sample_file(folder, part, "sequence_stamps"))
            self._days = read_stamps(self.files[-1])

    def _open(self, folder: str | Path, part: str, name: str) -> SampleArray:
        self.files.append(sample_file(folder, part, name))
        return SampleArray(self.files[-1])

    def to_device(self, device: torch.device) -> bool:
        """Move all fields to a GPU where they fit beside the net; whether they did, and why not, is in the log.

        The batches stay the same, bit for bit; see :mod:`pscnet.samples.resident`.
        """
        what = f"samples ({self.files[0].name.partition('.')[0]})"
        return hold_where_it_fits(self._arrays, device, what)

    def release(self) -> bool:
        """Give back the device's memory that :meth:`to_device` took; whether there was any."""
        held = any(array.held for array in self._arrays)
        for array in self._arrays:
            array.release()
        return held

    @property
    def _arrays(self) -> list[SampleArray]:
        found = (self._bands, self._background, self._kriged, self._sequence)
        return [array for array in found if array is not None]

    def __len__(self) -> int:
        return self.stamps.size

    def order(self, seed: Sequence[int], sampling: str = "plain") -> np.ndarray:
        """Order of the samples in an epoch.

        Parameters
        ----------
        seed : sequence of int
        sampling : {"even", "plain"}
            ``plain``: every sample once. ``even``: as many samples as there are, every calendar month as often as any
            other, and the samples of a month equally often, but for one.
        """
        rng = np.random.default_rng(seed)
        if sampling == "plain":
            return rng.permutation(len(self))
        month = self.stamps.astype("M8[M]").astype(int) % 12
        groups = [np.flatnonzero(month == number) for number in np.unique(month)]
        shares = np.diff(np.linspace(0, len(self), len(groups) + 1).round().astype(int))
        drawn = [
            np.concatenate([rng.permutation(group) for _ in range(-(-share // group.size))])[:share]
            for group, share in zip(groups, shares, strict=True)
            if share
        ]
        return rng.permutation(np.concatenate(drawn))

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
            yield self.batch(np.sort(order[first : first + size]), tile, leave_out_hours, device)

    def batch(
        self, rows: np.ndarray, tile: Tile, leave_out_hours: float, device: torch.device
    ) -> tuple[Batch, Target, np.ndarray]:
        """Input, target and stamps of the samples ``rows`` (ascending); see :meth:`batches`."""
        stamps = self.stamps[rows]
        seen = self.retrievals.around(stamps, self.maker.window_days, leave_out_hours)
        batch = self.maker.batch(
            self._bands.take(rows, tile.window),
            self._background.take(rows, tile.window),
            stamps,
            seen,
            tile,
            device,
            None if self._kriged is None else self._kriged.take(rows),
            self._sequences(stamps, tile),
        )
        return batch, self._target(stamps, tile, device), stamps

    def _sequences(self, stamps: np.ndarray, tile: Tile) -> Tensor | None:
        """Sequences (sample, day, 2 * predictor, y, x) of some stamps, oldest day first."""
        if self._sequence is None:
            return None
        return self._sequence.take(lagged_rows(self._days, stamps, self._sequence_days), tile.window)

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


def not_finite(batch: Batch, stamps: np.ndarray, channels: Sequence[str]) -> str:
    """Which channels of which samples of a batch are not finite, and what to do; empty where all are.

    The days of a sequence are counted from that of the answer, 0, backwards: -2 is two days before.

    Parameters
    ----------
    batch : Batch
    stamps : ndarray (batch,)
    channels : names of the channels of ``bands``
    """
    for name, values in vars(batch).items():
        if values is None or torch.isfinite(values).all():
            continue
        bad = (~torch.isfinite(values)).flatten(-2).any(-1).flatten(1).nonzero()[:3].tolist()
        names = _names(name, values, channels)
        where = ", ".join(f"{names[entry]} at {str(stamps[sample])[:16]}" for sample, entry in bad)
        return f"not finite in the input: {where}; delete the run's folder samples and run again"
    return ""


def _names(name: str, values: Tensor, channels: Sequence[str]) -> list[str]:
    """What a field of a batch holds between sample and grid, in the order of its numbers."""
    if name == "bands":
        return list(channels)
    if name == "sequence":
        predictors = dict.fromkeys(channel.split(":")[0] for channel in channels)
        columns = [*predictors, *(f"{predictor} (daily mean)" for predictor in predictors)]
        return [f"sequence, {column} of day {day}" for day in range(1 - values.shape[1], 1) for column in columns]
    kind = "retrieval slot" if name in RETRIEVAL_FIELDS else "channel"
    return [f"{name}, {kind} {position}" for position in range(values.shape[1])]


def time_scales(channels: Sequence[str]) -> list[float]:
    """The time constants [day] that the channel names carry."""
    names = [name.split(":")[1] for name in channels if name.split(":")[0] == channels[0].split(":")[0]]
    return [float(name.removesuffix("d")) for name in names[1:-1]]
