"""One SMAP level 3 granule (SPL3SMP, or SPL3SMP_E on M09): its day, its version, and a window of its retrievals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from pscnet.grids import EASE2_GRIDS, Grid
from pscnet.sources import complaint
from pscnet.sources.formats import kind_of, refusal
from pscnet.sources.smap_flags import NO_FLAG

#: Epoch of ``tb_time_seconds``, and the fill value of real numbers.
J2000 = np.datetime64("2000-01-01T12:00:00", "ns")
FILL = -9999.0

#: Half-orbits: name to (group, suffix of its datasets).
HALVES = {
    "AM": ("Soil_Moisture_Retrieval_Data_AM", ""),
    "PM": ("Soil_Moisture_Retrieval_Data_PM", "_pm"),
}

#: Dataset to the type that its window is read as.
DATASETS = {
    "soil_moisture": "f4",
    "tb_time_seconds": "f8",
    "retrieval_qual_flag": "u2",
    "surface_flag": "u2",
    "freeze_thaw_fraction": "f4",
    "EASE_row_index": "u2",
    "EASE_column_index": "u2",
}

#: A granule holds the retrievals of a UTC day, or of a local solar day: 06 h at 180 E is 18 UTC of the day before,
#: 18 h at 180 W is 06 UTC of the day after. The half swath adds up to 1.5 h.
EARLIEST, LATEST = np.timedelta64(-450, "m"), np.timedelta64(1890, "m")

#: Names such as SMAP_L3_SM_P_20160501_R19240_001.h5 and SMAP_L3_SM_P_E_20160501_R19240_001.h5.
NAME = re.compile(r"SMAP_L3_SM_P(?:_E)?_(\d{4})(\d{2})(\d{2})_R(\d{5})_(\d{3})\.h5", re.IGNORECASE)

_AGAIN = "delete it and download it again"


@dataclass(frozen=True)
class Half:
    """The window of one half-orbit, each array (ny, nx) in the rows and columns of the grid.

    ``time`` is datetime64[ns] (NaT where unknown); ``soil_moisture`` [m3 m-3] and ``freeze_thaw_fraction`` are NaN
    where the granule holds none; the flags are 65534 there.
    """

    soil_moisture: np.ndarray
    time: np.ndarray
    retrieval_flag: np.ndarray
    surface_flag: np.ndarray
    freeze_thaw_fraction: np.ndarray


@dataclass(frozen=True, order=True)
class Version:
    """Rank among granules of one day: composite release (CRID), then product counter."""

    release: int = -1
    counter: int = -1

    def __str__(self) -> str:
        return f"R{self.release:05d}_{self.counter:03d}" if self.release >= 0 else "unknown"


def version_of(path: str | Path) -> Version:
    """The version in a granule's file name; the lowest where the name has none."""
    match = NAME.fullmatch(Path(path).name)
    return Version(int(match[4]), int(match[5])) if match else Version()


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """Open a granule.

    Raises
    ------
    SourceError
        It is no HDF5 file, or a truncated one, or (raised inside the block) has damaged bytes.
    """
    kind = kind_of(path)
    if kind != "hdf5":
        raise refusal(path, kind, "a SMAP granule in HDF5")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise complaint(path, "a whole HDF5 file", f"a damaged or truncated one ({error})", _AGAIN) from error
    with file:
        try:
            yield file
        except (OSError, RuntimeError, KeyError) as error:  # h5py raises KeyError on damaged headers
            raise complaint(path, "readable datasets", f"damaged bytes ({error})", _AGAIN) from error


def halves_in(file: h5py.File) -> list[str]:
    """The half-orbits whose group the granule has."""
    return [half for half, (group, _) in HALVES.items() if group in file]


def shape_of(file: h5py.File) -> tuple[int, ...]:
    """Shape of the granule's grid, () where it has no soil moisture at all."""
    for half in halves_in(file):
        group, suffix = HALVES[half]
        if f"soil_moisture{suffix}" in file[group]:
            return file[group][f"soil_moisture{suffix}"].shape
    return ()


