"""The window of a granule: values, attributes, links and scales kept, the same bytes each time, little memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from pscnet.grids import EASE2_GRIDS, Grid, ease2_grid
from pscnet.sources import SourceError
from pscnet.sources.contents import examine
from pscnet.sources.fetch import RefusedError
from pscnet.sources.fetch.crop import crop
from pscnet.sources.manifest import hash_file
from pscnet.sources.smap_granule import corner_of, opened, read_half

LAT, LON = (30.0, 30.6), (90.0, 91.0)
AM = "Soil_Moisture_Retrieval_Data_AM"
_, ROWS, COLUMNS = EASE2_GRIDS["M09"]


@pytest.fixture
def window() -> Grid:
    return ease2_grid(LAT, LON, "M09")


@pytest.fixture
def granule(tmp_path: Path, window: Grid) -> Path:
    """A granule with the kinds of datasets that the 9 km products have, filled around the box only."""
    path = tmp_path / "SMAP_L3_SM_P_E_20160501_R19240_001.h5"
    rows = slice(window.row0 - 3, window.row0 + window.shape[0] + 3)
    row, column = np.mgrid[rows, 0:COLUMNS]
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_group("Metadata/Extent").attrs["rangeBeginningDateTime"] = np.bytes_("2016-05-01T00:00:00.000Z")
        file.create_group("Soil_Moisture_Retrieval_Data_Polar_AM")["soil_moisture"] = np.zeros((200, 200), "f4")
        group = file.create_group(AM)
        options = {"compression": "gzip", "compression_opts": 2}
        values = group.create_dataset(
            "soil_moisture", (ROWS, COLUMNS), "f4", chunks=(1, COLUMNS), fillvalue=-9999, **options
        )
        values[rows] = (row * 0.001 + column * 0.0001).astype("f4")
        values.attrs["units"] = np.bytes_("cm**3/cm**3")
        values.attrs["_FillValue"] = np.float32(-9999)
        values.attrs["long_name"] = "a text of any length"
        values.attrs["limits"] = np.array([0.02, 0.5], "f4")
        group["soil_moisture_dca"] = values
        index = group.create_dataset(
            "EASE_row_index", (ROWS, COLUMNS), "u2", chunks=(203, 482), fillvalue=65534, **options
        )
        index[rows] = row
        cover = group.create_dataset(
            "landcover_class", (ROWS, COLUMNS, 3), "u1", chunks=(1, COLUMNS, 3), fillvalue=254, **options
        )
        cover[rows] = np.stack([row, column, row], -1) % 251
        stamps = group.create_dataset("tb_time_utc", (ROWS, COLUMNS), "S24", chunks=(1, COLUMNS), **options)
        stamps[rows] = np.bytes_("2016-05-01T00:10:00.000Z")
    return path


@pytest.fixture
def model_granule(tmp_path: Path, window: Grid) -> Path:
    """A granule as SPL4SMGP's: root axes with dimension scales, a scalar, and a group of fields."""
    path = tmp_path / "SMAP_L4_SM_gph_20160501T013000_Vv8010_001.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["Title"] = np.bytes_("model")
        for name, size in (("y", ROWS), ("x", COLUMNS)):
            file[name] = np.arange(size, dtype="f8")
            file[name].make_scale(name)
        file["time"] = np.array([515_338_200.0])
        file.create_dataset("EASE2_global_projection", data=np.bytes_("1"))
        for name in ("sm_surface", "sm_rootzone", "snow_depth"):
            field = file.create_dataset(
                f"Geophysical_Data/{name}", (ROWS, COLUMNS), "f4", chunks=(203, 482), compression="gzip", shuffle=True
            )
            field[window.row0, window.col0] = 0.25
            field.dims[0].attach_scale(file["y"])
            field.dims[1].attach_scale(file["x"])
    return path


