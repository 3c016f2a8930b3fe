"""Where SMAP, where ERA5-Land and where the net itself carries the answer: maps of the parts of the fields.

The answer is ``background + innovation + residual`` at each pixel. The share of a part is its covariance with the
answer over the answer's variance in time; the three add up to 1. A share may be negative, or above 1 where parts work
against each other. The parts are those of the field before it is cut off at its physical range.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from pscnet.downscale import Downscaler
from pscnet.explain import ExplainError
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import MonthFiles
from pscnet.timeaxis import STEPS_PER_DAY

logger = logging.getLogger(__name__)

#: Parts of the answer by the names that the net gives them, and those of the carry map.
PARTS = {"innovation": "smap", "background": "background", "residual": "residual"}

#: Variance in time [(m3 m-3)2] below which a cell's answer does not change, and nothing can be shared out.
LEAST_VARIANCE = 1e-12


class _Sums:
    """Running sums over steps of the parts of an answer: mean absolute values, and covariances with the answer."""

    def __init__(self, level: np.ndarray) -> None:
        self.level, self.count = level, 0
        shape = (len(PARTS), *level.shape)
        self.size, self.first, self.product = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.square = np.zeros(level.shape)

    def add(self, parts: Mapping[str, np.ndarray]) -> None:
        """Parts (step, lat, lon) [m3 m-3] by the names of :data:`PARTS`."""
        stacked = np.stack([parts[name].astype("f8") for name in PARTS])
        stacked[list(PARTS).index("background")] -= self.level
        answer = stacked.sum(0)
        self.count += len(answer)
        self.size += np.abs(stacked).sum(1)
        self.first += stacked.sum(1)
        self.product += (stacked * answer).sum(1)
        self.square += (answer**2).sum(0)

    def dataset(self, lat: np.ndarray, lon: np.ndarray) -> xr.Dataset:
        """Shares, mean absolute values and the answer's standard deviation."""
        first = self.first / self.count
        variance = self.square / self.count - first.sum(0) ** 2
        changing = variance > LEAST_VARIANCE
        covariance = self.product / self.count - first * first.sum(0)
        share = np.where(changing, covariance / np.where(changing, variance, 1.0), np.nan)
        dims = ("part", "lat", "lon")
        return xr.Dataset(
            {
                "share": (dims, share, {"units": "1", "long_name": "covariance with the answer over its variance"}),
                "mean_absolute": (dims, self.size / self.count, {"units": "m3 m-3"}),
                "answer_std": (dims[1:], np.sqrt(np.maximum(variance, 0.0)), {"units": "m3 m-3"}),
            },
            coords={"part": list(PARTS.values()), "lat": lat, "lon": lon},
            attrs={"steps": self.count},
        )


def carry_map(
    downscaler: Downscaler, files: Sequence[MonthFiles], retrievals: Retrievals, months: Sequence[str]
) -> xr.Dataset:
    """Where SMAP and where ERA5-Land carry the fields of ``months``, all retrievals used as in the product.

    Parameters
    ----------
    downscaler : Downscaler
    files : list of MonthFiles
        Consecutive months that hold ``months``, better with one before.
    retrievals : Retrievals
        Of the same months.
    months : list of str

    Returns
    -------
    Dataset
        ``share`` (part, lat, lon) [1] and ``mean_absolute`` (part, lat, lon) [m3 m-3], of the background's departures
        from its mean over the steps; ``answer_std`` (lat, lon) [m3 m-3]. ``part`` is ``smap`` (gates times
        innovations), ``background`` (rescaled ERA5-Land) and ``residual`` (what the net adds, from all inputs). NaN
        outside the region.

    Raises
    ------
    ExplainError
        When the net wears the literature's dress, or files of ``months`` are not given.
    """
    require_own(downscaler)
    missing = sorted(set(months) - {file.month for file in files})
    if missing or not months:
        raise ExplainError(f"files of the months to be mapped expected, none found of: {', '.join(missing) or 'any'}")
    mapped = [file for file in files if file.month in set(months)]
    before = dict(
        zip([file.month for file in files[1:]], [(file.bands, file.predictors) for file in files[:-1]], strict=True)
    )
    sums = _Sums(_mean_background(downscaler, mapped))
    for file in mapped:
        logger.info("carry map: %s", file.month)
        bands, past = before.get(file.month, (None, None))
        for fields in downscaler.fields(file.predictors, bands, retrievals, before=past, with_parts=True):
            sums.add(fields.parts)
    made = sums.dataset(downscaler.maker.lat, downscaler.maker.lon)
    return made.assign_attrs(months=", ".join(file.month for file in mapped), model=downscaler.checkpoint.spec.name)


def require_own(downscaler: Downscaler) -> None:
    """Refuse a net of the literature's dress.

    Raises
    ------
    ExplainError
    """
    spec = downscaler.checkpoint.spec
    if not spec.own:
        raise ExplainError(
            f"net {spec.name!r}: the carry map expects the dress 'own', in which the answer is background, innovations "
            f"and residual; found {spec.dress!r}, in which it is one field made of ERA5-Land: choose another model"
        )


def _mean_background(downscaler: Downscaler, files: Sequence[MonthFiles]) -> np.ndarray:
    """Mean over all steps of the background (lat, lon) [m3 m-3]: a pass that needs no net."""
    background = downscaler.maker.normaliser.background
    total, count = np.zeros(downscaler.maker.land.shape), 0
    for water in _soil_water(files, background.variable):
        total += background.field(water).sum(0, dtype="f8")
        count += len(water)
    return total / count


def _soil_water(files: Sequence[MonthFiles], name: str) -> Iterator[np.ndarray]:
    for file in files:
        with xr.open_dataset(file.predictors) as data:
            for start in range(0, data.sizes["time"], STEPS_PER_DAY):
                yield data[name].isel(time=slice(start, start + STEPS_PER_DAY)).values
