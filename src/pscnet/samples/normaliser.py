"""The normaliser: statistics of every channel and the background's coefficients, from the training split only."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import TARGET_COVER
from pscnet.regrid import apply
from pscnet.samples.background import (
    Background,
    Line,
    coarse_series,
    filled,
    fit_lines,
    make_background,
)
from pscnet.samples.bands import SampleError
from pscnet.samples.pattern import fine_pattern
from pscnet.samples.retrievals import retrieval_times, sample_at
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY, Split, nearest_stamp
from pscnet.weights import read_weights

logger = logging.getLogger(__name__)

#: Static channels of the net, in order; the season follows as sine and cosine. A field whose 36 km means are zero by
#: construction would be of no use: footprints tell nothing about its effect.
STATICS = ("elevation", "slope")

#: Retrievals that a cell needs for its mean to count in the fine pattern.
FEWEST_RETRIEVALS = 10

#: A band whose spread is a smaller share of its predictor's scale than this is rounding noise.
CONSTANT_SHARE = 1e-5

#: Standardised values are cut off here, so that one wild predictor cannot drive the net.
CLIP = 8.0


@dataclass(frozen=True)
class Normaliser:
    """Statistics of the training split.

    Attributes
    ----------
    channels : tuple of str
        ``predictor:band``, predictor-major.
    mean, std, minimum, maximum : ndarray (channel,), provider units
    static_mean, static_std : ndarray (static,)
    target_mean, target_std, noise : float [m3 m-3]
        Mean and standard deviation of the training retrievals; noise of a recommended retrieval.
    lasting : ndarray (predictor, lat, lon), provider units
        Mean of each predictor over the observed training days.
    background : Background
    matched : Line
        The usual mean-and-variance rescaling of ERA5-Land to SMAP (y, x): a reference, not used by the net.
    """

    channels: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    static_mean: np.ndarray
    static_std: np.ndarray
    target_mean: float
    target_std: float
    noise: float
    lasting: np.ndarray
    background: Background
    matched: Line

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but names, as arrays; with :meth:`header`, the inverse of :meth:`from_arrays`."""
        return {
            "mean": self.mean,
            "std": self.std,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "static_mean": self.static_mean,
            "static_std": self.static_std,
            "target": np.array([self.target_mean, self.target_std, self.noise]),
            "lasting": self.lasting,
            "background_intercept": self.background.fine.intercept,
            "background_slope": self.background.fine.slope,
            "background_detail": self.background.detail,
            "background_coarse_intercept": self.background.coarse.intercept,
            "background_coarse_slope": self.background.coarse.slope,
            "background_coarse_detail": self.background.coarse_detail,
            "background_pattern": self.background.pattern,
            "background_coarse_pattern": self.background.coarse_pattern,
            "matched_intercept": self.matched.intercept,
            "matched_slope": self.matched.slope,
        }

    def header(self) -> dict[str, object]:
        """Names, JSON-ready."""
        return {"channels": list(self.channels), "background": self.background.variable}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], header: Mapping[str, object]) -> Normaliser:
        """Rebuild from :meth:`arrays` and :meth:`header`."""
        background = Background(
            str(header["background"]),
            Line(arrays["background_intercept"], arrays["background_slope"]),
            Line(arrays["background_coarse_intercept"], arrays["background_coarse_slope"]),
            arrays["background_detail"],
            arrays["background_coarse_detail"],
            arrays["background_pattern"],
            arrays["background_coarse_pattern"],
        )
        mean, std, noise = (float(value) for value in arrays["target"])
        return cls(
            tuple(header["channels"]),  # type: ignore[arg-type]
            *(arrays[name] for name in ("mean", "std", "minimum", "maximum", "static_mean", "static_std")),
            mean,
            std,
            noise,
            arrays["lasting"],
            background,
            Line(arrays["matched_intercept"], arrays["matched_slope"]),
        )

    def write(self, path: str | Path) -> None:
        """Write as NetCDF (atomic)."""
        made = xr.Dataset(attrs={"header": json.dumps(self.header())})
        for name, array in self.arrays().items():
            made[name] = (tuple(f"{name}_{axis}" for axis in range(array.ndim)), array)
        with replacing(path) as part:
            made.to_netcdf(part, engine="netcdf4")

    @classmethod
    def read(cls, path: str | Path) -> Normaliser:
        """Read what :meth:`write` wrote."""
        with xr.open_dataset(path) as data:
            return cls.from_arrays({str(name): data[name].values for name in data}, json.loads(data.attrs["header"]))

    @property
    def predictors(self) -> list[str]:
        """Predictor names in channel order."""
        return list(dict.fromkeys(name.split(":")[0] for name in self.channels))

    @property
    def bands(self) -> int:
        """Bands of each predictor."""
        return len(self.channels) // len(self.predictors)


