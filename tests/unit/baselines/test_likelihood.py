"""The fitted covariance: the gradient, known parameters found again, and only training retrievals used."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

from pscnet.baselines.covariance import Covariance, read_covariances
from pscnet.baselines.likelihood import START, Likelihood, draw_blocks, fit_covariance, write_covariance
from pscnet.baselines.rescaling import BACKGROUNDS
from pscnet.samples.bands import SampleError
from pscnet.timeaxis import make_split
from tests.unit.baselines.world import KNOWN, simulate, square
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS


@pytest.fixture(scope="module")
def few_blocks():
    retrievals = simulate(KNOWN, days=20, cells=5)
    return draw_blocks(retrievals, retrievals.precision > 0, square(5), 8.0, count=6, size=30)


def test_the_value_is_the_gaussian_log_likelihood(few_blocks):
    """Against scipy, block by block; one block is cut short."""
    few_blocks.scale[0, 20:] = np.inf
    few_blocks.innovation[0, 20:] = 0
    total = 0.0
    for b in range(few_blocks.scale.shape[0]):
        there = np.isfinite(few_blocks.scale[b])
        matrix = KNOWN.matrix(*(getattr(few_blocks, n)[b, there] for n in ("north", "east", "time", "scale")))
        total += multivariate_normal(None, matrix).logpdf(few_blocks.innovation[b, there])
    count = np.isfinite(few_blocks.scale).sum()
    value = Likelihood(few_blocks)(np.log(dataclasses.astuple(KNOWN)))[0]
    assert -value - 0.5 * np.log(2 * np.pi) == pytest.approx(total / count, rel=1e-9)


def test_the_gradient_is_that_of_the_value(few_blocks):
    likelihood = Likelihood(few_blocks)
    at = np.log(dataclasses.astuple(KNOWN))
    gradient = likelihood(at)[1]
    for parameter in range(at.size):
        step = np.zeros(at.size)
        step[parameter] = 1e-5
        difference = (likelihood(at + step)[0] - likelihood(at - step)[0]) / 2e-5
        assert gradient[parameter] == pytest.approx(difference, rel=1e-4, abs=1e-8)


@pytest.fixture(scope="module")
def fitted() -> Covariance:
    retrievals = simulate(KNOWN)
    assert (retrievals.precision > 0).sum() > 1500
    return fit_covariance(draw_blocks(retrievals, retrievals.precision > 0, square(9), 8.0, count=150))[0]


@pytest.mark.parametrize(
    ("parameter", "tolerance"),
    {"variance": 0.4, "length_km": 0.4, "days": 0.4, "white": 0.08, "shared": 0.25, "shared_km": 0.4}.items(),
)
def test_known_parameters_are_found_again(fitted, parameter, tolerance):
    """From about 2500 retrievals; the noise is known best, since every retrieval has its own."""
    assert getattr(fitted, parameter) == pytest.approx(getattr(KNOWN, parameter), rel=tolerance)


def test_noise_without_a_shared_part_is_found_to_be_white(fitted):
    """The control: the same fit tells no shared noise from some."""
    alone = dataclasses.replace(KNOWN, shared=1e-4)
    retrievals = simulate(alone)
    found = fit_covariance(draw_blocks(retrievals, retrievals.precision > 0, square(9), 8.0, count=150))[0]
    assert found.shared**2 < 0.12 * fitted.shared**2
    assert found.white == pytest.approx(KNOWN.white, rel=0.08)


def test_the_search_ends_where_no_direction_is_better(few_blocks):
    found, likelihood = fit_covariance(few_blocks)
    value = Likelihood(few_blocks)
    assert likelihood == pytest.approx(-value(np.log(dataclasses.astuple(found)))[0])
    spread = few_blocks.innovation.std()
    start = np.array(START) * np.array([spread**2, 1, 1, spread, spread, 1])
    assert likelihood > -value(np.log(start))[0]
    assert likelihood >= -value(np.log(dataclasses.astuple(KNOWN)))[0] - 1e-6


def write(run, output, smap=None, split=None):
    months = MONTHS[:3]
    names = ("fine_to_coarse", "coarse_to_fine")
    write_covariance(
        run.files("coarse", months), smap or run.files("smap", months), run.static, run.normaliser,
        {name: run.weights[name] for name in names}, split or run.split, 8, output,
    )  # fmt: skip
    return read_covariances(output)


def changed(run, folder, month):
    """SMAP files of which one month is another draw."""
    folder.mkdir()
    paths = [shutil.copy(path, folder / path.name) for path in run.files("smap")]
    with xr.open_dataset(folder / f"{month}.nc") as data:
        data = data.load()
    data["soil_moisture"] += np.random.default_rng(5).normal(0, 0.05, data["soil_moisture"].shape).astype("f4")
    data.to_netcdf(folder / f"{month}.nc")
    return paths


def test_only_the_training_split_counts(made_run, tmp_path, monkeypatch):  # noqa: F811
    """Noise in validation or test retrievals changes nothing; the control, noise in training ones, does."""
    monkeypatch.setattr("pscnet.baselines.likelihood.draw_blocks.__defaults__", (0, 20, 30))
    plain = write(made_run, tmp_path / "plain.json")
    assert set(plain) == set(BACKGROUNDS)
    for month in MONTHS[1:]:
        other = write(made_run, tmp_path / f"{month}.json", changed(made_run, tmp_path / month, month))
        assert other == plain
    other = write(made_run, tmp_path / "train.json", changed(made_run, tmp_path / "train", MONTHS[0]))
    assert all(other[name].white > plain[name].white for name in plain)


def test_a_training_split_without_retrievals_is_an_error_in_words(made_run, tmp_path):  # noqa: F811
    parts = {"train": ["2020-05-01/2020-05-02"], "validation": ["2020-06"], "test": ["2020-07"]}
    split = make_split(parts, (MONTHS[0], MONTHS[-1]), 8)
    split = dataclasses.replace(split, blocks={**split.blocks, "train": ()})
    with pytest.raises(SampleError, match=r"0 training retrievals .* lengthen split\.train"):
        write(made_run, tmp_path / "covariance.json", split=split)
