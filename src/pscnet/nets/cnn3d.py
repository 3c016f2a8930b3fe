"""3-D CNN: full kernels over day, y and x together, what PSCNet's separation of time and space goes without.

After Tran et al. 2015 (arXiv:1412.0767: 3 x 3 x 3 kernels throughout), with strides over the days in place of
pooling. Each layer halves the days; those that remain are mixed with MFTF's features at the time of the answer, as the
last state is in the LSTM (:mod:`pscnet.nets.lstm`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from pscnet.nets.frame import Answer, Batch, Geometry, NetSpec
from pscnet.nets.mlp import pointwise_blocks
from pscnet.nets.separable import ChannelNorm
from pscnet.nets.sequence import SequenceNet


class HalvingLayer(nn.Module):
    """Full 3 x 3 x 3 convolution with a stride of two days, normalised and activated; masked pixels are 0 before it.

    The last kernel ends at the last day, zeros before the first day fill up the first.

    Parameters
    ----------
    channels_in, channels : int
    days : int
        Days that come in.
    """

    def __init__(self, channels_in: int, channels: int, days: int) -> None:
        super().__init__()
        self.days = (days + 1) // 2
        self.before = 2 * self.days + 1 - days
        self.convolution = nn.Conv3d(channels_in, channels, 3, stride=(2, 1, 1), padding=(0, 1, 1))
        self.norm = ChannelNorm(channels)
        self.activation = nn.GELU()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``x`` (batch, channel, day, y, x), ``mask`` (1, 1, 1, y, x)."""
        x = functional.pad(x * mask, (0, 0, 0, 0, self.before, 0))
        return self.activation(self.norm(self.convolution(x)))


class CNN3D(SequenceNet):
    """3-D convolutional net on the 10 km grid; half as many channels as the fusion has."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        channels, days = spec.width // 2, spec.sequence_days
        self.layers = nn.ModuleList()
        for size in [self.sequence_channels] + [channels] * spec.blocks:
            self.layers.append(HalvingLayer(size, channels, days))
            days = self.layers[-1].days
        self.mix = nn.Conv2d(channels * days + spec.width, spec.width, 1)
        self.blocks = pointwise_blocks(spec.width, spec.blocks, spec.dropout)
        self.head = self.make_head(spec.width)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """One fine cell a layer."""
        return len(self.layers) * cells["10km"]

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        front = self.front(batch, geometry, ["10km"])
        sequence, mask = self.masked_sequence(batch, geometry)
        features = sequence.transpose(1, 2)
        for layer in self.layers:
            features = layer(features, mask[:, :, None])
        remaining = self.dropout(features.flatten(1, 2))
        features = self.blocks(self.mix(torch.cat([remaining, front.fine], 1)))
        return self.answer_fine(features, front, geometry)
