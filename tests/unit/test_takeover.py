"""Whether another Snakemake is at work, and what a killed one leaves behind."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pscnet import takeover

#: Takes the run over in a process of its own, says what it found, and lives until it is told to end.
OWNER = """\
import sys
from pathlib import Path
from pscnet.takeover import TakeoverError, take_over
def say(text):
    print(*text.splitlines(), flush=True)
try:
    take_over("one", say, folder=Path(sys.argv[1]), host=sys.argv[2])
except TakeoverError as error:
    say(f"refused: {error}")
say("done")
sys.stdin.read()
"""

CLEARED = "The last Snakemake of run one was killed; its lock is cleared away."


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
            env={**os.environ, "PYTHONPATH": str(Path(takeover.__file__).parents[1])},
        )  # fmt: skip
        started.append(process)
        return process, words_of(process, until)

    yield start
    for process in started:
        kill(process)
        process.stdin.close()
        process.stdout.close()


def words_of(process: subprocess.Popen, until: str = "done") -> str:
    """What a process says up to a line with certain words, which is left out when it is the last one."""
    lines = []
    for line in process.stdout:
        lines += [line.strip()] if line.strip() != "done" else []
        if until in line:
            break
    return "|".join(lines)


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def relock(folder: Path) -> None:
    """As Snakemake does where there are jobs."""
    (folder / "locks" / "0.output.lock").write_text("results/one/scores.json\n")


def lists(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "locks").iterdir())


def test_the_lists_of_a_dead_owner_go_and_others_stay(folder, owner):
    assert owner()[1] == CLEARED
    assert lists(folder) == ["1.output.lock"]


def test_a_second_one_beside_a_living_one_is_refused(folder, owner):
    first, _ = owner()
    relock(folder)
    words = owner()[1]
    assert words.startswith("refused: Another Snakemake is at work on run one")
    assert f"process {first.pid} on here" in words
    assert lists(folder) == ["0.output.lock", "1.output.lock"]


def test_an_owner_that_is_killed_is_dead(folder, owner):
    process, _ = owner()
    relock(folder)
    kill(process)
    assert owner()[1] == CLEARED
    assert lists(folder) == ["1.output.lock"]


def test_a_refused_one_keeps_nobody_from_clearing(folder, owner):
    """It lives on, as one does that a user has forgotten: only who holds the run counts."""
    first, _ = owner()
    owner()
    kill(first)
    relock(folder)
    assert owner()[1] == CLEARED


def test_the_lists_of_another_machine_stay_and_the_way_out_is_named(folder, owner):
    process, _ = owner("there")
    relock(folder)
    kill(process)
    words = owner()[1]
    assert words.startswith("refused: The last Snakemake of run one was at work on there")
    assert "snakemake --unlock" in words
    assert lists(folder) == ["0.output.lock", "1.output.lock"]
    assert owner("there")[1] == CLEARED, "the other machine itself can tell"


def test_another_machine_counts_without_lists(folder, owner):
    """It may still wait for jobs, and another run's end takes the lists away."""
    process, _ = owner("there")
    kill(process)
    assert owner()[1].startswith("refused:")
    takeover.forget(folder)
    assert owner()[1] == ""


def test_who_ended_on_another_machine_says_so(folder, owner):
    process, _ = owner("there")
    process.stdin.close()
    process.wait()
    assert owner()[1] == ""


def test_a_living_one_is_not_forgotten(folder, owner):
    owner("there")
    takeover.forget(folder)
    assert "on there" in owner()[1]


def test_a_process_claims_a_run_once(folder):
    assert takeover.claim("once", folder)
    assert not takeover.claim("once", folder)


def test_where_nothing_can_be_locked_nothing_is_cleared_and_that_is_said(folder, monkeypatch):
    def unsupported(file, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(takeover.fcntl, "flock", unsupported)
    said = []
    takeover.take_over("one", said.append, folder=folder)
    assert len(said) == 1 and "No locks available" in said[0] and "snakemake --unlock" in said[0]
    assert len(lists(folder)) == 3

    for name in ("0.input.lock", "0.output.lock"):
        (folder / "locks" / name).unlink()
    takeover.take_over("one", said.append, folder=folder)
    assert len(said) == 1, "nothing was left behind"


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


@pytest.fixture
def pauses(monkeypatch):
    """Pauses that take no time; what is to happen in one is appended by the test."""
    happens = []
    # A clock of the module's own: subprocess sleeps as well.
    clock = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: happens and happens.pop(0)()})
    monkeypatch.setattr(takeover, "time", clock)
    return happens


def queue(slurm: Path, number: int = 7, where: Path | None = None) -> None:
    """Have a running job of the run in the queue."""
    job = f"{number}|RUNNING|{where or Path.cwd()}|rule_train_model_wildcards_one_pscnet_0\n"
    (slurm / "queue").write_text(job)
    (slurm / f"script_{number}").write_text("snakemake --target-jobs 'train_model:run=one,model=pscnet,seed=0'\n")


