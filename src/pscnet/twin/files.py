"""Files of the twin's own: restart, truth and manifests.

Manifests have the layout that the readers of provider files expect (``source``, ``month``, ``root``, ``files``,
``missing``, ``made_by``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import netCDF4
import numpy as np

from pscnet.grids import Grid


def write_state(path: Path, state: dict[str, np.ndarray], attributes: dict[str, object]) -> None:
    """Write restart fields, with the attributes that :func:`read_state` will ask for."""
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(attributes)
        for name, values in state.items():
            dims = [f"d{size}" for size in values.shape]
            for dim, size in zip(dims, values.shape, strict=True):
                if dim not in file.dimensions:
                    file.createDimension(dim, size)
            file.createVariable(name, "f4", dims)[:] = values


def read_state(path: Path, expected: dict[str, object]) -> dict[str, np.ndarray]:
    """The restart fields; refuses a file of another month, seed, box or control."""
    with netCDF4.Dataset(path) as file:
        found = {name: getattr(file, name, None) for name in expected}
        if any(str(found[name]) != str(expected[name]) for name in expected):
            raise ValueError(
                f"{path}: expected the restart of {expected}, found {found}; "
                "remove it and run the chain of months again"
            )
        return {name: np.asarray(variable[:]) for name, variable in file.variables.items()}


def write_truth(
    path: Path, grid: Grid, stamps: np.ndarray, liquid: np.ndarray, frozen: np.ndarray, snow: np.ndarray
) -> None:
    """Write the truth (time, lat, lon) at ``stamps`` [hour since 1970]."""
    with netCDF4.Dataset(path, "w") as file:
        file.content = "the truth of a simulated world: for verification only"
        for name, size in (("time", stamps.size), ("lat", grid.lat.size), ("lon", grid.lon.size)):
            file.createDimension(name, size)
        for name, unit, values in (
            ("time", "hours since 1970-01-01", stamps.astype("i8")),
            ("lat", "degrees_north", grid.lat),
            ("lon", "degrees_east", grid.lon),
        ):
            axis = file.createVariable(name, values.dtype, (name,))
            axis.units = unit
            axis[:] = values
        file["time"].calendar = "proleptic_gregorian"
        for name, kind, unit, values in (
            ("soil_moisture", "f4", "m3 m-3", liquid),
            ("frozen", "i1", "1", frozen),
            ("snow", "i1", "1", snow),
        ):
            variable = file.createVariable(
                name, kind, ("time", "lat", "lon"), zlib=True, complevel=1, shuffle=True,
                chunksizes=(min(stamps.size, 64), grid.lat.size, grid.lon.size),
            )  # fmt: skip
            variable.units = unit
            variable[:] = values


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def member(
    root: Path, path: Path, version: str | None, first: str | None, last: str | None, names: Sequence[str]
) -> dict:
    """One file of a manifest, hashed."""
    return {
        "path": path.relative_to(root).as_posix(), "size": path.stat().st_size, "sha256": _hash(path),
        "provider_id": path.name, "version": version, "first": first, "last": last, "variables": list(names),
    }  # fmt: skip


def write_manifest(
    path: Path, source: str, month: str | None, root: Path, files: list[dict], missing_days: Iterable[str] = ()
) -> None:
    """Write a manifest; an earlier one is replaced only by a complete one."""
    content = {
        "source": source, "month": month, "root": str(root), "files": files,
        "missing": {"variables": [], "days": list(missing_days)}, "made_by": "twin",
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)
