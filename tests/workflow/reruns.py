"""What runs again after which change: measured on the plan of a complete run, written as docs/reruns.md.

``python -m tests.workflow.reruns`` (``make docs``) writes the document; a test compares it. Changes are real ones: a
key of the configuration with another value, a file with another content. :mod:`tests.workflow.replan` makes the plans.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from pscnet import config, provenance
from pscnet.complaints import section_of
from tests.conftest import PARTS, REPOSITORY, TINY

DOCUMENT = REPOSITORY / "docs" / "reruns.md"

#: Stages in the order of the work; stages that are not listed come last.
STAGES = ["twin", "archive", "fetch", "regrid", "dataset", "train", "downscale", "product"]
STAGES += ["verify", "validate", "report", "compare", "explain"]

#: The runs that changes are planned on: the tiny run with all that can be asked for, and the same with other sources.
COMPARE = {"models": ["pscnet"], "literature": False, "ensembles": [], "seeds": 1}
THIRD = {"path": "third.nc", "name": "third", "made_of": ["ASCAT"]}
FURTHER = {"land_cover": "cover.tif", "third": [THIRD]}
OVERLAYS = {
    "twin": {"run": "tiny", "compare": COMPARE},
    "archive": {"run": "shelf", "source": "archive", "archive": "raw", "stations": "raw/ismn", "validation": FURTHER},
    "fetch": {"run": "fetched", "source": "fetch", "archive": "fetched", "terrain": "elevation.tif"},
}
ASKED_FOR = {"twin": ["all", "explain", "compare_models", "build/tiny/verify/twin.json"]}

#: Another value for a key, where the next one of its type will not do; None where a key alone cannot change.
VALUES: dict[str, Any] = {
    "run": None,  # another run lies beside, and has nothing yet
    "source": None,  # the three sources are three runs here
    "archive": "moved",
    "fetch.smap.products": ["SPL3SMP", "SPL3SMP_E"],
    "fetch.smap.without": ["2016-07-04"],
    "fetch.smap.versions.SPL3SMP": "008",
    "fetch.smap.versions.SPL3SMP_E": "005",
    "fetch.smap.versions.SPL4SMGP": "007",
    "region.lat": [32.0, 33.2],
    "region.lon": [91.0, 92.2],
    "region.polygon": "polygon.geojson",
    "region.min_elevation": 4000.0,
    "period.start": "2016-05",
    "period.end": "2016-09",
    "split": {"train": ["2016-06"], "validation": ["2016-07-01/2016-07-20"], "test": ["2016-08"]},
    "split.train": ["2016-06-02/2016-06-30"],
    "split.validation": ["2016-07-01/2016-07-20"],
    "split.test": ["2016-08-05/2016-08-31"],
    "grids.fine.kind": {"grids": {"fine": {"kind": "ease2", "name": "M09"}}},
    "grids.fine.spacing": None,  # ERA5-Land's own, or a grid of another kind
    "predictors": ["swvl1", "stl1", "tp", "sd", "t2m"],
    "terrain": "elevation.tif",
    "terrain_sha256": None,  # with an address only
    "stations": "moved/ismn",
    "samples.withheld": [{"lat": [32.3, 32.8], "lon": [91.3, 91.8]}],
    "validation.land_cover": "cover2.tif",
    "validation.third": [THIRD | {"hours": 6.0}],
    "samples.window_days": 6.0,
    "model.name": "mlp",
    "model.dress": None,  # a comparison wants its own
    "model.without_bands": [],
    "model.scales": ["36km", "10km"],
    "training.device": "cuda",
    "downscale.device": "cuda",
    "training.tile": 32,
    "downscale.tile": 32,
    "training.scale_weights": [0.5, 0.25, 1.0],
    "compare.models": ["pscnet", "mlp"],
    "compare.ensembles": ["pscnet"],
    "product.creator_url": "https://example.org/changed",
    "product.creator_email": "changed@example.org",
    "report.range": [0.0, 0.5],
    "report.month": "2016-07",
    "report.places": [[32.5, 91.5]],
    "report.colormap": "viridis",
}

#: Runs on which a key is changed, where it is not the twin's.
BASES = {
    **dict.fromkeys(("archive", "terrain", "stations", "grids"), "archive"),
    **dict.fromkeys(("validation.land_cover", "validation.third", "validation.stations"), "archive"),
    "fetch": "fetch",
}

#: Raw files and what becomes of them: run, words, file, what happens.
RAW = [
    ("archive", "one SMAP granule changed", "raw/**/SMAP_L3_SM_P_20160714*.h5", "byte"),
    ("archive", "one SMAP granule removed", "raw/**/SMAP_L3_SM_P_20160714*.h5", "delete"),
    ("archive", "an ERA5-Land file of a month changed", "raw/**/era5_land_2016_07.zip", "byte"),
    ("archive", "an ERA5-Land file of a month removed", "raw/**/era5_land_2016_07.zip", "delete"),
    ("archive", "the elevation file touched", "raw/**/*.tif", "touch"),
    ("archive", "a SMAP granule touched", "raw/**/SMAP_L3_SM_P_20160714*.h5", "touch"),
    ("archive", "an ERA5-Land file touched", "raw/**/era5_land_2016_07.zip", "touch"),
    ("archive", "the raster of land cover changed", "cover.tif", "byte"),
    ("archive", "the raster of land cover touched", "cover.tif", "touch"),
    ("archive", "a third product changed", "third.nc", "byte"),
    ("archive", "a third product touched", "third.nc", "touch"),
    ("archive", "a station's file changed", "raw/ismn/**/*.stm", "byte"),
    ("archive", "a station's file removed", "raw/ismn/**/*.stm", "delete"),
    ("archive", "a station's file touched", "raw/ismn/**/*.stm", "touch"),
    ("fetch", "a fetched SMAP file lost", "fetched/smap/2016-07.raw", "delete"),
    ("fetch", "a fetched SMAP file damaged", "fetched/smap/2016-07.raw", "comment"),
    ("fetch", "a fetched SMAP file touched", "fetched/smap/2016-07.raw", "touch"),
    ("fetch", "a fetched ERA5-Land file lost", "fetched/era5_land/2016-07.raw", "delete"),
    ("fetch", "the step before the period lost", "fetched/era5_land/opening.raw", "delete"),
    ("fetch", "the elevation file of `terrain` changed", "elevation.tif", "comment"),
    ("fetch", "the elevation file of `terrain` touched", "elevation.tif", "touch"),
]

#: Files on the way and delivered ones: words, file, what happens.
MADE = [
    ("a month of predictors touched", "build/tiny/predictors/2016-07.nc", "touch"),
    (
        "a month of predictors deleted, which only later files were made from",
        "build/tiny/predictors/2016-07.nc",
        "delete",
    ),
    ("a checkpoint deleted", "build/tiny/models/pscnet_0.safetensors", "delete"),
    ("a product month deleted", "results/tiny/product/sm_tiny_10km_3h_2016-07.nc", "delete"),
    ("the report deleted", "results/tiny/report.html", "delete"),
    ("`config/config.yaml`: a comment", "config/config.yaml", "comment"),
    ("`envs/geo.yaml` without `--sdm conda`", "envs/geo.yaml", "comment"),
    ("a rule file: a comment", "workflow/rules/train.smk", "comment"),
]


@dataclass(frozen=True)
class Change:
    """One change: a name, the run, keys with other values, files and what happens to them."""

    id: str
    base: str
    config: dict[str, Any] = field(default_factory=dict)
    edits: list[tuple[str, str]] = field(default_factory=list)


# Changes ------------------------------------------------------------------------------------------------------------


def keys() -> dict[str, tuple[Any, Any]]:
    """Every key of the configuration: its annotation and its value in the tiny run."""
    tiny = config.load(overlaid("twin"))
    found: dict[str, tuple[Any, Any]] = {}

    def walk(section: type[BaseModel], prefix: str, values: Any) -> None:
        for name, info in section.model_fields.items():
            inner = section_of(info.annotation)
            value = getattr(values, name, None)
            if inner is None or get_origin(info.annotation) is not None:
                found[f"{prefix}{name}"] = (info.annotation, value)
            if inner is not None and not isinstance(value, list):  # a list of sections is changed as a whole
                walk(inner, f"{prefix}{name}.", value)

    walk(config.Config, "", tiny)
    return found


def other(key: str, annotation: Any, value: Any) -> Any:
    """Another value of a key; None where it has none.

    Raises
    ------
    ValueError
        When the type alone does not tell one.
    """
    if key in VALUES:
        return VALUES[key]
    choices = [choice for choice in get_args(annotation) if isinstance(choice, str)]
    if choices:
        return next((choice for choice in choices if choice != value), None)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value * 1.1
    if isinstance(value, str):
        return f"{value} changed"
    if isinstance(value, list | tuple) and len(value) > 1:
        return list(value[:-1])
    raise ValueError(f"{key}: no other value for {value!r}; name one in VALUES of tests/workflow/reruns.py")


def nested(key: str, value: Any) -> dict[str, Any]:
    """``a.b.c`` and a value as nested mappings."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def key_changes() -> list[Change]:
    """One change for each key that can change alone."""
    made = []
    for key, (annotation, value) in keys().items():
        another = other(key, annotation, value)
        if another is not None:
            whole = another if key == "grids.fine.kind" else nested(key, another)
            base = next((base for start, base in BASES.items() if f"{key}.".startswith(f"{start}.")), "twin")
            made.append(Change(f"key {key}", base, whole))
    return made


