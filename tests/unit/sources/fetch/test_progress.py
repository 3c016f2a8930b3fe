"""The line that a person reads, how often it comes, and where."""

from __future__ import annotations

import io
import logging
import threading

import pytest

from pscnet.sources.fetch import progress as module
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.transfer import BLOCK

MB = 10**6


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def receive(progress: Progress, clock: Clock, rate: float, seconds: int) -> None:
    """Bytes in blocks, over a while."""
    for _ in range(seconds):
        left = int(rate)
        while left > 0:
            progress.bytes(min(BLOCK, left))
            left -= BLOCK
        clock.now += 1.0


def test_the_whole_line(clock):
    progress = Progress("SMAP 2016-05", 31, total_bytes=930 * MB)
    progress.bytes(200 * MB)
    receive(progress, clock, 4.2 * MB, 60)
    for day in range(12):
        progress.done(f"day {day}")
    progress.queue("a", "running")
    clock.now += 180.0
    assert progress.line().startswith("SMAP 2016-05: 12 of 31 files, 452 of 930 MB; CDS 1 running (3 min)")
    receive(progress, clock, 4.2 * MB, 61)
    progress.queue("b", "accepted")
    clock.now += 1.0
    line = progress.line()
    assert line.startswith("SMAP 2016-05: 12 of 31 files, 708 of 930 MB, 4.")
    assert "MB/s, about 54 s left; CDS 1 running (4 min), 1 accepted (1 s)" in line


def test_what_is_not_known_is_not_said(clock):
    progress = Progress("ERA5-Land 2016-05", 2)
    assert progress.line() == "ERA5-Land 2016-05: 0 of 2 files"
    receive(progress, clock, 2 * MB, 10)
    assert progress.line() == "ERA5-Land 2016-05: 0 of 2 files, 20 MB, 2.0 MB/s"
    progress.done("one")
    assert progress.line().endswith("about 10 s left")
    progress.done("two")
    assert "left" not in progress.line()


def test_what_was_found_or_thrown_away_is_no_rate(clock):
    progress = Progress("SMAP", 1, total_bytes=100 * MB)
    progress.bytes(50 * MB)
    progress.bytes(-20 * MB)
    assert progress.line() == "SMAP: 0 of 1 files, 30 of 100 MB"
    receive(progress, clock, 1000, 2)
    assert "1.0 kB/s" in progress.line()


def test_lines_are_rare(clock, screen, logged):
    progress = Progress("SMAP", 1, screen, total_bytes=1000 * MB)
    receive(progress, clock, 1 * MB, 300)
    assert 18 <= len(logged()) <= 22, "one in 15 s"
    assert 5 <= len(screen.getvalue().splitlines()) <= 6, "one in 60 s, and the first"


def test_notes_go_to_the_log_and_when_it_is_time_to_the_screen(clock, screen, logged):
    progress = Progress("SMAP", 1, screen)
    progress.note("503; trying again in 10 min, Bearer planted-token")
    assert logged()[-1].startswith("503")
    assert len(screen.getvalue().splitlines()) == 1
    clock.now += 61.0
    progress.note("503; trying again in 20 min, Bearer planted-token")
    assert screen.getvalue().splitlines()[-1] == "SMAP: 0 of 1 files (503; trying again in 20 min, Bearer ***)"
    assert "planted" not in screen.getvalue()


def test_the_screen_hears_of_changes_of_the_queue(clock, screen):
    progress = Progress("ERA5-Land", 2, screen)

    def lines() -> list[str]:
        return screen.getvalue().splitlines()[1:]

    for state in ("accepted", "accepted", "accepted"):
        progress.queue("a", state)
    assert lines() == ["ERA5-Land: 0 of 2 files; CDS 1 accepted (0.0 s)"]
    progress.queue("a", "running")
    progress.queue("b", "accepted")
    assert lines()[1:] == [
        "ERA5-Land: 0 of 2 files; CDS 1 running (0.0 s)",
        "ERA5-Land: 0 of 2 files; CDS 1 running (0.0 s), 1 accepted (0.0 s)",
    ]
    progress.queue("a", "successful")
    assert lines()[-1] == "ERA5-Land: 0 of 2 files; CDS 1 accepted (0.0 s)"
    progress.queue("b", None)
    assert lines()[-1] == "ERA5-Land: 0 of 2 files"
    before = len(lines())
    progress.queue("b", None)
    progress.queue("c", "successful")
    assert len(lines()) == before


def test_the_end(clock, screen):
    with Progress("SMAP", 1, screen) as progress:
        progress.queue("a", "running")
        progress.done("the day")
    assert screen.getvalue().splitlines()[-1] == "SMAP: 1 of 1 files"


@pytest.mark.parametrize(
    ("have", "total", "words"),
    [(5 * MB, None, "5.0 MB"), (361 * MB, 930 * MB, "361 of 930 MB"), (3 * 10**9, 35 * 10**9, "3 of 35 GB")],
)
def test_sizes(clock, have, total, words):
    progress = Progress("SMAP", 1, total_bytes=total)
    progress.bytes(have)
    assert f", {words}" in progress.line()


def test_threads():
    progress = Progress("SMAP", 80, total_bytes=8 * 1000)

    def work() -> None:
        for n in range(1000):
            progress.bytes(1)
            if n % 100 == 0:
                progress.done("a file")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert progress.line().startswith("SMAP: 80 of 80 files, 0.0 of 0.0 MB")
