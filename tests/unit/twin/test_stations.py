from __future__ import annotations

import warnings

import netCDF4
import numpy as np
import pytest
from ismn.interface import ISMN_Interface

from pscnet.twin import stations

from .conftest import MONTHS, Paths


@pytest.fixture(scope="module")
def archive(twin: Paths, tmp_path_factory: pytest.TempPathFactory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ISMN_Interface(
            str(twin.raw / "ismn"), parallel=False, meta_path=str(tmp_path_factory.mktemp("ismn")),
        )  # fmt: skip


def test_the_ismn_package_reads_the_files(archive) -> None:
    ids = archive.get_dataset_ids("soil_moisture", 0.0, 0.1)
    assert len(ids) == 4
    series, meta = archive.read(ids[0], return_meta=True)
    assert len(series) == 62 * 24 and str(series.index[0]) == "2016-07-01 00:00:00"
    assert meta[("instrument", "val")] == "5TM" and meta[("instrument", "depth_from")] == 0.05
    assert 31 < meta[("latitude", "val")] < 35 and meta[("lc_2010", "val")] == 130
    warm = archive.read(archive.get_dataset_ids("soil_temperature", 0.0, 0.1)[0])
    assert 0 < warm["soil_temperature"].median() < 25


def test_bad_values_are_flagged_and_good_ones_are_near_the_truth(twin: Paths, archive) -> None:
    flags, good = [], []
    for id_ in archive.get_dataset_ids("soil_moisture", 0.0, 0.1):
        series = archive.read(id_)
        flags.append(series["soil_moisture_flag"])
        good.append(series["soil_moisture"][series["soil_moisture_flag"] == "G"])
    codes = set(np.concatenate(flags))
    assert {"G", "D06"} <= codes and codes <= {"G", "C01", "C02", "D01", "D06"}
    assert np.mean(np.concatenate(flags) == "G") > 0.9
    values = np.concatenate(good)
    assert values.min() >= 0 and values.max() <= 0.6


def test_sensors_err_by_their_place_and_by_noise(twin: Paths) -> None:
    from pscnet.twin.world import build

    world = build((31.0, 33.9), (91.0, 93.9), 9)
    where = stations.place(world, 40)
    hours = np.arange(17000 * 24.0, 17030 * 24.0)
    truth = np.full((hours.size, 40), 0.2)
    moisture, temperature, flag = stations.measure(world, where, hours, truth, truth + 285.0)
    good = np.where(flag == "G", moisture, np.nan)
    place = np.nanmean(good, axis=0) - 0.2
    assert 0.015 < place.std() < 0.045
    assert 0.006 < np.nanstd(good - np.nanmean(good, axis=0)) < 0.025
    assert np.abs(temperature - 12.05).max() < 3


def test_months_of_different_runs_are_refused(twin: Paths, tmp_path) -> None:
    other = tmp_path / "other.nc"
    other.write_bytes(twin.of("stations", MONTHS[0]).read_bytes())
    with netCDF4.Dataset(other, "a") as file:
        file["latitude"][0] = 10.0
    with pytest.raises(ValueError, match="stations differ"):
        stations.write_ismn([twin.of("stations", MONTHS[1]), other], tmp_path / "ismn")
