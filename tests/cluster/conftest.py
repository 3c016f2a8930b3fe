"""A SLURM for the tests, and heads (Snakemake processes) that submit to it from copies of a complete tiny run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.slurm import PROFILE, ForeignError, Job, Slurm, missing
from tests.conftest import Workspace
from tests.waiting import wait_until


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """Three idle nodes; a skip that says why where SLURM cannot be started, or with PSCNET_NEEDS_SLURM=1 a failure."""
    without = pytest.fail if os.environ.get("PSCNET_NEEDS_SLURM") == "1" else pytest.skip
    if reason := missing():
        without(f"no SLURM: {reason}")
    cluster = Slurm(tmp_path_factory.mktemp("slurm"))
    try:
        try:
            cluster.start()
        except ForeignError as error:
            without(f"no SLURM: {error}")
        yield cluster
    finally:
        cluster.stop()


@dataclass
class Head:
    """A Snakemake that submits jobs from a workspace."""

    slurm: Slurm
    space: Workspace
    arguments: tuple[str, ...]
    process: subprocess.Popen | None = None

    @property
    def log(self) -> Path:
        return self.space.root / "head.log"

    def start(self) -> Head:
        """Start Snakemake; called again, a further time."""
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *self.arguments, *PROFILE, "--configfile", "tiny.yaml"],
                cwd=self.space.root, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        return self

    def kill(self) -> None:
        """``kill -9``."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def let_go(self) -> None:
        """Give the job that hangs leave to go on."""
        (self.space.root / "go").touch()

    def wait(self, seconds: float = 1500) -> None:
        """Wait for a good end."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not complete after {seconds:g} s:\n{self.said()}\n{self.jobs()}") from None
        assert self.process.returncode == 0, f"{self.said()}\n{self.jobs()}"

    def said(self) -> str:
        return self.log.read_text()

    def jobs(self, what: str = "") -> list[Job]:
        """Its jobs of SLURM, oldest first, those of one rule or group where ``what`` is given."""
        return [job for job in self.slurm.jobs(self.space.root) if job.what.startswith(what)]

    def running(self, what: str) -> Job:
        """Wait for a job of a rule to be at work, as far as its script's own first lines."""
        started = self.space.root / "stalled"
        wait_until(
            lambda: started.exists() and any(job.state == "RUNNING" for job in self.jobs(what)),
            lambda: f"a running job of {what}\n{self.said()}",
        )
        return next(job for job in self.jobs(what) if job.state == "RUNNING")


@pytest.fixture(scope="session")
def make_head(slurm, tiny_run, tmp_path_factory) -> Callable[..., Head]:
    """Make a head in a copy of the complete tiny run, in which files are lost that it is to make again."""

    def make(name: str, lost: list[str], *arguments: str) -> Head:
        root = tmp_path_factory.mktemp(name) / "run"
        shutil.copytree(tiny_run.root, root)
        for path in lost:
            (root / path).unlink()
        return Head(slurm, Workspace(root), arguments)

    return make


#: Put before a rule's script in a workspace: the first job of it says that it is there, and waits for leave to go on.
STALL = """\
import pathlib, time
if not pathlib.Path("stalled").exists():
    pathlib.Path("stalled").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.1)
"""


def stall(head: Head, rule: str) -> None:
    """Have the first job of a rule hang at its start until the head lets it go; the next ones run as ever."""
    script = head.space.root / "workflow" / "scripts" / f"{rule}.py"
    script.write_text(STALL + script.read_text())
