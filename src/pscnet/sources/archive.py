"""A folder of raw files, in any order and under any name: what is in it, what is missing, what cannot be used.

Files are recognised by their content. A cache file keeps what was found by path, size and modification time, so that a
second look at a thousand files only asks the file system. The folder is the user's: nothing in it is moved,
renamed or written.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pscnet.sources import SourceError, complaint
from pscnet.sources import manifest as manifests
from pscnet.sources.contents import Found, examine
from pscnet.sources.inventory import Inventory, Item, some
from pscnet.variables import ERA5_LAND

#: Raised when what the cache keeps changes its meaning: an older cache is then read anew.
CACHE_VERSION = 1

#: At most so many unusable files in a message.
_SHOWN = 6


def inventory(folder: str | Path, cache: str | Path | None = None) -> Inventory:
    """Look at every file below a folder.

    Parameters
    ----------
    folder : path
    cache : path, optional
        JSON file of what was found earlier; read, brought up to date and replaced. Several processes may share it.

    Returns
    -------
    Inventory

    Raises
    ------
    SourceError
        The folder is absent or cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise complaint(
            folder, "a folder of raw files", "no folder of that name", "set archive in the configuration to the folder"
        )
    with _locked(cache):
        known = _read_cache(cache, folder)
        fresh: dict[str, dict] = {}
        result = Inventory(str(folder))
        for path, reason in _walk(folder):
            relative = path.relative_to(folder).as_posix()
            if reason:
                result.rejected[relative] = reason
            else:
                _look(path, relative, known, fresh, result)
        if cache is not None and fresh != known:
            content = {"version": CACHE_VERSION, "folder": str(folder.resolve()), "files": fresh}
            manifests.write_json(cache, content)
    return result


def write_manifest(
    folder: str | Path,
    cache: str | Path | None,
    source: str,
    month: str | None,
    variables: Sequence[str],
    output: str | Path,
    grid: str = "M36",
) -> None:
    """Write the manifest of one month of one source of an archive.

    Parameters
    ----------
    folder, cache : path
        See :func:`inventory`. For terrain ``folder`` may be the elevation file itself.
    source, month, variables, grid
        See :meth:`Inventory.manifest`.
    output : path
        Manifest to write.

    Raises
    ------
    SourceError
        ERA5-Land variables or steps are missing; a SMAP month has no granule; a file of that month cannot be used;
        there is no elevation file, or there are several.
    """
    if source == "terrain" and not Path(folder).is_dir():
        _write_terrain_file(Path(folder), output)
        return
    found = inventory(folder, cache)
    content = found.manifest(source, month, variables, grid)
    _refuse_incomplete(found, content, variables)
    manifests.write(
        output,
        source=source,
        month=month,
        root=content["root"],
        files=content["files"],
        missing=content["missing"],
        made_by="archive",
    )


def _write_terrain_file(path: Path, output: str | Path) -> None:
    """The manifest of one elevation file that the configuration names."""
    found = examine(path)
    if isinstance(found, str) or found.source != "terrain":
        what = found if isinstance(found, str) else f"a file of {found.source}"
        raise complaint(path, "an elevation file (GeoTIFF or NetCDF)", what, "change the configuration key terrain")
    entry = manifests.member(path.parent, path, variables=found.variables)
    manifests.write(output, source="terrain", month=None, root=path.parent, files=[entry], made_by="archive")


def _refuse_incomplete(found: Inventory, content: Mapping, variables: Sequence[str]) -> None:
    source, month, missing = content["source"], content["month"], content["missing"]
    what = f"archive {found.folder}"
    spoilt = _spoilt(found, source, month, missing)
    if source == "terrain":
        if len(content["files"]) != 1:
            names = [member["path"] for member in content["files"]]
            raise complaint(
                what,
                "one elevation file (GeoTIFF or NetCDF)",
                some(names) if names else "none" + spoilt,
                "name the file in the configuration key terrain",
            )
    elif source in ("smap", "smap_e"):
        if spoilt:
            raise complaint(
                what,
                f"a usable granule for every day of {month} that has a file",
                "files that cannot be used" + spoilt,
                "replace them, or take them out of the folder to go on without those days",
            )
        if not content["files"]:
            raise complaint(what, f"SMAP granules of {month}", "none", "add them, or change the period")
    elif missing["variables"]:
        absent = [name for name in missing["variables"] if name in ERA5_LAND]
        requests = ", ".join(ERA5_LAND[name].request for name in absent)
        raise complaint(
            what,
            f"ERA5-Land {month} with {', '.join(variables)}",
            f"missing: {some(missing['variables'])}" + spoilt,
            (
                f"add files with {requests}, or take {', '.join(absent)} out of predictors"
                if absent
                else "add files with these steps, or change the period"
            ),
        )