def write_normaliser(
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    weights: Mapping[str, str | Path],
    split: Split,
    noise: float,
    output: str | Path,
) -> None:
    """Fit the normaliser on the training split.

    Parameters
    ----------
    bands, coarse, smap : paths of the training months' files, in order
    static : path of ``static.nc``
    weights : paths of the weight files ``fine_to_coarse`` and ``coarse_to_fine``
    split : Split
    noise : float [m3 m-3]
        Standard deviation of the noise of a recommended retrieval.
    output : path to write

    Raises
    ------
    SampleError
        When the training split holds no usable day, or too few retrievals.
    """
    channels, statistics, means, background_name = _training_statistics(bands, split, _observed_days(smap))
    with xr.open_dataset(static) as data:
        static_fields = {name: data[name].values for name in data.data_vars}
    land = static_fields["land"] > 0
    _require_complete(means, land, bands)
    conservative, bilinear = read_weights(weights["fine_to_coarse"]), read_weights(weights["coarse_to_fine"])

    soil_water, retrieval, error = _pairs(coarse, smap, background_name, split)
    mean_coarse, covered = apply(conservative, np.where(land, means[background_name], np.nan))
    try:
        regression, matched = fit_lines(soil_water, retrieval, error, mean_coarse)
    except ValueError as error:
        raise SampleError(f"normaliser from {len(smap)} training months: {error}") from error
    lasting = means | {name: static_fields[name] for name in STATICS}
    observed = (np.isfinite(retrieval).sum(0) >= FEWEST_RETRIEVALS) & (covered >= TARGET_COVER)
    pattern, coefficients = fine_pattern(lasting, regression(mean_coarse), observed, land, conservative, bilinear)
    logger.info("fine pattern, m3 m-3 a standard deviation: %s", coefficients or "none")
    background = make_background(
        background_name, regression, means[background_name], pattern, land, conservative, bilinear
    )
    matched = Line(filled(matched.intercept), filled(matched.slope))

    stacked = np.stack([static_fields[name][land] for name in STATICS]).astype("f8")
    spread = stacked.std(1)
    observed = retrieval[np.isfinite(retrieval)]
    Normaliser(
        channels,
        *statistics,
        stacked.mean(1).astype("f4"),
        np.where(spread > 1e-9, spread, 1.0).astype("f4"),
        float(observed.mean()),
        float(max(observed.std(), 1e-3)),
        noise,
        np.stack([means[name] for name in dict.fromkeys(channel.split(":")[0] for channel in channels)]),
        background,
        matched,
    ).write(output)


def _require_complete(means: Mapping[str, np.ndarray], land: np.ndarray, bands: Sequence[str | Path]) -> None:
    """Refuse predictors whose training mean (lat, lon) lacks cells of the land."""
    for name, field in means.items():
        absent = int((land & ~np.isfinite(field)).sum())
        if absent:
            raise SampleError(
                f"{bands[0]} and following: values of the predictor {name} on {int(land.sum())} land cells expected on "
                f"every training day, none somewhen on {absent} of them; get the ERA5-Land files of these months "
                f"again, or take {name} out of predictors in the configuration"
            )


