"""The cells of a box out of a granule of the global 9 km grid, with everything that the provider says about them.

A crop keeps groups, names, types, fill values, attributes, compression, hard links and dimension scales. Datasets on
the grid keep the rows and columns of the window, whatever other dimensions they have; ``x`` and ``y`` likewise; all
others are whole. ``EASE_row_index`` and ``cell_row`` stay those of the global grid. The polar grid is left out. The
root's attributes say where the crop comes from:

=============================================  ====================================================================
attribute                                      meaning
=============================================  ====================================================================
``source_name``, ``_size``, ``_sha256``         the provider's whole file
``grid``, ``row0``, ``col0``                   EASE-Grid 2.0, and the row and column of the window's first cell
=============================================  ====================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pscnet.grids import EASE2_GRIDS, Grid, ease2_grid
from pscnet.sources import complaint
from pscnet.sources.fetch import RefusedError, failure
from pscnet.sources.manifest import hash_file
from pscnet.sources.smap_granule import opened

#: The group of SPL4SMGP whose datasets may be chosen.
CHOSEN_GROUP = "Geophysical_Data"

#: Part of the names of SPL3SMP_E's groups on the polar grid, which no box of the global grid is cut from.
POLAR = "_Polar_"

#: Largest chunk of a crop, and about as much is read at once [byte].
CHUNK_BYTES = 2**20

#: Attributes that the HDF5 and netCDF libraries keep for dimension scales; they are made anew.
_OF_LIBRARIES = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates"}


def crop(
    path: str | Path,
    lat: tuple[float, float],
    lon: tuple[float, float],
    out: str | Path,
    variables: Sequence[str] | None = None,
    *,
    name: str | None = None,
    sha256: str | None = None,
    grid: str = "M09",
) -> Grid:
    """Write the window of a granule; the same granule and box give the same bytes.

    Parameters
    ----------
    path : path
        A whole granule. At most one of its chunks is in memory, and about 1 MiB.
    lat, lon : (south, north), (west, east) [degree]
        All cells that touch the box are kept.
    out : path
        Written anew.
    variables : sequence of str, optional
        Datasets to keep of ``Geophysical_Data``; all by default.
    name : str, optional
        The provider's name of the file; that of ``path`` by default.
    sha256 : str, optional
        Of the granule, when it is known.
    grid : str
        EASE-Grid 2.0 of the granule.

    Returns
    -------
    Grid
        The window.

    Raises
    ------
    SourceError
        The granule is damaged, or lacks the grid.
    RefusedError
        It lacks a chosen variable, or the crop cannot be written.
    """
    path, window = Path(path), ease2_grid(lat, lon, grid, cells="touching")
    try:
        target = h5py.File(out, "w", libver="earliest")
    except OSError as error:
        raise _not_written(out, error) from error
    try:
        with opened(path) as source:
            scissors = _Scissors(path, out, window, None if variables is None else frozenset(variables))
            scissors.group(source, target)
            scissors.finish(source, target)
            target.attrs["source_name"] = name or path.name
            target.attrs["source_size"] = path.stat().st_size
            target.attrs["source_sha256"] = sha256 or hash_file(path)
            target.attrs.update({"grid": window.name, "row0": window.row0, "col0": window.col0})
    finally:
        try:
            target.close()
        except (OSError, RuntimeError) as error:
            raise _not_written(out, error) from error
    return window


def origin_of(path: str | Path) -> dict[str, Any]:
    """Name, size and SHA-256 of the granule that a crop says it was cut from.

    Raises
    ------
    SourceError
        It is damaged, or says nothing.
    """
    with opened(Path(path)) as file:
        said = {key: file.attrs.get(f"source_{key}") for key in ("name", "size", "sha256")}
    if None in said.values():
        raise complaint(Path(path), "a crop that names its granule", "none of it", "it will be fetched again")
    return {"name": str(said["name"]), "size": int(said["size"]), "sha256": str(said["sha256"])}


def window_of(window: Grid) -> dict[str, Any]:
    """A window of an EASE-Grid 2.0 as plain values."""
    rows, columns = window.shape
    return {"grid": window.name, "row0": window.row0, "col0": window.col0, "rows": rows, "columns": columns}


def covers(kept: Mapping[str, Any], window: Grid) -> bool:
    """Whether the cells of a crop (:func:`window_of`) contain those of a window."""
    wanted = window_of(window)
    if set(kept) != set(wanted) or kept["grid"] != wanted["grid"]:
        return False
    return all(
        kept[corner] <= wanted[corner] and kept[corner] + kept[size] >= wanted[corner] + wanted[size]
        for corner, size in (("row0", "rows"), ("col0", "columns"))
    )


def _not_written(out: str | Path, error: Exception) -> Exception:
    remedy = "make room on the disk, check the permissions, and start again"
    return failure(RefusedError, f"{out}", "a folder with room for the cells of the box", str(error), remedy)


@dataclass
class _Scissors:
    """Cuts one granule; knows what has been copied under which name."""

    path: Path
    out: str | Path
    window: Grid
    variables: frozenset[str] | None
    copied: dict[int, str] = field(default_factory=dict)
    on_grid: int = 0

    def group(self, source: h5py.Group, target: h5py.Group) -> None:
        """Copy a group with what is below it."""
        self.copied[_address(source)] = source.name
        _copy_attributes(source, target)
        for key in sorted(source):
            link = source.get(key, getlink=True)
            if isinstance(link, h5py.SoftLink):
                target[key] = h5py.SoftLink(link.path)
            elif isinstance(link, h5py.HardLink) and self._wanted(source, key):
                self._member(source[key], target, key)

    def _wanted(self, source: h5py.Group, key: str) -> bool:
        if self.variables is not None and source.name == f"/{CHOSEN_GROUP}":
            return key in self.variables
        return POLAR not in key

    def _member(self, source: h5py.Group | h5py.Dataset, target: h5py.Group, key: str) -> None:
        known = self.copied.get(_address(source))
        if known is not None:
            target[key] = target.file[known]
        elif isinstance(source, h5py.Group):
            self.group(source, target.create_group(key))
        elif isinstance(source, h5py.Dataset):
            self.copied[_address(source)] = source.name
            self._dataset(source, target, key)

    def _dataset(self, source: h5py.Dataset, target: h5py.Group, key: str) -> None:
        if source.shape is None:
            _copy_attributes(source, target.create_dataset(key, data=h5py.Empty(source.dtype), track_times=False))
            return
        selection = self._selection(source)
        shape = tuple(part.stop - part.start for part in selection)
        made = target.create_dataset(key, shape, source.dtype, track_times=False, **_storage(source, shape))
        _copy_attributes(source, made)
        for start, stop in _blocks(source, selection, made.chunks):
            values = source[(slice(start, stop), *selection[1:])] if selection else source[()]
            first = selection[0].start if selection else 0
            try:
                made[slice(start - first, stop - first) if selection else ()] = values
            except OSError as error:
                raise _not_written(self.out, error) from error

    def _selection(self, source: h5py.Dataset) -> tuple[slice, ...]:
        """The part of a dataset that is kept: that of the window where it lies on the grid, all of it elsewhere."""
        _, rows, cols = EASE2_GRIDS[self.window.name]
        ny, nx = self.window.shape
        y = slice(self.window.row0, self.window.row0 + ny)
        x = slice(self.window.col0, self.window.col0 + nx)
        shape = source.shape
        parts = [slice(0, size) for size in shape]
        for axis in range(len(shape) - 1):
            if shape[axis : axis + 2] == (rows, cols):
                parts[axis : axis + 2] = [y, x]
                self.on_grid += 1
                break
        if shape in ((rows,), (cols,)):
            parts = [y if shape == (rows,) else x]
        return tuple(parts)

    def finish(self, source: h5py.File, target: h5py.File) -> None:
        """Hold the crop against what was asked for, and make its dimension scales."""
        group = source.get(CHOSEN_GROUP, {})
        absent = sorted(self.variables - set(group)) if self.variables is not None else []
        if absent:
            wanted, found = f"the datasets {', '.join(absent)}", f"{', '.join(group) or 'nothing'} in {CHOSEN_GROUP}"
            raise failure(RefusedError, f"{self.path}", wanted, found, "correct fetch.smap.l4_variables")
        if not self.on_grid:
            _, rows, cols = EASE2_GRIDS[self.window.name]
            wanted, found = f"datasets of {rows} x {cols} cells", f"{', '.join(source) or 'none'}"
            raise complaint(self.path, wanted, found, "check the product and its version")
        names = sorted(set(self.copied.values()))
        datasets = [name for name in names if isinstance(source[name], h5py.Dataset)]
        for name in datasets:
            if source[name].is_scale:
                target[name].make_scale(h5py.h5ds.get_scale_name(source[name].id).decode())
        for name in datasets:
            if not source[name].is_scale:
                _attach(source[name], target[name])


def _attach(source: h5py.Dataset, target: h5py.Dataset) -> None:
    """Give a dataset the dimension scales that its original has, as far as they are in the crop."""
    for axis, dimension in enumerate(source.dims):
        for scale in dimension.values():
            made = target.file.get(scale.name) if scale.name else None
            if made is not None and made.is_scale:
                target.dims[axis].attach_scale(made)


def _address(item: h5py.Group | h5py.Dataset) -> int:
    """Place of an object in its file, the same under each of its hard links."""
    return h5py.h5o.get_info(item.id).addr


def _copy_attributes(source: h5py.Group | h5py.Dataset, target: h5py.Group | h5py.Dataset) -> None:
    for name in sorted(source.attrs):
        dtype = source.attrs.get_id(name).dtype
        base = h5py.check_vlen_dtype(dtype) or dtype
        # References point into the granule; those of dimension scales are made anew.
        if name not in _OF_LIBRARIES and h5py.check_ref_dtype(base) is None:
            target.attrs.create(name, source.attrs[name], dtype=dtype)


def _storage(source: h5py.Dataset, shape: tuple[int, ...]) -> dict[str, object]:
    """Chunks of at most :data:`CHUNK_BYTES`, and the filters and fill value of the original."""
    options: dict[str, object] = {}
    if source.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED:
        options["fillvalue"] = source.fillvalue
    if source.chunks and 0 not in shape:
        options["chunks"] = (_rows_at_once(source, shape), *shape[1:])
        options |= {"shuffle": source.shuffle, "fletcher32": source.fletcher32}
        if source.compression:
            known = source.compression in ("gzip", "lzf")
            options["compression"] = source.compression if known else "gzip"
            options["compression_opts"] = source.compression_opts if known else None
    return options


def _rows_at_once(source: h5py.Dataset, shape: tuple[int, ...]) -> int:
    row = max(int(np.prod(shape[1:])) * source.dtype.itemsize, 1)
    return min(max(CHUNK_BYTES // row, 1), shape[0])


def _blocks(
    source: h5py.Dataset, selection: tuple[slice, ...], chunks: tuple[int, ...] | None
) -> list[tuple[int, int]]:
    """Ranges of the first dimension to copy one after the other: whole chunks of the crop, and of the original."""
    if not selection:
        return [(0, 1)]
    shape = tuple(part.stop - part.start for part in selection)
    mine = chunks[0] if chunks else _rows_at_once(source, shape) if all(shape) else 1
    theirs = source.chunks[0] if source.chunks else 1
    step = mine * max(round(theirs / mine), 1)
    first, last = selection[0].start, selection[0].stop
    return [(start, min(start + step, last)) for start in range(first, last, step)]
