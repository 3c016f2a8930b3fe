"""Nothing but the configuration, and the simulated Plateau, knows a place: no name and no coordinate in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from pscnet.provenance import PACKAGE, SOURCE_ROOT
from tests.conftest import REPOSITORY

ROOT = SOURCE_ROOT / PACKAGE

#: Rooms that are about the simulated Plateau itself, by name: its simulation and its review.
ABOUT_THE_TWIN = re.compile(r"(^|/)twin")

#: Names of the default region and of places in it; an example of a file's name in a message is none.
NAMES = re.compile(r"\b(tibet\w*|qinghai|plateau\w*|naqu|maqu|ngari|lhasa|himalaya\w*)\b(?!\.(yaml|csv))", re.I)

#: How the twin is spoken of where a message offers it.
THE_TWIN = re.compile(r"(the )?(built-in )?simulated plateau", re.I)

REGION = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())["region"]

#: Functions that take a box.
OF_A_BOX = {"check_box", "fine_grid", "regular_grid", "ease2_grid"}

MODULES = [path for path in sorted(ROOT.rglob("*.py")) if not ABOUT_THE_TWIN.search(path.relative_to(ROOT).as_posix())]
RULES = sorted((REPOSITORY / "workflow").rglob("*.smk")) + sorted((REPOSITORY / "workflow" / "scripts").glob("*.py"))


def places(text: str) -> list[str]:
    """Names and coordinates of places in a module's strings, numbers and calls; not in comments and docstrings."""
    tree, found = ast.parse(text), []
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            found += [match.group() for match in NAMES.finditer(THE_TWIN.sub("", node.value))]
        elif isinstance(node, ast.Name | ast.Attribute | ast.FunctionDef | ast.arg):
            name = getattr(node, "id", getattr(node, "attr", getattr(node, "name", getattr(node, "arg", ""))))
            found += [match.group() for match in NAMES.finditer(name.replace("_", " "))]
        elif isinstance(node, ast.Tuple | ast.List):
            numbers = [item.value for item in node.elts if isinstance(item, ast.Constant)]
            found += [str(numbers)] * (numbers in REGION.values())
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in OF_A_BOX:
            literal = [item for item in node.args if isinstance(item, ast.Tuple | ast.List)]
            found += [ast.unparse(item) for item in literal if all(isinstance(one, ast.Constant) for one in item.elts)]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_know_no_place(path: Path):
    assert places(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [path for path in RULES if "twin" not in path.stem], ids=lambda path: path.name)
def test_rules_and_scripts_know_no_place(path: Path):
    code = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    worlds = {"naqu", "maqu", "ngari"} if path.name == "research.smk" else set()  # of the twin, by their names
    assert {match.group().lower() for match in NAMES.finditer(THE_TWIN.sub("", code))} <= worlds


@pytest.mark.parametrize(
    "planted",
    [
        'TITLE = "Soil moisture of the Tibetan Plateau"',
        "grid = regular_grid((31.0, 32.0), (91.0, 92.0), 0.1)",
        "LON = (73, 105)",
        "def over_lhasa():\n    return 1",
        'if run == "naqu":\n    height = 1',
    ],
)
def test_a_planted_place_is_found(planted):
    assert places(planted)


@pytest.mark.parametrize(
    "harmless",
    [
        '"""Of the Plateau."""\nx = 1  # as in Naqu',
        'MESSAGE = "type source: twin, the built-in simulated Plateau"',
        "LIMITS = (0.0, 0.45)",
        'EXAMPLE = "stations: [/data/ismn.zip, naqu.yaml]"',
    ],
)
def test_what_names_no_place_is_not(harmless):
    assert places(harmless) == []
