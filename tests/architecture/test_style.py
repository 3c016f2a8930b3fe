"""Style checks by the tools themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "snakefmt": ["snakefmt", "--check", "Snakefile", "workflow"],
    "snakemake --lint": ["snakemake", "--lint", "--configfile", "config/demo.yaml"],
    "snakemake --lint, archive": ["snakemake", "--lint"],
    "snakemake --lint, fetch": ["snakemake", "--lint", "--configfile", "config/demo_fetch.yaml"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_style(name, repository):
    done = subprocess.run(
        [sys.executable, "-m", *CHECKS[name]], cwd=repository, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
