"""Several errands at once, and one process at a time at a month: what the fetchers of both providers share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TextIO, TypeVar

from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.slots import slot

LOG = logging.getLogger(__name__)

T = TypeVar("T")


@contextmanager
def alone(path: Path, title: str, screen: TextIO | None, stop: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold the lock file of what ``title`` names; waiting for another process is told in the log and on the screen."""

    def tell(_: str) -> None:
        text = f"{title}: another process is fetching it; waiting for that"
        LOG.info("%s", text)
        if screen is not None:
            print(text, file=screen, flush=True)

    with exclusive(path, stop, tell):
        yield


def work_off(
    errands: Iterable[T],
    bring: Callable[[T], Iterable[T]],
    meet: Callable[[Exception, list[Exception]], None],
    slots: tuple[Path, str, int],
    stop: threading.Event,
    note: Callable[[str], None],
) -> None:
    """Run errands in a few threads, each under a slot, until none is left or ``stop`` is set.

    Parameters
    ----------
    errands : iterable
    bring : callable
        Runs one errand; the errands that it returns are run too.
    meet : callable
        Told every error and the list of those so far, to which it adds what is to be raised; the first one is.
    slots : (folder, name, count)
        See :func:`pscnet.sources.fetch.slots.slot`.
    stop : threading.Event
        Set here, too, when this thread is interrupted.
    note : callable
        Told in words when there is a slot to wait for.

    Raises
    ------
    Exception
        The first of the errors; the others are logged.
    """
    queue: SimpleQueue[T] = SimpleQueue()
    for errand in errands:
        queue.put(errand)
    errors: list[Exception] = []

    def work() -> None:
        while not stop.is_set():
            try:
                errand = queue.get_nowait()
            except Empty:
                return
            try:
                with slot(*slots, note, stop.is_set):
                    if stop.is_set():  # what another thread met while this one waited
                        return
                    for more in bring(errand):
                        queue.put(more)
            except Exception as error:  # raised again where the threads are joined
                meet(error, errors)

    # Daemons: an interrupted process waits neither for the queue of a service nor for its downloads.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(queue.qsize(), slots[2]))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(1.0)
    except BaseException:
        stop.set()
        raise
    for error in errors[1:]:
        LOG.error("%s", error)
    if errors:
        raise errors[0]
