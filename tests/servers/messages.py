"""Requests and answers of the small internet: what a client asks, what a service says and how the line behaves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Request:
    """What a client asks; header names in lower case."""

    method: str
    host: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def first(self, name: str, default: str | None = None) -> str | None:
        """First value of a query parameter."""
        return self.query.get(name, [default])[0]


@dataclass
class Answer:
    """What a service says, and how the connection behaves while it says it.

    Attributes
    ----------
    status : int
    body : bytes or Path
        A path is sent from disk.
    headers : dict or list of pairs
        A list where a name occurs more than once (cookies).
    start, stop : int
        Part of the body that is sent [byte]; :func:`ranged` sets them.
    cut_after : int, optional
        The connection is closed after so many bytes of this answer's body.
    announce : bool
        Whether there is a Content-Length; otherwise the body ends where the connection does.
    stall_after : int, optional
        Silence after so many bytes, until the client goes away.
    pace : float, optional
        Bytes a second.
    vanish : bool
        The connection is closed without any answer.
    """

    status: int = 200
    body: bytes | Path = b""
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = field(default_factory=dict)
    start: int = 0
    stop: int | None = None
    cut_after: int | None = None
    announce: bool = True
    stall_after: int | None = None
    pace: float | None = None
    vanish: bool = False

    @property
    def length(self) -> int:
        """Bytes of the body that this answer is about."""
        return (size_of(self.body) if self.stop is None else self.stop) - self.start


def size_of(body: bytes | Path) -> int:
    """Length of a body [byte]."""
    return body.stat().st_size if isinstance(body, Path) else len(body)


def ranged(
    request: Request,
    body: bytes | Path,
    etag: str | None = None,
    ranges: bool = True,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer of a file server: whole, or the part that ``Range`` asks for (one range; ``If-Range`` by ETag).

    Parameters
    ----------
    etag : str, optional
        With its quotes.
    ranges : bool
        Whether the server offers ranges; if not, ``Range`` is ignored.
    """
    size = size_of(body)
    extra = dict(headers or {})
    if etag is not None:
        extra["ETag"] = etag
    wanted = request.headers.get("range")
    if not ranges:
        return Answer(200, body, extra)
    extra["Accept-Ranges"] = "bytes"
    condition = request.headers.get("if-range")
    if wanted is None or (condition is not None and condition != etag) or not wanted.startswith("bytes="):
        return Answer(200, body, extra)
    low, _, high = wanted.removeprefix("bytes=").partition("-")
    start = int(low) if low else max(size - int(high), 0)
    stop = min(int(high) + 1, size) if low and high else size
    if start >= size or start >= stop:
        return Answer(416, b"", {**extra, "Content-Range": f"bytes */{size}"})
    return Answer(206, body, {**extra, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}, start=start, stop=stop)


def reader(body: bytes | Path, start: int) -> BinaryIO:
    """A stream over a body, at ``start``."""
    stream = open(body, "rb") if isinstance(body, Path) else io.BytesIO(body)  # noqa: SIM115 (the caller closes it)
    stream.seek(start)
    return stream
