"""What the nets that read the last days of the predictors have in common: the sequence, checked and masked."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pscnet.nets.frame import Answer, Batch, Front, Geometry, Net, NetSpec
from pscnet.nets.mlp import pointwise_blocks

#: Position of the within-day band among the bands.
DAY_BAND = 0


class SequenceNet(Net):
    """Base of the nets that read :attr:`~pscnet.nets.frame.Batch.sequence`; they take it from :meth:`masked_sequence`.

    Raises
    ------
    ValueError
        Without any days to read.
    """

    reads_sequence = True

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        if spec.sequence_days < 1:
            raise ValueError(
                f"the net {spec.name!r} reads the last days of the predictors: set NetSpec.sequence_days "
                f"(model.sequence_days) to their number, such as 10 (found {spec.sequence_days})"
            )
        self.sequence_channels = 2 * spec.predictors

    def masked_sequence(self, batch: Batch, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """The last days of the predictors, 0 under the mask, and the mask.

        Returns
        -------
        sequence : Tensor (batch, day, 2 * predictors, y, x)
        mask : Tensor (1, 1, y, x)
            1 on land, 0 elsewhere.

        Raises
        ------
        ValueError
            Where the batch holds none, or one of another size.
        """
        sequence, expected = batch.sequence, (self.spec.sequence_days, self.sequence_channels)
        if sequence is None:
            raise ValueError(
                f"the net {self.spec.name!r} reads a sequence of {expected[0]} days (NetSpec.sequence_days), and the "
                "batch holds none: give it as Batch.sequence"
            )
        if tuple(sequence.shape[1:3]) != expected:
            raise ValueError(
                f"the net {self.spec.name!r} expects a sequence of {expected[0]} days and {expected[1]} channels, "
                f"found {sequence.shape[1]} and {sequence.shape[2]}"
            )
        if self.spec.own and DAY_BAND in self.spec.without_bands:
            # A value less the mean of the day that ends there is the within-day band: the mean stands in for it.
            means = sequence[:, :, self.spec.predictors :]
            sequence = torch.cat([means, means], 2)
        land = geometry.fine_weight > 0
        return torch.where(land, sequence, 0.0), land.to(sequence.dtype)

    def make_ending(self, channels: int) -> None:
        """Layers of :meth:`end` for a last state of so many channels; made after those that make the state."""
        self.mix = nn.Conv2d(channels + self.spec.width, self.spec.width, 1)
        self.blocks = pointwise_blocks(self.spec.width, self.spec.blocks, self.spec.dropout)
        self.head = self.make_head(self.spec.width)

    def end(self, state: Tensor, front: Front, geometry: Geometry) -> Answer:
        """The answer from the last state (batch, channel, y, x), mixed with MFTF's features of the answer's time."""
        features = self.blocks(self.mix(torch.cat([state, front.fine], 1)))
        return self.answer_fine(features, front, geometry)