def users() -> dict[str, frozenset[str]]:
    """Every file of the package and every script: the rules whose code it is part of."""
    scripts = sorted(path.stem for path in provenance.SCRIPTS.glob("*.py"))
    found: dict[str, set[str]] = {
        str(path.relative_to(REPOSITORY)): set()
        for path in provenance.SOURCE_ROOT.rglob("*")
        if path.is_file() and "pscnet" in path.parts and not {"__pycache__"} & set(path.parts)
        if not any(part.endswith(".egg-info") for part in path.parts)
    }
    for name in scripts:
        for path in provenance.behind(provenance.SCRIPTS / f"{name}.py"):
            if path.is_relative_to(provenance.SOURCE_ROOT):
                found[str(path.relative_to(REPOSITORY))].add(name)
    return {path: frozenset(rules) for path, rules in sorted(found.items())}


def groups() -> dict[frozenset[str], list[str]]:
    """The same the other way round: files that are code of the same rules."""
    found = defaultdict(list)
    for path, rules in users().items():
        found[rules].append(path)
    return dict(sorted(found.items(), key=lambda item: (-len(item[0]), item[1])))


def module_changes() -> list[Change]:
    """An edited file of each group, on the run whose first stage uses it."""
    made = []
    for rules, paths in groups().items():
        how = "style" if paths[0].endswith((".css", ".js", ".html")) else "comment"
        made.append(Change(f"module {paths[0]}", base_of(rules), edits=[(paths[0], how)]))
    return made


