"""A stand-in for conda: what Snakemake asks of it, answered with the packages that this interpreter has.

An environment becomes a virtual one that sees the packages of its file, what they require, and nothing else. It takes
no version from the file and asks no channel, so it shows what the workflow does with its environments, not that conda
can solve them.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import venv
from pathlib import Path

from tests.environments import read, required, top_level

VERSION = "24.9.0"


def create(file: Path, prefix: Path) -> None:
    """Make the environment of a file in a folder."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(prefix)
    link(required(read(file).listed), next(prefix.glob("lib/python*/site-packages")))


def link(distributions: set[str], folder: Path) -> None:
    """Lay installed distributions into a folder; those installed for development lie elsewhere and are left out."""
    for distribution in distributions:
        for path in top_level(distribution):
            target = folder / path.name
            if path.exists() and not target.is_symlink() and not path.name.startswith("__editable__"):
                target.symlink_to(path)


def answer(arguments: list[str]) -> str:
    """Do what a command line asks for and return what conda would print."""
    option = dict(itertools.pairwise(arguments))
    if arguments == ["--version"]:
        return f"conda {VERSION}"
    if arguments[:1] == ["info"]:
        return json.dumps({"conda_prefix": os.environ["CONDA_STAND_IN"], "platform": "linux-64"})
    if arguments[:1] == ["config"]:
        return json.dumps({"get": {"channel_priority": "strict"}})
    if arguments[:1] == ["clean"]:
        return ""
    if arguments[:2] == ["env", "create"]:
        create(Path(option["--file"]), Path(option["--prefix"]))
        return ""
    raise SystemExit(f"the stand-in for conda does not know: {arguments}")


if __name__ == "__main__":
    print(answer(sys.argv[1:]))
