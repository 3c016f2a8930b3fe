"""PSCNet: progressive scale convolutional network for downscaling soil moisture from 36 km to 10 km.

After the abstract of arXiv:2510.10244; the inside of the four named parts (MFTF, separable spatio-temporal blocks,
bespoke squeeze-and-excitation, progressive scale) is this project's own design.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pscnet.nets.frame import INTERPOLATION_REACH, SCALES, Answer, Batch, Geometry, Net, NetSpec
from pscnet.nets.separable import SeparableBlock


class PSCNet(Net):
    """Progressive scale convolutional network."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        width = spec.width
        self.enter = nn.ModuleDict(
            {
                "36km": nn.Conv2d(width + self.smap_features, width, 1),
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
        self.head = self.make_head(width)

    def _radius(self, size_km: float) -> int:
        return max(1, round(self.spec.squeeze_km / size_km / 2))

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """Kernels and squeezes at every scale, and the interpolation from each scale to the next."""
        spatial = sum(block.reach * cells[scale] for scale, blocks in self.blocks.items() for block in blocks)
        return spatial + INTERPOLATION_REACH * (len(SCALES) - 1)

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """Fields at 36, 18 and 10 km; see :meth:`Net.forward`."""
        front, answer = self.front(batch, geometry), Answer()
        fine = front.fine
        coarse = [geometry.to_coarse(fine), *([front.smap["36km"]] if self.spec.own else [])]
        features = self.enter["36km"](torch.cat(coarse, 1))
        features = self._space("36km", features, geometry.coarse_weight)
        self.answer(answer, "36km", features, front)
        features = self.enter["18km"](torch.cat([geometry.to_middle(fine), geometry.coarse_to_middle(features)], 1))
        features = self._space("18km", features, geometry.middle_weight)
        self.answer(answer, "18km", features, front)
        features = self.enter["10km"](torch.cat([fine, geometry.middle_to_fine(features)], 1))
        features = self._space("10km", features, geometry.fine_weight)
        self.answer(answer, "10km", features, front)
        return answer

    def _space(self, scale: str, features: Tensor, weight: Tensor) -> Tensor:
        features = features * (weight > 0).to(features.dtype)
        for block in self.blocks[scale]:
            features = block(features, weight)
        return features
