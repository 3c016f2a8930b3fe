"""Training in bf16, and that a seed decides every bit: whole or in tiles, in float32 or in bf16."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pscnet.training.trainer import Options, Trainer
from tests.unit.training.world import trainer_of

BF16 = Options(device="cpu", precision="bf16", epochs=2, patience=9, batch_steps=6)


def run(made: Trainer) -> Trainer:
    made.run()
    return made


def weights_of(made: Trainer) -> dict[str, torch.Tensor]:
    return dict(made.net.named_parameters())


def same(a: Trainer, b: Trainer) -> bool:
    first, second = weights_of(a), weights_of(b)
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def rough(made_run) -> Trainer:
    return run(trainer_of(made_run, BF16))


@pytest.fixture(scope="module")
def plain(made_run) -> Trainer:
    return run(trainer_of(made_run, dataclasses.replace(BF16, precision="float32")))


def test_training_in_bf16_learns(rough):
    losses = [row["train_loss"] for row in rough.progress.history]
    assert losses[1] < losses[0]
    validation = [row["validation_loss"] for row in rough.progress.history]
    assert np.isfinite(validation).all()
    assert validation[1] < validation[0]


def test_training_in_bf16_keeps_its_weights_in_float32(rough):
    """Small steps would be lost in eight bits of mantissa."""
    state = [value for entry in rough.optimizer.state.values() for value in entry.values()]
    kept = [*weights_of(rough).values(), *rough.best.values(), *state]
    assert len(state) >= 2 * len(weights_of(rough))
    assert {tensor.dtype for tensor in kept} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in kept)
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in weights_of(rough).values())


def test_training_in_bf16_stays_close_to_float32(rough, plain):
    ours, theirs = (made.progress.history[-1]["validation_loss"] for made in (rough, plain))
    assert ours == pytest.approx(theirs, abs=0.02)


def test_bf16_is_in_force(rough, plain):
    """The control of the test above: products are rounded, so that the two are not the same net."""
    assert not same(rough, plain)
    for made, kind in ((rough, torch.bfloat16), (plain, torch.float32)):
        seen = []
        hook = made.net.head[0].register_forward_hook(lambda module, given, out, seen=seen: seen.append(out.dtype))
        made.evaluate(made.validation)
        hook.remove()
        assert set(seen) == {kind}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("tile", ["auto", 8])
def test_the_same_seed_gives_the_same_weights_to_the_bit(made_run, precision, tile):
    options = dataclasses.replace(BF16, precision=precision, tile=tile, epochs=1)
    first, again = (run(trainer_of(made_run, options)) for _ in range(2))
    assert len(first.tiles) == (1 if tile == "auto" else 9)
    assert same(first, again)
    assert first.progress.best_loss == again.progress.best_loss
    other = run(trainer_of(made_run, dataclasses.replace(options, seed=1)))
    assert not same(first, other), "the control"
