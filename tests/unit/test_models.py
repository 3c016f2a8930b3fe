"""Every net through training, checkpoint, downscaling and validation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors import safe_open

from pscnet import downscale
from pscnet.checkpoint import CheckpointError, read_checkpoint, read_tensors, write_tensors
from pscnet.nets import NETS
from pscnet.samples.retrievals import Retrievals
from pscnet.timeaxis import month_stamps
from pscnet.validation import PRODUCT
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS, PREDICTORS, SEQUENCE_DAYS
from tests.unit.test_training import MODEL, depends_on_scored, equal, train


def model(name: str, **changes) -> dict:
    """What the configuration says of a net."""
    days = SEQUENCE_DAYS if NETS[name].reads_sequence else 0
    return MODEL | {"name": name, "sequence_days": days} | changes


#: Steps of the second month, 39 hours apart: every time of day, and more days in a batch than a sequence has.
STEPS = month_stamps(MONTHS[1])[5::13]


def answers(run, checkpoint: Path, smap: bool = True, **options) -> dict[str, np.ndarray]:
    """Soil moisture, its uncertainty and flags at :data:`STEPS`; without any retrieval where ``smap`` is False."""
    downscaler = downscale.Downscaler(checkpoint, run.static, run.weights, PREDICTORS, device="cpu", **options)
    normaliser = downscaler.maker.normaliser
    retrievals = Retrievals.from_files(run.files("smap"), run.files("coarse"), normaliser.background, normaliser.noise)
    if not smap:
        retrievals.hide(np.ones(retrievals.value.shape, bool))
    before, predictors = run.files("predictors")[:2]
    parts = list(downscaler.fields(predictors, run.files("bands")[0], retrievals, STEPS, before=before))
    assert np.concatenate([part.times for part in parts]).tolist() == STEPS.tolist()
    names = ("soil_moisture", "uncertainty", "flag")
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}


@pytest.fixture(scope="module", params=NETS)
def trained(request, made_run, tmp_path_factory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp(request.param)
    return train(made_run, folder / f"{request.param}.safetensors", model=model(request.param))


def test_training_lowers_the_loss(trained):
    rows = np.genfromtxt(trained.with_suffix(".csv"), delimiter=",", names=True)
    assert rows["train_loss"][-1] < rows["train_loss"][0]
    if NETS[trained.stem].learns == "trees":  # more trees may fit worse: the best number of them is kept
        kept = read_checkpoint(trained).scores["validation_loss"]
        assert kept == pytest.approx(rows["validation_loss"].min())
    else:
        assert rows["validation_loss"][-1] < rows["validation_loss"][0]


def test_the_same_seed_gives_the_same_weights(made_run, trained, tmp_path):  # noqa: F811
    again = train(made_run, tmp_path / "again.safetensors", model=model(trained.stem))
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


def test_the_answer_does_not_depend_on_tile_or_batch(made_run, trained):  # noqa: F811
    whole = answers(made_run, trained)
    tiled = answers(made_run, trained, tile=8, batch_steps=3, model=trained.stem)
    for name in ("soil_moisture", "uncertainty"):
        assert np.isfinite(whole[name]).any()
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-5)
    assert (tiled["flag"] == whole["flag"]).all()


def test_no_path_sees_the_scored_overpass(made_run, trained, tmp_path):  # noqa: F811
    assert depends_on_scored(made_run, trained, tmp_path) == set()


def test_a_planted_leak_is_found(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    """The control: with leaving-out switched off, every net depends on the retrieval that it is scored on."""
    around = Retrievals.around
    monkeypatch.setattr(Retrievals, "around", lambda self, stamps, window, hours: around(self, stamps, window, None))
    assert PRODUCT in depends_on_scored(made_run, trained, tmp_path)


# In the literature's dress --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["pscnet", "mlp", "lstm", "gradient_boosting"])
def literature(request, made_run, tmp_path_factory) -> Path:  # noqa: F811
    output = tmp_path_factory.mktemp("literature") / f"{request.param}.safetensors"
    return train(made_run, output, model=model(request.param, dress="literature", kriged=False))


def test_the_literatures_dress_answers_everywhere_without_smap(made_run, literature):  # noqa: F811
    assert read_checkpoint(literature).spec.dress == "literature"
    plain, blind = (answers(made_run, literature, smap) for smap in (True, False))
    with xr.open_dataset(made_run.static) as static:
        region = static["region"].values > 0
    assert np.isfinite(plain["soil_moisture"][:, region]).all()
    rows = np.genfromtxt(literature.with_suffix(".csv"), delimiter=",", names=True)
    assert rows["train_loss"][-1] < rows["train_loss"][0]
    assert plain["soil_moisture"][:, region].std(0).min() > 0, "it varies with ERA5-Land"
    for name in ("soil_moisture", "uncertainty"):
        np.testing.assert_array_equal(plain[name], blind[name])


def test_in_its_own_dress_every_net_sees_smap(made_run, trained):  # noqa: F811
    """The control."""
    plain, blind = (answers(made_run, trained, smap)["soil_moisture"] for smap in (True, False))
    assert np.nanmax(np.abs(plain - blind)) > 1e-3
