"""Lack of memory: the whole training ends as with enough of it, and neither dropout nor a break notices."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from pscnet.checkpoint import read_checkpoint, read_tensors, write_tensors
from pscnet.nets import Net
from pscnet.nets.trees import Trees
from pscnet.samples.bands import SampleError
from pscnet.training import memory
from pscnet.training.memory import Memory
from pscnet.training.trainer import Trainer
from pscnet.trees import GRIDS, TreeOptions
from tests.unit.test_training import MODEL, OPTIONS, equal, train
from tests.unit.training.world import little_memory, trainer_of

CPU = torch.device("cpu")
ONE_EPOCH = dataclasses.replace(OPTIONS, epochs=1)
STEADY = MODEL | {"dropout": 0.0}
FOREST = {key: value for key, value in MODEL.items() if key not in ("squeeze_km", "kriged")} | {"name": "random_forest"}


def cells_of(run) -> int:
    return int(np.prod(run.fine.shape))


# The whole training --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(made_run, tmp_path_factory) -> Path:
    return train(made_run, tmp_path_factory.mktemp("plain") / "net.safetensors", ONE_EPOCH, model=STEADY)


def test_a_training_that_lacks_memory_ends_with_the_same_checkpoint(made_run, plain, tmp_path, monkeypatch, caplog):
    """Steps, validation and calibration: none of them fits unsplit."""
    little_memory(monkeypatch, 2 * cells_of(made_run))
    with caplog.at_level(logging.WARNING):
        found = train(made_run, tmp_path / "net.safetensors", ONE_EPOCH, model=STEADY)
    assert "out of memory on cpu: batches go in 4 parts from here on" in caplog.text
    expected, found = read_checkpoint(plain), read_checkpoint(found)
    assert found.scores["validation_loss"] == pytest.approx(expected.scores["validation_loss"], rel=1e-4)
    assert found.variance_scale == pytest.approx(expected.variance_scale, rel=1e-4)
    for name, weight in expected.weights.items():
        torch.testing.assert_close(found.weights[name], weight, rtol=1e-3, atol=1e-4, msg=name)


def test_only_what_follows_the_steps_may_lack_memory_too(made_run, plain, tmp_path, monkeypatch, caplog):
    """Then every bit of the weights is the same."""
    little_memory(monkeypatch, 2 * cells_of(made_run), of=lambda net: not net.training)
    with caplog.at_level(logging.WARNING):
        found = train(made_run, tmp_path / "net.safetensors", ONE_EPOCH, model=STEADY)
    assert "batches go in 4 parts from here on" in caplog.text
    assert equal(found, plain)
    expected, found = read_checkpoint(plain), read_checkpoint(found)
    assert found.scores["validation_loss"] == pytest.approx(expected.scores["validation_loss"], rel=1e-6)
    assert found.variance_scale == pytest.approx(expected.variance_scale, rel=1e-6)


def test_trees_that_lack_memory_are_the_same(made_run, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(GRIDS, "random_forest", [TreeOptions(trees=10, max_depth=3, min_leaf=5)])
    plain = read_checkpoint(train(made_run, tmp_path / "plain.safetensors", model=FOREST))
    features = Trees.features

    def checked(self, batch, geometry):
        if len(batch.bands) > 2:
            raise torch.OutOfMemoryError("simulated")
        return features(self, batch, geometry)

    monkeypatch.setattr(Trees, "features", checked)
    with caplog.at_level(logging.WARNING):
        found = read_checkpoint(train(made_run, tmp_path / "little.safetensors", model=FOREST))
    assert "out of memory on cpu: batches go in 4 parts from here on" in caplog.text
    assert found.scores["validation_loss"] == pytest.approx(plain.scores["validation_loss"], rel=1e-6)
    assert found.variance_scale == pytest.approx(plain.variance_scale, rel=1e-6)
    for name, weight in plain.weights.items():
        torch.testing.assert_close(found.weights[name], weight, msg=name)


def test_trees_are_not_told_to_take_smaller_tiles(made_run, tmp_path, monkeypatch):
    """They learn from the region as a whole."""

    def full(self, batch, geometry):
        raise torch.OutOfMemoryError("simulated")

    monkeypatch.setattr(Trees, "features", full)
    with pytest.raises(SampleError, match=r"the memory of cpu; type training\.device: cpu"):
        train(made_run, tmp_path / "net.safetensors", model=FOREST)


# Dropout -------------------------------------------------------------------------------------------------------------


def gradients_of_a_step(run, parts: int) -> tuple[Memory, dict[str, torch.Tensor]]:
    """Gradients of a step with dropout, begun in so many parts."""
    made = trainer_of(run, OPTIONS, dropout=0.5)
    made.memory.parts = parts
    made.net.train()
    torch.manual_seed(7)
    made._step(made.tiles[0], np.arange(6))
    return made.memory, {name: parameter.grad.clone() for name, parameter in made.net.named_parameters()}


def fail_behind_dropout(monkeypatch) -> None:
    """More than two samples do not fit, which shows when the masks of the first layers are drawn already."""
    answer = Net.answer

    def checked(self, given, scale, features, front):
        if len(features) > 2:
            raise torch.OutOfMemoryError("simulated")
        return answer(self, given, scale, features, front)

    monkeypatch.setattr(Net, "answer", checked)


def test_a_step_that_is_tried_again_draws_the_same_dropout(made_run, monkeypatch):
    fail_behind_dropout(monkeypatch)
    _, expected = gradients_of_a_step(made_run, 4)
    retried, found = gradients_of_a_step(made_run, 1)
    assert retried.parts == 4
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    monkeypatch.setattr(memory, "_set_random_state", lambda device, state: None)
    _, other = gradients_of_a_step(made_run, 1)
    assert not all(torch.equal(other[name], expected[name]) for name in expected), "the control"


@pytest.mark.parametrize(("device", "drawn"), [("cpu", []), ("cuda:1", ["cuda:1"])])
def test_the_random_state_of_the_device_is_put_back_too(monkeypatch, device, drawn):
    put_back, attempts = [], []
    state = torch.tensor([5], dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda asked: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda given, asked: put_back.append((str(asked), int(given))))

    def work(parts: int) -> float:
        attempts.append((parts, float(torch.rand(()))))
        if parts < 3:
            raise torch.OutOfMemoryError("simulated")
        return attempts[-1][1]

    torch.manual_seed(3)
    expected = float(torch.rand(()))
    torch.manual_seed(3)
    assert Memory(torch.device(device), [], "too large").in_parts(work, 3) == expected
    assert attempts == [(parts, expected) for parts in (1, 2, 3)]
    assert put_back == [(where, 5) for where in drawn] * 2


# Sizes ---------------------------------------------------------------------------------------------------------------


def test_batches_become_smaller_down_to_one_sample():
    sizes = []

    def work(size: int) -> int:
        sizes.append(size)
        raise torch.OutOfMemoryError("simulated")

    with pytest.raises(SampleError, match="too large"):
        Memory(CPU, [], "too large").in_batches(work, 6)
    assert sizes == [6, 3, 2, 1]


# A break -------------------------------------------------------------------------------------------------------------


def finished(run, resume: Path | None = None) -> Trainer:
    made = trainer_of(run, dataclasses.replace(OPTIONS, epochs=2), dropout=0.3)
    made.run(resume)
    return made


def same(a: Trainer, b: Trainer) -> bool:
    return all(torch.equal(weight, b.best[name]) for name, weight in a.best.items())


def test_a_resumed_training_goes_in_as_many_parts_as_before_the_break(made_run, tmp_path, monkeypatch):
    """Also where memory is free by then: dropout draws for the parts. The control is a resume file without them."""
    resume = tmp_path / "net.resume.safetensors"
    save = Trainer._save

    def die(self, path, fingerprint):
        save(self, path, fingerprint)
        raise KeyboardInterrupt

    with monkeypatch.context() as little:
        little_memory(little, 2 * cells_of(made_run))
        unbroken = finished(made_run)
        little.setattr(Trainer, "_save", die)
        with pytest.raises(KeyboardInterrupt):
            finished(made_run, resume)
    tensors, header = read_tensors(resume)
    assert header["parts"] == 4
    resumed = finished(made_run, resume)
    assert resumed.memory.parts == 4 and same(resumed, unbroken)
    write_tensors(resume, tensors, header | {"parts": 1})
    assert not same(finished(made_run, resume), unbroken)
