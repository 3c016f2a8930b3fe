"""The temporal convolutional network drops days that the last does not see; the textbook's keeps them all."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pscnet.nets.tcn import KERNEL, TCN, blocks_to_see
from tests.unit.nets.world import small_net

#: Predictors of the small net, times values and daily means.
CHANNELS = 4


def textbook(net: TCN, x: Tensor, grows: bool = True) -> Tensor:
    """Bai et al. 2018, section 3, with the net's own weights: all days, and dilations in place of dropped days."""
    for position, block in enumerate(net.temporal):
        dilation = 2**position if grows else 1
        y = x
        for layer in (block.layers[0], block.layers[3]):
            padded = functional.pad(y, (0, 0, 0, 0, (KERNEL - 1) * dilation, 0))
            weight, bias = layer.convolution.weight, layer.convolution.bias
            y = torch.relu(functional.conv3d(padded, weight, bias, dilation=(dilation, 1, 1)))
        x = torch.relu(block.around(x) + y)
    return x


@pytest.mark.parametrize("days", [1, 2, 3, 4, 5, 9, 10, 13, 14, 30])
def test_the_last_day_is_that_of_the_textbook(days):
    net = small_net(name="tcn", sequence_days=days)
    x = torch.randn(2, CHANNELS, days, 3, 2, generator=torch.Generator().manual_seed(days))
    with torch.no_grad():
        made, expected = net.temporal(x)[:, :, -1], textbook(net, x)[:, :, -1]
        torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6)


def test_dilations_that_do_not_grow_show():
    """The control."""
    net = small_net(name="tcn", sequence_days=10)
    x = torch.randn(2, CHANNELS, 10, 3, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made, other = net.temporal(x)[:, :, -1], textbook(net, x, grows=False)[:, :, -1]
    assert (made - other).abs().max() > 1e-2


@pytest.mark.parametrize(("days", "blocks"), [(1, 1), (5, 1), (6, 2), (13, 2), (14, 3)])
def test_as_many_blocks_as_it_takes_to_see_the_first_day(days, blocks):
    assert blocks_to_see(days) == blocks
