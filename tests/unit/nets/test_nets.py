"""What every net promises: the properties without which it could not stand in PSCNet's place."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch

from pscnet import config
from pscnet.losses import area_average_loss, footprint_means
from pscnet.nets import NETS, Net, NetSpec, UnknownNetError, make_net
from pscnet.nets.frame import SCALES, Batch, Geometry
from pscnet.samples.geometry import cell_share, make_tiles
from pscnet.variants import NET_TITLES, READ_SEQUENCES
from tests.unit.nets.world import DAYS, ON_COARSE, ON_FINE, TinyRegion, cut, random_batch, small_net

#: Nets that answer each pixel by itself; nets with 36 and 18 km fields of their own; nets that read a sequence.
PER_PIXEL = {"mlp", "lstm", "tcn", "random_forest", "gradient_boosting"}
PROGRESSIVE = {"pscnet", "unet"}
SEQUENCE = sorted(name for name in NETS if NETS[name].reads_sequence)

#: Nets that gradients reach.
BY_GRADIENT = [name for name in NETS if NETS[name].learns == "gradient"]

#: What the literature's dress leaves out.
WITHOUT = ("background", *ON_COARSE)

#: The ways in which a net can be dressed.
DRESSES = {"own": {}, "kriged": {"kriged": True}, "literature": {"dress": "literature"}}


@pytest.fixture(scope="module", params=[*NETS])
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=[*DRESSES])
def dress(request) -> dict:
    return DRESSES[request.param]


@pytest.fixture(scope="module")
def region() -> TinyRegion:
    return TinyRegion((31.0, 33.4), (91.0, 94.1))


@pytest.fixture(scope="module", params=["regular", "ease2"])
def wide(request) -> TinyRegion:
    """On either kind of fine grid: edges of M09 cells are those of the coarse cells, but for rounding."""
    return TinyRegion((30.0, 37.0), (88.0, 97.0), kind=request.param)


def test_full_fields_at_every_scale_in_every_dress(region, name, dress):
    answer = small_net(name=name, **dress)(random_batch(region), region.geometry(region.whole()))
    rows, cols = region.coarse.shape
    shapes = {"36km": (rows, cols), "18km": (2 * rows, 2 * cols), "10km": region.fine.shape}
    for scale in SCALES:
        assert answer.mean[scale].shape == (2, 1, *shapes[scale])
        assert torch.isfinite(answer.mean[scale]).all()
        assert torch.isfinite(answer.log_variance[scale]).all()


@pytest.mark.parametrize("size", [16, 23, 40])
def test_tiled_equals_untiled(wide, size, name):
    check_tiles(wide, size, small_net(name=name))


@pytest.mark.parametrize("other", ["kriged", "literature"])
def test_tiled_equals_untiled_in_the_other_dresses(wide, name, other):
    check_tiles(wide, 23, small_net(name=name, **DRESSES[other]))


def check_tiles(wide: TinyRegion, size: int, net: Net) -> None:
    batch = random_batch(wide, 1)
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


def test_what_lies_under_the_mask_does_not_matter(region, name, dress):
    net, batch = small_net(name=name, **dress), random_batch(region)
    geometry = region.geometry(region.whole())
    land = torch.from_numpy(region.land)
    wild = dataclasses.replace(batch, **{name: torch.where(land, getattr(batch, name), 1e3) for name in ON_FINE})
    with torch.no_grad():
        plain, changed = net(batch, geometry).mean, net(wild, geometry).mean
    plain_land, changed_land = plain["10km"][:, :, land], changed["10km"][:, :, land]
    torch.testing.assert_close(plain_land, changed_land, rtol=0, atol=1e-5)
    torch.testing.assert_close(plain["36km"], changed["36km"], rtol=0, atol=1e-5)


def test_what_lies_under_land_matters(region, name, dress):
    """The control of the mask test."""
    net, batch = small_net(name=name, **dress), random_batch(region)
    geometry = region.geometry(region.whole())
    for field in ("bands", "statics", *(["sequence"] if net.reads_sequence else [])):
        assert departure(net, batch, geometry, **{field: getattr(batch, field) + 1.0}) > 1e-2


@pytest.mark.parametrize("name", sorted(set(NETS) - PROGRESSIVE))
def test_sea_is_like_the_outside_of_the_box(region, name):
    """No layer makes anything up under the mask; the control has land there."""
    net, batch = small_net(name=name, dress="literature"), random_batch(region)
    plain = region.geometry(region.whole())

    def answer(weight: torch.Tensor, batch: Batch) -> torch.Tensor:
        same = dict.fromkeys(("to_coarse", "to_middle"), lambda x: x)
        with torch.no_grad():
            return net(batch, dataclasses.replace(plain, fine_weight=weight, **same)).mean["10km"][..., -12:, :]

    land = torch.ones_like(plain.fine_weight)
    sea = land.clone()
    sea[..., :-12, :] = 0
    cropped = dataclasses.replace(batch, **{field: getattr(batch, field)[..., -12:, :] for field in ON_FINE})
    expected = answer(land[..., -12:, :], cropped)
    torch.testing.assert_close(answer(sea, batch), expected, rtol=0, atol=1e-5)
    assert ((answer(land, batch) - expected).abs().max() > 1e-3) == (name not in PER_PIXEL)


def departure(net: Net, batch: Batch, geometry: Geometry, **changes: torch.Tensor | None) -> float:
    """Largest change of the 10 km field when inputs are changed."""
    with torch.no_grad():
        plain, changed = net(batch, geometry), net(dataclasses.replace(batch, **changes), geometry)
    return float((plain.mean["10km"] - changed.mean["10km"]).abs().max())


def test_the_literature_sees_era5_land_alone(region, name):
    net, batch = small_net(name=name, dress="literature", kriged=True), random_batch(region)
    geometry, other = region.geometry(region.whole()), random_batch(region, seed=1)
    assert departure(net, batch, geometry, **{field: getattr(other, field) for field in WITHOUT}) == 0
    assert departure(net, batch, geometry, kriged=None) == 0


@pytest.mark.parametrize("field", WITHOUT)
def test_the_own_dress_sees_smap_and_background(region, name, field):
    """The control: what the literature leaves out, matters here."""
    net, batch = small_net(name=name, kriged=True), random_batch(region)
    changed = getattr(random_batch(region, seed=1), field)
    assert departure(net, batch, region.geometry(region.whole()), **{field: changed}) > 1e-2


def test_training_starts_from_optimal_interpolation(region, name):
    """Untrained, a net with kriged innovations answers background plus increment, as interpolated as the reference."""
    spec = NetSpec(name, 2, 5, 3, 8.0, width=8, heads=2, kriged=True, sequence_days=DAYS)
    batch, geometry = random_batch(region), region.geometry(region.whole())
    expected = batch.background + geometry.coarse_to_fine(batch.kriged[:, :1])
    with torch.no_grad():
        made = make_net(spec).eval()(batch, geometry).mean["10km"]
        without = make_net(dataclasses.replace(spec, kriged=False)).eval()(batch, geometry).mean["10km"]
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-6)
    assert (without - expected).abs().max() > 1e-2


def test_a_batch_without_the_kriged_innovation_is_refused(region, name):
    batch, geometry = dataclasses.replace(random_batch(region), kriged=None), region.geometry(region.whole())
    with pytest.raises(ValueError, match=r"reads kriged innovations \(NetSpec.kriged\), and the batch holds none"):
        small_net(name=name, kriged=True)(batch, geometry)
    small_net(name=name)(batch, geometry)


def test_sequence_nets_see_the_order_of_days(region, name, dress):
    """Also that of the earliest days; the others, the controls, read no sequence."""
    net, batch, geometry = small_net(name=name, **dress), random_batch(region), region.geometry(region.whole())
    backwards = batch.sequence.flip(1)
    swapped = batch.sequence[:, [1, 0, *range(2, DAYS)]]
    for sequence in (backwards, swapped):
        change = departure(net, batch, geometry, sequence=sequence)
        assert change > 1e-3 if name in SEQUENCE else change == 0
    if name not in SEQUENCE:
        assert departure(net, batch, geometry, sequence=None) == 0


@pytest.mark.parametrize("name", SEQUENCE)
def test_sequence_nets_refuse_to_do_without(region, name):
    batch, geometry = random_batch(region), region.geometry(region.whole())
    with pytest.raises(ValueError, match=f"the net '{name}' reads the last days.*set NetSpec.sequence_days"):
        small_net(name=name, sequence_days=0)
    with pytest.raises(ValueError, match=f"'{name}' reads a sequence of {DAYS} days.*batch holds none"):
        small_net(name=name)(dataclasses.replace(batch, sequence=None), geometry)
    with pytest.raises(ValueError, match=f"'{name}' expects a sequence of 5 days and 4 channels, found {DAYS} and 4"):
        small_net(name=name, sequence_days=5)(batch, geometry)


@pytest.mark.parametrize("name", SEQUENCE)
@pytest.mark.parametrize("days", [1, 2, 3, 10, 30])
def test_sequences_of_any_length_are_seen_to_their_first_day(region, name, days):
    net, geometry = small_net(name=name, sequence_days=days), region.geometry(region.whole())
    sequence = torch.randn(2, days, 4, *region.fine.shape, generator=torch.Generator().manual_seed(2))
    batch = dataclasses.replace(random_batch(region), sequence=sequence)
    first = sequence.clone()
    first[:, 0] += 10.0
    assert departure(net, batch, geometry, sequence=first) > 0


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
def test_every_parameter_learns(region, name, dress):
    net = small_net(name=name, dropout=0.0, **dress).train()
    geometry = region.geometry(region.whole())
    shape = (2, 1, *region.coarse.shape)
    target = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    loss = area_average_loss(
        footprint_means(net(random_batch(region), geometry), geometry),
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
    net = small_net(name=name, predictors=12, statics=6, width=32, heads=4, sequence_days=10)
    assert 10_000 < sum(parameter.numel() for parameter in net.parameters()) < 40_000


@pytest.mark.parametrize("name", sorted(set(NETS) - PROGRESSIVE))
def test_nets_without_coarser_scales_average_their_10_km_field(region, name):
    net, batch = small_net(name=name), random_batch(region)
    geometry = region.geometry(region.whole())
    with torch.no_grad():
        answer = net(batch, geometry)
        means = footprint_means(answer, geometry)
    land = geometry.coarse_weight[0, 0] > 0
    for scale in ("36km", "18km"):
        for made, expected in zip(means[scale], means["10km"], strict=True):
            torch.testing.assert_close(made[..., land], expected[..., land], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("field", ["bands", "sequence"])
def test_the_per_pixel_nets_look_at_no_neighbour(region, name, field):
    """What is new at one pixel changes that pixel alone; a spatial net passes it on, as far as its reach says."""
    net, batch, geometry = small_net(name=name), random_batch(region), region.geometry(region.whole())
    values = getattr(batch, field).clone()
    values[..., 12, 20] += 1.0
    changed = dataclasses.replace(batch, **{field: values})
    with torch.no_grad():
        difference = (net(batch, geometry).mean["10km"] - net(changed, geometry).mean["10km"])[0, 0].abs()
    count = int((difference > 1e-6).sum())
    if field == "sequence" and name not in SEQUENCE:
        assert count == 0
        return
    assert difference[12, 20] > 1e-4
    # Of the spatial sequence nets, the layers behind the sequence's are per pixel, and these alone read the bands.
    spatial = name not in PER_PIXEL and (field == "sequence") == (name in SEQUENCE)
    assert count > 9 if spatial else count == 1
    if name not in PROGRESSIVE:
        rows, cols = difference.nonzero(as_tuple=True)
        distance = int(torch.maximum((rows - 12).abs(), (cols - 20).abs()).max())
        assert distance == (net.own_reach({"10km": 1.0}) if spatial else 0)


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UnknownNetError, match=r"'unett' is no net; the nearest is 'unet' \(valid: pscnet, mlp, unet, "):
        make_net(NetSpec("unett", 2, 5, 3, 8.0))


def test_the_configuration_knows_every_net():
    assert get_args(config.NetName) == tuple(NETS) == tuple(NET_TITLES)
    assert set(READ_SEQUENCES) == set(SEQUENCE)
