"""Variants: names that files can carry, exactly the changes that they name, and nets that compute."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import combinations

import pytest
import torch
import yaml

from pscnet import config
from pscnet.channels import band_names
from pscnet.nets import NETS, NetSpec, make_net
from pscnet.plan import Plan
from pscnet.samples.geometry import make_pyramid
from pscnet.training.trainer import Options
from pscnet.variants import (
    CHANGED_SECTIONS,
    ENSEMBLE,
    LITERATURE,
    NET_TITLES,
    OF_PSCNET,
    READ_SEQUENCES,
    part_variants,
)
from tests.unit.nets.world import DAYS, TinyRegion, random_batch


@pytest.fixture(scope="module")
def base(repository) -> dict:
    """The demo, with sequences as short as those of the random batches."""
    made = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    made |= yaml.safe_load((repository / "config" / "demo.yaml").read_text())
    return made | {"model": {"sequence_days": DAYS, "width": 8, "heads": 2}}


@pytest.fixture(scope="module")
def plan(base) -> Plan:
    return Plan(base)


@pytest.fixture(scope="module")
def region() -> TinyRegion:
    return TinyRegion((31.0, 32.2), (91.0, 92.4))


def test_the_nets_that_read_sequences_are_those_that_are_named():
    assert set(READ_SEQUENCES) == {name for name, net in NETS.items() if net.reads_sequence}
    assert set(NET_TITLES) == set(NETS)


def test_names_are_those_of_files(plan):
    names = list(plan.variants)
    assert len(names) > 2 * len(NETS) + 20
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
    assert not any(name.endswith(f"_{ENSEMBLE}") or re.search(r"_\d+$", name) for name in names), "seeds follow a name"
    assert len({variant.title for variant in plan.variants.values()}) == len(names)


def test_every_net_stands_in_both_dresses(plan):
    for name in NETS:
        own, other = plan.net_of(name), plan.net_of(name + LITERATURE)
        assert (own["name"], own["dress"], other["name"], other["dress"]) == (name, "own", name, "literature")
        assert own["kriged"] and not other["kriged"], "the literature's dress has no kriged innovation"
        assert (own["sequence_days"] > 0) == (name in READ_SEQUENCES)


def changes_of(plan: Plan, variant: str) -> dict[str, dict]:
    """By section, the keys whose values are not the configuration's, and their values."""
    found = {}
    for section in CHANGED_SECTIONS:
        values = plan.section(section)
        found[section] = {key: value for key, value in plan.changed(variant, section).items() if value != values[key]}
    return found


def test_every_part_variant_changes_what_it_says_and_nothing_else(plan):
    bands = band_names(plan.config.samples.time_scales_days)
    for name, variant in part_variants(bands).items():
        said = {section: dict(getattr(variant, section)) for section in CHANGED_SECTIONS}
        assert said["model"].pop("name") == "pscnet"
        assert changes_of(plan, name) == said, name
        assert any(said.values()), f"{name} changes something"


def test_the_nets_own_entry_is_the_configuration(plan):
    assert changes_of(plan, "pscnet") == {section: {} for section in CHANGED_SECTIONS}


def test_no_two_part_variants_are_the_same(plan):
    made = {name: changes_of(plan, name) for name in plan.part_names}
    assert all(made[one] != made[other] for one, other in combinations(made, 2))


def test_hashes_tell_variants_apart(plan):
    hashes = [plan.config_hash(without=["downscale"], variant=name) for name in ["pscnet", *plan.part_names]]
    assert len(set(hashes)) == len(hashes)


def test_parts_are_pscnets_whatever_net_is_configured(base):
    """PSCNet's own keys are then their defaults."""
    other = Plan(base | {"model": {"name": "mlp", "sequence_days": DAYS, "width": 8, "heads": 2}})
    defaults = config.Model().model_dump(mode="json")
    values = other.changed("pscnet_without_gates", "model")
    assert values["name"] == "pscnet" and not values["gates"] and values["width"] == 8
    assert all(values[key] == defaults[key] for key in OF_PSCNET)


def test_samples_are_those_that_a_variant_reads(plan):
    def names(variant: str) -> set[str]:
        return {path.rsplit("/", 1)[1].split(".")[1] for path in plan.samples(variant)}

    plain = {"stamps", "bands", "background"}
    assert names("pscnet") == plain | {"kriged"}
    assert names("pscnet_causal") == plain | {"kriged_causal"}
    assert names("pscnet_without_kriged") == names("unet_literature") == plain
    assert names("lstm") == plain | {"kriged", "sequence", "sequence_stamps"}
    assert names("lstm_literature") == plain | {"sequence", "sequence_stamps"}


def test_options_are_those_of_the_trainer(plan):
    known = {field.name for field in fields(Options)}
    for name in plan.variants:
        assert set(plan.options_of(name, 3)) <= known
        assert Options(**plan.options_of(name, "3")).seed == 3


def test_every_variant_is_a_net_that_computes(plan, region):
    batch, whole = random_batch(region, steps=1), region.geometry(region.whole())
    pyramid = make_pyramid(whole.fine_weight[0, 0].numpy())
    size = {"predictors": 2, "bands": 5, "statics": 3}
    for name in plan.variants:
        window = plan.changed(name, "samples")["window_days"]
        spec = NetSpec(window_days=window, **size, **plan.net_of(name))
        net = make_net(spec).eval()
        with torch.no_grad():
            answer = net(batch, whole if spec.own else pyramid)
        assert answer.mean["10km"].shape == (1, 1, *region.fine.shape), name
        assert torch.isfinite(answer.mean["10km"]).all() and torch.isfinite(answer.log_variance["10km"]).all(), name
        assert NetSpec(**spec.as_dict()) == spec, "it comes back from a checkpoint's header"


def test_a_variant_changes_the_net_that_it_names(plan):
    """The control: the parts of PSCNet that are taken out are gone."""

    def parameters(name: str) -> int:
        spec = NetSpec(predictors=2, bands=5, statics=3, window_days=8.0, **plan.net_of(name))
        return sum(parameter.numel() for parameter in make_net(spec).parameters())

    for part in ("without_gates", "without_kriged", "squeeze_none", "without_36km", "only_10km", "without_smap"):
        assert parameters(f"pscnet_{part}") < parameters("pscnet"), part
    assert parameters("pscnet_loss_joint") == parameters("pscnet")