def base_of(rules: frozenset[str]) -> str:
    """The run on which a file of these rules is edited: that with most of them, of several the first by name."""
    own = Counter(rule.split("_")[0] for rule in rules if rule.split("_")[0] in OVERLAYS)
    twin_only = any(rule.startswith(("compare", "explain", "verify_twin")) for rule in rules)
    return "twin" if twin_only or not own else min(own, key=lambda base: (-own[base], base))


def file_changes() -> list[Change]:
    """Raw files, files on the way, delivered files."""
    raw = [Change(f"raw {words}", base, edits=[(path, how)]) for base, words, path, how in RAW]
    return raw + [Change(f"made {words}", "twin", edits=[(path, how)]) for words, path, how in MADE]


# Runs -----------------------------------------------------------------------------------------------------------------


def overlaid(base: str) -> dict[str, Any]:
    """The configuration of a run."""
    return yaml.safe_load(TINY) | OVERLAYS[base]


def prepare(root: Path, finished: Path | None = None) -> None:
    """A copy of the checkout with the three runs' configurations and raw files.

    Parameters
    ----------
    root : path
        Folder to fill.
    finished : path, optional
        A checkout's copy with a complete tiny run; without it the raw files alone are simulated.
    """
    root.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, root / part)
    for base in OVERLAYS:
        (root / f"{base}.yaml").write_text(yaml.safe_dump(overlaid(base)))
    if finished is not None:
        for folder in ("build", "results"):
            shutil.copytree(finished / folder / "tiny", root / folder / "tiny")
    else:
        targets = ["build/tiny/manifests/terrain.json", "build/tiny/twin/stations.json"]
        command = [sys.executable, "-m", "snakemake", *targets, "--cores", "2", "--configfile", "twin.yaml"]
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    for folder in ("raw", "moved"):
        shutil.copytree(root / "build" / "tiny" / "twin" / "raw", root / folder)
    for name in ("elevation.tif", "polygon.geojson", "cover.tif", "cover2.tif", "third.nc"):
        (root / name).write_text("{}")


def replan(root: Path, changes: Sequence[Change]) -> dict[str, dict[str, dict[str, int]]]:
    """Plan every change; ``totals`` by run and ``found`` by change, rule to jobs."""
    bases = {name: {"configfile": f"{name}.yaml", "targets": ASKED_FOR.get(name, ["all"])} for name in OVERLAYS}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("replan.py"))],
        input=json.dumps({"bases": bases, "changes": [asdict(change) for change in changes]}),
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return json.loads(done.stdout)


# The document -----------------------------------------------------------------------------------------------------


def stages_of(jobs: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Jobs by stage and rule, in the order of the work."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for rule, count in jobs.items():
        stage, _, what = rule.partition("_")
        found[stage][what] = count
    order = {stage: position for position, stage in enumerate(STAGES)}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))


def listed(jobs: Mapping[str, int]) -> str:
    """All stages with their rules and the number of jobs."""
    stages = stages_of(jobs).items()
    return " · ".join(
        f"{stage}: {', '.join(f'{what} {n}' for what, n in sorted(rules.items()))}" for stage, rules in stages
    )


