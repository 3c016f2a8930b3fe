"""What all contracts share: the complaint, the axes, the layout of a variable, reading in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from ..grids import Grid
from ..timeaxis import month_stamps

#: Dimensions of everything on the fine grid that changes in time.
FIELD_DIMS = ("time", "lat", "lon")

#: Cells times steps read at once by the value checks, to bound memory (float32: 16 MB a variable).
_BLOCK_CELLS = 4_000_000


class CheckError(ValueError):
    """A file breaks its contract. ``complaints`` holds every complaint, ``file`` the file's name."""

    def __init__(self, file: str | Path, complaints: Sequence[str], remedy: str) -> None:
        self.file, self.complaints = str(file), list(complaints)
        lines = "\n".join(f"  - {text}" for text in complaints)
        super().__init__(f"{file}: {len(complaints)} complaint(s)\n{lines}\nWhat to do: {remedy}")


def complaint(name: str, expected: object, found: object) -> str:
    """The sentence that every contract speaks in."""
    return f"{name}: expected {expected}, found {found}"


def attribute(variable: xr.DataArray, name: str) -> object:
    """An attribute wherever xarray put it: on decoding, it moves some of them to the encoding."""
    return variable.attrs.get(name, variable.encoding.get(name))


def layout_complaints(
    ds: xr.Dataset, name: str, dims: tuple[str, ...], dtypes: str | tuple[str, ...], units: str | None = None
) -> list[str]:
    """Complaints on presence, dimensions, decoded type (one of ``dtypes``) and units of one variable."""
    allowed = [np.dtype(dtype) for dtype in ([dtypes] if isinstance(dtypes, str) else dtypes)]
    if name not in ds.variables:
        return [complaint(name, f"a variable with dims {dims}", f"none among {', '.join(map(str, ds.variables))}")]
    variable, out = ds[name], []
    if variable.dims != dims:
        out.append(complaint(name, f"dims {dims}", variable.dims))
    if variable.dtype not in allowed:
        out.append(complaint(name, f"type {' or '.join(map(str, allowed))}", variable.dtype))
    if units is not None and attribute(variable, "units") != units:
        out.append(complaint(name, f"units {units!r}", repr(attribute(variable, "units"))))
    return out


def axes_complaints(ds: xr.Dataset, grid: Grid, dims: tuple[str, str] = ("lat", "lon")) -> list[str]:
    """Complaints on the latitude and longitude axes: present, oriented, on the grid (to 1e-4 degree)."""
    out = []
    for name, dim, wanted, order in (
        ("lat", dims[0], grid.lat, "descending (row 0 north)"),
        ("lon", dims[1], grid.lon, "ascending"),
    ):
        if name not in ds.variables or ds[name].dims != (dim,):
            out.append(complaint(name, f"a coordinate along {dim!r}", "none" if name not in ds else ds[name].dims))
            continue
        found = ds[name].values
        if found.size > 1 and (np.diff(found) * np.sign(wanted[-1] - wanted[0]) <= 0).any():
            out.append(complaint(name, f"{order} values", f"{found[0]:g} .. {found[-1]:g}, not in that order"))
        elif found.shape != wanted.shape:
            out.append(complaint(name, f"{wanted.size} cells of grid {grid.name}", f"{found.size}"))
        elif not np.allclose(found, wanted, rtol=0, atol=1e-4):
            off = np.abs(found - wanted).max()
            out.append(complaint(name, f"centres of grid {grid.name}", f"values up to {off:.4g} degree off"))
    return out


def stamps_complaints(ds: xr.Dataset, month: str) -> list[str]:
    """Complaints on the time axis: all 3-hourly stamps of the month, eight a day, in order, once each."""
    wanted = month_stamps(month)
    if "time" not in ds.variables or ds["time"].dims != ("time",):
        return [complaint("time", f"the {wanted.size} stamps of {month}", "no coordinate along 'time'")]
    found = ds["time"].values
    if not np.issubdtype(found.dtype, np.datetime64):
        return [complaint("time", "datetime64 values", f"type {found.dtype}")]
    found = found.astype("M8[ns]")
    if np.array_equal(found, wanted):
        return []
    missing, strange = np.setdiff1d(wanted, found), np.setdiff1d(found, wanted)
    parts = [f"{found.size} stamps"]
    parts += [f"{missing.size} missing, first {str(missing[0])[:16]}"] if missing.size else []
    parts += [f"{strange.size} foreign, first {str(strange[0])[:16]}"] if strange.size else []
    if not missing.size and not strange.size:
        parts.append("repeated or out of order")
    return [complaint("time", f"the {wanted.size} stamps 00, 03, .. 21 UTC of {month}, in order", "; ".join(parts))]


def range_complaints(name: str, values: np.ndarray, low: float, high: float) -> list[str]:
    """A complaint when a finite value lies outside low..high."""
    finite = values[np.isfinite(values)]
    bad = int(((finite < low) | (finite > high)).sum())
    if not bad:
        return []
    found = f"{bad} values outside, within {finite.min():.6g} .. {finite.max():.6g}"
    return [complaint(name, f"values in {low:g} .. {high:g}", found)]


def blocks(ds: xr.Dataset) -> Iterator[xr.Dataset]:
    """The Dataset in slices of time small enough to hold."""
    cells = ds.sizes["lat"] * ds.sizes["lon"]
    steps = max(1, _BLOCK_CELLS // cells)
    for start in range(0, ds.sizes["time"], steps):
        yield ds.isel(time=slice(start, start + steps))
