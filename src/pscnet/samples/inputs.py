"""From files to the net's tensors and back: standardised batches of whole fields or tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pscnet.nets.frame import SEASON, Batch
from pscnet.samples.bands import SampleError
from pscnet.samples.geometry import Tile
from pscnet.samples.normaliser import CLIP, STATICS, Normaliser
from pscnet.samples.retrievals import RetrievalSet

#: Share of the training range by which a predictor may leave it before its pixel is flagged as extrapolated.
EXTRAPOLATION_MARGIN = 0.1


@dataclass(frozen=True)
class Inputs:
    """What some steps bring, on the whole region; see :meth:`InputMaker.batch`."""

    bands: Tensor
    background: np.ndarray
    times: np.ndarray
    seen: RetrievalSet
    kriged: np.ndarray | None
    sequence: np.ndarray | None

    def steps(self, which: slice) -> Inputs:
        """Some of the steps."""
        return Inputs(*(None if part is None else part[which] for part in vars(self).values()))

    def batch(self, maker: InputMaker, tile: Tile, device: torch.device) -> Batch:
        """The net's input on one tile."""
        y, x = tile.window
        sequence = None if self.sequence is None else self.sequence[..., y, x]
        bands, background = self.bands[..., y, x], self.background[..., y, x]
        return maker.batch(bands, background, self.times, self.seen, tile, device, self.kriged, sequence)


