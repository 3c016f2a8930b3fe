"""What all nets have in common: their input and answer, MFTF in front, one head behind.

A net stands between the two: it turns the fused features of :class:`Front` into features at one or more scales. So
every net sees the same channels and the same attention over SMAP, and answers in the same form::

    field = background + sum_h gate_h * innovation_h + residual

Every net comes in two dresses (``NetSpec.dress``). ``own``: the above. ``literature``: as downscaling nets are usually
made, ERA5-Land is all that a net sees, there is no background, and it is trained on the 36 km grid and applied on the
10 km grid; then ``field = residual``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from pscnet.nets.fusion import HEAD_REACH, BandFusion, RetrievalAttention
from pscnet.nets.operators import GridOperator, MaskedMean
from pscnet.nets.spec import SCALES, NetSpec
from pscnet.nets.squeeze import box_mean

#: Static channels that are no fields: sine and cosine of the season, the last ones.
SEASON = 2

#: Coarse cells that interpolation of the heads' sums to finer grids reaches.
INTERPOLATION_REACH = 2

#: Features of the kriged innovation: the increment, and its standard deviation.
KRIGED = 2

#: Limits of a predicted log-variance, standardised.
LOG_VARIANCE = (-8.0, 6.0)


@dataclass
class Geometry:
    """The grids of one tile as operators; made by :func:`pscnet.samples.make_geometry`.

    Attributes
    ----------
    to_coarse, to_middle : MaskedMean
        Area means of 10 km land fields on 36 km and 18 km cells.
    middle_to_coarse : MaskedMean
        Means of 18 km fields on 36 km cells.
    coarse_to_middle, middle_to_fine, coarse_to_fine : GridOperator
        Bilinear interpolation.
    fine_weight, middle_weight, coarse_weight : Tensor (1, 1, y, x)
        Relative cell area, 0 where there is no land.
    """

    to_coarse: MaskedMean
    to_middle: MaskedMean
    middle_to_coarse: MaskedMean
    coarse_to_middle: GridOperator
    middle_to_fine: GridOperator
    coarse_to_fine: GridOperator
    fine_weight: Tensor
    middle_weight: Tensor
    coarse_weight: Tensor


@dataclass
class Batch:
    """Inputs of a net for some steps of one tile, standardised.

    Attributes
    ----------
    bands : Tensor (batch, predictors * bands, y, x)
    statics : Tensor (batch, statics, y, x)
    background : Tensor (batch, 1, y, x)
    age, weight, value, innovation : Tensor (batch, slot, coarse y, coarse x)
        The SMAP retrievals around each step; see :class:`pscnet.nets.fusion.RetrievalAttention`.
    kriged : Tensor (batch, 2, coarse y, coarse x), optional
        Kriged innovation and its standard deviation.
    sequence : Tensor (batch, day, 2 * predictors, y, x), optional
        The last days of each predictor, oldest first, at the time of day of the answer: the values, then the means of
        the 24 hours before. Only nets with :attr:`Net.reads_sequence` read it.
    """

    bands: Tensor
    statics: Tensor
    background: Tensor
    age: Tensor
    weight: Tensor
    value: Tensor
    innovation: Tensor
    kriged: Tensor | None = None
    sequence: Tensor | None = None

    def averaged(self, average: Callable[[Tensor], Tensor]) -> Batch:
        """The fine fields averaged to another grid: how the literature's dress is trained.

        Parameters
        ----------
        average : callable
            Fields (..., y, x) to fields on the other grid.
        """
        fine = {name: average(getattr(self, name)) for name in ("bands", "statics", "background")}
        return replace(self, **fine, sequence=None if self.sequence is None else average(self.sequence))


@dataclass
class Answer:
    """Fields of a net at each scale, coarse to fine, in standardised units.

    Attributes
    ----------
    mean, log_variance : dict of scale name to Tensor (batch, 1, y, x)
    parts : dict of str to Tensor (batch, 1, y, x)
        What the 10 km mean is the sum of: ``background``, ``innovation`` (gates times innovations, all heads) and
        ``residual``; in the literature's dress ``residual`` alone.
    """

    mean: dict[str, Tensor] = field(default_factory=dict)
    log_variance: dict[str, Tensor] = field(default_factory=dict)
    parts: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Front:
    """What MFTF hands to a net.

    Attributes
    ----------
    fine : Tensor (batch, width, y, x)
        Fused features at 10 km, 0 under the mask.
    background : dict of scale name to Tensor (batch, 1, y, x)
        Empty in the literature's dress.
    smap : dict of scale name to Tensor (batch, smap_features, y, x)
        Innovations, values against the background and confidences of the heads; then the kriged innovation and its
        standard deviation, where they are input. Empty in the literature's dress.
    """

    fine: Tensor
    background: dict[str, Tensor]
    smap: dict[str, Tensor]


class Net(nn.Module):
    """Base of the nets: what comes before and after their own layers.

    A subclass makes its layers, then :meth:`make_head`; in ``forward`` it calls :meth:`front`, then :meth:`answer` at
    each scale, or :meth:`answer_fine` once.
    """

    #: Whether the net reads :attr:`Batch.sequence`; see :class:`pscnet.nets.sequence.SequenceNet`.
    reads_sequence = False

    #: How the net learns: by "gradient" descent, or as "trees" (:mod:`pscnet.trees`).
    learns = "gradient"

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.regional_radius = max(1, round(spec.regional_km / SCALES["10km"] / 2))
        self.heads = spec.heads if spec.own and spec.retrievals != "none" else 0
        self.kriged = int(spec.own and spec.kriged)
        self.smap_features = 3 * self.heads + KRIGED * self.kriged
        if self.heads:
            self.attention = RetrievalAttention(spec.heads, spec.window_days)
            self.attention.requires_grad_(spec.retrievals == "set")
        extra = spec.statics + self.smap_features + int(spec.own)
        self.fusion = BandFusion(spec.predictors, spec.bands, extra, spec.width, spec.gates)
        seen = torch.ones(spec.predictors, spec.bands)
        seen[:, list(spec.without_bands)] = 0.0
        self.register_buffer("bands_seen", seen.reshape(-1, 1, 1), persistent=False)
        self.dropout = nn.Dropout(spec.dropout)

    def make_head(self, width: int) -> nn.Sequential:
        """The head that all scales share.

        Untrained, it averages the innovations of the attention heads; or takes the kriged innovation as it is, where
        that is input.

        Parameters
        ----------
        width : int
            Channels of the features.
        """
        outputs = self.heads + self.kriged + 2
        head = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, outputs, 1))
        nn.init.zeros_(head[2].weight)
        bias = torch.zeros(outputs)
        if self.kriged:
            bias[self.heads] = 1.0
        else:
            bias[: self.heads] = 0.5 / max(self.heads, 1)
        head[2].bias = nn.Parameter(bias)
        return head

    def learnt_numbers(self) -> int:
        """How many numbers were learnt."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def reach_coarse_cells(self, fine_share: float) -> int:
        """How many coarse cells away an input can matter to an answer: the overlap that tiles need.

        Parameters
        ----------
        fine_share : float
            Side of a fine cell over that of a coarse cell.
        """
        cells = {"36km": 1.0, "18km": 0.5, "10km": fine_share}
        before = HEAD_REACH + INTERPOLATION_REACH + self.regional_radius * cells["10km"]
        return math.ceil(before + self.own_reach(cells))

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """What the net's own layers add to the reach [coarse cell].

        Parameters
        ----------
        cells : mapping of scale name to the side of its cells over that of a coarse cell
        """
        raise NotImplementedError

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """Fields at 36, 18 and 10 km.

        Parameters
        ----------
        batch : Batch
        geometry : Geometry

        Returns
        -------
        Answer
        """
        raise NotImplementedError

    def front(self, batch: Batch, geometry: Geometry, scales: Iterable[str] = tuple(SCALES)) -> Front:
        """Fused features at 10 km; background and SMAP's features at ``scales``, the finest among them."""
        fine_mask = (geometry.fine_weight > 0).float()
        bands = batch.bands * self.bands_seen
        if not self.spec.own:
            fine = self.fusion(bands * fine_mask, batch.statics * fine_mask) * fine_mask
            return Front(self.dropout(fine), {}, {})
        average = {"36km": geometry.to_coarse, "18km": geometry.to_middle, "10km": lambda x: x}
        background = {scale: average[scale](batch.background) for scale in scales}
        smap = self._smap(batch, geometry, background)
        statics = self._regional_statics(batch.statics, geometry.fine_weight)
        fine = self.fusion(bands, torch.cat([statics, batch.background, smap["10km"]], 1)) * fine_mask
        return Front(self.dropout(fine), background, smap)

    def _smap(self, batch: Batch, geometry: Geometry, background: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What SMAP says at each scale of ``background`` (batch, smap_features, y, x)."""
        spread = {"36km": lambda x: x, "18km": geometry.coarse_to_middle, "10km": geometry.coarse_to_fine}
        parts: dict[str, list[Tensor]] = {scale: [field[:, :0]] for scale, field in background.items()}
        if self.heads:
            with torch.autocast(batch.age.device.type, enabled=False):
                sums, mass = self.attention(batch.age, batch.weight, batch.value, batch.innovation)
            for scale, field in background.items():
                analysed = self.attention.analyse(spread[scale](sums), spread[scale](mass))
                parts[scale].append(self._against(analysed, field))
        if self.kriged:
            if batch.kriged is None:
                raise ValueError("the net reads kriged innovations (NetSpec.kriged), and the batch holds none")
            for scale in background:
                parts[scale].append(spread[scale](batch.kriged))
        return {scale: torch.cat(found, 1) for scale, found in parts.items()}

    def answer(self, answer: Answer, scale: str, features: Tensor, front: Front) -> None:
        """Add a scale's field: gates of the innovations, residual and log-variance come from the shared head.

        Parameters
        ----------
        answer : Answer
        scale : str
        features : Tensor (batch, channel, y, x)
        front : Front
        """
        out = self.head(features).float()
        gates, residual, log_variance = out.split([out.shape[1] - 2, 1, 1], 1)
        answer.mean[scale] = residual
        parts = {"residual": residual}
        if self.spec.own:
            innovations = [front.smap[scale][:, : self.heads], front.smap[scale][:, 3 * self.heads :][:, :1]]
            innovation = (gates * torch.cat(innovations, 1)).sum(1, keepdim=True)
            answer.mean[scale] = innovation + residual
            background = front.background[scale] if self.spec.skip else torch.zeros_like(residual)
            answer.mean[scale] = background + answer.mean[scale]
            parts |= {"background": background, "innovation": innovation}
        if scale == "10km":
            answer.parts = parts
        answer.log_variance[scale] = log_variance.clamp(*LOG_VARIANCE)

    def answer_fine(self, features: Tensor, front: Front, geometry: Geometry) -> Answer:
        """The answer of a net without coarser scales of its own: the 10 km field, and its area averages for theirs.

        Parameters
        ----------
        features : Tensor (batch, channel, y, x)
        front : Front
            Made at 10 km.
        geometry : Geometry
        """
        answer = Answer()
        self.answer(answer, "10km", features, front)
        return self.averaged_down(answer, geometry)

    def averaged_down(self, answer: Answer, geometry: Geometry) -> Answer:
        """The answer with area averages of its 10 km field as 36 and 18 km fields."""
        variance = answer.log_variance["10km"].exp()
        for scale, average in {"36km": geometry.to_coarse, "18km": geometry.to_middle}.items():
            answer.mean[scale] = average(answer.mean["10km"])
            answer.log_variance[scale] = average(variance).clamp(min=math.exp(LOG_VARIANCE[0])).log()
        return answer

    def _regional_statics(self, statics: Tensor, weight: Tensor) -> Tensor:
        """Static fields averaged over the region around each pixel; the season as it is.

        Footprints do not judge lasting detail inside themselves, and over a region moisture and height may go together
        the other way round than they do within a valley: a net that sees lasting fine detail makes up its effect.
        The background brings the lasting fine pattern instead. The fields are the same in every sample of a batch.
        """
        fields, season = statics[:1, :-SEASON], statics[:, -SEASON:]
        regional = box_mean(torch.where(weight > 0, fields, 0.0), weight, self.regional_radius)
        return torch.cat([regional.expand(len(season), -1, -1, -1), season], 1)

    def _against(self, analysed: Tensor, background: Tensor) -> Tensor:
        """Values of the heads as differences from the background at the time of the answer."""
        innovations, values, confidence = analysed.split(self.heads, 1)
        share = 1 - torch.exp(-confidence)
        against = values - share * background
        if self.spec.retrievals == "smoothed":
            innovations = against
        return torch.cat([innovations, against, confidence], 1)
