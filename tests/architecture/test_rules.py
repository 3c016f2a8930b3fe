"""The workflow's layout and naming law, read from its files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOW = REPOSITORY / "workflow"
SCRIPTS = sorted((WORKFLOW / "scripts").glob("*.py"))

NEEDED = {"input", "output", "log", "benchmark", "threads", "resources", "params", "conda", "message", "script"}


def rules_in(text: str) -> dict[str, dict[str, str]]:
    """Rules of a formatted rule file: name to directive to text."""
    rules = {}
    for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.M):
        parts = re.split(r"^    (\w+):", body, flags=re.M)
        rules[name] = dict(zip(parts[1::2], parts[2::2], strict=True))
    return rules


RULES = {
    name: {**directives, "stage": path.stem}
    for path in sorted((WORKFLOW / "rules").glob("*.smk"))
    for name, directives in rules_in(path.read_text()).items()
}


def lacking(name: str, rule: dict[str, str]) -> list[str]:
    """What a rule breaks of the conventions."""
    complaints = [f"no {directive}" for directive in sorted(NEEDED - set(rule))]
    if complaints:
        return complaints
    expected = {
        "input": f'code=code_of("{name}")',
        "log": f'"logs/{name}/{{run}}',
        "benchmark": f'"runtimes/{name}/{{run}}',
        "script": f'"../scripts/{name}.py"',
    }
    complaints += [f"{key} without {text}" for key, text in expected.items() if text not in rule[key]]
    complaints += [f"resources without {key}" for key in ("mem_mb", "runtime") if f"{key}=" not in rule["resources"]]
    complaints += ["the whole configuration as parameter"] * bool(re.search(r"=(config|PLAN\.config),", rule["params"]))
    # lambdas and expand() stand among the values; every entry itself has a name
    complaints += ["a parameter without name"] * bool(re.search(r"^ {8}[^\s\w]", rule["params"], re.M))
    return complaints


def test_rules_are_there():
    assert len(RULES) >= 23


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_complete(name):
    assert lacking(name, RULES[name]) == []


def test_an_incomplete_rule_is_found():
    name, rule = next(iter(RULES.items()))
    without = {key: text for key, text in rule.items() if key != "benchmark"}
    assert lacking(name, without) == ["no benchmark"]
    assert lacking("other_rule", rule) != []
    assert "the whole configuration as parameter" in lacking(name, {**rule, "params": "\n        all=PLAN.config,\n"})


@pytest.mark.parametrize("name", RULES)
def test_rules_are_named_after_their_stage(name):
    assert name.startswith(f"{RULES[name]['stage']}_")


def test_gpus_are_asked_for_by_the_rules_that_run_the_net_only():
    asking = {name for name in RULES if "gpu=" in RULES[name]["resources"]}
    assert asking == {"train_model", "downscale_month", "verify_heldout", "explain_model", "compare_scores"}


def test_every_rule_has_its_script_and_every_script_its_rule():
    research = (WORKFLOW / "research.smk").read_text()
    over_worlds = set(re.findall(r'"scripts/(\w+)\.py"', research)) - set(RULES)
    assert over_worlds <= set(rules_in(research))
    assert {path.stem for path in SCRIPTS} == set(RULES) | over_worlds


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_thin(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    fetching = path.stem.startswith("fetch_")
    assert f"with log_to(snakemake.log[0]){' as screen, guarded()' if fetching else ''}:" in text
    assert not re.search(r"^\s*(if|for|while|def|class|try)\b", text, re.M), "logic belongs into the package"


def test_every_wildcard_is_constrained_and_explained():
    snakefile = (REPOSITORY / "Snakefile").read_text()
    readme = "".join(re.findall(r"^\| `\{.*?\|", (REPOSITORY / "README.md").read_text(), re.M))
    patterns = "".join(rule["output"] + rule["log"] for rule in RULES.values())
    used = set(re.findall(r"(?<!\{)\{(\w+)\}(?!\})", patterns)) - {"name"}  # the name of expand()
    constrained = set(re.findall(r"^    (\w+)=", snakefile, re.M))
    assert used <= constrained
    assert used == set(re.findall(r"\{(\w+)\}", readme))
    assert "month" in used


def test_the_snakefile_holds_targets_and_includes_only():
    lines = (REPOSITORY / "Snakefile").read_text().splitlines()
    assert len(lines) <= 110
    assert [line for line in lines if line.startswith("rule ")] == ["rule all:", "rule fetch:"]
    assert not any(line.lstrip().startswith("def ") for line in lines)


def test_the_rules_over_all_worlds_are_complete():
    rules = {name: rule for name, rule in rules_in((WORKFLOW / "research.smk").read_text()).items() if "script" in rule}
    assert len(rules) >= 2
    for name, rule in rules.items():
        script = Path(re.search(r'"(.+)"', rule["script"]).group(1)).stem
        assert NEEDED - set(rule) == set(), name
        assert f'code=code_of("{script}")' in rule["input"], name
        assert f'"logs/{name}/' in rule["log"] and f'"runtimes/{name}/' in rule["benchmark"], name
        assert "mem_mb=" in rule["resources"] and "runtime=" in rule["resources"], name


def test_optional_targets_are_rules_without_work():
    rules = rules_in((WORKFLOW / "targets.smk").read_text())
    assert {"explain", "compare_models", "compare_parts"} <= set(rules)
    assert all(set(rule) - {"stage"} <= {"input", "message"} for rule in rules.values())


def test_raw_folders_are_neither_input_nor_output():
    for name, rule in RULES.items():
        assert "twin/raw" not in rule["input"] + rule["output"], name
        assert "PLAN.config.archive" not in rule["input"] + rule["output"], name
