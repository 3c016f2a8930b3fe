"""One file over HTTP, however often the line breaks: streamed, resumed only where it is the same, hashed on the way.

A download grows in a part, beside which ``{part}.json`` says of which object it is a part (a strong ETag and the
length). A later process resumes it if the server still has that object (``Range`` with ``If-Range``); all else
starts from the first byte.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import requests

from pscnet.sources.fetch import DamagedError, RefusedError, failure
from pscnet.sources.fetch.parts import MULTIPART, Part, discard, multipart_md5
from pscnet.sources.fetch.retry import persist, transient
from pscnet.sources.fetch.secrets import public_url
from pscnet.sources.fetch.sessions import read_page
from pscnet.sources.fetch.settings import Patience

BLOCK = 1 << 18  # byte; largest piece read at once

_LINK = frozenset({403, 404, 410, 416})  # of a signed link: a fresh one may work
_FRESH_LINKS = 3
_PAGES = 3  # pages in place of the rest of a file, before the part is given up for one
_TOO_LONG = 3
_SAME_END = 3  # ends at one length that nobody announced, before they count as the end
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class Offer:
    """Where a file can be had now.

    Attributes
    ----------
    url : str
        May be signed; it is never shown.
    session : requests.Session
    headers : mapping
    size : int, optional
        Size that the provider announces [byte]. The length that comes with the answer counts more.
    """

    url: str
    session: requests.Session = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    size: int | None = None


@dataclass(frozen=True)
class Received:
    """A part that is complete.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    md5, sha256 : str
        Hexadecimal digits.
    etag : str or None
    url : str
        Without query.
    resumed : bool
        Whether bytes of an earlier call were used.
    again : int
        Bytes fetched although they had been there.
    content_type : str
    """

    path: Path
    size: int
    md5: str
    sha256: str
    etag: str | None
    url: str
    resumed: bool
    again: int
    content_type: str = ""

    @cached_property
    def part_md5s(self) -> str:
        """MD5 of the MD5s of parts of 50 MiB, hexadecimal digits: the checksum of multipart uploads.

        Of a file of more than one part it reads the file when first asked for, so ask while it is there.
        """
        if self.size <= MULTIPART:
            return hashlib.md5(bytes.fromhex(self.md5), usedforsecurity=False).hexdigest()
        return multipart_md5(self.path)


def receive(
    offer: Callable[[], Offer],
    part: str | Path,
    what: str,
    patience: Patience,
    on_bytes: Callable[[int], None] | None = None,
    whole: bool = False,
    reserve: int = 0,
    stop: Callable[[], bool] | None = None,
    note: Callable[[str], None] | None = None,
) -> Received:
    """Download into ``part`` until it is complete.

    Parameters
    ----------
    offer : callable
        Called for every attempt, so that links are fresh.
    part : str or Path
        Kept, complete or not, until :func:`discard` or a rename by the caller.
    what : str
        For messages.
    patience : Patience
        New bytes start it anew, unless they trickle.
    on_bytes : callable, optional
        Told every change of the part's length, negative when it starts from 0; the sum is the length.
    whole : bool
        Ignore what an earlier call has left.
    reserve : int
        Room to leave free on the disk [byte].
    stop, note : callable, optional
        As of :func:`pscnet.sources.fetch.retry.persist`.

    Returns
    -------
    Received

    Raises
    ------
    UnavailableError
        When patience ran out; the part stays.
    RefusedError
        When the disk lacks room.
    DamagedError
        When the server sends more than it announces, again and again.
    requests.HTTPError
        For a status that waiting does not change; its text has no query, its ``response`` is there to be read.
    """
    part = Path(part)
    if whole:
        discard(part)
    with Part(part, stop, note) as file:
        course = _Transfer(file, offer, what, patience, on_bytes, reserve)
        return persist(course.attempt, what, patience, course.verdict, stop, note, lambda: course.reached)


class _Short(requests.exceptions.ConnectionError):
    """The body ended before its time."""


class _Refused(requests.HTTPError):
    """The store answers with an error."""


class _Slow(requests.exceptions.ReadTimeout):
    """The transfer trickles."""


class _Transfer:
    """The attempts of one :func:`receive`."""

    def __init__(self, part, offer, what, patience, on_bytes, reserve) -> None:
        self._part, self._offer, self._what, self._patience = part, offer, what, patience
        self._on_bytes = on_bytes or (lambda n: None)
        self._reserve = reserve
        self._told = self._fetched = self._links = self._pages = self._too_long = 0
        self._ends: Counter[int] = Counter()
        self._resumed = False
        self.reached = part.length  # longest that the part has been, trickles apart

    def verdict(self, error: BaseException) -> float | None:
        """As :func:`transient`, and a few fresh links for one that is refused."""
        if isinstance(error, _Refused) and error.response.status_code in _LINK:
            return 0.0 if self._links <= _FRESH_LINKS else None
        return transient(error)

    def attempt(self) -> Received:
        offer = self._offer()
        response = self._ask(offer)
        try:
            self._check_room(offer)
            self._tell()
            self._read(response, offer)
        except _Slow:
            raise
        except Exception:
            self.reached = max(self.reached, self._part.length)
            raise
        finally:
            response.close()
        return self._received(response, offer)

    def _received(self, response: requests.Response, offer: Offer) -> Received:
        part = self._part
        return Received(
            path=part.path,
            size=part.length,
            etag=part.etag,
            url=public_url(offer.url),
            resumed=self._resumed,
            again=max(0, self._fetched + part.found - part.length),
            content_type=response.headers.get("Content-Type", ""),
            **part.digests(),
        )

    def _ask(self, offer: Offer) -> requests.Response:
        """An answer whose body goes on where the part ends, the part being cut to fit."""
        start = self._start()
        if start:
            response = self._get(offer, {"Range": f"bytes={start}-", "If-Range": self._part.etag})
            if self._continues(response, start):
                self._resumed = self._resumed or self._fetched == 0
                self._part.rewind(start)
                return response
            if response.status_code == 200:
                self._refuse_page(response)
                return self._anew(response)
            response.close()
        response = self._get(offer, {})
        if response.status_code != 200:
            response.close()
            raise _Short(f"status {response.status_code} in answer to a plain request")
        return self._anew(response)

    def _start(self) -> int:
        """Bytes of the part to build on; one less than all, so that the server must say whether they are all."""
        part = self._part
        if part.etag is None:
            return 0
        return min(part.length, part.total - 1) if part.total else max(0, part.length - 1)

    def _refuse_page(self, response: requests.Response) -> None:
        """Do not give up a good part for the page of a proxy or of a login."""
        if "html" in response.headers.get("Content-Type", "").lower() and self._pages < _PAGES:
            self._pages += 1
            response.close()
            raise _Short("an HTML page came in place of the rest of the file")

    def _anew(self, response: requests.Response) -> requests.Response:
        self._resumed = False
        etag = response.headers.get("ETag", "")
        length = response.headers.get("Content-Length", "")
        self._part.begin(
            etag if etag.startswith('"') else None,
            int(length) if length.isdigit() and not _chunked(response) else None,
            public_url(response.url),
        )
        return response

    def _get(self, offer: Offer, extra: Mapping[str, str]) -> requests.Response:
        limits = (self._patience.stall, self._patience.stall)
        headers = {**offer.headers, "Accept-Encoding": "identity", **extra}
        response = offer.session.get(offer.url, headers=headers, stream=True, timeout=limits)
        if response.status_code >= 400 and not (response.status_code == 416 and extra):
            raise self._refusal(response)
        self._links = 0
        return response

    def _refusal(self, response: requests.Response) -> _Refused:
        """The error of a status, with the beginning of the page at hand."""
        read_page(response, self._patience.stall)
        self._links += response.status_code in _LINK
        url = public_url(response.url)
        return _Refused(f"{response.status_code} {response.reason} for {url}", response=response)

    def _continues(self, response: requests.Response, start: int) -> bool:
        """Whether the answer is the rest of the very object of which the part is a part."""
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if response.status_code != 206 or not found or response.headers.get("ETag") != self._part.etag:
            return False
        first, last, total = (int(number) for number in found.groups())
        if first != start or last != total - 1 or self._part.total not in (None, total):
            return False
        self._part.total = total
        return True

    def _check_room(self, offer: Offer) -> None:
        missing = max(self._part.total or 0, offer.size or 0) - self._part.length
        free = shutil.disk_usage(self._part.path.parent).free
        if missing > 0 and free < missing + self._reserve:
            raise self._full(f"{(missing + self._reserve) / 1e9:.3f} GB", f"{free / 1e9:.3f} GB")

    def _full(self, needed: str, free: str) -> Exception:
        place = self._part.path.parent
        remedy = "make room, or put the archive on another disk, and start again: what has been fetched is kept"
        return failure(RefusedError, self._what, f"{needed} of free room in {place}", free, remedy)

    def _tell(self) -> None:
        if self._part.length != self._told:
            self._on_bytes(self._part.length - self._told)
            self._told = self._part.length

    def _read(self, response: requests.Response, offer: Offer) -> None:
        """Append the body to the part, watching its pace and its length."""
        total = self._part.total
        framed = total is not None or _chunked(response)
        limit = offer.size if total is None and not framed else total
        pace = _Pace(self._patience)
        while block := response.raw.read1(BLOCK, decode_content=False):
            self._fetched += len(block)
            self._append(block)
            self._tell()
            if limit is not None and self._part.length > limit:
                self._overlong(limit)
            pace.check(len(block))
        if limit is not None and self._part.length < limit:
            self._ends[self._part.length] += 1
            if framed or self._ends[self._part.length] < _SAME_END:
                raise _Short(f"the body ended after {self._part.length} of {limit} bytes")

    def _append(self, block: bytes) -> None:
        try:
            self._part.append(block)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._full("enough", error.strerror or str(error)) from None

    def _overlong(self, limit: int) -> None:
        self._too_long += 1
        self._part.begin(None, None, "")
        if self._too_long < _TOO_LONG:
            raise _Short(f"the body is longer than the {limit} bytes announced")
        raise failure(
            DamagedError, self._what, f"{limit} bytes, as announced", "more", "start again later, or tell the provider"
        )


def _chunked(response: requests.Response) -> bool:
    """Whether the body says itself where it ends."""
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


class _Pace:
    """Watchdog of a transfer that goes on, but far too slowly; silence is the socket's own timeout."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._begun, self._bytes = time.monotonic(), 0

    def check(self, n: int) -> None:
        self._bytes += n
        span = time.monotonic() - self._begun
        if span < self._patience.stall:
            return
        if self._bytes < self._patience.slowest * span:
            raise _Slow(f"{self._bytes / span:.0f} bytes a second, below the {self._patience.slowest:.0f} required")
        self._begun, self._bytes = time.monotonic(), 0
