"""The profiles: where jobs go stands in them and nowhere else, and they agree with the rules."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
import yte

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


def options(*arguments: str, **environment: str) -> dict:
    """Executor, retries and limits of a command line."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    done = subprocess.run(
        [sys.executable, "-c", READ, *arguments],
        cwd=REPOSITORY, env=clean | environment, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_partitions_and_accounts_stand_in_the_profile_only():
    words = re.compile(r"partition|slurm_account|nodelist|qos", re.I)
    for path in [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow").rglob("*.smk")]:
        assert not words.search(path.read_text()), path.name
    assert words.search((PROFILES / "slurm" / "config.yaml").read_text())


#: Rules that are short or of which there are few, and that are in no group all the same.
ALONE = {
    "fetch_era5_edge": "waits for a service, for as long as that takes",
    "fetch_era5_land": "waits for a service",
    "fetch_smap": "waits for a service",
    "fetch_terrain": "waits for a service",
    "verify_references": "three quarters of an hour for a month of the Plateau",
    "verify_twin": "one job, only where asked for",
    "compare_references": "one job, only where asked for",
    "compare_numbers": "one job, only where asked for",
    "explain_figures": "one job, only where asked for",
}


def wrong(profile: Mapping) -> set[str]:
    """What is wrong in a profile: names of rules and groups that are not there, or not as they should be."""
    nets, groups = profile["set-resources"], profile["groups"]
    found = set(nets) ^ ON_NETS
    found |= {rule for rule, one in nets.items() if one != {"gpu": 1, "slurm_partition": "gpu"}}
    found |= set(groups) - (set(RULES) - ON_NETS - LOCAL - set(ALONE))
    found |= set(RULES) - ON_NETS - LOCAL - set(ALONE) - set(groups)
    return found | (set(profile["group-components"]) - set(groups.values()))


def test_jobs_that_run_a_net_get_one_gpu_each_and_short_ones_go_together():
    assert wrong(SLURM) == set()
    assert set(ALONE) <= set(RULES)


def changed(section: str, name: str, value: object) -> dict:
    """The SLURM profile with another entry; without it where ``value`` is None."""
    entries = {key: kept for key, kept in (SLURM[section] | {name: value}).items() if kept is not None}
    return SLURM | {section: entries}


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("set-resources", "train_modell", {"gpu": 1, "slurm_partition": "gpu"}),
        ("set-resources", "train_model", None),
        ("set-resources", "train_model", {"gpu": 1, "slurm_partition": "cpu"}),
        ("set-resources", "regrid_smap", {"gpu": 1, "slurm_partition": "gpu"}),
        ("groups", "regrid_smapp", "smap"),
        ("groups", "train_model", "samples"),
        ("groups", "twin_static", "world"),
        ("groups", "validate_triple", None),
        ("group-components", "smapp", 12),
    ],
)
def test_a_wrong_entry_is_found(section, name, value):
    """The control of the test above."""
    assert wrong(changed(section, name, value)) == {name}


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


# On the workstation, and elsewhere ------------------------------------------------------------------------------------

BY_NAME = "--profile", "mycluster"
FROM_THE_SHELL = {"SNAKEMAKE_PROFILE": "profiles/slurm"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> str:
    """A folder of settings, as ~/.config, with profiles that have a name: of a cluster, and of a workstation."""
    folder = tmp_path_factory.mktemp("settings")
    for name, file in (("mycluster", "config.yaml"), ("mynewcluster", "config.v8+.yaml")):
        (folder / "snakemake" / name).mkdir(parents=True)
        shutil.copy(PROFILES / "slurm" / "config.yaml", folder / "snakemake" / name / file)
    (folder / "snakemake" / "mine").mkdir()
    (folder / "snakemake" / "mine" / "config.yaml").write_text("cores: 2\n")
    return str(folder)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--profile", "profiles/slurm"), {}),
        (("--profile=profiles/slurm",), {}),
        (("--profile", "profiles/slurm/config.yaml"), {}),
        (("--profile", "profiles/slurm", "--", "results/demo/report.html"), {}),
        (("--workflow-profile", "profiles/slurm"), {}),
        (("-n",), FROM_THE_SHELL),
        (("-n", *BY_NAME), {}),
        (("-n", "--profile", "mynewcluster"), {}),
        (("-n",), {"SNAKEMAKE_PROFILE": "mycluster"}),
        (("-n", "--profile", "mine", *BY_NAME), {}),
    ],
    ids=str,
)
def test_the_cluster_is_not_bound_by_the_workstation(settings, arguments, environment):
    given = options(*arguments, XDG_CONFIG_HOME=settings, **environment)
    assert given["limits"] == {"mem_mb": SLURM["resources"]["mem_mb"], "cds": 2, "earthdata": 3}
    assert (given["executor"], given["retries"]) == ("slurm", 2)


