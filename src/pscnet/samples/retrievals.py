"""SMAP retrievals around a time as a set, with what must not be seen left out.

A retrieval enters with its value, its innovation (value minus the background's footprint mean at its own time), its age
and its relative precision. When the answer will be compared with a retrieval, that whole overpass, in every cell, is
left out of the input; only at inference are all retrievals used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.samples import SampleError
from pscnet.samples.background import Background
from pscnet.sources.smap_flags import NO_FLAG, SURFACE_BITS
from pscnet.timeaxis import HALF_STEP, nearest_stamp

_DAY = np.timedelta64(1, "D").astype("m8[ns]")


@dataclass(frozen=True)
class RetrievalSet:
    """The retrievals around some answers; all arrays (answer, slot, y, x), float32.

    Attributes
    ----------
    age : [day], retrieval minus answer
    weight : relative precision, 0 where there is none or it is left out
    value, innovation : [m3 m-3], 0 where the weight is 0
    """

    age: np.ndarray
    weight: np.ndarray
    value: np.ndarray
    innovation: np.ndarray

    def __getitem__(self, answers: slice) -> RetrievalSet:
        """The retrievals around some of the answers."""
        return RetrievalSet(*(part[answers] for part in (self.age, self.weight, self.value, self.innovation)))


class Retrievals:
    """The retrievals of some consecutive months on the coarse grid.

    Attributes
    ----------
    date : ndarray (slot,) datetime64[ns]
        Granule date of each half-orbit slot, two a day without gap.
    time : ndarray (slot, y, x) datetime64[ns], NaT where there is none
    value, noise : ndarray (slot, y, x) float32 [m3 m-3], NaN where there is none
    innovation : ndarray (slot, y, x) float32 [m3 m-3], NaN where there is none or no background
    precision : ndarray (slot, y, x) float32
        Precision relative to a recommended retrieval's; 0 for what is not to be seen.
    water : ndarray (y, x) bool
        Cells that SMAP flags as static water.
    causal : bool
        Whether an answer sees no retrieval later than its own stamp (near real time), or those of both sides.
    """

    def __init__(
        self,
        date: np.ndarray,
        time: np.ndarray,
        value: np.ndarray,
        noise: np.ndarray,
        innovation: np.ndarray,
        reference_noise: float,
        water: np.ndarray | None = None,
        causal: bool = False,
    ) -> None:
        self.causal = causal
        self.date, self.time, self.value, self.noise, self.innovation = date, time, value, noise, innovation
        self.water = np.zeros(value.shape[1:], bool) if water is None else water
        with np.errstate(invalid="ignore"):
            self.precision = np.where(np.isfinite(innovation), (reference_noise / noise) ** 2, 0.0).astype("f4")
        self.stamp = nearest_stamp(time)

    @classmethod
    def from_files(
        cls,
        smap: Sequence[str | Path],
        coarse: Sequence[str | Path],
        background: Background,
        reference_noise: float,
        causal: bool = False,
    ) -> Retrievals:
        """Read months in order, with innovations against ``background``.

        Parameters
        ----------
        smap : paths of ``smap/{month}.nc``, consecutive months
        coarse : paths of ``coarse/{month}.nc``; a retrieval whose stamp they do not hold is not used
        background : Background
        reference_noise : float [m3 m-3]
            Noise of a retrieval whose precision counts as 1.
        causal : bool
            See the class.
        """
        dates, times, values, noises, water = [], [], [], [], []
        for path in smap:
            with xr.open_dataset(path) as data:
                times.append(retrieval_times(data))
                dates.append(data["date"].values.astype("M8[ns]"))
                values.append(data["soil_moisture"].values)
                noises.append(data["soil_moisture_error"].values)
                flags = data["surface_flag"].values.astype("i8")
                water.append(((flags != NO_FLAG) & (flags & SURFACE_BITS["static_water"] > 0)).any(0))
        date, time = np.concatenate(dates), np.concatenate(times)
        gaps = np.flatnonzero(np.diff(date[::2]) != _DAY)
        if gaps.size:
            raise SampleError(
                f"{smap[0]} and following: consecutive days expected, found a gap after {date[2 * gaps[0]]}"
            )
        value, noise = np.concatenate(values), np.concatenate(noises)
        stamps, means = background.footprint_series(coarse)
        at_retrieval = sample_at(stamps, means, nearest_stamp(time))
        innovation = (value - at_retrieval).astype("f4")
        return cls(date, time, value, noise, innovation, reference_noise, np.any(water, 0), causal)

    def hide(self, which: np.ndarray) -> None:
        """Take retrievals out for good: neither input nor target.

        Parameters
        ----------
        which : ndarray (slot, y, x) bool
        """
        self.precision = np.where(which, 0.0, self.precision).astype("f4")
        self.value, self.noise = np.where(which, np.nan, self.value), np.where(which, np.nan, self.noise)

    def overpass_stamps(self) -> np.ndarray:
        """Stamps that have at least one retrieval, ascending."""
        found = self.stamp[np.isfinite(self.value) & ~np.isnat(self.stamp)]
        return np.unique(found)

    def target(self, stamp: np.datetime64) -> tuple[np.ndarray, np.ndarray]:
        """Retrievals that belong to a stamp: value and noise (y, x), NaN where there is none."""
        rows = self._rows(stamp, 2)
        hit = self.stamp[rows] == stamp
        value = np.where(hit, self.value[rows], np.nan)
        noise = np.where(hit, self.noise[rows], np.nan)
        count = np.isfinite(value).sum(0)
        with np.errstate(invalid="ignore"):
            mean = np.nansum(value, 0) / np.where(count > 0, count, np.nan)
            error = np.nansum(noise, 0) / np.where(count > 0, count, np.nan)
        return mean.astype("f4"), error.astype("f4")

    def around(
        self, stamps: Sequence[np.datetime64], window_days: float, leave_out_hours: float | None
    ) -> RetrievalSet:
        """The set seen by the answers at ``stamps``.

        Parameters
        ----------
        stamps : times of the answers
        window_days : largest age [day]
        leave_out_hours : float or None
            Retrievals this near in time to an answer [hour], in any cell, are left out; None uses all.
        """
        days = int(np.ceil(window_days)) + 1
        rows = [self._rows(stamp, days) for stamp in stamps]
        width = 2 * (2 * days + 1)
        shape = (len(rows), width, *self.value.shape[1:])
        made = RetrievalSet(*(np.zeros(shape, "f4") for _ in range(4)))
        for answer, (stamp, row) in enumerate(zip(stamps, rows, strict=True)):
            found = np.flatnonzero(self.precision[row] > 0)  # a fifth of all: what follows looks at these alone
            age = (self.time[row].take(found) - stamp) / _DAY  # NaN without a time, and that compares as false
            use = np.abs(age) <= window_days
            if self.causal:
                use &= age <= HALF_STEP / _DAY  # a retrieval belongs to its stamp, which may lie before it
            if leave_out_hours is not None:
                use &= np.abs(age) * 24 > leave_out_hours
            found = found[use]
            made.age[answer].put(found, age[use])
            made.weight[answer].put(found, self.precision[row].take(found))
            made.value[answer].put(found, self.value[row].take(found))
            made.innovation[answer].put(found, self.innovation[row].take(found))
        return made

    def _rows(self, stamp: np.datetime64, days: int) -> slice:
        day = int((stamp.astype("M8[D]").astype("M8[ns]") - self.date[0]) / _DAY)
        total = len(self.date)
        return slice(min(max(2 * (day - days), 0), total), max(min(2 * (day + days + 1), total), 0))


def retrieval_times(smap: xr.Dataset) -> np.ndarray:
    """Times (half_orbit, y, x) of the retrievals of a ``smap/{month}.nc``, NaT where there is none."""
    first = smap["date"].values[0].astype("M8[M]").astype("M8[ns]")
    offset = smap["time_offset"].values
    known = np.isfinite(offset)
    time = first + np.round(np.where(known, offset, 0.0) * 3600).astype("m8[s]").astype("m8[ns]")
    return np.where(known, time, np.datetime64("NaT"))


def sample_at(stamps: np.ndarray, fields: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values of ``fields`` (stamp, y, x) at the stamps ``wanted`` (slot, y, x), each in its cell; NaN where absent."""
    position = np.searchsorted(stamps, wanted)
    position = np.minimum(position, len(stamps) - 1)
    found = stamps[position] == wanted
    y, x = np.indices(wanted.shape[1:])
    return np.where(found, fields[position, y, x], np.nan)
