"""Three months under random faults and kills: in the end the archive is the undisturbed one, byte for byte."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers import cds_store, earthdata
from tests.servers.cds import Cds
from tests.servers.conftest import LAT, LON, MONTHS, PREDICTORS, ROOT
from tests.servers.earthdata import Earthdata
from tests.servers.fast import FAST
from tests.servers.faults import FAULTS, OTHER_FILES, Faults
from tests.servers.internet import Internet

pytestmark = pytest.mark.slow

SEED = 20160501
PROVIDERS = ("era5_land", "smap")
HOSTS = {"era5_land": Cds.hosts, "smap": Earthdata.hosts}

#: Most requests that the servers see of a provider in the life of a fetching process that is killed: events are
#: counted and not seconds, so that a slow machine meets the same kills.
LIFE = 25
#: A process lives on unharmed after so many kills of its kind: faults go on to the end.
KILLS = 10
#: Chance of each fault at each place where it could happen.
RATE = 0.015
#: So many rounds without an end are one too many.
ROUNDS = 80

#: What a run gets over by itself, with the same files in the end. The others have tests of their own. (A date that the
#: provider does not have is listed as missing, and would rightly be a difference.)
OTHERS = {*OTHER_FILES, "cmr_missing_date"}
RECOVERED = tuple(name for name, fault in FAULTS.items() if fault.outcome == "recovered" and name not in OTHERS)


@dataclass
class Campaign:
    """What happened until everything was there."""

    rounds: int = 0
    kills: int = 0
    failures: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def order_file(folder: Path, provider: str) -> Path:
    path = folder / f"{provider}_order.json"
    patient = {"era5_land": {"requests_at_once": 2, "deadline_hours": 1, "max_fields": 400}}
    # Many downloads stand still here, and a request that is repeated does no harm.
    retry = {**FAST["retry"], "give_up_after_hours": 60 / 3600, "stall_seconds": 0.8}
    content = {
        "provider": provider,
        "archive": str(folder / "archive"),
        "outputs": str(folder / "manifests"),
        "months": MONTHS,
        "variables": PREDICTORS,
        "lat": LAT,
        "lon": LON,
        "settings": {**FAST, **patient, "retry": retry},
    }
    path.write_text(json.dumps(content))
    return path


def start(net: Internet, folder: Path, provider: str) -> subprocess.Popen:
    """A fetching process that has done its imports."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.fetcher", str(order_file(folder, provider))],
        cwd=ROOT,
        env=net.full_environment() | {"PYTHONPATH": f"{ROOT}/src"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline().strip() == "fetching", process.communicate()[0]
    return process


def requests_of(net: Internet, provider: str) -> int:
    """How many requests a provider's hosts have answered."""
    hosts = HOSTS[provider]
    return sum(record.host in hosts for record in list(net.log))


def lived(process: subprocess.Popen, requests: Callable[[], int], life: int) -> bool:
    """Wait until so many requests were seen, True, or the process has ended, False."""
    while process.poll() is None:
        if requests() >= life:
            return True
        time.sleep(0.001)
    return False


def fetch_until_complete(net: Internet, folder: Path, provider: str, chance: random.Random | None) -> Campaign:
    """Start the process again and again until it ends well; ``chance`` decides when it is killed."""
    campaign = Campaign()
    while True:
        campaign.rounds += 1
        assert campaign.rounds <= ROUNDS, "\n".join(["no end in sight:", *campaign.failures[-3:]])
        life = None if chance is None or campaign.kills >= KILLS else chance.randint(0, LIFE)
        seen = requests_of(net, provider)
        process = start(net, folder, provider)
        if life is not None and lived(process, lambda seen=seen: requests_of(net, provider) - seen, life):
            process.send_signal(signal.SIGKILL)
        text, _ = process.communicate()
        campaign.kills += process.returncode == -signal.SIGKILL
        campaign.lines.append(text)
        if process.returncode == 0:
            return campaign
        if process.returncode != -signal.SIGKILL:
            campaign.failures.append(text)


def campaigns(net: Internet, folder: Path, seed: int | None) -> dict[str, Campaign]:
    """Both providers at the same time."""
    done: dict[str, Campaign] = {}

    def run(provider: str) -> None:
        chance = None if seed is None else random.Random(f"{seed} {provider}")
        done[provider] = fetch_until_complete(net, folder, provider, chance)

    threads = [threading.Thread(target=run, args=(provider,)) for provider in PROVIDERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(done) == set(PROVIDERS), "a campaign ended early; its thread's traceback says why"
    return done


def contents(archive: Path) -> dict[str, str]:
    """Hash of every file of an archive, hidden ones apart."""
    return {
        path.relative_to(archive).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(archive.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(archive).parts)
    }


def what_was_used(folder: Path) -> dict[str, list]:
    """Names, hashes and gaps in the manifests."""
    found = {}
    for path in sorted((folder / "manifests").rglob("*.json")):
        content = json.loads(path.read_text())
        files = [(entry["path"], entry["size"], entry["sha256"]) for entry in content["files"]]
        found[path.relative_to(folder).as_posix()] = [files, content["missing"]]
    return found


def traffic(net: Internet) -> tuple[int, int]:
    """Bytes of files sent, and those of them that had been sent before from the same place of the same file."""
    spans = defaultdict(list)
    for record in net.requests(method="GET"):
        stores = record.host in (cds_store.HOST, earthdata.STORE)
        if stores and record.status in (200, 206):
            spans[record.host, record.path].append((record.start, record.start + record.sent))
    sent = sum(stop - start for pairs in spans.values() for start, stop in pairs)
    return sent, sent - sum(_length(pairs) for pairs in spans.values())


def _length(spans: list[tuple[int, int]]) -> int:
    """Length of a union of spans."""
    total, reached = 0, 0
    for start, stop in sorted(spans):
        total += max(0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def test_the_union_of_spans():
    assert _length([(0, 10), (5, 20), (30, 31), (2, 3)]) == 21


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> Path:
    """A folder with the archive and the manifests of a fetch without faults."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Internet([Cds(world), Earthdata(world)]) as net:
        done = campaigns(net, folder, None)
        assert net.refused == []
    assert [campaign.failures for campaign in done.values()] == [[], []]
    return folder


def test_faults_and_kills_change_nothing(world, undisturbed, tmp_path, capsys):
    faults = Faults(SEED, RECOVERED, RATE)
    cds = Cds(world, faults, queue=0.1, work=0.1)
    with Internet([cds, Earthdata(world, faults)]) as net:
        done = campaigns(net, tmp_path, SEED)
        sent, again = traffic(net)
        assert net.refused == []
        disturbed = contents(tmp_path / "archive")
        assert disturbed == contents(undisturbed / "archive")
        assert what_was_used(tmp_path) == what_was_used(undisturbed)
        assert cds.needless == [], "a second job was submitted while the first one would have done"
        assert list((tmp_path / "archive" / ".fetch" / "parts").glob("*")) == []

        faults.clear()
        rerun = campaigns(net, tmp_path, None)
        assert traffic(net)[0] == sent, "a rerun downloads nothing again"
        assert all(campaign.rounds == 1 for campaign in rerun.values())
    assert all(campaign.kills == KILLS for campaign in done.values())
    assert sum(faults.taken.values()) >= 20
    with capsys.disabled():
        print(f"\nchaos, seed {SEED}: {len(disturbed)} files, 0 differences")
        for provider, campaign in done.items():
            print(f"  {provider}: {campaign.rounds} rounds, {campaign.kills} kills, {len(campaign.failures)} gave up")
        print(f"  faults met: {dict(sorted(faults.taken.items()))}")
        print(f"  {sent / 1e6:.1f} MB sent, of these {again / 1e6:.1f} MB again ({100 * again / sent:.1f} %)")
