"""The comparison over several worlds: modules of one workflow, each with a configuration of its own."""

from __future__ import annotations

import re

import pytest
import yaml

from pscnet.plan import Plan
from pscnet.research import Research, overlaid
from tests.conftest import REPOSITORY, planned

RESEARCH = ("-s", "workflow/research.smk")


@pytest.fixture(scope="module")
def research() -> Research:
    return Research.read(REPOSITORY / "config")


def test_sections_are_overlaid_key_by_key():
    base = {"a": {"x": 1, "y": {"z": 2}}, "b": 3}
    assert overlaid(base, {"a": {"y": {"z": 4}}, "c": 5}) == {"a": {"x": 1, "y": {"z": 4}}, "b": 3, "c": 5}
    assert base == {"a": {"x": 1, "y": {"z": 2}}, "b": 3}


def test_worlds_are_large_apart_and_long(research):
    plans = [Plan(research.settings[run]) for run in research.document["worlds"]]
    assert len(plans) >= 3
    assert (
        len({plan.config.twin.seed for plan in plans}) == len({plan.config.region.lon for plan in plans}) == len(plans)
    )
    for plan in plans:
        assert min(plan.config.fine_grid().shape) >= 64
        assert len(plan.months) >= 24
        assert plan.test_months[0] > plan.part_months("train", "validation")[-1]


def test_controls_are_the_first_world_with_other_predictors(research):
    first = Plan(research.settings[next(iter(research.document["worlds"]))]).config
    controls = [Plan(research.settings[run]).config for run in research.document["controls"]]
    assert {control.twin.control for control in controls} == {"null", "perfect"}
    assert all((c.region, c.period, c.twin.seed) == (first.region, first.period, first.twin.seed) for c in controls)


def test_every_world_and_control_is_a_module(research):
    text = (REPOSITORY / "workflow/research.smk").read_text()
    assert all(f"module {run}:" in text and f'settings["{run}"]' in text for run in research.settings)


def test_a_plan_trains_every_model_of_every_world(workspace, research):
    jobs = planned(workspace.snakemake("-n", *RESEARCH).stdout)
    for run in research.settings:
        plan = Plan(research.settings[run])
        trained = [name for name in plan.comparison("models") if name in plan.variants]
        assert jobs[f"{run}_train_model"] == len(trained) * plan.config.compare.seeds
    assert jobs["research_numbers"] == jobs["research_page"] == 1


def test_jobs_of_a_module_run_with_the_checkouts_own_package(workspace):
    """A module's ``workflow.basedir`` is that of the workflow around it, where there is no package."""
    script = "workflow/scripts/regrid_weights.py"
    with workspace.edited(
        script, lambda text: text.replace('"""\n', '"""\n\nimport pscnet\n\nprint(pscnet.__file__)\n', 1)
    ):
        done = workspace.snakemake(*RESEARCH, "--cores", "1", "--", "build/ngari/weights/bilinear_M36_M18.nc")
    logs = "".join(path.read_text() for path in (workspace.root / "logs/regrid_weights").glob("ngari*.log"))
    assert str(workspace.root / "src/pscnet/__init__.py") in done.stdout + logs


def test_a_killed_comparison_is_taken_over_in_its_last_stage_too(workspace):
    """Then its lists name files of no world."""
    locks = workspace.root / ".snakemake" / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    (locks / "7.output.lock").write_text("results/research/models.json\n")
    workspace.snakemake(*RESEARCH, "--cores", "1", "--", "build/ngari/weights/bilinear_M18_r0100.nc")
    assert not (locks / "7.output.lock").exists()


def test_jobs_of_the_comparison_itself_are_found_in_the_queue_by_its_run():
    """As SLURM's scripts name them: by their wildcards."""
    text = (REPOSITORY / "workflow/research.smk").read_text()
    paths = re.findall(r'"(results/\S+?)"', text.split("rule research_numbers")[1])
    assert "results/{run}/{table}.json" in paths
    assert not [path for path in paths if path.startswith("results/research/")]


def test_the_file_of_worlds_is_plain_yaml():
    document = yaml.safe_load((REPOSITORY / "config/research.yaml").read_text())
    assert set(document) == {"common", "worlds", "controls"}
