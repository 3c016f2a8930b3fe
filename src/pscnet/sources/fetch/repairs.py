"""Does a month need another look? Raw files are out of the workflow's sight; a small number stands in their place.

The number counts how often a month has been put in order. It is kept in a file of its own; where a raw file of the
month is gone or was changed, one more than that is planned, so that the month's job runs, once: at its end it writes
the planned number down.
"""

from __future__ import annotations

from pathlib import Path

from pscnet.sources import SourceError
from pscnet.sources import manifest as manifests
from pscnet.sources.atomic import replacing
from pscnet.sources.fetch.ledger import Ledger


def planned(counter: str | Path, manifest: str | Path, archive: str | Path, source: str, month: str) -> int:
    """The number of repairs that a month will have once its job has run.

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
        The number so far where every file of the manifest is as listed and recorded; one more otherwise. Sizes and
        modification times are looked at; only a file whose time alone is another is hashed, once, as it then has
        that time in its record; where another process is at the month, that is left to the job.
    """
    number, manifest = _number(Path(counter)), Path(manifest)
    if not manifest.exists():
        return number
    try:
        ledger = Ledger(archive)
        if _undisturbed(manifest, ledger, source, month):
            return number
        if not ledger.refresh(source, month):
            return number + 1  # another process is at the month: its job will wait for that, and the plan does not
        return number if _undisturbed(manifest, ledger, source, month) else number + 1
    except (SourceError, OSError):  # a file is gone, or cannot be read: the job will say so
        return number + 1


def write_down(counter: str | Path, number: object) -> None:
    """Keep the planned number: what a month's job does last."""
    with replacing(counter) as part:
        part.write_text(f"{number}\n", encoding="utf-8")


def _number(counter: Path) -> int:
    try:
        return int(counter.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # damaged: any number will do, the job writes a sound one
        return 0


def _undisturbed(manifest: Path, ledger: Ledger, source: str, month: str) -> bool:
    """Whether the manifest's files have their recorded times; what is not recorded is known by its size alone.

    Raises
    ------
    SourceError
        The manifest cannot be read, or a file is absent or has another size.
    """
    listed = manifests.read(manifest)
    paths = listed.paths()
    if Path(listed.root) != ledger.archive:
        return True
    recorded = {record.path: record.mtime_ns for record in ledger.records(source, month)}
    return all(
        recorded.get(member.path) in (None, path.stat().st_mtime_ns)
        for member, path in zip(listed.files, paths, strict=True)
    )
