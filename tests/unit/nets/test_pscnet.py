"""PSCNet: what its four parts promise; what every net promises is in ``test_nets.py``."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pscnet.losses import area_average_loss, footprint_means
from pscnet.nets.fusion import RetrievalAttention
from pscnet.nets.operators import GridOperator
from pscnet.nets.squeeze import NeighbourhoodSqueeze, box_mean
from tests.unit.nets.world import TinyRegion, random_batch, small_net


@pytest.fixture(scope="module")
def region() -> TinyRegion:
    return TinyRegion((31.0, 33.4), (91.0, 94.1))


def test_without_retrievals_the_innovation_is_zero():
    attention = RetrievalAttention(3, 8.0)
    empty = torch.zeros(1, 5, 4, 4)
    sums, mass = attention(empty, empty, empty, empty)
    assert mass.abs().max() == 0
    assert attention.analyse(sums, mass).abs().max() == 0


def test_attention_prefers_the_nearer_retrieval():
    attention = RetrievalAttention(1, 8.0)
    age = torch.tensor([0.5, 6.0]).reshape(1, 2, 1, 1)
    innovation = torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)
    sums, _ = attention(age, torch.ones_like(age), innovation, innovation)
    assert sums[0, 0, 0, 0] > 0


def test_squeeze_is_a_local_area_mean():
    generator = torch.Generator().manual_seed(0)
    field, weight = torch.randn(1, 2, 9, 9, generator=generator), torch.rand(1, 1, 9, 9, generator=generator)
    box = (slice(None), slice(None), slice(2, 7), slice(3, 8))
    expected = (field[box] * weight[box]).sum((2, 3)) / weight[box].sum((2, 3))
    torch.testing.assert_close(box_mean(field, weight, 2)[:, :, 4, 5], expected)


def test_squeeze_keeps_fine_anomalies():
    """With closed gates the fine anomaly still passes; a plain squeeze-and-excitation block would erase it."""
    block = NeighbourhoodSqueeze(4, 2)
    with torch.no_grad():
        block.excite[2].weight.zero_()
        block.excite[2].bias.fill_(-30.0)
        field = torch.zeros(1, 4, 9, 9)
        field[:, :, 4, 4] = 1.0
        passed = block(field, torch.ones(1, 1, 9, 9))
    assert passed[0, 0, 4, 4] > 0.09
    assert passed.sum().abs() < 1e-5


def test_operator_and_its_gradient_equal_scipy(region):
    matrix = region.weights["fine_to_coarse"].matrix
    operator = GridOperator(matrix, region.fine.shape, region.coarse.shape)
    field = torch.randn(2, 3, *region.fine.shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    made = operator(field)
    flat = field.detach().numpy().reshape(6, -1)
    np.testing.assert_allclose(made.detach().numpy().reshape(6, -1), (matrix @ flat.T).T, atol=1e-5)
    upstream = torch.randn(made.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(made, field, upstream)
    expected = (matrix.T @ upstream.numpy().reshape(6, -1).T).T
    np.testing.assert_allclose(gradient.numpy().reshape(6, -1), expected, atol=1e-5)


def test_loss_sees_only_used_cells(region):
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    shape = (2, 1, *region.coarse.shape)
    generator = torch.Generator().manual_seed(3)
    target, used = torch.randn(shape, generator=generator), (torch.rand(shape, generator=generator) < 0.5).float()
    zero = torch.zeros(shape)
    with torch.no_grad():
        answer = net(batch, geometry)
        plain = area_average_loss(footprint_means(answer, geometry), target, zero, used, used, (0.25, 0.25, 1.0))
        hidden = torch.where(used > 0, target, torch.nan)
        assert (
            area_average_loss(footprint_means(answer, geometry), hidden, zero, used, used, (0.25, 0.25, 1.0)) == plain
        )
        shifted = area_average_loss(
            footprint_means(answer, geometry), target + used, zero, used, used, (0.25, 0.25, 1.0)
        )
        assert shifted != plain
