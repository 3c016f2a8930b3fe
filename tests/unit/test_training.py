"""Training: exact resume, seeds, early stopping; checkpoints; tiles; and that no scored retrieval gets in."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from pscnet import downscale
from pscnet.checkpoint import CheckpointError, read_checkpoint, read_tensors, write_tensors
from pscnet.provenance import behind
from pscnet.samples.bands import SampleError
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import sample_file
from pscnet.training import files as training_files
from pscnet.training import trainer
from pscnet.training.calibration import variance_scale
from pscnet.training.files import train_files
from pscnet.training.trainer import Options, Trainer
from pscnet.validation import METHODS, ScoreError
from pscnet.validation.heldout import write_heldout
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import LEAVE_OUT_HOURS, MONTHS, PREDICTORS, WINDOW_DAYS

MODEL = {"name": "pscnet", "width": 8, "heads": 2, "blocks": 1, "squeeze_km": 60.0, "dropout": 0.1, "kriged": True}
OPTIONS = Options(epochs=3, patience=9, batch_steps=6)


def train(run, output: Path, options: Options = OPTIONS, **changes) -> Path:
    given = {
        "coarse": run.files("coarse"), "smap": run.files("smap"), "samples": run.samples, "static": run.static,
        "normaliser": run.normaliser, "covariance": run.covariance, "weights": run.weights, "split": run.split,
        "model": MODEL, "options": options, "window_days": WINDOW_DAYS, "leave_out_hours": LEAVE_OUT_HOURS,
        "config_hash": "test", "output": output, "curve": output.with_suffix(".csv"),
    }  # fmt: skip
    train_files(**(given | changes))
    return output


@pytest.fixture(scope="module")
def trained(made_run, tmp_path_factory) -> Path:  # noqa: F811
    return train(made_run, tmp_path_factory.mktemp("model") / "pscnet.safetensors")


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path).weights


def equal(a: Path, b: Path) -> bool:
    first, second = weights_of(a), weights_of(b)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_run_resumes_to_the_same_weights(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    output = tmp_path / "pscnet.safetensors"
    save = Trainer._save

    def die_after_second_epoch(self, path, fingerprint):
        save(self, path, fingerprint)
        if self.progress.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_save", die_after_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(made_run, output)
    assert not output.exists()
    assert (tmp_path / "pscnet.resume.safetensors").exists()
    monkeypatch.setattr(Trainer, "_save", save)
    os.utime(sample_file(made_run.samples, "train", "kriged_causal"))  # made for another net meanwhile
    epochs = []
    monkeypatch.setattr(Trainer, "_epoch", lambda self, plain=Trainer._epoch: epochs.append(0) or plain(self))
    train(made_run, output)
    assert len(epochs) == 1, "only the missing epoch is run"
    assert equal(output, trained)
    assert not (tmp_path / "pscnet.resume.safetensors").exists()


def test_a_killed_run_does_not_resume_under_other_settings(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    """What the checkpoint says must be what it was trained with."""
    save = Trainer._save

    def die_after_first_epoch(self, path, fingerprint):
        save(self, path, fingerprint)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_save", die_after_first_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(made_run, tmp_path / "pscnet.safetensors")
    monkeypatch.setattr(Trainer, "_save", save)
    resumed = train(made_run, tmp_path / "pscnet.safetensors", leave_out_hours=24)
    assert equal(resumed, train(made_run, tmp_path / "fresh.safetensors", leave_out_hours=24))
    assert not equal(resumed, trained)


def test_a_killed_run_does_not_resume_under_another_torch(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    """Nor under other modules, near or far: all that training imports is behind the fingerprint."""
    code = {path.name for path in behind(Path(training_files.__file__))}
    assert {"files.py", "trainer.py", "losses.py", "pscnet.py", "grids.py", "timeaxis.py", "regrid.py"} <= code
    assert not {"page.py", "product.py"} & code
    seen = []
    monkeypatch.setattr(Trainer, "run", lambda self, resume, fingerprint: seen.append(fingerprint))
    for version in ("1.0", "1.0", "2.0"):
        monkeypatch.setattr(torch, "__version__", version)
        with pytest.raises(SampleError, match="never finite"):
            train(made_run, tmp_path / "pscnet.safetensors")
    assert seen[0] == seen[1] != seen[2]


def test_the_variance_scale_fits_residuals_beside_known_noise():
    generator = torch.Generator().manual_seed(0)
    variance, extra = torch.rand(20000, generator=generator) + 0.5, torch.rand(20000, generator=generator)
    error2 = (2.5 * variance + extra) * torch.randn(20000, generator=generator) ** 2
    assert variance_scale(error2, variance, extra) == pytest.approx(2.5, rel=0.05)


def test_a_resume_file_of_other_options_is_not_used(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    output = tmp_path / "pscnet.safetensors"
    resume = tmp_path / "pscnet.resume.safetensors"
    write_tensors(resume, {"net.x": torch.zeros(1)}, {"fingerprint": "other", "progress": {}})
    train(made_run, output)
    assert equal(output, trained)


def test_a_damaged_resume_file_is_not_used(made_run, trained, tmp_path):  # noqa: F811
    output = tmp_path / "pscnet.safetensors"
    (tmp_path / "pscnet.resume.safetensors").write_bytes(b"half a file")
    train(made_run, output)
    assert equal(output, trained)


def test_the_seed_decides(made_run, trained, tmp_path):  # noqa: F811
    other = train(made_run, tmp_path / "a.safetensors", dataclasses.replace(OPTIONS, seed=1))
    assert not equal(other, trained)


def test_training_learns(trained):
    rows = np.genfromtxt(trained.with_suffix(".csv"), delimiter=",", names=True)
    assert rows["validation_loss"][-1] < rows["validation_loss"][0]
    assert list(rows["epoch"]) == [1, 2, 3]


def test_early_stopping_keeps_the_best(made_run, tmp_path, monkeypatch):  # noqa: F811
    losses = iter([0.5, 0.4, 0.6, 0.7, 0.1])
    monkeypatch.setattr(Trainer, "evaluate", lambda self, store: next(losses))
    output = train(made_run, tmp_path / "a.safetensors", dataclasses.replace(OPTIONS, epochs=5, patience=2))
    checkpoint = read_checkpoint(output)
    assert checkpoint.scores == {"validation_loss": 0.4, "epoch": 2}


def test_a_loss_that_is_not_finite_stops_with_names(made_run, tmp_path, monkeypatch):  # noqa: F811
    plain = trainer.area_average_loss
    monkeypatch.setattr(trainer, "area_average_loss", lambda *args: plain(*args) * torch.nan)
    with pytest.raises(SampleError, match=r"the loss is not finite at 2020-05-\d\d.*learning_rate"):
        train(made_run, tmp_path / "a.safetensors")


def test_a_checkpoint_comes_back_in_three_lines(trained):
    checkpoint = read_checkpoint(trained)
    net = checkpoint.net()
    assert checkpoint.spec.predictors == len(PREDICTORS)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in checkpoint.weights.items())


def test_a_checkpoint_of_other_channels_is_refused(made_run, trained):  # noqa: F811
    with pytest.raises(CheckpointError, match=r"channels of the data.*lacks d2m:day.*besides stl1:day.*train again"):
        downscale.Downscaler(trained, made_run.static, made_run.weights, ["swvl1", "tp", "d2m"])


def test_a_checkpoint_of_another_grid_is_refused(made_run, trained):  # noqa: F811
    checkpoint = read_checkpoint(trained)
    weights = downscale.read_weight_set(made_run.weights)["fine_to_coarse"]
    moved = weights.src.window(slice(1, None), slice(None))
    with pytest.raises(CheckpointError, match=r"fine grid of the data: shape \[19, 23\] expected, found \[20, 23\]"):
        checkpoint.require("c", moved, weights.dst, checkpoint.normaliser.channels)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x04pickle"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: a checkpoint .* expected"):
        read_checkpoint(path)


def fields(run, checkpoint: Path, folder: Path, **options) -> xr.Dataset:
    output = folder / "month.nc"
    downscale.write_month(
        run.files("predictors")[1], run.files("bands")[0], run.files("coarse"), run.files("smap"), run.static,
        run.weights, checkpoint, PREDICTORS, output, **options,
    )  # fmt: skip
    with xr.open_dataset(output) as data:
        return data.load()


def test_the_answer_does_not_depend_on_tile_or_batch(made_run, trained, tmp_path):  # noqa: F811
    whole = fields(made_run, trained, tmp_path)
    tiled = fields(made_run, trained, tmp_path, tile=8, batch_steps=3)
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        assert np.isfinite(whole[name]).any()
        np.testing.assert_allclose(tiled[name], whole[name], atol=1e-5)
    assert (tiled["flag"] == whole["flag"]).all()


def test_too_little_overlap_between_tiles_shows(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    """The control: with windows no larger than the tiles the answers differ."""
    whole = fields(made_run, trained, tmp_path)
    monkeypatch.setattr(downscale.Net, "reach_coarse_cells", lambda self, share: 0)
    tiled = fields(made_run, trained, tmp_path, tile=8)
    assert np.nanmax(np.abs(tiled["soil_moisture"].values - whole["soil_moisture"].values)) > 1e-4


def test_every_land_cell_has_a_value_and_sea_none(made_run, trained, tmp_path):  # noqa: F811
    month = fields(made_run, trained, tmp_path)
    with xr.open_dataset(made_run.static) as static:
        region = static["region"].values > 0
    assert month.sizes["time"] == 30 * 8
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        assert np.isfinite(month[name].values[:, region]).all()
        assert np.isnan(month[name].values[:, ~region]).all()
    assert (month["soil_moisture_uncertainty"].values[:, region] > 0).all()
    assert (month["flag"].values[:, ~region] == 32).all()
    assert ((month["flag"].values[:, region] & 8) > 0).mean() > 0.99


def test_an_uncertainty_is_no_larger_than_ignorance(made_run, trained):  # noqa: F811
    """What the net says in weather it never saw stays within what climatology knows, and grows with its variance."""
    downscaler = downscale.Downscaler(trained, made_run.static, made_run.weights, PREDICTORS, variance_factor=1.4)
    std = downscaler.field_std(np.array([0.5, 1.0, 400.0, np.nan], "f4"))
    assert std[0] < std[1] < std[2] <= np.sqrt(1.4 * 4) * downscaler.maker.normaliser.target_std
    assert np.isnan(std[3])


def test_the_last_month_works_without_a_following_one(made_run, trained, tmp_path):  # noqa: F811
    output = tmp_path / "m.nc"
    downscale.write_month(
        made_run.files("predictors")[2], made_run.files("bands")[1], made_run.files("coarse")[1:],
        made_run.files("smap")[1:], made_run.static, made_run.weights, trained, PREDICTORS, output,
    )  # fmt: skip
    assert output.exists()


def heldout(run, checkpoint: Path, output: Path, smap: list[Path]) -> xr.Dataset:
    write_heldout(
        MONTHS, run.files("predictors"), run.files("bands"), run.files("coarse"), smap, run.static, run.weights,
        checkpoint, run.covariance, PREDICTORS, run.split, output,
    )  # fmt: skip
    with xr.open_dataset(output) as data:
        assert data.attrs["causal"] == read_checkpoint(checkpoint).causal
        return data.load()


def change_overpass(run, folder: Path, stamp: str) -> list[Path]:
    """SMAP files in which the retrievals of one half-orbit are raised by 0.2."""
    paths = []
    for path in run.files("smap"):
        paths.append(folder / path.name)
        shutil.copy(path, paths[-1])
    with xr.open_dataset(paths[2]) as data:
        data = data.load()
    slot = round(float((np.datetime64(stamp) - np.datetime64("2020-07-01")) / np.timedelta64(12, "h")))
    data["soil_moisture"][slot] += 0.2
    assert np.isfinite(data["soil_moisture"][slot]).any()
    data.to_netcdf(paths[2])
    return paths


def depends_on_scored(run, checkpoint: Path, folder: Path) -> set[str]:
    """The methods whose held-out values change when the scored overpass itself is changed."""
    plain = heldout(run, checkpoint, folder / "plain.nc", run.files("smap"))
    stamp = str(np.unique(plain["time"].values)[len(np.unique(plain["time"].values)) // 2])[:16]
    changed = heldout(run, checkpoint, folder / "changed.nc", change_overpass(run, folder, stamp))
    at = plain["time"].values == np.datetime64(stamp)
    assert at.any()
    assert not np.allclose(plain["smap"][at], changed["smap"][at])
    return {name for name in METHODS if not np.array_equal(plain[name][at], changed[name][at])}


def test_no_path_sees_the_scored_overpass(made_run, trained, tmp_path):  # noqa: F811
    assert depends_on_scored(made_run, trained, tmp_path) == set()


def test_a_planted_leak_is_found(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    """The control: with leaving-out switched off, the same check names every method that looks at SMAP."""
    around = Retrievals.around
    monkeypatch.setattr(Retrievals, "around", lambda self, stamps, window, hours: around(self, stamps, window, None))
    assert depends_on_scored(made_run, trained, tmp_path) == {
        "pscnet",
        "smap_interpolated",
        "smap_kriged",
        "optimal_interpolation",
    }


def test_a_net_trained_up_to_the_test_days_is_refused(made_run, trained, tmp_path):  # noqa: F811
    """Its own buffer counts: with none, samples next to the test days saw retrievals of them."""
    checkpoint = read_checkpoint(trained)
    assert checkpoint.buffer_days == made_run.split.buffer_days == 8
    near = tmp_path / "near.safetensors"
    dataclasses.replace(checkpoint, buffer_days=0.0).write(near)
    with pytest.raises(ScoreError, match=r"near.*split\.validation\), lie within the window of 8 days"):
        heldout(made_run, near, tmp_path / "refused.nc", made_run.files("smap"))
    assert not (tmp_path / "refused.nc").exists()


def test_a_checkpoint_without_its_buffer_kept_the_window(trained, tmp_path):
    """As every configuration has to; such files can go on being read."""
    tensors, header = read_tensors(trained)
    del header["buffer_days"]
    write_tensors(tmp_path / "older.safetensors", tensors, header)
    assert read_checkpoint(tmp_path / "older.safetensors").buffer_days == WINDOW_DAYS


def test_training_never_sees_its_targets(made_run, tmp_path, monkeypatch):  # noqa: F811
    """Every batch of training and validation leaves its overpass out, and no test retrieval is input."""
    seen = []
    around = Retrievals.around

    def watched(self, stamps, window, hours):
        found = around(self, stamps, window, hours)
        for position, stamp in enumerate(stamps):
            used = found.weight[position] > 0
            seen.append((np.abs(found.age[position][used]).min() * 24, stamp + found.age[position][used].max() * DAY))
        return found

    monkeypatch.setattr(Retrievals, "around", watched)
    train(made_run, tmp_path / "a.safetensors", dataclasses.replace(OPTIONS, epochs=1))
    assert len(seen) > 50
    assert min(hours for hours, _ in seen) > 6
    assert max(latest for _, latest in seen) < np.datetime64("2020-07-01T00", "ns")


DAY = np.timedelta64(86400 * 10**9, "ns")
