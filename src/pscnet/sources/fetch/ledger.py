"""What the archive holds for certain: a record of every verified file, its way in, and the quarantine for bad ones.

Layout below the archive (names that start with a dot are not looked at by its inventory):

=====================================  ============================================================================
``.fetch/files/{source}/{month}.json``  the records of one month (or of ``opening``, ``closing``, ``static``)
``.fetch/parts/{name}.part``            unfinished downloads
``.quarantine/{source}/{name}[.N]``     bad files, each with ``.reason.txt``
=====================================  ============================================================================

A file takes its final name by a rename, whole and verified. Its record is written just before, under the same lock:
a kill in between leaves a record without file, which is dropped, and the part, which is finished without network.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from pscnet.sources import complaint
from pscnet.sources import manifest as manifests
from pscnet.sources.atomic import sync
from pscnet.sources.fetch.locks import at_once, exclusive
from pscnet.sources.fetch.parts import discard
from pscnet.sources.fetch.records import Record, now, read, write
from pscnet.sources.fetch.secrets import public_url, redact

LOG = logging.getLogger(__name__)


class Ledger:
    """The records of an archive.

    Parameters
    ----------
    archive : path
        Folder of the raw files; made when it is absent. Processes and threads may share it.
    """

    def __init__(self, archive: str | Path) -> None:
        self.archive = Path(archive)

    @property
    def hidden(self) -> Path:
        """The folder of records, locks, CDS requests and unfinished downloads, which no inventory looks into."""
        return self.archive / ".fetch"

    def records(self, source: str, month: str) -> list[Record]:
        """The records of one month as they stand, in the order of their paths; files are not looked at."""
        return read(self._file(source, month))

    def lost(self, source: str, month: str) -> list[Record]:
        """What is known of files that were good once, and are gone or were put aside since."""
        return read(self._file(source, month), "lost")

    def good(self, source: str, month: str, full: bool = False) -> list[Record]:
        """The records whose files are there and unchanged; the others are dropped, their files quarantined.

        What was known of a dropped file is kept aside: should the same bytes come again, they get their record back.

        Parameters
        ----------
        source, month : str
        full : bool
            Hash every file. By default only those whose modification time is another than recorded.

        Raises
        ------
        SourceError
            A file is there and cannot be read: nothing is dropped then.
        """
        with self._locked(source, month) as file:
            before = read(file)
            after = []
            for record in before:
                now, problem = self._look(record, full)
                if problem is None:
                    after.append(now)
                elif (self.archive / record.path).exists():
                    self.quarantine(self.archive / record.path, source, problem, record.url)
                else:
                    LOG.warning("%s is no longer in the archive and will be fetched again", record.path)
            if after != before:
                kept = {record.path for record in after}
                self._write(file, after, [record for record in before if record.path not in kept])
            return after

    def keep(
        self,
        part: str | Path,
        path: str | Path,
        *,
        source: str,
        month: str,
        provider_id: str | None = None,
        version: str | None = None,
        url: str | None = None,
        request: Mapping | None = None,
        fetched_at: str | None = None,
        first: str | None = None,
        last: str | None = None,
        variables: Iterable[str] = (),
        origin: Mapping | None = None,
        sha256: str | None = None,
    ) -> Record:
        """Give a verified part its final name, and record it.

        A file that has the name already stays when it has the same bytes, and is quarantined otherwise.

        Parameters
        ----------
        part : path
            On the file system of the archive; gone afterwards.
        path : path
            Final name, relative to the archive.
        sha256 : str, optional
            Of the part, when it is known.
        url : str, optional
            Its query is left out.
        fetched_at : str, optional
            Now by default; unknown for a file that has its final name already.

        Other parameters as in :class:`Record`.
        """
        part, final = Path(part), manifests.confined(self.archive, str(path), part)
        final.parent.mkdir(parents=True, exist_ok=True)
        sync(part)
        stat = part.stat()
        record = Record(
            path=final.relative_to(self.archive).as_posix(),
            size=stat.st_size,
            mtime_ns=stat.st_mtime_ns,
            sha256=sha256 or manifests.hash_file(part),
            source=source,
            month=month,
            provider_id=provider_id or final.name,
            version=version,
            url=public_url(url) if url else None,
            request=dict(request) if request else None,
            fetched_at=fetched_at or (None if final == part else now()),
            first=first,
            last=last,
            variables=list(variables),
            origin=dict(origin) if origin else None,
        )
        with self._locked(source, month) as file:
            if final == part or (final.exists() and manifests.hash_file(final) == record.sha256):
                record = replace(record, mtime_ns=final.stat().st_mtime_ns)
                self._add(file, record)
                if final != part:
                    discard(part)
                return record
            if final.exists():
                self.quarantine(final, source, "it gave way to a newly fetched and verified file with other bytes")
            record = self._add(file, record)
            os.replace(part, final)
            sync(final.parent)
            discard(part)  # what is known of a part outlives it
        return record

    def adopt(self, path: str | Path, **fields: object) -> Record:
        """Record a file that is there under its final name and has been verified, but has no record.

        Parameters
        ----------
        path : path
            Relative to the archive.
        fields
            As for :meth:`keep`.
        """
        return self.keep(self.archive / path, path, **fields)

    def quarantine(
        self, path: str | Path, source: str, reason: str, url: str | None = None, name: str | None = None
    ) -> Path:
        """Move a bad file out of the way, with the reason beside it.

        Parameters
        ----------
        path : path
        source : str
        reason : str
            In words; shown and kept without secrets.
        url : str, optional
            Where it came from; its query is left out.
        name : str, optional
            Its name in quarantine, the file's own by default.

        Returns
        -------
        Path
            Where it lies now.
        """
        path, folder = Path(path), self.archive / ".quarantine" / source
        name = name or path.name
        folder.mkdir(parents=True, exist_ok=True)
        lines = [redact(str(reason)), f"size: {path.stat().st_size} bytes", f"quarantined: {now()}"]
        lines += [f"url: {public_url(url)}"] if url else []
        for number in range(10_000):
            target = folder / (f"{name}.{number}" if number else name)
            try:
                with open(f"{target}.reason.txt", "x", encoding="utf-8") as stream:
                    stream.write("\n".join(lines) + "\n")
            except FileExistsError:
                continue  # another bad file of that name was here before
            os.replace(path, target)
            LOG.warning("%s was put into quarantine: %s", name, lines[0])
            return target
        raise complaint(folder, "fewer than 10,000 bad files of one name", name, "look into them and empty it")

    def part(self, name: str) -> Path:
        """Where the download called ``name`` grows until it is whole and verified."""
        folder = self.hidden / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.part"

    def refresh(self, source: str, month: str) -> bool:
        """Note the present modification time of files that were only touched; nothing else is changed.

        Returns
        -------
        bool
            False when somebody is at the records of the month: nothing is waited for, and nothing done.

        Raises
        ------
        SourceError
            A file is there and cannot be read.
        """
        file = self._file(source, month)
        with at_once(file.with_suffix(".lock")) as free:
            if not free:
                return False
            before = read(file)
            after = [self._look(record, full=False)[0] for record in before]
            if after != before:
                self._write(file, after)
        return True

    def _look(self, record: Record, full: bool) -> tuple[Record, str | None]:
        """The record as it should be now, and what is wrong with its file."""
        path = self.archive / record.path
        try:
            stat = path.stat()
        except FileNotFoundError:
            return record, "the file is gone"
        if stat.st_size != record.size:
            return record, f"it has {stat.st_size} bytes and had {record.size} when it was verified"
        if not full and stat.st_mtime_ns == record.mtime_ns:
            return record, None
        found = manifests.hash_file(path)
        if found != record.sha256:
            return record, f"its SHA-256 is {found} and was {record.sha256} when it was verified"
        return replace(record, mtime_ns=stat.st_mtime_ns), None

    def _file(self, source: str, month: str) -> Path:
        return self.hidden / "files" / source / f"{month}.json"

    @contextmanager
    def _locked(self, source: str, month: str) -> Iterator[Path]:
        file = self._file(source, month)
        file.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(file.with_suffix(".lock")):
            yield file

    def _add(self, file: Path, record: Record) -> Record:
        """Record a file; one that was lost, and came again as it was, as it was recorded before."""
        for lost in read(file, "lost"):
            if (lost.path, lost.sha256) == (record.path, record.sha256):
                record = replace(lost, mtime_ns=record.mtime_ns)
        others = [entry for entry in read(file) if entry.path != record.path]
        self._write(file, sorted([*others, record], key=lambda entry: entry.path))
        return record

    def _write(self, file: Path, records: Sequence[Record], dropped: Sequence[Record] = ()) -> None:
        """Write the records of good files, and of those that were good once."""
        gone = {entry.path: entry for entry in [*read(file, "lost"), *dropped]}
        for record in records:
            gone.pop(record.path, None)
        write(file, records, gone.values())


def to_members(records: Iterable[Record], variables: Sequence[str] | None = None) -> list[manifests.Member]:
    """Records as entries of a manifest, in the order of their paths.

    Parameters
    ----------
    records : iterable of Record
    variables : sequence of str, optional
        List only these among each file's variables; a file without any of them is left out.
    """
    members = []
    for record in sorted(records, key=lambda entry: entry.path):
        values = asdict(record)
        if variables is not None:
            values["variables"] = [name for name in record.variables if name in variables]
            if not values["variables"]:
                continue
        members.append(
            manifests.Member(**{key: values[key] for key in manifests.Member.__dataclass_fields__ if key in values})
        )
    return members


def write_manifest(
    output: str | Path,
    source: str,
    month: str | None,
    archive: str | Path,
    records: Iterable[Record],
    missing: Mapping[str, Iterable[str]] | None = None,
    variables: Sequence[str] | None = None,
) -> None:
    """Write the manifest of fetched files; see :mod:`pscnet.sources.manifest` and :func:`to_members`."""
    manifests.write(
        output,
        source=source,
        month=month,
        root=archive,
        files=to_members(records, variables),
        made_by="fetch",
        missing=missing,
    )