def _observed_days(smap: Sequence[str | Path]) -> np.ndarray:
    """Days with at least one accepted retrieval."""
    days = []
    for path in smap:
        with xr.open_dataset(path) as data:
            seen = np.isfinite(data["soil_moisture"].values).any((1, 2))
            days.append(data["date"].values[seen].astype("M8[ns]"))
    return np.unique(np.concatenate(days))


def _training_statistics(
    bands: Sequence[str | Path], split: Split, observed: np.ndarray
) -> tuple[tuple[str, ...], list[np.ndarray], dict[str, np.ndarray], str]:
    """Channel names; mean, std, minimum and maximum of each; mean field of each predictor over ``observed`` days.

    The last item is the name of the background variable.
    """
    sums: dict[str, np.ndarray] = {}
    daily_total, days = None, 0
    predictors: list[str] = []
    names: tuple[str, ...] = ()
    background = ""
    for path in bands:
        with xr.open_dataset(path) as data:
            names = tuple(str(name) for name in data["channel"].values)
            background = str(data.attrs["background"])
            use = _whole_days(data["day"].values, split)
            if not use.any():
                continue
            for name in ("count", "total", "square"):
                sums[name] = sums.get(name, 0.0) + data[name].values[use].sum(0)
            low, high = data["minimum"].values[use].min(0), data["maximum"].values[use].max(0)
            sums["minimum"] = np.minimum(sums.get("minimum", low), low)
            sums["maximum"] = np.maximum(sums.get("maximum", high), high)
            predictors = [str(name) for name in data["predictor"].values]
            use &= np.isin(data["day"].values, observed)
            part = data["daily"].values[:, use].astype("f8").sum(1)
            daily_total, days = part if daily_total is None else daily_total + part, days + int(use.sum())
    if daily_total is None:
        raise SampleError(
            "split.train: no whole day remains after the buffers; lengthen it or shorten samples.window_days"
        )
    empty = [name for name, count in zip(names, sums["count"], strict=True) if count == 0]
    if empty:
        raise SampleError(f"predictor channels without any value in the training split: {', '.join(empty)}")
    mean = sums["total"] / sums["count"]
    std = np.sqrt(np.maximum(sums["square"] / sums["count"] - mean**2, 0.0))
    # Against the predictor's own scale: a field that is constant in time leaves rounding noise in its bands.
    levels = [name.endswith(":level") for name in names]
    scale = np.repeat((np.abs(mean) + std)[levels], len(names) // sum(levels))
    constant = std <= CONSTANT_SHARE * np.maximum(scale, 1e-12)
    for name in np.array(names)[constant]:
        logger.warning("channel %s is constant in the training split: it carries nothing and is set to 0", name)
    std = np.where(constant, np.inf, std)
    statistics = [array.astype("f4") for array in (mean, std, sums["minimum"], sums["maximum"])]
    means = (daily_total / max(days, 1)).astype("f4")
    return names, statistics, dict(zip(predictors, means, strict=True)), background


def _whole_days(days: np.ndarray, split: Split) -> np.ndarray:
    """Days all of whose stamps are usable for training."""
    steps = np.arange(STEPS_PER_DAY) * np.timedelta64(STEP_HOURS, "h")
    return split.usable("train", days.astype("M8[ns]")[:, None] + steps).all(1)


def _pairs(
    coarse: Sequence[str | Path], smap: Sequence[str | Path], variable: str, split: Split
) -> tuple[np.ndarray, ...]:
    """Coarse soil water, retrievals and their noise (slot, y, x) of the training split; NaN where there is no pair."""
    stamps, means = coarse_series(coarse, variable)
    waters, values, noises = [], [], []
    for path in smap:
        with xr.open_dataset(path) as data:
            stamp = nearest_stamp(retrieval_times(data))
            value = np.where(split.usable("train", stamp), data["soil_moisture"].values, np.nan)
            noises.append(data["soil_moisture_error"].values)
        waters.append(sample_at(stamps, means, stamp))
        values.append(value)
    water, value = np.concatenate(waters), np.concatenate(values)
    paired = np.isfinite(water) & np.isfinite(value)
    return tuple(np.where(paired, part, np.nan) for part in (water, value, np.concatenate(noises)))
