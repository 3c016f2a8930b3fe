"""One Snakemake at a time holds a run, as long as it lives."""

from __future__ import annotations

import errno

from pscnet.takeover import hold
from pscnet.takeover.start import take_over
from tests.unit.takeover.processes import CLEARED, kill, lists, relock


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
    hold.forget(folder)
    assert owner()[1] == ""


def test_who_ended_on_another_machine_says_so(folder, owner):
    process, _ = owner("there")
    process.stdin.close()
    process.wait()
    assert owner()[1] == ""


def test_a_living_one_is_not_forgotten(folder, owner):
    owner("there")
    hold.forget(folder)
    assert "on there" in owner()[1]


def test_a_process_claims_a_run_once(folder):
    assert hold.claim("once", folder)
    assert not hold.claim("once", folder)


def test_where_nothing_can_be_locked_nothing_is_cleared_and_that_is_said(folder, monkeypatch):
    def unsupported(file, kind):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(hold.fcntl, "flock", unsupported)
    said = []
    take_over("one", said.append, folder=folder)
    assert len(said) == 1 and "No locks available" in said[0] and "snakemake --unlock" in said[0]
    assert len(lists(folder)) == 3

    for name in ("0.input.lock", "0.output.lock"):
        (folder / "locks" / name).unlink()
    take_over("one", said.append, folder=folder)
    assert len(said) == 1, "nothing was left behind"
