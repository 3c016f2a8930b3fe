"""What the providers have: the simulated Plateau's files for some months, and any part of its reanalysis on request.

A :class:`World` makes the provider files of its months once into a folder, and finds them there the next time.
NetCDF is written by a child process: the NetCDF library bears no two threads in one process, and the clients under
test read NetCDF while the servers write it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from pscnet.grids import regular_grid
from pscnet.twin.era5_files import ACCUM_MEMBER, INSTANT_MEMBER, write_member
from pscnet.twin.month import write_month, write_static
from pscnet.variables import ERA5_LAND

ROOT = Path(__file__).resolve().parents[2]

#: The simulated box is wider than the one asked for [degree], as the Earth is.
MARGIN = 0.2

#: Days simulated before the first month: enough for files, too few for science.
SPIN_UP_DAYS = 5

SHORT = {variable.request: variable for variable in ERA5_LAND.values()}


@dataclass(frozen=True)
class Granule:
    """One file that the Earthdata provider has; ``day`` as ``YYYY-MM-DD``."""

    name: str
    day: str
    path: Path
    size: int
    md5: str


class NoDataError(LookupError):
    """The request asks for nothing that the provider has."""


class World:
    """Provider files of a region and some months, one month more at either end.

    Parameters
    ----------
    folder : path
        Where the files are made, once for equal arguments.
    lat, lon : (south, north), (west, east) [degree]
    months : sequence of str
        ``YYYY-MM``, without gaps.
    predictors : sequence of str
        ERA5-Land short names.
    seed : int
    """

    def __init__(
        self,
        folder: str | Path,
        lat: Sequence[float],
        lon: Sequence[float],
        months: Sequence[str],
        predictors: Sequence[str],
        seed: int = 1,
    ) -> None:
        self.lat, self.lon, self.seed = tuple(lat), tuple(lon), seed
        self.months, self.predictors = tuple(months), tuple(predictors)
        self.simulated = _neighbours(months)
        self.box = (lat[0] - MARGIN, lat[1] + MARGIN), (lon[0] - MARGIN, lon[1] + MARGIN)
        identity = json.dumps([self.box, self.simulated, self.predictors, seed, SPIN_UP_DAYS])
        self.folder = Path(folder).resolve() / hashlib.sha256(identity.encode()).hexdigest()[:12]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = Writer(self.folder)
        with open(self.folder / "making.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.folder / "made.json").exists():
                self._make()

    def _make(self) -> None:
        previous = None
        for month in self.simulated:
            private = {
                name: self.folder / name / f"{month}.{suffix}"
                for name, suffix in (
                    ("state", "nc"),
                    ("truth", "nc"),
                    ("stations", "nc"),
                    ("era5", "json"),
                    ("smap", "json"),
                )
            }
            write_month(
                month=month,
                lat=self.box[0],
                lon=self.box[1],
                seed=self.seed,
                predictors=self.predictors,
                previous_state=previous,
                raw_folder=self.folder / "raw",
                state_out=private["state"],
                truth_out=private["truth"],
                stations_out=private["stations"],
                era5_manifest_out=private["era5"],
                smap_manifest_out=private["smap"],
                spin_up_days=SPIN_UP_DAYS,
            )
            previous = private["state"]
            self._unpack(month, json.loads(private["era5"].read_text())["files"][0]["path"])
        write_static(*self.box, self.seed, self.folder / "raw", self.folder / "terrain.json")
        content = {"box": self.box, "months": self.simulated, "predictors": self.predictors}
        (self.folder / "made.json").write_text(json.dumps(content))

    def _unpack(self, month: str, name: str) -> None:
        """The members of a month's zip, from which requests are cut."""
        with zipfile.ZipFile(self.folder / "raw" / name) as archive:
            for member in archive.namelist():
                kind = "instant" if member == INSTANT_MEMBER else "accum"
                target = _source(self.folder, month, kind)
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(archive.read(member))

    def era5_land(self, request: Mapping[str, Any]) -> Path:
        """The file that answers a CDS request: NetCDF, or a zip of two where the step types are mixed.

        Made once for equal requests; equal requests give equal bytes.

        Raises
        ------
        NoDataError
            Nothing of it exists.
        """
        return self._writer.write(request)

    def granules(self) -> list[Granule]:
        """The SPL3SMP granules, by name."""
        return [_granule(path) for path in sorted((self.folder / "raw" / "smap").glob("*.h5"))]

    def elevation(self) -> Path:
        """The elevation of the box and some margin, as GeoTIFF."""
        return self.folder / "raw" / "terrain" / "elevation.tif"

    def close(self) -> None:
        """End the child process that writes NetCDF."""
        self._writer.close()


@lru_cache(maxsize=4096)
def _granule(path: Path) -> Granule:
    content = path.read_bytes()
    date = re.search(r"_(\d{4})(\d{2})(\d{2})_", path.name)
    return Granule(path.name, "-".join(date.groups()), path, len(content), hashlib.md5(content).hexdigest())


def _neighbours(months: Sequence[str]) -> tuple[str, ...]:
    """The months with one before and one after."""
    first, last = np.datetime64(min(months), "M") - 1, np.datetime64(max(months), "M") + 1
    return tuple(str(month) for month in np.arange(first, last + 1))


