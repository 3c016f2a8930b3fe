"""Requests: complete by the calendar, the same each time, small enough, and only for what is missing."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from pscnet.sources.fetch import RefusedError
from pscnet.sources.fetch.era5_requests import (
    area_of,
    cells,
    contains,
    fields,
    halve,
    key,
    pieces,
    shorts,
    wanted,
    wanted_edge,
    without,
)
from pscnet.variables import ERA5_LAND

AREA = [40.0, 73.0, 25.0, 105.0]
VARIABLES = ("swvl1", "swvl2", "t2m", "tp", "ssrd")


@pytest.fixture
def request_of():
    return wanted("2016-02", VARIABLES, "instant", AREA)


def test_a_month_is_the_whole_calendar_in_the_words_of_the_service(request_of):
    assert request_of == {
        "variable": ["volumetric_soil_water_layer_1", "volumetric_soil_water_layer_2", "2m_temperature"],
        "year": "2016",
        "month": "02",
        "day": [f"{day:02d}" for day in range(1, 30)],  # a leap year
        "time": ["00:00", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"],
        "area": AREA,
        "data_format": "netcdf",
        "download_format": "unarchived",
    }
    assert json.loads(json.dumps(request_of)) == request_of
    assert fields(request_of) == 3 * 29 * 8
    assert len(wanted("2015-02", ("t2m",), "instant", AREA)["day"]) == 28


def test_step_types_are_asked_for_apart():
    assert shorts(wanted("2016-05", VARIABLES, "accum", AREA)) == ["tp", "ssrd"]
    assert wanted("2016-05", ("t2m",), "accum", AREA)["variable"] == []
    both = [shorts(wanted("2016-05", ERA5_LAND, kind, AREA)) for kind in ("instant", "accum")]
    assert sorted(both[0] + both[1]) == sorted(ERA5_LAND)


def test_unknown_predictor_is_refused():
    with pytest.raises(RefusedError, match="rain"):
        wanted("2016-05", ("t2m", "rain"), "instant", AREA)


def test_key_depends_on_the_wish_alone(request_of):
    assert key(request_of) == key(wanted("2016-02", VARIABLES[::-1], "instant", AREA))
    keys = {
        key(wanted(month, names, "instant", area))
        for month in ("2016-02", "2016-03")
        for names in (("t2m",), ("t2m", "swvl1"))
        for area in (AREA, [40.0, 73.0, 25.1, 105.0])
    }
    assert len(keys) == 8


@pytest.mark.parametrize(
    ("edge", "period", "stamp", "day", "time"),
    [
        ("opening", ("2016-01", "2016-02"), "2015-12-31T21", "31", "21:00"),
        ("opening", ("2016-03", "2016-04"), "2016-02-29T21", "29", "21:00"),
        ("closing", ("2016-01", "2016-12"), "2017-01-01T00", "01", "00:00"),
    ],
)
def test_edges_are_one_step_of_the_accumulations(edge, period, stamp, day, time):
    found, request = wanted_edge(edge, period, VARIABLES, AREA)
    assert str(found) == stamp
    assert (request["year"], request["month"]) == (stamp[:4], stamp[5:7])
    assert (request["day"], request["time"], shorts(request)) == ([day], [time], ["tp", "ssrd"])


@pytest.mark.parametrize(
    ("lat", "lon", "area"),
    [
        ((25, 40), (73, 105), [40.0, 73.0, 25.0, 105.0]),
        ((32.0, 32.9), (91.0, 91.9), [32.9, 91.0, 32.0, 91.9]),
        ((32.05, 32.84), (-0.15, 91.91), [32.9, -0.2, 32.0, 92.0]),
        (np.arange(320, 330) * 0.1, np.arange(910, 920) * 0.1, [32.9, 91.0, 32.0, 91.9]),  # with rounding errors
        ((31.9999999, 32.9000001), (90.9999999, 91.9000001), [32.9, 91.0, 32.0, 91.9]),
    ],
)
def test_area_holds_the_box_on_whole_nodes(lat, lon, area):
    assert area_of(lat, lon) == area


def test_halves_are_the_whole(request_of):
    single = {**request_of, "variable": request_of["variable"][:1]}
    assert [shorts(half) for half in halve(request_of)] == [["swvl1", "swvl2"], ["t2m"]]
    assert [len(half["day"]) for half in halve(single)] == [15, 14]
    for request in (request_of, single, {**single, "day": ["07"]}):
        first, second = halve(request)
        assert cells(first) | cells(second) == cells(request)
        assert fields(first) + fields(second) == fields(request)
    with pytest.raises(RefusedError, match="single field"):
        halve({**single, "day": ["07"], "time": ["03:00"]})


@pytest.mark.parametrize("limit", [10**6, 500, 232, 100, 7, 1])
def test_pieces_are_small_enough_and_the_whole(request_of, limit):
    before = copy.deepcopy(request_of)
    small = pieces(request_of, limit)
    assert max(map(fields, small)) <= limit
    assert sum(map(fields, small)) == fields(request_of)
    assert set().union(*map(cells, small)) == cells(request_of)
    assert small == pieces(request_of, limit)
    assert request_of == before


def test_what_the_service_refused_is_cut_further(request_of):
    refused = {key(request_of), key(halve(request_of)[0])}
    small = pieces(request_of, 4000, lambda request: key(request) in refused)
    assert [shorts(request) for request in small] == [["swvl1"], ["swvl2"], ["t2m"]]


def test_nothing_wanted_is_no_request():
    assert pieces(wanted("2016-05", ("t2m",), "accum", AREA), 4000) == []


def test_only_what_is_missing_is_asked_for(request_of):
    assert without(request_of, set()) == [request_of]
    assert without(request_of, cells(request_of)) == []
    grown = wanted("2016-02", (*VARIABLES, "skt", "d2m"), "instant", AREA)
    assert [shorts(request) for request in without(grown, cells(request_of))] == [["skt", "d2m"]]
    there = {cell for cell in cells(request_of) if not (cell[0] == "t2m" and cell[1] > "2016-02-20")}
    (gap,) = without(request_of, there)
    assert (shorts(gap), gap["day"], gap["time"]) == (["t2m"], [f"{d:02d}" for d in range(21, 30)], request_of["time"])


def test_variables_that_lack_different_days_are_asked_for_apart(request_of):
    there = {cell for cell in cells(request_of) if cell[:2] not in {("t2m", "2016-02-03"), ("swvl1", "2016-02-04")}}
    assert [(shorts(gap), gap["day"]) for gap in without(request_of, there)] == [(["swvl1"], ["04"]), (["t2m"], ["03"])]


def test_boxes():
    assert contains(AREA, AREA)
    assert contains(AREA, [39.9, 73.1, 25.1, 104.9])
    for side, change in enumerate((0.1, -0.1, -0.1, 0.1)):
        wider = list(AREA)
        wider[side] += change
        assert not contains(AREA, wider)
