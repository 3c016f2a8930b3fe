"""Squeeze-and-excitation over a neighbourhood of fixed size that keeps fine detail.

The usual block (Hu et al. 2018, doi:10.1109/CVPR.2018.00745) squeezes over the whole image, so that its answer depends
on the tile. Here the squeeze is an area-weighted mean over land within a fixed box, and a second path adds each pixel's
anomaly from that mean back, so that re-weighting channels by their surroundings does not smooth the field.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def box_mean(field: Tensor, weight: Tensor, radius: int) -> Tensor:
    """Weighted mean over a (2 radius + 1)-sided box around each pixel.

    Parameters
    ----------
    field : Tensor (batch, channel, y, x)
    weight : Tensor (1, 1, y, x)
        Area weight, 0 under the mask.
    radius : int [cell]

    Returns
    -------
    Tensor (batch, channel, y, x)
        0 where the box holds no weight.
    """

    def box_sum(values: Tensor) -> Tensor:
        size = 2 * radius + 1
        rows = functional.avg_pool2d(values, (size, 1), 1, (radius, 0), divisor_override=1)
        return functional.avg_pool2d(rows, (1, size), 1, (0, radius), divisor_override=1)

    total = box_sum(weight.float())
    return (box_sum(field.float() * weight) * (total > 0) / total.clamp(min=1e-12)).to(field.dtype)


class NeighbourhoodSqueeze(nn.Module):
    """Squeeze over a fixed neighbourhood, excite per pixel, add fine anomalies back.

    Parameters
    ----------
    channels : int
    radius : int
        Half-size of the neighbourhood [cell]; the receptive field grows by exactly this.
    kind : {"neighbourhood", "plain", "global", "none"}
        ``plain``: without the path that adds fine anomalies back; ``global``: the usual block over all that it is
        given, for comparison, whose answer depends on the tile; ``none``: nothing is done.
    reduction : int
        Channels are squeezed by this factor.
    """

    def __init__(self, channels: int, radius: int, kind: str = "neighbourhood", reduction: int = 4) -> None:
        super().__init__()
        self.kind, self.radius = kind, radius if kind in ("neighbourhood", "plain") else 0
        if kind == "none":
            return
        hidden = max(4, channels // reduction)
        self.excite = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.GELU(), nn.Conv2d(hidden, channels, 1))
        if kind == "neighbourhood":
            self.detail = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """``x`` (batch, channel, y, x), ``weight`` (1, 1, y, x) area weight, 0 under the mask."""
        if self.kind == "none":
            return x
        if self.kind == "global":
            around = (x * weight).sum((2, 3), keepdim=True) / weight.sum().clamp(min=1e-12)
        else:
            around = box_mean(x, weight, self.radius)
        excited = torch.sigmoid(self.excite(around)) * x
        return excited + self.detail * (x - around) if self.kind == "neighbourhood" else excited
