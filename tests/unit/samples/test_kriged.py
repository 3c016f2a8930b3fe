"""Kriged innovations of samples: what they are, and that neither the scored overpass nor the test split is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pscnet.baselines.covariance import Spacing, read_covariances
from pscnet.baselines.kriging import krige
from pscnet.samples.files import learnt_retrievals, write_kriged_file
from pscnet.samples.kriged import COVARIANCE, kriged_channels, kriging
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import read_stamps, sample_file
from pscnet.timeaxis import nearest_stamp
from pscnet.weights import read_weights
from tests.unit.samples.run import LEAVE_OUT_HOURS, WINDOW_DAYS, MadeRun


def raised(run: MadeRun, folder: Path, wanted, by: float = 0.2) -> list[Path]:
    """SMAP files in which the retrievals whose stamps are ``wanted`` are raised; by NaN, taken away."""
    folder.mkdir(parents=True)
    paths, changed = [], 0
    for path in run.files("smap"):
        with xr.open_dataset(path) as data:
            data = data.load()
        month = np.datetime64(path.stem, "ns")
        hours = np.where(np.isfinite(data["time_offset"]), data["time_offset"], 0.0)
        here = wanted(nearest_stamp(month + np.round(hours * 3600).astype("m8[s]")))
        changed += int((here & np.isfinite(data["soil_moisture"].values)).sum())
        data["soil_moisture"] = data["soil_moisture"] + np.where(here, by, 0.0).astype("f4")
        paths.append(folder / path.name)
        data.to_netcdf(paths[-1])
    assert changed > 5
    return paths


def kriged(run: MadeRun, smap: list[Path], output: Path, window_days: float = WINDOW_DAYS) -> np.ndarray:
    """The validation samples' channels (sample, 2, y, x) from other SMAP files."""
    write_kriged_file(
        run.files("coarse"), smap, sample_file(run.samples, "validation", "stamps"), run.normaliser, run.covariance,
        read_weights(run.weights["fine_to_coarse"]), run.split, window_days, LEAVE_OUT_HOURS, False, output,
    )  # fmt: skip
    return np.load(output)


@pytest.fixture(scope="module")
def stamps(made_run) -> np.ndarray:
    return read_stamps(sample_file(made_run.samples, "validation", "stamps"))


def test_channels_are_the_increment_and_its_error_relative_to_the_signal(made_run, stamps):
    statistics = Normaliser.read(made_run.normaliser)
    covariance = read_covariances(made_run.covariance)[COVARIANCE]
    retrievals = learnt_retrievals(made_run.files("smap"), made_run.files("coarse"), statistics, made_run.split)
    seen = retrievals.around(stamps[[4]], WINDOW_DAYS, LEAVE_OUT_HOURS)
    increment, std = krige(seen, covariance, Spacing.of(made_run.coarse))
    found = np.load(sample_file(made_run.samples, "validation", "kriged"))[4]
    np.testing.assert_allclose(found[0], increment[0] / statistics.target_std, atol=1e-6)
    np.testing.assert_allclose(found[1], std[0] / np.sqrt(covariance.variance), atol=1e-6)
    assert (found[1] > 0).all() and (found[1] < 1).any() and np.abs(found[0]).max() > 0.05


def test_without_retrievals_nothing_is_known(made_run, stamps):
    statistics = Normaliser.read(made_run.normaliser)
    covariance = read_covariances(made_run.covariance)[COVARIANCE]
    retrievals = learnt_retrievals(made_run.files("smap"), made_run.files("coarse"), statistics, made_run.split)
    spacing = Spacing.of(made_run.coarse)
    nothing = kriged_channels(retrievals.around(stamps[:1], 0.1, 6), covariance, spacing, 0.05)
    assert (nothing[:, 0] == 0).all() and np.allclose(nothing[:, 1], 1.0)
    half = np.arange(made_run.coarse.size).reshape(made_run.coarse.shape) % 2 == 0
    seen = retrievals.around(stamps[:1], WINDOW_DAYS, 6)
    found = kriged_channels(seen, covariance, spacing, 0.05, half)
    assert (found[:, 0, ~half] == 0).all() and (found[:, 1, ~half] == 1).all() and (found[:, 1, half] < 1).any()


def differing(made_run, folder: Path, stamps: np.ndarray, **options) -> tuple[bool, bool]:
    """Whether the channels of a sample, and those of others, change with the sample's own overpass."""
    position = len(stamps) // 2
    smap = raised(made_run, folder / "smap", lambda stamp: stamp == stamps[position])
    plain = kriged(made_run, made_run.files("smap"), folder / "plain.npy", **options)
    changed = kriged(made_run, smap, folder / "changed.npy", **options)
    same = np.isclose(plain, changed, atol=1e-6).all((1, 2, 3))
    return bool(~same[position]), bool((~np.delete(same, position)).any())


def test_the_scored_overpass_is_not_in_its_own_sample(made_run, stamps, tmp_path):
    assert differing(made_run, tmp_path, stamps) == (False, True), "others see it"


def test_a_planted_leak_is_found(made_run, stamps, tmp_path, monkeypatch):
    """The control: with leaving-out switched off."""
    around = Retrievals.around
    monkeypatch.setattr(Retrievals, "around", lambda self, stamps, window, hours: around(self, stamps, window, None))
    assert differing(made_run, tmp_path, stamps) == (True, True)


def sees_test(made_run, folder: Path) -> bool:
    """Whether samples change with test retrievals, with a window that would reach them over the buffer.

    The last weeks before are emptied: of many retrievals, kriging takes the nearest only.
    """
    test, before = np.datetime64("2020-07-01"), np.datetime64("2020-06-10")
    raised(made_run, folder / "emptied" / "smap", lambda stamp: (stamp >= before) & (stamp < test), np.nan)
    run = replace(made_run, folder=folder / "emptied")
    smap = raised(run, folder / "smap", lambda stamp: stamp >= test)
    files = {"plain": run.files("smap"), "changed": smap}
    plain, changed = (kriged(made_run, paths, folder / f"{name}.npy", 14.0) for name, paths in files.items())
    return not np.allclose(plain, changed, atol=1e-6)


def test_no_test_retrieval_is_in_any_sample(made_run, tmp_path):
    assert not sees_test(made_run, tmp_path)


def test_test_retrievals_that_are_not_hidden_show(made_run, tmp_path, monkeypatch):
    """The control."""
    monkeypatch.setattr(Retrievals, "hide", lambda self, which: None)
    assert sees_test(made_run, tmp_path)


def test_causal_samples_lie_in_a_file_of_their_own(made_run):
    both = [np.load(sample_file(made_run.samples, "validation", kriging(causal))) for causal in (False, True)]
    assert kriging(False) != kriging(True) and not np.allclose(*both)
    assert (both[1][:, 1] >= both[0][:, 1] - 1e-5).all(), "fewer retrievals tell less"
