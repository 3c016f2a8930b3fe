from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from pscnet.grids import Grid, ease2_grid
from pscnet.sources import manifest, smap, smap_granule
from pscnet.sources.smap_flags import LENIENT, NO_FLAG, NONE, RECOMMENDED, SURFACE_BITS, quality_class


def test_a_whole_month(tmp_path, write_granule, coarse, month, days) -> None:
    """One value a day, told apart by day; times from local solar time; layout as in the module's table."""
    paths = [write_granule(tmp_path, day, soil_moisture=0.1 + n / 100) for n, day in enumerate(days)]
    data = smap.open_month(paths[::-1], coarse, month)
    assert data["soil_moisture"].dims == ("half_orbit", "y", "x")
    assert data["soil_moisture"].shape == (2 * len(days), *coarse.shape)
    types = {name: str(variable.dtype) for name, variable in data.data_vars.items()}
    assert types == {
        "soil_moisture": "float32", "time_offset": "float64", "quality": "uint8", "soil_moisture_error": "float32",
        "freeze_thaw_fraction": "float32", "surface_flag": "uint16",
    }  # fmt: skip
    np.testing.assert_allclose(data["soil_moisture"][:, 0, 0], np.repeat(0.1 + np.arange(28) / 100, 2), rtol=1e-6)
    assert list(data["half"].values[:3]) == ["AM", "PM", "AM"]
    np.testing.assert_array_equal(data["date"].values[:3].astype("M8[D]").astype(str), [days[0], days[0], days[1]])
    np.testing.assert_array_equal(data["row"], coarse.row0 + np.arange(coarse.shape[0]))
    np.testing.assert_array_equal(data["column"], coarse.col0 + np.arange(coarse.shape[1]))
    np.testing.assert_allclose(data["lat"], coarse.lat)
    # 06 h local solar time at 90 E is 00 UTC: the first morning overpass east of it falls to the evening before.
    np.testing.assert_allclose(data["time_offset"][0], np.broadcast_to(6 - coarse.lon / 15, coarse.shape), atol=1e-6)
    assert float(data["time_offset"][0].max()) < 0 < float(data["time_offset"][1].min())
    assert data.attrs["missing_days"] == data.attrs["missing_halves"] == ""
    assert data.attrs["granules"].split(", ")[0] == paths[0].name


def test_cells_keep_their_place(tmp_path, write_granule, coarse, month, days) -> None:
    """A value planted in one cell of the global array comes out at that row and column, and nowhere else."""
    values = np.full(coarse.shape, 0.2)
    values[1, 2] = 0.4
    path = write_granule(tmp_path, days[0], soil_moisture=values)
    window = coarse.window(slice(1, None), slice(2, None))
    data = smap.open_month([path], window, month)["soil_moisture"][0]
    assert float(data[0, 0]) == pytest.approx(0.4)
    assert int((data == np.float32(0.4)).sum()) == 1


def test_missing_days_and_halves(tmp_path, write_granule, coarse, month, days, caplog) -> None:
    paths = [write_granule(tmp_path, days[0]), write_granule(tmp_path, days[3], halves=("AM",))]
    with caplog.at_level(logging.WARNING):
        data = smap.open_month(paths, coarse, month)
    assert data.attrs["missing_days"].split(", ") == [day for day in days if day not in (days[0], days[3])]
    assert data.attrs["missing_halves"] == f"{days[3]} PM"
    assert f"{paths[1]}: no PM group" in caplog.text
    filled = data["soil_moisture"].notnull().any(["y", "x"]).values
    assert np.flatnonzero(filled).tolist() == [0, 1, 6]


def test_the_latest_version_of_a_day_wins(tmp_path, write_granule, coarse, month, days) -> None:
    for version, value in (("R18290_009", 0.1), ("R19240_001", 0.2), ("R19240_002", 0.3), ("R19239_005", 0.4)):
        write_granule(tmp_path, days[0], version=version, soil_moisture=value)
    data = smap.open_month(sorted(tmp_path.iterdir()), coarse, month)
    assert float(data["soil_moisture"][0, 0, 0]) == pytest.approx(0.3)
    assert data.attrs["granules"] == "SMAP_L3_SM_P_20150201_R19240_002.h5"


def test_the_same_granule_twice(tmp_path, write_granule, coarse, month, days, complains) -> None:
    one = write_granule(tmp_path / "a", days[0])
    two = write_granule(tmp_path / "b", days[0])
    two.write_bytes(one.read_bytes())
    assert smap.open_month([two, one], coarse, month).attrs["granules"] == one.name
    write_granule(tmp_path / "b", days[0], soil_moisture=0.3)
    with complains(two, f"one granule of {days[0]} and version R19240_001", one, "archive"):
        smap.open_month([two, one], coarse, month)


def test_a_name_without_a_day_is_no_obstacle(tmp_path, write_granule, coarse, month, days) -> None:
    path = write_granule(tmp_path, days[4], name="download (3).h5")
    assert smap.open_month([path], coarse, month)["soil_moisture"][8].notnull().all()


