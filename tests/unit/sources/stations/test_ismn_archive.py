"""ISMN archives of every layout give the same series; what is left out is told with its reason."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ismn.filehandlers import DataFile

from pscnet.grids import regular_grid
from pscnet.sources import SourceError
from pscnet.sources.stations import Wanted
from pscnet.sources.stations.ismn_archive import read_ismn
from tests.unit.sources.stations.conftest import STATIC, VALUES, ceop, header_values, name_of

GOOD = [(hour, value) for hour, value, flag in VALUES if flag == "G"]


def check(sensor, station="BJ", name="5TM"):
    """A sensor has the good values at their hours, to the digit."""
    assert (sensor.network, sensor.station, sensor.name) == ("CTP", station, name)
    assert (sensor.lat, sensor.lon, sensor.depth_from, sensor.depth_to) == (31.37, 91.9, 0.05, 0.05)
    hours = (sensor.times - np.datetime64("2017-07-01")) / np.timedelta64(1, "h")
    assert list(zip(hours.tolist(), sensor.moisture.tolist(), strict=True)) == GOOD


LAYOUTS = {
    "header+values": (name_of(), header_values(), "\n"),
    "lines that end with CR": (name_of(), [line + " " for line in header_values()], "\r"),
    "lines that end with CR LF": (name_of(), header_values(), "\r\n"),
    "CEOP": (name_of(), ceop(), "\n"),
    "CEOP, lines that end with CR": (name_of(), [line + " " for line in ceop()], "\r"),
    "no flag of the provider": (name_of(), header_values(provider=""), "\n"),
    "a provider's flag with spaces": (name_of(), header_values(provider=" DLT >= 1.5,OK,OK"), "\n"),
    "header and first record together": (
        name_of(),
        [header_values()[0] + "\n\r" + header_values()[1], *header_values()[2:]],
        "\r\n",
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_series(layout, packed, archive, wanted):
    name, lines, end = LAYOUTS[layout]
    source = archive({f"CTP/BJ/{name}": lines, "CTP/BJ/CTP_CTP_BJ_static_variables.csv": STATIC.encode()}, end, packed)
    sensors, left = read_ismn(source, wanted)
    assert left == [] and len(sensors) == 1
    check(sensors[0])


NAMES = {
    "a sensor with spaces": ("BJ", "Hydraprobe II Sdi-12_C", "Hydraprobe-II-Sdi-12_C", "Hydraprobe-II-Sdi-12_C"),
    "a sensor with parentheses": (
        "BJ", "Hydraprobe Analog (2.5 Volt)", "Hydraprobe Analog (2.5 Volt)", "Hydraprobe Analog (2.5 Volt)"
    ),
    "a sensor with underscores": ("BJ", "Meter-5TM_1_1", "Meter-5TM_1_1", "Meter-5TM_1_1"),
    "a station with spaces": ("BJ north 2", "5TM", "5TM", "5TM"),
    "a station with underscores": ("BJ_north", "5TM", "5TM", "5TM"),
    "a station that is a number": ("3.09", "5TM", "5TM", "5TM"),
}  # fmt: skip


@pytest.mark.parametrize("lines_of", [header_values, ceop], ids=["header+values", "CEOP"])
@pytest.mark.parametrize("case", NAMES)
def test_names_may_hold_anything(case, lines_of, archive, wanted):
    station, in_header, in_name, expected = NAMES[case]
    more = {"sensor": in_header} if lines_of is header_values else {}
    lines = lines_of(station=station, **more)
    sensors, left = read_ismn(archive({f"CTP/{station}/{name_of(station, sensor=in_name)}": lines}), wanted)
    assert left == []
    check(sensors[0], station, expected)


def test_a_folder_stays_as_it_is(archive, wanted):
    source = archive({f"CTP/BJ/{name_of()}": header_values()})
    before = {path: path.read_bytes() if path.is_file() else None for path in source.rglob("*")}
    read_ismn(source, wanted)
    assert {path: path.read_bytes() if path.is_file() else None for path in source.rglob("*")} == before


def test_the_thermometer_of_the_same_depth_is_taken(archive, wanted):
    warm = [(h, 10.0 + h, "G") for h in range(3)]
    deep = [(h, 5.0, "G") for h in range(3)]
    sensors, left = read_ismn(
        archive({
            f"CTP/BJ/{name_of()}": header_values(),
            f"CTP/BJ/{name_of(variable='ts')}": header_values(records=warm),
            f"CTP/BJ/{name_of(variable='ts', depths='0.100000_0.100000')}": header_values(
                depths="0.1000 0.1000", records=deep
            ),
            f"CTP/BJ/{name_of(variable='p', depths='-2.000000_-2.000000')}": header_values(depths="-2.0 -2.0"),
        }),
        wanted,
    )  # fmt: skip
    assert left == [], "other variables and deeper thermometers are no loss"
    assert sensors[0].temperature.tolist() == [10.0, 11.0, 12.0]


def test_files_of_two_periods_are_one_sensor(archive, wanted):
    later = [f"2017/07/{day:02d} 00:00 0.2000 G M" for day in (2, 3)]
    sensors, _ = read_ismn(
        archive({
            f"CTP/BJ/{name_of()}": header_values(),
            f"CTP/BJ/{name_of(period='20170702_20170703')}": [header_values()[0], *later],
        }),
        wanted,
    )  # fmt: skip
    assert len(sensors) == 1 and sensors[0].times.size == len(GOOD) + 2


def test_all_files_of_a_borrowed_thermometer_are_taken_and_no_other_thermometer(archive, wanted):
    """The moisture sensor has no thermometer of its own; the first beside it has two files."""
    first = header_values(sensor="PT100", records=[(0, 7.0, "G")])
    sensors, left = read_ismn(
        archive({
            f"CTP/BJ/{name_of()}": header_values(),
            f"CTP/BJ/{name_of(variable='ts', sensor='PT100')}": first,
            f"CTP/BJ/{name_of(variable='ts', sensor='PT100', period='20170702_20170703')}": [
                first[0], "2017/07/02 00:00 8.0 G M"
            ],
            f"CTP/BJ/{name_of(variable='ts', sensor='PT200')}": header_values(
                sensor="PT200", records=[(1, 9.0, "G")]
            ),
        }),
        wanted,
    )  # fmt: skip
    assert left == [] and sensors[0].temperature.tolist() == [7.0, 8.0]


BROKEN = {
    "empty": b"",
    "a header alone": header_values()[:1],
    "another period": [header_values()[0], "2012/07/01 00:00 7.0 G M"],
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_thermometer_that_cannot_be_read_is_no_loss(fault, archive, wanted):
    files = {f"CTP/BJ/{name_of()}": header_values(), f"CTP/BJ/{name_of(variable='ts')}": BROKEN[fault]}
    sensors, left = read_ismn(archive(files), wanted)
    assert left == [] and sensors[0].temperature.size == 0
    files[f"CTP/C/{name_of('C')}"] = BROKEN[fault]
    assert len(read_ismn(archive(files), wanted)[1]) == 1, "the control: soil moisture is missed"


def test_a_longitude_beyond_180_degrees_is_found(archive):
    west = Wanted(
        regular_grid((31.0, 33.0), (-66.0, -64.0)), np.ones((21, 21), bool), 0.05, np.datetime64("2017-07-01"),
        np.datetime64("2017-08-01"),
    )  # fmt: skip
    (sensor,), _ = read_ismn(archive({f"CTP/BJ/{name_of()}": header_values(place="31.37 295.0 4509.00")}), west)
    assert sensor.lon == -65.0


FAULTS = {
    "no depth in the file": (
        "CTP_CTP_BJ_sm_5TM_20170701_20170731.stm", header_values(depths=""), "no depth in the file"
    ),
    "dashes": ("CTP_CTP_BJ_sm_5TM_20170701_20170731.stm", header_values(depths="- -"), "no depth in the file"),
    "two depths": (name_of(depths="0.100000_0.100000"), header_values(), "the name says 0.100000 to 0.100000 m"),
    "too deep": (name_of(depths="0.000000_0.190000"), header_values(depths="0.00 0.19"), "too deep: 0 to 0.19 m"),
    "outside": (name_of(), header_values(place="35.00000 91.90000 4509.00"), "outside the region: at 35 N 91.9 E"),
    "a cell without product": (name_of(), header_values(place="33.00000 91.90000 4509.00"), "the cell at 33 N 91.9 E"),
    "no place": (name_of(), ["CTP CTP BJ 5TM", *header_values()[1:]], "no latitude, longitude and elevation"),
    "flags": (name_of(), header_values(records=[(0, 0.1, "D01"), (1, 0.1, "D01")]), r"none of 2 records .*D01 2"),
    "percent": (name_of(), header_values(records=[(0, 14.0, "G")]), "is the unit another one"),
    "another period": (name_of(), [header_values()[0], "2012/07/01 00:00 0.1 G M"], "no record from"),
    "empty": (name_of(), b"", "the file is empty"),
    "a header alone": (name_of(), header_values()[:1], "no record after the header"),
    "a page": (name_of(), b"<html>\n<body>404</body>\n</html>\n", "no record after the header"),
    "another name": ("soil.stm", header_values(), "the name is not CSE_network"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_left_out_is_told(fault, archive, wanted):
    name, lines, reason = FAULTS[fault]
    sensors, left = read_ismn(
        archive({f"CTP/BJ/{name}": lines, f"CTP/OK/{name_of('OK')}": header_values("OK")}), wanted
    )
    assert [sensor.station for sensor in sensors] == ["OK"], "the others are read all the same"
    assert [entry.what for entry in left] == [f"CTP/BJ/{name}"]
    assert re.search(reason, left[0].reason), left[0].reason


def test_a_member_that_leaves_the_folder_is_refused(archive, wanted):
    source = archive({f"../{name_of()}": header_values()}, packed=True)
    with pytest.raises(SourceError, match="members inside the zip's own folder"):
        read_ismn(source, wanted)


def test_a_damaged_zip_is_named(archive, wanted):
    source = archive({f"CTP/BJ/{name_of()}": header_values()}, packed=True)
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(SourceError, match="a whole zip file"):
        read_ismn(source, wanted)


def test_a_link_out_of_the_folder_is_not_followed(archive, wanted, tmp_path):
    source = archive({f"CTP/OK/{name_of('OK')}": header_values("OK")})
    outside = tmp_path / "secret.stm"
    outside.write_text("\n".join(header_values()))
    (source / "CTP" / "OK" / name_of()).symlink_to(outside)
    sensors, left = read_ismn(source, wanted)
    assert len(sensors) == 1 and "a link that leads out" in left[0].reason


@pytest.mark.parametrize("what", ["nothing", "other"])
def test_a_folder_without_ismn_files_is_named(what, tmp_path, wanted):
    if what == "other":
        (tmp_path / "readme.txt").write_text("text")
    with pytest.raises(SourceError, match=r"expected .*ISMN.*; found (nothing of that|no such file)"):
        read_ismn(tmp_path / "absent" if what == "nothing" else tmp_path, wanted)


@pytest.mark.parametrize("case", ["no flag of the provider", "a station with spaces"])
def test_the_library_alone_stumbles_over_these(case, archive):
    """The control: without the plain copy these files cannot be read."""
    if case in NAMES:
        name, lines = name_of("BJ north 2"), header_values("BJ north 2")
    else:
        name, lines, _ = LAYOUTS[case]
    source = archive({f"CTP/BJ/{name}": lines})
    with pytest.raises((KeyError, ValueError, OSError)):
        DataFile(source, f"CTP/BJ/{name}").read_data()
