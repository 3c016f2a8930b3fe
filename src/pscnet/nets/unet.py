"""U-Net: the usual spatial net, from the same input and under the same supervision as PSCNet.

After Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28), with three changes (ours) that the task asks for. Its
levels are the grids of 10, 18 and 36 km, with area means down and bilinear interpolation up: 2 x 2 pooling would depend
on where a tile begins. Channels are normalised at each pixel, not over the image, for the same reason. The decoder
answers at every level through the one shared head.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pscnet.nets.frame import INTERPOLATION_REACH, SCALES, Answer, Batch, Geometry, Net, NetSpec
from pscnet.nets.separable import ChannelNorm


class ConvolutionStage(nn.Module):
    """Full 3 x 3 convolutions at one level, each normalised and activated; masked pixels are 0 before each.

    Parameters
    ----------
    channels_in, channels : int
    layers : int
    dropout : float
    """

    def __init__(self, channels_in: int, channels: int, layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [channels_in] + [channels] * (layers - 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(size, channels, 3, padding=1), ChannelNorm(channels), nn.GELU()) for size in sizes
        )
        self.dropout = nn.Dropout2d(dropout)

    @property
    def reach(self) -> int:
        """How many cells away an input can matter."""
        return len(self.layers)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """``x`` (batch, channel, y, x), ``weight`` (1, 1, y, x) area weight, 0 under the mask."""
        mask = (weight > 0).to(x.dtype)
        for layer in self.layers:
            x = layer(x * mask)
        return self.dropout(x) * mask


class UNet(Net):
    """U-Net on the three grids; half as many channels as the fusion has, for the full kernels hold more weights."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        channels = spec.width // 2

        def stages(sizes: Mapping[str, int]) -> nn.ModuleDict:
            made = {scale: ConvolutionStage(size, channels, spec.blocks, spec.dropout) for scale, size in sizes.items()}
            return nn.ModuleDict(made)

        self.down = stages({"10km": spec.width, "18km": channels, "36km": channels})
        self.up = stages({"18km": 2 * channels, "10km": 2 * channels})
        self.head = self.make_head(channels)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """Kernels on the way down and up, and the change of grid between levels."""
        spatial = sum(stage.reach * cells[scale] for stages in (self.down, self.up) for scale, stage in stages.items())
        return spatial + INTERPOLATION_REACH * (len(SCALES) - 1)

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """Fields at 36, 18 and 10 km; see :meth:`Net.forward`."""
        front, answer = self.front(batch, geometry), Answer()
        fine = self.down["10km"](front.fine, geometry.fine_weight)
        middle = self.down["18km"](geometry.to_middle(fine), geometry.middle_weight)
        features = self.down["36km"](geometry.middle_to_coarse(middle), geometry.coarse_weight)
        self.answer(answer, "36km", features, front)
        features = torch.cat([middle, geometry.coarse_to_middle(features)], 1)
        features = self.up["18km"](features, geometry.middle_weight)
        self.answer(answer, "18km", features, front)
        features = torch.cat([fine, geometry.middle_to_fine(features)], 1)
        features = self.up["10km"](features, geometry.fine_weight)
        self.answer(answer, "10km", features, front)
        return answer
