"""What to ask the Climate Data Store for: requests from a calendar, no larger than allowed, and only what is missing.

A request is the JSON object of the service::

    {"variable": ["volumetric_soil_water_layer_1"], "year": "2016", "month": "05", "day": ["01", ...],
     "time": ["00:00", ...], "area": [N, W, S, E], "data_format": "netcdf", "download_format": "unarchived"}

The same wish always gives the same requests, word for word: their keys name the files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Literal

import numpy as np

from pscnet.sources.fetch import RefusedError, failure
from pscnet.timeaxis import STEP_HOURS, month_bounds, month_days
from pscnet.variables import ERA5_LAND

DATASET = "reanalysis-era5-land"

#: Nodes of ERA5-Land lie at whole multiples of a tenth of a degree.
NODES_PER_DEGREE = 10

#: A box edge off a node by no more than this share of the spacing counts as on it.
_ON_NODE = 1e-4

Request = dict[str, object]
Cell = tuple[str, str, str]

_BY_REQUEST = {variable.request: variable.short for variable in ERA5_LAND.values()}


def wanted(month: str, variables: Iterable[str], kind: Literal["instant", "accum"], area: Sequence[float]) -> Request:
    """The request for a whole month of the variables of one step type, 3-hourly.

    Parameters
    ----------
    month : str
        ``YYYY-MM``.
    variables : iterable of str
        Short names; those of the other step type are left out.
    kind : {"instant", "accum"}
    area : sequence of float
        See :func:`area_of`.

    Returns
    -------
    dict
        With an empty list of variables where none is of that step type.

    Raises
    ------
    RefusedError
        A name that ERA5-Land does not have.
    """
    days = [day[-2:] for day in month_days(month)]
    times = [f"{hour:02d}:00" for hour in range(0, 24, STEP_HOURS)]
    return _request(_names(variables, kind), month, days, times, area)


def wanted_edge(
    edge: Literal["opening", "closing"], period: Sequence[str], variables: Iterable[str], area: Sequence[float]
) -> tuple[np.datetime64, Request]:
    """The single step of accumulations beside a period, which de-accumulation needs.

    Parameters
    ----------
    edge : {"opening", "closing"}
        21:00 UTC of the day before the first month, or 00:00 UTC of the day after the last one.
    period : (first month, last month)
    variables : iterable of str
        Short names; instants are left out.
    area : sequence of float

    Returns
    -------
    datetime64[h]
        The step.
    dict
        The request, with an empty list of variables where there is no accumulation.
    """
    if edge == "opening":
        stamp = month_bounds(period[0])[0].astype("M8[h]") - STEP_HOURS
    else:
        stamp = month_bounds(period[-1])[1].astype("M8[h]")
    text = str(stamp)
    return stamp, _request(_names(variables, "accum"), text[:7], [text[8:10]], [f"{text[11:13]}:00"], area)


def _request(
    names: Sequence[str], month: str, days: Sequence[str], times: Sequence[str], area: Sequence[float]
) -> Request:
    return {
        "variable": list(names),
        "year": month[:4],
        "month": month[5:7],
        "day": list(days),
        "time": list(times),
        "area": list(area),
        "data_format": "netcdf",
        "download_format": "unarchived",
    }


def _names(variables: Iterable[str], kind: str) -> list[str]:
    """The request names of one step type, in the order of the table: the order of a configuration changes nothing."""
    chosen = set(variables)
    unknown = sorted(chosen - set(ERA5_LAND))
    if unknown:
        raise failure(
            RefusedError, "predictors", f"ERA5-Land names ({', '.join(ERA5_LAND)})", ", ".join(unknown), "correct them"
        )
    return [variable.request for short, variable in ERA5_LAND.items() if short in chosen and variable.kind == kind]


def area_of(lat: Sequence[float], lon: Sequence[float]) -> list[float]:
    """The box [N, W, S, E] of whole tenths of a degree that holds all of ``lat`` and ``lon`` [degree]."""

    def down(value: float) -> float:
        return math.floor(value * NODES_PER_DEGREE + _ON_NODE) / NODES_PER_DEGREE

    def up(value: float) -> float:
        return math.ceil(value * NODES_PER_DEGREE - _ON_NODE) / NODES_PER_DEGREE

    return [up(max(lat)), down(min(lon)), down(min(lat)), up(max(lon))]


def shorts(request: Mapping) -> list[str]:
    """The file names of the variables that a request asks for."""
    return [_BY_REQUEST[name] for name in request["variable"]]


def fields(request: Mapping) -> int:
    """What a request costs: variables x days x times; the box does not count."""
    return len(request["variable"]) * len(request["day"]) * len(request["time"])


def key(request: Mapping) -> str:
    """The identity of a request: SHA-256 of its canonical text, in hexadecimal digits."""
    return hashlib.sha256(json.dumps([DATASET, request], sort_keys=True).encode()).hexdigest()


def halve(request: Mapping) -> tuple[Request, Request]:
    """Two requests that together ask for the same: split by variable, else by day, else by time.

    Raises
    ------
    RefusedError
        For a single field, which cannot be split.
    """
    for axis in ("variable", "day", "time"):
        values = request[axis]
        if len(values) > 1:
            middle = (len(values) + 1) // 2
            return {**request, axis: values[:middle]}, {**request, axis: values[middle:]}
    raise failure(
        RefusedError,
        f"ERA5-Land {request['year']}-{request['month']}",
        "the service to allow a request of a single field",
        "that it calls even this too large",
        "look for announcements on the dataset's page, and start again when it is over",
    )


def pieces(request: Mapping, max_fields: int, too_large: Callable[[Request], bool] = lambda _: False) -> list[Request]:
    """A request in pieces small enough, always cut the same way.

    Parameters
    ----------
    request : dict
    max_fields : int
    too_large : callable
        Whether the service is known to refuse a request for its size.
    """
    if not request["variable"]:
        return []
    if fields(request) <= max_fields and not too_large(dict(request)):
        return [dict(request)]
    return [small for half in halve(request) for small in pieces(half, max_fields, too_large)]


def cells(request: Mapping) -> set[Cell]:
    """All (short name, day ``YYYY-MM-DD``, time ``HH:MM``) of a request."""
    days = [f"{request['year']}-{request['month']}-{day}" for day in request["day"]]
    return set(product(shorts(request), days, request["time"]))


def contains(outer: Sequence[float], inner: Sequence[float]) -> bool:
    """Whether one box [N, W, S, E] holds another."""
    return outer[0] >= inner[0] and outer[1] <= inner[1] and outer[2] <= inner[2] and outer[3] >= inner[3]


def without(request: Mapping, there: set[Cell]) -> list[Request]:
    """The requests for what is not there yet.

    Parameters
    ----------
    request : dict
    there : set of (short name, day, time)

    Returns
    -------
    list of dict
        None when all is there, the request itself when nothing is; else variables that lack the same days together.
    """
    absent = cells(request) - there
    if len(absent) == fields(request):
        return [dict(request)]
    gaps: dict[tuple, list[str]] = {}
    for short, name in zip(shorts(request), request["variable"], strict=True):
        mine = {(day, time) for variable, day, time in absent if variable == short}
        days = tuple(sorted({day[-2:] for day, _ in mine}))
        times = tuple(sorted({time for _, time in mine}))
        if mine:
            gaps.setdefault((days, times), []).append(name)
    return [
        {**request, "variable": names, "day": list(days), "time": list(times)} for (days, times), names in gaps.items()
    ]
