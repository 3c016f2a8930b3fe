"""Plans of many changes to a complete run, one after the other in one process: a script, run in the copied checkout.

It reads a task as JSON from standard input and writes, for each change, how many jobs of each rule would run again.
The run is complete in name: its files are there and recorded, but most of them are empty.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    RerunTrigger,
    ResourceSettings,
)

from pscnet.sources.fetch.ledger import Ledger, write_manifest

#: As the workstation's profile, which the programming interface does not read by itself.
PROFILE = yaml.safe_load(Path("profiles/default/config.yaml").read_text())
TRIGGERS = {RerunTrigger[name.replace("-", "_").upper()] for name in PROFILE["rerun-triggers"]}


def dag(base: dict[str, Any], config: dict[str, Any]) -> Any:
    """The graph of jobs of a configuration with some keys changed."""
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path(base["configfile"])], config=config),
            snakefile=Path("Snakefile"),
        )
        settings = DAGSettings(
            targets=set(base["targets"]), rerun_triggers=TRIGGERS, max_checksum_file_size=20_000_000_000
        )
        with open(os.devnull, "w") as silence:
            screen, sys.stdout = sys.stdout, silence
            try:
                workflow.dag(settings).printfilegraph()
            finally:
                sys.stdout = screen
        return workflow._workflow.dag


def counted(jobs: Any) -> dict[str, int]:
    """Jobs by rule, without targets."""
    return dict(Counter(job.rule.name for job in jobs if not job.rule.norun))


def complete(base: dict[str, Any]) -> dict[str, int]:
    """Make what is missing of a run as empty files, have Snakemake record all, and count the jobs."""
    jobs = list(dag(base, {}).jobs)
    for path in [Path(path) for job in jobs for path in job.output]:
        if path.parts[1:3] == ("fetched", "manifests"):
            fetch(path)
        elif not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    command = [sys.executable, "-m", "snakemake", *base["targets"], "--touch", "--forceall", "--cores", "1"]
    done = subprocess.run([*command, "--configfile", base["configfile"]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return counted(jobs)


def fetch(manifest: Path) -> None:
    """One small file in the archive ``fetched``, recorded, and the manifest that lists it."""
    source, month = ("terrain", "static") if manifest.stem == "terrain" else manifest.with_suffix("").parts[-2:]
    ledger = Ledger("fetched")
    part = ledger.part(f"{source}_{month}")
    part.write_bytes(f"{source} {month}".encode())
    ledger.keep(part, f"{source}/{month}.raw", source=source, month=month)
    of_month = month if month[0] == "2" else None
    write_manifest(manifest, source, of_month, ledger.archive, ledger.records(source, month))


@contextmanager
def edited(path: Path, how: str) -> Iterator[None]:
    """A file with a comment more, a byte more, another date, or gone, for a while."""
    content, state = path.read_bytes(), path.stat()
    if how == "comment":
        path.write_bytes(content + b"\n# A comment that changes nothing but the content.\n")
    elif how == "style":
        path.write_bytes(content + b"\n/* The same for a style sheet. */\n")
    elif how == "byte":
        path.write_bytes(content + b"\0")  # readers look at what their format's header names
    elif how == "delete":
        path.unlink()
    try:
        if how == "touch":
            os.utime(path)
        yield
    finally:
        if how != "touch":
            path.write_bytes(content)
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def replan(base: dict[str, Any], change: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Jobs of the plan after one change: those that run again, and all."""
    edits = [(Path(path), how) for pattern, how in change["edits"] for path in sorted(Path().glob(pattern))[:1]]
    if len(edits) < len(change["edits"]):
        raise SystemExit(f"{change['id']}: no file {change['edits']}")
    with ExitStack() as stack:
        for path, how in edits:
            stack.enter_context(edited(path, how))
        graph = dag(base, change["config"])
        return {"again": counted(graph.needrun_jobs()), "all": counted(graph.jobs)}


if __name__ == "__main__":
    task = json.load(sys.stdin)
    screen, sys.stdout = sys.stdout, sys.stderr
    totals = {name: complete(base) for name, base in task["bases"].items()}
    found = {change["id"]: replan(task["bases"][change["base"]], change) for change in task["changes"]}
    json.dump({"totals": totals, "found": found}, screen)
