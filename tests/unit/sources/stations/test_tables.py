"""Tables of stations with their description: units, zones, flags, one file or many; every mistake is named."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from pscnet.grids import regular_grid
from pscnet.sources import SourceError
from pscnet.sources.stations import Wanted
from pscnet.sources.stations import description as descriptions
from pscnet.sources.stations.tables import read_tables

PLACE = {"name": "BJ", "lat": 31.37, "lon": 91.9}


def described(**changes) -> dict:
    made = {
        "network": "Naqu",
        "time": {"column": "time", "format": "%Y-%m-%d %H:%M", "zone": "+08:00"},
        "soil_moisture": {"column": "SM", "unit": "%", "depth": [0.0, 0.05]},
        "file": "naqu.csv",
        "stations": [PLACE],
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


TABLE = "time,SM,T,flag\n2017-07-01 08:00,14.5,3.5,G\n2017-07-01 08:30,-99,4.0,G\n2017-07-01 11:00,15.0,-1.0,B\n"


@pytest.fixture
def write(tmp_path):
    def made(content: dict | str, **tables: str):
        for name, text in (tables or {"naqu": TABLE}).items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        path = tmp_path / "naqu.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return made


def test_units_zone_and_missing_values(write, wanted):
    (sensor,), left = read_tables(write(described(missing=[-99])), wanted)
    assert left == []
    assert sensor.times.tolist() == np.array(["2017-07-01T00:00", "2017-07-01T03:00"], "M8[ns]").tolist()
    assert sensor.moisture == pytest.approx([0.145, 0.150])
    assert (sensor.network, sensor.station, sensor.depth_from, sensor.depth_to) == ("Naqu", "BJ", 0.0, 0.05)


def test_quality_and_temperature(write, wanted):
    content = described(
        missing=[-99], quality={"column": "flag", "good": "G"}, soil_temperature={"column": "T", "unit": "degC"}
    )
    (sensor,), _ = read_tables(write(content), wanted)
    assert sensor.moisture == pytest.approx([0.145])
    assert sensor.temperature.tolist() == [3.5, 4.0, -1.0]
    content["soil_temperature"]["unit"] = "K"
    (sensor,), _ = read_tables(write(content, naqu=TABLE.replace("3.5", "276.65")), wanted)
    assert sensor.temperature == pytest.approx([3.5])


def test_one_table_of_all_stations_long_and_wide(write, wanted):
    two = [PLACE, {"name": "N2", "lat": 31.5, "lon": 92.0}]
    long = "time,site,SM\n2017-07-01 08:00,BJ,14\n2017-07-01 08:00,N2,20\n"
    sensors, _ = read_tables(write(described(stations=two, station_column="site"), naqu=long), wanted)
    assert [(s.station, s.moisture.tolist()) for s in sensors] == [("BJ", [0.14]), ("N2", [0.2])]
    wide = "time,SM_BJ,SM_N2\n2017-07-01 08:00,14,20\n"
    columns = [{**station, "column": f"SM_{station['name']}"} for station in two]
    sensors, _ = read_tables(write(described(stations=columns), naqu=wide), wanted)
    assert [(s.station, s.moisture.tolist()) for s in sensors] == [("BJ", [0.14]), ("N2", [0.2])]
    files = [{**station, "file": f"{station['name']}.csv"} for station in two]
    tables = {"BJ": "time;SM\n2017-07-01 08:00;14\n", "N2": "time;SM\n2017-07-01 08:00;20\n"}
    sensors, _ = read_tables(write(described(stations=files, file=None, delimiter=";"), **tables), wanted)
    assert [(s.station, s.moisture.tolist()) for s in sensors] == [("BJ", [0.14]), ("N2", [0.2])]


@pytest.mark.parametrize(("lon", "place"), [(295.0, -65.0), (-65.0, -65.0), (180.0, 180.0), (91.9, 91.9)])
def test_longitudes_beyond_180_degrees_are_wrapped(lon, place, write):
    grid = regular_grid((31.0, 33.0), (np.floor(place) - 1.0, min(np.floor(place) + 1.0, 180.0)))
    wanted = Wanted(grid, np.ones(grid.shape, bool), 0.05, np.datetime64("2017-07-01"), np.datetime64("2017-08-01"))
    (sensor,), left = read_tables(write(described(stations=[{**PLACE, "lon": lon}], missing=[-99])), wanted)
    assert left == [] and sensor.lon == place


@pytest.mark.parametrize("zone", ["UTC", "+0", "Asia/Shanghai", "+08", "-0330"])
def test_zones(zone, write, wanted):
    time = {"column": "time", "zone": zone}
    (sensor,), _ = read_tables(write(described(time=time), naqu="time,SM\n2017-07-05 08:00,14\n"), wanted)
    hours = {"UTC": 8, "+0": 8, "Asia/Shanghai": 0, "+08": 0, "-0330": 11.5}[zone]
    assert (sensor.times[0] - np.datetime64("2017-07-05")) / np.timedelta64(1, "h") == hours


def test_a_time_with_its_own_offset_needs_no_zone(write, wanted):
    content = described(time={"column": "time", "zone": "UTC"})
    (sensor,), _ = read_tables(write(content, naqu="time,SM\n2017-07-05T08:00+08:00,14\n"), wanted)
    assert sensor.times[0] == np.datetime64("2017-07-05T00:00")


REASONS = {
    "depth": ({"soil_moisture": {"column": "SM", "unit": "%"}}, TABLE, "no depth in the file"),
    "deep": ({"soil_moisture": {"column": "SM", "unit": "%", "depth": 0.1}}, TABLE, "too deep"),
    "outside": ({"stations": [{**PLACE, "lat": 40.0}]}, TABLE, "outside the region: at 40 N"),
    "unit": ({"soil_moisture": {"column": "SM", "unit": "m3 m-3", "depth": 0.05}}, TABLE, "is the unit 'm3 m-3' right"),
    "percent": ({}, TABLE.replace("14.5", "0.145").replace("15.0", "0.15").replace("-99", ""), "is the unit '%' right"),
    "period": ({}, TABLE.replace("2017", "2012"), "no row within the period"),
    "quality": ({"quality": {"column": "flag", "good": "Z"}}, TABLE, "no good value among 3 rows"),
    "site": ({"station_column": "flag"}, TABLE, "no row of naqu.csv has 'BJ' in the column flag"),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_station_that_is_left_out_has_a_reason(case, write, wanted):
    changes, table, reason = REASONS[case]
    sensors, left = read_tables(write(described(**changes), naqu=table), wanted)
    assert sensors == [] and reason in left[0].reason, left


ERRORS = {
    "key": ({"soil_moisture": {"column": "SM", "unit": "%", "dept": 0.05}}, TABLE, "dept: an unknown key"),
    "missing": ({"network": None}, TABLE, "network: missing"),
    "unit": ({"soil_moisture": {"column": "SM", "unit": "vol"}}, TABLE, "soil_moisture.unit"),
    "zone": ({"time": {"column": "time", "zone": "Mars"}}, TABLE, "'Mars' is no time zone"),
    "twice": ({"stations": [PLACE, PLACE]}, TABLE, "BJ is listed twice"),
    "no file": ({"file": None}, TABLE, "station BJ: no file"),
    "no column": ({"soil_moisture": {"unit": "%", "depth": 0.05}}, TABLE, "station BJ: no column"),
    "other column": ({"soil_moisture": {"column": "SMX", "unit": "%", "depth": 0.05}}, TABLE, "a column 'SMX'"),
    "time": ({}, TABLE.replace("2017-07-01 08:30", "1 July"), "times of the form %Y-%m-%d %H:%M"),
    "empty time": ({}, TABLE.replace("2017-07-01 08:30", ""), "none in line 3"),
    "number": ({}, TABLE.replace("14.5", "14,5x").replace("14,5x", "14.5x"), "'14.5x' in line 2"),
    "absent": ({"file": "other.csv"}, TABLE, "the table other.csv beside it; found no such file"),
    "escape": ({"file": "../naqu.csv"}, TABLE, "the member '../naqu.csv'"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_a_mistake_is_named(case, write, wanted):
    changes, table, message = ERRORS[case]
    with pytest.raises(SourceError) as error:
        read_tables(write(described(**changes), naqu=table), wanted)
    assert message in str(error.value), error.value


def test_text_that_is_no_yaml_and_yaml_that_runs_code_are_refused(write, wanted):
    for content in ("a: [", "just text", "network: !!python/object/apply:os.system ['true']"):
        with pytest.raises(SourceError, match="a description of station tables"):
            read_tables(write(content), wanted)


def test_the_example_of_the_documents_is_valid(repository):
    text = descriptions.__doc__.split("::\n\n")[1].split("\n\nFiles are")[0]
    content = descriptions.Description.model_validate(yaml.safe_load(text))
    assert content.depth_of(content.stations[1]) == (0.05, 0.05)
    page = (repository / "docs" / "validation" / "stations.md").read_text()
    shown = page.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(shown) == yaml.safe_load(text)
