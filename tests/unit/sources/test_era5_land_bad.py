"""Bad ERA5-Land input: each message names the file, what was expected, what was found and what to do."""

from __future__ import annotations

import zipfile

import h5py
import netCDF4
import numpy as np
import pytest

from pscnet.grids import regular_grid
from pscnet.sources import era5_land


@pytest.fixture
def read(fine, month):
    def open_month(*paths, names=("t2m",)):
        return era5_land.open_files(paths, list(names), fine, month)

    return open_month


def test_truncated_zip(tmp_path, write_era5, read, complains) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(write_era5(tmp_path / "i.nc"), "data_0.nc")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content[: len(content) // 2])
    with complains(tmp_path / "a.zip", "a whole zip file", "truncated", "Delete it and download it again"):
        read(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("content", "found", "remedy"),
    [
        (b"<!DOCTYPE html><html>Please log in</html>", "an HTML page", "account"),
        (b"", "0 bytes", "Delete it and download it again"),
        (b"GRIB\0\0\0\2", "GRIB", "data_format"),
        (b'{"detail": "quota"}', "JSON", "read it"),
    ],
)
def test_no_netcdf_at_all(tmp_path, read, content, found, remedy, complains) -> None:
    (tmp_path / "era5.nc").write_bytes(content)
    with complains(tmp_path / "era5.nc", "an ERA5-Land file in NetCDF", found, remedy):
        read(tmp_path / "era5.nc")


def test_an_unreadable_file(tmp_path, read, complains) -> None:
    (tmp_path / "era5.nc").mkdir()
    with complains(tmp_path / "era5.nc", "a readable file", "directory", "permissions"):
        read(tmp_path / "era5.nc")


def test_a_truncated_file(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with complains(path, "a whole NetCDF file", "truncated", "download it again"):
        read(path)


def test_a_damaged_chunk(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc")
    with h5py.File(path) as file:
        chunk = file["t2m"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    start = chunk.byte_offset + chunk.size // 4
    content[start : start + chunk.size // 2] = b"\xa5" * (chunk.size // 2)
    path.write_bytes(bytes(content))
    with complains(path, "readable values of t2m", "damaged bytes", "download it again"):
        read(path)


def test_missing_steps(tmp_path, write_era5, hourly, read, complains) -> None:
    times = hourly()
    gap = (times >= np.datetime64("2015-02-10T05")) & (times < np.datetime64("2015-02-11T01"))
    path = write_era5(tmp_path / "era5.nc", times=times[~gap])
    with complains(path, "t2m at all 224", "7 missing steps: 2015-02-10 06:00, 2015-02-10 09:00", "2m_temperature"):
        read(path)


def test_a_step_of_nothing_but_nan(tmp_path, write_era5, values, hourly, fine, read, complains) -> None:
    data = values("t2m", hourly(), fine.lat, fine.lon)
    data[hourly() == np.datetime64("2015-02-10T06")] = np.nan
    path = write_era5(tmp_path / "era5.nc", data={"t2m": data})
    with complains(path, "values at every step", "1 steps that hold only NaN: 2015-02-10 06:00", "again"):
        read(path)


def test_an_all_nan_month(tmp_path, write_era5, hourly, fine, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", data={"t2m": np.full((hourly().size, *fine.shape), np.nan)})
    with complains(path, "t2m on land", "NaN in every cell and step", "move the region"):
        read(path)


def test_another_month(tmp_path, write_era5, hourly, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", times=hourly("2015-03"))
    with complains(path, "2015-02-01 00:00 to 2015-02-28 21:00", "no value", "2m_temperature"):
        read(path)


def test_wrong_unit_attribute(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", unit="degC")
    with complains(path, "t2m in K", "'degC'", "convert"):
        read(path)


@pytest.mark.parametrize(("name", "factor", "offset"), [("t2m", 1, -273.15), ("swvl1", 100, 0), ("tp", 1000, 0)])
def test_wrong_unit_by_value(tmp_path, write_era5, values, hourly, fine, read, complains, name, factor, offset) -> None:
    data = values(name, hourly(), fine.lat, fine.lon) * factor + offset
    path = write_era5(tmp_path / "era5.nc", (name,), data={name: data})
    with complains(path, f"{name} in", "values outside", "unit"):
        read(path, names=[name])


def test_unit_spellings_are_the_same(tmp_path, write_era5, read) -> None:
    path = write_era5(tmp_path / "era5.nc", ("swvl1",), unit="m3 m-3")
    assert read(path, names=["swvl1"])["swvl1"].attrs["units"] == "m3 m-3"


@pytest.mark.parametrize("axis", ["lat", "lon"])
def test_a_grid_shifted_by_half_a_node(tmp_path, write_era5, fine, read, axis, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", **{axis: getattr(fine, axis) + 0.05})
    with complains(path, "whole multiples of 0.1", "shifted by 0.05 degree", "without a grid keyword"):
        read(path)


def test_quarter_degree_is_era5_not_era5_land(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", lat=np.arange(31, 29, -0.25), lon=np.arange(89, 92, 0.25))
    with complains(path, "0.1 degree grid", "0.25 degree (ERA5, not ERA5-Land)", "reanalysis-era5-land"):
        read(path)


def test_a_box_that_is_too_small(tmp_path, write_era5, fine, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", lat=fine.lat[1:], lon=fine.lon[:-2])
    with complains(path, "all 30 nodes of 30 to 30.4 N, 90 to 90.5 E", "14 missing cells", "whole box"):
        read(path)


def test_a_box_elsewhere(tmp_path, write_era5, fine, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", lat=fine.lat + 5)
    with complains(path, "inside 30 to 30.4 N", "no value of that period and box"):
        read(path)


def test_a_hole_in_an_axis(tmp_path, write_era5, fine, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", lon=np.delete(fine.lon, 2))
    with complains(path, "a longitude axis without gaps", "no node at 90.2"):
        read(path)


def test_contradicting_duplicate_times_in_one_file(tmp_path, write_era5, values, hourly, fine, read, complains) -> None:
    times = np.append(hourly(), np.datetime64("2015-02-10T06", "ns"))
    data = values("t2m", times, fine.lat, fine.lon)
    path = write_era5(tmp_path / "same.nc", times=times, data={"t2m": data})
    assert read(path).sizes["time"] == 224  # identical duplicates are dropped
    data[-1, 2, 3] += 1
    path = write_era5(tmp_path / "other.nc", times=times, data={"t2m": data})
    with complains(path, "one value of t2m for 2015-02-10 06:00", "twice with different values", "1 cells differ"):
        read(path)


def test_contradicting_files(tmp_path, write_era5, values, hourly, fine, read, complains) -> None:
    first, same = write_era5(tmp_path / "first.nc"), write_era5(tmp_path / "packed.nc", layout="old")
    assert read(first, same).sizes["time"] == 224  # they differ by the packing only
    wrong = write_era5(tmp_path / "wrong.nc", data={"t2m": values("t2m", hourly(), fine.lat, fine.lon) + 0.5})
    with complains(wrong, "2015-02-01 00:00", "30 cells differ", "take the wrong one"):
        read(first, wrong)


def test_an_absent_predictor(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", ("t2m", "swvl1"))
    with complains("ERA5-Land 2015-02", "no tp, sd (only swvl1, t2m)", "total_precipitation", "predictors"):
        read(path, names=["t2m", "tp", "sd"])


def test_an_unknown_predictor(tmp_path, write_era5, read, complains) -> None:
    with complains("'total_precipitation'", "swvl1, "):
        read(write_era5(tmp_path / "era5.nc"), names=["total_precipitation"])


def test_totals_of_single_hours_are_no_running_totals(tmp_path, write_era5, hourly, fine, read, complains) -> None:
    of_day = np.sin((hourly() - hourly().astype("M8[D]")) / np.timedelta64(24, "h") * 2 * np.pi)
    data = np.broadcast_to(np.maximum(of_day, 0)[:, None, None] * 1e-3, (hourly().size, *fine.shape))
    path = write_era5(tmp_path / "era5.nc", ("tp",), data={"tp": data})
    with complains(path, "running total since 00 UTC", "fall within the day", "de-accumulate"):
        read(path, names=["tp"])


def test_a_dimension_too_many(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", ())
    with netCDF4.Dataset(path, "a") as file:
        file.createDimension("member", 3)
        file.createVariable("t2m", "f4", ("valid_time", "member", "latitude", "longitude"))[:] = 280.0
    with complains(path, "time, latitude and longitude", "dimension member of length 3", "ensemble"):
        read(path)


def test_a_file_without_its_variables(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc", ())
    with complains(path, "ERA5-Land variables", "expver, latitude, longitude, lsm", "archive"):
        read(path)


def test_time_without_units(tmp_path, write_era5, read, complains) -> None:
    path = write_era5(tmp_path / "era5.nc")
    with netCDF4.Dataset(path, "a") as file:
        file["valid_time"].units = "fortnights since the flood"
    with complains(path, "CF units", "fortnights"):
        read(path)


def test_regions_over_sea_and_land_need_no_special_care(tmp_path, write_era5, values, hourly, month) -> None:
    grid = regular_grid((30.0, 30.2), (90.0, 90.3))
    data = values("t2m", hourly(), grid.lat, grid.lon)
    data[:, :, 2:] = np.nan
    path = write_era5(tmp_path / "era5.nc", lat=grid.lat, lon=grid.lon, data={"t2m": data})
    assert int(era5_land.open_files([path], ["t2m"], grid, month)["t2m"][0].notnull().sum()) == 6
