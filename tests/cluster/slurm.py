"""A SLURM of three nodes on this machine: the real daemons, started and stopped for the tests."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.cluster import machine
from tests.waiting import wait_until

TEMPLATE = Path(__file__).parent / "slurm.conf.in"
NODES = ("n1", "n2", "n3")

MUNGE_SOCKET = Path("/run/munge/munge.socket.2")

#: The project's profile, and what belongs to this cluster: no accounts, no accounting, and seconds instead of minutes.
PROFILE = (
    "--profile", "profiles/slurm",
    "--slurm-no-account",
    "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "1",
    "--seconds-between-status-checks", "1",
    "--latency-wait", "10",
)  # fmt: skip

#: How long a session waits for its turn while another one's SLURM is there [s].
PATIENCE = 1800.0

#: Program to the Debian package that brings it.
PROGRAMS = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "srun": "slurm-client",
    "munged": "munge",
}
PACKAGES = "slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"


def missing() -> str:
    """Why SLURM cannot be started here; empty where it can."""
    lacking = [name for name in PROGRAMS if _program(name) is None]
    if lacking:
        return f"{', '.join(lacking)} not found (on Debian: apt-get install {PACKAGES})"
    if os.geteuid() != 0:
        return "slurmctld and slurmd need to be started by root"
    return ""


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@dataclass(frozen=True)
class Job:
    """A job as ``squeue`` shows it.

    Attributes
    ----------
    number : int
    state, node, partition, memory : str
    what : str
        Rule and wildcards, or group and rules, as the executor plugin writes them.
    """

    number: int
    state: str
    node: str
    partition: str
    memory: str
    what: str


class ForeignError(RuntimeError):
    """Another SLURM is on this machine."""


class Slurm:
    """The daemons: one slurmctld, a slurmd for each node, and munged where none runs.

    Parameters
    ----------
    folder : Path
        For logs and state.
    cpus : int
        That a node claims to have.

    Attributes
    ----------
    name : str
        Of the cluster, in the environment of its jobs, and of no other one.
    """

    def __init__(self, folder: Path, cpus: int = 8) -> None:
        self.folder, self.cpus = folder, cpus
        self.name = f"pscnet{secrets.token_hex(4)}"
        self.daemons: dict[str, subprocess.Popen] = {}
        self.turn = machine.Turn()
        self._began = False

    # Daemons ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until all nodes are idle; before, until no other session's SLURM is there.

        Raises
        ------
        ForeignError
            Where another SLURM is on this machine; nothing of it has been touched.
        """
        wait_until(self.turn.take, "the SLURM of another test session to end", PATIENCE, 1.0)
        if found := machine.foreign(self.turn):
            raise ForeignError(found)
        self._began = True
        self.turn.clear()
        for name in ("state", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        values = {"NAME": self.name, "FOLDER": self.folder, "CPUS": self.cpus}
        values |= {"HOST": socket.gethostname(), "MEMORY": int(0.9 * memory)}
        text = TEMPLATE.read_text()
        for mark, value in (values | {f"PORT{which}": _free_port() for which in ("", 1, 2, 3)}).items():
            text = text.replace(f"@{mark}@", str(value))
        machine.write("slurm.conf", text)
        # Three files that stand for GPUs: SLURM hands them out one by one, whatever they are.
        gpus = [f"NodeName=n1 Name=gpu File=/dev/{file}\n" for file in ("null", "zero", "full")]
        machine.write("gres.conf", "".join(gpus))
        self._start_munge()
        self._start("slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self.nodes() == dict.fromkeys(NODES, "idle"), "three idle nodes")

    def stop(self) -> None:
        """End all jobs and daemons, and take the configuration away; of another SLURM, nothing."""
        if self._began:
            with contextlib.suppress(Exception):
                subprocess.run(["scancel", "--user=root"], timeout=20, check=False)
                wait_until(lambda: not self.squeue("%i", "--states=running,completing"), "no job", 20)
            for name in reversed(list(self.daemons)):
                self._end(name)
            self._end_leftovers()
            self.turn.clear()
            machine.take_away()
        self.turn.close()

    def _end_leftovers(self) -> None:
        """End what a job left: without control groups SLURM loses sight of a process whose parent is gone."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CLUSTER_NAME") == self.name:
                    process.kill()

    def _start_munge(self) -> None:
        if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode == 0:
            return
        if running := [process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == "munged"]:
            raise ForeignError(f"munged (process {running[0]}) of this machine does not answer, and is left alone")
        MUNGE_SOCKET.parent.mkdir(exist_ok=True)
        shutil.chown(MUNGE_SOCKET.parent, "munge", "munge")
        self._start("munged", "--foreground", "--force", user="munge")
        wait_until(lambda: MUNGE_SOCKET.exists(), "munged")

    def start_node(self, node: str) -> None:
        """Start the daemon of one node."""
        self._start("slurmd", "-D", "-N", node, name=node)

    def _start(self, program: str, *arguments: str, name: str | None = None, user: str | None = None) -> None:
        name = name or program
        with open(self.folder / f"{name}.out", "a") as log:
            self.daemons[name] = subprocess.Popen(
                [_program(program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                start_new_session=True,
            )
        self.turn.enter(self.daemons[name].pid)

    def _end(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    # What it says ----------------------------------------------------------------------------------------------------

    def scontrol(self, *arguments: str) -> str:
        return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, timeout=30, check=True).stdout

    def squeue(self, form: str, *arguments: str) -> list[str]:
        """Lines of ``squeue``, all states unless the arguments say otherwise."""
        states = [] if any(word.startswith("--states") for word in arguments) else ["--states=all"]
        done = subprocess.run(
            ["squeue", "--noheader", f"--format={form}", *states, *arguments],
            capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        return done.stdout.split("\n")[:-1]

    def nodes(self) -> dict[str, str]:
        """Node to state."""
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%N %T"], capture_output=True, text=True, timeout=30, check=False
        )
        return dict(line.split() for line in done.stdout.splitlines())

    # Jobs ------------------------------------------------------------------------------------------------------------

    def jobs(self, folder: Path) -> list[Job]:
        """All jobs that worked in a folder, oldest first."""
        found = []
        for line in self.squeue("%A|%T|%N|%P|%m|%k|%Z"):
            number, state, node, partition, memory, what, place = line.split("|", 6)
            if Path(place) == folder:
                found.append(Job(int(number), state, node, partition, memory, what.removeprefix("rule_")))
        return sorted(found, key=lambda job: job.number)

    def submit(self, *arguments: str, seconds: int = 1) -> int:
        """Submit a job that does nothing, and return its number."""
        command = ["sbatch", "--parsable", "--output=/dev/null", *arguments, f"--wrap=sleep {seconds}"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=30, check=True)
        return int(done.stdout)

    def state(self, number: int) -> str:
        """A job's state."""
        return "".join(self.squeue("%T", f"--jobs={number}"))

    def restarts(self, job: Job) -> int:
        """How often SLURM put a job back into the queue."""
        return int(re.search(r"Restarts=(\d+)", self.scontrol("show", "job", str(job.number))).group(1))

    def minutes(self, job: Job) -> int:
        """The time that a job may take, of less than a day [min]."""
        shown = self.scontrol("show", "job", str(job.number))
        hours, minutes = re.search(r"TimeLimit=(\d+):(\d+):\d+", shown).groups()
        return 60 * int(hours) + int(minutes)

    def kill_node(self, node: str) -> None:
        """A node that goes down: its daemon and everything that runs on it are gone, and it is said to be down."""
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        mine = {str(job.number) for job in self.jobs_on(node)}
        for process in psutil.process_iter(["cmdline"]):
            command = " ".join(process.info["cmdline"] or [])
            if any(command.startswith(f"slurmstepd: [{number}.") for number in mine):
                for one in [*process.children(recursive=True), process]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
        self.scontrol("update", f"nodename={node}", "state=down", "reason=test")

    def jobs_on(self, node: str) -> list[Job]:
        """The jobs at work on a node."""
        lines = self.squeue("%A|%T|%N|%P|%m|%k", "--states=running", f"--nodelist={node}")
        return [Job(int(number), *rest) for number, *rest in (line.split("|", 5) for line in lines)]

    def revive_node(self, node: str) -> None:
        """The node is back."""
        self.start_node(node)
        self.scontrol("update", f"nodename={node}", "state=resume")
        wait_until(lambda: self.nodes()[node] in ("idle", "mixed"), f"node {node}")
