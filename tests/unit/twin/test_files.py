"""The provider files: what is inside, and that it is where the real files have it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import rasterio

from pscnet.grids import ease2_grid, regular_grid
from pscnet.twin.era5_files import ACCUM_MEMBER, INSTANT_MEMBER, file_name, quantised, running_totals
from pscnet.twin.month import granule_fate
from pscnet.twin.smap_files import empty_granule
from pscnet.twin.smap_layout import AM_GROUP, FIELDS, PM_GROUP

from .conftest import LAT, LON, MONTHS, PREDICTORS, SEED, Paths


def test_a_granule_has_the_structure_of_a_real_one(realdata: Path, tmp_path: Path) -> None:
    structure = json.loads((realdata / "spl3smp_v008_structure.json").read_text())
    path = tmp_path / "granule.h5"
    path.write_bytes(empty_granule())
    with h5py.File(path) as file:
        for group, datasets in structure.items():
            assert set(file[group]) == set(datasets)
            for name, expected in datasets.items():
                dataset = file[group][name]
                assert list(dataset.shape) == expected["shape"] and dataset.dtype == np.dtype(expected["dtype"]), name
                assert dataset.chunks == (1, *dataset.shape[1:]) and dataset.compression_opts == 2
                found = {key: _plain(value) for key, value in dataset.attrs.items()}
                attributes = dict(expected["attrs"])
                link = attributes.pop("HDF5_HARDLINK", None)
                if link:
                    assert file[link] == dataset, name
                for drop in (found, attributes):
                    drop.pop("long_name", None)  # worded here
                assert found.keys() == attributes.keys(), name
                for key, value in attributes.items():
                    assert found[key] == (pytest.approx(value) if isinstance(value, float) else value), (name, key)
    assert len(FIELDS) == 53


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def granules(twin: Paths) -> list[Path]:
    return sorted((twin.raw / "smap").glob("*.h5"))


def test_granules_hold_values_in_the_box_only_and_agree_with_themselves(twin: Paths) -> None:
    coarse = ease2_grid(LAT, LON)
    rows = slice(coarse.row0, coarse.row0 + coarse.shape[0])
    columns = slice(coarse.col0, coarse.col0 + coarse.shape[1])
    holes = 0
    for path in granules(twin)[::5]:
        with h5py.File(path) as file:
            day = file["Metadata/Extent"].attrs["rangeBeginningDateTime"]
            assert day.startswith(f"{path.name[13:17]}-{path.name[17:19]}-{path.name[19:21]}T00:00:00.000Z")
            for group, suffix in ((AM_GROUP, ""), (PM_GROUP, "_pm")):
                if group not in file:
                    continue
                value = file[group]["soil_moisture" + suffix][:]
                assert value.shape == (406, 964) and value.dtype == np.float32
                inside = np.zeros(value.shape, bool)
                inside[rows, columns] = True
                assert (value[~inside] == -9999).all()
                seconds = file[group]["tb_time_seconds" + suffix][rows, columns]
                seen = seconds != -9999
                holes += (~seen).sum()
                assert (file[group]["latitude" + suffix][rows, columns][~seen] == -9999).all()
                index = file[group]["EASE_row_index" + suffix][rows, columns]
                assert (index[~seen] == 65534).all()
                assert (index[seen] == (np.indices(coarse.shape)[0] + coarse.row0)[seen]).all()
                text = file[group]["tb_time_utc" + suffix][rows, columns][seen]
                stamps = np.datetime64("2000-01-01T12:00:00") + (seconds[seen] * 1000).round().astype("m8[ms]")
                assert all(
                    abs(np.datetime64(t.decode().rstrip("Z")) - s) <= np.timedelta64(1, "ms")
                    for t, s in zip(text, stamps, strict=True)
                )
                valid = value[rows, columns]
                assert ((valid == -9999) | ((valid >= 0.02) & (valid <= 0.5))).all()
    assert holes > 0


def test_over_a_year_days_are_missing_doubled_and_halved() -> None:
    fates = [granule_fate(SEED, 17000 + k) for k in range(365)]
    share = {fate: fates.count(fate) / 365 for fate in set(fates)}
    assert set(share) == {"normal", "missing", "twice", "half"}
    assert share["normal"] > 0.85


def test_manifests_name_what_is_there_and_the_days_that_are_not(twin: Paths) -> None:
    for month in MONTHS:
        manifest = json.loads(twin.of("smap", month).read_text())
        assert manifest["source"] == "smap" and manifest["made_by"] == "twin" and manifest["month"] == month
        dates = {f"{name[13:17]}-{name[17:19]}-{name[19:21]}" for name in (e["provider_id"] for e in manifest["files"])}
        assert len(dates) + len(manifest["missing"]["days"]) == 31
        for entry in manifest["files"]:
            assert (Path(manifest["root"]) / entry["path"]).stat().st_size == entry["size"]
        weather = json.loads(twin.of("era5_land", month).read_text())
        assert weather["files"][0]["variables"] == list(PREDICTORS)


def members(twin: Paths, month: str, folder: Path) -> dict[str, netCDF4.Dataset]:
    with zipfile.ZipFile(twin.raw / "era5_land" / file_name(month)) as archive:
        archive.extractall(folder)
    return {name: netCDF4.Dataset(folder / name) for name in (INSTANT_MEMBER, ACCUM_MEMBER)}


def test_a_month_of_weather_has_the_header_of_a_real_file(twin: Paths, tmp_path: Path, realdata: Path) -> None:
    folder = realdata / "western_australia_2020_01" / "era5_land"
    with netCDF4.Dataset(folder / "era5_land_swvl1_2020-01.nc") as real:
        files = members(twin, MONTHS[0], tmp_path)
        made = files[INSTANT_MEMBER]
        assert made["swvl1"].dimensions == real["swvl1"].dimensions
        missing = set(real["swvl1"].ncattrs()) - set(made["swvl1"].ncattrs()) - {"GRIB_depthBelowLandLayer"}
        assert not missing
        for name in ("number", "valid_time", "expver", "latitude", "longitude"):
            assert made[name].dtype == real[name].dtype and made[name].dimensions == real[name].dimensions
            assert set(real[name].ncattrs()) == set(made[name].ncattrs()), name
        assert made["swvl1"].filters()["complevel"] == 1 and made["swvl1"].filters()["shuffle"]
        for file in files.values():
            file.close()


def test_a_month_of_weather_lies_on_the_box_and_on_the_hours(twin: Paths, tmp_path: Path) -> None:
    grid = regular_grid(LAT, LON)
    for name, file in members(twin, MONTHS[0], tmp_path).items():
        with file:
            assert np.allclose(file["latitude"][:], grid.lat) and np.allclose(file["longitude"][:], grid.lon, atol=1e-5)
            seconds = np.asarray(file["valid_time"][:])
            assert seconds[0] == np.datetime64("2016-07-01").astype("M8[s]").astype(int)
            assert (np.diff(seconds) == 10800).all() and seconds.size == 31 * 8
            kind = "instant" if name == INSTANT_MEMBER else "accum"
            data = [v for v in file.variables.values() if v.ndim == 3]
            assert {v.GRIB_stepType for v in data} == {kind}
            assert all(np.isfinite(np.asarray(v[:])).all() for v in data)
            if name == INSTANT_MEMBER:
                noise = np.abs(np.asarray(file["longitude"][:]) - grid.lon).max()
                assert 0 < noise < 1e-5


def test_accumulations_run_from_midnight_and_close_over_the_month_end(twin: Paths, tmp_path: Path) -> None:
    totals = []
    for month in MONTHS:
        (tmp_path / month).mkdir()
        with members(twin, month, tmp_path / month)[ACCUM_MEMBER] as file:
            totals.append(np.asarray(file["ssrd"][:]).reshape(31, 8, *file["ssrd"].shape[1:]))
    july, august = totals
    assert (np.diff(july[:, 1:], axis=1) >= -1e4).all()
    # The value at 00 UTC is the whole day before, so it is never below that day's 21 UTC value.
    assert (july[1:, 0] >= july[:-1, 7] - 1e4).all()
    assert (august[0, 0] >= july[-1, 7] - 1e4).all()
    assert july[0, 0].mean() > 1e7
    # Control: taken as a plain running total, 03 minus 00 UTC is absurd.
    assert (july[:, 1] - july[:, 0]).mean() < -1e7


def test_running_totals_return_their_steps() -> None:
    rng = np.random.default_rng(0)
    sums, yesterday = rng.random((3, 8, 2, 2)), rng.random((2, 2))
    totals = running_totals(sums, yesterday).reshape(3, 8, 2, 2)
    assert np.array_equal(totals[0, 0], yesterday)
    assert np.allclose(totals[:, 1], sums[:, 0])
    assert np.allclose(np.diff(totals[:, 1:], axis=1), sums[:, 1:7])
    assert np.allclose(totals[1:, 0] - totals[:-1, 7], sums[:-1, 7])


def test_quantised_values_are_close_and_coarse() -> None:
    values = np.random.default_rng(0).random((2, 30, 30)).astype("f4") * 0.4
    packed = quantised("swvl1", values)
    assert np.abs(packed - values).max() < 1e-5
    steps = np.diff(np.unique(packed[0] - packed[0].min()))
    assert steps.min() > 3e-6
    assert (quantised("swvl1", np.array([[[0.0, 0.1]]], "f4")) < 0).any()  # the tiny negatives of real files


def test_the_truth_is_not_among_the_provider_files(twin: Paths) -> None:
    with netCDF4.Dataset(twin.of("truth", MONTHS[0])) as file:
        truth = np.asarray(file["soil_moisture"][:])
        assert file["soil_moisture"].dimensions == ("time", "lat", "lon") and truth.shape == (248, 24, 24)
        assert file["lat"][0] > file["lat"][-1] and set(np.unique(file["frozen"][:])) <= {0, 1}
    assert not list(twin.raw.rglob("*truth*"))


def test_elevation_is_finer_than_the_grid_and_reaches_beyond_the_box(twin: Paths) -> None:
    with rasterio.open(twin.raw / "terrain" / "elevation.tif") as file:
        assert file.crs.to_epsg() == 4326 and file.res[0] < 0.02 and file.nodata == -32768
        west, south, east, north = file.bounds
        assert west < LON[0] - 0.2 and east > LON[1] + 0.2 and south < LAT[0] - 0.2 and north > LAT[1] + 0.2
        elevation = file.read(1)
    assert 2000 < elevation.mean() < 6000 and elevation.std() > 100
