"""How plans grow: Snakemake's time and memory by months, by regional tiles, fresh and complete, whole and in batches.

Run it as ``python benchmarks/plan_scale.py`` (``make bench``): a table on the screen. ``--write`` measures the whole
range, some ten minutes, and keeps it in docs/scale.md, with ``docs/scale/plan.json`` and the figure. Nothing is
read or computed: the plans are those of runs whose raw files are absent, or of runs whose files are there and empty.
Seconds are those of the processor (user and system), which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDER = REPOSITORY / "docs" / "scale"

#: What the workflow needs of a checkout.
PARTS = ("Snakefile", "config", "envs", "profiles", "src", "workflow")

#: The period ends here; 900 months are ERA5-Land's seventy-five years, beyond SMAP's.
LAST_YEAR = 2024

#: Makes the files of a plan's jobs, empty; its argument is the configuration.
COMPLETE = """
import sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.executors.touch import Executor
from snakemake.settings.types import *

Executor.SLEEPING_TIME = 0.0
with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(configfiles=[Path(sys.argv[1])]),
        snakefile=Path("Snakefile"),
    )
    dag = workflow.dag(DAGSettings(forceall=True))
    screen, sys.stdout = sys.stdout, open("/dev/null", "w")
    dag.printfilegraph()
    sys.stdout = screen
    for job in workflow._workflow.dag.jobs:
        for path in map(Path, job.output):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
"""

#: Runs Snakemake's touch without its pause of a tenth of a second a job.
TOUCH = """
import sys
from snakemake.cli import main
from snakemake.executors.touch import Executor

Executor.SLEEPING_TIME = 0.0
sys.argv = ["snakemake", "--touch", "--forceall", "--cores", "1", "--quiet", "all", "--configfile", sys.argv[1]]
main()
"""


@dataclass
class Cost:
    """What one Snakemake took: processor seconds, peak memory [MB], jobs planned."""

    what: str
    size: int
    jobs: int
    seconds: float
    memory_mb: float


def workspace(root: Path) -> Path:
    """A copy of the checkout in which plans leave their traces."""
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, root / part)
    return root


def overlay(root: Path, months: int, run: str = "long", **keys: object) -> str:
    """Write a configuration of so many months up to the last year, and return its name."""
    first = LAST_YEAR * 12 + 12 - months
    period = {"start": f"{first // 12}-{first % 12 + 1:02d}", "end": f"{LAST_YEAR}-12"}
    (root / f"{run}_{months}.yaml").write_text(
        yaml.safe_dump({"run": run, "archive": "absent", "period": period, **keys})
    )
    return f"{run}_{months}.yaml"


def measured(root: Path, what: str, size: int, *arguments: str, script: str | None = None) -> Cost:
    """Run Snakemake (or a script) in a process of its own and measure that process."""
    command = [sys.executable, *(["-c", script] if script else ["-m", "snakemake"]), *arguments]
    read, write = os.pipe()
    child = os.fork()
    if not child:  # a process between, so that what it waits for is measured alone
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        table = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout.split("Job stats:\n")[-1], re.M))
        answer = {
            "code": done.returncode,
            "error": (done.stdout + done.stderr)[-2000:],
            "jobs": int(table.get("total", 0)) - int(table.get("all", 0)),
            "seconds": used.ru_utime + used.ru_stime,
            "memory_mb": used.ru_maxrss / 1024,
        }
        os.write(write, json.dumps(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = json.load(pipe)
    os.waitpid(child, 0)
    if answer["code"]:
        raise SystemExit(f"{what}, {size}: {answer['error']}")
    cost = Cost(what, size, answer["jobs"], round(answer["seconds"], 2), round(answer["memory_mb"]))
    print(f"{what:34s} {size:5d} {cost.jobs:7d} jobs {cost.seconds:8.1f} s {cost.memory_mb:7.0f} MB", flush=True)
    return cost


PLAN = ("-n", "--quiet", "all")


def by_months(root: Path, months: list[int]) -> list[Cost]:
    """A fresh plan, and the plan that a job of the last month makes again on its node of a cluster."""
    costs = []
    for count in months:
        name = overlay(root, count)
        costs.append(measured(root, "fresh plan", count, *PLAN, "--configfile", name))
        for rule in ("dataset_bands", "downscale_month"):
            job = ("--target-jobs", f"{rule}:run=long,month={LAST_YEAR}-12", "--allowed-rules", rule)
            alone = ("--mode", "remote", "--cores", "1", *job, *PLAN, "--configfile", name)
            costs.append(measured(root, f"within a job of {rule}", count, *alone))
    return costs


def complete(root: Path, months: list[int]) -> list[Cost]:
    """What the head process of a run does besides waiting, by touching all files; and the plan of the complete run."""
    costs = []
    for count in months:
        run = f"done{count}"
        name = overlay(root, count, run, split=SPLIT)
        measured(root, "(making the files)", count, name, script=COMPLETE)
        costs.append(measured(root, "head process of a whole run", count, name, script=TOUCH))
        costs.append(measured(root, "complete plan", count, *PLAN, "--configfile", name))
    return costs


#: The last six years, whatever the period: what is learnt from does not grow with what is downscaled.
SPLIT = {"train": ["2022-01/2023-06"], "validation": ["2023-08/2023-12"], "test": ["2024-01/2024-12"]}


def in_batches(root: Path, months: int, batches: int) -> list[Cost]:
    """A fresh plan in batches of what the target asks for; the last one needs the others' files and is left out."""
    plan = (*PLAN, "--configfile", overlay(root, months))
    numbers = range(1, batches)
    return [measured(root, f"batch {n} of {batches}", months, *plan, "--batch", f"all={n}/{batches}") for n in numbers]


