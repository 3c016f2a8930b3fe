"""The profiles: where jobs go stands in them and nowhere else, and they agree with the rules."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.conftest import REPOSITORY

PROFILES = REPOSITORY / "profiles"
RULES = {
    name: body
    for path in sorted((REPOSITORY / "workflow" / "rules").glob("*.smk"))
    for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", path.read_text(), re.M)
}
LOCAL = {name for name, body in RULES.items() if "\n    localrule: True\n" in f"\n{body}"}
ON_NETS = {name for name, body in RULES.items() if "gpu=" in body}
SLURM = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text())


#: Prints what Snakemake makes of its command line, profiles included.
READ = """\
import json, sys
from snakemake.cli import parse_args
given = parse_args(sys.argv[1:])[1]
limits = {name: resource.value for name, resource in given.resources.items()}
print(json.dumps({"executor": given.executor, "retries": given.retries, "limits": limits}))
"""


def options(*arguments: str) -> dict:
    """Executor, retries and limits of a command line."""
    command = [sys.executable, "-c", READ, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


def test_partitions_and_accounts_stand_in_the_profile_only():
    words = re.compile(r"partition|slurm_account|nodelist|qos", re.I)
    for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow").rglob("*.smk")]:
        assert not words.search(path.read_text()), path.name
    assert words.search((PROFILES / "slurm" / "config.yaml").read_text())


def test_jobs_that_run_a_net_get_one_gpu_each():
    asked = SLURM["set-resources"]
    assert set(asked) == ON_NETS
    assert {(one["gpu"], one["slurm_partition"]) for one in asked.values()} == {(1, "gpu")}


def test_groups_are_of_rules_that_there_are_and_not_of_nets():
    assert set(SLURM["groups"]) <= set(RULES) - ON_NETS - LOCAL
    assert set(SLURM["group-components"]) <= set(SLURM["groups"].values())


def test_a_rule_that_is_not_there_would_be_found():
    """The control of the two tests above."""
    assert not {"train_modell"} <= set(RULES)
    assert ON_NETS and LOCAL


def test_trivial_rules_are_small():
    with open(REPOSITORY / "tests" / "unit" / "demands" / "recorded.csv", newline="") as file:
        recorded = list(csv.DictReader(file))
    jobs = [row for row in recorded if row["rule"] in LOCAL]
    assert {row["rule"] for row in jobs} == LOCAL
    assert all(float(row["longest"]) < 10 and float(row["mb"]) < 200 for row in jobs)
    assert any(float(row["mb"]) > 200 for row in recorded)


@pytest.mark.parametrize("key", ["rerun-triggers", "max-checksum-file-size", "rerun-incomplete", "keep-going", "quiet"])
def test_what_runs_again_is_the_same_in_both(key):
    default = yaml.safe_load((PROFILES / "default" / "config.yaml").read_text())
    assert SLURM[key] == default[key]


@pytest.mark.parametrize("option", [("--profile", "profiles/slurm"), ("--profile=profiles/slurm",)], ids=str)
def test_the_cluster_is_not_bound_by_the_workstation(option):
    given = options(*option)
    assert given["limits"] == {"mem_mb": SLURM["resources"]["mem_mb"], "cds": 2, "earthdata": 3}
    assert (given["executor"], given["retries"]) == ("slurm", 2)


def test_the_workstation_knows_its_memory_and_has_one_gpu():
    given = options("-n")
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    assert given["executor"] in (None, "local")
    assert given["limits"]["gpu"] == 1
    assert 0.79 * machine < given["limits"]["mem_mb"] <= 0.8 * machine
