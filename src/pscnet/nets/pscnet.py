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
    """Progressive scale convolutional network: features start at the coarsest scale and are refined at finer ones."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        width, first = spec.width, spec.scales[0]
        beside = {scale: self.smap_features if scale == first == "36km" else 0 for scale in spec.scales}
        self.enter = nn.ModuleDict(
            {scale: nn.Conv2d((1 if scale == first else 2) * width + beside[scale], width, 1) for scale in spec.scales}
        )
        self.blocks = nn.ModuleDict(
            {
                scale: nn.ModuleList(
                    SeparableBlock(width, self._radius(SCALES[scale]), spec.dropout, spec.squeeze)
                    for _ in range(spec.blocks)
                )
                for scale in spec.scales
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
        """A field at each scale; see :meth:`Net.forward`."""
        front, answer = self.front(batch, geometry, self.spec.scales), Answer()
        average = {"36km": geometry.to_coarse, "18km": geometry.to_middle, "10km": lambda x: x}
        weight = {"36km": geometry.coarse_weight, "18km": geometry.middle_weight, "10km": geometry.fine_weight}
        refine = {
            ("36km", "18km"): geometry.coarse_to_middle,
            ("18km", "10km"): geometry.middle_to_fine,
            ("36km", "10km"): geometry.coarse_to_fine,
        }
        features, before = None, None
        for scale in self.spec.scales:
            parts = [average[scale](front.fine)]
            if features is not None:
                parts.append(refine[before, scale](features))
            elif scale == "36km" and self.smap_features:
                parts.append(front.smap[scale])
            features = self._space(scale, self.enter[scale](torch.cat(parts, 1)), weight[scale])
            self.answer(answer, scale, features, front)
            before = scale
        return answer

    def _space(self, scale: str, features: Tensor, weight: Tensor) -> Tensor:
        features = features * (weight > 0).to(features.dtype)
        for block in self.blocks[scale]:
            features = block(features, weight)
        return features
