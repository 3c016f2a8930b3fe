"""Which sensors of an ISMN archive, a folder or a zip, lie in the region and the top layer, and what did they measure.

The ``ismn`` library reads the files. It stumbles over some that are around (names of stations with spaces or
underscores, records without a provider's flag), writes a folder of its own beside the data, and looks at every file of
an archive. So the files that matter, by their first lines, are copied to a temporary folder in their plain form first
(:mod:`pscnet.sources.stations.stm`), under names of our own, and read there; the user's folder stays as it is.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from ismn.filehandlers import DataFile

from pscnet.sources import complaint
from pscnet.sources.formats import check_zip
from pscnet.sources.stations import (
    DEPTH_TOLERANCE,
    VALID_RANGE,
    VALID_TEMPERATURE,
    LeftOut,
    Sensor,
    Wanted,
    good_values,
)
from pscnet.sources.stations.stm import StmError, StmHead, head_of, is_of_use, plain_content, variable_of

#: Bytes in which the first lines of a file are found.
_HEAD = 4096

#: Columns of the library by variable.
_COLUMNS = {"sm": "soil_moisture", "ts": "soil_temperature"}

Reader = Callable[[int], bytes]


@dataclass
class _Record:
    """One file that was read: its head, where it came from, and its good values."""

    head: StmHead
    path: str
    times: np.ndarray
    values: np.ndarray
    fault: str = ""


def read_ismn(source: str | Path, wanted: Wanted) -> tuple[list[Sensor], list[LeftOut]]:
    """The sensors of an archive.

    Parameters
    ----------
    source : path
        Folder or zip as ISMN delivers it: ``NETWORK/STATION/*.stm``.
    wanted : Wanted

    Returns
    -------
    sensors : list of Sensor
        With at least one good value (flag ``G``) in the period; parts of one sensor are joined.
    left_out : list of LeftOut
        Soil moisture files that are not used.

    Raises
    ------
    SourceError
        Nothing there, no ISMN file there, or a zip that is damaged or not safe to read.
    """
    source = Path(source)
    seen, left, records = 0, [], []
    with tempfile.TemporaryDirectory(prefix="stations_") as folder:
        for path, read in _members(source, left):
            if not path.lower().endswith(".stm"):
                continue
            seen += 1
            if not is_of_use(path):
                continue
            found = _record(path, read, wanted, Path(folder), seen)
            if isinstance(found, LeftOut):
                left.append(found)
            elif found is not None:
                records.append(found)
    if not seen:
        raise complaint(
            source,
            "an archive of ISMN (files *.stm, in a folder or a zip)",
            "no such file",
            "set the key stations to the folder or zip from ismn.earth, or to a description file (YAML) of tables",
        )
    sensors = _sensors([record for record in records if record.head.variable == "sm"], left)
    _add_thermometers(sensors, [record for record in records if record.head.variable == "ts"])
    return sensors, left


def _members(source: Path, left: list[LeftOut]) -> Iterator[tuple[str, Reader]]:
    """Every file: its path inside the archive, and a function that reads so many bytes of it (-1: all)."""
    if source.is_dir():
        yield from _files(source, left)
        return
    if not source.exists():
        raise complaint(source, "a folder or a zip of ISMN files", "nothing of that name", "change the key stations")
    infos = check_zip(source)
    with zipfile.ZipFile(source) as archive:
        for info in sorted(infos, key=lambda entry: entry.filename):
            yield info.filename.replace("\\", "/"), lambda size, info=info: _read_member(archive, info, size, source)


def _files(folder: Path, left: list[LeftOut]) -> Iterator[tuple[str, Reader]]:
    root = folder.resolve()
    for name, folders, files in os.walk(folder):
        folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
        for entry in sorted(files):
            path = Path(name) / entry
            relative = path.relative_to(folder).as_posix()
            if entry.startswith("."):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                left.append(LeftOut(relative, f"a link that leads out of the folder, to {os.readlink(path)}"))
            else:
                yield relative, lambda size, path=path: _read_file(path, size)


def _read_file(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError as error:
        raise StmError(f"cannot be read ({error.strerror})") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int, path: Path) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(info.file_size if size < 0 else size)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise complaint(
            path, f"a whole member {info.filename}", f"damaged bytes ({error})", "delete the zip and download it again"
        ) from error


def _record(path: str, read: Reader, wanted: Wanted, folder: Path, number: int) -> _Record | LeftOut | None:
    """One file read, or why not; None for a thermometer that is of no use, which nobody misses."""
    try:
        head = head_of(path, read(_HEAD))
        fault = wanted.place_fault(head.lat, head.lon) or wanted.depth_fault(head.depth_from, head.depth_to)
        if fault is not None:
            return None if head.variable == "ts" else LeftOut(path, fault)
        return _read_plain(path, head, read(-1), wanted, folder / f"{number:06d}")
    except StmError as error:
        return None if variable_of(path) == "ts" else LeftOut(path, str(error))


def _read_plain(path: str, head: StmHead, content: bytes, wanted: Wanted, folder: Path) -> _Record:
    """Copy the file in its plain form and have the library read it."""
    day = np.timedelta64(1, "D")
    first, last = (str(when.astype("M8[D]")).replace("-", "/") for when in (wanted.start - day, wanted.end + day))
    plain, broken = plain_content(head, content, first, last)
    if plain.count(b"\n") < 2:
        also = f" ({broken} lines are no record)" if broken else ""
        raise StmError(f"no record from {first} to {last}{also}")
    place = folder / "network" / "station"
    place.mkdir(parents=True)
    (place / head.file_name).write_bytes(plain)
    file = DataFile(folder, f"network/station/{head.file_name}", temp_root=folder)
    column = _COLUMNS[head.variable]
    data = file.read_data()
    flags = data[f"{column}_flag"].astype(str)
    good = data[flags == "G"]
    limits = VALID_RANGE if head.variable == "sm" else VALID_TEMPERATURE
    values = pd.to_numeric(good[column], errors="coerce").to_numpy(float)
    times, values = good_values(good.index.to_numpy(), values, limits)
    fault = "" if times.size else _no_value(len(data), Counter(flags), len(good), limits)
    return _Record(head, path, times, values, fault)


def _no_value(records: int, flags: Counter[str], good: int, limits: tuple[float, float]) -> str:
    if good:
        return f"no value between {limits[0]:g} and {limits[1]:g} among {good} of flag G: is the unit another one?"
    shown = ", ".join(f"{flag} {count}" for flag, count in flags.most_common(5))
    return f"no good value: none of {records} records has the flag G ({shown})"


def _sensors(records: list[_Record], left: list[LeftOut]) -> list[Sensor]:
    """Sensors of the records with values; files of one sensor, such as of two periods, are joined."""
    groups: dict[tuple, list[_Record]] = {}
    for record in records:
        if record.fault:
            left.append(LeftOut(record.path, record.fault))
            continue
        head = record.head
        key = (head.network, head.station, head.sensor, head.depth_from, head.depth_to)
        groups.setdefault(key, []).append(record)
    made = []
    for (network, station, name, top, bottom), parts in sorted(groups.items(), key=lambda item: item[0]):
        times = np.concatenate([part.times for part in parts])
        times, moisture = good_values(times, np.concatenate([part.values for part in parts]), VALID_RANGE)
        head = parts[0].head
        made.append(Sensor(network, station, name, head.lat, head.lon, top, bottom, times, moisture))
    return made


def _add_thermometers(sensors: list[Sensor], records: list[_Record]) -> None:
    """Give each sensor the thermometer of its station and depth, with all of its files; its own one first."""
    for sensor in sensors:
        beside = [
            record
            for record in records
            if (record.head.network, record.head.station) == (sensor.network, sensor.station)
            and record.times.size
            and abs(record.head.depth_from - sensor.depth_from) <= DEPTH_TOLERANCE
            and abs(record.head.depth_to - sensor.depth_to) <= DEPTH_TOLERANCE
        ]
        own = [record for record in beside if record.head.sensor == sensor.name]
        own = own or [record for record in beside if record.head.sensor == beside[0].head.sensor]
        if own:
            times = np.concatenate([record.times for record in own])
            values = np.concatenate([record.values for record in own])
            sensor.warm_times, sensor.temperature = good_values(times, values, VALID_TEMPERATURE)
