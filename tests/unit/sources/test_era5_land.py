from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from pscnet.grids import Grid, ease2_grid, regular_grid
from pscnet.regrid import make_weights, write_weights
from pscnet.sources import era5_files, era5_land, manifest
from pscnet.timeaxis import month_stamps, neighbour


@pytest.fixture
def truth(values, fine: Grid, month: str):
    """What ``open_files`` must return for an instant."""

    def expected(name: str) -> np.ndarray:
        return values(name, month_stamps(month), fine.lat, fine.lon)

    return expected


def assert_clean(data: xr.Dataset, name: str, expected: np.ndarray, tolerance: float = 1e-6) -> None:
    assert data[name].dims == ("time", "lat", "lon")
    assert data[name].dtype == np.float32
    np.testing.assert_allclose(data[name], expected, rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize("hours", [1, 3])
@pytest.mark.parametrize(("layout", "tolerance"), [("new", 1e-6), ("old", 1e-4), ("expver", 1e-6)])
def test_layouts(tmp_path, write_era5, hourly, fine, month, truth, hours, layout, tolerance) -> None:
    path = write_era5(tmp_path / "any_name", ("t2m", "swvl1"), hourly(hours=hours), layout=layout)
    data = era5_land.open_files([path], ["swvl1", "t2m"], fine, month)
    assert list(data.data_vars) == ["swvl1", "t2m"]
    np.testing.assert_array_equal(data["time"], month_stamps(month))
    np.testing.assert_array_equal(data["lat"], fine.lat)
    np.testing.assert_array_equal(data["lon"], fine.lon)
    assert data["t2m"].attrs["units"] == "K"
    assert_clean(data, "t2m", truth("t2m"), tolerance)
    assert_clean(data, "swvl1", truth("swvl1"), tolerance * 10)


def test_zip_of_instants_and_accumulations(tmp_path, write_era5, fine, month, truth) -> None:
    instant = write_era5(tmp_path / "i.nc", ("t2m", "swvl1"))
    accum = write_era5(tmp_path / "a.nc", ("tp",))
    with zipfile.ZipFile(tmp_path / "download.nc", "w") as archive:
        archive.write(instant, "data_stream-oper_stepType-instant.nc")
        archive.write(accum, "data_stream-oper_stepType-accum.nc")
        archive.writestr("receipt.json", "{}")
    data = era5_land.open_files([tmp_path / "download.nc"], ["t2m", "tp"], fine, month)
    assert_clean(data, "t2m", truth("t2m"))
    assert float(data["tp"].max()) > 0


@pytest.mark.parametrize(
    "case", ["ascending latitude", "longitude 0..360", "float noise", "larger box", "unsorted time"]
)
def test_axes(tmp_path, write_era5, values, hourly, month, case) -> None:
    fine = regular_grid((30.0, 30.4), (-0.3, 0.4))
    lat, lon, times = fine.lat, fine.lon, hourly()
    if case == "ascending latitude":
        lat = lat[::-1]
    elif case == "longitude 0..360":
        lon = np.sort(np.round(regular_grid((30.0, 30.4), (-2.0, 3.0)).lon % 360, 6))
    elif case == "float noise":
        lat, lon = lat.astype("f4") + np.float32(1.5e-6), lon.astype("f4") - np.float32(1.53e-6)
    elif case == "larger box":
        larger = regular_grid((29.0, 32.0), (-1.0, 2.0))
        lat, lon = larger.lat, larger.lon
    else:
        times = np.concatenate([times[300:], times[:300]])
    path = write_era5(tmp_path / "a.nc", ("t2m",), times, lat, lon, data=None)
    data = era5_land.open_files([path], ["t2m"], fine, month)
    shown = (lon + 180) % 360 - 180
    source = values("t2m", month_stamps(month), lat, lon)
    rows = [int(np.argmin(np.abs(lat - node))) for node in fine.lat]
    cols = [int(np.argmin(np.abs(shown - node))) for node in fine.lon]
    assert_clean(data, "t2m", source[:, rows][:, :, cols])


def test_large_files_are_read_in_blocks(tmp_path, write_era5, fine, month, truth, monkeypatch) -> None:
    monkeypatch.setattr(era5_files, "READ_BYTES", 30 * 4 * 7)
    path = write_era5(tmp_path / "a.nc")
    assert_clean(era5_land.open_files([path], ["t2m"], fine, month), "t2m", truth("t2m"))


def test_merges_files_split_by_variable_time_and_box(tmp_path, write_era5, hourly, fine, month, truth) -> None:
    times = hourly()
    paths = [
        write_era5(tmp_path / "west.nc", ("t2m",), times[:400], lon=fine.lon[:4]),
        write_era5(tmp_path / "east.nc", ("t2m",), times[:400], lon=fine.lon[3:]),
        write_era5(tmp_path / "later.nc", ("t2m",), times[400:]),
        write_era5(tmp_path / "soil.nc", ("swvl1",)),
    ]
    data = era5_land.open_files(paths, ["t2m", "swvl1"], fine, month)
    assert_clean(data, "t2m", truth("t2m"))
    assert_clean(data, "swvl1", truth("swvl1"))


def test_a_preliminary_value_gives_way_to_the_final_one(
    tmp_path, write_era5, values, hourly, fine, month, truth
) -> None:
    final = write_era5(tmp_path / "final.nc")
    wrong = values("t2m", hourly(), fine.lat, fine.lon) + 1
    early = write_era5(tmp_path / "early.nc", data={"t2m": wrong}, expver="0005")
    for paths in ([final, early], [early, final]):
        assert_clean(era5_land.open_files(paths, ["t2m"], fine, month), "t2m", truth("t2m"))


def test_sea_stays_missing(tmp_path, write_era5, values, hourly, fine, month) -> None:
    data = values("t2m", hourly(), fine.lat, fine.lon)
    data[:, 0, :2] = np.nan
    for layout in ("new", "old"):
        path = write_era5(tmp_path / f"{layout}.nc", data={"t2m": data}, layout=layout)
        read = era5_land.open_files([path], ["t2m"], fine, month)["t2m"]
        assert read.isnull()[:, 0, :2].all()
        assert int(read.isnull().sum()) == 2 * read.sizes["time"]


def interval_units(hours: np.ndarray) -> np.ndarray:
    """Sum of the units of the 3 hours that end at each hour of the day (24 for 00 UTC); hour h adds h units."""
    return 3 * hours - 3.0


@pytest.mark.parametrize("hours", [1, 3])
def test_accumulations_become_totals_of_three_hours(tmp_path, write_era5, hourly, fine, month, hours) -> None:
    before = neighbour(month, -1)
    names = ("tp", "e", "ssrd")
    path = write_era5(tmp_path / "a.nc", names, hourly(hours=hours))
    previous = write_era5(tmp_path / "b.nc", names, hourly(before, hours))
    data = era5_land.open_files([path], names, fine, month, previous=[previous])
    of_day = data["time"].dt.hour.values
    expected = interval_units(np.where(of_day == 0, 24, of_day))
    place = 1 + (fine.lat[:, None] - 30) + (fine.lon[None, :] - 90) / 10
    for name, unit in (("tp", 1e-5), ("e", -1e-6), ("ssrd", 1e4)):
        np.testing.assert_allclose(data[name], expected[:, None, None] * place * unit, rtol=2e-4)
        assert "month before" in data[name].attrs["comment"]
    # 1 + 2 + 3 = 6 at 03 UTC: the running total itself. Subtracting 00 UTC (300 units) is the classic mistake.
    assert float(data["tp"][1, -1, 0]) == pytest.approx(6e-5)
    # A day's eight totals, from 03 to 00 UTC, add up to the value at 00 UTC.
    np.testing.assert_allclose(data["tp"][1:9].sum("time"), 300e-5 * place, rtol=1e-5)


def test_the_first_stamp_without_the_month_before(tmp_path, write_era5, fine, month) -> None:
    path = write_era5(tmp_path / "a.nc", ("tp",))
    data = era5_land.open_files([path], ["tp"], fine, month)
    assert float(data["tp"][0, -1, 0]) == pytest.approx(300e-5 / 8)
    assert "one eighth" in data["tp"].attrs["comment"]


def test_small_negatives_are_clipped_but_not_in_signed_variables(
    tmp_path, write_era5, values, hourly, fine, month
) -> None:
    times = hourly()
    rain, soil = values("tp", times, fine.lat, fine.lon), values("swvl1", times, fine.lat, fine.lon)
    rain[:] = 1e-3
    rain[times == np.datetime64("2015-02-03T06")] -= 1e-8
    soil[:, 0, 0] = -0.009
    path = write_era5(tmp_path / "a.nc", ("tp", "swvl1", "e"), data={"tp": rain, "swvl1": soil})
    data = era5_land.open_files([path], ["tp", "swvl1", "e"], fine, month)
    assert float(data["tp"].min()) == 0
    assert float(data["swvl1"].min()) == 0
    assert float(data["e"].max()) < 0


@pytest.fixture
def month_files(tmp_path, write_era5, hourly, fine, coarse, month) -> dict[str, Path]:
    """Manifests of two months and a weight file; the grid of the weights lies inside the fine box."""
    raw, made = tmp_path / "raw", {}
    for key, name in (("previous", neighbour(month, -1)), ("manifest", month)):
        path = write_era5(raw / f"{name}.nc", ("t2m", "tp"), hourly(name))
        made[key] = tmp_path / f"{key}.json"
        entry = manifest.member(raw, path, variables=["t2m", "tp"])
        manifest.write(made[key], source="era5_land", month=name, root=raw, files=[entry], made_by="archive")
    made["weights"] = tmp_path / "weights.nc"
    write_weights(make_weights(fine, coarse, "conservative", "exact"), made["weights"])
    return made


def test_write_month(tmp_path, month_files, fine, coarse, month) -> None:
    out, mean = tmp_path / "out" / "p.nc", tmp_path / "out" / "c.nc"
    names = ["t2m", "tp"]
    era5_land.write_month(
        month_files["manifest"], month_files["previous"], names, fine, month, month_files["weights"], coarse, out, mean
    )
    paths = [manifest.read(month_files[key]).paths() for key in ("manifest", "previous")]
    direct = era5_land.open_files(paths[0], names, fine, month, previous=paths[1])
    with xr.open_dataset(out) as written, xr.open_dataset(mean) as means:
        xr.testing.assert_equal(written.drop_attrs(), direct.drop_attrs())
        assert written["tp"].encoding["zlib"]
        assert written["tp"].encoding["complevel"] == 1
        assert means["t2m"].dims == ("time", "y", "x")
        np.testing.assert_allclose(means["lat"], coarse.lat)
        assert means["row"].values[0] == coarse.row0
        assert 0 < float(means["valid_fraction"].max()) <= 1 + 1e-6
        # A mean lies within what it is a mean of.
        assert float(means["t2m"].max()) <= float(direct["t2m"].max()) + 1e-4
        assert float(means["t2m"].min()) >= float(direct["t2m"].min()) - 1e-4
    assert {path.name for path in out.parent.iterdir()} == {"p.nc", "c.nc"}


def test_write_month_keeps_earlier_files_when_it_fails(tmp_path, month_files, fine, coarse, month, complains) -> None:
    out, mean = tmp_path / "p.nc", tmp_path / "c.nc"
    for path in (out, mean):
        path.write_bytes(b"earlier")
    with complains("sd", "snow_depth_water_equivalent"):
        era5_land.write_month(
            month_files["manifest"], None, ["t2m", "sd"], fine, month, month_files["weights"], coarse, out, mean
        )
    assert out.read_bytes() == mean.read_bytes() == b"earlier"
    assert not list(tmp_path.glob(".*part*"))


def test_write_month_refuses_other_manifests_and_weights(tmp_path, month_files, fine, coarse, month, complains) -> None:
    out = tmp_path / "p.nc", tmp_path / "c.nc"
    with complains("previous.json", f"era5_land {month}"):
        era5_land.write_month(month_files["previous"], None, ["t2m"], fine, month, month_files["weights"], coarse, *out)
    other = ease2_grid((30.0, 33.0), (90.0, 93.0))
    with complains("weights.nc", str(other.shape)):
        era5_land.write_month(month_files["manifest"], None, ["t2m"], fine, month, month_files["weights"], other, *out)


def test_opened_removes_what_it_unpacked(tmp_path, write_era5, monkeypatch) -> None:
    monkeypatch.setattr(era5_files.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    path = write_era5(tmp_path / "i.nc")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "data_0.nc")
    with era5_files.opened([tmp_path / "a.zip"]) as pieces:
        assert isinstance(pieces[0].dataset, netCDF4.Dataset)
        assert list((tmp_path / "scratch").iterdir())
    assert not list((tmp_path / "scratch").iterdir())


def peak_of(action) -> int:
    """Largest memory [byte] that numpy and Python hold during a call."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_variables(tmp_path, write_era5, hourly, month) -> None:
    names = ["t2m", "d2m", "skt", "stl1", "stl2", "stl3", "stl4", "tsn"]
    fine, coarse = regular_grid((30.0, 31.0), (90.0, 92.0)), ease2_grid((30.0, 31.0), (90.0, 92.0))
    data = np.full((hourly().size, *fine.shape), 280.0, "f4")
    path = write_era5(tmp_path / "a.nc", names, None, fine.lat, fine.lon, data=dict.fromkeys(names, data), unit="K")
    entry = manifest.member(tmp_path, path, variables=names)
    manifest.write(
        tmp_path / "m.json", source="era5_land", month=month, root=tmp_path, files=[entry], made_by="archive"
    )
    write_weights(make_weights(fine, coarse, "conservative", "exact"), tmp_path / "w.nc")

    def write(chosen: list[str]) -> None:
        out = tmp_path / "p.nc", tmp_path / "c.nc"
        era5_land.write_month(tmp_path / "m.json", None, chosen, fine, month, tmp_path / "w.nc", coarse, *out)

    write(names[:1])  # imports
    assert peak_of(lambda: write(names)) < 1.2 * peak_of(lambda: write(names[:2]))
    # The control: all in memory takes what the variables take.
    few, all_ = (peak_of(lambda n=n: era5_land.open_files([path], names[:n], fine, month)) for n in (2, 8))
    assert all_ > 1.5 * few
