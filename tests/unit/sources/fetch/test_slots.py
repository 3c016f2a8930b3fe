"""Slots and locks over threads and processes, and after a kill."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from pscnet.sources.fetch import RefusedError, UnavailableError
from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.parts import Part
from pscnet.sources.fetch.slots import slot
from tests.waiting import wait_until


class Crowd:
    """Threads that go through a context, each staying until ``count`` are inside; and how many were at most."""

    def __init__(self, enter, count: int) -> None:
        self.inside = self.most = self.through = 0
        self._lock, self._enter = threading.Lock(), enter
        self._full = threading.Barrier(count)
        threads = [threading.Thread(target=self._go) for _ in range(3 * count)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60.0)

    def _go(self) -> None:
        with self._enter():
            with self._lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
            self._full.wait(60.0)
            time.sleep(0.03)  # time for one too many
            with self._lock:
                self.inside -= 1
                self.through += 1


@pytest.mark.parametrize("count", [1, 3])
def test_so_many_at_once_and_no_more(tmp_path, count):
    crowd = Crowd(lambda: slot(tmp_path, "cds", count), count)
    assert (crowd.through, crowd.most) == (3 * count, count)


def test_one_at_a_time(tmp_path):
    crowd = Crowd(lambda: exclusive(tmp_path / "new" / "key.lock"), 1)
    assert (crowd.through, crowd.most) == (3, 1)


def test_names_do_not_share(tmp_path):
    with slot(tmp_path / "slots", "cds", 2) as one, slot(tmp_path / "slots", "cds", 2) as two:
        with slot(tmp_path / "slots", "earthdata", 1) as other:
            assert other == 0
        assert sorted([one, two]) == [0, 1]


def test_a_slot_is_free_after_an_error(tmp_path):
    for _ in range(3):
        with pytest.raises(KeyError), slot(tmp_path, "cds", 1):
            raise KeyError
        with pytest.raises(KeyError), exclusive(tmp_path / "key.lock"):
            raise KeyError


def test_waiting_is_told_once(tmp_path):
    notes = []
    with slot(tmp_path, "cds", 1):
        other = threading.Thread(target=lambda: slot(tmp_path, "cds", 1, notes.append).__enter__())
        other.start()
        wait_until(lambda: notes, "a note")
        time.sleep(0.3)  # time for a second one
    other.join(60.0)
    assert not other.is_alive()
    assert len(notes) == 1
    assert "waiting" in notes[0]


@pytest.mark.parametrize("kind", ["slot", "lock", "part"])
def test_a_stop_ends_the_wait_and_frees_nothing_of_the_other(tmp_path, kind):
    """Whoever waits goes away at once, although the holder stays."""

    def enter(**options):
        if kind == "slot":
            return slot(tmp_path, "cds", 1, **options)
        return exclusive(tmp_path / "key.lock", **options) if kind == "lock" else Part(tmp_path / "a.part", **options)

    over, told, caught = threading.Event(), threading.Event(), []

    def wait() -> None:
        try:
            with enter(stop=over.is_set, note=lambda text: told.set()):
                pass
        except UnavailableError as error:
            caught.append(str(error))

    with enter():
        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        assert told.wait(30.0)
        over.set()
        waiter.join(30.0)
        assert len(caught) == 1 and "waiting" in caught[0] and "a stop" in caught[0]
        with pytest.raises(UnavailableError), enter(stop=lambda: True):
            pass
    with enter(stop=lambda: False):
        pass


def test_no_slots(tmp_path):
    with pytest.raises(ValueError, match="at least one"), slot(tmp_path, "cds", 0):
        pass


HOLDER = """
import sys, time
from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.parts import Part
from pscnet.sources.fetch.slots import slot
with slot(sys.argv[1], "cds", 1), exclusive(sys.argv[1] + "/key.lock"):
    print("inside", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_frees_its_slot_and_its_lock(tmp_path):
    paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], env=os.environ | paths, stdout=subprocess.PIPE, text=True
    )
    got = threading.Event()

    def wait() -> None:
        with slot(tmp_path, "cds", 1), exclusive(tmp_path / "key.lock"):
            got.set()

    try:
        assert holder.stdout.readline() == "inside\n"
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.wait(0.2)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    waiter.join(10.0)
    assert got.is_set()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(tmp_path, monkeypatch, number):
    def no(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no)
    with pytest.raises(RefusedError, match="flock"), exclusive(tmp_path / "key.lock"):
        pass
    with pytest.raises(RefusedError, match="flock"), slot(tmp_path, "cds", 1):
        pass


def test_other_errors_of_locks_are_told(tmp_path, monkeypatch):
    def no(*_: object) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(fcntl, "flock", no)
    with pytest.raises(OSError, match="broken"), exclusive(tmp_path / "key.lock"):
        pass