def test_slurm_jobs_of_this_folder_and_run_are_waited_for(slurm, pauses):
    here = Path.cwd()
    (slurm / "queue").write_text(
        textwrap.dedent(f"""\
        7|RUNNING|{here}|rule_train_model_wildcards_one_pscnet_0
        8|PENDING|{here}|rule_train_model_wildcards_one-more_pscnet_0
        9|RUNNING|/elsewhere|rule_train_model_wildcards_one_pscnet_0
        10|RUNNING|{here}|interactive | mine
        """)
    )
    for number, run in {7: "one", 8: "one-more", 9: "one", 10: "one"}.items():
        (slurm / f"script_{number}").write_text(
            f"snakemake --target-jobs 'train_model:run={run},model=pscnet,seed=0'\n"
        )
    expected = "7 (train_model_wildcards_one_pscnet_0, running)"
    assert takeover.slurm_jobs("one") == [expected]

    said = []
    pauses.append(lambda: (slurm / "queue").write_text(""))
    takeover.wait_for_slurm("one", said.append)
    assert len(said) == 1 and expected in said[0] and "scancel" in said[0]


def test_a_queue_that_fails_is_asked_again_and_its_jobs_are_waited_for(slurm, pauses):
    queue(slurm)
    busy = slurm / "busy"
    busy.touch()
    pauses += [lambda: None, busy.unlink, lambda: (slurm / "queue").write_text("")]
    said = []
    takeover.wait_for_slurm("one", said.append)
    assert pauses == []
    assert "squeue: connect failure" in said[0] and "1 of its SLURM jobs go on" in said[1] and len(said) == 2


def test_a_queue_that_goes_on_failing_lets_nothing_start(slurm, pauses):
    (slurm / "busy").touch()
    with pytest.raises(takeover.TakeoverError, match=r"(?s)connect failure.*Start again where squeue answers\."):
        takeover.wait_for_slurm("one", lambda text: None)


def test_a_job_whose_script_is_not_shown_may_be_one_of_ours(slurm, pauses):
    queue(slurm)
    (slurm / "script_7").write_text("")
    with pytest.raises(takeover.TakeoverError, match="no script of job 7"):
        takeover.wait_for_slurm("one", lambda text: None)


def test_a_machine_without_squeue_is_refused_only_where_slurm_was_given_jobs(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(takeover, "_HELD", {})
    monkeypatch.setattr(takeover, "_MARKERS", [])
    said = []
    takeover.take_over("one", said.append, folder=folder)
    assert lists(folder) == ["1.output.lock"]

    marker = folder / "heads" / "two.slurm"
    marker.touch()
    with pytest.raises(takeover.TakeoverError, match=rf"Start again where squeue answers.*delete {marker}"):
        takeover.take_over("two", said.append, folder=folder)
    assert lists(folder) == ["1.output.lock"], "the lists go last"


def test_what_is_given_to_slurm_is_asked_for_until_it_was_seen_to_end(slurm, monkeypatch):
    monkeypatch.setattr(takeover, "_HELD", {})
    monkeypatch.setattr(takeover, "_MARKERS", [])
    marker = slurm / "heads" / "one.slurm"
    takeover.take_over("one", print, submits=True, folder=slurm)
    assert not marker.exists()
    takeover.jobs_start()
    assert marker.exists()
    takeover.jobs_ended()
    assert not marker.exists()


def test_while_one_waits_a_second_is_refused_and_the_lists_stay(slurm, owner):
    """The first waits for a job of SLURM's; it is killed, and the next one waits as it did."""
    queue(slurm, where=slurm)
    (slurm / "heads").mkdir()
    (slurm / "heads" / "one.slurm").touch()
    first, _ = owner(until="They are waited for")
    assert owner()[1].startswith("refused: Another Snakemake is at work on run one, or waits")
    kill(first)
    second, words = owner(until="They are waited for")
    assert "7 (train_model_wildcards_one_pscnet_0, running)" in words
    assert len(lists(slurm)) == 3

    (slurm / "queue").write_text("")
    assert words_of(second) == CLEARED
    assert lists(slurm) == ["1.output.lock"]


def test_files_are_noted_with_what_they_were_last_started_with(folder):
    assert takeover.started_with("one", folder) == {}
    takeover.note_start("one", "a", ["build/one/x y.nc", "build/one/z.nc"], folder)
    takeover.note_start("one", "b", ["build/one/z.nc"], folder)
    assert takeover.started_with("one", folder) == {"build/one/x y.nc": "a", "build/one/z.nc": "b"}
    takeover.drop_notes("one", {"build/one/z.nc"}, folder)
    assert takeover.started_with("one", folder) == {"build/one/x y.nc": "a"}


def test_a_command_that_only_looks_is_told_from_one_that_starts_jobs():
    options = {name: None for name in (*takeover.LOOKING_ONLY, *takeover.LOOKING_FIRST, "report_after_run", "executor")}

    def starts(**given) -> bool:
        return takeover.starts_jobs(argparse.Namespace(**(options | given)))

    assert starts() and starts(executor="slurm")
    assert not any(starts(**{name: True}) for name in (*takeover.LOOKING_ONLY, *takeover.LOOKING_FIRST))
    assert starts(report="report.zip", report_after_run=True)
    assert not starts(report="report.zip", report_after_run=True, dryrun=True)
    assert not starts(executor="dryrun")
