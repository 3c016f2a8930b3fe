"""Ensembles: the mean of the members, the mean of their variances, and which members go together."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pscnet.checkpoint import CheckpointError, read_checkpoint
from pscnet.downscale import Downscaler
from pscnet.samples.retrievals import Retrievals
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import NOISE, PREDICTORS
from tests.unit.test_training import OPTIONS, fields, train

WANTED = np.array(["2020-06-12T03", "2020-06-12T06", "2020-06-20T18"], "M8[ns]")


@pytest.fixture(scope="module")
def members(made_run, tmp_path_factory) -> list[Path]:  # noqa: F811
    """Three seeds, at a learning rate at which they come out far from each other."""
    folder, options = tmp_path_factory.mktemp("members"), dataclasses.replace(OPTIONS, epochs=1, learning_rate=0.02)
    seeds = [dataclasses.replace(options, seed=seed) for seed in range(3)]
    return [train(made_run, folder / f"net_{each.seed}.safetensors", each) for each in seeds]


def moments(run, checkpoints, monkeypatch, **options) -> dict[str, np.ndarray]:
    """Mean [m3 m-3], total variance (standardised) and parts at some steps."""
    monkeypatch.setattr(Downscaler, "field_std", lambda self, variance: variance)
    made = Downscaler(checkpoints, run.static, run.weights, PREDICTORS, **options)
    background = made.maker.normaliser.background
    retrievals = Retrievals.from_files(run.files("smap"), run.files("coarse"), background, NOISE)
    files = run.files("predictors")[1], run.files("bands")[0]
    found = list(made.fields(*files, retrievals, WANTED, with_parts=True))
    names = ("soil_moisture", "uncertainty")
    joined = {name: np.concatenate([getattr(part, name) for part in found]) for name in names}
    parts = {name: np.concatenate([part.parts[name] for part in found]) for name in found[0].parts}
    return {name: field[:, made.maker.region] for name, field in (joined | parts).items()}


def test_an_ensemble_is_the_mean_of_its_members_and_of_their_variances(made_run, members, monkeypatch):  # noqa: F811
    """Lakshminarayanan et al. 2017, section 2.4."""
    single = [moments(made_run, path, monkeypatch) for path in members]
    together = moments(made_run, members, monkeypatch)
    means = np.stack([part["soil_moisture"] for part in single])
    spread = means.std(0) / read_checkpoint(members[0]).normaliser.target_std
    variance = np.mean([part["uncertainty"] for part in single], 0)
    np.testing.assert_allclose(together["uncertainty"], variance, rtol=1e-3)
    assert (spread**2).max() > 0.01 * variance.mean(), "the members differ: their spread would show"
    assert not np.allclose(together["uncertainty"], variance + spread**2, rtol=1e-3)


def test_the_parts_of_an_ensemble_add_up(made_run, members, monkeypatch):  # noqa: F811
    found = moments(made_run, members, monkeypatch)
    total = found["background"] + found["innovation"] + found["residual"]
    np.testing.assert_allclose(total, found["soil_moisture"], atol=1e-5)


def test_the_order_of_members_does_not_matter(made_run, members, monkeypatch):  # noqa: F811
    one, other = (moments(made_run, list(paths), monkeypatch) for paths in (members, reversed(members)))
    np.testing.assert_allclose(one["soil_moisture"], other["soil_moisture"], atol=1e-6)
    np.testing.assert_allclose(one["uncertainty"], other["uncertainty"], rtol=1e-5)


def test_every_members_own_calibration_counts(made_run, members, tmp_path, monkeypatch):  # noqa: F811
    doubled = dataclasses.replace(one := read_checkpoint(members[0]), variance_scale=3 * one.variance_scale)
    doubled.write(tmp_path / "net.safetensors")
    plain = moments(made_run, members[0], monkeypatch)["uncertainty"]
    both = moments(made_run, [members[0], tmp_path / "net.safetensors"], monkeypatch)["uncertainty"]
    np.testing.assert_allclose(both, 2 * plain, rtol=1e-4)


def test_a_product_of_identical_members_is_that_of_the_one(made_run, members, tmp_path):  # noqa: F811
    one, two = (fields(made_run, paths, tmp_path) for paths in (members[:1], members[:1] * 2))
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        np.testing.assert_allclose(two[name], one[name], atol=1e-6)
    assert (one["flag"] == two["flag"]).all()


CHANGES = {
    "causal": {"causal": True},
    "window_days": {"window_days": 6.0},
    "leave_out_hours": {"leave_out_hours": 12.0},
    "split": {"split": {"train": [], "validation": [], "test": []}},
    "covariance": {"covariance": None},
    "buffer_days": {"buffer_days": 0.0},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_member_trained_on_other_data_is_refused_and_the_difference_named(
    made_run, members, tmp_path, name  # noqa: F811
):  # fmt: skip
    other = tmp_path / "other.safetensors"
    dataclasses.replace(read_checkpoint(members[1]), **CHANGES[name]).write(other)
    with pytest.raises(CheckpointError, match=rf"other.*: a member trained as .*net_0.* {name} differ; delete"):
        Downscaler([members[0], other], made_run.static, made_run.weights, PREDICTORS)


def test_a_member_of_another_normaliser_or_net_is_refused(made_run, members, tmp_path):  # noqa: F811
    one = read_checkpoint(members[1])
    statistics = dataclasses.replace(one.normaliser, target_mean=one.normaliser.target_mean + 0.01)
    dataclasses.replace(one, normaliser=statistics).write(tmp_path / "a.safetensors")
    dataclasses.replace(one, spec=dataclasses.replace(one.spec, dropout=0.3)).write(tmp_path / "b.safetensors")
    for path, what in (("a", "normaliser"), ("b", "spec")):
        with pytest.raises(CheckpointError, match=f"expected, {what} differ"):
            Downscaler([members[0], tmp_path / f"{path}.safetensors"], made_run.static, made_run.weights, PREDICTORS)


def test_members_of_other_seeds_go_together(made_run, members):  # noqa: F811
    """The control of the refusals."""
    assert len(Downscaler(members, made_run.static, made_run.weights, PREDICTORS).nets) == 3
