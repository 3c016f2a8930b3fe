"""One at a time, over processes and threads: a lock on a file, which a killed process cannot keep."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pscnet.sources.fetch import RefusedError, failure

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Hold the lock file ``path``; wait for it as long as another process or thread holds it.

    The lock lies on the open file: it goes when the process ends, however it ends. The file itself stays, since
    removing it would let a third one lock another file of the same name. A thread that takes the lock twice waits for
    itself for ever.

    Raises
    ------
    RefusedError
        When the file system knows no locks.
    """
    handle = opened(path)
    try:
        lock(handle, path)
        yield
    finally:
        os.close(handle)


def opened(path: str | Path) -> int:
    """A descriptor of the lock file, which is made where needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def lock(handle: int, path: str | Path, wait: bool = True) -> bool:
    """Lock an open file until it is closed.

    Returns
    -------
    bool
        False when another holds it and ``wait`` is false.

    Raises
    ------
    RefusedError
        When the file system knows no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise failure(
            RefusedError,
            str(path),
            "a file system with file locks (flock)",
            error.strerror or str(error),
            "put the archive on another disk, or ask the administrator to mount this one with locks",
        ) from None
    return True
