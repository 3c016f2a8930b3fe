"""Every net through training, checkpoint, downscaling and validation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pscnet import downscale
from pscnet.checkpoint import CheckpointError, read_checkpoint, read_tensors, write_tensors
from pscnet.nets import NETS
from pscnet.samples.retrievals import Retrievals
from pscnet.validation import PRODUCT
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import PREDICTORS
from tests.unit.test_training import MODEL, depends_on_scored, equal, fields, train

#: Sequence nets and trees have tests of their own.
TRAINED = [name for name in NETS if not NETS[name].reads_sequence and NETS[name].learns == "gradient"]


@pytest.fixture(scope="module", params=TRAINED)
def trained(request, made_run, tmp_path_factory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp(request.param)
    return train(made_run, folder / f"{request.param}.safetensors", model=MODEL | {"name": request.param})


def test_training_lowers_the_loss(trained):
    rows = np.genfromtxt(trained.with_suffix(".csv"), delimiter=",", names=True)
    assert rows["train_loss"][-1] < rows["train_loss"][0]
    assert rows["validation_loss"][-1] < rows["validation_loss"][0]


def test_the_same_seed_gives_the_same_weights(made_run, trained, tmp_path):  # noqa: F811
    again = train(made_run, tmp_path / "again.safetensors", model=MODEL | {"name": trained.stem})
    assert equal(again, trained)


def test_a_checkpoint_names_its_net_and_comes_back(trained, tmp_path):
    with safe_open(str(trained), framework="pt") as file:
        assert json.loads(file.metadata()["pscnet"])["model"] == trained.stem
    checkpoint = read_checkpoint(trained)
    checkpoint.write(tmp_path / "copy.safetensors")
    net = read_checkpoint(tmp_path / "copy.safetensors").net()
    assert type(net) is NETS[trained.stem]
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in checkpoint.weights.items())


def test_a_checkpoint_of_another_net_is_refused(made_run, trained):  # noqa: F811
    other = next(name for name in NETS if name != trained.stem)
    expected = f"a checkpoint of '{other}' expected, found one of '{trained.stem}'.*model.name: {trained.stem}"
    with pytest.raises(CheckpointError, match=expected):
        downscale.Downscaler(trained, made_run.static, made_run.weights, PREDICTORS, model=other)
    downscale.Downscaler(trained, made_run.static, made_run.weights, PREDICTORS, model=trained.stem)


def test_a_checkpoint_of_an_unknown_net_is_refused(trained, tmp_path):
    tensors, header = read_tensors(trained)
    write_tensors(tmp_path / "a.safetensors", tensors, header | {"model": "unett"})
    with pytest.raises(CheckpointError, match=r"a\.safetensors: 'unett' is no net; the nearest is 'unet'.*train again"):
        read_checkpoint(tmp_path / "a.safetensors")


def test_the_answer_does_not_depend_on_tile_or_batch(made_run, trained, tmp_path):  # noqa: F811
    whole = fields(made_run, trained, tmp_path)
    tiled = fields(made_run, trained, tmp_path, tile=8, batch_steps=3, model=trained.stem)
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        assert np.isfinite(whole[name]).any()
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-5)


def test_no_path_sees_the_scored_overpass(made_run, trained, tmp_path):  # noqa: F811
    assert depends_on_scored(made_run, trained, tmp_path) == set()


def test_a_planted_leak_is_found(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    """The control: with leaving-out switched off, every net depends on the retrieval that it is scored on."""
    around = Retrievals.around
    monkeypatch.setattr(Retrievals, "around", lambda self, stamps, window, hours: around(self, stamps, window, None))
    assert PRODUCT in depends_on_scored(made_run, trained, tmp_path)
