"""Which moments does one method leave in each block of time: what the comparison resamples.

A file of :class:`BlockMoments` holds, on the dimensions ``block`` and ``cell`` (row by row of the fine grid):

=====================================  ===========  ================================================================
variable                               dims         meaning
=====================================  ===========  ================================================================
``start``                              block        first stamp of the block, UTC
``{part}_n``                           block, cell  pairs of method and truth; ``part`` is a field of
                                                    :class:`pscnet.validation.truth.Parts`
``{part}_mean_x``, ``_mean_y``         block, cell  means of method and truth [m3 m-3]
``{part}_sxx``, ``_syy``, ``_sxy``     block, cell  sums of squares and products about the means [m6 m-6], to 16 bits
``calibration_{sum}``                  block        sums of :class:`pscnet.validation.truth.Calibration`, if any
``hour_temporal_r``, ``hour_ubrmse``   hour         mean over cells of all blocks together, by stamp of the day
=====================================  ===========  ================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.scores import PairMoments
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation import BLOCK_DAYS, ScoreError
from pscnet.validation.truth import Parts, TruthScores, hourly_scores

#: Probabilities of the central intervals of the reliability diagram.
NOMINAL = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))

_MOMENTS = tuple(moment.name for moment in fields(PairMoments))
_PARTS = tuple(part.name for part in fields(Parts))
_METHOD = "method"

#: Bits of the second moments' mantissas in a file: an error of 8e-6 of each cell's, without a mean.
_BITS = 16


def joined(intervals: Sequence[tuple[object, object]]) -> list[tuple[np.datetime64, np.datetime64]]:
    """Half-open intervals in the order of time, those that adjoin or overlap made one."""
    made: list[tuple[np.datetime64, np.datetime64]] = []
    for start, end in sorted((np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in intervals):
        if made and start <= made[-1][1]:
            made[-1] = made[-1][0], max(end, made[-1][1])
        else:
            made.append((start, end))
    return made


def block_starts(intervals: Sequence[tuple[object, object]], days: int = BLOCK_DAYS) -> np.ndarray:
    """First stamps (block,), ascending, of blocks of ``days`` from the start of each stretch of test days on.

    A stretch is what half-open intervals that adjoin make together (:func:`joined`), in whatever order they are given.
    Its last block takes the rest: a rest of less than half a block joins the block before it, so that no draw is spent
    on a stub. The last block is thus half a block to one and a half long; a stretch shorter than that is one block.
    """
    starts = []
    for first, end in joined(intervals):
        length = (np.datetime64(end, "h") - np.datetime64(first, "h")) / np.timedelta64(24, "h")
        count = max(int(np.floor(length / days + 0.5)), 1)
        starts.append(np.datetime64(first, "h") + np.arange(count) * np.timedelta64(24 * days, "h"))
    return np.concatenate(starts).astype("M8[ns]")


@dataclass
class BlockMoments:
    """One method's moments against the truth, by block of time and cell.

    Attributes
    ----------
    starts : datetime64 (block,)
    parts : Parts
        Each set of moments (block, cell).
    calibration : dict of str to ndarray (block,)
        Sums of :class:`Calibration`, and ``n``; empty for a method without standard deviation.
    by_hour : dict of score to ndarray (hour,)
    attrs : dict
        ``scorable`` and ``scored`` count the samples with truth, and those that have a value too.
    """

    starts: np.ndarray
    parts: Parts
    calibration: dict[str, np.ndarray]
    by_hour: dict[str, np.ndarray]
    attrs: dict[str, object] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of blocks."""
        return len(self.starts)

    def write(self, path: str | Path, attrs: Mapping[str, object] | None = None) -> None:
        """Write a compressed NetCDF file, replacing ``path`` only by a complete one."""
        dataset = xr.Dataset(attrs=self.attrs | dict(attrs or {}))
        dataset["start"] = "block", self.starts.astype("M8[ns]")
        encoding: dict[str, dict[str, object]] = {"start": {"units": "hours since 2000-01-01", "dtype": "int64"}}
        packed = {"zlib": True, "complevel": 4, "shuffle": True}
        for part in _PARTS:
            moments = getattr(self.parts, part)
            for name in _MOMENTS:
                kept = np.int32 if name == "n" else np.float32
                dataset[f"{part}_{name}"] = ("block", "cell"), getattr(moments, name).astype(kept)
                rounded = {"significant_digits": _BITS, "quantize_mode": "BitRound"} if name.startswith("s") else {}
                encoding[f"{part}_{name}"] = packed | rounded
        for name, sums in self.calibration.items():
            dataset[f"calibration_{name}"] = "block", sums
        for name, values in self.by_hour.items():
            dataset[f"hour_{name}"] = "hour", values
        with replacing(path) as part_path:
            dataset.to_netcdf(part_path, encoding=encoding)

    @staticmethod
    def attributes(path: str | Path) -> dict[str, object]:
        """The attributes of a file alone."""
        with xr.open_dataset(path) as dataset:
            return dict(dataset.attrs)

    @classmethod
    def read(cls, path: str | Path) -> BlockMoments:
        """Read what :meth:`write` wrote.

        Raises
        ------
        ScoreError
            When a variable is missing.
        """
        with xr.open_dataset(path) as dataset:
            wanted = ["start", *(f"{part}_{name}" for part in _PARTS for name in _MOMENTS)]
            missing = [name for name in wanted if name not in dataset.variables]
            if missing:
                raise ScoreError(
                    f"{path}: expected the moments of a method by block of time; {', '.join(missing)} missing, found "
                    f"{', '.join(map(str, dataset.variables)) or 'no variable'}; rerun the rule that made the file"
                )
            return cls(
                dataset["start"].values,
                Parts(
                    **{
                        part: PairMoments(*(dataset[f"{part}_{name}"].values.astype(float) for name in _MOMENTS))
                        for part in _PARTS
                    }
                ),
                _prefixed(dataset, "calibration_"),
                _prefixed(dataset, "hour_"),
                dict(dataset.attrs),
            )


