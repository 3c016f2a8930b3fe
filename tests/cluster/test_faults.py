"""What goes wrong on a cluster, each with its outcome: the same files, nothing lost, nothing twice without need.

All faults go through the same SLURM at the same time, since most of the time something is waited for; each in a copy of
a complete run in which one file is lost and made again.
"""

from __future__ import annotations

import filecmp
import re
import subprocess
from dataclasses import dataclass, field

import pytest

from tests.cluster.conftest import Head, stall
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

#: A file that one job makes in seconds, that job, and the same of the net.
FIELDS, RULE = "build/tiny/verify/fields_2016-08.nc", "verify_references"
CHECKPOINT, TRAINING = "build/tiny/models/pscnet_0.safetensors", "train_model"
REPORT = "results/tiny/report.html"

#: Three epochs, so that there is something to go on from.
EPOCHS = "training={epochs: 3, ensemble: 1, device: cpu, threads: 1}"

#: First lines of the training's script: the first job stops dead when it has written the state of an epoch.
STOP_AFTER_AN_EPOCH = """\
import os, pathlib, signal, threading, time
def _stop():
    while not pathlib.Path("build/tiny/models/pscnet_0.resume.safetensors").exists():
        time.sleep(0.01)
    pathlib.Path("stalled").touch()
    os.kill(os.getpid(), signal.SIGSTOP)
if not pathlib.Path("stalled").exists():
    threading.Thread(target=_stop, daemon=True).start()
"""

#: What a start says that found jobs of a killed one.
WAITED = "1 of its SLURM jobs go on"

#: Nodes that a head keeps its jobs off.
ON_FIRST, NOT_ON_FIRST = (("--slurm-exclude-failed-nodes", nodes) for nodes in ("n2,n3", "n1"))


@dataclass
class Faults:
    """The heads by fault, and what was seen on the way."""

    heads: dict[str, Head] = field(default_factory=dict)
    node: str = ""
    urgent: int = 0


@pytest.fixture(scope="module")
def faults(slurm, make_head) -> Faults:
    """Every fault, tried."""
    made = Faults()
    heads = made.heads
    for name in ("scancel", "out_of_memory"):
        heads[name] = make_head(name, [FIELDS], FIELDS, *ON_FIRST)
    # On a slow machine four minutes, the last that the profile's retries come to, may be too short as well.
    heads["timeout"] = make_head("timeout", [FIELDS], FIELDS, *ON_FIRST, "--retries", "5")
    heads["node_down"] = make_head("node_down", [FIELDS], FIELDS, *NOT_ON_FIRST)
    heads["head_killed"] = make_head("head_killed", [FIELDS, REPORT], *ON_FIRST)
    heads["preempted"] = make_head("preempted", [CHECKPOINT], CHECKPOINT, "--config", EPOCHS)

    for name in ("scancel", "timeout", "node_down", "head_killed"):
        stall(heads[name], RULE)
    script = heads["preempted"].space.root / "workflow" / "scripts" / f"{TRAINING}.py"
    script.write_text(STOP_AFTER_AN_EPOCH + script.read_text())
    # What rules ask for is far too little at first.
    asking(heads["timeout"], LEAST_MINUTES=1, TIME_MARGIN=0.0)
    asking(heads["out_of_memory"], STARTERS_MB=100, MEMORY_MARGIN=0.75)

    for head in heads.values():
        head.start()
    heads["preempted"].running(TRAINING)
    made.urgent = slurm.submit("--partition=urgent", "--gres=gpu:3")
    subprocess.run(["scancel", str(heads["scancel"].running(RULE).number)], check=True)
    heads["head_killed"].running(RULE)
    heads["head_killed"].kill()
    heads["head_killed"].start()
    made.node = heads["node_down"].running(RULE).node
    slurm.kill_node(made.node)
    wait_until(lambda: WAITED in heads["head_killed"].said(), heads["head_killed"].said)
    heads["head_killed"].let_go()
    try:
        for head in heads.values():
            head.wait()
    finally:
        slurm.revive_node(made.node)
    return made