def test_the_window_holds_the_provider_s_values(granule, tmp_path, window):
    out = tmp_path / "crop.h5"
    assert crop(granule, LAT, LON, out).describe() == window.describe()
    rows = slice(window.row0, window.row0 + window.shape[0])
    cols = slice(window.col0, window.col0 + window.shape[1])
    with h5py.File(granule) as whole, h5py.File(out) as cut:
        for name in ("soil_moisture", "EASE_row_index", "landcover_class", "tb_time_utc"):
            np.testing.assert_array_equal(cut[AM][name][()], whole[AM][name][rows, cols])
            assert cut[AM][name].dtype == whole[AM][name].dtype
            assert cut[AM][name].fillvalue == whole[AM][name].fillvalue
            assert (cut[AM][name].compression, cut[AM][name].compression_opts) == ("gzip", 2)
        assert cut[AM]["EASE_row_index"][0, 0] == window.row0


def test_attributes_and_links_stay_and_the_polar_grid_goes(granule, tmp_path):
    crop(granule, LAT, LON, tmp_path / "crop.h5")
    with h5py.File(granule) as whole, h5py.File(tmp_path / "crop.h5") as cut:
        assert sorted(cut) == ["Metadata", AM]
        before, after = whole[AM]["soil_moisture"].attrs, cut[AM]["soil_moisture"].attrs
        assert sorted(before) == sorted(after)
        for name in before:
            np.testing.assert_array_equal(before[name], after[name])
            assert before.get_id(name).dtype == after.get_id(name).dtype
        extent = cut["Metadata/Extent"].attrs["rangeBeginningDateTime"]
        assert extent == whole["Metadata/Extent"].attrs["rangeBeginningDateTime"]
        assert cut[AM]["soil_moisture"] == cut[AM]["soil_moisture_dca"], "a hard link is one dataset, not two"


def test_the_root_says_what_it_was_cut_from(granule, tmp_path, window):
    crop(granule, LAT, LON, tmp_path / "crop.h5", name="the provider's name.h5")
    with h5py.File(tmp_path / "crop.h5") as cut:
        assert dict(cut.attrs) == {
            "source_name": "the provider's name.h5",
            "source_size": granule.stat().st_size,
            "source_sha256": hash_file(granule),
            "grid": "M09",
            "row0": window.row0,
            "col0": window.col0,
        }
        assert corner_of(cut) == (window.row0, window.col0)


def test_the_inventory_of_an_archive_knows_a_crop(granule, tmp_path):
    crop(granule, LAT, LON, tmp_path / "crop.h5")
    found = examine(tmp_path / "crop.h5")
    assert (found.source, found.grid, found.first) == ("smap", "M09", "2016-05-01T00:00:00")
    assert found.missing_halves == ["PM"]


def test_chosen_fields_axes_and_scales_of_the_model_product(model_granule, tmp_path, window):
    crop(model_granule, LAT, LON, tmp_path / "crop.h5", ("sm_rootzone", "sm_surface"))
    with h5py.File(tmp_path / "crop.h5") as cut:
        assert sorted(cut["Geophysical_Data"]) == ["sm_rootzone", "sm_surface"]
        field = cut["Geophysical_Data/sm_surface"]
        assert field.shape == window.shape
        assert field[0, 0] == 0.25
        assert field.shuffle
        np.testing.assert_array_equal(cut["y"], window.row0 + np.arange(window.shape[0]))
        np.testing.assert_array_equal(cut["x"], window.col0 + np.arange(window.shape[1]))
        assert field.dims[0][0].name == "/y"
        assert field.dims[1][0].name == "/x"
        np.testing.assert_array_equal(cut["time"], [515_338_200.0])
        assert cut["EASE2_global_projection"].shape == ()
        assert cut.attrs["Title"] == b"model"


