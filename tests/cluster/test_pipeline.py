"""The whole pipeline through SLURM, to the product of a local run."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import Head
from tests.sameness import differences

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def through_slurm(slurm, make_workspace) -> Head:
    """A tiny run whose every job went through SLURM."""
    head = Head(slurm, make_workspace("slurm_run"), ()).start()
    head.wait(1500)
    return head


def test_the_results_are_those_of_a_local_run(through_slurm, tiny_run):
    assert differences(tiny_run.root / "results", through_slurm.space.root / "results") == []


def test_every_job_ran_once(through_slurm):
    jobs = through_slurm.jobs()
    assert {job.state for job in jobs} == {"COMPLETED"}
    assert len({job.what for job in jobs}) == len(jobs)
    assert through_slurm.space.jobs() == {}


def test_nets_go_to_the_gpu_partition_and_nothing_else_does(through_slurm):
    """Only one node has any."""
    nets = [job for job in through_slurm.jobs() if job.partition == "gpu"]
    assert {job.what.split("_wildcards")[0] for job in nets} == {"train_model", "downscale_month", "verify_heldout"}
    assert {job.node for job in nets} == {"n1"}
    assert len([job for job in nets if job.what.startswith("train_model")]) == 1
    assert len([job for job in nets if job.what.startswith("downscale_month")]) == 3


def test_short_jobs_go_together(through_slurm):
    jobs = [job.what for job in through_slurm.jobs()]
    counts = {
        group: sum(job.startswith(f"{group}_") for job in jobs) for group in ("world", "bands", "weights", "delivery")
    }
    assert counts == {"world": 1, "bands": 1, "weights": 1, "delivery": 1}
    assert not [job for job in jobs if job.startswith("twin_static")], "trivial jobs run where Snakemake runs"
