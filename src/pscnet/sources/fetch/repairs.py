"""Does a month need another look? Raw files are out of the workflow's sight; a small number stands in their place.

The number counts how often a month has been put in order. It is kept in a file of its own; where a raw file of the
month is gone or was changed, one more than that is planned, so that the month's job runs, once: at its end it writes
the planned number down.
"""

from __future__ import annotations

from pathlib import Path

from pscnet.sources import SourceError
from pscnet.sources import manifest as manifests
from pscnet.sources.fetch.ledger import Ledger


def planned(counter: str | Path, manifest: str | Path, archive: str | Path, source: str, month: str) -> int:
    """The number of repairs that a month will have once its job has run, without hashing or changing anything.

    Parameters
    ----------
    counter : path
        File of the number so far; 0 where it is absent.
    manifest : path
        The month's manifest. Where it is not written yet, its job runs anyway.
    archive : path
        Folder of the raw files.
    source, month : str
        As in :mod:`pscnet.sources.fetch.ledger`.

    Returns
    -------
    int
        The number so far where every file of the manifest has the size that is listed and the modification time that
        is recorded; one more otherwise. A file that was only touched is left to the month's job, which hashes it and
        finds it good.
    """
    number, manifest = _number(Path(counter)), Path(manifest)
    if not manifest.exists():
        return number
    recorded = {record.path: record.mtime_ns for record in Ledger(archive).records(source, month)}
    return number if _undisturbed(manifest, Path(archive), recorded) else number + 1


def _number(counter: Path) -> int:
    try:
        return int(counter.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # damaged: any number will do, the job writes a sound one
        return 0


def _undisturbed(manifest: Path, archive: Path, recorded: dict[str, int]) -> bool:
    """Whether the manifest's files are as it lists them; what is not recorded is known by its size alone."""
    try:
        listed = manifests.read(manifest)
        in_archive = Path(listed.root) == archive
        for member, path in zip(listed.files, listed.paths(), strict=True):
            time = recorded.get(member.path) if in_archive else None
            if time is not None and path.stat().st_mtime_ns != time:
                return False
    except (SourceError, OSError):
        return False
    return True
