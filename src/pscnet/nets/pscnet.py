"""PSCNet: progressive scale convolutional network for downscaling soil moisture from 36 km to 10 km.

After the abstract of arXiv:2510.10244; the inside of the four named parts (MFTF, separable spatio-temporal blocks,
bespoke squeeze-and-excitation, progressive scale) is this project's own design.

The answer at every scale is the background plus the innovations of the attention heads, each weighed per pixel by
the net, plus a residual::

    field = background + sum_h gate_h * innovation_h + residual
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from pscnet.nets.fusion import HEAD_REACH, BandFusion, RetrievalAttention
from pscnet.nets.operators import GridOperator, MaskedMean
from pscnet.nets.separable import SeparableBlock
from pscnet.nets.squeeze import box_mean

#: Names of the scales, coarse to fine, and their nominal cell sizes [km].
SCALES = {"36km": 36.0, "18km": 18.0, "10km": 10.0}

#: Static channels that are no fields: sine and cosine of the season, the last ones.
SEASON = 2


@dataclass(frozen=True)
class PSCNetSpec:
    """All that is needed to build the net: kept in the checkpoint.

    Attributes
    ----------
    predictors, bands, statics : int
        Dynamic predictors, bands of each, and static channels (the season's two last).
    regional_km : float
        Size of the box over which static fields are averaged [km].
    window_days : float
        Reach of the SMAP window [day].
    """

    predictors: int
    bands: int
    statics: int
    window_days: float
    width: int = 32
    heads: int = 4
    blocks: int = 1
    squeeze_km: float = 100.0
    regional_km: float = 100.0
    dropout: float = 0.1

    def as_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)


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
    """Inputs of the net for some steps of one tile, standardised.

    Attributes
    ----------
    bands : Tensor (batch, predictors * bands, y, x)
    statics : Tensor (batch, statics, y, x)
    background : Tensor (batch, 1, y, x)
    age, weight, value, innovation : Tensor (batch, slot, coarse y, coarse x)
        The SMAP retrievals around each step; see :class:`pscnet.nets.fusion.RetrievalAttention`.
    """

    bands: Tensor
    statics: Tensor
    background: Tensor
    age: Tensor
    weight: Tensor
    value: Tensor
    innovation: Tensor


@dataclass
class Answer:
    """Fields of the net at each scale, coarse to fine, in standardised units.

    Attributes
    ----------
    mean, log_variance : dict of scale name to Tensor (batch, 1, y, x)
    """

    mean: dict[str, Tensor] = field(default_factory=dict)
    log_variance: dict[str, Tensor] = field(default_factory=dict)


class PSCNet(nn.Module):
    """Progressive scale convolutional network."""

    def __init__(self, spec: PSCNetSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.width
        self.attention = RetrievalAttention(spec.heads, spec.window_days)
        self.regional_radius = max(1, round(spec.regional_km / SCALES["10km"] / 2))
        extra = spec.statics + 1 + self.attention.features
        self.fusion = BandFusion(spec.predictors, spec.bands, extra, width)
        self.enter = nn.ModuleDict(
            {
                "36km": nn.Conv2d(width + self.attention.features, width, 1),
                "18km": nn.Conv2d(2 * width, width, 1),
                "10km": nn.Conv2d(2 * width, width, 1),
            }
        )
        self.blocks = nn.ModuleDict(
            {
                scale: nn.ModuleList(
                    SeparableBlock(width, self._radius(size), spec.dropout) for _ in range(spec.blocks)
                )
                for scale, size in SCALES.items()
            }
        )
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.Conv2d(width, spec.heads + 2, 1))
        nn.init.zeros_(self.head[2].weight)
        bias = torch.zeros(spec.heads + 2)
        bias[: spec.heads] = 0.5 / spec.heads
        self.head[2].bias = nn.Parameter(bias)

    def _radius(self, size_km: float) -> int:
        return max(1, round(self.spec.squeeze_km / size_km / 2))

    def reach_coarse_cells(self, fine_share: float) -> int:
        """How many coarse cells away an input can matter to an answer: the overlap that tiles need.

        Parameters
        ----------
        fine_share : float
            Side of a fine cell over that of a coarse cell.
        """
        in_cells = {"36km": 1.0, "18km": 0.5, "10km": fine_share}
        spatial = sum(block.reach * in_cells[scale] for scale, blocks in self.blocks.items() for block in blocks)
        return math.ceil(HEAD_REACH + spatial + self.regional_radius * in_cells["10km"] + 2 * len(SCALES))

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
        heads = self.spec.heads
        with torch.autocast(batch.age.device.type, enabled=False):
            sums, mass = self.attention(batch.age, batch.weight, batch.value, batch.innovation)
        smap = {
            "36km": self.attention.analyse(sums, mass),
            "18km": self.attention.analyse(geometry.coarse_to_middle(sums), geometry.coarse_to_middle(mass)),
            "10km": self.attention.analyse(geometry.coarse_to_fine(sums), geometry.coarse_to_fine(mass)),
        }
        background = {
            "36km": geometry.to_coarse(batch.background),
            "18km": geometry.to_middle(batch.background),
            "10km": batch.background,
        }
        smap = {scale: self._against(analysed, background[scale]) for scale, analysed in smap.items()}
        fine_mask = (geometry.fine_weight > 0).float()
        statics = self._regional_statics(batch.statics, geometry.fine_weight)
        fine = self.fusion(batch.bands, torch.cat([statics, batch.background, smap["10km"]], 1)) * fine_mask
        fine = self.dropout(fine)

        answer = Answer()
        features = self.enter["36km"](torch.cat([geometry.to_coarse(fine), smap["36km"]], 1))
        features = self._space("36km", features, geometry.coarse_weight)
        self._answer(answer, "36km", features, background, smap, heads)
        features = self.enter["18km"](torch.cat([geometry.to_middle(fine), geometry.coarse_to_middle(features)], 1))
        features = self._space("18km", features, geometry.middle_weight)
        self._answer(answer, "18km", features, background, smap, heads)
        features = self.enter["10km"](torch.cat([fine, geometry.middle_to_fine(features)], 1))
        features = self._space("10km", features, geometry.fine_weight)
        self._answer(answer, "10km", features, background, smap, heads)
        return answer

    def _regional_statics(self, statics: Tensor, weight: Tensor) -> Tensor:
        """Static fields averaged over the region around each pixel; the season as it is.

        Footprints do not judge lasting detail inside themselves, and over a region moisture and height may go together
        the other way round than they do within a valley: a net that sees lasting fine detail makes up its effect.
        The background brings the lasting fine pattern instead.
        """
        fields, season = statics[:, :-SEASON], statics[:, -SEASON:]
        regional = box_mean(torch.where(weight > 0, fields, 0.0), weight, self.regional_radius)
        return torch.cat([regional, season], 1)

    def _against(self, analysed: Tensor, background: Tensor) -> Tensor:
        """Values of the heads as differences from the background at the time of the answer."""
        innovations, values, confidence = analysed.split(self.spec.heads, 1)
        share = 1 - torch.exp(-confidence)
        return torch.cat([innovations, values - share * background, confidence], 1)

    def _space(self, scale: str, features: Tensor, weight: Tensor) -> Tensor:
        features = features * (weight > 0).to(features.dtype)
        for block in self.blocks[scale]:
            features = block(features, weight)
        return features

    def _answer(self, answer: Answer, scale: str, features: Tensor, background: dict, smap: dict, heads: int) -> None:
        """The one shared head: gates of the innovations, residual, log-variance."""
        out = self.head(features).float()
        gates, residual, log_variance = out[:, :heads], out[:, heads : heads + 1], out[:, heads + 1 :]
        innovation = (gates * smap[scale][:, :heads]).sum(1, keepdim=True)
        answer.mean[scale] = background[scale] + innovation + residual
        answer.log_variance[scale] = log_variance.clamp(-8, 6)
