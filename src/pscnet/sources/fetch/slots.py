"""No more than so many at once, over all processes that share an archive: a semaphore of lock files."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pscnet.sources.fetch.locks import lock, opened

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0  # s


@contextmanager
def slot(folder: str | Path, name: str, count: int, note: Callable[[str], None] | None = None) -> Iterator[int]:
    """Hold one of ``count`` slots; wait until one is free. A killed process frees its slot.

    Parameters
    ----------
    folder : str or Path
        Where the lock files ``{name}.{i}.lock`` lie.
    name : str
    count : int
        At least 1. Processes with different counts keep to their own.
    note : callable, optional
        Told once, in words, when there is something to wait for.

    Yields
    ------
    int
        Number of the slot, from 0.
    """
    if count < 1:
        raise ValueError(f"at least one slot is needed, not {count}")
    pause, told = _FIRST_PAUSE, False
    while True:
        for number in range(count):
            path = Path(folder) / f"{name}.{number}.lock"
            handle = opened(path)
            try:
                if lock(handle, path, wait=False):
                    yield number
                    return
            finally:
                os.close(handle)
        if note and not told:
            note(f"waiting: {count} at once are allowed for {name}, and as many are under way")
            told = True
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE)