def day_of(file: h5py.File, path: str | Path) -> str:
    """The day of a granule, from its content, which must agree with its name.

    Returns
    -------
    str
        ``YYYY-MM-DD``.

    Raises
    ------
    SourceError
        The name has another day than the content, or neither tells the day.
    """
    match = NAME.fullmatch(Path(path).name)
    named = "-".join(match.groups()[:3]) if match else None
    extent = _extent(file)
    if extent is None and named is None:
        raise complaint(
            path,
            "the day of the granule in Metadata/Extent or in its name",
            "neither",
            "give it its name of SMAP_L3_SM_P_YYYYMMDD_R#####_###.h5 back",
        )
    if extent is None:
        return named
    begin, end = extent
    # The day is that of the middle: a range may begin late on the evening before, or late after an outage.
    middle = begin + ((end - begin) // 2 if end > begin else np.timedelta64(6, "h"))
    day = str(middle.astype("M8[D]"))
    if named not in (None, day):
        raise _another_day(path, named, f"a range of {_minute(begin)} to {_minute(end)} in Metadata/Extent")
    return day


def _another_day(path: str | Path, day: str, found: str) -> Exception:
    return complaint(
        path,
        f"the retrievals of {day}, as its name says",
        f"another day's: {found}",
        "delete it and download the granule of that day again",
    )


def _extent(file: h5py.File) -> tuple[np.datetime64, np.datetime64] | None:
    """The range in ``Metadata/Extent``, where the granule has one that can be read."""
    attrs = file["Metadata/Extent"].attrs if "Metadata/Extent" in file else {}
    times = []
    for key in ("rangeBeginningDateTime", "rangeEndingDateTime"):
        if (value := attrs.get(key)) is None:
            break
        value = value.decode() if isinstance(value, bytes) else str(value)
        try:
            times.append(np.datetime64(value.strip().rstrip("Z"), "ns"))
        except ValueError:
            break
    if not times:
        return None
    return times[0], times[-1]


def _times(seconds: np.ndarray) -> np.ndarray:
    """J2000 seconds as datetime64[ns]; fill values and nonsense become NaT."""
    known = np.isfinite(seconds) & (seconds > 0) & (seconds < 3e9)
    nanoseconds = np.round(np.where(known, seconds, 0.0) * 1e3).astype("i8") * 1_000_000
    return np.where(known, J2000 + nanoseconds.astype("m8[ns]"), np.datetime64("NaT", "ns"))


def _minute(time: np.datetime64) -> str:
    return str(time.astype("M8[m]")).replace("T", " ")


def read_half(file: h5py.File, path: str | Path, half: str, grid: Grid, day: str) -> Half:
    """The window of one half-orbit.

    Parameters
    ----------
    file : h5py.File
        A whole granule, or a crop of one (:func:`corner_of`).
    path : path
        For messages.
    half : str
        ``AM`` or ``PM``.
    grid : Grid
        Window of an EASE-Grid 2.0; a dataset's array position is its row and column, from the file's corner on.
    day : str
        Day of the granule.

    Raises
    ------
    SourceError
        A dataset is absent, has another shape, unit or position, or the overpasses are another day's.
    """
    group, suffix = HALVES[half]
    rows = slice(grid.row0, grid.row0 + grid.shape[0])
    cols = slice(grid.col0, grid.col0 + grid.shape[1])
    row0, col0 = corner_of(file) or (0, 0)
    arrays = {}
    for name, dtype in DATASETS.items():
        dataset = _dataset(file, path, f"{group}/{name}{suffix}", grid)
        window = dataset[rows.start - row0 : rows.stop - row0, cols.start - col0 : cols.stop - col0]
        arrays[name] = window.astype(dtype, copy=False)
    _check_position(path, group, "row", arrays["EASE_row_index"], np.arange(rows.start, rows.stop)[:, None])
    _check_position(path, group, "column", arrays["EASE_column_index"], np.arange(cols.start, cols.stop)[None, :])
    times = _times(arrays["tb_time_seconds"])
    _check_times(path, half, times, day)
    return Half(
        _real(arrays["soil_moisture"]),
        times,
        arrays["retrieval_qual_flag"],
        arrays["surface_flag"],
        _real(arrays["freeze_thaw_fraction"]),
    )


def _real(values: np.ndarray) -> np.ndarray:
    return np.where(values == FILL, np.nan, values).astype("f4")


def corner_of(file: h5py.File) -> tuple[int, int] | None:
    """Row and column of the first cell of a crop (attributes ``row0``, ``col0``); None for a whole granule."""
    if "row0" not in file.attrs or "col0" not in file.attrs:
        return None
    return int(file.attrs["row0"]), int(file.attrs["col0"])


def _dataset(file: h5py.File, path: str | Path, name: str, grid: Grid) -> h5py.Dataset:
    _, *shape = EASE2_GRIDS[grid.name]
    if name not in file:
        raise complaint(path, f"the dataset {name}", "none of that name", "download the granule again, V005 or later")
    dataset = file[name]
    corner = corner_of(file)
    if corner is not None:
        _check_crop(file, path, dataset, grid, corner)
    elif dataset.shape != tuple(shape):
        known = {tuple(size): known for known, (_, *size) in EASE2_GRIDS.items()}
        other = f" (EASE-Grid 2.0 {known[dataset.shape]})" if dataset.shape in known else ""
        raise complaint(
            path,
            f"{name} on {shape[0]} x {shape[1]} cells (EASE-Grid 2.0 {grid.name})",
            f"the shape {dataset.shape}{other}",
            "use SPL3SMP for M36 and SPL3SMP_E for M09, or set grids.coarse to the granules' grid",
        )
    units = dataset.attrs.get("units")
    if "soil_moisture" in name.rsplit("/", 1)[-1] and units is not None:
        units = units.decode() if isinstance(units, bytes) else str(units)
        if units.replace("*", "").replace("^", "").replace(" ", "") not in ("cm3/cm3", "m3/m3", "cm3cm-3", "m3m-3"):
            raise complaint(path, f"{name} in cm**3/cm**3", f"units {units!r}", _AGAIN)
    return dataset


def _check_crop(file: h5py.File, path: str | Path, dataset: h5py.Dataset, grid: Grid, corner: tuple[int, int]) -> None:
    """Refuse a crop that is of another grid, or does not hold the whole window."""
    first = np.array([grid.row0, grid.col0])
    inside = (first >= corner).all() and (first + grid.shape <= np.array(corner) + dataset.shape[:2]).all()
    name = file.attrs.get("grid", grid.name)
    if name != grid.name or not inside:
        raise complaint(
            path,
            f"{grid.shape[0]} x {grid.shape[1]} cells of {grid.name} from row {grid.row0} and column {grid.col0} on",
            f"a crop of {' x '.join(map(str, dataset.shape[:2]))} cells of {name} from {corner[0]} and {corner[1]} on",
            "fetch the granules of this region anew",
        )


def _check_position(path: str | Path, group: str, axis: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Refuse a granule whose cells are not where its arrays' indices say."""
    wrong = (found != NO_FLAG) & (found != expected)
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise complaint(
            path,
            f"EASE_{axis}_index {np.broadcast_to(expected, found.shape)[at]} at that position of {group}",
            f"{found[at]} (rows or columns are shifted or flipped in {int(wrong.sum())} cells)",
            "delete it and download the original granule, not a subset or a re-gridded copy",
        )


def check_overpasses(file: h5py.File, path: str | Path, day: str) -> None:
    """Refuse a granule with a half-orbit whose overpasses, anywhere on Earth, lie outside the day.

    Raises
    ------
    SourceError
    """
    for half in halves_in(file):
        group, suffix = HALVES[half]
        if (seconds := file[group].get(f"tb_time_seconds{suffix}")) is not None:
            _check_times(path, half, _times(np.asarray(seconds, "f8")), day)


def _check_times(path: str | Path, half: str, times: np.ndarray, day: str) -> None:
    """Refuse a half-orbit whose overpasses lie outside the day."""
    known = np.sort(times[~np.isnat(times)])
    if known.size == 0:
        return
    start = np.datetime64(day, "ns")
    middle = known[known.size // 2]
    if not start + EARLIEST <= middle <= start + LATEST:
        raise _another_day(path, day, f"{half} overpasses around {_minute(middle)} UTC")
