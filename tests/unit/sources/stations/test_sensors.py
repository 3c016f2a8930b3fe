"""Sensors on the product's stamps, and the digest that decides on a rerun."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import xarray as xr

from pscnet.sources import SourceError
from pscnet.sources.stations import cell_of
from pscnet.sources.stations.holdings import contents
from pscnet.sources.stations.sensors import nearest_values, read_all, write_sensors
from pscnet.timeaxis import nearest_stamp
from tests.unit.sources.stations.conftest import header_values, name_of


def hours(*values: float) -> np.ndarray:
    return np.datetime64("2017-07-01", "ns") + (np.array(values) * 3600e9).astype("m8[ns]")


def test_the_nearest_value_within_an_hour_and_a_half():
    times, values = hours(0.5, 1.5, 4.4, 7.6, 12.0), np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = nearest_values(times, values, hours(0, 3, 6, 9, 12, 15))
    assert np.array_equal(found, [1.0, 3.0, np.nan, 4.0, 5.0, np.nan], equal_nan=True)
    assert nearest_values(hours(1.5, 4.5), np.array([1.0, 2.0]), hours(3)).tolist() == [1.0], (
        "of equal ones the earlier"
    )
    assert nearest_values(hours(1.49), np.array([1.0]), hours(3)).tolist() != [1.0], "the control: farther"
    assert np.isnan(nearest_values(hours(), np.empty(0), hours(0, 3))).all()


def test_a_value_halfway_between_two_stamps_has_one_stamp_the_later():
    """As for retrievals; each value is used once, whatever lies around it."""
    found = nearest_values(hours(1.5), np.array([0.2]), hours(0, 3))
    assert np.array_equal(found, [np.nan, 0.2], equal_nan=True)
    rng = np.random.default_rng(0)
    times = hours(*np.unique(rng.integers(0, 96, 40) / 4))
    values, stamps = np.arange(times.size, dtype=float), hours(*range(0, 27, 3))
    found = nearest_values(times, values, stamps)
    here = np.isfinite(found)
    assert np.unique(found[here]).size == here.sum() > 4
    assert (nearest_stamp(times[found[here].astype(int)]) == stamps[here]).all()


def write(source, wanted, tmp_path, **changes):
    static = tmp_path / "static.nc"
    place = {"lat": wanted.grid.lat, "lon": wanted.grid.lon}
    xr.Dataset({"region": (("lat", "lon"), wanted.region.astype("i1"))}, place).to_netcdf(static)
    arguments = {
        "sources": [source], "months": ["2017-07"], "grid": wanted.grid, "static": static, "deepest": 0.05,
        "output": tmp_path / "sensors.nc",
    }  # fmt: skip
    write_sensors(**(arguments | changes))
    return xr.load_dataset(tmp_path / "sensors.nc")


def test_sensors_lie_on_the_stamps_of_the_period(archive, wanted, tmp_path):
    source = archive({
        f"CTP/BJ/{name_of()}": header_values(),
        f"CTP/BJ/{name_of(variable='ts')}": header_values(records=[(0, -0.5, "G")]),
        f"CTP/FAR/{name_of('FAR')}": header_values("FAR", place="35.0 91.9 4509"),
    })  # fmt: skip
    made = write(source, wanted, tmp_path)
    assert made.sizes == {"sensor": 1, "time": 248}
    assert made["soil_moisture"].values[0, :3] == pytest.approx([0.1453, 0.15, np.nan], nan_ok=True, abs=1e-6)
    assert made["soil_temperature"].values[0, :2] == pytest.approx([-0.5, np.nan], nan_ok=True)
    assert made["network"].values.tolist() == ["CTP"]
    left = json.loads(made.attrs["left_out"])
    assert left[0]["what"] == f"CTP/FAR/{name_of('FAR')}" and "outside the region" in left[0]["reason"]


def test_no_sensor_of_use_is_an_empty_file_and_a_warning(archive, wanted, tmp_path, caplog):
    made = write(archive({f"CTP/BJ/{name_of()}": header_values(place="35.0 91.9 4509")}), wanted, tmp_path)
    assert made.sizes["sensor"] == 0
    assert "No sensor is of use: outside the region (1)" in caplog.text


def test_a_sensor_of_two_sources_counts_once(archive, wanted, tmp_path):
    source = archive({f"CTP/BJ/{name_of()}": header_values()})
    made = write(source, wanted, tmp_path, sources=[source, source])
    assert made.sizes["sensor"] == 1 and "nothing new in a later source" in made.attrs["left_out"]
    assert made.equals(write(source, wanted, tmp_path, sources=[source]))


def test_two_sources_with_two_periods_of_a_sensor_are_joined(archive, wanted):
    """As downloads of two years are; of a time that is in both the first source's value stays."""
    first = archive({
        f"CTP/BJ/{name_of()}": header_values(),
        f"CTP/BJ/{name_of(variable='ts')}": header_values(records=[(0, 7.0, "G")]),
    })  # fmt: skip
    first = first.rename(first.with_name("ISMN_first"))
    later = [line.replace("2017/07/01", "2017/07/02") for line in header_values()[1:]]
    second = archive({
        f"CTP/BJ/{name_of()}": [*header_values(records=[(4, 0.3, "G")]), *later],
        f"CTP/BJ/{name_of(variable='ts')}": [header_values()[0], "2017/07/02 00:00 8.0 G M"],
    })  # fmt: skip
    (sensor,), left = read_all([first, second], wanted)
    assert left == [], "nothing is a duplicate"
    expected = hours(0, 2, 4, 24, 26, 28)
    assert sensor.times.tolist() == expected.tolist()
    assert sensor.moisture.tolist() == [0.1453, 0.15, 0.16, 0.1453, 0.15, 0.16]
    assert sensor.warm_times.tolist() == hours(0, 24).tolist() and sensor.temperature.tolist() == [7.0, 8.0]


