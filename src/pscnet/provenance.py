"""From which code and which inputs: the modules behind a rule, the commit, and digests of what went in.

Snakemake does not see imports. :func:`code_of` therefore walks them: a rule's code is its script and every module
of this package that the script imports, directly or through others, wherever in the module the import stands.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pscnet import __version__
from pscnet.sources.manifest import hash_file

PACKAGE = "pscnet"

#: Folder that holds the package, and that of the rules' scripts in the same checkout.
SOURCE_ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = SOURCE_ROOT.parent / "workflow" / "scripts"

#: Folder of files other than modules (templates, style sheets) that belong to the package they lie in.
ASSETS = "assets"


def code_of(rule: str, scripts: Path = SCRIPTS, root: Path = SOURCE_ROOT) -> list[str]:
    """The files whose content decides what a rule does.

    Parameters
    ----------
    rule : str
        Name of the rule; its script is ``{scripts}/{rule}.py``.
    scripts, root : Path
        Folder of the scripts, folder that holds the package.

    Returns
    -------
    list of str
        The script, the modules and their assets, sorted, relative to the working directory where they lie below it.

    Raises
    ------
    FileNotFoundError
        When the rule has no script.
    """
    found = behind(scripts / f"{rule}.py", root)
    here = Path.cwd()
    return sorted(str(path.relative_to(here)) if path.is_relative_to(here) else str(path) for path in found)


def behind(module: Path, root: Path = SOURCE_ROOT) -> set[Path]:
    """A file, every module of the package that it imports, directly or through others, and their assets."""
    found, walked, queue = {module}, {module}, [module]
    while queue:
        used, above = imported_modules(queue.pop(), root)
        found |= used | above
        queue += used - walked
        walked |= used
    for package in [path.parent for path in found if path.name == "__init__.py"]:
        found.update(path for path in (package / ASSETS).glob("*") if path.is_file())
    return found


@functools.cache
def imported_modules(path: Path, root: Path = SOURCE_ROOT) -> tuple[frozenset[Path], frozenset[Path]]:
    """The modules of the package that a file uses itself, and the ``__init__`` of the packages above these.

    The latter run too, but what they import in turn is not used: modules of this package do nothing when imported
    (the architecture test holds them to it). Imports for type checking only are left out: they do not run.

    Parameters
    ----------
    path, root : Path
        A module or script; the folder that holds the package.
    """
    used: set[Path] = set()
    above: set[Path] = set()
    parts = path.relative_to(root).with_suffix("").parts if path.is_relative_to(root) else ()
    for node in _running_nodes(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        for name in _imported_names(node, list(parts[:-1])):
            if name.split(".")[0] == PACKAGE:
                *packages, module = _files_of(name, root)
                used.add(module)
                above.update(packages)
    return frozenset(used), frozenset(above)


def _imported_names(node: ast.AST, package: list[str]) -> list[str]:
    """Dotted names that an import statement inside ``package`` asks for: modules, or names in modules."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        upwards = package[: len(package) - node.level + 1] if node.level else []
        base = [*upwards, *([node.module] if node.module else [])]
        return [".".join([*base, alias.name]) for alias in node.names]
    return []


def _running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes below ``tree`` but those under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield other
                yield from _running_nodes(other)
            continue
        yield node
        yield from _running_nodes(node)


def _files_of(name: str, root: Path) -> list[Path]:
    """The packages on the way to ``name`` and the module that is or defines it, as files."""
    found, place = [], root
    for part in name.split("."):
        place = place / part
        if (place / "__init__.py").is_file():
            found.append(place / "__init__.py")
        elif place.with_suffix(".py").is_file():
            found.append(place.with_suffix(".py"))
    return found


def digest(value: Mapping[str, Any] | list[Any] | str) -> str:
    """SHA-256 of a JSON-ready value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def commit(root: Path = SOURCE_ROOT) -> str:
    """The commit that the package comes from, with ``-dirty`` after local edits; ``unknown`` outside of a checkout."""
    command = ["git", "-C", os.fspath(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


def of_product(
    config_hash: str,
    checkpoints: Sequence[str | Path],
    weights: str | Path,
    manifests: Iterable[str | Path],
    model: str,
) -> dict[str, str]:
    """What a product says of its making: the global attributes that :mod:`pscnet.product` asks for.

    Parameters
    ----------
    config_hash : str
    checkpoints : paths
        Of the net; of all members of an ensemble.
    weights : path
    manifests : iterable of path
        Manifests of the raw files behind the month; the hash does not depend on their order.
    model : str
        Name of the net.
    """
    import netCDF4  # only here: the workflow imports this module for every plan

    with netCDF4.Dataset(weights) as file:
        engine = str(file.getncattr("engine"))
    hashes = [hash_file(path) for path in checkpoints]
    return {
        "version": __version__,
        "commit": commit(),
        "config_hash": config_hash,
        "model": model,
        "checkpoint_hash": hashes[0] if len(hashes) == 1 else digest(hashes),
        "weight_engine": engine,
        "manifests_hash": digest(sorted(hash_file(path) for path in manifests)),
    }
