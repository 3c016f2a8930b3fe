"""Predictors as temporal bands: the filter state carried over month ends, and the daily statistics of each channel.

File ``bands/{month}.nc``:

==================  ==============================  ==========================================================
variable            dims                            meaning
==================  ==============================  ==========================================================
state               predictor, memory, lat, lon     filter state after the month's last step
count, total,       day, channel                    land values of the day: number, sum, sum of squares,
square, minimum,                                    smallest, largest
maximum
daily               predictor, day, lat, lon        daily means, provider units
==================  ==============================  ==========================================================

Statistics are kept by day, so that any split can be summed up from them without reading the predictors again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pscnet.channels import band_names
from pscnet.nets.filters import STEPS_PER_DAY, FilterBank
from pscnet.samples import SampleError
from pscnet.sources.atomic import replacing

#: Steps read and filtered together: bounds memory, changes nothing else.
CHUNK_STEPS = STEPS_PER_DAY


def channel_names(predictors: Sequence[str], time_scales_days: Sequence[float]) -> list[str]:
    """Names ``predictor:band`` in the order of the net's input channels (predictor-major)."""
    return [f"{name}:{band}" for name in predictors for band in band_names(time_scales_days)]


@dataclass(frozen=True)
class BandChunk:
    """Some consecutive steps of a month as bands.

    Attributes
    ----------
    start : int
        Position of the first step in the month.
    times : ndarray (step,) datetime64[ns]
    bands : Tensor (step, predictors * bands, lat, lon)
        In provider units, NaN over sea.
    raw : dict of predictor name to ndarray (step, lat, lon)
    """

    start: int
    times: np.ndarray
    bands: Tensor
    raw: dict[str, np.ndarray]


class BandStream:
    """The bands of one month, chunk by chunk, with the filter state carried along.

    Parameters
    ----------
    predictors : path of ``predictors/{month}.nc``
    names : predictor names, in channel order
    time_scales_days : time constants of the filter bank [day]
    previous : path of the preceding month's ``bands`` file, or None to start afresh
    """

    def __init__(
        self,
        predictors: str | Path,
        names: Sequence[str],
        time_scales_days: Sequence[float],
        previous: str | Path | None,
    ) -> None:
        self.path, self.names = Path(predictors), list(names)
        self.bank = FilterBank(time_scales_days)
        self.previous = previous
        self.state: Tensor | None = None

    def __iter__(self) -> Iterator[BandChunk]:
        with xr.open_dataset(self.path) as data:
            missing = [name for name in self.names if name not in data]
            if missing:
                raise SampleError(
                    f"{self.path}: predictors {', '.join(missing)} expected, found "
                    f"{', '.join(map(str, data.data_vars))}; delete the file and run again, or take them out of "
                    "predictors in the configuration"
                )
            self.state = self._first_state(data)
            for start in range(0, data.sizes["time"], CHUNK_STEPS):
                part = data[self.names].isel(time=slice(start, start + CHUNK_STEPS)).load()
                raw = {name: part[name].values for name in self.names}
                series = torch.from_numpy(np.stack([raw[name] for name in self.names], 1))
                self._require_values(series, part["time"].values)
                bands, self.state = self.bank(series, self.state)
                yield BandChunk(start, part["time"].values, bands.movedim(0, 2).flatten(1, 2), raw)

    def _require_values(self, series: Tensor, times: np.ndarray) -> None:
        """Refuse a predictor that is missing everywhere: the filters would remember it for good."""
        absent = ~torch.isfinite(series).flatten(2).any(-1)
        if absent.any():
            step, predictor = (int(place) for place in absent.nonzero()[0])
            raise SampleError(
                f"{self.path}: values of the predictor {self.names[predictor]} on land expected at every step, found "
                f"none at {str(times[step])[:16]}; delete the file and run again with complete ERA5-Land files of the "
                f"month, or take {self.names[predictor]} out of predictors in the configuration"
            )

    def _first_state(self, data: xr.Dataset) -> Tensor:
        if self.previous is None:
            longest = math.ceil(max(self.bank.time_scales_days))
            head = data[self.names].isel(time=slice(0, longest * STEPS_PER_DAY))
            return self.bank.initial_state(torch.from_numpy(np.stack([head[name].values for name in self.names], 1)))
        with xr.open_dataset(self.previous) as before:
            found = [str(name) for name in before["predictor"].values]
            if found != self.names or before.sizes["memory"] != self.bank.state_size:
                raise SampleError(
                    f"{self.previous}: filter state of {self.names} with {self.bank.state_size} numbers expected, "
                    f"found {found} with {before.sizes['memory']}; delete build/ of this run and start again"
                )
            return torch.from_numpy(before["state"].values).movedim(0, 1)


def write_bands(
    predictors: str | Path,
    previous: str | Path | None,
    names: Sequence[str],
    background: str,
    time_scales_days: Sequence[float],
    output: str | Path,
) -> None:
    """Filter one month: its closing state and daily statistics (layout: see the module).

    Parameters
    ----------
    predictors : path of ``predictors/{month}.nc``
    previous : path of the preceding month's file, None for the first month
    names : predictor names
    background : the predictor that is rescaled to SMAP
    time_scales_days : time constants [day]
    output : path to write
    """
    stream = BandStream(predictors, names, time_scales_days, previous)
    rows: list[dict[str, np.ndarray]] = []
    daily = []
    for chunk in stream:
        for first in range(0, len(chunk.times), STEPS_PER_DAY):
            steps = slice(first, first + STEPS_PER_DAY)
            rows.append(_statistics(chunk.bands[steps].numpy()))
            daily.append(np.stack([chunk.raw[name][steps].mean(0) for name in names]))
            rows[-1]["day"] = chunk.times[steps][0].astype("M8[D]").astype("M8[ns]")
    with xr.open_dataset(predictors) as data:
        lat, lon = data["lat"].values, data["lon"].values
    assert stream.state is not None
    made = xr.Dataset(
        {
            "state": (("predictor", "memory", "lat", "lon"), stream.state.movedim(1, 0).numpy()),
            "daily": (("predictor", "day", "lat", "lon"), np.stack(daily, 1).astype("f4")),
            **{
                name: (("day", "channel"), np.stack([row[name] for row in rows]))
                for name in ("count", "total", "square", "minimum", "maximum")
            },
        },
        coords={
            "predictor": list(names),
            "channel": channel_names(names, time_scales_days),
            "day": np.array([row["day"] for row in rows], "M8[ns]"),
            "lat": lat,
            "lon": lon,
        },
        attrs={"background": background, "time_scales_days": list(time_scales_days)},
    )
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4", encoding={"daily": {"zlib": True, "complevel": 1}})


def _statistics(bands: np.ndarray) -> dict[str, np.ndarray]:
    """Count, sum, sum of squares, smallest and largest finite value of each channel (step, channel, lat, lon)."""
    values = np.moveaxis(bands, 1, 0).reshape(bands.shape[1], -1).astype("f8")
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    return {
        "count": finite.sum(1).astype("f8"),
        "total": filled.sum(1),
        "square": (filled**2).sum(1),
        "minimum": np.where(finite, values, np.inf).min(1),
        "maximum": np.where(finite, values, -np.inf).max(1),
    }