def test_lenient_adds_what_the_strict_mask_leaves_out(tmp_path, write_granule, coarse, month, days) -> None:
    flag = np.zeros(coarse.shape, "u2")
    surface = np.zeros(coarse.shape, "u2")
    flag[0, :] = 1  # attempted and successful, not recommended
    surface[0, 0] = SURFACE_BITS["mountainous_terrain"]
    surface[0, 1] = SURFACE_BITS["frozen_ground_model"]
    flag[1, 0], flag[1, 1] = 7, 8  # not attempted; recommended, without freeze-thaw retrieval
    path = write_granule(tmp_path, days[0], flag=flag, surface=surface)
    noise = {"recommended": 0.03, "lenient": 0.07}
    strict, lenient = (smap.open_month([path], coarse, month, mask, noise).isel(half_orbit=0) for mask in smap.NOISE)
    assert strict["quality"][0].values.tolist() == [NONE] * coarse.shape[1]
    assert lenient["quality"][0, :3].values.tolist() == [LENIENT, NONE, LENIENT]
    for data in (strict, lenient):
        assert data["quality"][1, :3].values.tolist() == [NONE, RECOMMENDED, RECOMMENDED]
        np.testing.assert_array_equal(data["soil_moisture"].isnull(), data["quality"] == NONE)
        np.testing.assert_array_equal(data["soil_moisture_error"].isnull(), data["quality"] == NONE)
        np.testing.assert_array_equal(data["time_offset"].isnull(), data["quality"] == NONE)
        assert data["surface_flag"][0, 1] == SURFACE_BITS["frozen_ground_model"]
    assert float(lenient["soil_moisture_error"][0, 0]) == pytest.approx(0.07)
    assert float(lenient["soil_moisture_error"][1, 1]) == pytest.approx(0.03)


def test_masks_bit_by_bit() -> None:
    """The values found in a real granule, over plain land and without flag words."""
    words = np.array([0, 1, 5, 7, 8, 9, 13, 15, NO_FLAG], "u2")
    land = np.zeros(words.size, "u2")
    expected = [RECOMMENDED, LENIENT, NONE, NONE, RECOMMENDED, LENIENT, NONE, NONE, NONE]
    assert quality_class(words, land).tolist() == expected
    assert quality_class(words, np.full(words.size, NO_FLAG, "u2")).tolist() == [
        RECOMMENDED if value == RECOMMENDED else NONE for value in expected
    ]
    for name, bit in SURFACE_BITS.items():
        kept = name in (
            "coastal_proximity",
            "urban",
            "precipitation",
            "mountainous_terrain",
            "dense_vegetation",
            "nadir_region",
        )
        assert quality_class(np.array([1], "u2"), np.array([bit], "u2"))[0] == (LENIENT if kept else NONE), name


def test_valid_range_and_time(tmp_path, write_granule, coarse, month, days) -> None:
    values = np.full(coarse.shape, 0.02, "f4")  # float32 0.02 lies below 0.02
    values[0, 0], values[0, 1], values[0, 2] = 0.93, 0.0, -9999.0
    path = write_granule(tmp_path, days[0], soil_moisture=values)
    with h5py.File(path, "a") as file:
        file["Soil_Moisture_Retrieval_Data_AM/tb_time_seconds"][coarse.row0 + 1, coarse.col0] = -9999.0
    data = smap.open_month([path], coarse, month)
    assert data["soil_moisture"][0].isnull().values.sum() == 4
    assert data["soil_moisture"][0].isnull()[1, 0]
    assert (data.attrs["outside_valid_range"], data.attrs["without_time"]) == (4, 1)


def test_granules_of_other_months_are_left_out(tmp_path, write_granule, coarse, month, days) -> None:
    paths = [write_granule(tmp_path, day) for day in ("2015-01-31", days[0], "2015-03-01")]
    assert smap.open_month(paths, coarse, month).attrs["granules"] == paths[1].name


def test_j2000() -> None:
    """SMAP counts seconds from noon of 1 January 2000 (SPL3SMP product specification, tb_time_seconds)."""
    times = smap_granule._times(np.array([0.5, 475977600.0, -9999.0, np.nan]))
    assert str(times[0].astype("M8[ms]")) == "2000-01-01T12:00:00.500"
    assert str(times[1].astype("M8[s]")) == "2015-01-31T12:00:00"
    assert np.isnat(times[2:]).all()


def test_nine_kilometres(tmp_path, write_granule, month, days) -> None:
    coarse = ease2_grid((30.0, 30.4), (90.0, 90.5), "M09")
    name = "SMAP_L3_SM_P_E_20150201_R19240_001.h5"
    path = write_granule(tmp_path, days[0], shape=(1624, 3856), name=name, grid=coarse)
    data = smap.open_month([path], coarse, month)
    assert data["soil_moisture"][:2].notnull().all()
    assert data["row"].values[0] == coarse.row0


def written_month(folder: Path, paths: list[Path], grid: Grid, month: str) -> xr.Dataset:
    entries = [manifest.member(folder, path, variables=["soil_moisture"]) for path in paths]
    manifest.write(folder / "m.json", source="smap", month=month, root=folder, files=entries, made_by="archive")
    smap.write_month(folder / "m.json", grid, month, "lenient", smap.NOISE, folder / "out" / "smap.nc")
    return xr.open_dataset(folder / "out" / "smap.nc")


def test_write_month(tmp_path, write_granule, coarse, month, days, complains) -> None:
    paths = [write_granule(tmp_path, days[0]), write_granule(tmp_path, days[1], flag=1)]
    with written_month(tmp_path, paths, coarse, month) as written:
        direct = smap.open_month(paths, coarse, month, "lenient")
        xr.testing.assert_equal(written, direct)
        assert {name: written[name].dtype for name in written} == {name: direct[name].dtype for name in direct}
        assert written["quality"].values.max() == NONE  # a fill value would have made it NaN
    with complains("m.json", "smap 2015-03"):
        smap.write_month(tmp_path / "m.json", coarse, "2015-03", "lenient", smap.NOISE, tmp_path / "x.nc")
