"""The spatial half of the separable spatio-temporal net: depthwise-separable residual blocks.

Time is handled before, per pixel (:mod:`pscnet.nets.filters`, :mod:`pscnet.nets.fusion`); there is no 3-D kernel.
"""

from __future__ import annotations

from torch import Tensor, nn

from pscnet.nets.squeeze import NeighbourhoodSqueeze


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel: no statistic crosses pixels, so tiles do not matter."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (batch, channel, y, x)."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class SeparableBlock(nn.Module):
    """Depthwise 3 x 3, pointwise, neighbourhood squeeze; residual. Masked pixels are 0 before every spatial step.

    Parameters
    ----------
    channels : int
    squeeze_radius : int [cell]
    dropout : float
    squeeze : str
        Kind of :class:`~pscnet.nets.squeeze.NeighbourhoodSqueeze`.
    """

    def __init__(self, channels: int, squeeze_radius: int, dropout: float, squeeze: str = "neighbourhood") -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.activation = nn.GELU()
        self.squeeze = NeighbourhoodSqueeze(channels, squeeze_radius, squeeze)
        self.dropout = nn.Dropout2d(dropout)

    @property
    def reach(self) -> int:
        """How many cells away an input can matter."""
        return 1 + self.squeeze.radius

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """``x`` (batch, channel, y, x), ``weight`` (1, 1, y, x) area weight, 0 under the mask."""
        mask = (weight > 0).to(x.dtype)
        y = self.depthwise(self.norm(x) * mask)
        y = self.squeeze(self.pointwise(self.activation(y)), weight.to(x.dtype))
        return (x + self.dropout(y)) * mask
