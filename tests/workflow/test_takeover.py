"""Starts of the real workflow beside a living Snakemake, and after a killed one whose jobs a stand-in for SLURM has."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import os
import signal
import subprocess
import sys
from base64 import urlsafe_b64encode

import pytest
from snakemake import cli

from pscnet.takeover.start import LOOKING_FIRST, LOOKING_ONLY, starts_jobs
from tests.conftest import Workspace
from tests.waiting import wait_until

CONFIG = ("--configfile", "tiny.yaml")

#: Two files that one job each makes in seconds, from nothing.
FIRST, SECOND = (f"build/tiny/weights/{name}.nc" for name in ("bilinear_M36_M18", "conservative_M18_M36"))

#: Another configuration that leaves both as they are.
OTHER = ("--config", "training={epochs: 2, ensemble: 1, device: cpu, threads: 1}")

DOUBTFUL = "The configuration may have changed since these files were made"

WAITED = "They are waited for"


def branches() -> list[ast.expr]:
    """What Snakemake's command line is asked for, in turn, before it comes to executing the workflow."""
    tests = []
    for node in ast.walk(ast.parse(inspect.getsource(cli.args_to_api))):
        if isinstance(node, ast.If) and "execute_workflow" in ast.unparse(node.orelse):
            tests.append(node.test)
    return tests


def options(expression: ast.expr) -> set[str]:
    """The options in an expression."""
    return {
        node.attr
        for node in ast.walk(expression)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "args"
    }


def test_every_command_of_snakemakes_that_starts_no_job_is_known():
    asked = [options(test) for test in branches()]
    assert len(asked) > 20 and {"list_rules"} in asked
    known = {*LOOKING_ONLY, *LOOKING_FIRST.values()}
    assert [names for names in asked if not names & known] == []


def test_every_name_is_an_option_of_snakemakes():
    with contextlib.redirect_stderr(io.StringIO()):
        given = cli.parse_args([])[1]
    names = {*LOOKING_ONLY, *LOOKING_FIRST, *LOOKING_FIRST.values(), "executor"}
    assert names - set(vars(given)) == set()


@pytest.mark.parametrize(
    "arguments",
    ["-n", "--touch --cores 1", "--dag", "--lint", "--report r.zip", "--list-rules", "--conda-create-envs-only"],
)
def test_looking_is_told_from_starting_as_typed(arguments):
    with contextlib.redirect_stderr(io.StringIO()):
        assert not starts_jobs(cli.parse_args(arguments.split())[1])
        assert starts_jobs(cli.parse_args(["--cores", "1"])[1])


@pytest.fixture(scope="module")
def space(make_workspace, tmp_path_factory) -> Workspace:
    """A copy of the checkout beside a SLURM that says what ``queue`` holds."""
    made = make_workspace("takeover")
    programs = tmp_path_factory.mktemp("programs")
    for name, file in {"squeue": "queue", "scontrol": "script"}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\ncat "{made.root}/{file}"\n')
        program.chmod(0o755)
    (made.root / "queue").write_text("")
    (made.root / "script").write_text("snakemake --target-jobs 'regrid_weights:run=tiny,method=bilinear'\n")
    made.environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    return made


@pytest.fixture
def start(space):
    """Start Snakemake and go on as soon as it has said something; each is ended after the test."""
    started = []

    def begin(*arguments: str, until: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments, *CONFIG],
            cwd=space.root, env=space.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        said = ""
        for line in process.stdout:
            said += line
            if until in line:
                return process
        raise AssertionError(said)

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_while_one_waits_others_may_look_and_none_may_start(space, start):
    heads = space.root / ".snakemake" / "heads"
    heads.mkdir(parents=True, exist_ok=True)
    (heads / "tiny.slurm").touch()
    (space.root / "queue").write_text(f"7|RUNNING|{space.root}|rule_regrid_weights\n")
    first = start(FIRST, "--cores", "1", until=WAITED)

    second = space.snakemake(FIRST, "--cores", "1", *CONFIG, check=False)
    assert second.returncode and "Another Snakemake is at work on run tiny, or waits" in second.stdout
    assert str(first.pid) in second.stdout and WAITED not in second.stdout
    for look in (["-n", FIRST], ["--list-rules"], ["--summary", FIRST]):
        assert WAITED not in space.snakemake(*look, *CONFIG).stdout
    assert first.poll() is None and not (space.root / FIRST).exists()

    (space.root / "queue").write_text("")
    assert "1 of 1 steps (100%) done" in first.stdout.read()
    assert first.wait() == 0
    assert not (heads / "tiny.slurm").exists()


@pytest.mark.slow
def test_files_get_the_record_of_the_configuration_that_made_them(space):
    """A, killed, then B, B again, and A: as A's job left it, the first file has no record."""

    def made_again(*arguments: str) -> str:
        (space.root / SECOND).unlink(missing_ok=True)
        return space.snakemake(FIRST, SECOND, "--cores", "1", *CONFIG, *arguments).stdout

    made_again("--forceall")
    space.snakemake("--cleanup-metadata", FIRST, *CONFIG)
    for _ in range(2):
        said = made_again(*OTHER)
        assert DOUBTFUL in said and FIRST in said.split(DOUBTFUL)[1].split("\n\n")[0]
    assert DOUBTFUL not in made_again()
    assert DOUBTFUL not in made_again(*OTHER), "it has a record now"


@pytest.mark.slow
def test_a_file_that_is_made_anew_loses_its_record_and_an_orphan_is_ended(space, start):
    """Finished without its Snakemake, it would otherwise keep the record of what it replaced."""
    space.snakemake(FIRST, "--cores", "1", *CONFIG)
    record = space.root / ".snakemake/metadata" / urlsafe_b64encode(FIRST.encode()).decode()
    assert record.exists()
    there = space.root / "there"
    hang = f"import pathlib, time\npathlib.Path({str(there)!r}).touch()\ntime.sleep(6000)\n"
    with space.edited("workflow/scripts/regrid_weights.py", lambda text: hang + text):
        head = start(FIRST, "--cores", "1", until="Weights from")
        wait_until(lambda: there.exists() and not record.exists(), "a job that starts without the record")
        head.send_signal(signal.SIGKILL)
        head.wait()
    said = space.snakemake(FIRST, "--cores", "1", *CONFIG).stdout
    assert "Jobs that went on after their Snakemake was killed are ended, and done again: regrid_weights" in said
    assert "The last Snakemake of run tiny was killed; its lock is cleared away." in said
    assert record.exists() and DOUBTFUL not in said
