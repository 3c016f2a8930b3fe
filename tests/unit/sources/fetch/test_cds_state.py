"""What is remembered of a request between runs."""

from __future__ import annotations

import pytest

from pscnet.sources.fetch.cds_state import State

REQUEST = {"variable": ["t2m"], "day": ["01"]}


def test_each_step_is_there_for_the_next_run(tmp_path):
    def later() -> State:
        return State(tmp_path, REQUEST)

    assert (later().intent, later().id, later().too_large, later().past) == (None, None, False, set())
    assert not later().path.exists(), "looking leaves nothing behind"
    State(tmp_path, REQUEST).intend()
    assert later().intent is not None and later().id is None
    later().submitted("job-1")
    assert later().intent is not None and later().id == "job-1"
    later().over("it failed")
    assert (later().intent, later().id, later().past) == (None, None, {"job-1"})
    later().intend()
    later().withdraw()
    assert (later().intent, later().id, later().past) == (None, None, {"job-1"})
    later().refuse_size()
    assert later().too_large


def test_an_intention_is_not_over_as_long_as_no_job_is_known(tmp_path):
    state = State(tmp_path, REQUEST)
    state.intend()
    with pytest.raises(ValueError, match="no job is known"):
        state.over("a job that somebody deleted")
    assert State(tmp_path, REQUEST).intent is not None


def test_requests_do_not_share_their_state(tmp_path):
    State(tmp_path, REQUEST).submitted("job-1")
    assert State(tmp_path, {**REQUEST, "day": ["02"]}).id is None
    assert State(tmp_path / "other", REQUEST).id is None


def test_damaged_state_counts_as_a_job_that_may_exist(tmp_path, caplog):
    state = State(tmp_path, REQUEST)
    state.submitted("job-1")
    state.path.write_text('{"id": "jo')
    again = State(tmp_path, REQUEST)
    assert again.id is None and again.intent is not None
    assert "asked for the job" in caplog.text
