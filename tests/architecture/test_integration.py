"""What continuous integration makes of a machine: packages by purpose, and no skip of SLURM where it is installed."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.conftest import REPOSITORY

#: Programs of a machine of Debian's, where make says what it was given. None of them does anything.
PROGRAMS = {
    "id": "echo 0",
    "dpkg": 'case "$*" in *"$THERE"*) exit 0 ;; *) exit 1 ;; esac',
    "apt-get": 'case "$*" in *"$ABSENT"*) exit 100 ;; *) exit 0 ;; esac',
    "make": 'echo "make $* with ${PSCNET_NEEDS_SLURM:-nothing}"',
}


def integrate(
    folder, *, there: str = "nothing", absent: str = "nothing", **programs: str
) -> subprocess.CompletedProcess:
    """Run ``.ci/run`` where packages of one name are there, and of one are not to be had."""
    for name, body in (PROGRAMS | programs).items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "THERE": there, "ABSENT": absent}
    return subprocess.run(
        [REPOSITORY / ".ci" / "run"], env=environment, capture_output=True, text=True, timeout=600, check=True
    )


@pytest.mark.parametrize("there", ["nothing", "slurmctld"])
@pytest.mark.parametrize("absent", ["nothing", "chromium"])
def test_with_its_packages_slurm_is_needed_with_or_without_a_browser(tmp_path, there, absent):
    done = integrate(tmp_path, there=there, absent=absent)
    assert done.stdout.splitlines()[-1] == "make test with 1"
    assert ("skipped: chromium" in done.stderr) == (absent == "chromium")


@pytest.mark.parametrize("lacking", [{"absent": "slurmctld"}, {"absent": "update"}, {"id": "echo 1000"}], ids=str)
def test_without_them_it_is_not(tmp_path, lacking):
    """The control of the test above."""
    assert integrate(tmp_path, **lacking).stdout.splitlines()[-1] == "make test with nothing"
