"""Snakemake's folder, processes that take over a run in it, and a queue that says what the test wants."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import pscnet
from tests.unit.takeover.processes import kill, words_of

#: Takes the run over in a process of its own, says what it found, and lives until it is told to end.
OWNER = """\
import sys
from pathlib import Path
from pscnet.takeover import TakeoverError
from pscnet.takeover.start import take_over
def say(text):
    print(*text.splitlines(), flush=True)
try:
    take_over("one", say, folder=Path(sys.argv[1]), host=sys.argv[2])
except TakeoverError as error:
    say(f"refused: {error}")
say("done")
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """Snakemake's folder with the lists of a run and of another one."""
    locks = tmp_path / "locks"
    locks.mkdir()
    (locks / "0.input.lock").write_text("config/a.yaml\nbuild/one/smap/2016-06.nc\n")
    (locks / "0.output.lock").write_text("results/one/scores.json\n")
    (locks / "1.output.lock").write_text("results/one-more/scores.json\nbuild/two/static.nc\n")
    return tmp_path


@pytest.fixture
def owner(folder):
    """Start processes that take over the run; each is ended after the test."""
    started = []

    def start(host: str = "here", until: str = "done") -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder), host],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(pscnet.__file__).parents[1])},
        )  # fmt: skip
        started.append(process)
        return process, words_of(process, until)

    yield start
    for process in started:
        kill(process)
        process.stdin.close()
        process.stdout.close()


@pytest.fixture
def slurm(folder, monkeypatch):
    """A queue that says what the test writes into it, and fails while the test says so."""
    programs = folder / "programs"
    programs.mkdir()
    for name, text in {
        "squeue": f'test ! -e "{folder}/busy" || {{ echo "connect failure" >&2; exit 1; }}; cat "{folder}/queue"',
        "scontrol": f'cat "{folder}/script_$3" 2>/dev/null; true',
    }.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    (folder / "queue").write_text("")
    return folder