def _source(folder: Path, month: str, kind: str) -> Path:
    return folder / "source" / f"{month}_{kind}.nc"


class Writer:
    """The child process that cuts requests out of the world, started when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._child, self._lock = folder, None, threading.Lock()

    def write(self, request: Mapping[str, Any]) -> Path:
        text = json.dumps(request, sort_keys=True)
        target = self._folder / "deliveries" / hashlib.sha256(text.encode()).hexdigest()[:24]
        with self._lock:
            if not target.exists():
                if self._child is None:
                    self._child = _start(self._folder)
                self._child.stdin.write(json.dumps([str(target), request]) + "\n")
                self._child.stdin.flush()
                said = self._child.stdout.readline().strip()
                if said.startswith("nothing:"):
                    raise NoDataError(said.removeprefix("nothing:").strip())
                assert said == "made", f"the writer of the simulated world failed: {said or 'see its traceback'}"
        return target

    def close(self) -> None:
        with self._lock:
            if self._child is not None:
                self._child.stdin.close()
                self._child.wait(120)
                self._child.stdout.close()
                self._child = None


def _start(folder: Path) -> subprocess.Popen:
    command = (
        "import sys; sys.path[:0] = sys.argv[2:]; from tests.servers.world import write_all; write_all(sys.argv[1])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", command, str(folder), str(ROOT), str(ROOT / "src")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def write_all(folder: str) -> None:
    """Write what comes in on standard input until it ends: one ``[target, request]`` a line."""
    for line in sys.stdin:
        target, request = json.loads(line)
        try:
            deliver(Path(folder), Path(target), request)
            print("made", flush=True)
        except NoDataError as error:
            print(f"nothing: {error}", flush=True)


def deliver(folder: Path, target: Path, request: Mapping[str, Any]) -> None:
    """Cut a request out of the world and write it as the CDS does."""
    target.parent.mkdir(exist_ok=True)
    kinds = {}
    for name in request["variable"]:
        if name not in SHORT:
            raise NoDataError(f"no variable {name}")
        kinds.setdefault(SHORT[name].kind, []).append(SHORT[name].short)
    stamps = request_stamps(request)
    members = []
    for kind, names in sorted(kinds.items()):
        path = target.with_name(f".{target.name}.{kind}.nc")
        _write_kind(folder, path, kind, names, stamps, request["area"])
        members.append((ACCUM_MEMBER if kind == "accum" else INSTANT_MEMBER, path))
    if len(members) == 1 and request.get("download_format", "unarchived") != "zip":
        members[0][1].replace(target)
        return
    part = target.with_name(f".{target.name}.zip")
    zipped(part, [(name, path.read_bytes()) for name, path in members])
    for _, path in members:
        path.unlink()
    part.replace(target)


def zipped(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """A zip with a fixed date, so that equal contents give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content)


def request_stamps(request: Mapping[str, Any]) -> np.ndarray:
    """The times of a request as datetime64[h], ascending; impossible days are left out, as the service does."""
    stamps = []
    for year in _strings(request["year"]):
        for month in _strings(request["month"]):
            for day in _strings(request["day"]):
                for time in _strings(request["time"]):
                    try:
                        stamps.append(np.datetime64(f"{year}-{month}-{day}T{time[:2]}", "h"))
                    except ValueError:
                        continue
    return np.unique(np.array(stamps, "M8[h]"))


def _strings(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _write_kind(
    folder: Path, path: Path, kind: str, names: Sequence[str], stamps: np.ndarray, area: Sequence[float]
) -> None:
    north, west, south, east = area
    try:
        grid = regular_grid((south, north), (west, east))
    except ValueError as error:
        raise NoDataError(str(error)) from error
    hours, parts = [], {name: [] for name in names}
    for month in np.unique(stamps.astype("M8[M]")):
        source = _source(folder, str(month), kind)
        if not source.exists():
            continue
        with netCDF4.Dataset(source) as file:
            known = np.asarray(file["valid_time"][:]) // 3600
            steps = np.flatnonzero(np.isin(known, stamps.astype("i8")))
            rows = _nodes(file["latitude"], grid.lat)
            cols = _nodes(file["longitude"], grid.lon)
            if steps.size == 0:
                continue
            hours.append(known[steps])
            for name in names:
                if name not in file.variables:
                    raise NoDataError(f"the simulated world has no {name}")
                values = np.ma.filled(file[name][:], np.nan).astype("f4")
                parts[name].append(values[steps[0] : steps[-1] + 1][steps - steps[0]][:, rows][:, :, cols])
    if not hours:
        raise NoDataError("None of the data you have requested is available yet")
    fields = {name: np.concatenate(values) for name, values in parts.items()}
    write_member(path, kind, fields, np.concatenate(hours) * 3600, grid)


def _nodes(axis: netCDF4.Variable, wanted: np.ndarray) -> np.ndarray:
    have = np.round(np.asarray(axis[:], "f8"), 3)
    found = np.array([np.argmin(np.abs(have - value)) for value in wanted])
    if np.abs(have[found] - wanted).max() > 1e-3:
        raise NoDataError(f"the simulated world ends at {have.min()} and {have.max()} degrees")
    return found
