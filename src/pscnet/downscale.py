"""A month in, a month out: 3-hourly fields on 0.1 degree from a checkpoint, in bounded memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from pscnet.baselines.covariance import Covariance, Spacing
from pscnet.checkpoint import Checkpoint, read_checkpoint
from pscnet.devices import choose_device
from pscnet.nets import Net
from pscnet.nets.frame import Answer, Geometry
from pscnet.samples.bands import BandStream, SampleError, channel_names
from pscnet.samples.geometry import Tile, cell_share, make_geometry, make_pyramid, make_tiles, owners, read_weight_set
from pscnet.samples.inputs import InputMaker, Inputs
from pscnet.samples.kriged import kriged_channels
from pscnet.samples.retrievals import Retrievals, RetrievalSet
from pscnet.samples.sequences import SequenceWindow
from pscnet.sources.atomic import replacing
from pscnet.variables import FLAG_BITS, FREEZING, SOIL_MOISTURE_RANGE

logger = logging.getLogger(__name__)

#: Largest side of a box [fine cell] that ``tile: auto`` computes as one tile.
LARGEST_TILE = 400

#: Pixel-steps computed together at most: bounds the memory of the net's features.
LARGEST_BATCH = 120_000

#: Smallest side of a tile [fine cell] that lack of memory leads to.
SMALLEST_TILE = 8

#: Largest total variance, standardised. Climatology alone leaves 1; what a net says beyond twice that deviation, in
#: weather that training did not hold, means that nothing is known.
LARGEST_VARIANCE = 4.0

#: Least share of the total variance that is taken for the field's own, when the known noise would leave nothing.
LEAST_FIELD_SHARE = 0.1

#: Snow water equivalent [m] and snow cover [%] above which a cell counts as snow-covered.
SNOW_WATER, SNOW_COVER = 0.01, 50.0


@dataclass(frozen=True)
class Fields:
    """Fields of some steps.

    Attributes
    ----------
    start : int
        Position of the first step in the month.
    times : ndarray (step,)
    soil_moisture, uncertainty : ndarray (step, lat, lon) float32 [m3 m-3]
    flag : ndarray (step, lat, lon) uint8
    parts : dict of str to ndarray (step, lat, lon) float32 [m3 m-3]
        What soil moisture is the sum of before it is cut off at its physical range; see
        :attr:`pscnet.nets.frame.Answer.parts`. Empty where it was not asked for.
    """

    start: int
    times: np.ndarray
    soil_moisture: np.ndarray
    uncertainty: np.ndarray
    flag: np.ndarray
    parts: dict[str, np.ndarray] = field(default_factory=dict)


class Downscaler:
    """Computes fields with a trained net, or with an ensemble of them.

    The mean of an ensemble is the mean of its members; its variance is the mean of theirs. Each member's is scaled to
    its own squared residuals, in which the error of its seed is contained already, so that this is an upper bound for
    the mean of the members: the spread of their means would count that error twice.

    Parameters
    ----------
    checkpoints : path or sequence of paths
        The members: nets of one kind, trained on the same data with other seeds.
    static : path of ``static.nc``
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    device : "auto", "cpu" or "cuda"
    tile : int or "auto"
        Fine cells a side of a tile; the answer does not depend on it.
    batch_steps : int
        Steps computed together, at most; fewer where the box is large.
    variance_factor : float
        Variance of a 10 km error over that of its 36 km mean.
    systematic_std : float [m3 m-3]
        Error that the residuals against SMAP do not show.
    model : str, optional
        Name of the net that the checkpoint has to hold.

    Raises
    ------
    CheckpointError
        When a checkpoint's grids are not those of the weights, its net is another one, or members do not go together.
    """

    def __init__(
        self,
        checkpoints: str | Path | Sequence[str | Path],
        static: str | Path,
        weights: Mapping[str, str | Path],
        predictors: Sequence[str],
        device: str = "auto",
        tile: int | str = "auto",
        batch_steps: int = 8,
        variance_factor: float = 1.0,
        systematic_std: float = 0.0,
        model: str | None = None,
    ) -> None:
        paths = [checkpoints] if isinstance(checkpoints, str | Path) else list(checkpoints)
        self.members: list[Checkpoint] = [read_checkpoint(path) for path in paths]
        self.checkpoint = self.members[0]
        self.weights = read_weight_set(weights)
        self.fine, self.coarse = self.weights["fine_to_coarse"].src, self.weights["fine_to_coarse"].dst
        channels = channel_names(predictors, self.checkpoint.time_scales_days)
        for path, member in zip(paths, self.members, strict=True):
            member.require(path, self.fine, self.coarse, channels, model)
            member.require_beside(path, self.checkpoint, paths[0])
        self.maker = InputMaker(self.checkpoint.normaliser, static, self.checkpoint.window_days)
        self.device = choose_device(device)
        self.nets: list[Net] = [member.net().to(self.device).eval() for member in self.members]
        self.spec = self.checkpoint.spec
        covariance = self.checkpoint.covariance
        self.covariance = None if covariance is None else Covariance(**covariance)
        self.batch_steps = batch_steps
        self._lay_tiles(
            tile if isinstance(tile, int) else (None if max(self.fine.shape) <= LARGEST_TILE else LARGEST_TILE)
        )
        self.variance_factor, self.systematic_std = variance_factor, systematic_std
        self.owner = owners(self.weights["fine_to_coarse"])

    def _lay_tiles(self, size: int | None) -> None:
        """Cut the region into tiles of ``size`` fine cells a side; None or the literature's dress: one tile."""
        self.tile_size = size if self.spec.own else None
        reach = self.nets[0].reach_coarse_cells(cell_share(self.fine, self.coarse))
        self.tiles = make_tiles(self.fine, self.coarse, self.tile_size, reach)
        self._geometries: dict[int, Geometry] = {}
        largest = max(
            (t.window[0].stop - t.window[0].start) * (t.window[1].stop - t.window[1].start) for t in self.tiles
        )
        self.batch_steps = max(1, min(self.batch_steps, LARGEST_BATCH // largest))

    def _geometry(self, position: int) -> Geometry:
        """The operators of a tile; of the fine grid alone for nets that know nothing of footprints."""
        if position not in self._geometries:
            made = make_geometry(self.weights, self.maker.land, self.tiles[position], self.device)
            if not self.spec.own:
                made = make_pyramid(made.fine_weight[0, 0].cpu().numpy(), self.device)
            self._geometries[position] = made
        return self._geometries[position]

    @torch.no_grad()
    def fields(
        self,
        predictors: str | Path,
        previous: str | Path | None,
        retrievals: Retrievals,
        wanted: np.ndarray | None = None,
        leave_out_hours: float | None = None,
        before: str | Path | None = None,
        with_parts: bool = False,
    ) -> Iterator[Fields]:
        """Fields of one month, some steps at a time.

        Parameters
        ----------
        predictors : path of ``predictors/{month}.nc``
        previous : path of the preceding month's ``bands`` file, None where there is none
        retrievals : Retrievals
            Of the month and its neighbours.
        wanted : ndarray of stamps, optional
            Compute these steps only.
        leave_out_hours : float, optional
            Leave out retrievals this near to each step: for scores against them.
        before : path, optional
            Predictors of the preceding month, which nets that read sequences look back into.
        with_parts : bool
            Fill :attr:`Fields.parts`.
        """
        normaliser = self.maker.normaliser
        scales = self.checkpoint.time_scales_days
        months = [path for path in (before, predictors) if path is not None]
        days = self.spec.sequence_days
        window = SequenceWindow(months, days, self.maker) if days else None
        for chunk in BandStream(predictors, normaliser.predictors, scales, previous):
            picked = np.arange(len(chunk.times)) if wanted is None else np.flatnonzero(np.isin(chunk.times, wanted))
            size = self.batch_steps  # lack of memory may lessen it meanwhile
            for first in range(0, len(picked), size):
                steps = picked[first : first + size]
                times = chunk.times[steps]
                bands = chunk.bands[torch.from_numpy(steps)]
                seen = retrievals.around(times, self.checkpoint.window_days, leave_out_hours)
                inputs = Inputs(
                    self.maker.bands(bands, predictors),
                    self.maker.background(chunk.raw[normaliser.background.variable][steps]),
                    times,
                    seen,
                    self._kriged(seen),
                    None if window is None else window(times),
                )
                parts: dict[str, np.ndarray] | None = {} if with_parts else None
                mean, variance = self._net_fields(inputs, parts)
                flag = self._flags(
                    {name: raw[steps] for name, raw in chunk.raw.items()}, seen.weight, retrievals, bands
                )
                yield Fields(chunk.start + int(steps[0]), times, mean, self.field_std(variance), flag, parts or {})

    def _kriged(self, seen: RetrievalSet) -> np.ndarray | None:
        if self.covariance is None:
            return None
        spacing = Spacing.of(self.coarse)
        return kriged_channels(seen, self.covariance, spacing, self.maker.normaliser.target_std)

    def _net_fields(self, inputs: Inputs, parts: dict[str, np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean [m3 m-3] and variance (standardised) on the whole fine grid, NaN off land, tile by tile.

        The parts of the mean are put into ``parts`` where that is given. What does not fit into the device's memory is
        done again with fewer steps together, then on smaller tiles: the answer does not depend on it.
        """
        while True:
            size = self.batch_steps
            pieces = [inputs.steps(slice(first, first + size)) for first in range(0, len(inputs.times), size)]
            kept: list[dict[str, np.ndarray] | None] = [None if parts is None else {} for _ in pieces]
            try:
                made = [self._tiled_fields(*both) for both in zip(pieces, kept, strict=True)]
                break
            except torch.OutOfMemoryError as error:
                self._take_less(len(pieces[0].times), error)
        if parts is not None:
            parts |= {name: np.concatenate([part[name] for part in kept if part]) for name in kept[0] or {}}
        mean, variance = (np.concatenate(part) for part in zip(*made, strict=True))
        return mean, variance

    def _take_less(self, steps: int, error: torch.OutOfMemoryError) -> None:
        """Fewer steps together; where it is one already, smaller tiles."""
        side = self.tile_size or max(self.fine.shape)
        if steps > 1:
            self.batch_steps = steps // 2
        elif side > SMALLEST_TILE and self.spec.own:
            self._lay_tiles(max(SMALLEST_TILE, side // 2))
        else:
            raise SampleError(
                f"downscale: one step of a tile of {side} cells a side does not fit into the memory of {self.device}; "
                "type downscale.device: cpu"
            ) from error
        torch.cuda.empty_cache()
        side = self.tile_size or max(self.fine.shape)
        said = "out of memory on %s: %d steps together, on tiles of %d cells, from here on"
        logger.warning(said, self.device, self.batch_steps, side)

    def _tiled_fields(self, inputs: Inputs, parts: dict[str, np.ndarray] | None) -> tuple[np.ndarray, np.ndarray]:
        shape = (len(inputs.times), *self.maker.land.shape)
        mean, variance = np.full(shape, np.nan, "f4"), np.full(shape, np.nan, "f4")
        for position, tile in enumerate(self.tiles):
            batch = inputs.batch(self.maker, tile, self.device)
            answers = [net(batch, self._geometry(position)) for net in self.nets]
            if parts is not None:
                self._keep_parts(answers, tile, parts)
            means = torch.stack([answer.mean["10km"] for answer in answers])
            scales = [member.variance_scale for member in self.members]
            own = [a.log_variance["10km"].exp() * scale for a, scale in zip(answers, scales, strict=True)]
            total = torch.stack(own).mean(0)
            inner = (slice(None), 0, *tile.inner)
            mean[:, tile.core[0], tile.core[1]] = means.mean(0)[inner].cpu().numpy()
            variance[:, tile.core[0], tile.core[1]] = total[inner].cpu().numpy()
        normaliser = self.maker.normaliser
        mean = np.clip(mean * normaliser.target_std + normaliser.target_mean, *SOIL_MOISTURE_RANGE)
        return np.where(self.maker.region, mean, np.nan), np.where(self.maker.region, variance, np.nan)

    def _keep_parts(self, answers: Sequence[Answer], tile: Tile, parts: dict[str, np.ndarray]) -> None:
        """Put the parts [m3 m-3] of the answers' common mean on a tile into fields of the whole grid, NaN off land."""
        normaliser, inside = self.maker.normaliser, self.maker.region[tile.core]
        # The level of SMAP belongs to the background, or to the residual of a net that has none.
        base = "background" if "background" in answers[0].parts else "residual"
        for name in answers[0].parts:
            mean = torch.stack([answer.parts[name] for answer in answers]).mean(0)
            values = mean[:, 0, tile.inner[0], tile.inner[1]].cpu().numpy() * normaliser.target_std
            values = values + (normaliser.target_mean if name == base else 0.0)
            if name not in parts:
                parts[name] = np.full((len(values), *self.maker.land.shape), np.nan, "f4")
            parts[name][:, tile.core[0], tile.core[1]] = np.where(inside, values, np.nan)

    def field_std(self, variance: np.ndarray) -> np.ndarray:
        """Standard deviation of a 10 km value [m3 m-3] from the total variance of a footprint mean (standardised).

        The total variance comes scaled to the validation residuals. The known retrieval noise is taken out of it, and
        the rest is raised from the footprint to the pixel by ``variance_factor``; the systematic part is added in
        squares.
        """
        normaliser = self.maker.normaliser
        total = np.minimum(variance, LARGEST_VARIANCE) * normaliser.target_std**2
        field = np.maximum(total - normaliser.noise**2, LEAST_FIELD_SHARE * total)
        return np.sqrt(self.variance_factor * field + self.systematic_std**2).astype("f4")

    def _flags(self, raw: Mapping[str, np.ndarray], weight: np.ndarray, retrievals: Retrievals, bands) -> np.ndarray:
        """Bits of :data:`pscnet.variables.FLAG_BITS`; what the predictors do not tell is not set."""
        flag = np.zeros((weight.shape[0], *self.maker.land.shape), "u1")

        def set_bit(name: str, where: np.ndarray) -> None:
            flag[np.broadcast_to(where, flag.shape)] |= FLAG_BITS[name]

        if "stl1" in raw:
            set_bit("frozen", raw["stl1"] < FREEZING)
        if "sd" in raw:
            set_bit("snow", raw["sd"] > SNOW_WATER)
        if "snowc" in raw:
            set_bit("snow", raw["snowc"] > SNOW_COVER)
        set_bit("inland_water", self._on_fine(retrievals.water)[None])
        set_bit("smap_observed", self._on_fine((weight > 0).any(1)))
        set_bit("extrapolated", self.maker.extrapolated(bands))
        flag[:, ~self.maker.region] = FLAG_BITS["outside_region"]
        return flag

    def _on_fine(self, cells: np.ndarray) -> np.ndarray:
        """Values (..., y, x) of the coarse cell that owns each fine cell (..., lat, lon)."""
        return cells.reshape(*cells.shape[:-2], -1)[..., self.owner].reshape(*cells.shape[:-2], *self.maker.land.shape)


def write_month(
    predictors: str | Path,
    previous: str | Path | None,
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    weights: Mapping[str, str | Path],
    checkpoints: str | Path | Sequence[str | Path],
    names: Sequence[str],
    output: str | Path,
    device: str = "auto",
    tile: int | str = "auto",
    batch_steps: int = 8,
    variance_factor: float = 1.0,
    systematic_std: float = 0.0,
    threads: int = 1,
    model: str | None = None,
    before: str | Path | None = None,
) -> None:
    """Downscale one month.

    The file holds ``soil_moisture``, ``soil_moisture_uncertainty`` [m3 m-3] and ``flag`` (time, lat, lon).

    Parameters
    ----------
    predictors : path of the month's predictors
    previous : path of the preceding month's bands, None for the first
    coarse, smap : paths of the preceding, this and the following month, where they are in the period
    static : path
    checkpoints : path of the checkpoint, or paths of the members of an ensemble
    weights : paths of :data:`pscnet.grids.WEIGHTS`
    names : predictor names in channel order
    output : path to write
    device, tile, batch_steps, variance_factor, systematic_std, model : see :class:`Downscaler`
    threads : int
        CPU threads of torch.
    before : path of the preceding month's predictors, for nets that read sequences
    """
    torch.set_num_threads(threads)
    downscaler = Downscaler(
        checkpoints, static, weights, names, device, tile, batch_steps, variance_factor, systematic_std, model
    )
    retrievals = Retrievals.from_files(
        smap, coarse, downscaler.maker.normaliser.background, downscaler.maker.normaliser.noise,
        downscaler.checkpoint.causal,
    )  # fmt: skip
    with xr.open_dataset(predictors) as data:
        times = data["time"].values
    shape = (len(times), *downscaler.maker.land.shape)
    mean, deviation, flag = np.empty(shape, "f4"), np.empty(shape, "f4"), np.empty(shape, "u1")
    for part in downscaler.fields(predictors, previous, retrievals, before=before):
        steps = slice(part.start, part.start + len(part.times))
        mean[steps], deviation[steps], flag[steps] = part.soil_moisture, part.uncertainty, part.flag
    unseen = ~(flag & FLAG_BITS["smap_observed"] > 0).any((1, 2))
    if unseen.any():
        said = "%s: no SMAP retrieval in reach of %d of %d steps, the first %s: ERA5-Land and the net carry them alone"
        logger.warning(said, predictors, int(unseen.sum()), len(times), str(times[unseen][0])[:16])
    dims = ("time", "lat", "lon")
    made = xr.Dataset(
        {
            "soil_moisture": (dims, mean, {"units": "m3 m-3"}),
            "soil_moisture_uncertainty": (dims, deviation, {"units": "m3 m-3"}),
            "flag": (dims, flag),
        },
        coords={"time": times, "lat": downscaler.maker.lat, "lon": downscaler.maker.lon},
    )
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4")
