"""LSTM: the usual sequence net, over the last days of each pixel, from the same input as PSCNet beside them.

After Fang et al. 2017 (doi:10.1002/2017GL075619), who run one LSTM for all places on daily series and give it static
fields too. Here these come, with SMAP where it is input, after the recurrence: the last hidden state is mixed with
MFTF's features at the time of the answer. The 36 and 18 km fields are area averages of the 10 km field.
"""

from __future__ import annotations

from collections.abc import Mapping

from pscnet.nets.frame import Answer, Batch, Geometry, NetSpec
from pscnet.nets.recurrence import Recurrence
from pscnet.nets.sequence import SequenceNet


class LSTM(SequenceNet):
    """Long short-term memory at each pixel, with as many hidden channels as the fusion has features."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        self.recurrence = Recurrence(self.sequence_channels, spec.width)
        self.make_ending(spec.width)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """None."""
        return 0.0

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        front = self.front(batch, geometry, ["10km"])
        sequence, mask = self.masked_sequence(batch, geometry)
        hidden = self.dropout(self.recurrence(sequence, mask))
        return self.end(hidden, front, geometry)
