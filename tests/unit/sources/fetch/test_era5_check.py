"""A file is trusted when it is what was asked for, to the last value, and for no other reason."""

from __future__ import annotations

import zipfile

import netCDF4
import numpy as np
import pytest

from pscnet.sources.fetch.era5_check import check
from pscnet.sources.fetch.era5_requests import area_of, wanted

NAMES = ("t2m", "swvl1")


@pytest.fixture
def asked(month, fine):
    return wanted(month, NAMES, "instant", area_of(fine.lat, fine.lon))


@pytest.fixture
def good(write_era5, hourly, tmp_path):
    """Writes a good file, or one changed by arguments of ``write_era5``."""

    def write(name="file.part", names=NAMES, times=None, **changes):
        return write_era5(tmp_path / name, names, hourly(hours=3) if times is None else times, **changes)

    return write


@pytest.mark.parametrize("layout", ["new", "old", "expver"])
def test_every_layout_of_the_service_passes(good, asked, layout):
    content = check(good(layout=layout), asked)
    assert (content.first, content.last) == ("2015-02-01T00:00:00", "2015-02-28T21:00:00")
    assert content.variables == ["swvl1", "t2m"]
    assert content.version == "final"


def test_zip_of_several_files_passes(good, asked, tmp_path):
    with zipfile.ZipFile(tmp_path / "both.part", "w") as archive:
        for name in NAMES:
            archive.write(good(f"{name}.nc", (name,)), f"data_{name}.nc")
        archive.writestr("receipt.txt", "thank you")
    assert check(tmp_path / "both.part", asked).variables == ["swvl1", "t2m"]


def test_more_than_asked_is_no_fault(good, asked, hourly):
    wider = np.round(np.arange(304, 299, -1) / 10 + 0.0, 1), np.round(np.arange(898, 908) / 10, 1)
    content = check(good(times=hourly(hours=1), lat=np.append(30.5, wider[0]), lon=wider[1]), asked)
    assert (content.first, content.last) == ("2015-02-01T00:00:00", "2015-02-28T21:00:00")


def test_preliminary_values_are_told(good, asked):
    assert check(good(expver="0005"), asked).version == "preliminary"


def without_a_day(times):
    return times[times.astype("M8[D]") != np.datetime64("2015-02-28")]


def test_missing_day(good, asked, hourly, complains):
    with complains("224 steps", "no values at 8", "2015-02-28"):
        check(good(times=without_a_day(hourly(hours=3))), asked)


def test_missing_step(good, asked, hourly, complains):
    with complains("no values at 1 of them", "2015-02-01T09:00:00"):
        check(good(times=np.delete(hourly(hours=3), 3)), asked)


def test_missing_variable(good, asked, complains):
    with complains("swvl1", "only t2m"):
        check(good(names=("t2m",)), asked)


@pytest.mark.parametrize("spoilt", ["one step", "all"])
def test_steps_without_any_value(good, asked, hourly, values, fine, complains, spoilt):
    data = values("t2m", hourly(hours=3), fine.lat, fine.lon)
    data[5 if spoilt == "one step" else slice(None)] = np.nan
    with complains("t2m", f"no values at {1 if spoilt == 'one step' else 224}"):
        check(good(data={"t2m": data}), asked)


def test_sea_is_no_fault(good, asked, hourly, values, fine):
    data = values("t2m", hourly(hours=3), fine.lat, fine.lon)
    data[:, :2] = np.nan
    assert check(good(data={"t2m": data}), asked).version == "final"


def test_wrong_unit(good, asked, complains):
    with complains("t2m in K", "degC"):
        check(good(unit="degC"), {**asked, "variable": ["2m_temperature"]})


@pytest.mark.parametrize(
    ("axis", "values", "found"),
    [
        ("lat", np.array([30.4, 30.3, 30.2, 30.1]), "none at 30"),
        ("lon", np.array([90.1, 90.2, 90.3, 90.4, 90.5]), "none at 90"),
        ("lat", np.array([30.44, 30.34, 30.24, 30.14, 30.04, 29.94]), "none at 30"),
        ("lon", np.arange(90.0, 90.6, 0.25), "0.25 degree"),
    ],
)
def test_wrong_box(good, asked, complains, axis, values, found):
    with complains(found):
        check(good(**{axis: values}), asked)


def test_longitudes_from_0_to_360_are_the_same_places(write_era5, tmp_path, hourly, month):
    asked = wanted(month, ("t2m",), "instant", [30.2, -90.2, 30.0, -90.0])
    path = write_era5(
        tmp_path / "west.nc", ("t2m",), hourly(hours=3), np.array([30.2, 30.1, 30.0]), np.array([269.8, 269.9, 270.0])
    )
    assert check(path, asked).variables == ["t2m"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (b"<!DOCTYPE html><html>please log in</html>", "HTML page"),
        (b'{"title": "error"}', "JSON"),
        (b"GRIB" + bytes(100), "GRIB"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged or truncated"),
    ],
)
def test_what_is_no_file_of_the_kind(tmp_path, asked, complains, content, words):
    path = tmp_path / "file.part"
    path.write_bytes(content)
    with complains(words):
        check(path, asked)


def test_truncated_file(good, asked, complains):
    path = good()
    path.write_bytes(path.read_bytes()[:-500])
    with complains():
        check(path, asked)


def test_bytes_spoilt_within_the_values(good, asked, complains):
    """A file that opens, whose size is right, and of which one block does not unpack."""
    path = good(names=("t2m", "swvl1"))
    with netCDF4.Dataset(path) as file:
        assert file["t2m"].filters()["zlib"]
    content = bytearray(path.read_bytes())
    start = content.rindex(b"\x78\x01")  # a zlib stream at level 1
    content[start + 40 : start + 60] = bytes(20)
    path.write_bytes(content)
    with complains("damaged"):
        check(path, asked)


def test_empty_zip(tmp_path, asked, complains):
    with zipfile.ZipFile(tmp_path / "empty.part", "w"):
        pass
    with complains():
        check(tmp_path / "empty.part", asked)