def test_an_executor_without_a_profile_is_bound_by_the_services_alone():
    given = options("--executor", "slurm", "--jobs", "9")
    assert (given["executor"], given["limits"]) == ("slurm", {"cds": 2, "earthdata": 3})


def definitions() -> dict:
    """What the workstation's profile defines as functions."""
    made: dict = {"os": os, "Path": Path}
    for source in yaml.safe_load((PROFILES / "default" / "config.yaml").read_text())["__definitions__"]:
        if source.startswith("def "):
            exec(source, made)
    return made


MEMORY_OF = definitions()["memory_of"]
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("-n",), {}),
        (("--cores", "2", "--executor", "local"), {}),
        (("-n", "--profile", "mine"), {}),
        (("-n", "--profile", "none"), FROM_THE_SHELL),
    ],
    ids=str,
)
def test_the_workstation_knows_its_memory_and_has_one_gpu(settings, arguments, environment):
    given = options(*arguments, XDG_CONFIG_HOME=settings, **environment)
    assert given["executor"] in (None, "local")
    assert given["limits"] == {"mem_mb": int(0.8 * MEMORY_OF() / 2**20), "gpu": 1, "cds": 2, "earthdata": 3}
    assert MEMORY_OF() <= MACHINE


def test_words_of_a_program_that_drives_snakemake_are_no_options():
    drive = f"import sys\nwords, sys.argv = sys.argv[1:], ['driver', '--quiet', 'words of its own']\n{READ}".replace(
        "parse_args(sys.argv[1:])", "parse_args(words)"
    )
    done = subprocess.run(
        [sys.executable, "-c", drive, "--retries", "3"],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=True,
    )  # fmt: skip
    driven = json.loads(done.stdout)
    assert driven["retries"] == 3 and driven["limits"] == options()["limits"]


@pytest.mark.parametrize(
    ("membership", "limits"),
    [
        ("0::/", {"memory.max": "4096"}),
        ("0::/job_7/step_0", {"job_7/memory.max": "4096", "job_7/step_0/memory.max": "max"}),
        ("0::/job_7/step_0", {"job_7/memory.max": "8192", "job_7/step_0/memory.max": "4096"}),
        ("2:cpu:/job_8\n1:memory:/job_7", {"memory/job_7/memory.limit_in_bytes": "4096"}),
        ("1:memory,hugetlb:/docker/0123", {"memory/memory.limit_in_bytes": "4096"}),
    ],
    ids=["docker", "slurm", "slurm, within a limit", "first version", "first version, docker"],
)
def test_a_container_or_a_job_has_the_memory_that_it_was_given(tmp_path, membership, limits):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{membership}\n")
    for name, limit in limits.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
    assert MEMORY_OF(tmp_path) == 4096


@pytest.mark.parametrize(
    ("membership", "limits"),
    [
        (None, {}),
        ("0::/job_7", {"job_7/memory.max": "max"}),
        ("0::/job_7", {"job_8/memory.max": "4096"}),
        ("1:memory:/", {"memory/memory.limit_in_bytes": "9223372036854771712"}),
        ("1:cpu:/", {"memory/memory.limit_in_bytes": "4096"}),
    ],
    ids=["no cgroups", "no limit", "that of another one", "first version", "another controller"],
)
def test_without_a_limit_it_is_the_machines(tmp_path, membership, limits):
    """The control of the test above."""
    for name, text in {
        "proc/self/cgroup": membership,
        **{f"sys/fs/cgroup/{name}": v for name, v in limits.items()},
    }.items():
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
    assert MEMORY_OF(tmp_path) == MACHINE


# What a cluster is asked for ------------------------------------------------------------------------------------------

