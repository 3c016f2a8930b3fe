"""Retrievals of a held-out region never reach training: wild values in it change no statistic, sample or target."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pscnet.samples.files import write_kriged_file, write_sample_files
from pscnet.samples.normaliser import Normaliser, write_normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import sample_file
from pscnet.sources.smap import withhold
from pscnet.weights import read_weights
from tests.unit.samples.run import LEAVE_OUT_HOURS, MONTHS, NOISE, WINDOW_DAYS, MadeRun, make_run

BOX = {"lat": (31.6, 32.4), "lon": (91.8, 92.6)}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> MadeRun:
    return make_run(tmp_path_factory.mktemp("untouched"))


def learnt(run: MadeRun, folder: Path, wild: float, withheld: bool) -> dict[str, str]:
    """Digests of all that training is made of, with ``wild`` added to the retrievals in the box."""
    shutil.copytree(run.folder, folder)
    made = MadeRun(folder, run.fine, run.coarse)
    for path in made.files("smap"):
        with xr.open_dataset(path) as data:
            month = data.load()
        inside = withhold(month.assign(quality=month["surface_flag"]), run.coarse, [BOX])["soil_moisture_withheld"]
        assert np.isfinite(inside).any()
        month["soil_moisture"] = month["soil_moisture"] + np.where(np.isfinite(inside), wild, 0.0).astype("f4")
        if withheld:
            month = withhold(month.assign(quality=month["surface_flag"]), run.coarse, [BOX])
        month.to_netcdf(path)
    train = [MONTHS[0]]
    write_normaliser(
        made.files("bands", train), made.files("coarse", train), made.files("smap", train), made.static, made.weights,
        made.split, NOISE, made.normaliser,
    )  # fmt: skip
    conservative = read_weights(made.weights["fine_to_coarse"])
    write_sample_files(
        MONTHS, made.files("predictors"), made.files("bands"), made.files("coarse"), made.files("smap"), made.static,
        made.normaliser, conservative, made.split, "train", WINDOW_DAYS, made.samples,
    )  # fmt: skip
    write_kriged_file(
        made.files("coarse"), made.files("smap"), sample_file(made.samples, "train", "stamps"), made.normaliser,
        made.covariance, conservative, made.split, WINDOW_DAYS, LEAVE_OUT_HOURS, False,
        sample_file(made.samples, "train", "kriged"),
    )  # fmt: skip
    files = [made.normaliser, *sorted(made.samples.glob("*.npy"))]
    assert len(files) == 5
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} | {
        "targets": hashlib.sha256(_targets(made).tobytes()).hexdigest()
    }


def _targets(run: MadeRun) -> np.ndarray:
    """Everything that a net is judged against, or sees."""
    statistics = Normaliser.read(run.normaliser)
    retrievals = Retrievals.from_files(run.files("smap"), run.files("coarse"), statistics.background, NOISE)
    return np.nan_to_num(np.stack([retrievals.value, retrievals.innovation, retrievals.precision]))


def test_nothing_that_is_learnt_depends_on_withheld_retrievals(untouched, tmp_path):
    plain = learnt(untouched, tmp_path / "plain", 0.0, withheld=True)
    wild = learnt(untouched, tmp_path / "wild", 0.3, withheld=True)
    assert plain == wild


def test_the_control_the_same_values_in_sight_change_all_of_it(untouched, tmp_path):
    plain = learnt(untouched, tmp_path / "plain", 0.0, withheld=False)
    wild = learnt(untouched, tmp_path / "wild", 0.3, withheld=False)
    changed = {name for name in plain if plain[name] != wild[name]}
    assert {"normaliser.nc", "train.background.npy", "train.kriged.npy", "targets"} <= changed
