"""Each rule's conda environment: what its code imports and no more, in the versions of the lock file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pscnet.plan import Plan
from tests.architecture.test_rules import RULES, rules_in
from tests.environments import (
    FOLDER,
    ON_PYPI,
    OPTIONAL,
    REPOSITORY,
    WORKFLOW,
    Environment,
    environments,
    libraries,
    locked,
    modules_of,
    named_by,
    plain,
    read,
    required,
    top_level,
)

ENVIRONMENTS = environments()

#: Rules over all worlds of the comparison, by the name of their script.
RESEARCH = {
    Path(re.search(r'"(.+)"', rule["script"]).group(1)).stem: rule
    for rule in rules_in((WORKFLOW / "research.smk").read_text()).values()
    if "script" in rule
}

#: Rule to the environments that it names; two where the configuration chooses.
NAMED = {name: named_by(rule["conda"]) for name, rule in (RESEARCH | RULES).items()}

#: Packages that no import names: the interpreter and pip, ESMF's own package behind xesmf, the version of CUDA.
BEHIND = {"python", "pip", "esmpy", "cuda-version"}

#: Packages that are not on the Python package index, or not in the lock file since pip does not install them.
NOT_LOCKED = {"python", "pip", "esmpy", "xesmf", "cuda-version"}


def used_in(environment: str) -> set[str]:
    """Packages that the rules of an environment import."""
    return set().union(*(libraries(rule) for rule, names in NAMED.items() if environment in names))


def line_of(package: str) -> str:
    """What to write into an environment for a package."""
    version = locked().get(plain(ON_PYPI.get(package, package)), "")
    return f"{package}={'.'.join(version.split('.')[:2])}"


def test_every_rule_names_an_environment_that_is_there():
    assert set().union(*NAMED.values()) == set(ENVIRONMENTS)
    assert {"fetch", "geo", "torch_cpu", "torch_cuda", "validation", "analysis"} <= set(ENVIRONMENTS)


@pytest.mark.parametrize("rule", NAMED)
def test_the_environment_of_a_rule_has_what_its_code_imports(rule):
    for name in NAMED[rule]:
        lacks = libraries(rule) - OPTIONAL - ENVIRONMENTS[name].listed
        fits = [other for other, one in ENVIRONMENTS.items() if libraries(rule) - OPTIONAL <= one.listed]
        lines = ", ".join(map(line_of, sorted(lacks)))
        assert not lacks, f"{rule}: envs/{name}.yaml lacks {lines}; environments that have all: {fits or 'none'}"


def test_an_import_that_no_environment_has_is_found():
    """The control: imports are seen, inside of functions and by way of other modules too."""
    assert {"cdsapi", "tenacity", "urllib3"} <= libraries("fetch_era5_land")
    assert "xesmf" in libraries("regrid_weights") & ENVIRONMENTS["geo"].listed
    assert "netcdf4" in libraries("dataset_bands"), "xarray imports it by name"
    assert libraries("train_model") - ENVIRONMENTS["analysis"].listed >= {"pytorch", "safetensors"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_has_no_package_that_none_of_its_rules_imports(name):
    assert ENVIRONMENTS[name].listed - used_in(name) - BEHIND == set()


def test_torch_is_only_where_the_net_or_its_samples_are():
    with_torch = {name for name, one in ENVIRONMENTS.items() if "pytorch" in one.listed}
    assert with_torch == {"torch_cpu", "torch_cuda"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_packages_are_pinned_to_versions_that_the_lock_file_agrees_with(name):
    assert disagreeing(ENVIRONMENTS[name]) == []


def disagreeing(environment: Environment) -> list[str]:
    """Complaints about the versions of an environment."""
    lock, complaints = locked(), []
    for package, version in environment.conda.items():
        there = lock.get(plain(ON_PYPI.get(package, package)))
        if package in NOT_LOCKED:
            complaints += [f"{package} without version"] * (not version and package != "pip")
        elif there is None:
            complaints.append(f"{package} is not in the lock file")
        elif len(version.split(".")) < 2 or there.split(".")[: len(version.split("."))] != version.split("."):
            complaints.append(f"{package} {version or 'without version'}, locked {there}: write {line_of(package)}")
    for package, version in environment.pip.items():
        if lock.get(plain(package)) != version:
            complaints.append(f"{package} {version}, locked {lock.get(plain(package))}")
    return complaints


def test_another_version_is_found():
    wrong = Environment("wrong", {"numpy": "1.26", "xarray": "", "esmpy": "", "left-pad": "1.0"}, {"pytesmo": "0.1"})
    assert [text.split(",")[0] for text in disagreeing(wrong)] == [
        "numpy 1.26",
        "xarray without version",
        "esmpy without version",
        "left-pad is not in the lock file",
        "pytesmo 0.1",
    ]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_environment_files_are_what_conda_reads(path):
    document = yaml.safe_load(path.read_text())
    assert set(document) == {"name", "channels", "dependencies"}
    assert document["name"] == f"pscnet-{path.stem.replace('_', '-')}"
    assert document["channels"] == ["conda-forge", "nodefaults"]
    *before, last = document["dependencies"]
    names = [entry for entry in before if entry.split("=")[0] not in ("python", "cuda-version")]
    assert names == sorted(names) and ("pip" in before) == isinstance(last, dict)
    assert path.read_text().startswith("# ") and "--sdm conda" in path.read_text()


@pytest.mark.parametrize("entry", ["numpy 2.4", "numpy==", "numpy = 2", "Numpy=2", "numpy=2.4=py*", {"pip": ["ismn"]}])
def test_what_conda_would_not_read_as_meant_is_refused(entry, tmp_path):
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump({"dependencies": [entry]}))
    with pytest.raises(ValueError, match="such as"):
        read(tmp_path / "wrong.yaml")


def test_all_environments_have_one_python_that_the_package_and_snakemake_run_on():
    versions = {one.conda["python"] for one in ENVIRONMENTS.values()}
    assert len(versions) == 1
    least = re.search(r'requires-python = ">=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text()).group(1)
    assert tuple(map(int, versions.pop().split("."))) >= tuple(map(int, least.split(".")))


def test_both_torch_environments_differ_in_the_build_of_torch_only():
    cpu, cuda = ENVIRONMENTS["torch_cpu"].conda, ENVIRONMENTS["torch_cuda"].conda
    assert {key: value for key, value in cuda.items() if key != "cuda-version"} == cpu
    builds = {re.search(r"pytorch \S+ (\w+)\*", (FOLDER / f"torch_{kind}.yaml").read_text()).group(1) for kind in KINDS}
    assert builds == set(KINDS)


KINDS = ("cpu", "cuda")


@pytest.mark.parametrize("device", KINDS)
def test_the_configuration_chooses_the_build_of_torch(device):
    keys = {"run": "r", "source": "twin", "region": {"lat": [32, 33.1], "lon": [91, 92.1]}}
    keys |= {"period": {"start": "2016-01", "end": "2016-12"}, "training": {"device": device}}
    plan = Plan({**keys, "downscale": {"device": "cpu"}})
    assert plan.torch("training") == f"torch_{device}"
    assert plan.torch("downscale") == "torch_cpu"


RECIPE = (FOLDER / "pscnet.def").read_text()


def section(name: str) -> list[str]:
    """Lines of a section of the container's recipe, without comments."""
    text = re.search(rf"^%{name}$(.*?)(?=^%|\Z)", RECIPE, re.M | re.S).group(1)
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def test_what_the_recipe_of_the_image_refers_to_is_there():
    assert RECIPE.count("Bootstrap: docker\nFrom: debian:bookworm-slim\n") == 1
    copied = [line.split() for line in section("files")]
    assert all((REPOSITORY / source).is_file() for source, _ in copied)
    assert all(target == f"/opt/pscnet/{source}" for source, target in copied)
    # What pip builds the package from, so that it takes the dependencies that pyproject.toml names.
    pyproject = (REPOSITORY / "pyproject.toml").read_text()
    assert {"pyproject.toml", "README.md", "LICENSE", "src/pscnet/__init__.py"} <= {source for source, _ in copied}
    assert 'readme = "README.md"' in pyproject and 'attr = "pscnet.__version__"' in pyproject
    used = {argument for line in section("post") for argument in re.findall(r"\{\{ (\w+) \}\}", line)}
    assert used == {line.split("=")[0] for line in section("arguments")}
    assert "envs/pscnet.sif" in (REPOSITORY / "Snakefile").read_text()


