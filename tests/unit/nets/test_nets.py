"""What every net promises: the properties without which it could not stand in PSCNet's place."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch

from pscnet import config
from pscnet.losses import area_average_loss, footprint_means
from pscnet.nets import NETS, NetSpec, UnknownNetError, make_net
from pscnet.nets.frame import SCALES
from pscnet.samples.geometry import cell_share, make_tiles
from pscnet.variables import NET_TITLES
from tests.unit.nets.world import TinyRegion, cut, random_batch, small_net


@pytest.fixture(scope="module", params=[*NETS])
def name(request) -> str:
    return request.param


#: Nets that gradients reach.
BY_GRADIENT = [name for name in NETS if NETS[name].learns == "gradient"]

#: Nets that answer each pixel from its own features.
PER_PIXEL = ["mlp", "random_forest", "gradient_boosting"]


@pytest.fixture(scope="module")
def region() -> TinyRegion:
    return TinyRegion((31.0, 33.4), (91.0, 94.1))


@pytest.fixture(scope="module", params=["regular", "ease2"])
def wide(request) -> TinyRegion:
    """On either kind of fine grid: edges of M09 cells are those of the coarse cells, but for rounding."""
    return TinyRegion((30.0, 37.0), (88.0, 97.0), kind=request.param)


def test_full_fields_at_every_scale(region, name):
    answer = small_net(name=name)(random_batch(region), region.geometry(region.whole()))
    rows, cols = region.coarse.shape
    shapes = {"36km": (rows, cols), "18km": (2 * rows, 2 * cols), "10km": region.fine.shape}
    for scale in SCALES:
        assert answer.mean[scale].shape == (2, 1, *shapes[scale])
        assert torch.isfinite(answer.mean[scale]).all()
        assert torch.isfinite(answer.log_variance[scale]).all()


@pytest.mark.parametrize("size", [16, 23, 40])
def test_tiled_equals_untiled(wide, size, name):
    net, batch = small_net(name=name), random_batch(wide, 1)
    with torch.no_grad():
        whole = net(batch, wide.geometry(wide.whole())).mean["10km"]
        tiled = torch.full_like(whole, torch.nan)
        tiles = make_tiles(wide.fine, wide.coarse, size, net.reach_coarse_cells(cell_share(wide.fine, wide.coarse)))
        assert len(tiles) > 1
        for tile in tiles:
            part = net(cut(batch, tile), wide.geometry(tile)).mean["10km"]
            tiled[..., tile.core[0], tile.core[1]] = part[..., tile.inner[0], tile.inner[1]]
    torch.testing.assert_close(tiled, whole, rtol=0, atol=2e-5)


def test_too_little_overlap_shows(wide, name):
    """The control: without overlap the tiles do not agree."""
    net, batch = small_net(name=name), random_batch(wide, 1)
    with torch.no_grad():
        whole = net(batch, wide.geometry(wide.whole())).mean["10km"]
        tile = make_tiles(wide.fine, wide.coarse, 23, 0)[5]
        part = net(cut(batch, tile), wide.geometry(tile)).mean["10km"]
    inner = part[..., tile.inner[0], tile.inner[1]]
    assert (inner - whole[..., tile.core[0], tile.core[1]]).abs().max() > 1e-2


def test_what_lies_under_the_mask_does_not_matter(region, name):
    net, batch = small_net(name=name), random_batch(region)
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


def test_what_lies_under_land_matters(region, name):
    """The control of the mask test."""
    net, batch = small_net(name=name), random_batch(region)
    geometry = region.geometry(region.whole())
    changed = dataclasses.replace(batch, bands=batch.bands + 1.0)
    with torch.no_grad():
        assert (net(batch, geometry).mean["10km"] - net(changed, geometry).mean["10km"]).abs().max() > 1e-2


def test_a_retrieval_without_weight_is_not_seen(region, name):
    net, batch = small_net(name=name), random_batch(region)
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


def test_footprint_means_are_area_means_over_land(region, name):
    net, batch = small_net(name=name), random_batch(region)
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


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_every_parameter_learns(region, name):
    net = small_net(name=name, dropout=0.0).train()
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


def test_bf16_autocast_runs_and_stays_close(region, name):
    net, batch = small_net(name=name), random_batch(region)
    geometry = region.geometry(region.whole())
    with torch.no_grad():
        plain = net(batch, geometry).mean["10km"]
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(batch, geometry).mean["10km"]
    assert rough.dtype == torch.float32
    assert (plain - rough).abs().max() < 0.2


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_the_net_is_small(name):
    net = small_net(name=name, predictors=12, statics=6, width=32, heads=4)
    assert 10_000 < sum(parameter.numel() for parameter in net.parameters()) < 40_000


@pytest.mark.parametrize("name", PER_PIXEL)
def test_the_36_and_18_km_fields_of_a_per_pixel_net_are_averages_of_the_10_km_field(region, name):
    net, batch = small_net(name=name), random_batch(region)
    geometry = region.geometry(region.whole())
    with torch.no_grad():
        answer = net(batch, geometry)
        means = footprint_means(answer, geometry)
    land = geometry.coarse_weight[0, 0] > 0
    for scale in ("36km", "18km"):
        for made, expected in zip(means[scale], means["10km"], strict=True):
            torch.testing.assert_close(made[..., land], expected[..., land], rtol=1e-4, atol=1e-5)


def test_per_pixel_nets_look_at_no_neighbour(region):
    """Fast bands of one pixel change that pixel alone; a spatial net passes them on."""
    batch, geometry = random_batch(region), region.geometry(region.whole())
    bands = batch.bands.clone()
    bands[..., 12, 20] += 1.0
    changed = dataclasses.replace(batch, bands=bands)
    counts = {}
    for name in NETS:
        net = small_net(name=name)
        with torch.no_grad():
            difference = (net(batch, geometry).mean["10km"] - net(changed, geometry).mean["10km"])[0, 0].abs()
        assert difference[12, 20] > 1e-4
        counts[name] = int((difference > 1e-6).sum())
    assert [counts.pop(name) for name in PER_PIXEL] == [1, 1, 1]
    assert min(counts.values()) > 9


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(
        UnknownNetError, match=r"'unett' is no net; the nearest is 'unet' \(valid: pscnet, mlp, unet, .*\)"
    ):
        make_net(NetSpec("unett", 2, 5, 3, 8.0))


def test_the_configuration_knows_every_net():
    assert get_args(config.NetName) == tuple(NETS) == tuple(NET_TITLES)
