"""Which room may import what, held by walking the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pscnet.provenance import PACKAGE, SCRIPTS, SOURCE_ROOT, code_of, imported_modules
from pscnet.provenance import _imported_names as imported_names

ROOT = SOURCE_ROOT / PACKAGE
MODULES = sorted(ROOT.rglob("*.py"))

#: Library: rooms (modules or folders of the package) that may import it. Nobody else may.
ALLOWED = {
    "snakemake": set(),
    "xesmf": {"regrid.py"},
    "cdsapi": {"sources"},
    "earthaccess": {"sources"},
    "ismn": {"sources"},
    "rioxarray": {"sources"},
    "geopandas": {"sources"},
    "pytesmo": {"scores.py", "validation"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "PIL": {"report"},
    "sklearn": {"trees.py", "tree_arrays.py"},
    "torch": {
        "nets",
        "samples",
        "losses.py",
        "training",
        "trees.py",
        "tree_arrays.py",
        "downscale.py",
        "explain",
        "checkpoint.py",
        "devices.py",
        "validation/heldout.py",
        "validation/model_scores.py",
        "validation/references.py",
    },
}

#: What the twin may share with the rest: names, places and times, and the layout of its outputs.
TWIN_SHARES = {"__init__.py", "grids.py", "variables.py", "timeaxis.py"}

#: Longest module, and the reason why one may be longer.
LONGEST = 400
LONGER = {"config.py": "one typed definition of every key, from which schema and table are generated"}


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def forbidden_imports(path: Path, room: str) -> list[str]:
    """Libraries that the module imports and its room may not."""
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imported_names(node, [])
    }
    return [
        library
        for library in sorted(names & set(ALLOWED))
        if not any(room == place or room.startswith(f"{place}/") for place in ALLOWED[library])
    ]


def closure(paths: list[Path]) -> set[str]:
    """The package's modules that ``paths`` use, directly or through others."""
    found, queue = set(paths), list(paths)
    while queue:
        new = imported_modules(queue.pop())[0] - found
        found |= new
        queue += new
    return {room_of(path) for path in found if path.is_relative_to(ROOT)}


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_heavy_libraries_stay_in_their_rooms(path):
    assert forbidden_imports(path, room_of(path)) == []


def test_a_planted_import_is_found(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from torch import nn\n    import snakemake.script\n    return nn\n")
    assert forbidden_imports(planted, "grids.py") == ["snakemake", "torch"]
    assert forbidden_imports(planted, "nets/planted.py") == ["snakemake"]


def test_the_twin_shares_no_code_with_what_it_tests():
    twin = closure(sorted((ROOT / "twin").rglob("*.py")))
    assert {room for room in twin if not room.startswith("twin/")} <= TWIN_SHARES
    others = [path for path in MODULES if not room_of(path).startswith("twin/")]
    assert not {room for room in closure(others) if room.startswith("twin/")}


def test_only_scripts_of_the_twin_use_the_twin():
    for script in sorted(SCRIPTS.glob("*.py")):
        uses = any("/twin/" in path for path in code_of(script.stem))
        assert uses == script.stem.startswith("twin_"), script.name


def test_the_nets_import_torch_and_nothing_of_the_pipeline():
    assert {room for room in closure(sorted((ROOT / "nets").rglob("*.py"))) if not room.startswith("nets/")} <= {
        "__init__.py"
    }


def test_samples_are_made_without_knowing_which_net_reads_them_or_how_it_learns():
    """So that a new or an edited net, variant or loss makes no sample again."""
    specific = {room for room in map(room_of, MODULES) if room.startswith(("nets/", "training/"))} | {
        "losses.py",
        "trees.py",
        "variants.py",
    }
    specific -= {"nets/__init__.py", "nets/frame.py", "nets/spec.py", "nets/filters.py", "nets/operators.py"}
    specific -= {"nets/fusion.py", "nets/squeeze.py"}  # of the frame, which names a batch
    for script in sorted(SCRIPTS.glob("dataset_*.py")):
        behind = {room_of(Path(path).resolve()) for path in code_of(script.stem) if "/pscnet/" in path}
        assert not behind & specific, script.name
    behind = {room_of(Path(path).resolve()) for path in code_of("train_model") if "/pscnet/" in path}
    assert {"nets/registry.py", "nets/mlp.py", "losses.py", "training/trainer.py"} <= behind & specific


def test_only_verify_and_compare_scripts_use_the_rooms_that_read_the_truth():
    given = {room for room in map(room_of, MODULES) if "truths" in (ROOT / room).read_text(encoding="utf-8")}
    assert {"validation/score_run.py", "validation/model_scores.py"} <= given
    reading = {"validation/truth.py"} | given
    for script in sorted(SCRIPTS.glob("*.py")):
        if closure([script]) & reading:
            assert script.stem.startswith(("verify_", "validate_", "compare_", "research_")), script.name
    assert "validation/truth.py" in closure([SCRIPTS / "verify_scores.py"])
    assert "validation/model_scores.py" in closure([SCRIPTS / "compare_scores.py"])


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_modules_say_what_they_are_for_and_do_nothing_when_imported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module begins with the question that it answers"
    assert acting(tree) == []


def acting(tree: ast.Module) -> list[int]:
    """Lines of statements that act when the module is imported."""
    return [node.lineno for node in tree.body if isinstance(node, ast.For | ast.While | ast.With | ast.Delete)] + [
        node.lineno for node in tree.body if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    ]


def test_a_module_that_acts_is_found():
    assert acting(ast.parse('"""Text."""\nimport os\nos.environ.clear()\nx = 1\n')) == [3]


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_imports_can_be_followed(path):
    """``code_of`` follows import statements; an import by name at run time would escape it."""
    text = path.read_text(encoding="utf-8")
    assert "import_module(" not in text
    assert "__import__(" not in text


@pytest.mark.parametrize("path", MODULES, ids=room_of)
def test_modules_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST or room_of(path) in LONGER, f"{lines} lines: split it, or give the reason"
