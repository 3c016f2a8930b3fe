"""ConvLSTM: the usual spatio-temporal net, an LSTM whose products are 3 x 3 convolutions.

After Shi et al. 2015 (arXiv:1506.04214). Like the LSTM (:mod:`pscnet.nets.lstm`), but a day also sees the neighbouring
cells, and their states of the day before. With three eighths as many channels as the fusion has, it costs what the LSTM
does.
"""

from __future__ import annotations

from collections.abc import Mapping

from pscnet.nets.frame import Answer, Batch, Geometry, NetSpec
from pscnet.nets.recurrence import Recurrence
from pscnet.nets.sequence import SequenceNet


class ConvLSTM(SequenceNet):
    """Convolutional long short-term memory on the 10 km grid."""

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        channels = 3 * spec.width // 8
        self.recurrence = Recurrence(self.sequence_channels, channels, kernel=3)
        self.make_ending(channels)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """One fine cell a day: what is passed on from the first day has come farthest."""
        return self.recurrence.reach(self.spec.sequence_days) * cells["10km"]

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        front = self.front(batch, geometry, ["10km"])
        sequence, mask = self.masked_sequence(batch, geometry)
        hidden = self.dropout(self.recurrence(sequence, mask))
        return self.end(hidden, front, geometry)
