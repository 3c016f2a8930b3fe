"""Whether a file of ERA5-Land is whole and is what was asked for: every value is read before a file is trusted."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pscnet.sources import complaint
from pscnet.sources.era5_files import FINAL, NODE_TOLERANCE, Piece, check_spacing, opened
from pscnet.sources.fetch.era5_requests import NODES_PER_DEGREE, shorts

_AGAIN = "download it again"

#: The NetCDF library bears no two threads at once.
NETCDF = threading.Lock()


@dataclass(frozen=True)
class Content:
    """What a verified file holds.

    Attributes
    ----------
    first, last : str
        ISO 8601 time of the first and last value asked for, UTC.
    variables : list of str
        Short names asked for.
    version : str
        ``final``, or ``preliminary`` where a value is of ERA5-Land-T (expver 5).
    """

    first: str
    last: str
    variables: list[str]
    version: str


def check(path: str | Path, request: Mapping) -> Content:
    """Verify a file against its request.

    Checked are the format by its first bytes, a zip's safety and checksums, the variables and their units, each
    step of the time axis, each node of the box, that every value decodes, and that no step is without any value.

    Parameters
    ----------
    path : path
    request : dict
        See :mod:`pscnet.sources.fetch.era5_requests`.

    Raises
    ------
    SourceError
        Saying what is wrong.
    """
    names, stamps = shorts(request), _stamps(request)
    lat, lon = _nodes(request["area"])
    final = True
    with NETCDF, opened([path]) as parts:
        present = sorted({name for piece in parts for name in piece.variables})
        for name in names:
            if name not in present:
                raise complaint(path, f"the variables {', '.join(names)}", f"only {', '.join(present)}", _AGAIN)
            seen = np.zeros(stamps.size, bool)
            for piece in parts:
                if name in piece.variables:
                    seen |= _check_values(piece, name, stamps, lat, lon)
                    final &= bool((piece.ranks(name) == FINAL).all())
            if not seen.all():
                absent = stamps[~seen]
                raise complaint(
                    path,
                    f"{name} at all {stamps.size} steps asked for",
                    f"no values at {absent.size} of them, such as {_iso(absent[0])}",
                    _AGAIN,
                )
    return Content(_iso(stamps[0]), _iso(stamps[-1]), names, "final" if final else "preliminary")


def _stamps(request: Mapping) -> np.ndarray:
    """The steps (n,) datetime64[ns] that a request asks for, ascending."""
    texts = [f"{request['year']}-{request['month']}-{day}T{time}" for day in request["day"] for time in request["time"]]
    return np.sort(np.array(texts, "M8[ns]"))


def _nodes(area: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes and longitudes of ERA5-Land in a box [N, W, S, E]."""
    north, west, south, east = (round(edge * NODES_PER_DEGREE) for edge in area)
    return np.arange(south, north + 1) / NODES_PER_DEGREE, np.arange(west, east + 1) / NODES_PER_DEGREE


def _check_values(piece: Piece, name: str, stamps: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Read all values of one variable; at which of the stamps (n,) bool it has any."""
    piece.check_unit(name)
    check_spacing(piece, 1 / NODES_PER_DEGREE)
    rows = _indices(piece, "latitude", piece.lat, lat)
    cols = _indices(piece, "longitude", piece.lon, lon)
    times = piece.time_of(name)
    steps = np.flatnonzero(np.isin(times, stamps))
    seen = np.zeros(stamps.size, bool)
    if steps.size == 0:
        return seen
    for where, values in piece.blocks(name, steps, rows, cols):
        valued = np.isfinite(values).any(axis=(1, 2))
        seen |= np.isin(stamps, times[steps[where]][valued])
    return seen


def _indices(piece: Piece, axis: str, there: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Where the nodes lie on an axis of the file."""
    difference = np.abs(there[None, :] - nodes[:, None])
    if axis == "longitude":
        difference = np.minimum(difference, np.abs(difference - 360.0))
    nearest = difference.argmin(axis=1)
    lost = difference[np.arange(nodes.size), nearest] > NODE_TOLERANCE / NODES_PER_DEGREE
    if lost.any():
        raise complaint(
            piece.label,
            f"{axis}s from {nodes[0]:g} to {nodes[-1]:g} in steps of {1 / NODES_PER_DEGREE:g} degree",
            f"none at {nodes[lost][0]:g} ({there.min():g} to {there.max():g} are there)",
            _AGAIN,
        )
    return nearest


def _iso(stamp: np.datetime64) -> str:
    return str(stamp.astype("M8[s]"))