def test_a_static_file_of_another_grid_is_refused(archive, wanted, tmp_path):
    source = archive({f"CTP/BJ/{name_of()}": header_values()})
    other = tmp_path / "other.nc"
    xr.Dataset({"region": (("lat", "lon"), np.ones((2, 2), "i1"))}).to_netcdf(other)
    with pytest.raises(SourceError, match="Rerun regrid_static"):
        write(source, wanted, tmp_path, static=other)


def test_a_place_lies_in_the_cell_whose_centre_is_nearest(wanted):
    rng = np.random.default_rng(0)
    for lat, lon in zip(rng.uniform(31, 33, 50), rng.uniform(91, 93, 50), strict=True):
        row, column = cell_of(wanted.grid, lat, lon)
        assert row == np.abs(wanted.grid.lat - lat).argmin() and column == np.abs(wanted.grid.lon - lon).argmin()
    assert cell_of(wanted.grid, 33.2, 92.0) is None and cell_of(wanted.grid, 32.0, 90.9) is None


def test_touched_files_have_the_same_digest_and_changed_ones_another(archive, tmp_path, monkeypatch):
    source, index = archive({f"CTP/BJ/{name_of()}": header_values(), "notes.txt": b"x"}), tmp_path / "index.json"
    (path,) = source.rglob("*.stm")
    before = contents([str(source)], index)
    assert [name for name, _ in before] == [str(path)]
    os.utime(path, (1, 1))
    assert contents([str(source)], index) == before
    monkeypatch.setattr("pscnet.sources.stations.holdings.hash_file", lambda path: pytest.fail("read again"))
    assert contents([str(source)], index) == before, "a file that is known is not read again"
    monkeypatch.undo()
    path.write_text(path.read_text().replace("0.1453", "0.1454"))
    assert contents([str(source)], index) != before
    path.unlink()
    assert contents([str(source)], index) == []
    assert contents([str(tmp_path / "gone")], index) == [[str(tmp_path / "gone"), "absent"]]


def test_the_tables_of_a_description_count(tmp_path):
    (tmp_path / "naqu.yaml").write_text(
        "network: N\ntime: {column: t, zone: UTC}\nsoil_moisture: {column: s, unit: '%', depth: 0.05}\n"
        "file: naqu.csv\nstations: [{name: A, lat: 31, lon: 91}]\n"
    )
    (tmp_path / "naqu.csv").write_text("t,s\n")
    before = contents([str(tmp_path / "naqu.yaml")], tmp_path / "index.json")
    assert len(before) == 2
    (tmp_path / "naqu.csv").write_text("t,s\n1,2\n")
    after = contents([str(tmp_path / "naqu.yaml")], tmp_path / "index.json")
    assert [one == two for one, two in zip(before, after, strict=True)] == [True, False]
