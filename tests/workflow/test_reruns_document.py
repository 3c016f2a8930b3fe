"""docs/reruns.md is what plans of a complete run say today, and its parts agree with each other."""

from __future__ import annotations

import re

import pytest

from pscnet.provenance import code_of
from tests.conftest import REPOSITORY
from tests.workflow import reruns

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result(tiny_run, tmp_path_factory):
    """Every change, planned."""
    root = tmp_path_factory.mktemp("reruns") / "space"
    reruns.prepare(root, tiny_run.root)
    return reruns.replan(root, reruns.changes())


def test_the_document_is_what_is_planned_today(result):
    assert reruns.DOCUMENT.read_text() == reruns.document(result), "docs/reruns.md is stale: type make docs"


def test_every_key_of_the_configuration_is_changed_or_named(result):
    table = (REPOSITORY / "config" / "README.md").read_text()
    keys = set(re.findall(r"^\| `([\w.]+)` \|", table, re.M))
    changed = {change.id.split()[1] for change in reruns.key_changes()}
    one_choice = {"grids.fine.name", "grids.coarse.kind", "grids.coarse.name"}
    in_lists = {key for key in keys if key.startswith(("samples.withheld.", "validation.third."))}
    alone = {key for key, value in reruns.VALUES.items() if value is None}
    assert keys - changed == one_choice | in_lists | alone
    assert len(changed) > 80


def test_every_module_of_the_package_is_in_the_table():
    text = reruns.DOCUMENT.read_text()
    modules = [path for path in (REPOSITORY / "src" / "pscnet").rglob("*.py")]
    assert len(modules) > 100
    for path in modules:
        assert f"`{path.relative_to(REPOSITORY / 'src' / 'pscnet')}`" in text, path


def test_a_planned_rerun_begins_with_the_rules_whose_code_was_edited(result):
    """The imports, followed without running anything, and the plan agree: nothing less runs, and nothing before it."""
    for change, rules in zip(reruns.module_changes(), reruns.groups(), strict=True):
        plan = result["found"][change.id]
        assert set(plan["again"]) >= rules & set(plan["all"]), change.id
        assert bool(plan["again"]) == bool(rules & set(plan["all"])), change.id


def test_users_are_code_of_the_other_way_round():
    users = reruns.users()
    for rule in ("train_model", "report_page", "regrid_smap"):
        expected = {path for path in code_of(rule) if path.startswith("src/")}
        assert expected == {path for path, rules in users.items() if rule in rules}


def jobs_after(result, change: str) -> dict[str, int]:
    return result["found"][change]["again"]


def test_what_the_project_promises(result):
    """A plot option does not retrain, a split does not fetch, a month does not train, a date reruns nothing."""
    assert jobs_after(result, "key report.colormap") == {"report_figures": 1, "report_quicklook": 3, "report_page": 1}
    for key in ("split", "training.epochs", "model.width", "downscale.tile", "samples.causal"):
        assert not [rule for rule in jobs_after(result, f"key {key}") if rule.startswith(("twin", "regrid"))], key
    assert "train_model" not in jobs_after(result, "key period.end")
    assert all(not jobs_after(result, change.id) for change in reruns.file_changes() if "touched" in change.id)
    lost = jobs_after(result, "raw a fetched SMAP file lost")
    assert (lost["fetch_smap"], lost["regrid_smap"]) == (1, 1)


def test_a_change_is_seen(result):
    """The control: plans are not all alike, and what was planned is put back."""
    assert len({str(plan["again"]) for plan in result["found"].values()}) > 40
    assert jobs_after(result, "key fetch.reserve_gb") == {}
    assert jobs_after(result, "key region.lat")["twin_month"] == 3
