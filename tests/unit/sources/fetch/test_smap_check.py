"""A SMAP file is what it was fetched as, or it is told in which way it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pscnet.grids import EASE2_GRIDS, EASE2_X0, EASE2_Y0, ease2_grid
from pscnet.sources.fetch.crop import crop
from pscnet.sources.fetch.smap_check import check
from pscnet.sources.smap_granule import DATASETS, HALVES

DAY, NAME = "2016-05-01", "SMAP_L3_SM_P_20160501_R19240_001.h5"
WHEN, L4_NAME = "2016-05-01T01:30", "SMAP_L4_SM_gph_20160501T013000_Vv8010_001.h5"
LAT, LON = (30.0, 32.0), (90.0, 92.0)
SIZE, ROWS, COLUMNS = EASE2_GRIDS["M09"]
#: Seconds from noon of 2000-01-01 to 2016-05-01 06:00 and 01:30 UTC.
MORNING, CENTRE = 515_354_400.0, 515_338_200.0


@pytest.fixture
def granule(tmp_path: Path) -> Path:
    """SPL3SMP with what the pipeline reads, filled in one row."""
    path = tmp_path / NAME
    rows, cols = EASE2_GRIDS["M36"][1:]
    values = {"soil_moisture": 0.2, "tb_time_seconds": MORNING, "EASE_row_index": 100}
    with h5py.File(path, "w") as file:
        file.create_group("Metadata/Extent").attrs.update(
            {"rangeBeginningDateTime": f"{DAY}T00:00:00.000Z", "rangeEndingDateTime": f"{DAY}T23:59:59.999Z"}
        )
        for group, suffix in HALVES.values():
            for name, dtype in DATASETS.items():
                made = file.create_dataset(
                    f"{group}/{name}{suffix}", (rows, cols), dtype, chunks=(1, cols), compression="gzip",
                    fillvalue=65534 if dtype == "u2" else -9999,
                )  # fmt: skip
                made[100] = np.arange(cols) if name == "EASE_column_index" else values.get(name, 0)
                if name == "soil_moisture":
                    made.attrs["units"] = "cm**3/cm**3"
    return path


@pytest.fixture
def model_granule(tmp_path: Path) -> Path:
    """A crop-sized stand-in of SPL4SMGP: whole axes, fields filled around the box."""
    path = tmp_path / L4_NAME
    window = ease2_grid(LAT, LON, "M09")
    with h5py.File(path, "w") as file:
        file["y"] = EASE2_Y0 - (np.arange(ROWS) + 0.5) * SIZE
        file["x"] = EASE2_X0 + (np.arange(COLUMNS) + 0.5) * SIZE
        file["time"] = np.array([CENTRE + 64.184])
        file["time"].attrs["units"] = np.bytes_("seconds since 2000-01-01 11:58:55.816")
        options = {"chunks": (203, 482), "compression": "gzip"}
        for name, value, unit in (("sm_surface", 0.25, "m3 m-3"), ("surface_temp", 280.0, "K"), ("snow_depth", 2, "m")):
            field = file.create_dataset(f"Geophysical_Data/{name}", (ROWS, COLUMNS), "f4", fillvalue=-9999, **options)
            field[window.row0 - 5 : window.row0 + 60, window.col0 - 5 : window.col0 + 60] = value
            field.attrs["units"] = np.bytes_(unit)
        for axis, name in enumerate(("cell_row", "cell_column")):
            made = file.create_dataset(name, (ROWS, COLUMNS), "u4", fillvalue=4294967294, **options)
            made[250:650] = np.indices((ROWS, COLUMNS), "u4")[axis][250:650]
    return path


@pytest.fixture
def cut(model_granule: Path, tmp_path: Path) -> Path:
    path = tmp_path / "crop.h5"
    crop(model_granule, LAT, LON, path, ("sm_surface", "surface_temp"))
    return path


def edit(path: Path, change: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        change(file)


def test_a_granule_tells_its_day_and_what_it_holds(granule):
    found = check(granule, "SPL3SMP", DAY, every=True)
    assert (found.first, found.last) == (f"{DAY}T00:00:00", f"{DAY}T23:59:59")
    assert found.variables == sorted([*DATASETS, *(f"{name}_pm" for name in DATASETS)])
    assert found.missing_halves == []


def test_a_part_is_known_by_the_provider_s_name(granule, tmp_path, complains):
    part = granule.rename(tmp_path / "download.part")
    assert check(part, "SPL3SMP", DAY, name=NAME).first == f"{DAY}T00:00:00"
    with complains("2016-05-02", NAME.replace("0501", "0502")):
        check(part, "SPL3SMP", "2016-05-02", name=NAME.replace("0501", "0502"))


@pytest.mark.parametrize(("half", "group"), [(half, group) for half, (group, _) in HALVES.items()])
def test_a_missing_half_is_reported_and_no_error(granule, half, group):
    edit(granule, lambda file: file.pop(group))
    assert check(granule, "SPL3SMP", DAY).missing_halves == [half]


def _without_both(file: h5py.File) -> None:
    for group, _ in HALVES.values():
        del file[group]


def _late(file: h5py.File) -> None:
    for group, suffix in HALVES.values():
        file[group][f"tb_time_seconds{suffix}"][100] = MORNING + 3 * 86400


BROKEN = {
    "both halves missing": (_without_both, "soil_moisture_retrieval_data_am"),
    "a dataset missing": (lambda file: file.pop("Soil_Moisture_Retrieval_Data_AM/surface_flag"), "surface_flag"),
    "another unit": (
        lambda file: file["Soil_Moisture_Retrieval_Data_PM/soil_moisture_pm"].attrs.update({"units": "percent"}),
        "percent",
    ),
    "another day": (_late, "overpasses"),
    "another day in the metadata": (
        lambda file: file["Metadata/Extent"].attrs.update(
            {"rangeBeginningDateTime": "2016-05-02T00:00:00Z", "rangeEndingDateTime": "2016-05-02T23:59:59Z"}
        ),
        "another day",
    ),
    "shifted columns": (
        lambda file: file["Soil_Moisture_Retrieval_Data_AM/EASE_column_index"].write_direct(
            np.roll(file["Soil_Moisture_Retrieval_Data_AM/EASE_column_index"][()], 1, 1)
        ),
        "shifted",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_another_content_is_told(granule, complains, case):
    change, words = BROKEN[case]
    edit(granule, change)
    with complains(words):
        check(granule, "SPL3SMP", DAY)


def test_another_grid_is_told(granule, complains):
    with complains("1624 x 3856"):
        check(granule, "SPL3SMP_E", DAY, name=NAME.replace("_P_", "_P_E_"))


def test_damaged_bytes_in_a_dataset_that_is_not_used_show_when_every_one_is_read(granule, complains):
    edit(
        granule,
        lambda file: file.create_dataset(
            "Soil_Moisture_Retrieval_Data_AM/albedo", data=np.random.default_rng(0).random((406, 964)), chunks=(1, 964),
            compression="gzip",
        ),
    )  # fmt: skip
    with h5py.File(granule) as file:
        info = file["Soil_Moisture_Retrieval_Data_AM/albedo"].id.get_chunk_info(200)
    content = bytearray(granule.read_bytes())
    content[info.byte_offset : info.byte_offset + info.size] = bytes(info.size)
    granule.write_bytes(content)
    check(granule, "SPL3SMP", DAY)
    with complains("damaged bytes"):
        check(granule, "SPL3SMP", DAY, every=True)


def test_model_granules_and_crops_tell_their_three_hours(model_granule, cut):
    whole = check(model_granule, "SPL4SMGP", WHEN, variables=("sm_surface",))
    assert whole.variables == ["sm_surface", "snow_depth", "surface_temp"]
    found = check(cut, "SPL4SMGP", WHEN, name=L4_NAME, variables=("sm_surface", "surface_temp"), every=True)
    assert (found.first, found.last) == ("2016-05-01T00:00:00", "2016-05-01T03:00:00")
    assert found.variables == ["sm_surface", "surface_temp"]


def test_the_axes_alone_tell_the_place_too(cut):
    edit(cut, lambda file: (file.pop("cell_row"), file.pop("cell_column")))
    assert check(cut, "SPL4SMGP", WHEN, name=L4_NAME).variables == ["sm_surface", "surface_temp"]


MODEL_BROKEN = {
    "another time": (lambda file: file["time"].write_direct(np.array([CENTRE + 10_800])), "04:2"),
    "no time": (lambda file: file.pop("time"), "one time"),
    "a time without epoch": (lambda file: file["time"].attrs.update({"units": "seconds"}), "since a date"),
    "a field missing": (lambda file: file.pop("Geophysical_Data/sm_surface"), "sm_surface"),
    "another unit": (lambda file: file["Geophysical_Data/sm_surface"].attrs.update({"units": "%"}), "units '%'"),
    "a hundredfold": (
        lambda file: file["Geophysical_Data/sm_surface"].write_direct(np.full(SHAPE, 25, "f4")),
        "0 to 1",
    ),
    "degrees Celsius": (
        lambda file: file["Geophysical_Data/surface_temp"].write_direct(np.full(SHAPE, 7, "f4")),
        "180",
    ),
    "shifted axes": (lambda file: file["y"].write_direct(file["y"][()] + SIZE), "shifted"),
    "another corner": (lambda file: file.attrs.update({"col0": 7}), "shifted"),
    "shifted cells": (lambda file: file["cell_row"].write_direct(file["cell_row"][()] + np.uint32(1)), "shifted"),
}
SHAPE = ease2_grid(LAT, LON, "M09").shape


@pytest.mark.parametrize("case", MODEL_BROKEN)
def test_another_model_content_is_told(cut, complains, case):
    change, words = MODEL_BROKEN[case]
    edit(cut, change)
    with complains(words):
        check(cut, "SPL4SMGP", WHEN, name=L4_NAME, variables=("sm_surface", "surface_temp"))


def test_html_saved_as_a_granule_is_told(tmp_path, complains):
    path = tmp_path / NAME
    path.write_text("<!DOCTYPE html><html>Earthdata Login</html>")
    with complains("html page"):
        check(path, "SPL3SMP", DAY)


def test_all_real_granules_pass_whole_and_cropped(realdata, tmp_path):
    paths = sorted((realdata / "western_australia_2020_01" / "smap").glob("*.h5"))
    for path in paths:
        day = f"{path.name[13:17]}-{path.name[17:19]}-{path.name[19:21]}"
        assert check(path, "SPL3SMP", day).missing_halves == []
    check(paths[0], "SPL3SMP", "2020-01-01", every=True)
    crop(paths[0], (-32.0, -27.0), (116.0, 122.0), tmp_path / "crop.h5", grid="M36")
    found = check(tmp_path / "crop.h5", "SPL3SMP", "2020-01-01", name=paths[0].name, every=True)
    assert "soil_moisture_pm" in found.variables
