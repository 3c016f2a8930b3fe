"""Nothing of another SLURM on the machine is overwritten, ended or deleted by the tests."""

from __future__ import annotations

import os
import shutil
import subprocess

import psutil
import pytest

from tests.cluster import machine
from tests.cluster.machine import Turn, foreign


@pytest.fixture(autouse=True)
def no_other_slurm(monkeypatch):
    """The names of the daemons are those that this test starts, so that a real SLURM beside it changes nothing."""
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(machine, "DAEMONS", ("fake-slurmctld",))


@pytest.fixture
def turn(tmp_path):
    made = Turn(tmp_path / "register")
    assert made.take()
    yield made
    made.close()


@pytest.fixture
def daemon(tmp_path):
    """Start a program that is called as a daemon of SLURM."""
    started = []

    def start() -> subprocess.Popen:
        program = tmp_path / "fake-slurmctld"
        if not program.exists():
            shutil.copy(shutil.which("sleep"), program)
        started.append(subprocess.Popen([program, "600"]))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", machine.FILES)
def test_a_configuration_of_others_is_neither_overwritten_nor_deleted(name, turn, tmp_path) -> None:
    (tmp_path / name).write_text("ClusterName=theirs\n")
    assert str(tmp_path / name) in foreign(turn, tmp_path)
    with pytest.raises(FileExistsError, match=name):
        machine.write(name, "ClusterName=ours\n", tmp_path)
    machine.take_away(tmp_path)
    assert (tmp_path / name).read_text() == "ClusterName=theirs\n"


def test_our_own_configuration_comes_and_goes(turn, tmp_path) -> None:
    for name in machine.FILES:
        machine.write(name, "first", tmp_path)
        machine.write(name, "second", tmp_path)
        assert (tmp_path / name).read_text() == f"{machine.MARK}\nsecond"
    (tmp_path / "plugstack.conf").touch()
    assert foreign(turn, tmp_path) == ""
    machine.take_away(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plugstack.conf", "register"]


def test_a_daemon_of_others_is_found_and_lives_on(turn, daemon, tmp_path) -> None:
    theirs = daemon()
    assert f"fake-slurmctld (process {theirs.pid})" in foreign(turn, tmp_path)
    turn.clear()
    assert theirs.poll() is None


def test_another_slurm_in_the_environment_is_left_alone(turn, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("SLURM_CONF", "/cluster/slurm.conf")
    assert "/cluster/slurm.conf" in foreign(turn, tmp_path)


def test_what_a_killed_session_left_is_ended_and_nothing_else(daemon, tmp_path) -> None:
    left, theirs = daemon(), daemon()
    before = Turn(tmp_path / "register")
    assert before.take()
    before.enter(left.pid)
    assert not Turn(tmp_path / "register").take()
    before.close()
    after = Turn(tmp_path / "register")
    assert after.take() and [process.pid for process in after.daemons()] == [left.pid]
    assert str(theirs.pid) in foreign(after, tmp_path)
    after.clear()
    assert not psutil.pid_exists(left.pid) and theirs.poll() is None
    assert (tmp_path / "register").read_text() == "" and after.daemons() == []
    after.close()


def test_a_number_that_another_program_has_by_now_is_not_ended(turn, tmp_path) -> None:
    (tmp_path / "register").write_text(f"[{os.getpid()}, 12.5]\nno json\n")
    assert turn.daemons() == []
    turn.clear()