class InputMaker:
    """Standardises predictors, statics and retrievals of one region.

    Parameters
    ----------
    normaliser : Normaliser
    static : path of ``static.nc``
    window_days : reach of the retrieval window [day]
    """

    def __init__(self, normaliser: Normaliser, static: str | Path, window_days: float) -> None:
        self.normaliser, self.window_days = normaliser, window_days
        with xr.open_dataset(static) as data:
            fields = {str(name): data[name].values for name in data.data_vars}
            self.lat, self.lon = data["lat"].values, data["lon"].values
        self.land = fields["land"] > 0
        self.region = fields["region"] > 0
        if normaliser.background.detail.shape != self.land.shape:
            raise SampleError(
                f"{static}: fields of {self.land.shape} cells, but the normaliser was made on "
                f"{normaliser.background.detail.shape}: it belongs to another region"
            )
        stacked = np.stack([fields[name] for name in STATICS])
        scaled = (stacked - normaliser.static_mean[:, None, None]) / normaliser.static_std[:, None, None]
        levels = [i for i, name in enumerate(normaliser.channels) if name.endswith(":level")]
        level_mean, level_std = (part[levels][:, None, None] for part in (normaliser.mean, normaliser.std))
        lasting = (normaliser.lasting - level_mean) / level_std
        self.statics = np.clip(np.where(self.land, np.concatenate([scaled, lasting]), 0.0), -CLIP, CLIP).astype("f4")
        self._levels, self._lasting = levels, torch.from_numpy(lasting.astype("f4"))

    @property
    def static_channels(self) -> int:
        """Static channels of the net: terrain, the lasting mean of each predictor, and the season."""
        return len(self.statics) + SEASON

    def bands(self, bands: Tensor, source: str | Path | None = None) -> Tensor:
        """Standardise bands (step, channel, lat, lon); 0 over sea, cut off at :data:`CLIP`.

        Level bands become departures from the lasting mean of their pixel, which enters as a static field.

        Parameters
        ----------
        bands : Tensor (step, channel, lat, lon), provider units
        source : path, optional
            The file they were made of, for the message.

        Raises
        ------
        SampleError
            When a channel has missing values on land.
        """
        mean = torch.from_numpy(self.normaliser.mean)[:, None, None]
        std = torch.from_numpy(self.normaliser.std)[:, None, None]
        scaled = (bands - mean) / std
        scaled[:, self._levels] -= self._lasting
        scaled = scaled.clamp(-CLIP, CLIP)
        land = torch.from_numpy(self.land)
        bad = torch.isnan(scaled) & land
        if bad.any():
            channel = int(bad.flatten(2).any(-1).any(0).nonzero()[0])
            raise SampleError(
                f"{'' if source is None else f'{source}: '}"
                f"channel {self.normaliser.channels[channel]}: {int(bad[:, channel].sum())} values on land are "
                "missing; the predictor must be complete over the land of the first month"
            )
        return torch.where(land, scaled, 0.0)

    def sequence(self, entries: np.ndarray) -> np.ndarray:
        """Standardise values and daily means (step, 2 * predictor, lat, lon); 0 over sea, cut off at :data:`CLIP`.

        They become departures from the lasting mean of their pixel, as level bands do. The bands of a predictor are
        taken to vary independently for its standard deviation.
        """
        normaliser = self.normaliser
        variance = np.where(np.isfinite(normaliser.std), normaliser.std**2, 0.0)
        variance = variance.reshape(len(normaliser.predictors), normaliser.bands).sum(1)
        std = np.where(variance > 0, np.sqrt(variance), np.inf)[:, None, None]
        scaled = (entries - np.tile(normaliser.lasting, (2, 1, 1))) / np.tile(std, (2, 1, 1))
        return np.where(self.land, np.clip(scaled, -CLIP, CLIP), 0.0).astype("f4")

    def background(self, soil_water: np.ndarray) -> np.ndarray:
        """Standardised background (..., lat, lon) of fine soil water [m3 m-3]; 0 over sea."""
        field = (
            self.normaliser.background.field(soil_water) - self.normaliser.target_mean
        ) / self.normaliser.target_std
        return np.where(self.land, field, 0.0).astype("f4")

    def extrapolated(self, bands: Tensor) -> np.ndarray:
        """Where a channel leaves its training range (step, lat, lon) bool; bands in provider units."""
        low, high = torch.from_numpy(self.normaliser.minimum), torch.from_numpy(self.normaliser.maximum)
        margin = EXTRAPOLATION_MARGIN * (high - low)
        outside = (bands < (low - margin)[:, None, None]) | (bands > (high + margin)[:, None, None])
        return outside.any(1).numpy()

    def season(self, times: np.ndarray) -> np.ndarray:
        """Sine and cosine of the season (step, 2)."""
        year = times.astype("M8[Y]")
        share = (times - year.astype("M8[ns]")) / ((year + 1).astype("M8[ns]") - year.astype("M8[ns]"))
        return np.stack([np.sin(2 * np.pi * share), np.cos(2 * np.pi * share)], 1).astype("f4")

    def batch(
        self,
        bands: Tensor,
        background: np.ndarray | Tensor,
        times: np.ndarray,
        retrievals: RetrievalSet,
        tile: Tile,
        device: torch.device | str,
        kriged: np.ndarray | Tensor | None = None,
        sequence: np.ndarray | Tensor | None = None,
    ) -> Batch:
        """The net's input for some steps of one tile; tensors may lie on the device already.

        Parameters
        ----------
        bands : Tensor (step, channel, lat, lon)
            Standardised; of the tile's window.
        background : (step, lat, lon)
            Standardised; of the tile's window.
        times : ndarray (step,)
        retrievals : RetrievalSet
            Around these times; whole region.
        tile : Tile
        device : torch.device
        kriged : (step, 2, y, x), optional
            See :func:`pscnet.samples.kriged.kriged_channels`; whole region.
        sequence : (step, day, 2 * predictor, lat, lon), optional
            Standardised; of the tile's window.
        """
        rows, cols = tile.window
        coarse_rows, coarse_cols = tile.coarse
        target_mean, target_std = self.normaliser.target_mean, self.normaliser.target_std
        weight = retrievals.weight[:, :, coarse_rows, coarse_cols]
        value = (retrievals.value[:, :, coarse_rows, coarse_cols] - target_mean) / target_std

        def tensor(array: np.ndarray | Tensor) -> Tensor:
            given = torch.from_numpy(np.ascontiguousarray(array)) if isinstance(array, np.ndarray) else array
            return given.to(device).float().contiguous()

        fields, season = tensor(self.statics[:, rows, cols]), tensor(self.season(times))
        shape = (len(times), -1, *fields.shape[1:])

        return Batch(
            bands=tensor(bands),
            statics=torch.cat([fields.expand(shape), season[:, :, None, None].expand(shape)], 1),
            background=tensor(background[:, None]),
            age=tensor(retrievals.age[:, :, coarse_rows, coarse_cols]),
            weight=tensor(weight),
            value=tensor(np.where(weight > 0, value, 0.0)),
            innovation=tensor(retrievals.innovation[:, :, coarse_rows, coarse_cols] / target_std),
            kriged=None if kriged is None else tensor(kriged[:, :, coarse_rows, coarse_cols]),
            sequence=None if sequence is None else tensor(sequence),
        )
