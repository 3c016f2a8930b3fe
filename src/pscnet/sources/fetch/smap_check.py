"""Whether a SMAP file is what it was fetched as: product, grid, day, units and plausible values, whole or cropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from pscnet.grids import EASE2_GRIDS, EASE2_X0, EASE2_Y0, Grid, ease2_axes
from pscnet.sources import complaint
from pscnet.sources.fetch.granules import PRODUCTS, Product
from pscnet.sources.smap_granule import (
    DATASETS,
    FILL,
    HALVES,
    check_overpasses,
    corner_of,
    day_of,
    halves_in,
    opened,
    read_half,
    shape_of,
)

#: Units and limits of the fields of SPL4SMGP by the beginning of their names (SPL4SMGP version 8, and far beyond what
#: occurs): a unit that is wrong by a factor of 100, or degrees Celsius, lies outside.
L4_FIELDS = {
    "sm_surface": ("m3 m-3", 0.0, 1.0),
    "sm_rootzone": ("m3 m-3", 0.0, 1.0),
    "sm_profile": ("m3 m-3", 0.0, 1.0),
    "soil_temp_layer": ("K", 180.0, 360.0),
    "surface_temp": ("K", 180.0, 360.0),
}
SPELLINGS = {"m3 m-3": ("m3m-3", "m3/m3"), "K": ("k", "kelvin", "kelvins")}
_WITHOUT_UNIT = ("_wetness", "_pctl")

#: ``time`` counts from noon of 2000-01-01, in UTC or in terrestrial time: 64 s apart.
CLOCKS = np.timedelta64(120, "s")

#: Share of values outside the limits from which the unit is in doubt, and rows read at once.
WRONG_UNIT_SHARE, ROWS_AT_ONCE = 0.5, 256

_AGAIN = "it will be fetched again"


@dataclass(frozen=True)
class Content:
    """What a checked file holds.

    Attributes
    ----------
    first, last : str
        ISO 8601, UTC.
    variables : list of str
    missing_halves : list of str
        ``AM`` or ``PM`` where the granule lacks that group.
    """

    first: str
    last: str
    variables: list[str] = field(default_factory=list)
    missing_halves: list[str] = field(default_factory=list)


def check(
    path: str | Path,
    product: str,
    when: str,
    *,
    name: str | None = None,
    variables: Sequence[str] = (),
    every: bool = False,
) -> Content:
    """Read a granule, or a crop of one, and hold it against what it was fetched as.

    Parameters
    ----------
    path : path
    product : str
        A name of :data:`pscnet.sources.fetch.granules.PRODUCTS`.
    when : str
        ``YYYY-MM-DD``, for SPL4SMGP ``YYYY-MM-DDTHH:MM`` (UTC).
    name : str, optional
        The provider's name of the granule; that of ``path`` by default.
    variables : sequence of str
        Fields that SPL4SMGP must have.
    every : bool
        Read the values of all datasets, not only of those that the pipeline uses: damaged bytes show then only.

    Raises
    ------
    SourceError
        It is something else, or damaged. A missing half of the day is none of that.
    """
    kind, label = PRODUCTS[product], Path(name or Path(path).name)
    with opened(path) as file:
        content = _level_4(file, label, when, variables) if kind.hours else _level_3(file, label, kind, when)
        if every:
            _read_all(file)
    return content


def _level_3(file: h5py.File, path: Path, product: Product, day: str) -> Content:
    present = halves_in(file)
    if not present or not shape_of(file):
        raise complaint(
            path, f"the groups {' and '.join(group for group, _ in HALVES.values())}", f"{', '.join(file) or 'none'}",
            _AGAIN,
        )  # fmt: skip
    found = day_of(file, path)
    if found != day:
        raise complaint(path, f"the granule of {day}", f"that of {found}", _AGAIN)
    window = _window(file, product.grid, shape_of(file))
    check_overpasses(file, path, day)
    for half in present:
        read_half(file, path, half, window, day)
    names = sorted({name for half in present for name in file[HALVES[half][0]] if name.removesuffix("_pm") in DATASETS})
    return Content(f"{day}T00:00:00", f"{day}T23:59:59", names, [half for half in HALVES if half not in present])


def _window(file: h5py.File, grid: str, shape: tuple[int, ...]) -> Grid:
    """The cells of a file: the whole grid, or those of a crop."""
    lat, lon = ease2_axes(grid)
    whole = Grid(grid, lat, lon, np.empty(0), np.empty(0))
    corner = corner_of(file)
    if corner is None:
        return whole
    (row0, col0), (ny, nx) = corner, shape[:2]
    return whole.window(slice(row0, row0 + ny), slice(col0, col0 + nx))


def _level_4(file: h5py.File, path: Path, when: str, variables: Sequence[str]) -> Content:
    fields = file.get("Geophysical_Data")
    names = sorted(fields) if isinstance(fields, h5py.Group) else []
    absent = [name for name in variables if name not in names]
    if absent or not names:
        wanted = ", ".join(absent) or "fields"
        raise complaint(path, f"{wanted} in Geophysical_Data", f"{', '.join(names) or 'none'}", _AGAIN)
    _check_time(file, path, when)
    shape = fields[names[0]].shape
    _check_axes(file, path, shape)
    for name in names:
        if fields[name].shape != shape:
            raise complaint(path, f"{name} on {shape} cells, as {names[0]}", f"{fields[name].shape}", _AGAIN)
        _check_values(fields[name], path, name)
    middle, half = np.datetime64(when, "s"), np.timedelta64(90, "m")
    return Content(str(middle - half), str(middle + half), names)


def _check_time(file: h5py.File, path: Path, when: str) -> None:
    """Refuse a granule whose ``time`` is not the middle of its three hours."""
    dataset = file.get("time")
    if not isinstance(dataset, h5py.Dataset) or dataset.size != 1:
        raise complaint(path, "one time", "none" if dataset is None else f"{dataset.shape}", _AGAIN)
    units = dataset.attrs.get("units", "")
    units = units.decode() if isinstance(units, bytes) else str(units)
    match = re.fullmatch(r"seconds since (\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2}(?:\.\d+)?)Z?", units.strip())
    if match is None:
        raise complaint(path, "time in seconds since a date", repr(units), _AGAIN)
    seconds = float(np.ravel(dataset[()])[0])
    if not 0 < seconds < 3e9:
        raise complaint(path, f"the time {when}", f"{seconds:g} {units}", _AGAIN)
    time = np.datetime64(f"{match[1]}T{match[2]}", "ms") + np.timedelta64(round(seconds * 1e3), "ms")
    if abs(time - np.datetime64(when, "ms")) > CLOCKS:
        raise complaint(path, f"the three hours around {when}", f"those around {str(time)[:16]}", _AGAIN)


def _check_axes(file: h5py.File, path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a granule or crop whose cells are not where its shape and corner say."""
    size, rows, cols = EASE2_GRIDS["M09"]
    corner = corner_of(file)
    row0, col0 = corner or (0, 0)
    if corner is None and shape != (rows, cols):
        raise complaint(path, f"fields of {rows} x {cols} cells (EASE-Grid 2.0 M09)", f"the shape {shape}", _AGAIN)
    row, col = row0 + np.arange(shape[0]), col0 + np.arange(shape[1])
    places = {"y": EASE2_Y0 - (row + 0.5) * size, "x": EASE2_X0 + (col + 0.5) * size}
    for name, expected in places.items():
        if name not in file or file[name].shape != expected.shape:
            raise complaint(path, f"{expected.size} values of {name}", f"{file.get(name)}", _AGAIN)
        if np.abs(file[name][()] - expected).max() > 0.01 * size:
            raise complaint(path, f"{name} of the cells of EASE-Grid 2.0 M09", "others (shifted or flipped)", _AGAIN)
    step = max(shape[0] // 8, 1)  # some rows tell as much as all
    for name, axis in (("cell_row", row[:, None]), ("cell_column", col[None, :])):
        if name not in file:
            continue
        found, place = file[name][::step], np.broadcast_to(axis, shape)[::step]
        if ((found != place) & (found < max(rows, cols))).any():
            raise complaint(path, f"{name} of the cells of EASE-Grid 2.0 M09", "others (shifted or flipped)", _AGAIN)


def _check_values(dataset: h5py.Dataset, path: Path, name: str) -> None:
    """Refuse a field with the wrong unit, by what it says and by what it holds; read all of it."""
    known = next((entry for start, entry in L4_FIELDS.items() if name.startswith(start)), None)
    if known is None or name.endswith(_WITHOUT_UNIT):
        for _ in _pieces(dataset):
            pass
        return
    unit, low, high = known
    said = dataset.attrs.get("units", unit)
    said = said.decode() if isinstance(said, bytes) else str(said)
    if re.sub(r"[*^ ]", "", said).lower() not in SPELLINGS[unit]:
        raise complaint(path, f"{name} in {unit}", f"units {said!r}", _AGAIN)
    valid = outside = 0
    for values in _pieces(dataset):
        values = values[np.isfinite(values) & (values != FILL)]
        valid += values.size
        outside += int(((values < low) | (values > high)).sum())
    if outside > WRONG_UNIT_SHARE * max(valid, 1):
        raise complaint(path, f"{name} within {low:g} to {high:g} {unit}", f"{outside} of {valid} outside", _AGAIN)


def _pieces(dataset: h5py.Dataset) -> Iterator[np.ndarray]:
    """The values, some rows at a time."""
    if not dataset.shape:
        yield np.asarray(dataset[()])
        return
    for start in range(0, dataset.shape[0], ROWS_AT_ONCE):
        yield dataset[start : start + ROWS_AT_ONCE]


def _read_all(file: h5py.File) -> None:
    """Decode every dataset once; damaged bytes make the library complain."""

    def read(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            for _ in _pieces(item):
                pass

    file.visititems(read)
