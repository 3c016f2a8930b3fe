"""Killed at any moment and started again, a run ends with the files of an undisturbed one."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.end_to_end.kills import run_and_kill
from tests.sameness import differences

pytestmark = pytest.mark.slow

ARGUMENTS = ("--cores", "2", "--configfile", "tiny.yaml")

#: More by hand: PSCNET_KILLS=20 make test ARGS=tests/end_to_end/test_crashes.py
KILLS = int(os.environ.get("PSCNET_KILLS", "5"))


@pytest.fixture(scope="module")
def killed(make_workspace):
    """A tiny run that was killed, and what became of it."""
    space = make_workspace("killed")
    return space, run_and_kill(space.root, ARGUMENTS, KILLS, longest=9 if KILLS <= 5 else 4, seed=3)


def test_the_results_are_those_of_an_undisturbed_run(killed, tiny_run):
    space, done = killed
    assert len(done.delays) == KILLS
    assert differences(tiny_run.root / "results" / "tiny", space.root / "results" / "tiny") == []


def test_nothing_is_left_to_do_and_changes_are_still_seen(killed):
    """Every file has its record: one without would not be made again when a parameter changes."""
    space, _ = killed
    assert space.jobs() == {}
    records = space.snakemake("-n", "--configfile", "tiny.yaml").stdout
    assert "missing provenance" not in records


def test_no_lock_had_to_be_taken_away_by_hand(killed):
    _, done = killed
    assert not any("LockException" in output for output in done.outputs)
    assert any("its lock is cleared away" in output for output in done.outputs)


def test_a_difference_would_be_found(killed, tmp_path):
    """The control of the comparison."""
    space, _ = killed
    other = tmp_path / "other"
    shutil.copytree(space.root / "results" / "tiny", other)
    table = other / "scores.csv"
    table.write_text(table.read_text().replace("0.", "0.9", 1))
    assert [line.split("/")[0] for line in differences(space.root / "results" / "tiny", other)] == ["scores.csv"]
