"""Sequences of past days for nets that read series: values and daily means at the time of day of the answer.

For the answer at stamp t, entry k (0 the newest) holds each predictor at t - k days, and its mean over the 24 hours
that end there. The period's first days, which have no past, see the period's first day instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.samples.bands import SampleError
from pscnet.samples.inputs import InputMaker
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import STEPS_PER_DAY

_DAY = np.timedelta64(1, "D").astype("m8[ns]")


def wanted_stamps(stamps: np.ndarray, days: int, first: np.datetime64) -> np.ndarray:
    """All stamps (ascending) of which the sequences of ``stamps`` are made, none before ``first``."""
    lagged = (np.asarray(stamps, "M8[ns]")[:, None] - np.arange(days) * _DAY).ravel()
    return np.unique(_not_before(lagged, first))


def lagged_rows(available: np.ndarray, stamps: np.ndarray, days: int) -> np.ndarray:
    """Positions (sample, day) in ``available`` of the entries of each sequence, oldest first.

    Raises
    ------
    SampleError
        When an entry is not there.
    """
    lagged = np.asarray(stamps, "M8[ns]")[:, None] - np.arange(days - 1, -1, -1) * _DAY
    wanted = _not_before(lagged, available[0])
    rows = np.minimum(np.searchsorted(available, wanted), len(available) - 1)
    absent = available[rows] != wanted
    if absent.any():
        raise SampleError(
            f"sequences of {days} days: the entry of {str(wanted[absent][0])[:16]} is missing from their file, which "
            "was made for fewer days; delete the folder of the samples and run again"
        )
    return rows


def _not_before(times: np.ndarray, first: np.datetime64) -> np.ndarray:
    """Times before ``first`` moved by whole days to the first day."""
    short = np.ceil(np.maximum((first - times) / _DAY, 0.0)).astype("i8")
    return times + short * _DAY


def day_stream(
    predictors: Sequence[str | Path], names: Sequence[str], chunk_steps: int = STEPS_PER_DAY
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stamps (step,) and values with trailing daily means (step, 2 * predictor, lat, lon), NaN over sea.

    Parameters
    ----------
    predictors : paths of ``predictors/{month}.nc`` of consecutive months
    names : predictor names
    chunk_steps : steps read together
    """
    past: np.ndarray | None = None
    for path in predictors:
        with xr.open_dataset(path) as data:
            for start in range(0, data.sizes["time"], chunk_steps):
                part = data[list(names)].isel(time=slice(start, start + chunk_steps)).load()
                values = np.stack([part[name].values for name in names], 1)
                if past is None:
                    past = values[1:STEPS_PER_DAY]  # the day before is taken to be like the first
                padded = np.concatenate([past, values])
                means = np.stack([padded[step : step + STEPS_PER_DAY].mean(0) for step in range(len(values))])
                past = padded[len(values) :]
                yield part["time"].values.astype("M8[ns]"), np.concatenate([values, means], 1)


def write_sequences(
    predictors: Sequence[str | Path],
    stamps: np.ndarray,
    days: int,
    maker: InputMaker,
    output: str | Path,
) -> np.ndarray:
    """Write the entries of the sequences of ``stamps`` and return their own stamps.

    Parameters
    ----------
    predictors : paths of consecutive months, from the one before the first stamp
    stamps : ndarray (sample,)
    days : int
    maker : InputMaker
    output : path to write, float16 (day, 2 * predictor, lat, lon), standardised
    """
    with xr.open_dataset(predictors[0]) as data:
        first = data["time"].values[0].astype("M8[ns]")
    wanted = wanted_stamps(stamps, days, first)
    shape = (wanted.size, 2 * len(maker.normaliser.predictors), *maker.land.shape)
    with replacing(output) as part:
        made = np.lib.format.open_memmap(part, "w+", "f2", shape)
        for times, entries in day_stream(predictors, maker.normaliser.predictors):
            here = np.flatnonzero(np.isin(times, wanted))
            if here.size:
                made[np.searchsorted(wanted, times[here])] = maker.sequence(entries[here])
        made.flush()
    return wanted


class SequenceWindow:
    """The sequences of stamps in the order of time, with as many days kept as are needed.

    Parameters
    ----------
    predictors : paths
        The month before, where there is one, and the month.
    days : int
    maker : InputMaker
    """

    def __init__(self, predictors: Sequence[str | Path], days: int, maker: InputMaker) -> None:
        self.days, self.maker = days, maker
        self._stream = day_stream(predictors, maker.normaliser.predictors)
        self._kept: deque[tuple[np.datetime64, np.ndarray]] = deque()

    def __call__(self, stamps: np.ndarray) -> np.ndarray:
        """Sequences (stamp, day, 2 * predictor, lat, lon) float16; calls come in the order of time."""
        while not self._kept or self._kept[-1][0] < stamps[-1]:
            times, entries = next(self._stream)
            self._kept.extend(zip(times, self.maker.sequence(entries).astype("f2"), strict=True))
            # What lies before the first stamp's sequence goes; stamps of one call may be days apart.
            while self._kept and self._kept[0][0] < stamps[0] - self.days * _DAY:
                self._kept.popleft()
        available = np.array([time for time, _ in self._kept])
        rows = lagged_rows(available, stamps, self.days)
        return np.stack([np.stack([self._kept[row][1] for row in line]) for line in rows])
