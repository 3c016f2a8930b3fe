"""Processes that die at the worst moments, or work on the same month at once: one job, one download, the same bytes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import cds_store
from tests.servers.cds import Cds
from tests.servers.conftest import LAT, LON, PREDICTORS, ROOT
from tests.servers.fast import FAST
from tests.servers.internet import Internet

MONTH = "2016-05"

#: One request at a time: the other's download would be cut at a place left to chance.
ONE_BY_ONE = {**FAST, "era5_land": {**FAST["era5_land"], "requests_at_once": 1}}

#: A month in a process of its own; ``moment`` is where it kills itself, after or before a function of the package.
PROGRAM = """
import importlib, json, os, signal, sys
from pscnet.sources.fetch.era5_land import fetch_month

def dies(owner, name, after):
    true_one = getattr(owner, name)
    def dying(*args, **kwargs):
        if after:
            true_one(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, dying)

arguments, moment = json.loads(sys.argv[1]), json.loads(sys.argv[2])
if moment:
    module, *names = moment["where"].split(".")
    owner = importlib.import_module("pscnet.sources.fetch." + module)
    for name in names[:-1]:
        owner = getattr(owner, name)
    dies(owner, names[-1], moment["after"])
print("ready", flush=True)
sys.stdin.readline()
fetch_month(**arguments)
"""

#: Moment: function of the package, and whether it is still run.
MOMENTS = {
    "intention stored, nothing submitted": ("cds_state.State.intend", True),
    "job submitted, its id not stored": ("cds_state.State.submitted", False),
    "id stored": ("cds_state.State.submitted", True),
    "downloaded, not verified": ("cds_file.check", False),
    "verified, not recorded": ("ledger.Ledger._add", False),
    "recorded, not renamed": ("ledger.Ledger._add", True),
    "renamed": ("ledger.discard", False),
    "month complete, no manifest": ("era5_land.write_manifest", False),
}


def start(
    net: Internet, folder: Path, moment: tuple[str, bool] | None = None, settings: dict = ONE_BY_ONE
) -> subprocess.Popen:
    """A process that fetches a month as soon as it is told to."""
    arguments = {
        "archive": str(folder / "archive"),
        "month": MONTH,
        "variables": PREDICTORS,
        "lat": LAT,
        "lon": LON,
        "settings": settings,
        "output": str(folder / "manifest.json"),
        "state_file": str(folder / "state"),
        "state": 0,
    }
    where = {"where": moment[0], "after": moment[1]} if moment else None
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments), json.dumps(where)],
        cwd=ROOT,
        env=net.full_environment() | {"PYTHONPATH": f"{ROOT}/src"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().strip() == "ready", process.communicate()[1]
    return process


def run(*processes: subprocess.Popen) -> list[int]:
    """Let processes go at the same time; their exit codes."""
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=600) for process in processes]
    codes = [process.returncode for process in processes]
    assert set(codes) <= {0, -signal.SIGKILL}, said
    return codes


def archived(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "archive" / "era5_land").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> Callable[[int], dict[str, bytes]]:
    """The archive of an undisturbed month, by the service's limit [fields]."""
    known = {}

    def files(limit: int) -> dict[str, bytes]:
        if limit not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            with Internet([Cds(world, limit=limit)]) as net:
                assert run(start(net, folder)) == [0]
            known[limit] = archived(folder)
        return known[limit]

    return files


def assert_as_if_nothing_had_happened(cds: Cds, net: Internet, folder: Path, whole: dict[str, bytes]) -> None:
    assert archived(folder) == whole
    assert len(cds.jobs) == len(whole) and cds.needless == []
    assert len(json.loads((folder / "manifest.json").read_text())["files"]) == len(whole)
    sent = sum(record.sent for record in net.requests(cds_store.HOST, "GET"))
    assert sent <= sum(map(len, whole.values())) + 8, "more than a byte or two was downloaded again"
    assert list((folder / "archive" / ".fetch" / "parts").glob("*")) == []
    assert not (folder / "archive" / ".quarantine").exists()


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill(world, undisturbed, tmp_path, moment):
    cds = Cds(world, limit=500)
    with Internet([cds]) as net:
        assert run(start(net, tmp_path, MOMENTS[moment])) == [-signal.SIGKILL]
        assert not (tmp_path / "manifest.json").exists()
        assert archived(tmp_path).items() <= undisturbed(500).items(), "a file that was not verified has a final name"
        assert run(start(net, tmp_path)) == [0]
        assert_as_if_nothing_had_happened(cds, net, tmp_path, undisturbed(500))


@pytest.mark.parametrize("limit", [5000, 500])
def test_processes_on_the_same_month(world, undisturbed, tmp_path, limit):
    cds = Cds(world, limit=limit)
    with Internet([cds]) as net:
        assert run(*[start(net, tmp_path, settings=FAST) for _ in range(3)]) == [0, 0, 0]
        assert_as_if_nothing_had_happened(cds, net, tmp_path, undisturbed(limit))


def test_one_of_two_processes_is_killed_and_the_other_completes(world, undisturbed, tmp_path):
    cds = Cds(world)
    with Internet([cds]) as net:
        dying, living = start(net, tmp_path, MOMENTS["job submitted, its id not stored"]), start(net, tmp_path)
        run(dying, living)
        assert living.returncode == 0
        assert_as_if_nothing_had_happened(cds, net, tmp_path, undisturbed(5000))
