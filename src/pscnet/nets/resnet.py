"""Residual CNN: the usual spatial net of super-resolution, on the 10 km grid alone.

After He et al. 2016 (arXiv:1603.05027: activation before convolution, a free way around) and Lim et al. 2017
(arXiv:1707.02921: no batch norm, one size throughout). Channels are normalised at each pixel, not over batch or
image, so that tiles do not matter. The 36 and 18 km fields are area averages of the 10 km field.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from pscnet.nets.frame import SCALES, Answer, Batch, Geometry, Net, NetSpec
from pscnet.nets.separable import ChannelNorm


class ResidualBlock(nn.Module):
    """Two full 3 x 3 convolutions and the way around them; masked pixels are 0 before each.

    Parameters
    ----------
    channels : int
    dropout : float
    """

    #: How many cells away an input can matter.
    reach = 2

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x`` (batch, channel, y, x), ``mask`` (1, 1, y, x)."""
        y = self.first(self.activation(self.norm(x)) * mask)
        y = self.second(self.activation(y) * mask)
        return (x + self.dropout(y)) * mask


class ResNet(Net):
    """Residual CNN with as many blocks as PSCNet has over its three scales, and half as many channels as the fusion."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        channels = spec.width // 2
        self.enter = nn.Conv2d(spec.width, channels, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(channels, spec.dropout) for _ in range(len(SCALES) * spec.blocks))
        self.head = self.make_head(channels)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """Kernels on the 10 km grid."""
        return (1 + sum(block.reach for block in self.blocks)) * cells["10km"]

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        front = self.front(batch, geometry, ["10km"])
        mask = (geometry.fine_weight > 0).to(front.fine.dtype)
        features = self.enter(front.fine) * mask
        for block in self.blocks:
            features = block(features, mask)
        return self.answer_fine(features, front, geometry)
