"""The files behind a rule, on a small package made for the purpose."""

from __future__ import annotations

import json

import netCDF4
import pytest

from pscnet import __version__, provenance
from pscnet.provenance import code_of


@pytest.fixture
def package(tmp_path):
    """A package with a re-exporting sub-package, a relative import, a type-only import and assets."""
    files = {
        "src/pscnet/__init__.py": "",
        "src/pscnet/a.py": "from pscnet.deep import low\n",
        "src/pscnet/deep/__init__.py": "from pscnet.deep.high import top\n",
        "src/pscnet/deep/low.py": "def f():\n    from .. import late\n    from .side import x\n",
        "src/pscnet/deep/side.py": "x = 1\n",
        "src/pscnet/deep/high.py": "top = 1\n",
        "src/pscnet/late.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pscnet import types\n",
        "src/pscnet/types.py": "",
        "src/pscnet/page/__init__.py": "",
        "src/pscnet/page/make.py": "import pscnet.a as other\n",
        "src/pscnet/page/assets/style.css": "",
        "scripts/use_a.py": "import numpy\nfrom pscnet.a import thing\n",
        "scripts/use_deep.py": "from pscnet.deep import top\n",
        "scripts/use_page.py": "from pscnet.page.make import page\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def behind(package, rule):
    return {path.removeprefix(f"{package}/") for path in code_of(rule, package / "scripts", package / "src")}


def test_code_is_what_the_script_uses(package):
    expected = {
        "scripts/use_a.py",
        "src/pscnet/__init__.py",
        "src/pscnet/a.py",
        "src/pscnet/deep/__init__.py",
        "src/pscnet/deep/low.py",
        "src/pscnet/deep/side.py",
        "src/pscnet/late.py",
    }
    assert behind(package, "use_a") == expected


def test_names_from_a_package_pull_in_what_it_re_exports(package):
    assert "src/pscnet/deep/high.py" in behind(package, "use_deep")
    assert "src/pscnet/deep/low.py" not in behind(package, "use_deep")


def test_assets_belong_to_their_package(package):
    found = behind(package, "use_page")
    assert {"src/pscnet/page/assets/style.css", "src/pscnet/a.py"} <= found
    assert "src/pscnet/page/assets/style.css" not in behind(package, "use_a")


def test_paths_are_relative_to_the_working_directory(package, monkeypatch):
    monkeypatch.chdir(package)
    assert code_of("use_deep", package / "scripts", package / "src")[0] == "scripts/use_deep.py"


def test_a_rule_without_script_is_an_error(package):
    with pytest.raises(FileNotFoundError, match="no_such_rule"):
        code_of("no_such_rule", package / "scripts", package / "src")


def test_digests_do_not_depend_on_order():
    assert provenance.digest({"a": 1, "b": [2, 3]}) == provenance.digest({"b": [2, 3], "a": 1})
    assert provenance.digest({"a": 1, "b": [2, 3]}) != provenance.digest({"a": 1, "b": [3, 2]})


def test_a_product_says_where_it_comes_from(tmp_path):
    with netCDF4.Dataset(tmp_path / "weights.nc", "w") as file:
        file.engine = "exact"
    for name in ("first", "second", "one.json", "two.json"):
        (tmp_path / name).write_text(json.dumps(name))

    def record(*names, members=("first",)):
        manifests, checkpoints = ([tmp_path / name for name in group] for group in (names, members))
        return provenance.of_product("abc", checkpoints, tmp_path / "weights.nc", manifests, "mlp")

    made = record("one.json", "two.json")
    assert (made["version"], made["config_hash"], made["weight_engine"]) == (__version__, "abc", "exact")
    assert made == record("two.json", "one.json")
    assert made["manifests_hash"] != record("one.json")["manifests_hash"]
    assert made["model"] == "mlp"
    assert made["checkpoint_hash"] == provenance.hash_file(tmp_path / "first")
    ensemble = record("one.json", "two.json", members=("first", "second"))
    assert len({made["checkpoint_hash"], ensemble["checkpoint_hash"], provenance.hash_file(tmp_path / "second")}) == 3
    assert {key for key in made if made[key] != ensemble[key]} == {"checkpoint_hash"}


def test_commit_outside_of_a_checkout(tmp_path):
    assert provenance.commit(tmp_path) == "unknown"
