"""Long short-term memory over the days of a sequence, at each pixel or with convolutions for its products.

Hochreiter and Schmidhuber 1997 (doi:10.1162/neco.1997.9.8.1735), with forget gates; with kernels wider than one cell it
is the ConvLSTM of Shi et al. 2015 (arXiv:1506.04214, eq. 3) without its peepholes, which hold a weight for each place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Bias of the forget gates before training: memory is kept until a reason to drop it is learnt (Jozefowicz et al. 2015,
#: An empirical exploration of recurrent network architectures, ICML).
REMEMBER = 1.0


class Recurrence(nn.Module):
    """LSTM whose products are convolutions; a kernel of one cell makes it the plain one at each pixel.

    Parameters
    ----------
    channels_in, channels : int
        Of a day, and of the state.
    kernel : int
        Odd number of cells a side.
    """

    def __init__(self, channels_in: int, channels: int, kernel: int = 1) -> None:
        super().__init__()
        self.channels = channels
        self.radius = kernel // 2
        self.gates = nn.Conv2d(channels_in + channels, 4 * channels, kernel, padding=self.radius)
        with torch.no_grad():
            self.gates.bias[channels : 2 * channels] = REMEMBER

    def reach(self, days: int) -> int:
        """How many cells away an input of the first of so many days can matter."""
        return self.radius * days

    def forward(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """The hidden state after the last day.

        Parameters
        ----------
        sequence : Tensor (batch, day, channel, y, x)
            0 under the mask.
        mask : Tensor (1, 1, y, x)

        Returns
        -------
        Tensor (batch, channels, y, x)
            0 under the mask.
        """
        state = sequence.new_zeros(sequence.shape[0], self.channels, *sequence.shape[3:])
        hidden = state
        for day in sequence.unbind(1):
            gates = self.gates(torch.cat([day, hidden], 1))
            enter, keep, leave, new = gates.split(self.channels, 1)
            # The state stays in float32 under autocast: it is a sum over days.
            state = torch.sigmoid(keep) * state + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(leave) * torch.tanh(state) * mask
        return hidden
