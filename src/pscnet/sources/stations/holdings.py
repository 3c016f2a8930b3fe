"""Which station files are there, and have they changed: what decides on a rerun in place of the files themselves."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pscnet.sources import SourceError
from pscnet.sources.manifest import hash_file, write_json
from pscnet.sources.stations.description import files_of, read_description

#: Grows when the meaning of the index changes.
_VERSION = 1

DESCRIPTIONS = (".yaml", ".yml")


def is_description(source: str | Path) -> bool:
    """Whether a source is a description of tables, rather than an archive of ISMN."""
    return Path(source).suffix.lower() in DESCRIPTIONS


def contents(sources: Sequence[str], index: str | Path) -> list[list[str]]:
    """Name and SHA-256 of every file of the sources.

    A file is read once: its digest is kept with its size and time of change in ``index``, so that an archive of many
    gigabytes costs a look at its folders. A file that was only touched has the same digest.

    Parameters
    ----------
    sources : list of path
        Folders or zips of ISMN, descriptions of tables.
    index : path
        JSON that is read, brought up to date and replaced.

    Returns
    -------
    list of [name, digest]
        A source that is not there, or a description that cannot be read, has the digest ``absent``.
    """
    known = _read(index)
    fresh: dict[str, list] = {}
    found = []
    for source in sources:
        for path in _files(Path(source)):
            name = str(path)
            try:
                stat = path.stat()
                mark = [stat.st_size, stat.st_mtime_ns]
                digest = known[name][2] if known.get(name, [])[:2] == mark else hash_file(path)
            except (OSError, SourceError):
                found.append([name, "absent"])
                continue
            fresh[name] = [*mark, digest]
            found.append([name, digest])
    if fresh != known:
        write_json(index, {"version": _VERSION, "files": fresh})
    return found


def _files(source: Path) -> Iterator[Path]:
    """The files of a source in a fixed order; the source itself where it is a file, or not there."""
    if not source.is_dir():
        yield source
        if is_description(source):
            try:
                yield from files_of(source, read_description(source)).values()
            except SourceError:
                return  # the rule that reads it says what is wrong
        return
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if name.lower().endswith(".stm"))


def _read(index: str | Path) -> dict[str, list]:
    try:
        content = json.loads(Path(index).read_text(encoding="utf-8"))
        return dict(content["files"]) if content["version"] == _VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
