"""Devices: on a GPU torch is asked to repeat itself while training runs, and only then."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
import torch

from pscnet.devices import WORKSPACE, deterministic
from pscnet.training import files as training_files
from pscnet.training.trainer import Trainer
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.test_training import train


def settings() -> tuple:
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    return *algorithms, torch.backends.cudnn.benchmark, os.environ.get(WORKSPACE)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """The settings of a user who wants speed."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)


def test_a_gpu_is_asked_to_repeat_itself_and_left_as_it_was():
    before = settings()
    with deterministic(torch.device("cuda")):
        assert settings() == (True, True, False, ":4096:8")
    assert settings() == before == (False, False, True, None)


def test_the_settings_come_back_after_an_error(monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    before = settings()
    with pytest.raises(KeyError), deterministic(torch.device("cuda:1")):
        assert settings() == (True, True, False, ":16:8"), "what the user set stays"
        raise KeyError
    assert settings() == before


def test_a_cpu_needs_nothing():
    before = settings()
    with deterministic(torch.device("cpu")):
        assert settings() == before


def test_training_runs_inside_from_the_first_work_to_the_calibration(made_run, tmp_path, monkeypatch):  # noqa: F811
    seen = []

    @contextmanager
    def watched(device):
        seen.append(f"enter {device}")
        yield
        seen.append("leave")

    monkeypatch.setattr(training_files, "deterministic", watched)
    hold, run, calibrate = training_files.SampleStore.to_device, Trainer.run, training_files.calibrate
    monkeypatch.setattr(training_files.SampleStore, "to_device", lambda *args: seen.append("hold") or hold(*args))
    monkeypatch.setattr(Trainer, "run", lambda *args: seen.append("run") or run(*args))
    monkeypatch.setattr(training_files, "calibrate", lambda *args: seen.append("calibrate") or calibrate(*args))
    train(made_run, tmp_path / "net.safetensors", training_files.Options(epochs=1, batch_steps=6, device="cpu"))
    assert seen == ["enter cpu", "hold", "hold", "run", "calibrate", "leave"]
