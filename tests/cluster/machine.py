"""What of this machine's SLURM belongs to the tests, and what is left alone because it does not."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path

import psutil

#: Where SLURM's commands look by themselves; the executor plugin takes SLURM_CONF out of the environment of jobs.
FOLDER = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")

#: The first line of a configuration that these tests have written; no other one is ever overwritten or deleted.
MARK = "# Three nodes on one machine, made by the tests of tests/cluster; safe to delete when no test runs."

#: Held by the one test session of this machine whose SLURM is there; it lists the daemons that the session started.
REGISTER = Path("/run/lock/pscnet-slurm")

DAEMONS = ("slurmctld", "slurmd")


class Turn:
    """The turn of one test session: a lock of the operating system, and the daemons started under it.

    The register outlives a session that was killed, whose daemons live on without a parent: the next one ends exactly
    those, by number and time of start.
    """

    def __init__(self, register: Path = REGISTER) -> None:
        self._file = open(register, "a+")  # noqa: SIM115 (held as long as the daemons live)
        self.path = register

    def take(self) -> bool:
        """Whether it is this session's turn."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def enter(self, pid: int) -> None:
        """Put a daemon that was just started into the register."""
        started = psutil.Process(pid).create_time()
        self._file.write(json.dumps([pid, started]) + "\n")
        self._file.flush()

    def daemons(self) -> list[psutil.Process]:
        """The daemons of the register that are alive; a number that another program has by now is none."""
        found = []
        for line in self.path.read_text().splitlines():
            with contextlib.suppress(psutil.Error, ValueError):
                pid, started = json.loads(line)
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def clear(self) -> None:
        """End what the register lists, a killed session's daemons among them, and empty it."""
        for process in self.daemons():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(10)
        self._file.truncate(0)

    def close(self) -> None:
        """Let the next session have its turn."""
        self._file.close()


def foreign(turn: Turn, folder: Path = FOLDER) -> str:
    """What of another SLURM is on this machine; empty where there is nothing that the tests could disturb."""
    if "SLURM_CONF" in os.environ:
        return f"SLURM_CONF names the configuration of another SLURM ({os.environ['SLURM_CONF']}), which is left alone"
    for name in FILES:
        if (folder / name).exists() and not is_ours(folder / name):
            return f"{folder / name} belongs to a SLURM of this machine, which is left alone"
    ours = turn.daemons()
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in DAEMONS and process not in ours:
            return f"{process.info['name']} (process {process.pid}) of another SLURM runs here, which is left alone"
    return ""


def is_ours(path: Path) -> bool:
    """Whether the tests have written a configuration."""
    with open(path, errors="replace") as file:
        return file.readline().rstrip("\n") == MARK


def write(name: str, text: str, folder: Path = FOLDER) -> None:
    """Write a configuration under the mark, in one step, unless somebody else's is there."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    if path.exists() and not is_ours(path):
        raise FileExistsError(f"{path} is not of these tests")
    part = path.with_name(f".{name}.{os.getpid()}")
    part.write_text(f"{MARK}\n{text}")
    os.replace(part, path)


def take_away(folder: Path = FOLDER) -> None:
    """Delete the configuration that the tests have written, and none but that."""
    for name in FILES:
        if (folder / name).exists() and is_ours(folder / name):
            (folder / name).unlink()
