"""The records of a month's files, as they stand in a file of the ledger.

``{"version": 1, "files": [...], "lost": [...]}``: records of good files, and of those that were good once. Keys that
are not known here are passed over, so that an older release reads what a newer one adds.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from pscnet.sources import SourceError, complaint
from pscnet.sources.atomic import write_durably

LOG = logging.getLogger(__name__)

#: Raised when a file can no longer be understood by releases that know only a smaller number.
VERSION = 1


@dataclass(frozen=True)
class Record:
    """One verified file of the archive.

    Attributes
    ----------
    path : str
        Relative to the archive, with slashes.
    size, mtime_ns : int
        As when it was verified [byte], [ns]: while both are unchanged, so is the file.
    sha256 : str
    source : str
        As in :mod:`pscnet.sources.manifest`.
    month : str
        ``2016-05``, or ``opening``, ``closing``, ``static``.
    provider_id, version : str
        The provider's name and version of the file.
    url : str or None
        Without query.
    request : dict or None
        What the CDS was asked.
    fetched_at : str or None
        ISO 8601, UTC; None where a file was found in the archive without record.
    first, last : str or None
        ISO 8601 time of the first and last value.
    variables : list of str
    origin : dict or None
        The provider's whole file, where only a part of it is kept.
    """

    path: str
    size: int
    mtime_ns: int
    sha256: str
    source: str
    month: str
    provider_id: str
    version: str | None = None
    url: str | None = None
    request: dict | None = None
    fetched_at: str | None = None
    first: str | None = None
    last: str | None = None
    variables: list[str] = field(default_factory=list)
    origin: dict | None = None


_KNOWN = frozenset(entry.name for entry in fields(Record))


def read(file: Path, which: str = "files") -> list[Record]:
    """The records of good files, or (``lost``) of those that were good once; none where the file cannot be read.

    Raises
    ------
    SourceError
        A later release has written the file in another form.
    """
    try:
        return _parsed(file)[which]
    except FileNotFoundError:
        return []
    except SourceError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        LOG.warning("%s cannot be read (%s): the files that it lists will be verified anew", file, error)
        return []


def _parsed(file: Path) -> dict[str, list[Record]]:
    content = {"lost": [], "version": VERSION} | json.loads(file.read_text(encoding="utf-8"))
    if content["version"] > VERSION:
        wanted, found = f"a ledger of version {VERSION} or lower", f"version {content['version']}"
        raise complaint(file, wanted, found, "use the release of pscnet that wrote it, or a later one")
    return {
        which: [Record(**{key: value for key, value in entry.items() if key in _KNOWN}) for entry in content[which]]
        for which in ("files", "lost")
    }


def write(file: Path, records: Iterable[Record], lost: Iterable[Record]) -> None:
    """Write both lists; what stands in their place and cannot be read is moved aside, never overwritten."""
    try:
        _parsed(file)
    except FileNotFoundError:
        pass
    except SourceError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError):
        _set_aside(file)
    content = {"files": [asdict(entry) for entry in records], "lost": [asdict(entry) for entry in lost]}
    write_durably(file, {"version": VERSION} | content)


def _set_aside(file: Path) -> None:
    number = 0
    while (aside := file.with_name(f"{file.name}.unreadable.{number}")).exists():
        number += 1
    os.replace(file, aside)
    LOG.warning("%s cannot be read and was moved to %s", file, aside.name)


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
