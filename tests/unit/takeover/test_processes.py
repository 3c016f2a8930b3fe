"""Jobs on this machine whose Snakemake was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pscnet.takeover.processes import end_processes, is_snakemake
from tests.waiting import wait_until

#: A program that starts a job and waits for it.
STARTER = "import os, subprocess, sys\nsubprocess.run([sys.executable, os.environ['JOB']])\n"


@pytest.fixture
def job(tmp_path) -> Path:
    """A script of Snakemake's that runs for long; what runs it is ended after the test."""
    script = tmp_path / "scripts" / "tmpabc.train_model.py"
    script.parent.mkdir()
    script.write_text("import time\ntime.sleep(600)\n")
    yield script
    for process in at_work(script):
        process.kill()


def at_work(script: Path) -> list[psutil.Process]:
    """Interpreters that run a script."""
    listed = psutil.process_iter(["cmdline"])
    return [process for process in listed if (process.info["cmdline"] or [])[1:2] == [str(script)]]


def orphaned(script: Path, python: str, ending: str = "") -> psutil.Process:
    """Start a job from a shell that ends, as a killed Snakemake leaves it; the job's own shell stays with an ending."""
    subprocess.run(["sh", "-c", f"bash -c \"'{python}' '{script}'{ending}\" >/dev/null 2>&1 &"], check=True)
    wait_until(lambda: len(at_work(script)) == 1, "the job")
    return at_work(script)[0]


@pytest.fixture
def guarded(tmp_path, job):
    """Start a job from a living program; both are ended after the test."""
    started = []

    def start(*command: str) -> subprocess.Popen:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "JOB": str(job)}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment)
        started.append(process)
        wait_until(lambda: len(at_work(job)) == 1, "the job")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_job_without_snakemake_is_ended(tmp_path, job):
    orphan = orphaned(job, sys.executable)
    assert end_processes(tmp_path) == ["train_model"]
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert end_processes(tmp_path) == []


def test_a_path_with_snakemakes_name_guards_no_job(tmp_path, job):
    """Such as that of an environment, in the command of a shell that stays until its job ends."""
    python = tmp_path / "envs" / "snakemake" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    orphan = orphaned(job, str(python), ending="; true")
    assert any("/snakemake/bin" in " ".join(parent.cmdline()) for parent in orphan.parents()), "the shell is there"
    assert end_processes(tmp_path) == ["train_model"]


@pytest.mark.parametrize("command", [["bin/snakemake"], ["-m", "snakemake"]], ids=["program", "module"])
def test_a_job_of_a_living_snakemake_goes_on(tmp_path, job, guarded, command):
    (tmp_path / "bin").mkdir()
    for program in ("bin/snakemake", "snakemake.py"):
        (tmp_path / program).write_text(STARTER)
    head = guarded(sys.executable, *command)
    assert end_processes(tmp_path) == []
    assert head.poll() is None and len(at_work(job)) == 1


def test_a_job_of_a_living_program_that_holds_a_run_goes_on(tmp_path, job, guarded):
    """One that drives Snakemake may have any name."""
    (tmp_path / "driver.py").write_text(STARTER)
    head = guarded(sys.executable, "driver.py")
    heads = tmp_path / "heads"
    heads.mkdir()
    (heads / "two.lock").write_text(f"here {head.pid}")
    assert end_processes(tmp_path) == []
    (heads / "two.lock").write_text("")
    assert end_processes(tmp_path) == ["train_model"]


def test_what_is_snakemakes_own_command():
    assert is_snakemake(["/usr/bin/python3.11", "-m", "snakemake", "--cores", "4"])
    assert is_snakemake(["python", "/opt/envs/snakemake/bin/snakemake", "-n"])
    assert not is_snakemake(["bash", "-c", "source activate x; /opt/envs/snakemake/bin/python job.py; : snakemake"])
    assert not is_snakemake(["/opt/envs/snakemake/bin/python", "/run/.snakemake/scripts/tmp.job.py"])