def tiles(root: Path, counts: list[int], months: int = 36) -> list[Cost]:
    """Regional tiles: as one workflow of modules; and as invocations of their own, one after the other."""
    base = yaml.safe_load((root / "config" / "config.yaml").read_text())
    costs = []
    for count in counts:
        lines = ["import sys, yaml", f"BASE = {base!r}", "rule all:", "    default_target: True", "    input:"]
        lines += [f"        rules.t{tile}_all.input," for tile in range(count)]
        head = []
        for tile in range(count):
            lon = -170 + 2.5 * (tile % 128)
            keys = {"run": f"t{tile}", "region": {"lat": [25, 40], "lon": [lon, lon + 2]}, "archive": "absent"}
            head += [f"module t{tile}:", '    snakefile: "Snakefile"', f"    config: dict(BASE, **{keys!r})"]
            head += [f"use rule * from t{tile} as t{tile}_*"]
        text = "\n".join([*lines[:2], *head, *lines[2:]]) + "\n"
        (root / f"tiles_{count}.smk").write_text(text)
        costs.append(measured(root, "tiles as modules", count, *PLAN, "-s", f"tiles_{count}.smk"))
    one = measured(root, "a tile by itself", 1, *PLAN, "--configfile", overlay(root, months, "tile"))
    return [*costs, one]


#: Of the figure's two panels.
Y_TICKS = {"seconds": (3, 10, 30, 100, 300), "memory_mb": (150, 200, 300, 400, 500)}


def draw(costs: list[Cost], path: Path) -> None:
    """Seconds and memory by jobs; a straight line of slope one is a cost in proportion."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(1, 2, figsize=(7.1, 3.2), layout="constrained")
    styles = {
        "fresh plan": ("#0072b2", "o"),
        "complete plan": ("#009e73", "s"),
        "tiles as modules": ("#d55e00", "^"),
        "head process of a whole run": ("#000000", "x"),
    }
    for axis, key, label in zip(
        axes, ("seconds", "memory_mb"), ("processor time [s]", "peak memory [MB]"), strict=True
    ):
        for what, (colour, marker) in styles.items():
            points = sorted((jobs_of(cost, costs), getattr(cost, key)) for cost in costs if cost.what == what)
            axis.plot(*zip(*points, strict=True), marker=marker, color=colour, label=what)
        axis.set(xscale="log", yscale="log", xlabel="jobs in the plan", ylabel=label)
        for scale, ticks in ((axis.xaxis, (300, 1000, 3000, 10000)), (axis.yaxis, Y_TICKS[key])):
            scale.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
            scale.set_minor_formatter(ticker.NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=150)


def jobs_of(cost: Cost, costs: list[Cost]) -> int:
    """Jobs in a plan; what has nothing to do has those of the fresh plan."""
    return cost.jobs or next(one.jobs for one in costs if one.what == "fresh plan" and one.size == cost.size)


def table(costs: list[Cost]) -> str:
    """The measurements in Markdown, without steps on the way."""
    rows = [
        "| what | months or tiles | jobs in the plan | processor time [s] | peak memory [MB] |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {cost.what} | {cost.size} | {cost.jobs or 'none'} | {cost.seconds:.1f} | {cost.memory_mb:.0f} |"
        for cost in costs
        if not cost.what.startswith("(")
    ]
    return "\n".join(rows) + "\n"


def keep(costs: list[Cost]) -> None:
    """Write numbers, figure, and the table into the document."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "plan.json").write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n")
    draw(costs, FOLDER / "plan.png")
    document = FOLDER.with_suffix(".md")
    before, after = re.split(r"(?<=<!-- measured -->\n).*(?=<!-- end -->)", document.read_text(), flags=re.S)
    document.write_text(before + table(costs) + after)


def main() -> None:
    """Measure, and keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="the whole range, kept in docs/scale/")
    whole = parser.parse_args().write
    with tempfile.TemporaryDirectory() as folder:
        root = workspace(Path(folder))
        costs = by_months(root, [36, 120, 240, 480, 900] if whole else [36, 240])
        costs += in_batches(root, 900 if whole else 240, 4)
        costs += complete(root, [36, 240, 900] if whole else [36])
        costs += tiles(root, [1, 4, 16] if whole else [1, 4])
    if whole:
        keep(costs)


if __name__ == "__main__":
    main()
