"""Per-pixel net: what can be had point to point, from the same input and under the same supervision as PSCNet.

Each 10 km pixel is answered from its own fused features alone; only MFTF before it looks around (SMAP's neighbouring
cells, regional means of lasting fields). The 36 and 18 km fields are area averages of the 10 km field.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pscnet.nets.frame import SCALES, Answer, Batch, Geometry, Net, NetSpec
from pscnet.nets.separable import ChannelNorm


class PointwiseBlock(nn.Module):
    """Residual block of two layers at each pixel.

    Parameters
    ----------
    channels : int
        The layer between has twice as many.
    dropout : float
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ChannelNorm(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.GELU(),
            nn.Conv2d(2 * channels, channels, 1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (batch, channel, y, x)."""
        return x + self.layers(x)


def pointwise_blocks(channels: int, blocks: int, dropout: float) -> nn.Sequential:
    """So many blocks, one after the other."""
    return nn.Sequential(*(PointwiseBlock(channels, dropout) for _ in range(blocks)))


class MLP(Net):
    """Multi-layer perceptron at each pixel, with as many blocks as PSCNet has over its three scales."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        self.blocks = pointwise_blocks(spec.width, len(SCALES) * spec.blocks, spec.dropout)
        self.head = self.make_head(spec.width)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """None."""
        return 0.0

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        front = self.front(batch, geometry, ["10km"])
        return self.answer_fine(self.blocks(front.fine), front, geometry)
