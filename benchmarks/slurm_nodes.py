"""Month-parallel stages of the demo on one, two and three SLURM nodes of this machine: time, overhead of a job.

By hand, as root, on a machine without a SLURM of its own, in a checkout whose ``make demo`` is done, with the packages
of docs/cluster.md:

    .venv/bin/python benchmarks/slurm_nodes.py 8          # months

The nodes have one CPU each, and share those of the machine: with two cores, three nodes cannot be faster than two.
Processor time is that of Snakemake's head and of all processes of the jobs; what is not the scripts' own is what it
costs to start a job.
"""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from plan_scale import REPOSITORY, workspace

sys.path.insert(0, str(REPOSITORY))

from tests.cluster.slurm import NODES, PROFILE, Slurm, missing

#: Rule to the file that it makes of a month: each a job of SLURM; six in one; twelve in one (``profiles/slurm``).
STAGES = {
    "downscale_month": "build/demo/downscaled/{month}.nc",
    "regrid_era5_land": "build/demo/predictors/{month}.nc",
    "report_quicklook": "results/demo/quicklooks/demo_{month}.png",
}

#: What the demo has made, records included.
MADE = (".snakemake", "build", "results", "runtimes")

#: Nodes of one CPU, and months on all of them instead of on the one with GPUs.
ON_NODES = (*PROFILE, "--cores", "1", "--set-resources", "downscale_month:slurm_partition=cpu")


@dataclass
class Cost:
    """Of one stage: jobs of SLURM, wall time [s], processor time in all and of the scripts alone [s]."""

    jobs: int
    wall: float
    processor: float
    scripts: float


class Watch(threading.Thread):
    """Processor time of a SLURM's jobs by looks at their processes [s]; what ends between two looks is missed."""

    def __init__(self, cluster: str, pause: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.cluster, self.pause, self.done = cluster, pause, threading.Event()
        self._ours: dict[psutil.Process, bool] = {}
        self._seconds: dict[psutil.Process, float] = {}

    def run(self) -> None:
        """Look until :meth:`seconds` is asked for."""
        while not self.done.wait(self.pause):
            for process in psutil.process_iter():
                try:
                    if process not in self._ours:
                        self._ours[process] = process.environ().get("SLURM_CLUSTER_NAME") == self.cluster
                    if self._ours[process]:
                        times = process.cpu_times()
                        self._seconds[process] = times.user + times.system
                except psutil.Error:
                    continue

    def seconds(self) -> float:
        """Stop, and return the sum."""
        self.done.set()
        self.join()
        return sum(self._seconds.values())


def children() -> float:
    """Processor time of the processes that this one has waited for [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scripts(root: Path, rule: str, months: list[str]) -> float:
    """Processor time of a rule's scripts [s], by the records that its jobs leave."""
    total = 0.0
    for month in months:
        with open(root / "runtimes" / rule / f"demo_{month}.tsv") as file:
            total += sum(float(row["cpu_time"]) for row in csv.DictReader(file, delimiter="\t"))
    return total


def measure(root: Path, rule: str, months: list[str], arguments: tuple[str, ...], slurm: Slurm | None) -> Cost:
    """Make a stage's files again."""
    files = [STAGES[rule].format(month=month) for month in months]
    command = [sys.executable, "-m", "snakemake", "--configfile", "config/demo.yaml", "--forcerun", rule, *arguments]
    earlier = len(slurm.jobs(root)) if slurm else 0
    began, before = time.monotonic(), children()
    watch = Watch(slurm.name if slurm else "")
    if slurm:
        watch.start()
    with open(root / "head.log", "a") as log:
        done = subprocess.run([*command, "--", *files], cwd=root, stdout=log, stderr=log, check=False)
    wall, processor = time.monotonic() - began, children() - before + (watch.seconds() if slurm else 0.0)
    if done.returncode:
        raise SystemExit((root / "head.log").read_text()[-3000:])
    return Cost(len(slurm.jobs(root)) - earlier if slurm else len(files), wall, processor, scripts(root, rule, months))


def line(stage: str, where: str, months: int, cost: Cost) -> str:
    """A row of the table."""
    overhead = (cost.processor - cost.scripts) / cost.jobs
    numbers = f"{cost.jobs} | {cost.wall:.0f} | {cost.processor:.0f} | {cost.scripts:.0f} | {overhead:.1f}"
    return f"| {stage} ({months} months) | {where} | {numbers} |"


def main() -> int:
    """Measure and print."""
    if len(sys.argv) != 2:
        print("type the number of months, such as 8")
        return 2
    if reason := missing():
        print(f"no SLURM: {reason}")
        return 1
    os.environ.pop("OMP_NUM_THREADS", None)
    months = sorted(path.stem for path in (REPOSITORY / "build/demo/downscaled").glob("*.nc"))[: int(sys.argv[1])]
    if not months:
        print("no complete demo in this checkout: make demo")
        return 1
    print("| stage | where | jobs | wall [s] | processor [s] | of it scripts [s] | overhead a job, processor [s] |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="pscnet_nodes_") as folder:
        (Path(folder) / "run").mkdir()
        root = workspace(Path(folder) / "run")
        for part in MADE:
            shutil.copytree(REPOSITORY / part, root / part)
        for stage in STAGES:
            cost = measure(root, stage, months, ("--cores", "1"), None)
            print(line(stage, "one core, no SLURM", len(months), cost), flush=True)
        slurm = Slurm(Path(folder) / "slurm", cpus=1)
        try:
            slurm.start()
            for count in (1, 2, 3):
                for node in NODES:
                    state = "resume" if node in NODES[:count] else "drain"
                    if (slurm.nodes()[node] == "idle") != (state == "resume"):
                        slurm.scontrol("update", f"nodename={node}", f"state={state}", "reason=benchmark")
                for stage in STAGES:
                    cost = measure(root, stage, months, ON_NODES, slurm)
                    print(line(stage, f"{count} node{'s' * (count > 1)}", len(months), cost), flush=True)
        finally:
            slurm.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
