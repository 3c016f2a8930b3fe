"""The conda environments as files: what they hold, which rule names which, and what a rule's code imports."""

from __future__ import annotations

import ast
import functools
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml

from pscnet.provenance import _imported_names as imported_names
from pscnet.provenance import _running_nodes as running_nodes
from pscnet.provenance import code_of

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOW = REPOSITORY / "workflow"
FOLDER = REPOSITORY / "envs"
LOCK = FOLDER / "requirements.lock"

#: Modules whose conda package has another name.
PACKAGES = {
    "PIL": "pillow",
    "ecmwf": "ecmwf-datastores-client",
    "matplotlib": "matplotlib-base",
    "netCDF4": "netcdf4",
    "sklearn": "scikit-learn",
    "torch": "pytorch",
    "yaml": "pyyaml",
}

#: Conda packages whose name on the Python package index is another one.
ON_PYPI = {"matplotlib-base": "matplotlib", "pytorch": "torch"}

#: Packages that the code can do without, as it says where it imports them.
OPTIONAL = {"xesmf"}

#: Calls by which xarray reads and writes NetCDF; it imports the library behind them by name.
NETCDF_CALLS = {"open_dataset", "open_mfdataset", "load_dataset", "to_netcdf"}

#: ``name=1.2``, ``name>=1,<2``, ``name 1.2.* build*`` or a bare name.
SPECIFICATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)"
    r"(?:=(?P<fuzzy>\d[\d.]*)|(?P<range>[<>]=?\d[\d.]*(?:,[<>]=?\d[\d.]*)*)"
    r"| (?P<glob>\d[\d.]*)\.\* (?P<build>[a-z0-9_]+\*))?"
)


@dataclass(frozen=True)
class Environment:
    """One file of ``envs/``: conda and pip packages with their version, an empty text where none is asked for."""

    name: str
    conda: dict[str, str]
    pip: dict[str, str]

    @property
    def listed(self) -> set[str]:
        """All packages, by their conda name."""
        return set(self.conda) | set(self.pip)


def read(path: Path) -> Environment:
    """Read an environment file.

    Raises
    ------
    ValueError
        When an entry is none of the forms of :data:`SPECIFICATION`, or a pip package has no exact version.
    """
    conda, pip = {}, {}
    for entry in yaml.safe_load(path.read_text())["dependencies"]:
        for line in entry["pip"] if isinstance(entry, dict) else []:
            name, exact, version = line.partition("==")
            if not exact:
                raise ValueError(f"{path.name}: '{line}' has no exact version, such as {line}==1.2.3")
            pip[name] = version
        if isinstance(entry, str):
            found = SPECIFICATION.fullmatch(entry)
            if not found:
                raise ValueError(f"{path.name}: '{entry}' is no specification, such as name=1.2")
            conda[found["name"]] = found["fuzzy"] or found["glob"] or found["range"] or ""
    return Environment(path.stem, conda, pip)


def environments() -> dict[str, Environment]:
    """All environments by name."""
    return {path.stem: read(path) for path in sorted(FOLDER.glob("*.yaml"))}


def locked() -> dict[str, str]:
    """The lock file: name in lower case, with hyphens, to version."""
    lines = [line for line in LOCK.read_text().splitlines() if line and not line.startswith("#")]
    return {plain(name): version for name, version in (line.split("==") for line in lines)}


def plain(name: str) -> str:
    """A package's name as the Python package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named_by(directive: str) -> set[str]:
    """Environments that a rule's ``conda`` directive names; those of the configuration's choice all together."""
    name = re.fullmatch(r"""\s*f?"(?:\.\./)+envs/(.+)\.yaml",?\s*""", directive).group(1)
    return {"torch_cpu", "torch_cuda"} if name.startswith("{PLAN.torch(") else {name}


@functools.cache
def modules_of(rule: str) -> set[str]:
    """Modules of other packages that a rule's code imports, wherever the import stands, by their full name."""
    found = set()
    for path in code_of(rule):
        if not path.endswith(".py"):
            continue
        tree = ast.parse(Path(path).read_text(encoding="utf-8"))
        for node in running_nodes(tree):
            if not getattr(node, "level", 0):  # a relative import stays in the package
                found.update(imported_names(node, []))
            if isinstance(node, ast.Attribute) and node.attr in NETCDF_CALLS:
                found.add("netCDF4")
    aside = set(sys.stdlib_module_names) | {"pscnet", "__future__"}
    return {name for name in found if name.split(".")[0] not in aside}


def libraries(rule: str) -> set[str]:
    """Conda packages that a rule's code imports."""
    return {PACKAGES.get(name, name) for name in (module.split(".")[0] for module in modules_of(rule))}


def required(names: set[str]) -> set[str]:
    """Installed distributions behind conda packages, with all that they require; those absent here are left out."""
    found, queue = set(), [plain(ON_PYPI.get(name, name)) for name in names]
    while queue:
        name = queue.pop()
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            queue += [plain(re.match(r"[\w.-]+", need).group()) for need in needs if "extra ==" not in need]
    return found


def top_level(distribution: str) -> set[Path]:
    """Files and folders of an installed distribution that stand in ``site-packages`` itself."""
    files = metadata.distribution(distribution).files or []
    first = {Path(file.parts[0]) for file in files if file.parts[0] not in ("..", "__pycache__")}
    root = Path(str(metadata.distribution(distribution).locate_file("")))
    return {root / name for name in first}
