"""Only verify, validate and compare rules read the truth of the twin, proven on the inputs of every job of a plan."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

#: Prints every job of the plan with its inputs and outputs, those of input functions included; targets are arguments.
LISTING = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(configfiles=[Path("tiny.yaml")]),
        snakefile=Path("Snakefile"),
    )
    sys.stdout = open("/dev/null", "w")
    workflow.dag(DAGSettings(targets=set(sys.argv[1:]))).printfilegraph()
    jobs = [[job.rule.name, list(job.input), list(job.output)] for job in workflow._workflow.dag.jobs]
Path("jobs.json").write_text(json.dumps(jobs))
"""


@pytest.fixture(scope="module")
def space(make_workspace):
    return make_workspace("truth")


def jobs_of(space, *targets):
    command = [sys.executable, "-c", LISTING, *targets]
    done = subprocess.run(command, cwd=space.root, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((space.root / "jobs.json").read_text())


def readers(jobs):
    return {rule for rule, inputs, _ in jobs if any("/truth/" in path for path in inputs)}


def test_only_rules_that_verify_and_validate_read_the_truth(space):
    jobs = jobs_of(space)
    assert {name.split("_")[0] for name in readers(jobs)} <= {"verify", "validate"}
    assert {rule for rule, _, outputs in jobs if any("/truth/" in path for path in outputs)} == {"twin_month"}
    # The listing is complete: it resolves input functions too.
    assert len(jobs) > 30
    assert {"build/tiny/bands/2016-06.nc"} <= {
        path for rule, inputs, _ in jobs if rule == "downscale_month" for path in inputs
    }


@pytest.mark.parametrize("target", ["compare_models", "compare_parts"])
def test_a_comparison_reads_the_truth_to_score_and_not_to_train(space, target):
    jobs = jobs_of(space, target)
    assert readers(jobs) == {"compare_scores", "compare_references"}
    assert "train_model" in {rule for rule, _, _ in jobs}


def test_an_explanation_reads_no_truth(space):
    jobs = jobs_of(space, "explain")
    assert readers(jobs) == set() and "explain_model" in {rule for rule, _, _ in jobs}


def test_a_planted_reader_is_found(space):
    def plant(text):
        line = '        predictors="build/{run}/predictors/{month}.nc",\n'
        return text.replace(line, line + '        leak=lambda w: PLAN.at("build/{run}/truth/{month}.nc", [w.month]),\n')

    with space.edited("workflow/rules/downscale.smk", plant):
        assert "downscale_month" in readers(jobs_of(space))


def test_the_truth_is_named_only_where_it_is_made_and_scored(space):
    """No other rule gets the folder by a parameter, and no other module knows its name."""
    naming = {path.name for path in (space.root / "workflow").rglob("*.smk") if "/truth/" in path.read_text()}
    assert naming <= {"twin.smk", "verify.smk", "validate.smk", "compare.smk"}
    assert not [path for path in (space.root / "src").rglob("*.py") if "truth/{" in path.read_text()]
