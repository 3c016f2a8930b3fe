"""How far is it: one line that a person can read in a terminal, a rule's log and a SLURM log."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TextIO

from pscnet.sources.fetch.retry import duration
from pscnet.sources.fetch.secrets import redact
from pscnet.sources.fetch.transfer import BLOCK

log = logging.getLogger(__name__)

_WINDOW = 60.0  # s; span of the rate
_OVER = frozenset({"successful", "failed", "rejected", "dismissed", "deleted", "done"})


class Progress:
    """Files, bytes, rate, queued requests and time left of one job; safe to use from several threads.

    Parameters
    ----------
    title : str
        Such as ``"SMAP 2016-05"``.
    total_files : int
    screen : text stream, optional
        The job's terminal or SLURM log; it gets far fewer lines than the log.
    total_bytes : int, optional
    every, screen_every : float
        Shortest time between two lines of the log and of the screen [s].
    """

    def __init__(
        self,
        title: str,
        total_files: int,
        screen: TextIO | None = None,
        total_bytes: int | None = None,
        every: float = 15.0,
        screen_every: float = 60.0,
    ) -> None:
        self.title, self.total_files, self.total_bytes = title, total_files, total_bytes
        self._screen, self._every, self._screen_every = screen, every, screen_every
        self._lock = threading.RLock()
        self._files, self._bytes = 0, 0
        self._requests: dict[str, tuple[str, float]] = {}
        self._received: deque[tuple[float, int]] = deque()
        self._begun = time.monotonic()
        self._logged = self._shown = self._begun
        self._say(on_screen=True)

    def bytes(self, n: int) -> None:
        """Count bytes: those received, those found from an earlier run, or, negative, those thrown away."""
        with self._lock:
            self._bytes += n
            if 0 < n <= BLOCK:  # larger steps were found, not received
                self._count(n)
            self._perhaps()

    def done(self, what: str) -> None:
        """Count a file."""
        with self._lock:
            self._files += 1
            log.info("%s: %s is there (%d of %d files)", self.title, what, self._files, self.total_files)
            self._perhaps()

    def note(self, text: str) -> None:
        """Say something that a person may want to know, such as a pause and its reason."""
        with self._lock:
            log.info("%s", text)
            self._perhaps(text)

    def queue(self, request: str, state: str | None) -> None:
        """Tell the state of a CDS request; None when it is over."""
        with self._lock:
            before = self._requests.get(request, (None, 0.0))[0]
            if state is None or state in _OVER:
                self._requests.pop(request, None)
            elif state != before:
                self._requests[request] = (state, time.monotonic())
            changed = state != before and not (before is None and request not in self._requests)
            if changed:
                self._say(on_screen=True)
            else:
                self._perhaps()

    def close(self) -> None:
        """Say how it ended."""
        with self._lock:
            self._requests.clear()
            self._say(on_screen=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def line(self) -> str:
        """The present state in one line."""
        with self._lock:
            parts = [f"{self._files} of {self.total_files} files"]
            if self._bytes or self.total_bytes:
                parts.append(_megabytes(self._bytes, self.total_bytes))
            if rate := self._rate():
                parts.append(f"{rate / 1e6:.1f} MB/s" if rate >= 5e4 else f"{rate / 1e3:.1f} kB/s")
            if (left := self._left(rate)) is not None:
                parts.append(f"about {duration(left)} left")
            text = f"{self.title}: {', '.join(parts)}"
            waiting = self._queued()
            return f"{text}; CDS {waiting}" if waiting else text

    def _queued(self) -> str:
        now = time.monotonic()
        ages: dict[str, list[float]] = {}
        for state, since in self._requests.values():
            ages.setdefault(state, []).append(now - since)
        order = sorted(ages, key=lambda state: (state != "running", state))
        return ", ".join(f"{len(ages[state])} {state} ({duration(max(ages[state]))})" for state in order)

    def _count(self, n: int) -> None:
        now = time.monotonic()
        if self._received and now - self._received[-1][0] < 1.0:
            then, before = self._received[-1]
            self._received[-1] = (then, before + n)
        else:
            self._received.append((now, n))
        while now - self._received[0][0] > _WINDOW:
            self._received.popleft()

    def _rate(self) -> float:
        """Bytes per second over the last minute."""
        now = time.monotonic()
        recent = [(then, n) for then, n in self._received if now - then <= _WINDOW]
        return sum(n for _, n in recent) / max(1.0, now - recent[0][0]) if recent else 0.0

    def _left(self, rate: float) -> float | None:
        if self._files >= self.total_files:
            return None
        if self.total_bytes and rate:
            return max(0.0, self.total_bytes - self._bytes) / rate
        if self._files and rate:
            return (time.monotonic() - self._begun) / self._files * (self.total_files - self._files)
        return None

    def _perhaps(self, text: str = "") -> None:
        """Say the line if the last one is old enough."""
        now = time.monotonic()
        on_screen = now - self._shown >= self._screen_every
        if on_screen or now - self._logged >= self._every:
            self._say(on_screen, text)

    def _say(self, on_screen: bool, text: str = "") -> None:
        line = self.line()
        self._logged = time.monotonic()
        log.info("%s", line)
        if on_screen and self._screen is not None:
            self._shown = self._logged
            print(redact(f"{line} ({text})" if text else line), file=self._screen, flush=True)


def _megabytes(have: int, total: int | None) -> str:
    unit, name = (1e9, "GB") if max(have, total or 0) >= 1e10 else (1e6, "MB")
    digits = 1 if max(have, total or 0) < 10 * unit else 0
    return (
        f"{have / unit:.{digits}f} of {total / unit:.{digits}f} {name}" if total else f"{have / unit:.{digits}f} {name}"
    )
