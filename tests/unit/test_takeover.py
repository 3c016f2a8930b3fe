"""Whether another Snakemake is at work, and what a killed one leaves behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pscnet import takeover

#: Claims the run in a process of its own, says what it found, and lives until it is told to end.
OWNER = """\
import sys
from pathlib import Path
from pscnet.takeover import claim
print(*claim("one", Path(sys.argv[1]), "here"), sep="|", flush=True)
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
    """Start processes that claim the run; each is ended after the test."""
    started = []

    def start() -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(takeover.__file__).parents[1])},
        )  # fmt: skip
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def lists(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "locks").iterdir())


def test_the_lists_of_a_dead_owner_go_and_others_stay(folder, owner):
    _, said = owner()
    assert said == "True|The last Snakemake of run one was killed; its lock is cleared away."
    assert lists(folder) == ["1.output.lock"]


def test_the_lists_of_a_living_owner_stay(folder, owner):
    owner()
    (folder / "locks" / "0.output.lock").write_text("results/one/scores.json\n")
    assert owner()[1] == "False|"
    assert lists(folder) == ["0.output.lock", "1.output.lock"]


def test_an_owner_that_is_killed_is_dead(folder, owner):
    process, _ = owner()
    (folder / "locks" / "0.output.lock").write_text("results/one/scores.json\n")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert owner()[1].startswith("True|The last Snakemake")
    assert lists(folder) == ["1.output.lock"]


def test_whoever_looks_only_keeps_a_third_from_clearing(folder, owner):
    """A dry run beside a real run, which outlives it: the real one is still there."""
    first, _ = owner()
    owner()
    first.kill()
    first.wait()
    (folder / "locks" / "0.output.lock").write_text("results/one/scores.json\n")
    assert owner()[1] == "False|"
    assert "0.output.lock" in lists(folder)


def test_the_lists_of_another_machine_stay_and_the_way_out_is_named(folder, owner):
    (folder / "heads").mkdir()
    (folder / "heads" / "one.lock").write_text("there")
    _, said = owner()
    assert said.startswith("True|The files of run one were locked by a Snakemake on there")
    assert "snakemake --unlock" in said
    assert len(lists(folder)) == 3


def test_a_folder_of_this_machine_after_another_is_taken_over_without_lists(folder, owner):
    (folder / "heads").mkdir()
    (folder / "heads" / "one.lock").write_text("there")
    for name in ("0.input.lock", "0.output.lock"):
        (folder / "locks" / name).unlink()
    assert owner()[1] == "True|"
    assert (folder / "heads" / "one.lock").read_text() == "here"


def test_a_process_claims_a_run_once(folder):
    assert takeover.claim("once", folder) == (True, "")
    assert takeover.claim("once", folder) == (False, "")


def test_jobs_without_snakemake_are_ended_and_others_live(tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    job = scripts / "tmpabc.train_model.py"
    job.write_text("import time\ntime.sleep(60)\n")
    command = [sys.executable, str(job)]
    # An orphan's parent is gone: here a shell that starts it and ends.
    orphan = int(subprocess.check_output(["sh", "-c", f"'{command[0]}' '{job}' >/dev/null 2>&1 & echo $!"], text=True))
    # A job of a living Snakemake, whose command names it.
    guarded = subprocess.Popen(["sh", "-c", f"'{command[0]}' '{job}'; : snakemake"])
    time.sleep(0.5)
    try:
        assert takeover.end_processes(tmp_path) == ["train_model"]
        assert not Path(f"/proc/{orphan}").exists() or "Z" in Path(f"/proc/{orphan}/stat").read_text().split()[2]
        assert guarded.poll() is None
        assert takeover.end_processes(tmp_path) == []
    finally:
        subprocess.run(["sh", "-c", f"kill $(ps -o pid= --ppid {guarded.pid})"], check=False)
        guarded.kill()
        guarded.wait()


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A queue that says what the test writes into it."""
    for name, text in {
        "squeue": f'cat "{tmp_path}/queue"',
        "scontrol": f'cat "{tmp_path}/script_$4" 2>/dev/null; true',
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    text = (tmp_path / "scontrol").read_text().replace("$4", "$3")
    (tmp_path / "scontrol").write_text(text)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_slurm_jobs_of_this_folder_and_run_are_waited_for(slurm, monkeypatch):
    here = Path.cwd()
    (slurm / "queue").write_text(
        textwrap.dedent(f"""\
        7|RUNNING|rule_train_model_wildcards_one_pscnet_0|{here}
        8|PENDING|rule_train_model_wildcards_one-more_pscnet_0|{here}
        9|RUNNING|rule_train_model_wildcards_one_pscnet_0|/elsewhere
        10|RUNNING|interactive|{here}
        """)
    )
    for number, run in {7: "one", 8: "one-more", 9: "one", 10: "one"}.items():
        (slurm / f"script_{number}").write_text(
            f"snakemake --target-jobs 'train_model:run={run},model=pscnet,seed=0'\n"
        )
    expected = "7 (train_model_wildcards_one_pscnet_0, running)"
    assert takeover.slurm_jobs("one") == [expected]

    said = []
    monkeypatch.setattr(takeover.time, "sleep", lambda seconds: (slurm / "queue").write_text(""))
    takeover.wait_for_slurm("one", said.append)
    assert len(said) == 1 and expected in said[0] and "scancel" in said[0]


def test_settings_are_remembered(folder):
    (folder / "heads").mkdir()
    assert not takeover.same_settings("one", "a", folder)
    assert takeover.same_settings("one", "a", folder)
    assert not takeover.same_settings("one", "b", folder)
