"""Fixtures that tests of several rooms share."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).resolve().parents[1]

# The same examples everywhere, and however long they take: a slow machine finds no fault that a fast one does not.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


class ByFile(LoadScopeScheduling):
    """Tests of one file share their fixtures, and all that need the tiny run (on a cluster or not) share that."""

    def _split_scope(self, nodeid: str) -> str:
        path = REPOSITORY / nodeid.partition("::")[0]
        return "tiny run" if path.parent.name == "cluster" or "tiny_run" in path.read_text() else str(path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Where several processes share the tests, a group goes to one of them."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of real provider values (PSCNET_REALDATA), which the checkout does not have; a skip where it is absent."""
    folder = Path(os.environ.get("PSCNET_REALDATA", REPOSITORY.parent / "shared" / "realdata")).resolve()
    if not folder.is_dir():
        pytest.skip(f"real values are absent: {folder} (PSCNET_REALDATA) is no folder")
    return folder


#: The smallest run that has every stage: 12 x 12 cells of the simulated Plateau, three months, one epoch.
TINY = """\
run: tiny
source: twin
region: {lat: [32.0, 33.1], lon: [91.0, 92.1]}
period: {start: 2016-06, end: 2016-08}
split: {train: [2016-06], validation: [2016-07], test: [2016-08]}
predictors: [swvl1, stl1, tp, sd]
model: {width: 8, heads: 2}
training: {epochs: 1, ensemble: 1, device: cpu, threads: 1}
downscale: {device: cpu, threads: 1}
"""

#: What the workflow needs of a checkout.
PARTS = ("Snakefile", "config", "envs", "profiles", "src", "workflow")


@dataclass
class Workspace:
    """A copy of the checkout in which the workflow may run; ``environment`` is this process's own where it is None."""

    root: Path
    environment: Mapping[str, str] | None = None

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run Snakemake; output and messages come together in ``stdout``."""
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
            check=False,
        )
        if check and done.returncode:
            logs = [path.read_text() for path in sorted((self.root / "logs").rglob("*.log"))]
            raise AssertionError("\n".join([done.stdout, *(log for log in logs if "Traceback" in log)]))
        return done

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Jobs by rule that a dry run of the tiny configuration plans, target rules left out."""
        return planned(self.snakemake("-n", "--configfile", "tiny.yaml", *arguments).stdout)

    @contextmanager
    def edited(self, name: str, change: Callable[[str], str]) -> Iterator[None]:
        """A text file with other content for a while."""
        path = self.root / name
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before, f"the change to {name} changed nothing"
        try:
            yield
        finally:
            path.write_text(before)


#: Rows of a job table that are no jobs.
TARGETS = ("all", "fetch", "explain", "compare_models", "compare_parts", "total")


def planned(output: str) -> dict[str, int]:
    """The job table of a dry run: rule to number of jobs, without target rules and ``total``."""
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:\n")[-1].split("\n\n")[0]
    counts = dict(re.findall(r"^(\w+) +(\d+)$", table, re.M))
    return {rule: int(count) for rule, count in counts.items() if rule not in TARGETS}


@pytest.fixture(scope="session")
def make_workspace(tmp_path_factory) -> Callable[[str], Workspace]:
    """Make copies of the checkout, each with the tiny configuration as ``tiny.yaml``."""

    def make(name: str) -> Workspace:
        root = tmp_path_factory.mktemp(name)
        for part in PARTS:
            source = REPOSITORY / part
            if source.is_dir():
                shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy(source, root / part)
        (root / "tiny.yaml").write_text(TINY)
        return Workspace(root)

    return make


@pytest.fixture(scope="session")
def workspace(make_workspace) -> Workspace:
    """A copy of the checkout where nothing has run yet: for plans."""
    return make_workspace("workspace")


@pytest.fixture(scope="session")
def tiny_run(make_workspace) -> Workspace:
    """A copy of the checkout with a complete tiny run; whoever changes a file puts it back."""
    space = make_workspace("tiny")
    space.snakemake("--cores", "2", "--configfile", "tiny.yaml")
    return space
