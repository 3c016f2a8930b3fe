"""The file of a successful CDS job: downloaded as often as it takes, and verified before it is trusted.

Whatever the store of the files answers, the job is good as long as the service itself says so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests
from ecmwf.datastores.processing import Results

from pscnet.sources import SourceError
from pscnet.sources.fetch.cds_answers import GoneError, plausible, proven
from pscnet.sources.fetch.credentials import CdsAccount
from pscnet.sources.fetch.era5_check import Content, check
from pscnet.sources.fetch.ledger import Ledger
from pscnet.sources.fetch.parts import discard
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.retry import persist, server_wait, transient
from pscnet.sources.fetch.sessions import Session
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.fetch.transfer import Offer, Received, receive
from pscnet.sources.formats import kind_of

LOG = logging.getLogger(__name__)

#: Most downloads of one job's file.
DOWNLOADS = 3

_PAGES = ("html", "json", "text", "empty")


@dataclass(frozen=True)
class Context:
    """What the requests of one run share.

    Attributes
    ----------
    ledger : Ledger
    settings : Settings
    account : CdsAccount
    progress : Progress
    stop : threading.Event
        Set when the run ends: all waiting then ends too.
    """

    ledger: Ledger
    settings: Settings
    account: CdsAccount
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)


def verified_file(
    context: Context, request: Mapping, part: Path, what: str, results: Callable[[], Results]
) -> tuple[Received, Content]:
    """Download the file of a job into ``part``, and verify it.

    Bytes are trusted by a hash over them. Without one, or with another one than announced, a second download from
    the first byte on must agree; of a part that an earlier run began this is asked in any case, since a machine that
    was switched off may have left zeros in it.

    Parameters
    ----------
    context, request, part, what
        As of :func:`pscnet.sources.fetch.cds.fetch_request`.
    results : callable
        The job's results, with a fresh link; its errors are raised as they are.

    Raises
    ------
    GoneError
        When the service's own file is unusable; it lies in quarantine.
    UnavailableError
        When the store did not give it within patience; the job stands.
    """
    return _Download(context, request, part, what, results).verified()


class _PageError(requests.exceptions.ConnectionError):
    """A page came in place of the file."""


def _store_verdict(error: BaseException) -> float | None:
    """As :func:`transient`, for a store whose refusals say nothing about the job."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return server_wait(error.response)
    return transient(error)


class _Download:
    """The steps of :func:`verified_file`."""

    def __init__(self, context: Context, request: Mapping, part: Path, what: str, results: Callable) -> None:
        self._context, self._request, self._part, self._what = context, request, part, what
        self._results = results
        self._store = Session(patience=context.settings.patience)
        self._asset: dict = {}
        self._counted = 0

    def verified(self) -> tuple[Received, Content]:
        seen: set[str] = set()
        problem, url = "", None
        for number in range(DOWNLOADS):
            received = self._received(whole=number > 0)
            url, sure = received.url, self._proven(received) or received.sha256 in seen
            seen.add(received.sha256)
            try:
                content = check(self._part, self._request)
            except SourceError as error:
                problem = str(error).replace(str(self._part), self._what)
                if sure:
                    break  # the service's file is like that
            else:
                announced = self._plausible(received)
                if sure or (announced and not received.resumed):
                    if not announced and not self._proven(received):
                        LOG.warning("%s: accepted with another size or checksum than announced", self._what)
                    return received, content
                known = "no checksum to know them by" if announced else "neither of them as announced"
                problem = f"{received.size} bytes with MD5 {received.md5}, {known}"
            self._context.progress.note(f"{self._what}: downloading once more, since there came {problem}")
        discarded = self._context.ledger.quarantine(self._part, "era5_land", problem, url, f"{self._what}.bad")
        discard(self._part)
        raise GoneError(f"its file is unusable: {problem} It lies at {discarded}", damaged=True)

    def _received(self, whole: bool) -> Received:
        """The file, however long the store refuses it."""
        patience, stop, note = self._context.settings.patience, self._context.stop.is_set, self._context.progress.note
        if whole:
            discard(self._part)
        return persist(self._download, self._what, patience, _store_verdict, stop, note)

    def _download(self) -> Received:
        self._count(-self._counted)
        received = receive(
            self._offer,
            self._part,
            self._what,
            self._context.settings.patience,
            self._count,
            False,
            self._context.settings.reserve,
            self._context.stop.is_set,
            self._context.progress.note,
        )
        kind = kind_of(self._part)
        if kind in _PAGES and not self._proven(received):
            discard(self._part)
            raise _PageError(f"{received.size} bytes of {kind.upper()} came in place of the file")
        return received

    def _count(self, n: int) -> None:
        self._counted += n
        self._context.progress.bytes(n)

    def _offer(self) -> Offer:
        """A fresh link to the job's file."""
        results = self._results()
        self._asset = results.asset
        return Offer(results.location, self._store, size=self._size())

    def _size(self) -> int | None:
        size = self._asset.get("file:size")
        return int(size) if size is not None else None

    def _proven(self, received: Received) -> bool:
        return proven(received, self._asset.get("file:checksum"))

    def _plausible(self, received: Received) -> bool:
        return plausible(received, self._asset.get("file:checksum"), self._size())