def test_the_same_granule_and_box_give_the_same_bytes(granule, model_granule, tmp_path):
    for number, path in enumerate((granule, model_granule)):
        crop(path, LAT, LON, tmp_path / f"first{number}")
        time.sleep(1.1)  # HDF5 keeps times in whole seconds, where it keeps them
        crop(path, LAT, LON, tmp_path / f"second{number}")
        assert (tmp_path / f"first{number}").read_bytes() == (tmp_path / f"second{number}").read_bytes()
        crop(path, LAT, (90.0, 90.9), tmp_path / "other")
        assert (tmp_path / f"first{number}").read_bytes() != (tmp_path / "other").read_bytes()


def test_no_whole_field_comes_into_memory(granule, tmp_path):
    tracemalloc.start()
    try:
        crop(granule, LAT, LON, tmp_path / "crop.h5")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < ROWS * COLUMNS * 4 / 5, "a whole field has 25 MB"


def test_a_large_window_is_copied_in_pieces(granule, tmp_path):
    """The piece by piece copy must put every row in its place, with chunks that divide nothing evenly."""
    crop(granule, (-50, 50), (-170, 170), tmp_path / "crop.h5")
    with h5py.File(granule) as whole, h5py.File(tmp_path / "crop.h5") as cut:
        row0, col0 = corner_of(cut)
        for name in ("soil_moisture", "EASE_row_index", "landcover_class"):
            made = cut[AM][name]
            assert made.chunks[0] < made.shape[0]
            expected = whole[AM][name][row0 : row0 + made.shape[0], col0 : col0 + made.shape[1]]
            np.testing.assert_array_equal(made[()], expected)


def test_a_field_that_the_granule_lacks_is_told(model_granule, tmp_path, complains):
    with complains("snow_mass", "l4_variables"):
        crop(model_granule, LAT, LON, tmp_path / "crop.h5", ("sm_surface", "snow_mass"))


def test_another_grid_is_told(model_granule, tmp_path, complains):
    with complains("4872 x 11568 cells"):
        crop(model_granule, LAT, LON, tmp_path / "crop.h5", grid="M03")


def test_damaged_bytes_are_told(granule, tmp_path, complains):
    content = bytearray(granule.read_bytes())
    with h5py.File(granule) as file:
        info = file[AM]["soil_moisture"].id.get_chunk_info(3)
    content[info.byte_offset : info.byte_offset + info.size] = bytes(info.size)
    granule.write_bytes(content)
    with complains("damaged bytes"):
        crop(granule, LAT, LON, tmp_path / "crop.h5")


def test_a_truncated_granule_is_told(granule, tmp_path, complains):
    granule.write_bytes(granule.read_bytes()[:-1000])
    with complains("truncated"):
        crop(granule, LAT, LON, tmp_path / "crop.h5")


def test_a_folder_that_takes_no_file_is_told(granule, tmp_path):
    with pytest.raises(RefusedError, match="room for the cells of the box"):
        crop(granule, LAT, LON, tmp_path / "absent" / "crop.h5")


def test_real_granules_read_the_same_from_a_crop(realdata, tmp_path):
    """A crop of a real layout, on its own 36 km grid, through the reader of the pipeline."""
    lat, lon = (-31.0, -28.0), (117.0, 121.0)
    inner = ease2_grid((-30.5, -29.0), (118.0, 120.0), "M36")
    for path in sorted((realdata / "western_australia_2020_01" / "smap").glob("*.h5"))[:3]:
        crop(path, lat, lon, tmp_path / "crop.h5", grid="M36")
        day = f"{path.name[13:17]}-{path.name[17:19]}-{path.name[19:21]}"
        with opened(path) as whole, opened(tmp_path / "crop.h5") as cut:
            for half in ("AM", "PM"):
                before = read_half(whole, path, half, inner, day)
                after = read_half(cut, path, half, inner, day)
                for name in before.__dataclass_fields__:
                    np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
            outside = ease2_grid((-33.0, -29.0), (118.0, 120.0), "M36")
            with pytest.raises(SourceError, match="a crop of"):
                read_half(cut, path, "AM", outside, day)