def test_the_image_is_made_of_the_lock_file_and_without_the_package():
    post = "\n".join(section("post"))
    assert "--constraint envs/requirements.lock ." in post and "pip uninstall --yes pscnet" in post
    assert "torch==" in (FOLDER / "requirements.lock").read_text()


def test_the_image_tries_every_library_that_a_rule_imports():
    tried = {
        name.split(".")[0] for line in section("test") for name in re.findall(r"[\w.]+", line.partition("import")[2])
    }
    needed = {module.split(".")[0] for rule in NAMED for module in modules_of(rule)} - OPTIONAL
    assert needed - tried == set()


#: Imports every name; a name that is no module is one of the module before its last dot.
IMPORTING = """
import importlib, json, sys
lacking = {}
for name in json.loads(sys.stdin.read()):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        parent, _, last = name.rpartition(".")
        try:
            assert parent and hasattr(importlib.import_module(parent), last)
        except (AssertionError, ModuleNotFoundError):
            lacking[name] = str(error)
print(json.dumps(lacking))
"""


def lacking_in(folder: Path, packages: set[str], modules: set[str]) -> dict[str, str]:
    """Modules that an interpreter cannot import which sees the packages, what they require, and nothing else."""
    for distribution in required(packages):
        for path in top_level(distribution):
            if not (folder / path.name).exists() and not path.name.startswith("__editable__"):
                (folder / path.name).symlink_to(path)
    done = subprocess.run(
        [sys._base_executable, "-S", "-c", IMPORTING],
        input=json.dumps(sorted(modules)),
        env=os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["fetch", "geo", "torch_cpu", "validation", "analysis"])
def test_what_an_environment_lists_is_enough_to_import_everything(name, tmp_path):
    """With the packages of this interpreter in conda's place; xesmf and esmpy are not on the index that pip has."""
    rules = [rule for rule, names in NAMED.items() if name in names]
    modules = {module for rule in rules for module in modules_of(rule) if module.split(".")[0] not in OPTIONAL}
    assert len(modules) > 5
    assert lacking_in(tmp_path, ENVIRONMENTS[name].listed, modules) == {}


def test_an_environment_without_a_package_cannot_import_it(tmp_path):
    """The control: only what is listed is seen."""
    lacking = lacking_in(tmp_path, {"numpy", "pandas"}, {"numpy", "pandas", "torch", "netCDF4", "xarray.testing"})
    assert set(lacking) == {"torch", "netCDF4", "xarray.testing"}
