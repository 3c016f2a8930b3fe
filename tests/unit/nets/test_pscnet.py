"""PSCNet: what its four parts promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pscnet.losses import area_average_loss, footprint_means
from pscnet.nets.fusion import RetrievalAttention
from pscnet.nets.operators import GridOperator
from pscnet.nets.pscnet import SCALES
from pscnet.nets.squeeze import NeighbourhoodSqueeze, box_mean
from pscnet.samples.geometry import cell_share, make_tiles
from tests.unit.nets.world import TinyRegion, cut, random_batch, small_net


@pytest.fixture(scope="module")
def region() -> TinyRegion:
    return TinyRegion((31.0, 33.4), (91.0, 94.1))


@pytest.fixture(scope="module", params=["regular", "ease2"])
def wide(request) -> TinyRegion:
    """On either kind of fine grid: edges of M09 cells are those of the coarse cells, but for rounding."""
    return TinyRegion((30.0, 37.0), (88.0, 97.0), kind=request.param)


def test_full_fields_at_every_scale(region):
    answer = small_net()(random_batch(region), region.geometry(region.whole()))
    rows, cols = region.coarse.shape
    shapes = {"36km": (rows, cols), "18km": (2 * rows, 2 * cols), "10km": region.fine.shape}
    for scale in SCALES:
        assert answer.mean[scale].shape == (2, 1, *shapes[scale])
        assert torch.isfinite(answer.mean[scale]).all()
        assert torch.isfinite(answer.log_variance[scale]).all()


@pytest.mark.parametrize("size", [16, 23, 40])
def test_tiled_equals_untiled(wide, size):
    net, batch = small_net(), random_batch(wide, 1)
    with torch.no_grad():
        whole = net(batch, wide.geometry(wide.whole())).mean["10km"]
        tiled = torch.full_like(whole, torch.nan)
        tiles = make_tiles(wide.fine, wide.coarse, size, net.reach_coarse_cells(cell_share(wide.fine, wide.coarse)))
        assert len(tiles) > 1
        for tile in tiles:
            part = net(cut(batch, tile), wide.geometry(tile)).mean["10km"]
            tiled[..., tile.core[0], tile.core[1]] = part[..., tile.inner[0], tile.inner[1]]
    torch.testing.assert_close(tiled, whole, rtol=0, atol=2e-5)


def test_too_little_overlap_shows(wide):
    """The control: without overlap the tiles do not agree."""
    net, batch = small_net(), random_batch(wide, 1)
    with torch.no_grad():
        whole = net(batch, wide.geometry(wide.whole())).mean["10km"]
        tile = make_tiles(wide.fine, wide.coarse, 23, 0)[5]
        part = net(cut(batch, tile), wide.geometry(tile)).mean["10km"]
    inner = part[..., tile.inner[0], tile.inner[1]]
    assert (inner - whole[..., tile.core[0], tile.core[1]]).abs().max() > 1e-2


def test_what_lies_under_the_mask_does_not_matter(region):
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    land = torch.from_numpy(region.land)
    wild = dataclasses.replace(
        batch, **{name: torch.where(land, getattr(batch, name), 1e3) for name in ("bands", "statics", "background")}
    )
    with torch.no_grad():
        plain, changed = net(batch, geometry).mean, net(wild, geometry).mean
    plain_land, changed_land = plain["10km"][:, :, land], changed["10km"][:, :, land]
    torch.testing.assert_close(plain_land, changed_land, rtol=0, atol=1e-5)
    torch.testing.assert_close(plain["36km"], changed["36km"], rtol=0, atol=1e-5)


def test_what_lies_under_land_matters(region):
    """The control of the mask test."""
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    changed = dataclasses.replace(batch, bands=batch.bands + 1.0)
    with torch.no_grad():
        assert (net(batch, geometry).mean["10km"] - net(changed, geometry).mean["10km"]).abs().max() > 1e-2


def test_a_retrieval_without_weight_is_not_seen(region):
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    unseen = batch.weight == 0
    planted = dataclasses.replace(
        batch,
        value=torch.where(unseen, 50.0, batch.value),
        innovation=torch.where(unseen, torch.nan, batch.innovation),
        age=torch.where(unseen, 0.0, batch.age),
    )
    with torch.no_grad():
        torch.testing.assert_close(net(batch, geometry).mean["10km"], net(planted, geometry).mean["10km"])


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


def test_footprint_means_are_area_means_over_land(region):
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    with torch.no_grad():
        answer = net(batch, geometry)
        mean, _ = footprint_means(answer, geometry)["10km"]
    matrix = region.weights["fine_to_coarse"].matrix
    field = answer.mean["10km"][0, 0].numpy()
    land = region.land.ravel().astype(float)
    expected = (matrix @ (field.ravel() * land)) / np.maximum(matrix @ land, 1e-9)
    covered = (matrix @ land) > 1e-6
    np.testing.assert_allclose(mean[0, 0].numpy().ravel()[covered], expected[covered], atol=1e-4)


def test_loss_sees_only_used_cells(region):
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    shape = (2, 1, *region.coarse.shape)
    generator = torch.Generator().manual_seed(3)
    target, used = torch.randn(shape, generator=generator), (torch.rand(shape, generator=generator) < 0.5).float()
    zero = torch.zeros(shape)
    with torch.no_grad():
        answer = net(batch, geometry)
        plain = area_average_loss(answer, geometry, target, zero, used, used, (0.25, 0.25, 1.0))
        hidden = torch.where(used > 0, target, torch.nan)
        assert area_average_loss(answer, geometry, hidden, zero, used, used, (0.25, 0.25, 1.0)) == plain
        shifted = area_average_loss(answer, geometry, target + used, zero, used, used, (0.25, 0.25, 1.0))
        assert shifted != plain


def test_every_parameter_learns(region):
    net = small_net(dropout=0.0).train()
    geometry = region.geometry(region.whole())
    shape = (2, 1, *region.coarse.shape)
    target = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    loss = area_average_loss(
        net(random_batch(region), geometry),
        geometry,
        target,
        torch.zeros(shape),
        torch.ones(shape),
        torch.ones(shape),
        (0.25, 0.25, 1.0),
    )
    loss.backward()
    silent = [name for name, parameter in net.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert silent == []


def test_bf16_autocast_runs_and_stays_close(region):
    net, batch = small_net(), random_batch(region)
    geometry = region.geometry(region.whole())
    with torch.no_grad():
        plain = net(batch, geometry).mean["10km"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(batch, geometry).mean["10km"]
    assert rough.dtype == torch.float32
    assert (plain - rough).abs().max() < 0.2


def test_the_net_is_small():
    net = small_net(predictors=12, statics=6, width=32, heads=4)
    assert sum(parameter.numel() for parameter in net.parameters()) < 40_000
