"""A download that grows: its bytes, its hashes, and of which object it is a part.

Beside the part, ``{part}.json`` holds the strong ETag and the length of that object, so that a later process knows
what it may go on with.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

from pscnet.sources.atomic import replacing
from pscnet.sources.fetch.locks import lock, opened

MULTIPART = 50 << 20  # byte; part of a multipart upload (s3fs), for the checksums that some stores announce


def discard(part: str | Path) -> None:
    """Remove a part and what is known of it."""
    _sidecar(Path(part)).unlink(missing_ok=True)
    Path(part).unlink(missing_ok=True)


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


class Digests:
    """Hashes of a growing file."""

    def __init__(self) -> None:
        self.size = 0
        self._md5, self._sha256, self._parts = hashlib.md5(usedforsecurity=False), hashlib.sha256(), []
        self._part = hashlib.md5(usedforsecurity=False)

    def update(self, block: bytes) -> None:
        self._md5.update(block)
        self._sha256.update(block)
        room = MULTIPART - self.size % MULTIPART
        self.size += len(block)
        if len(block) < room:
            self._part.update(block)
            return
        self._part.update(block[:room])
        self._parts.append(self._part.digest())
        self._part = hashlib.md5(block[room:], usedforsecurity=False)

    def results(self) -> dict[str, str]:
        last = [self._part.digest()] if self.size % MULTIPART or not self._parts else []
        joined = hashlib.md5(b"".join([*self._parts, *last]), usedforsecurity=False)
        return {"md5": self._md5.hexdigest(), "sha256": self._sha256.hexdigest(), "part_md5s": joined.hexdigest()}


class Part:
    """The growing file, its hashes, and of which object it is a part; held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.etag: str | None = None
        self.total: int | None = None

    def __enter__(self) -> Part:
        while True:
            self._handle = opened(self.path)
            lock(self._handle, self.path)
            if self._is_there():
                break
            os.close(self._handle)  # renamed or removed by the one that held it
        self._recall()
        return self

    def __exit__(self, *_: object) -> None:
        if self.length == 0 and self._is_there():
            discard(self.path)
        os.close(self._handle)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _recall(self) -> None:
        """Take up what an earlier process has left, hashing it."""
        self.length, self.digests = 0, Digests()
        self.found = os.fstat(self._handle).st_size
        try:
            known = json.loads(_sidecar(self.path).read_text(encoding="utf-8"))
            etag, total = known["etag"], known["total"]
        except (OSError, ValueError, KeyError, TypeError):  # none, or written by halves: start from 0
            return
        self.etag, self.total, self.length = etag, total, self.found

    def begin(self, etag: str | None, total: int | None, url: str) -> None:
        """Start from the first byte of an object."""
        os.ftruncate(self._handle, 0)
        self.length, self.digests, self.etag, self.total = 0, Digests(), etag, total
        if etag is None:
            _sidecar(self.path).unlink(missing_ok=True)
            return
        with replacing(_sidecar(self.path)) as text:
            text.write_text(json.dumps({"etag": etag, "total": total, "url": url}) + "\n", encoding="utf-8")

    def rewind(self, length: int) -> None:
        """Go on after the first ``length`` bytes."""
        if self.digests.size > length:
            self.digests = Digests()
        while self.digests.size < length:
            block = os.pread(self._handle, min(1 << 20, length - self.digests.size), self.digests.size)
            if not block:
                raise OSError(errno.EIO, f"{self.path} is shorter than it was")
            self.digests.update(block)
        os.ftruncate(self._handle, length)
        self.length = length

    def append(self, block: bytes) -> None:
        view = memoryview(block)
        while view:
            written = os.pwrite(self._handle, view, self.length)
            self.length += written
            view = view[written:]
        self.digests.update(block)
