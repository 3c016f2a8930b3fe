"""Bad SMAP input: each message names the file, what was expected, what was found and what to do."""

from __future__ import annotations

import h5py
import pytest

from pscnet.grids import regular_grid
from pscnet.sources import smap


@pytest.fixture
def read(coarse, month):
    return lambda *paths: smap.open_month(paths, coarse, month)


@pytest.mark.parametrize(
    ("content", "found", "remedy"),
    [
        (b"<html><title>Earthdata Login</title></html>", "an HTML page", "account"),
        (b"", "0 bytes", "download it again"),
        (b"PK\x03\x04", "zip", "right file"),
        (b"\0\1\2", "no known format", "download it again"),
    ],
)
def test_no_hdf5_at_all(tmp_path, read, content, found, remedy, complains) -> None:
    path = tmp_path / "SMAP_L3_SM_P_20150201_R19240_001.h5"
    path.write_bytes(content)
    with complains(path, "a SMAP granule in HDF5", found, remedy):
        read(path)


def test_a_truncated_granule(tmp_path, write_granule, days, read, complains) -> None:
    path = write_granule(tmp_path, days[0])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with complains(path, "a whole HDF5 file", "truncated", "download it again"):
        read(path)


def test_a_damaged_chunk(tmp_path, write_granule, coarse, days, read, complains) -> None:
    path = write_granule(tmp_path, days[0])
    with h5py.File(path) as file:
        chunk = file["Soil_Moisture_Retrieval_Data_AM/soil_moisture"].id.get_chunk_info_by_coord((coarse.row0, 0))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\xa5" * chunk.size
    path.write_bytes(bytes(content))
    with complains(path, "readable datasets", "damaged bytes", "Delete it and download it again"):
        read(path)


def test_an_unreadable_granule(tmp_path, read, complains) -> None:
    (tmp_path / "granule.h5").mkdir()
    with complains(tmp_path / "granule.h5", "a readable file", "permissions"):
        read(tmp_path / "granule.h5")


@pytest.mark.parametrize("content_day", ["2015-02-11", "2015-02-09", "2014-02-10"])
@pytest.mark.parametrize("extent", [True, False])
def test_another_days_content(tmp_path, write_granule, read, content_day, extent, complains) -> None:
    """Refused by its range, or, without one, by its overpasses."""
    path = write_granule(tmp_path, "2015-02-10", content_day=content_day, extent=extent)
    with complains(
        path, "the retrievals of 2015-02-10, as its name says", "another day's", content_day[:4], "of that day"
    ):
        read(path)


def test_a_day_that_nothing_tells(tmp_path, write_granule, days, read, complains) -> None:
    path = write_granule(tmp_path, days[0], name="x.h5", extent=False)
    with complains(path, "the day of the granule", "neither", "SMAP_L3_SM_P_YYYYMMDD"):
        read(path)


def test_neither_half(tmp_path, write_granule, days, read, complains) -> None:
    path = write_granule(tmp_path, days[0], halves=())
    with complains(path, "Soil_Moisture_Retrieval_Data_PM", "neither (only Metadata)", "download"):
        read(path)


def test_a_missing_dataset(tmp_path, write_granule, days, read, complains) -> None:
    path = write_granule(tmp_path, days[0])
    with h5py.File(path, "a") as file:
        del file["Soil_Moisture_Retrieval_Data_PM/retrieval_qual_flag_pm"]
    with complains(path, "Soil_Moisture_Retrieval_Data_PM/retrieval_qual_flag_pm", "none of that name", "download"):
        read(path)


@pytest.mark.parametrize(("shape", "said"), [((1624, 3856), "(EASE-Grid 2.0 M09)"), ((406, 963), "(406, 963)")])
def test_another_shape(tmp_path, write_granule, days, read, shape, said, complains) -> None:
    path = write_granule(tmp_path, days[0], shape=shape)
    with complains(path, "406 x 964 cells (EASE-Grid 2.0 M36)", said, "SPL3SMP"):
        read(path)


def test_shifted_rows(tmp_path, write_granule, days, read, complains) -> None:
    path = write_granule(tmp_path, days[0], shift=1)
    with complains(path, "EASE_row_index", "shifted or flipped", "original granule"):
        read(path)


@pytest.mark.parametrize(("unit", "factor"), [("percent", 1), ("cm**3/cm**3", 100)])
def test_wrong_unit(tmp_path, write_granule, days, read, unit, factor, complains) -> None:
    path = write_granule(tmp_path, days[0], unit=unit, soil_moisture=0.2 * factor)
    with complains(path, "cm**3/cm**3", "'percent'" if factor == 1 else "such as 20", "again"):
        read(path)


def test_no_granule_of_the_month(tmp_path, write_granule, read, complains) -> None:
    with complains("SMAP 2015-02", "granules of that month", "none"):
        read(write_granule(tmp_path, "2015-03-01"))


def test_unknown_mask_and_grid(tmp_path, write_granule, coarse, month, days, complains) -> None:
    path = write_granule(tmp_path, days[0])
    with complains("smap.quality", "'best'"):
        smap.open_month([path], coarse, month, "best")
    with complains("EASE-Grid 2.0", "r0100"):
        smap.open_month([path], regular_grid((30, 31), (90, 91)), month)
