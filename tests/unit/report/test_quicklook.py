"""Quicklooks: the numbers of a month's line are counted, its picture and animation are drawn, gaps stay gaps."""

from __future__ import annotations

import time

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from pscnet.report.inputs import read_month, read_retrievals
from pscnet.report.quicklook import Coverage, days_of, mean_of, month_coverage, write_quicklook
from pscnet.variables import FLAG_BITS


def test_a_picture_an_animation_and_a_line(made_up_run, tmp_path, capsys):
    began = time.process_time()
    coverage = write_quicklook(
        product=made_up_run.paths("product")[0],
        smap=made_up_run.paths("smap")[0],
        picture=tmp_path / "q.png",
        animation=tmp_path / "q.gif",
        month="2016-07",
        run="made_up",
    )
    assert time.process_time() - began < 60
    line = capsys.readouterr().out.strip()
    assert line.startswith("2016-07: of 161 448 land cell-steps ") and coverage.line("2016-07") == line
    with Image.open(tmp_path / "q.png") as picture:
        assert picture.width > 900
    with Image.open(tmp_path / "q.gif") as animation:
        assert animation.n_frames == 31 and animation.info["loop"] == 0
        first = animation.convert("RGB").tobytes()
        animation.seek(15)
        assert animation.convert("RGB").tobytes() != first
    assert (tmp_path / "q.gif").stat().st_size < 2_000_000


def test_coverage_is_counted_on_land(tmp_path):
    flag = np.zeros((2, 2, 2), np.uint8)
    flag[:, 0, 0] = FLAG_BITS["outside_region"]
    flag[0, 0, 1] = FLAG_BITS["frozen"]
    flag[:, 1, 1] = FLAG_BITS["smap_observed"]
    values = np.full((2, 2, 2), 0.2)
    values[0, 0, 1] = np.nan
    values[:, 0, 0] = np.nan
    path, dims = tmp_path / "p.nc", ("time", "lat", "lon")
    xr.Dataset({"soil_moisture": (dims, values), "flag": (dims, flag)}).to_netcdf(path)
    assert month_coverage(path) == Coverage(6, pytest.approx(5 / 6), pytest.approx(1 / 6), pytest.approx(2 / 6))
    xr.Dataset({"soil_moisture": (dims, values), "flag": (dims, flag | 32)}).to_netcdf(tmp_path / "sea.nc")
    assert month_coverage(tmp_path / "sea.nc").line("2016-07") == "2016-07: the region has no land cell"


def test_means_leave_gaps_out():
    values = np.array([[0.1, np.nan, np.nan], [0.3, 0.4, np.nan]])
    assert mean_of(values) == pytest.approx([0.2, 0.4, np.nan], nan_ok=True)
    assert mean_of(values, 2) == pytest.approx([0.2, np.nan, np.nan], nan_ok=True)
    assert np.isnan(mean_of(np.empty((0, 2)))).all()


def test_days_hold_what_was_measured_on_them(made_up_run):
    month = read_month(made_up_run.paths("product")[0], None)
    retrievals = read_retrievals(made_up_run.paths("smap")[:1], month.times[0])
    days = days_of(month, retrievals)
    assert [days[0][0], days[-1][0], len(days)] == ["2016-07-01", "2016-07-31", 31]
    day = np.datetime64("2016-07-10")
    there = retrievals.times.astype("M8[D]") == day
    expected = mean_of(np.where(there, retrievals.moisture, np.nan))
    assert days[9][1] == pytest.approx(expected, nan_ok=True) and np.isnan(expected).any()
    assert days[9][2] == pytest.approx(mean_of(month.moisture[72:80]), nan_ok=True)


def test_a_winter_without_retrievals_has_a_quicklook(made_up_run, tmp_path):
    with xr.open_dataset(made_up_run.paths("smap")[0], decode_timedelta=False) as smap:
        empty = smap.load().assign(
            soil_moisture=smap["soil_moisture"] * np.nan, time_offset=smap["time_offset"] * np.nan
        )
    empty.to_netcdf(tmp_path / "smap.nc")
    paths = {"picture": tmp_path / "q.png", "animation": tmp_path / "q.gif", "smap": tmp_path / "smap.nc"}
    write_quicklook(product=made_up_run.paths("product")[0], month="2016-07", run="made_up", **paths)
    assert (tmp_path / "q.gif").is_file()
