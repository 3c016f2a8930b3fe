"""A month is a function of the seed, its date and the month before; controls do what they are named after."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest

from pscnet.grids import ease2_grid
from pscnet.twin import month as twin_month
from pscnet.twin import stations
from pscnet.twin.era5_files import INSTANT_MEMBER, file_name
from pscnet.twin.smap_like import Radiometer
from pscnet.twin.world import build

from .conftest import LAT, LON, MONTHS, PREDICTORS, SEED, Paths, simulate


def truth_of(paths: Paths, month: str) -> np.ndarray:
    with netCDF4.Dataset(paths.of("truth", month)) as file:
        return np.asarray(file["soil_moisture"][:])


def predictor(paths: Paths, month: str, name: str, folder: Path) -> np.ndarray:
    with zipfile.ZipFile(paths.raw / "era5_land" / file_name(month)) as archive:
        archive.extract(INSTANT_MEMBER, folder)
    with netCDF4.Dataset(folder / INSTANT_MEMBER) as file:
        return np.asarray(file[name][:])


def smap_values(paths: Paths) -> dict[str, np.ndarray]:
    values = {}
    for path in sorted((paths.raw / "smap").glob("*201607*.h5")):
        with h5py.File(path) as file:
            values[path.name] = file["Soil_Moisture_Retrieval_Data_AM/soil_moisture"][:]
    return values


def test_equal_runs_write_equal_bytes(twin: Paths, tmp_path: Path) -> None:
    again = simulate(tmp_path, MONTHS[1], twin.of("state", MONTHS[0]))
    for kind in ("smap", "era5_land"):
        first, second = (json.loads(paths.of(kind, MONTHS[1]).read_text())["files"] for paths in (twin, again))
        assert [(e["path"], e["sha256"]) for e in first] == [(e["path"], e["sha256"]) for e in second]
    assert np.array_equal(truth_of(twin, MONTHS[1]), truth_of(again, MONTHS[1]))


def test_another_seed_is_another_world(twin: Paths, tmp_path: Path) -> None:
    other = simulate(tmp_path, MONTHS[0], None, seed=SEED + 1, spin_up_days=5, predictors=("swvl1",))
    a, b = truth_of(twin, MONTHS[0]), truth_of(other, MONTHS[0])
    assert abs(np.corrcoef((a - a.mean(0)).ravel(), (b - b.mean(0)).ravel())[0, 1]) < 0.35


def test_two_months_in_one_go_equal_one_after_the_other(twin: Paths) -> None:
    world = build(LAT, LON, SEED)
    radiometer = Radiometer(world, ease2_grid(LAT, LON))
    where = stations.place(world, 4)
    first, middle = twin_month.month_days(MONTHS[0])
    last = twin_month.month_days(MONTHS[1])[1]
    run = twin_month._Run(world, None, (first - 20) * 24.0, None)
    twin_month._spin_up(run, radiometer, 20)
    together = twin_month._simulate(run, radiometer, (first, last), ("swvl1",), where)
    steps = (middle - first) * 8
    assert np.array_equal(together.liquid[:steps], truth_of(twin, MONTHS[0]))
    assert np.array_equal(together.liquid[steps:], truth_of(twin, MONTHS[1]))


def test_the_physical_state_matters_and_fades(twin: Paths, tmp_path: Path) -> None:
    """August after a spin-up of its own differs from August after July, and less and less so."""
    cold = simulate(tmp_path, MONTHS[1], None, spin_up_days=2, predictors=("swvl1",))
    difference = np.abs(truth_of(cold, MONTHS[1]) - truth_of(twin, MONTHS[1])).mean(axis=(1, 2))
    assert difference[:8].mean() > 1e-3
    assert difference[-40:].mean() < 0.6 * difference[:8].mean()


def test_perfect_control_hands_out_the_truth(twin: Paths, tmp_path: Path) -> None:
    perfect = simulate(tmp_path, MONTHS[0], None, control="perfect", predictors=("swvl1", "t2m"))
    swvl1 = predictor(perfect, MONTHS[0], "swvl1", tmp_path)
    assert np.abs(swvl1 - truth_of(perfect, MONTHS[0])).max() < 2e-5
    # The world is the same as without the control; the model is not.
    assert np.array_equal(truth_of(perfect, MONTHS[0]), truth_of(twin, MONTHS[0]))
    usual = predictor(twin, MONTHS[0], "swvl1", tmp_path / "usual")
    assert np.abs(usual - truth_of(twin, MONTHS[0])).mean() > 0.02


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """The first month with predictors that know nothing."""
    return simulate(tmp_path_factory.mktemp("null"), MONTHS[0], None, control="null", predictors=("swvl1",))


def test_null_control_tells_nothing_about_this_world(twin: Paths, null: Paths, tmp_path: Path) -> None:
    assert np.array_equal(truth_of(null, MONTHS[0]), truth_of(twin, MONTHS[0]))

    def skill(paths: Paths, folder: Path) -> float:
        a, b = truth_of(paths, MONTHS[0]), predictor(paths, MONTHS[0], "swvl1", folder)
        return float(np.corrcoef((a - a.mean(0)).ravel(), (b - b.mean(0)).ravel())[0, 1])

    assert skill(twin, tmp_path / "usual") > skill(null, tmp_path / "null") + 0.25


def test_controls_leave_the_retrievals_alone(twin: Paths, null: Paths) -> None:
    usual, changed = smap_values(twin), smap_values(null)
    assert usual.keys() == changed.keys() and len(usual) > 25
    assert all(np.array_equal(usual[name], changed[name]) for name in usual)


def test_bad_requests_are_refused_with_what_to_do(twin: Paths, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose among these"):
        simulate(tmp_path, MONTHS[0], None, predictors=("swvl1", "asn"))
    with pytest.raises(ValueError, match="expected one of none, null, perfect"):
        simulate(tmp_path, MONTHS[0], None, control="prefect")
    with pytest.raises(ValueError, match="run the chain of months again"):
        simulate(tmp_path, MONTHS[0], twin.of("state", MONTHS[0]))
    with pytest.raises(ValueError, match="run the chain of months again"):
        simulate(tmp_path, MONTHS[1], twin.of("state", MONTHS[0]), seed=SEED + 1)
    with pytest.raises(ValueError, match="no station months"):
        twin_month.write_stations([], tmp_path, tmp_path / "done.json")


def test_sea_is_missing_in_the_reanalysis(tmp_path: Path) -> None:
    sea = np.zeros((24, 24), bool)
    sea[:, :3] = True
    paths = simulate(tmp_path, MONTHS[0], None, sea=sea, predictors=("swvl1",), spin_up_days=2)
    swvl1 = predictor(paths, MONTHS[0], "swvl1", tmp_path)
    assert np.isnan(swvl1[:, sea]).all() and np.isfinite(swvl1[:, ~sea]).all()


def test_hour_before_the_month_is_carried_for_the_first_morning(twin: Paths) -> None:
    with netCDF4.Dataset(twin.of("state", MONTHS[0])) as file:
        assert file["footprints"].shape[:2] == (twin_month.CARRIED_HOURS, len(Radiometer.FIELDS))
        assert set(PREDICTORS) & {"tp", "e"} and {"total_tp", "total_e"} <= set(file.variables)