def told(plan: Mapping[str, Mapping[str, int]]) -> str:
    """What runs again, in words: a stage's name alone where all its jobs run, else its rules with their jobs."""
    parts, every = [], stages_of(plan["all"])
    for stage, rules in stages_of(plan["again"]).items():
        whole = every[stage]
        jobs = (
            f"{what} {n}" if n == whole[what] else f"{what} {n} of {whole[what]}" for what, n in sorted(rules.items())
        )
        parts.append(f"**{stage}**" if rules == whole else f"{stage}: {', '.join(jobs)}")
    return " · ".join(parts) or "nothing"


def untouched(plan: Mapping[str, Mapping[str, int]]) -> str:
    """Stages none of whose jobs run again."""
    return ", ".join(stage for stage in stages_of(plan["all"]) if stage not in stages_of(plan["again"])) or "none"


def rows_of(named: Sequence[tuple[str, Change]], result: Mapping[str, Any]) -> list[str]:
    """Rows of a table; changes of the same run with the same outcome stand together."""
    together: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for name, change in named:
        plan = result["found"][change.id]
        together[change.base, told(plan), untouched(plan)].append(name)
    return [f"| {', '.join(names)} | {base} | {again} | {stay} |" for (base, again, stay), names in together.items()]


HEAD = "| {} | run | runs again | stays |\n|---|---|---|---|"


def module_rows(result: Mapping[str, Any]) -> list[str]:
    """Rows of the table of modules."""
    rows = []
    for change, (rules, paths) in zip(module_changes(), groups().items(), strict=True):
        names = ", ".join(f"`{path.removeprefix('src/pscnet/')}`" for path in paths)
        totals = result["totals"][change.base]
        planned, asked = sorted(rules & set(totals)), sorted(rules - set(totals))
        direct = ", ".join(f"`{rule}`" for rule in planned) or "none"
        direct += f" ({', '.join(f'`{rule}`' for rule in asked)} in other runs)" if asked else ""
        plan = result["found"][change.id]
        rows.append(f"| {names} | {change.base} | {direct} | {told(plan)} | {untouched(plan)} |")
    return rows


def document(result: Mapping[str, Any]) -> str:
    """The text of docs/reruns.md."""
    by_key = [(f"`{change.id.split()[1]}`", change) for change in key_changes()]
    files = [(change.id.split(" ", 1)[1], change) for change in file_changes()]
    raw = [pair for pair in files if pair[1].id.startswith("raw")]
    made = [pair for pair in files if pair[1].id.startswith("made")]
    totals = "\n".join(f"| {base} | {sum(jobs.values())} | {listed(jobs)} |" for base, jobs in result["totals"].items())
    return TEXT.format(
        totals=totals,
        keys="\n".join([HEAD.format("key"), *rows_of(by_key, result)]),
        raw="\n".join([HEAD.format("raw file"), *rows_of(raw, result)]),
        made="\n".join([HEAD.format("file"), *rows_of(made, result)]),
        modules="\n".join(module_rows(result)),
    )


TEXT = """\
# What runs again

Made by `make docs` from real plans of a complete run, and compared with them by a test; not to be edited. Every change
is really made, one at a time, to a run of three months (one to train, one to validate, one to test) that has all its
files, and Snakemake is asked for its plan. A job that runs again makes all that follows from it run again.

A stage in bold runs as a whole; otherwise its rules stand with the number of jobs that run, and of how many.

## The complete runs

| run | jobs | stages, rules and jobs |
|---|---|---|
{totals}

`compare` (here of PSCNet alone, with one seed), `explain` and `verify_twin` are made only when they are asked for; here
they have been.

## Keys of the configuration

A key is changed alone. `twin`, `archive` and `fetch` are the runs above.

{keys}

Not in the table: `run` (another run lies beside, and nothing of this one is touched), `source`, keys with one possible
value, and those that do not change alone (`terrain_sha256`, `model.dress`, `grids.fine.spacing`). Keys of a list's
entries, such as `samples.withheld.lat`, change as the list does.

## Raw files

{raw}

## Files on the way, delivered files, and the workflow's own

{made}

With `--sdm conda` an edited environment runs the rules that name it again; without it, nothing.

## Modules of the package

Files that are code of the same rules stand together (`pscnet.provenance.code_of`, from the imports); the plan was made
with the first of each row edited. `workflow/scripts/{{rule}}.py` is code of its rule alone.

| files of `src/pscnet` | run | code of | runs again | stays |
|---|---|---|---|---|
{modules}
"""


def changes() -> list[Change]:
    """All of them."""
    return [*key_changes(), *file_changes(), *module_changes()]


def made_document(finished: Path | None = None) -> str:
    """Prepare, plan and write."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "space"
        prepare(root, finished)
        return document(replan(root, changes()))


if __name__ == "__main__":
    DOCUMENT.write_text(made_document())
    print(f"{DOCUMENT.relative_to(REPOSITORY)} written")