def _prefixed(dataset: xr.Dataset, prefix: str) -> dict[str, np.ndarray]:
    return {
        str(name).removeprefix(prefix): dataset[name].values.astype(float)
        for name in dataset.variables
        if str(name).startswith(prefix)
    }


class BlockScores:
    """Accumulator of one method's moments against the truth by block of time.

    Parameters
    ----------
    fine, coarse : Grid
    intervals : list of (start, end)
        Half-open test intervals (ISO or datetime64); steps outside are left out.
    """

    def __init__(self, fine: Grid, coarse: Grid, intervals: Sequence[tuple[object, object]]):
        self.starts = block_starts(intervals)
        self._intervals = [(np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in intervals]
        self._scores = TruthScores(fine, coarse, [_METHOD], NOMINAL)
        self._taken: dict[int, tuple[Parts, dict[str, float]]] = {}
        self._levels = [PairMoments.zeros((fine.size,)) for _ in range(STEPS_PER_DAY)]
        self._current = -1
        self._calibrated = False

    def update(self, times: np.ndarray, truth: np.ndarray, field: np.ndarray, sigma: np.ndarray | None = None) -> None:
        """Add steps; they come in the order of time, any number at once.

        Parameters
        ----------
        times : datetime64 (time,)
        truth : ndarray (time, lat, lon) [m3 m-3]
            NaN where it is not to be scored.
        field, sigma : ndarray (time, lat, lon) [m3 m-3]
            The method's soil moisture and its standard deviation, if it gives one.

        Raises
        ------
        ScoreError
            When steps come after those of a later block.
        """
        times = np.asarray(times).astype("M8[ns]")
        block = np.searchsorted(self.starts, times, side="right") - 1
        block[~np.logical_or.reduce([(times >= first) & (times < end) for first, end in self._intervals])] = -1
        for number in np.unique(block[block >= 0]):
            if number < self._current:
                raise ScoreError(
                    f"steps of {str(times[0])[:16]} come after those of the block that starts "
                    f"{str(self.starts[self._current])[:16]}; expected the order of time: sort the months"
                )
            if number > self._current:
                self._take()
                self._current = int(number)
            rows = block == number
            spread = None if sigma is None else sigma[rows]
            self._calibrated |= sigma is not None
            self._scores.update(times[rows], truth[rows], {_METHOD: field[rows]}, spread, _METHOD)

    def _take(self) -> None:
        """Put the moments of the block that ends aside."""
        if self._current >= 0:
            self._taken[self._current] = self._open()
            for kept, new in zip(self._levels, self._scores.levels[_METHOD], strict=True):
                kept.merge(new)
        self._scores.restart()

    def _open(self) -> tuple[Parts, dict[str, float]]:
        calibration = self._scores.calibration
        return self._scores.parts(_METHOD), {"n": float(calibration.n), **calibration.sums}

    def moments(self) -> BlockMoments:
        """The moments so far; blocks without a step have none."""
        taken = dict(self._taken)
        levels = [PairMoments.stack([kept]).pooled(axis=0) for kept in self._levels]
        if self._current >= 0:
            taken[self._current] = self._open()
            for kept, new in zip(levels, self._scores.levels[_METHOD], strict=True):
                kept.merge(new)
        nothing = PairMoments.zeros(levels[0].n.shape)
        blocks = range(len(self.starts))
        parts = Parts(
            **{
                name: PairMoments.stack([getattr(taken[b][0], name) if b in taken else nothing for b in blocks])
                for name in _PARTS
            }
        )
        sums = next((part[1] for part in taken.values()), {}) if self._calibrated else {}
        calibration = {name: np.array([taken[b][1][name] if b in taken else 0.0 for b in blocks]) for name in sums}
        counts = {"scorable": self._scores.scorable, "scored": self._scores.scored, "block_days": BLOCK_DAYS}
        by_hour = {name: np.array(values) for name, values in hourly_scores(levels).items()}
        return BlockMoments(self.starts, parts, calibration, by_hour, counts | {"step_hours": STEP_HOURS})

    def write(self, path: str | Path, attrs: Mapping[str, object] | None = None) -> None:
        """Write the moments so far, see :meth:`BlockMoments.write`."""
        self.moments().write(path, attrs)

    @staticmethod
    def read(path: str | Path) -> BlockMoments:
        """Moments of a file, see :meth:`BlockMoments.read`."""
        return BlockMoments.read(path)
