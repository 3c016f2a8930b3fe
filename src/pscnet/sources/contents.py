"""What one raw file holds, found by opening it: which provider's, which variables, which times."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import rasterio

from pscnet.grids import EASE2_GRIDS
from pscnet.sources import complaint, era5_files, smap_granule
from pscnet.sources.formats import check_zip, kind_of, refusal

#: Spacing of ERA5-Land [degree]. A file with its variables on another grid is no ERA5-Land.
SPACING = 0.1

#: Names of an elevation variable in NetCDF files.
ELEVATION = ("elevation", "z", "topo", "dem", "Band1", "height", "altitude", "orography", "rose", "bedrock")

#: What the names of station files and folders look like (ISMN: CEOP and header-and-values formats are .stm).
STATION_SUFFIXES = (".stm",)


@dataclass
class Found:
    """What a file holds.

    Attributes
    ----------
    source : {"era5_land", "smap", "terrain", "stations"}
    variables : list of str
    first, last : str or None
        ISO 8601, UTC.
    times : dict of str to list of [first, last, step]
        For each ERA5-Land variable its time axis as runs: whole hours since 1970, and hours between steps.
    missing_halves : list of str
        Half-orbits that a SMAP granule lacks.
    grid : str or None
        EASE-Grid 2.0 of a SMAP granule.
    """

    source: str
    variables: list[str] = field(default_factory=list)
    first: str | None = None
    last: str | None = None
    times: dict[str, list[list[int]]] = field(default_factory=dict)
    missing_halves: list[str] = field(default_factory=list)
    grid: str | None = None

    def times_of(self, name: str) -> np.ndarray:
        """The times (n,) datetime64[h] of an ERA5-Land variable."""
        runs = [np.arange(first, last + 1, step) for first, last, step in self.times.get(name, [])]
        hours = np.concatenate(runs) if runs else np.empty(0, "i8")
        return hours.astype("M8[h]")


def examine(path: Path) -> Found | str:
    """What a file holds, or in a few words what it is where it is of no use here.

    Raises
    ------
    SourceError
        It is a provider's file, or has the name of one, and cannot be used.
    """
    if path.suffix.lower() in STATION_SUFFIXES:
        return Found("stations")
    kind = kind_of(path)
    if kind == "zip":
        return _zip(path)
    if kind == "hdf5":
        return _hdf5(path)
    if kind == "netcdf3":
        return _netcdf(path)
    if kind == "tiff":
        return _tiff(path)
    data_name = path.suffix.lower() in (".h5", ".he5", ".hdf5", ".nc", ".nc4", ".zip", ".tif", ".tiff", ".grib", ".grb")
    if data_name or kind in ("empty", "grib"):
        raise refusal(path, kind, "a file of ERA5-Land, SMAP or elevation")
    return {"text": "text", "html": "an HTML page", "json": "JSON", "gzip": "a gzip file"}.get(
        kind, "of no known format"
    )


def _zip(path: Path) -> Found | str:
    names = [info.filename.lower() for info in check_zip(path)]
    if any(name.endswith(STATION_SUFFIXES) for name in names):
        return Found("stations")
    if not any(name.endswith((".nc", ".nc4")) for name in names):
        return "a zip without NetCDF members"
    return _netcdf(path)


def _hdf5(path: Path) -> Found | str:
    try:
        with h5py.File(path, "r") as file:
            smap = bool(smap_granule.halves_in(file)) or smap_granule.NAME.fullmatch(path.name)
    except OSError as error:
        raise complaint(
            path, "a whole HDF5 file", f"a damaged or truncated one ({error})", "delete it and download it again"
        ) from error
    return _granule(path) if smap else _netcdf(path)


def _granule(path: Path) -> Found:
    with smap_granule.opened(path) as file:
        present = smap_granule.halves_in(file)
        shape = smap_granule.shape_of(file)
        if not shape:
            raise complaint(
                path,
                "soil moisture of a morning or an evening half-orbit",
                f"the groups {', '.join(file) or 'none'}",
                "delete it and download the granule again",
            )
        grid = next((name for name, (_, *size) in EASE2_GRIDS.items() if tuple(size) == shape), None)
        if smap_granule.corner_of(file) is not None:
            grid = file.attrs.get("grid")
        if grid is None:
            raise complaint(
                path,
                "soil moisture on 406 x 964 (SPL3SMP) or 1624 x 3856 cells (SPL3SMP_E)",
                f"the shape {shape}",
                "delete it and download the original granule, not a subset",
            )
        day = smap_granule.day_of(file, path)
        smap_granule.check_overpasses(file, path, day)
        variables = sorted({name for half in present for name in file[smap_granule.HALVES[half][0]]})
    missing = [half for half in smap_granule.HALVES if half not in present]
    kept = [name for name in variables if name.removesuffix("_pm") in smap_granule.DATASETS]
    return Found("smap", kept, f"{day}T00:00:00", f"{day}T23:59:59", missing_halves=missing, grid=grid)


def _netcdf(path: Path) -> Found | str:
    terrain = None if kind_of(path) == "zip" else _elevation_of(path)
    if terrain is not None:
        return terrain
    if kind_of(path) != "zip" and not _has_era5_land(path):
        return "NetCDF or HDF5 without a variable of use"
    times: dict[str, list[np.ndarray]] = {}
    with era5_files.opened([path]) as pieces:
        for piece in pieces:
            era5_files.check_spacing(piece, SPACING)
            for name in piece.variables:
                times.setdefault(name, []).append(piece.time_of(name))
    merged = {name: np.unique(np.concatenate(axes)) for name, axes in times.items()}
    everything = np.unique(np.concatenate(list(merged.values())))
    return Found(
        "era5_land",
        list(merged),
        str(everything[0].astype("M8[s]")),
        str(everything[-1].astype("M8[s]")),
        {name: _runs(axis) for name, axis in merged.items()},
    )


def _runs(times: np.ndarray) -> list[list[int]]:
    """Whole hours of a sorted time axis as runs of equal steps."""
    hours = times[times == times.astype("M8[h]")].astype("M8[h]").astype("i8")
    runs: list[list[int]] = []
    for hour in hours.tolist():
        if runs and (runs[-1][0] == runs[-1][1] or hour - runs[-1][1] == runs[-1][2]):
            runs[-1][2] = hour - runs[-1][1]
            runs[-1][1] = hour
        else:
            runs.append([hour, hour, 1])
    return runs


def _dataset(path: Path) -> netCDF4.Dataset:
    try:
        return netCDF4.Dataset(path)
    except (OSError, RuntimeError) as error:
        raise complaint(
            path, "a whole NetCDF file", f"a damaged or truncated one ({error})", "delete it and download it again"
        ) from error


def _elevation_of(path: Path) -> Found | None:
    """Elevation: one of the known names, on two dimensions, in metres."""
    with _dataset(path) as dataset:
        for name in ELEVATION:
            variable = dataset.variables.get(name)
            if variable is not None and sum(size > 1 for size in variable.shape) == 2:
                units = str(getattr(variable, "units", "m")).strip().lower()
                if units in ("m", "meter", "meters", "metre", "metres"):
                    return Found("terrain", [name])
    return None


def _has_era5_land(path: Path) -> bool:
    with _dataset(path) as dataset:
        return any(name in era5_files.ERA5_LAND for name in dataset.variables)


def _tiff(path: Path) -> Found:
    try:
        with rasterio.open(path) as image:
            if image.crs is None:
                raise complaint(
                    path, "an elevation GeoTIFF with its coordinate system", "none", "add it: gdal_edit.py -a_srs"
                )
            return Found("terrain", ["elevation"])
    except rasterio.errors.RasterioIOError as error:
        raise complaint(
            path, "a whole GeoTIFF", f"a damaged or truncated one ({error})", "delete it and download it again"
        ) from error
