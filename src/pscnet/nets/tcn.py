"""TCN, temporal convolutional network: causal dilated convolutions over the last days of each pixel.

After Bai et al. 2018 (arXiv:1803.01271, section 3): residual blocks of two causal convolutions with normalised
weights, ReLU and dropout, the dilation doubled from block to block until the last day sees the first. What the last day
holds is mixed with MFTF's features at the time of the answer, as in the LSTM (:mod:`pscnet.nets.lstm`).

Only the last day is asked for, so what it does not see is not computed: with two days between the taps of the next
block, every other day is dropped before it, and its dilation becomes 1. A test proves that the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from pscnet.nets.frame import Answer, Batch, Geometry, NetSpec
from pscnet.nets.sequence import SequenceNet

#: Days that a kernel takes together.
KERNEL = 3


class CausalConvolution(nn.Module):
    """Convolution over days that sees no later day: zeros take the place of what was before the first.

    Parameters
    ----------
    channels_in, channels : int
    stride : int [day]
        Of so many days one is answered, the last among them.
    """

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = weight_norm(nn.Conv3d(channels_in, channels, (KERNEL, 1, 1), stride=(stride, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (batch, channel, day, y, x)."""
        before = KERNEL - 1 - (x.shape[2] - 1) % self.stride
        return self.convolution(functional.pad(x, (0, 0, 0, 0, before, 0)))


class TemporalBlock(nn.Module):
    """Two causal convolutions, and the way around them; every other day goes out, the last among them.

    Parameters
    ----------
    channels_in, channels : int
    dropout : float
    """

    def __init__(self, channels_in: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            CausalConvolution(channels_in, channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            CausalConvolution(channels, channels, stride=2),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.around = nn.Identity() if channels_in == channels else nn.Conv3d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (batch, channel, day, y, x)."""
        kept = x[:, :, (x.shape[2] - 1) % 2 :: 2]
        return torch.relu(self.around(kept) + self.layers(x))


def blocks_to_see(days: int) -> int:
    """Blocks until the last of so many days sees the first: each adds twice the kernel less one, times its dilation.

    >>> blocks_to_see(10)
    2
    """
    blocks = 1
    while 1 + 2 * (KERNEL - 1) * (2**blocks - 1) < days:
        blocks += 1
    return blocks


class TCN(SequenceNet):
    """Temporal convolutional network at each pixel; half as many channels as the fusion has."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        channels = spec.width // 2
        sizes = [self.sequence_channels] + [channels] * (blocks_to_see(spec.sequence_days) - 1)
        self.temporal = nn.Sequential(*(TemporalBlock(size, channels, spec.dropout) for size in sizes))
        self.make_ending(channels)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """None."""
        return 0.0

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        front = self.front(batch, geometry, ["10km"])
        sequence, _ = self.masked_sequence(batch, geometry)
        last = self.temporal(sequence.transpose(1, 2))[:, :, -1]
        return self.end(last, front, geometry)
