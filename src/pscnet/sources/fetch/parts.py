"""A download that grows: its bytes, its hashes, and of which object it is a part.

Beside the part, ``{part}.json`` holds the strong ETag and the length of that object, so that a later process knows
what it may go on with.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pscnet.sources.fetch.locks import lock, opened, poll

MULTIPART = 50 << 20  # byte; part of a multipart upload (s3fs), for the checksums that some stores announce

_STRIDE = 1 << 20  # byte; read at once for hashing
_BEHIND = 4 << 20  # byte; how far the hashes may lag before a thread sets out, so that small files need none


def discard(part: str | Path) -> None:
    """Remove a part and what is known of it."""
    part = Path(part)
    for path in (_new_sidecar(part), _sidecar(part), part):
        path.unlink(missing_ok=True)


def multipart_md5(path: str | Path) -> str:
    """MD5 of the MD5s of the parts of 50 MiB of a file, in hexadecimal digits.

    This is the ETag, without the number of parts, that an S3 store gives to a file uploaded in such parts.
    """
    joined = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while True:
            one, left = hashlib.md5(usedforsecurity=False), MULTIPART
            while left and (block := stream.read(min(_STRIDE, left))):
                one.update(block)
                left -= len(block)
            if left == MULTIPART and stream.tell():
                return joined.hexdigest()
            joined.update(one.digest())
            if left:
                return joined.hexdigest()


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _new_sidecar(part: Path) -> Path:
    """The next sidecar while it is written: of one name, so that what a kill leaves of it is found again."""
    return part.with_name(f"{part.name}.json.new")


class _Hash:
    """One hash of a growing file, read back from it a step behind its end.

    The bytes come from the page cache, while the next ones come from the network: hashing costs no time of its own.
    """

    def __init__(self, name: str, handle: int) -> None:
        self._name, self._handle = name, handle
        self._begin()
        self._under_way: Future | None = None

    def _begin(self) -> None:
        self._hash, self.size = hashlib.new(self._name, usedforsecurity=False), 0

    def reach(self, length: int) -> None:
        """Hash the first ``length`` bytes of the file."""
        self.settle()
        if self.size > length:
            self._begin()
        self._advance(length)

    def _advance(self, length: int) -> None:
        while self.size < length:
            block = os.pread(self._handle, min(_STRIDE, length - self.size), self.size)
            if not block:
                raise OSError(errno.EIO, f"a file of {length} bytes ends after {self.size}")
            self._hash.update(block)
            self.size += len(block)

    def follow(self, length: int, threads: ThreadPoolExecutor) -> None:
        """Set out for ``length`` in a thread, unless one is under way or the way is short."""
        if self._under_way is None or self._under_way.done():
            self.settle()
            if length - self.size >= _BEHIND:
                self._under_way = threads.submit(self._advance, length)

    def settle(self) -> None:
        """Wait for the thread that is under way."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class Part:
    """The growing file; held by one process and thread at a time.

    Parameters
    ----------
    path : Path
    stop, note : callable, optional
        For the wait, as of :func:`pscnet.sources.fetch.locks.exclusive`.

    Attributes
    ----------
    path : Path
    length : int
        Bytes that count; a later process finds as many.
    found : int
        Bytes that an earlier process had left.
    etag : str or None
        Strong validator of the object of which this is a part; None when there is none, and nothing can be resumed.
    total : int or None
        Length of that object, where it is known [byte].
    """

    def __init__(
        self, path: Path, stop: Callable[[], bool] | None = None, note: Callable[[str], None] | None = None
    ) -> None:
        self.path, self._stop, self._note = path, stop, note
        self.etag: str | None = None
        self.total: int | None = None
        self.length = self.found = 0

    def __enter__(self) -> Part:
        while True:
            self._handle = opened(self.path)
            text = f"waiting: another process or thread downloads {self.path.name}"
            try:
                poll(lambda: lock(self._handle, self.path) or None, text, self._stop, self._note)
            except BaseException:
                os.close(self._handle)
                raise
            if self._is_there():
                break
            os.close(self._handle)  # renamed or removed by the one that held it
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="hash")
        self._hashes = {name: _Hash(name, self._handle) for name in ("md5", "sha256")}
        self._recall()
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._threads.shutdown()
        if kind is not None and self.length == 0 and self._is_there():
            discard(self.path)
        os.close(self._handle)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _recall(self) -> None:
        """Take up what an earlier process has left."""
        self.found = os.fstat(self._handle).st_size
        try:
            known = json.loads(_sidecar(self.path).read_text(encoding="utf-8"))
            etag, total = known["etag"], known["total"]
        except (OSError, ValueError, KeyError, TypeError):  # nothing is known of the bytes: start from 0
            return
        self.etag, self.total, self.length = etag, total, self.found

    def begin(self, etag: str | None, total: int | None, url: str) -> None:
        """Start from the first byte of an object."""
        self.rewind(0)
        self.etag, self.total = etag, total
        if etag is None:
            _sidecar(self.path).unlink(missing_ok=True)
            return
        text = _new_sidecar(self.path)
        text.write_text(json.dumps({"etag": etag, "total": total, "url": url}) + "\n", encoding="utf-8")
        os.replace(text, _sidecar(self.path))

    def rewind(self, length: int) -> None:
        """Keep the first ``length`` bytes."""
        for one in self._hashes.values():
            one.settle()
        os.ftruncate(self._handle, length)
        self.length = length
        for one in self._hashes.values():
            if one.size > length:
                one.reach(0)
            one.follow(length, self._threads)

    def append(self, block: bytes) -> None:
        """Write at the end, unbuffered: a killed process loses nothing."""
        view = memoryview(block)
        while view:
            written = os.pwrite(self._handle, view, self.length)
            self.length += written
            view = view[written:]
        for one in self._hashes.values():
            one.follow(self.length, self._threads)

    def digests(self) -> dict[str, str]:
        """``md5`` and ``sha256`` of the bytes, in hexadecimal digits."""
        for one in self._hashes.values():
            one.follow(self.length, self._threads)
        for one in self._hashes.values():
            one.reach(self.length)
        return {name: one.hexdigest() for name, one in self._hashes.items()}
