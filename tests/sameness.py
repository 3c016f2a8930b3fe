"""Are the files of two runs the same? Dates of creation aside."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

#: A moment, as attributes and documents write it.
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)")


def differences(one: Path, other: Path, tolerance: float = 0.0) -> list[str]:
    """What differs between two folders of results, in words.

    NetCDF, CSV and JSON are compared by value; of pages and figures only that both are there: they show run times.

    Parameters
    ----------
    one, other : Path
    tolerance : float
        Largest allowed difference of a number; 0: none.
    """
    names = [{path.relative_to(folder) for path in folder.rglob("*") if path.is_file()} for folder in (one, other)]
    found = [f"{name}: only in one" for name in sorted(names[0] ^ names[1])]
    readers = {".nc": _netcdf, ".csv": _csv, ".json": lambda path: json.loads(path.read_text())}
    for name in sorted(names[0] & names[1]):
        if reader := readers.get(name.suffix):
            found += [f"{name}{where}" for where in _unlike(reader(one / name), reader(other / name), tolerance)]
    return found


def _netcdf(path: Path) -> dict[str, Any]:
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        return {
            "attributes": {name: _plain(file.getncattr(name)) for name in file.ncattrs()},
            "variables": {
                name: {
                    "dimensions": list(variable.dimensions),
                    "attributes": {key: _plain(variable.getncattr(key)) for key in variable.ncattrs()},
                    "values": variable[...],
                }
                for name, variable in file.variables.items()
            },
        }


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _csv(path: Path) -> list[list[Any]]:
    with open(path, newline="") as file:
        return [[_number(cell) for cell in row] for row in csv.reader(file)]


def _number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


def _unlike(one: Any, other: Any, tolerance: float, where: str = "") -> list[str]:
    """Places at which two nested values are not alike."""
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{where}/{key}: only in one" for key in sorted(set(one) ^ set(other))]
        return found + [
            line for key in one if key in other for line in _unlike(one[key], other[key], tolerance, f"{where}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return [f"{where}: {len(one)} and {len(other)} entries"]
        return [
            line
            for number, pair in enumerate(zip(one, other, strict=True))
            for line in _unlike(*pair, tolerance, f"{where}/{number}")
        ]
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return [] if one.shape == other.shape and _close(one, other, tolerance) else [f"{where}: other values"]
    if isinstance(one, str) and isinstance(other, str):
        one, other = (MOMENT.sub("", text) for text in (one, other))
    if isinstance(one, float) and isinstance(other, float):
        alike = (math.isnan(one) and math.isnan(other)) or abs(one - other) <= tolerance
    else:
        alike = one == other
    return [] if alike else [f"{where}: {one!r} and {other!r}"]


def _close(one: np.ndarray, other: np.ndarray, tolerance: float) -> bool:
    if one.dtype.kind != "f" or tolerance == 0:
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    return bool(np.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True))
