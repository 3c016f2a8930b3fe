"""The readers on real files of the providers."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import xarray as xr

from pscnet.grids import ease2_grid, regular_grid
from pscnet.sources import SourceError, archive, era5_files, era5_land, smap, smap_granule
from pscnet.sources.era5_merge import gather
from pscnet.sources.smap_flags import LENIENT, NONE, RECOMMENDED, quality_class

WEST = (-32.0, -27.0), (116.0, 122.0)


@pytest.fixture(scope="module")
def west(realdata):
    return realdata / "western_australia_2020_01"


def test_era5_land_of_western_australia(west) -> None:
    path = west / "era5_land" / "era5_land_swvl1_2020-01.nc"
    data = era5_land.open_files([path], ["swvl1"], regular_grid(*WEST), "2020-01")["swvl1"]
    with xr.open_dataset(path, drop_variables=["lsm", "time"]) as raw:
        expected = raw["swvl1"].isel(valid_time=slice(None, None, 3)).clip(min=0)
        np.testing.assert_array_equal(data.values, expected.values)
        np.testing.assert_array_equal(data["time"], expected["valid_time"])
    assert data.shape == (248, 51, 61)


def test_smap_of_western_australia(west) -> None:
    grid = ease2_grid(*WEST)
    paths = sorted((west / "smap").glob("*.h5"))
    data = smap.open_month(paths, grid, "2020-01")
    counts = data["soil_moisture"].count(["y", "x"]).values
    for index, path in enumerate(paths):
        with h5py.File(path) as file:
            for half, (group, suffix) in smap_granule.HALVES.items():
                whole = file[f"{group}/soil_moisture{suffix}"][:]
                assert counts[2 * index + (half == "PM")] == (whole != -9999).sum()
    # 2 and 29 January are (almost) empty, as delivered, and yet no day is missing.
    assert counts[2] + counts[3] < 10
    assert counts[56] + counts[57] == 0
    assert data.attrs["missing_days"] == data.attrs["missing_halves"] == ""
    local = (data["time_offset"] + data["lon"] / 15) % 24
    assert float(abs(local - xr.where(data["half"] == "AM", 6, 18)).max()) < 0.3


def test_smap_cells_lie_where_the_files_own_coordinates_say(west) -> None:
    grid = ease2_grid(*WEST)
    with h5py.File(sorted((west / "smap").glob("*.h5"))[0]) as file:
        rows = slice(grid.row0, grid.row0 + grid.shape[0])
        cols = slice(grid.col0, grid.col0 + grid.shape[1])
        group = file["Soil_Moisture_Retrieval_Data_AM"]
        lat, lon = group["latitude"][rows, cols], group["longitude"][rows, cols]
    known = lat != -9999
    np.testing.assert_allclose(lat[known], np.broadcast_to(grid.lat[:, None], lat.shape)[known], atol=1e-4)
    np.testing.assert_allclose(lon[known], np.broadcast_to(grid.lon[None, :], lon.shape)[known], atol=1e-4)


def test_smap_agrees_with_the_nine_kilometre_product(west) -> None:
    """The 16 cells of M09 inside a cell of M36 tell the same, and a flipped or shifted reader loses that."""
    grid = ease2_grid(*WEST)
    observed = smap.open_month((west / "smap").glob("*.h5"), grid, "2020-01")["soil_moisture"].mean("half_orbit")
    with xr.open_dataset(west / "spl3smp_e_9km_2020_01.nc") as fine:
        mean = fine["soil_moisture"].mean(["date", "block"])
        mean = mean.assign_coords(row=fine["ease2_m09_row"] // 4, column=fine["ease2_m09_col"] // 4)
    near = mean.groupby("row").mean().groupby("column").mean().transpose("row", "column")
    observed = observed.swap_dims(y="row", x="column").drop_vars(["lat", "lon"])

    def correlation(field: xr.DataArray) -> float:
        both = xr.align(field, near, join="inner")
        return float(xr.corr(*both))

    assert correlation(observed) > 0.9
    assert correlation(observed.copy(data=observed.values[::-1])) < 0.5
    assert correlation(observed.roll(column=1)) < 0.7


def test_archive_of_western_australia(west, tmp_path) -> None:
    found = archive.inventory(west)
    text = found.report(("2020-01", "2020-01"), ["swvl1"])
    assert "2020-01  ERA5-Land 1 of 1 variables complete; SMAP 31 of 31 days" in text
    assert found.rejected == {}
    assert list(found.ignored) == ["spl3smp_e_9km_2020_01.nc"]


def test_hourly_accumulations_of_a_high_plateau(realdata) -> None:
    """One real day: 3-hour totals from 03 UTC on are differences of the hourly running totals."""
    path = realdata / "layouts" / "era5_land_18vars_hourly_2022-01-01_altiplano.nc"
    grid = regular_grid((-27.0, -12.0), (-74.0, -60.0))
    stamps = np.arange(
        np.datetime64("2022-01-01T00", "ns"), np.datetime64("2022-01-02T00", "ns"), np.timedelta64(3, "h")
    )
    with era5_files.opened([path]) as pieces, xr.open_dataset(path) as raw:
        assert len(pieces[0].variables) == 18
        for name in pieces[0].variables:
            assert gather(pieces, name, grid, stamps, optional=0).shape == (8, *grid.shape)
        for name in ("tp", "e", "ssrd", "strd"):
            totals = gather(pieces, name, grid, np.insert(stamps, 0, stamps[0] - np.timedelta64(3, "h")), optional=1)
            values, _ = era5_land.deaccumulate(totals, stamps)
            hourly = np.diff(raw[name].values[1:22], axis=0)  # totals of the hours that end at 02, ..., 21 UTC
            np.testing.assert_array_equal(values[1], raw[name].values[3])
            for step, end in enumerate(range(6, 22, 3), start=2):
                expected = hourly[end - 4 : end - 1].sum(axis=0)
                np.testing.assert_allclose(values[step], expected, rtol=1e-3, atol=2e-4 * np.nanmax(abs(totals)))
            np.testing.assert_allclose(values[0], raw[name].values[0] / 8, rtol=1e-6)
        # The control: subtracting the value at 00 UTC, the whole day before, makes rain negative.
        assert float((raw["tp"][3] - raw["tp"][0]).min()) < -1e-3
        with pytest.raises(SourceError, match=r"240 missing steps: 2022-01-02 00:00"):
            era5_land.open_files([path], ["tp"], grid, "2022-01")


def test_packed_values_of_the_old_layout(realdata) -> None:
    path = realdata / "layouts" / "era5_old_layout_int16_packed.nc"
    with era5_files.opened([path]) as pieces, xr.open_dataset(path) as raw:
        (piece,) = pieces
        np.testing.assert_array_equal(piece.time_of("t2m"), raw["time"].values)
        for name in ("t2m", "tp"):
            steps = np.arange(0, 744, 3)
            blocks = [block for _, block in piece.blocks(name, steps, np.arange(4), np.arange(5))]
            np.testing.assert_allclose(np.concatenate(blocks), raw[name].values[::3], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["era5_quarter_degree_negative_swvl1.nc", "era5_old_layout_int16_packed.nc"])
def test_era5_on_a_quarter_degree_is_refused(realdata, name, complains) -> None:
    variable, month, box = {
        "era5_quarter_degree_negative_swvl1.nc": ("swvl1", "2020-06", ((25.0, 30.0), (72.0, 75.0))),
        "era5_old_layout_int16_packed.nc": ("t2m", "2020-01", ((46.5, 47.0), (9.5, 10.0))),
    }[name]
    with complains(name, "0.1 degree grid", "0.25 degree (ERA5, not ERA5-Land)", "reanalysis-era5-land"):
        era5_land.open_files([realdata / "layouts" / name], [variable], regular_grid(*box), month)


def test_a_tile_of_nothing_but_sea_is_refused(realdata, complains) -> None:
    path = realdata / "layouts" / "era5_land_all_sea_tile.nc"
    stamps = np.array(["2020-01-01T00", "2020-01-01T03"], "M8[ns]")
    with era5_files.opened([path]) as pieces, complains(path, "t2m on land", "NaN in every cell", "Move the region"):
        gather(pieces, "t2m", regular_grid((59.7, 60.0), (0.0, 0.3)), stamps, optional=0)


def test_masks_on_real_flags(realdata) -> None:
    """23,050 retrievals: the masks against their definitions, word by word, and plausible shares."""
    path = realdata / "layouts" / "spl3smp_v009_time_series_with_flags.nc"
    with xr.open_dataset(path, mask_and_scale=False, decode_times=False) as series:
        words, surface = series["retrieval_qual_flag"].values, series["surface_flag"].values
        soil_moisture, seconds = series["soil_moisture"].values, series["time"].values
    classes = quality_class(words, surface)
    there = words != 65534
    np.testing.assert_array_equal(classes == RECOMMENDED, there & (words % 2 == 0))
    lenient = classes == LENIENT
    assert set(np.unique(words[lenient])) <= {1, 9}
    assert not (surface[lenient] & 0b1_1110_0011).any()
    # A retrieval that either mask accepts has a value.
    assert (soil_moisture[classes != NONE] != -9999).all()
    years = smap_granule._times(seconds).astype("M8[Y]").astype(int) + 1970
    assert (years.min(), years.max()) == (2015, 2025)


def test_the_datasets_read_are_those_of_a_real_granule(realdata) -> None:
    structure = json.loads((realdata / "spl3smp_v008_structure.json").read_text())
    kinds = {"f4": "f4", "f8": "f8", "u2": "u2"}
    for group, suffix in smap_granule.HALVES.values():
        for name, dtype in smap_granule.DATASETS.items():
            entry = structure[group][f"{name}{suffix}"]
            assert entry["shape"] == [406, 964]
            assert kinds[entry["dtype"].lstrip("<")] == dtype


def test_coordinates_of_a_real_file_have_holes(realdata) -> None:
    """Why coordinates come from the grid: the granule's own are missing where there is no data."""
    with xr.open_dataset(
        realdata / "layouts" / "spl3smp_v009_am_pm_latlon.nc4", group="Soil_Moisture_Retrieval_Data_PM"
    ) as group:
        holes = (group["latitude_pm"] == -9999) | group["latitude_pm"].isnull()
        assert float(holes.mean()) > 0.3
