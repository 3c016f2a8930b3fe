"""One at a time, over processes and threads: a lock on a file, which a killed process cannot keep.

Whoever waits looks again and again, so that the wait can be told, and stopped.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pscnet.sources.fetch import RefusedError, UnavailableError, failure

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0  # s

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def exclusive(
    path: str | Path, stop: Callable[[], bool] | None = None, note: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the lock file ``path``; wait for it as long as another process or thread holds it.

    The lock lies on the open file: it goes when the process ends, however it ends. The file itself stays, since
    removing it would let a third one lock another file of the same name. A thread that takes the lock twice waits for
    itself for ever.

    Parameters
    ----------
    path : str or Path
    stop : callable, optional
        When it returns true, waiting ends at once.
    note : callable, optional
        Told once, in words, when there is something to wait for.

    Raises
    ------
    UnavailableError
        When ``stop`` said so.
    RefusedError
        When the file system knows no locks.
    """
    handle = opened(path)
    try:
        text = f"waiting: another process or thread holds {path}"
        poll(lambda: lock(handle, path) or None, text, stop, note)
        yield
    finally:
        os.close(handle)


@contextmanager
def at_once(path: str | Path) -> Iterator[bool]:
    """Hold the lock file ``path`` if it is free; whether it was.

    Raises
    ------
    RefusedError
        When the file system knows no locks.
    """
    handle = opened(path)
    try:
        yield lock(handle, path)
    finally:
        os.close(handle)


def poll(
    get: Callable[[], T | None],
    text: str,
    stop: Callable[[], bool] | None = None,
    note: Callable[[str], None] | None = None,
) -> T:
    """What ``get`` returns as soon as that is not None.

    Parameters
    ----------
    get : callable
    text : str
        What ``note`` is told once when there is something to wait for.
    stop, note : callable, optional
        As of :func:`exclusive`.

    Raises
    ------
    UnavailableError
        When ``stop`` said so.
    """
    pause = _FIRST_PAUSE
    while True:
        if stop is not None and stop():
            remedy = "start again to go on: what has been fetched is kept"
            raise failure(UnavailableError, text, "its end", "a stop", remedy)
        if (got := get()) is not None:
            return got
        if note is not None:
            note(text)
            note = None
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE)


def opened(path: str | Path) -> int:
    """A descriptor of the lock file, which is made where needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def lock(handle: int, path: str | Path) -> bool:
    """Lock an open file until it is closed, without waiting.

    Returns
    -------
    bool
        False when another holds it.

    Raises
    ------
    RefusedError
        When the file system knows no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
