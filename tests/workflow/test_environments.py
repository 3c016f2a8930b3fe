"""Jobs run in the environments of their rules, and the package is found there without being installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Workspace
from tests.environments import plain
from tests.workflow.conda_stand_in import link

pytestmark = pytest.mark.slow

#: Two files that are made in seconds, by rules of one environment.
QUICK = ["build/tiny/manifests/terrain.json", "build/tiny/weights/conservative_r0100_M36.nc"]


@pytest.fixture(scope="module")
def space(make_workspace, tmp_path_factory) -> Workspace:
    """A workspace whose Snakemake runs where this package is not installed, with a conda on its path."""
    root = tmp_path_factory.mktemp("host")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(root / "host")
    everything = {plain(one.metadata["Name"]) for one in metadata.distributions()} - {"pscnet"}
    link(everything, next((root / "host").glob("lib/python*/site-packages")))
    (root / "bin").mkdir()
    stand_in = f'PYTHONPATH={REPOSITORY}:{REPOSITORY}/src {sys.executable} -m tests.workflow.conda_stand_in "$@"'
    (root / "bin" / "conda").write_text(f"#!/bin/sh\n{stand_in}\n")
    (root / "bin" / "activate").write_text('export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n')
    shutil.copy(Path(__file__).with_name("apptainer_stand_in.sh"), root / "bin" / "apptainer")
    for name in ("conda", "apptainer"):
        (root / "bin" / name).chmod(0o755)
    places = f"{root / 'host' / 'bin'}:{root / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    aside = {"PYTHONPATH", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in aside}
    stand_ins = {"CONDA_STAND_IN": str(root), "CONTAINER_PYTHON": str(root / "host" / "bin")}
    made = make_workspace("environments")
    return Workspace(made.root, {**environment, "PATH": places, **stand_ins})


def snakemake(space: Workspace, *arguments: str, check: bool = True) -> str:
    """Run the Snakemake of the space's own path, with the tiny configuration."""
    done = subprocess.run(
        [host(space), "-m", "snakemake", "--cores", "1", *arguments, "--configfile", "tiny.yaml"],
        cwd=space.root,
        env=dict(space.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout


def imported(space: Workspace, python: str, module: str) -> bool:
    """Whether an interpreter, by itself, finds a module."""
    command = [python, "-c", f"import {module}"]
    return (
        subprocess.run(command, cwd="/", env=dict(space.environment), capture_output=True, check=False).returncode == 0
    )


def host(space: Workspace) -> str:
    return space.environment["PATH"].split(":")[0] + "/python"


def test_scripts_find_the_package_of_the_checkout_where_it_is_not_installed(space):
    assert imported(space, host(space), "snakemake") and not imported(space, host(space), "pscnet")
    snakemake(space, QUICK[0])
    assert (space.root / QUICK[0]).is_file()


def test_jobs_run_in_the_environment_of_their_rule(space):
    (space.root / QUICK[0]).unlink(missing_ok=True)

    told = space.root / "interpreter.txt"  # a file, since the job shares its screen with Snakemake and its processes

    def tell(text):
        telling = f"import pathlib, sys\n\npathlib.Path({str(told)!r}).write_text(sys.executable)\n\nwith log_to"
        return text.replace("with log_to", telling, 1)

    with space.edited("workflow/scripts/regrid_weights.py", tell):
        output = snakemake(space, *QUICK, "--sdm", "conda")
    assert output.count("Creating conda environment envs/geo.yaml") == 1
    made = list((space.root / ".snakemake" / "conda").glob("*/bin/python"))
    assert len(made) == 1 and told.read_text() == str(made[0]), output
    assert all((space.root / path).is_file() for path in QUICK)
    # It holds what geo.yaml lists; neither the package itself, nor what other environments hold.
    assert imported(space, str(made[0]), "rasterio")
    assert not any(imported(space, str(made[0]), module) for module in ("pscnet", "torch", "snakemake"))


def test_configuration_or_profile_choose_the_build_of_torch(space):
    (space.root / "profiles" / "cuda").mkdir()
    (space.root / "profiles" / "cuda" / "config.yaml").write_text('config:\n  - "training={device: cuda}"\n')
    target = "build/tiny/models/pscnet_0.safetensors"
    plain, by_option, by_profile = (
        created(snakemake(space, target, "-n", "--sdm", "conda", *arguments))
        for arguments in ((), ("--config", "training={device: cuda}"), ("--profile", "profiles/cuda"))
    )
    assert "envs/torch_cpu.yaml" in plain and "envs/torch_cuda.yaml" not in plain
    assert by_option == by_profile == plain | {"envs/torch_cuda.yaml"}


def created(output: str) -> set[str]:
    """Environments that a dry run would make."""
    return {line.split()[2] for line in output.splitlines() if line.endswith("will be created.")}


def test_an_environment_is_part_of_what_a_job_was_made_with(space):
    snakemake(space, *QUICK, "--sdm", "conda")
    plan = (*QUICK, "-n", "--quiet", "host")
    assert "Nothing to be done" in snakemake(space, *plan, "--sdm", "conda")
    with space.edited("envs/geo.yaml", lambda text: text.replace("xarray=2026.9", "xarray=2026.10")):
        assert CHANGED in snakemake(space, *plan, "--sdm", "conda")
    # So a run that was begun with conda and goes on without it begins again, unless told otherwise.
    assert CHANGED in snakemake(space, *plan)
    assert "Nothing to be done" in snakemake(space, *plan, "--rerun-triggers", "mtime", "params", "input")


CHANGED = "Software environment definition has changed"


def test_jobs_run_in_the_image_of_the_recipe(space):
    target = "build/tiny/manifests/terrain.json"
    (space.root / target).unlink(missing_ok=True)
    image = space.root / "envs" / "pscnet.sif"
    refused = snakemake(space, target, "--sdm", "apptainer", check=False)
    assert "no image envs/pscnet.sif" in refused, "the control: without the image nothing runs"
    image.touch()
    try:
        assert "inside envs/pscnet.sif" in snakemake(space, target, "--sdm", "apptainer")
    finally:
        image.unlink()
    assert (space.root / target).is_file()