def asking(head: Head, **values: float) -> None:
    """Other constants in a workspace's copy of the module that says what jobs ask for."""
    path = head.space.root / "src" / "pscnet" / "demands" / "__init__.py"
    text = path.read_text()
    assert all(name in text for name in values)
    path.write_text(text + "".join(f"\n{name} = {value}\n" for name, value in values.items()))


def states(head: Head, what: str) -> list[str]:
    return [job.state for job in head.jobs(what)]


@pytest.mark.parametrize("fault", ["scancel", "timeout", "out_of_memory", "node_down", "head_killed"])
def test_the_file_is_the_same(faults, tiny_run, fault):
    root = faults.heads[fault].space.root
    assert filecmp.cmp(tiny_run.root / FIELDS, root / FIELDS, shallow=False)


def test_a_cancelled_job_is_submitted_again(faults):
    head = faults.heads["scancel"]
    assert states(head, RULE) == ["CANCELLED", "COMPLETED"]
    assert "Trying to restart" in head.said()


def test_a_job_out_of_time_is_given_twice_as_much(faults, slurm):
    """On a busy machine the second attempt, of two minutes, may be too short as well, and the third."""
    *short, enough = states(faults.heads["timeout"], RULE)
    assert enough == "COMPLETED" and short and set(short) == {"TIMEOUT"}
    asked = [slurm.minutes(job) for job in faults.heads["timeout"].jobs(RULE)]
    assert asked == [2**number for number in range(len(asked))]


def test_a_job_out_of_memory_is_given_twice_as_much(faults):
    jobs = faults.heads["out_of_memory"].jobs(RULE)
    *short, enough = jobs
    assert enough.state == "COMPLETED" and short and not {"COMPLETED"} & {job.state for job in short}
    asked = [int(job.memory.removesuffix("M")) for job in jobs]
    assert asked == [asked[0] * 2**number for number in range(len(jobs))]


def test_a_job_whose_node_went_down_runs_on_another(faults, slurm):
    (job,) = faults.heads["node_down"].jobs(RULE)
    assert (job.state, slurm.restarts(job)) == ("COMPLETED", 1)
    assert faults.node not in ("n1", job.node)
    assert "Trying to restart" not in faults.heads["node_down"].said(), "SLURM puts it back, Snakemake need not"


def test_jobs_go_on_without_their_snakemake_and_the_next_one_waits_for_them(faults):
    head = faults.heads["head_killed"]
    assert "The last Snakemake of run tiny was killed; its lock is cleared away." in head.said()
    assert WAITED in head.said()
    assert states(head, RULE) == ["COMPLETED"], "submitted by the first, and not again by the second"
    assert states(head, "report") == ["COMPLETED"]


def test_what_was_finished_without_snakemake_has_its_record(faults):
    """Otherwise Snakemake would not see when its parameters change."""
    space = faults.heads["head_killed"].space
    assert space.jobs() == {}
    assert "missing provenance" not in space.snakemake("-n", "--configfile", "tiny.yaml").stdout
    assert space.jobs("--config", "samples={causal: true}")[RULE] == 1


def test_preempted_training_goes_on_after_its_last_epoch(faults, slurm, make_head):
    head = faults.heads["preempted"]
    (job,) = head.jobs(TRAINING)
    assert slurm.state(faults.urgent) == "COMPLETED", "it needs all of the node's GPUs, one of which training had"
    assert (job.state, slurm.restarts(job)) == ("COMPLETED", 1)
    (log,) = (head.space.root / "logs" / TRAINING).glob("*.log")
    # The second, where the machine was too busy to stop it at once.
    assert re.search("going on after epoch [12]", log.read_text())

    undisturbed = make_head("undisturbed", [CHECKPOINT])
    undisturbed.space.snakemake(CHECKPOINT, "--cores", "1", "--configfile", "tiny.yaml", "--config", EPOCHS)
    assert filecmp.cmp(undisturbed.space.root / CHECKPOINT, head.space.root / CHECKPOINT, shallow=False)
