"""Trees as nets: evaluation of plain arrays, what they see in each dress, and what they answer untrained."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from pscnet.nets import NETS, NetSpec, make_net, trees
from pscnet.nets.trees import TreeEnsemble
from tests.unit.nets.world import TinyRegion, random_batch, random_trees, small_net

KINDS = [name for name in NETS if NETS[name].learns == "trees"]
DRESSES = [{}, {"kriged": True}, {"dress": "literature"}]
OTHER_INPUTS = [{"retrievals": "none"}, {"retrievals": "none", "kriged": True}, {"retrievals": "smoothed"}]


@pytest.fixture(scope="module")
def region() -> TinyRegion:
    return TinyRegion((31.0, 33.4), (91.0, 94.1))


def ensemble(mean: bool, state: dict[str, torch.Tensor]) -> TreeEnsemble:
    made = TreeEnsemble(mean)
    made.load_state_dict(state)
    return made


def walked(state: dict[str, torch.Tensor], row: torch.Tensor, right: int = 1) -> list[float]:
    """The leaves that one row reaches, by the plain way down each tree."""
    values = []
    for tree in range(len(state["depth"])):
        node = 0
        while (child := int(state["left"][tree, node])) != node:
            goes_right = row[state["feature"][tree, node]] > state["threshold"][tree, node]
            node = child + right * int(goes_right)
        values.append(float(state["value"][tree, node]))
    return values


@pytest.mark.parametrize("mean", [True, False])
def test_each_row_reaches_its_leaf(mean):
    state, rows = random_trees(6), torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    leaves = torch.tensor([walked(state, row) for row in rows])
    expected = (leaves.mean(1) if mean else leaves.sum(1)) + state["baseline"]
    torch.testing.assert_close(ensemble(mean, state)(rows), expected, rtol=0, atol=1e-5)
    wrong = torch.tensor([walked(state, row, right=0) for row in rows])  # the control: never to the right
    assert not torch.allclose(leaves, wrong)


def test_a_feature_at_the_threshold_goes_left():
    state = random_trees(1, trees=1, depth=1) | {"value": torch.tensor([[0.0, 1.0, 2.0]]), "baseline": torch.zeros(())}
    at = state["threshold"][0, :1]
    above = torch.nextafter(at, torch.tensor(torch.inf))
    assert ensemble(False, state)(torch.stack([at, above])).tolist() == [1.0, 2.0]


def test_rows_and_trees_in_pieces_answer_the_same(monkeypatch):
    made, rows = ensemble(True, random_trees(6, trees=21)), torch.randn(101, 6)
    whole = made(rows)
    monkeypatch.setattr(trees, "ROWS", {"cpu": 10})
    monkeypatch.setattr(trees, "TREES", 4)
    torch.testing.assert_close(made(rows), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mean", [True, False])
def test_stages_are_answers_of_the_first_trees(mean):
    state, rows = random_trees(6), torch.randn(30, 6)
    stages = ensemble(mean, state).stages(rows, [3, 20])
    first = {name: part[:3] if part.ndim else part for name, part in state.items()}
    torch.testing.assert_close(stages[0], ensemble(mean, first)(rows))
    torch.testing.assert_close(stages[1], ensemble(mean, state)(rows))
    with pytest.raises(ValueError, match="first 21 trees wanted, but the ensemble has 20"):
        ensemble(mean, state).stages(rows, [3, 21])


@pytest.mark.parametrize("name", KINDS)
def test_a_state_of_any_size_is_loaded(name):
    grown, fresh = small_net(name=name), make_net(small_net(name=name).spec)
    assert fresh.trees.feature.shape != grown.trees.feature.shape
    fresh.load_state_dict(grown.state_dict())
    assert all(torch.equal(part, grown.state_dict()[key]) for key, part in fresh.state_dict().items())
    assert fresh.trees.feature.dtype == torch.int32


def test_a_state_that_lacks_a_part_is_refused():
    state = random_trees(6)
    del state["left"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"left"'):
        ensemble(True, state)


@pytest.mark.parametrize("changes", DRESSES + OTHER_INPUTS, ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_the_features_are_counted(region, name, changes):
    net, batch = small_net(name=name, **changes), random_batch(region)
    features = net.features(batch, region.geometry(region.whole()))
    assert features.shape == (2, net.channels, *region.fine.shape)
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("name", KINDS)
def test_untrained_it_answers_with_what_it_adds_to(region, name):
    batch, geometry = random_batch(region), region.geometry(region.whole())
    expected = {
        "own": batch.background,
        "kriged": batch.background + geometry.coarse_to_fine(batch.kriged[:, :1]),
        "literature": torch.zeros_like(batch.background),
    }
    for dress, changes in zip(expected, DRESSES, strict=True):
        net = make_net(dataclasses.replace(small_net(name=name).spec, **changes))
        torch.testing.assert_close(net(batch, geometry).mean["10km"], expected[dress])


def test_kriged_innovations_must_be_there(region):
    batch = dataclasses.replace(random_batch(region), kriged=None)
    with pytest.raises(ValueError, match="reads kriged innovations"):
        small_net(name="random_forest", kriged=True)(batch, region.geometry(region.whole()))


@pytest.mark.parametrize("name", KINDS)
def test_in_the_literatures_dress_era5_land_is_all_it_sees(region, name):
    batch, geometry = random_batch(region), region.geometry(region.whole())
    other = dataclasses.replace(
        batch, background=batch.background + 1, value=batch.value + batch.weight, innovation=batch.innovation - 1
    )
    changed = {}
    for dress in ("literature", "own"):
        net = small_net(name=name, dress=dress)
        changed[dress] = not torch.equal(net(batch, geometry).mean["10km"], net(other, geometry).mean["10km"])
    assert changed == {"literature": False, "own": True}


@pytest.mark.parametrize("name", KINDS)
def test_lasting_fields_are_seen_averaged_in_the_own_dress_only(region, name):
    batch, geometry = random_batch(region), region.geometry(region.whole())
    first = batch.bands.shape[1]
    statics = {
        dress: small_net(name=name, dress=dress).features(batch, geometry)[:, first : first + 1]
        for dress in ("own", "literature")
    }
    land = torch.from_numpy(region.land)
    assert torch.equal(statics["literature"], batch.statics[:, :1])
    assert statics["own"][..., land].std() < 0.5 * batch.statics[:, :1][..., land].std()


@pytest.mark.parametrize("name", KINDS)
def test_bands_and_background_can_be_taken_out(region, name):
    batch, geometry = random_batch(region), region.geometry(region.whole())
    without = small_net(name=name, without_bands=(1,), skip=False)
    bands = without.features(batch, geometry)[:, : batch.bands.shape[1]]
    assert [channel for channel in range(10) if not bands[:, channel].any()] == [1, 6]
    assert not without.base(batch, geometry).any()
    assert small_net(name=name).features(batch, geometry)[:, 1].any()


@pytest.mark.parametrize("name", KINDS)
def test_kernels_over_retrievals_are_fixed(name):
    """The same whatever the seed: no number in them is drawn or learnt."""
    spec, states = NetSpec(name, 2, 5, 3, 8.0), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net = make_net(spec)
        assert not any(parameter.requires_grad for parameter in net.parameters())
        states.append(net.state_dict())
    assert all(torch.equal(part, states[1][key]) for key, part in states[0].items())
    assert len(net.attention.log_memory.exp()[0].unique()) == spec.heads


def test_the_variance_is_the_same_everywhere(region):
    net, geometry = small_net(name="gradient_boosting"), region.geometry(region.whole())
    net.log_variance.fill_(-1.5)
    answer = net(random_batch(region), geometry)
    land = geometry.coarse_weight[0, 0] > 0
    assert (answer.log_variance["10km"] == -1.5).all()
    torch.testing.assert_close(answer.log_variance["36km"][..., land], torch.full((2, 1, int(land.sum())), -1.5))
