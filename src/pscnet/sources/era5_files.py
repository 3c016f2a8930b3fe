"""ERA5-Land files as the CDS delivers them, opened: what is inside, when, where, and one block of it at a time.

Covered layouts: NetCDF-4 with ``valid_time`` (since September 2024), NetCDF-3 with ``time`` and packed integers
(before), zips of several NetCDF files (a request that mixes instants and accumulations), ``expver`` as a
variable or as a dimension, ``number``, and stray dimensions that belong to other variables.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.sources import SourceError, complaint
from pscnet.sources.formats import kind_of, refusal, unpack_netcdf
from pscnet.variables import ERA5_LAND

LATITUDE, LONGITUDE, TIME = ("latitude", "lat"), ("longitude", "lon"), ("valid_time", "time")

#: Share of the grid spacing by which a node may be off: single precision noise is 1e-4 of it.
NODE_TOLERANCE = 0.05

#: Bytes of raw values read at once: a month of hourly values of the Plateau is 144 MB.
READ_BYTES = 256 * 2**20

#: HDF5 chunk cache [byte] of a variable.
CHUNK_CACHE = 2**20

#: Ranks of a value: ERA5-Land-T (expver 5) is preliminary and gives way to the final one (expver 1).
PRELIMINARY, FINAL = 1, 2

_AGAIN = "delete it and download it again"


@dataclass
class Piece:
    """One open NetCDF file of ERA5-Land (or one member of a zip).

    Attributes
    ----------
    label : str
        Path for messages (``zip!member`` for members of a zip).
    dataset : netCDF4.Dataset
    lat, lon : ndarray [degree]
        As in the file, rounded to 1e-3.
    times : dict of str to ndarray datetime64[ns]
        Time axes by the name of their dimension.
    variables : tuple of str
        Short names of the ERA5-Land variables with time, latitude and longitude.
    """

    label: str
    dataset: netCDF4.Dataset
    lat: np.ndarray
    lon: np.ndarray
    times: dict[str, np.ndarray]
    variables: tuple[str, ...]

    def time_of(self, name: str) -> np.ndarray:
        """The time axis (n,) of a variable."""
        return self.times[self._time_dim(name)]

    def _time_dim(self, name: str) -> str:
        return next(dim for dim in TIME if dim in self.dataset[name].dimensions)

    def ranks(self, name: str) -> np.ndarray:
        """For each step of a variable (n,), whether it is :data:`FINAL` or :data:`PRELIMINARY`."""
        steps = self.time_of(name).size
        expver = self.dataset.variables.get("expver")
        if expver is None or expver.dimensions not in ((), (self._time_dim(name),)):
            return np.full(steps, FINAL, "u1")
        values = np.broadcast_to(np.asarray(expver[...]).astype(str), (steps,))
        preliminary = np.array([value.strip().lstrip("0") == "5" for value in values])
        return np.where(preliminary, PRELIMINARY, FINAL).astype("u1")

    def check_unit(self, name: str) -> None:
        """Refuse a variable whose ``units`` attribute names another unit than ERA5-Land's."""
        units = getattr(self.dataset[name], "units", None)
        expected = ERA5_LAND[name].units
        if units is not None and plain_unit(units) != plain_unit(expected):
            raise complaint(
                self.label,
                f"{name} in {expected}",
                f"units {units!r}",
                "download it again from the CDS, or convert its values and its units attribute",
            )

    def step_size(self, name: str) -> float:
        """The packing step of a variable: two files may differ by so much and still agree."""
        return float(np.abs(getattr(self.dataset[name], "scale_factor", 0.0)))

    def blocks(
        self, name: str, steps: np.ndarray, rows: np.ndarray, cols: np.ndarray
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Decoded values of a variable, in blocks of bounded size.

        Parameters
        ----------
        name : str
        steps, rows, cols : ndarray of int
            Indices into the file's axes; ``steps`` ascending.

        Yields
        ------
        (slice into ``steps``, ndarray float32 (n, rows, cols))
        """
        variable = self.dataset[name]
        where_rows, inner_rows = _window(rows)
        where_cols, inner_cols = _window(cols)
        layers = self.dataset.dimensions["expver"].size if "expver" in variable.dimensions else 1
        one = variable.dtype.itemsize * layers * (where_rows.stop - where_rows.start)
        count = max(1, int(READ_BYTES // (one * (where_cols.stop - where_cols.start))))
        start = 0
        while start < steps.size:
            stop = int(np.searchsorted(steps, steps[start] + count))
            raw = self._read(name, slice(int(steps[start]), int(steps[stop - 1]) + 1), where_rows, where_cols)
            for axis, wanted in enumerate(
                (steps[start:stop] - steps[start], inner_rows, inner_cols), start=raw.ndim - 3
            ):
                raw = raw[(slice(None),) * axis + (_as_slice(wanted),)]
            yield slice(start, stop), self._merged(_decoded(variable, raw))
            start = stop

    def _read(self, name: str, steps: slice, rows: slice, cols: slice) -> np.ndarray:
        """Raw values ([expver,] time, lat, lon) of one hyperslab; other dimensions must have length one."""
        variable = self.dataset[name]
        if self.dataset.data_model.startswith("NETCDF4"):
            # Each chunk is read once or twice; caches that stay full would add 64 MB a variable.
            variable.set_var_chunk_cache(size=CHUNK_CACHE)
        index: list[slice | int] = []
        kept: list[str] = []
        for dim in variable.dimensions:
            if dim in TIME + LATITUDE + LONGITUDE + ("expver",):
                kept.append("time" if dim in TIME else "lat" if dim in LATITUDE else "lon" if dim in LONGITUDE else dim)
                index.append({"time": steps, "lat": rows, "lon": cols}.get(kept[-1], slice(None)))
            elif self.dataset.dimensions[dim].size == 1:
                index.append(0)
            else:
                raise complaint(
                    self.label,
                    f"{name} on time, latitude and longitude",
                    f"the further dimension {dim} of length {self.dataset.dimensions[dim].size}",
                    "request the plain reanalysis, without ensemble members or levels",
                )
        try:
            raw = np.asarray(variable[tuple(index)])
        except (RuntimeError, OSError, IndexError) as error:
            raise complaint(self.label, f"readable values of {name}", f"damaged bytes ({error})", _AGAIN) from error
        order = [dim for dim in ("expver", "time", "lat", "lon") if dim in kept]
        return raw.transpose([kept.index(dim) for dim in order])

    def _merged(self, values: np.ndarray) -> np.ndarray:
        """Merge the layers of an ``expver`` dimension: the final value where there is one."""
        if values.ndim == 3:
            return values
        codes = self.dataset.variables.get("expver")
        order = range(values.shape[0]) if codes is None else np.argsort(np.asarray(codes[:]).astype(int))
        merged = np.full(values.shape[1:], np.nan, "f4")
        for layer in order:
            merged = np.where(np.isnan(merged), values[layer], merged)
        return merged


def plain_unit(units: str) -> str:
    """A unit string without the ways of writing it: ``m**3 m**-3`` and ``m3 m-3`` are the same."""
    text = units.strip().replace("**", "").replace("^", "")
    text = re.sub(r"\s*of water equivalent$", "", text)
    text = re.sub(r"\s+", " ", text)
    synonyms = {"(0 - 1)": "1", "": "1", "dimensionless": "1", "~": "1", "kelvin": "K", "percent": "%"}
    return synonyms.get(text, synonyms.get(text.lower(), text))


def _window(indices: np.ndarray) -> tuple[slice, np.ndarray]:
    """The smallest slice that holds all indices, and the indices within it."""
    low = int(indices.min())
    return slice(low, int(indices.max()) + 1), indices - low


def _as_slice(indices: np.ndarray) -> slice | np.ndarray:
    """Evenly spaced indices as a slice, which copies nothing; others as they are."""
    if indices.size < 2:
        return indices
    steps = np.unique(np.diff(indices))
    if steps.size > 1 or steps[0] == 0:
        return indices
    step, stop = int(steps[0]), int(indices[-1] + np.sign(steps[0]))
    return slice(int(indices[0]), None if stop < 0 else stop, step)


def _decoded(variable: netCDF4.Variable, raw: np.ndarray) -> np.ndarray:
    """Unpacked float32 values, NaN where missing (CF 1.11, 8.1 and 2.5.1)."""
    missing = np.zeros(raw.shape, bool)
    for key in ("_FillValue", "missing_value", "GRIB_missingValue"):
        fill = getattr(variable, key, None)
        if fill is not None and np.isfinite(fill):
            missing |= raw == np.asarray(fill).astype(raw.dtype if np.issubdtype(raw.dtype, np.floating) else "f8")
    scale, offset = getattr(variable, "scale_factor", None), getattr(variable, "add_offset", None)
    if scale is None and offset is None:
        values = raw.astype("f4")
    else:
        values = (raw * np.float64(1.0 if scale is None else scale) + np.float64(offset or 0.0)).astype("f4")
    values[missing] = np.nan
    return values


@contextmanager
def opened(paths: Iterable[str | Path]) -> Iterator[list[Piece]]:
    """Open ERA5-Land files, zips included; all are closed, and unpacked members removed, at the end.

    Parameters
    ----------
    paths : iterable of path
        The same file given twice is opened once.

    Yields
    ------
    list of Piece

    Raises
    ------
    SourceError
        A file is no NetCDF, no zip of NetCDF files, is damaged, or holds no ERA5-Land variable.
    """
    unique = {Path(path).resolve(): path for path in paths}
    with ExitStack() as stack:
        pieces: list[Piece] = []
        for path in unique.values():
            kind = kind_of(path)
            if kind == "zip":
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pscnet-")))
                inside = [_open(file, label, stack) for label, file in unpack_netcdf(path, folder)]
            elif kind in ("hdf5", "netcdf3"):
                inside = [_open(Path(path), str(path), stack)]
            else:
                raise refusal(path, kind, "an ERA5-Land file in NetCDF, or a zip of such files")
            if not any(piece.variables for piece in inside):
                names = sorted({name for piece in inside for name in piece.dataset.variables})
                raise complaint(
                    path,
                    "ERA5-Land variables on time, latitude and longitude",
                    f"the variables {', '.join(names)}" if names else "no NetCDF member",
                    "take the file out of the archive, or request ERA5-Land again",
                )
            pieces += [piece for piece in inside if piece.variables]
        yield pieces


def _open(path: Path, label: str, stack: ExitStack) -> Piece:
    try:
        dataset = stack.enter_context(netCDF4.Dataset(path))
    except (OSError, RuntimeError) as error:
        raise complaint(label, "a whole NetCDF file", f"a damaged or truncated one ({error})", _AGAIN) from error
    dataset.set_auto_maskandscale(False)
    try:
        return _piece(dataset, label)
    except (RuntimeError, OSError) as error:
        raise complaint(label, "readable coordinates", f"damaged bytes ({error})", _AGAIN) from error


def _piece(dataset: netCDF4.Dataset, label: str) -> Piece:
    lat = next((name for name in LATITUDE if name in dataset.variables), None)
    lon = next((name for name in LONGITUDE if name in dataset.variables), None)
    if lat is None or lon is None or dataset[lat].ndim != 1 or dataset[lon].ndim != 1:
        return Piece(label, dataset, np.empty(0), np.empty(0), {}, ())
    axes = {name for name in TIME if name in dataset.variables and dataset[name].dimensions == (name,)}
    variables = tuple(
        name
        for name, variable in dataset.variables.items()
        if name in ERA5_LAND and {lat, lon} < set(variable.dimensions) and axes & set(variable.dimensions)
    )
    used = {dim for name in variables for dim in dataset[name].dimensions}
    times = {name: _decoded_time(dataset[name], label) for name in axes & used}
    return Piece(label, dataset, _axis(dataset[lat]), _axis(dataset[lon]), times, variables)


def _axis(variable: netCDF4.Variable) -> np.ndarray:
    return np.round(np.asarray(variable[:], "f8"), 3)


def _decoded_time(variable: netCDF4.Variable, label: str) -> np.ndarray:
    """A time axis as datetime64[ns], rounded to the second."""
    attrs = {key: getattr(variable, key) for key in ("units", "calendar") if hasattr(variable, key)}
    values = np.asarray(variable[:])
    try:
        decoded = xr.decode_cf(xr.Dataset(coords={"t": ("t", values, attrs)}))["t"].values
        return decoded.astype("M8[s]").astype("M8[ns]")
    except (ValueError, TypeError, OverflowError) as error:
        raise complaint(
            label, f"{variable.name} with CF units such as 'hours since 1900-01-01'", f"{attrs} ({error})", _AGAIN
        ) from error


def place(piece: Piece, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Where the nodes of ``grid`` lie in a file.

    Returns
    -------
    rows, cols : ndarray of int (ny,), (nx,)
        Index of each grid row and column in the file's axes, -1 where the file does not reach.

    Raises
    ------
    SourceError
        The file's spacing is another (ERA5 instead of ERA5-Land), or its nodes lie beside the grid's.
    """
    rows = _match(piece, "latitude", piece.lat, grid.lat)
    cols = _match(piece, "longitude", piece.lon, grid.lon)
    return rows, cols


def check_spacing(piece: Piece, spacing: float) -> None:
    """Refuse a file whose nodes are not ``spacing`` [degree] apart.

    Raises
    ------
    SourceError
    """
    _check_spacing(piece, "latitude", piece.lat, spacing)
    _check_spacing(piece, "longitude", piece.lon, spacing)


def _check_spacing(piece: Piece, name: str, axis: np.ndarray, spacing: float) -> None:
    if axis.size < 2:
        return
    found = float(np.median(np.abs(np.diff(np.sort(axis)))))
    if abs(found - spacing) > NODE_TOLERANCE * spacing:
        raise complaint(
            piece.label,
            f"the {spacing:g} degree grid of ERA5-Land",
            f"a {name} spacing of {found:g} degree" + (" (ERA5, not ERA5-Land)" if abs(found - 0.25) < 0.01 else ""),
            "request the dataset reanalysis-era5-land, without a grid keyword",
        )


def _match(piece: Piece, name: str, axis: np.ndarray, target: np.ndarray) -> np.ndarray:
    spacing = float(np.median(np.abs(np.diff(target))))
    _check_spacing(piece, name, axis, spacing)
    offsets = (axis - target[0]) / spacing
    offset = float(np.median(np.abs(offsets - np.round(offsets)))) * spacing
    if offset > NODE_TOLERANCE * spacing:
        raise complaint(
            piece.label,
            f"{name} nodes at the whole multiples of {spacing:g} degree, such as {target[0]:g}",
            f"nodes shifted by {offset:.3g} degree, such as {axis[0]:g}",
            "request ERA5-Land without a grid keyword; values between nodes are not interpolated here",
        )
    difference = axis[None, :] - target[:, None]
    if name == "longitude":
        difference = (difference + 180.0) % 360.0 - 180.0
    nearest = np.argmin(np.abs(difference), axis=1)
    distance = np.abs(difference[np.arange(target.size), nearest])
    found = np.where(distance <= NODE_TOLERANCE * spacing, nearest, -1)
    reached = np.flatnonzero(found >= 0)
    if reached.size and reached.size != reached[-1] - reached[0] + 1:
        gap = next(i for i in range(reached[0], reached[-1]) if found[i] < 0)
        raise complaint(
            piece.label, f"a {name} axis without gaps", f"no node at {target[gap]:g}", "request the box in one piece"
        )
    return found


def require(pieces: list[Piece], variables: Iterable[str], what: str) -> None:
    """Refuse a set of files that lacks one of the variables.

    Raises
    ------
    SourceError
        Naming each absent variable with the name that a CDS request uses.
    """
    present = sorted({name for piece in pieces for name in piece.variables})
    for name in variables:
        if name not in ERA5_LAND:
            raise SourceError(
                f"{what}: expected names of ERA5-Land variables; found the predictor {name!r}. "
                f"Use one of {', '.join(ERA5_LAND)}."
            )
    absent = [name for name in variables if name not in present]
    if absent:
        raise complaint(
            what,
            f"the variables {', '.join(variables)}",
            f"no {', '.join(absent)} (only {', '.join(present) or 'none'})",
            "add a file with "
            + ", ".join(ERA5_LAND[name].request for name in absent)
            + ", or take the name out of predictors",
        )