#: Plans as Snakemake does, and prints of each job what the executor asks SLURM for. (A dry run itself adds up the jobs
#: of a group as on one machine.)
ASK = """\
import json, sys
from snakemake.executors import dryrun
from snakemake.resources import GroupResources
from snakemake_executor_plugin_slurm_jobstep import get_cpu_setting
from types import SimpleNamespace

def ask(self, job):
    found, jobs = job.resources, [job]
    if job.is_group():
        jobs = list(job.jobs)
        found = GroupResources.basic_layered(job.toposorted, job.global_resources, False, ["runtime"], ["runtime"])
    found = dict(found.items())
    cpus = get_cpu_setting(SimpleNamespace(threads=found["_cores"], resources=found), False)
    kept = {name: found.get(name) for name in ("gpu", "slurm_partition", "mem_mb", "runtime")}
    rules = [one.rule.name for one in jobs]
    kept |= {"what": getattr(job, "groupid", None), "rules": rules, "cpus": cpus}
    print("ASKED", json.dumps(kept, default=str))
    plain(self, job)

plain, dryrun.Executor.run_job = dryrun.Executor.run_job, ask
from snakemake.cli import main
main(sys.argv[1:])
"""


def asked(workspace, *arguments: str) -> list[dict]:
    """What the jobs of a plan ask a cluster for."""
    command = [sys.executable, "-c", ASK, "-n", "--quiet", "all", *arguments]
    done = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, timeout=1200, check=True)
    return [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("ASKED ")]


def test_no_group_of_three_years_asks_for_more_than_a_node(workspace):
    jobs = asked(workspace, "--profile", "profiles/slurm")
    cpus = {}
    for job in jobs:
        cpus.setdefault(job["what"], set()).add(int(job["cpus"].removeprefix("--cpus-per-task=")))
        assert job["rules"] == ["all"] or int(job["mem_mb"]) <= SLURM["resources"]["mem_mb"]
    assert max(map(max, cpus.values())) == SLURM["cores"] == 16
    assert cpus["manifests"] == {16} and cpus["smap"] == {12} and cpus["bands"] == {1}
    assert max(len(job["rules"]) for job in jobs if job["what"] == "manifests") == 24, "more than cores: the control"
    assert sum(job["what"] == "validation" for job in jobs) == 1


# The comparison over several worlds -----------------------------------------------------------------------------------


def of_the_worlds() -> dict:
    """The profile that goes on top, with the names as Snakemake gets them in this folder."""
    return yte.process_yaml((PROFILES / "slurm_research" / "config.yaml").read_text(), require_use_yte=True)


def test_the_rules_of_every_world_are_sent_where_those_of_a_run_are(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    profile = of_the_worlds()
    research = yaml.safe_load((REPOSITORY / "config" / "research.yaml").read_text())
    worlds = [*research["worlds"], *research["controls"]]
    text = (REPOSITORY / "workflow" / "research.smk").read_text()
    assert {name for name, _ in re.findall(r"^use rule \* from (\w+) as (\w+)_\*$", text, re.M)} == set(worlds)
    for section in ("set-resources", "groups"):
        assert profile[section] == {f"{world}_{rule}": one for world in worlds for rule, one in SLURM[section].items()}


def test_without_a_gpu_partition_there_is_no_block_for_worlds_either(tmp_path, monkeypatch):
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    (tmp_path / "profiles" / "slurm").mkdir(parents=True)
    without = {section: entries for section, entries in SLURM.items() if section != "set-resources"}
    (tmp_path / "profiles" / "slurm" / "config.yaml").write_text(yaml.safe_dump(without))
    monkeypatch.chdir(tmp_path)
    assert set(of_the_worlds()) == {"groups"}


def test_jobs_of_a_world_ask_for_the_gpu(workspace):
    target = "build/ngari/models/pscnet_0.safetensors"
    profiles = ("--profile", "profiles/slurm", "--profile", "profiles/slurm_research")
    partitions = []
    for given in (profiles, profiles[:2]):
        jobs = asked(workspace, "-s", "workflow/research.smk", *given, "--", target)
        (job,) = (job for job in jobs if job["rules"] == ["ngari_train_model"])
        partitions.append(job["slurm_partition"])
        assert given != profiles or job["gpu"] == 1
    assert partitions == ["gpu", "cpu"], "without the second profile on the CPUs: the control"


def test_jobs_of_the_comparison_ask_for_twice_as_much_at_every_attempt():
    text = (REPOSITORY / "workflow" / "research.smk").read_text()
    numbers = re.findall(r"^        (?:mem_mb|runtime)=(.*),$", text, re.M)
    assert len(numbers) == 4
    for number in numbers:
        ask = eval(number)
        assert [ask({}, attempt) for attempt in (1, 2, 3)] == [ask({}, 1), 2 * ask({}, 1), 4 * ask({}, 1)]
