"""No more than so many at once, over all processes that share an archive: a semaphore of lock files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pscnet.sources.fetch.locks import lock, opened, poll


@contextmanager
def slot(
    folder: str | Path,
    name: str,
    count: int,
    note: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[int]:
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
    stop : callable, optional
        When it returns true, waiting ends at once.

    Yields
    ------
    int
        Number of the slot, from 0.

    Raises
    ------
    UnavailableError
        When ``stop`` said so.
    """
    if count < 1:
        raise ValueError(f"at least one slot is needed, not {count}")
    text = f"waiting: {count} at once are allowed for {name}, and as many are under way"
    number, handle = poll(lambda: _free(folder, name, count), text, stop, note)
    try:
        yield number
    finally:
        os.close(handle)


def _free(folder: str | Path, name: str, count: int) -> tuple[int, int] | None:
    """Number and descriptor of a slot that was free, now locked."""
    for number in range(count):
        path = Path(folder) / f"{name}.{number}.lock"
        handle = opened(path)
        try:
            if lock(handle, path):
                return number, handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    return None