def _spoilt(found: Inventory, source: str, month: str | None, missing: Mapping[str, Sequence[str]]) -> str:
    """The rejected files whose place in the month stays empty, as an end of a sentence."""
    if source in ("smap", "smap_e"):
        needed = {day.replace("-", "") for day in missing["days"]}
        hits = [path for path in found.rejected if any(day in Path(path).name for day in needed) and _smap_name(path)]
    else:
        hits = [path for path in found.rejected if not _smap_name(path)]
    return "".join(f"; {path} ({found.rejected[path]})" for path in sorted(hits)[:_SHOWN])


def _smap_name(path: str) -> bool:
    return Path(path).name.upper().startswith("SMAP_L3_SM_P")


def _walk(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Every file below the folder in a fixed order, with the reason why it may not be opened, or None."""
    root = folder.resolve()
    failures: list[OSError] = []
    for name, folders, files in os.walk(folder, onerror=failures.append):
        here = Path(name)
        for link in [entry for entry in folders if (here / entry).is_symlink()]:
            yield here / link, "a link to a folder, which is not followed"
        folders[:] = sorted(entry for entry in folders if not (here / entry).is_symlink() and not entry.startswith("."))
        for entry in sorted(files):
            path = here / entry
            if entry.startswith("."):
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                yield path, f"a link that leads out of the folder, to {os.readlink(path)}"
            elif path.is_symlink() and not path.exists():
                yield path, f"a link to nothing, {os.readlink(path)}"
            elif not path.is_file():
                yield path, "no plain file"
            else:
                yield path, None
    for failure in failures:
        yield Path(failure.filename), f"a folder that cannot be read ({failure.strerror})"


def _look(path: Path, relative: str, known: Mapping[str, dict], fresh: dict[str, dict], result: Inventory) -> None:
    """Take what is known of a file from the cache, or look into it, and put it where it belongs."""
    try:
        stat = path.stat()
    except OSError as error:
        result.rejected[relative] = f"cannot be read ({error.strerror})"
        return
    entry = known.get(relative)
    if entry is None or (entry["size"], entry["mtime_ns"]) != (stat.st_size, stat.st_mtime_ns):
        entry = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, **_examined(path)}
    if entry["rejected"]:
        # Not kept: permissions may change without a trace in size and modification time.
        result.rejected[relative] = entry["rejected"]
        return
    fresh[relative] = entry
    if entry["found"] is None:
        result.ignored[relative] = entry["ignored"]
    else:
        result.items.append(Item(relative, entry["size"], entry["sha256"], Found(**entry["found"])))


def _examined(path: Path) -> dict:
    """What a file is, in the form of a cache entry."""
    entry: dict = {"sha256": "", "found": None, "ignored": None, "rejected": None}
    try:
        found = examine(path)
        if isinstance(found, str):
            entry["ignored"] = found
        else:
            entry["found"] = asdict(found)
            entry["sha256"] = "" if found.source == "stations" else manifests.hash_file(path)
    except SourceError as error:
        entry["rejected"] = str(error).removeprefix(f"{path}: ")
    return entry


def _read_cache(cache: str | Path | None, folder: Path) -> dict[str, dict]:
    """The files that a cache knows; none where it is absent, damaged, old or another folder's."""
    if cache is None:
        return {}
    try:
        content = json.loads(Path(cache).read_text(encoding="utf-8"))
        if content["version"] == CACHE_VERSION and content["folder"] == str(folder.resolve()):
            return dict(content["files"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return {}


@contextlib.contextmanager
def _locked(cache: str | Path | None) -> Iterator[None]:
    """Let one process at a time look into the files; the others then find its cache."""
    if cache is None:
        yield
        return
    Path(cache).parent.mkdir(parents=True, exist_ok=True)
    with open(f"{cache}.lock", "w") as lock:
        with contextlib.suppress(OSError):  # some network file systems know no locks: then all look
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
