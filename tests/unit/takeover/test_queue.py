"""Jobs in SLURM whose Snakemake was killed are waited for."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pscnet.takeover import TakeoverError, hold, queue
from pscnet.takeover.start import take_over
from tests.unit.takeover.processes import CLEARED, kill, lists, words_of


@pytest.fixture
def pauses(monkeypatch):
    """Pauses that take no time; what is to happen in one is appended by the test."""
    happens = []
    # A clock of the module's own: subprocess sleeps as well.
    clock = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: happens and happens.pop(0)()})
    monkeypatch.setattr(queue, "time", clock)
    return happens


def one_job(slurm: Path, number: int = 7, where: Path | None = None) -> None:
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
    assert queue.slurm_jobs("one") == [expected]

    said = []
    pauses.append(lambda: (slurm / "queue").write_text(""))
    queue.wait_for_slurm("one", said.append)
    assert len(said) == 1 and expected in said[0] and "scancel" in said[0]


def test_a_queue_that_fails_is_asked_again_and_its_jobs_are_waited_for(slurm, pauses):
    one_job(slurm)
    busy = slurm / "busy"
    busy.touch()
    pauses += [lambda: None, busy.unlink, lambda: (slurm / "queue").write_text("")]
    said = []
    queue.wait_for_slurm("one", said.append)
    assert pauses == []
    assert "squeue: connect failure" in said[0] and "1 of its SLURM jobs go on" in said[1] and len(said) == 2


def test_a_queue_that_goes_on_failing_lets_nothing_start(slurm, pauses):
    (slurm / "busy").touch()
    with pytest.raises(TakeoverError, match=r"(?s)connect failure.*Start again where squeue answers\."):
        queue.wait_for_slurm("one", lambda text: None)


def test_a_job_whose_script_is_not_shown_may_be_one_of_ours(slurm, pauses):
    one_job(slurm)
    (slurm / "script_7").write_text("")
    with pytest.raises(TakeoverError, match="no script of job 7"):
        queue.wait_for_slurm("one", lambda text: None)


def test_a_machine_without_squeue_is_refused_only_where_slurm_was_given_jobs(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(hold, "_HELD", {})
    monkeypatch.setattr(queue, "_MARKERS", [])
    said = []
    take_over("one", said.append, folder=folder)
    assert lists(folder) == ["1.output.lock"]

    marker = folder / "heads" / "two.slurm"
    marker.touch()
    with pytest.raises(TakeoverError, match=rf"Start again where squeue answers.*delete {marker}"):
        take_over("two", said.append, folder=folder)
    assert lists(folder) == ["1.output.lock"], "the lists go last"


def test_what_is_given_to_slurm_is_asked_for_until_it_was_seen_to_end(slurm, monkeypatch):
    monkeypatch.setattr(hold, "_HELD", {})
    monkeypatch.setattr(queue, "_MARKERS", [])
    marker = slurm / "heads" / "one.slurm"
    take_over("one", print, submits=True, folder=slurm)
    assert not marker.exists()
    queue.jobs_start()
    assert marker.exists()
    queue.jobs_ended()
    assert not marker.exists()


def test_while_one_waits_a_second_is_refused_and_the_lists_stay(slurm, owner):
    """The first waits for a job of SLURM's; it is killed, and the next one waits as it did."""
    one_job(slurm, where=slurm)
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
