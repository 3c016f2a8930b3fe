"""Fetching as the workflow sees it: what is planned, and what runs again after new months and disturbed raw files."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from pscnet.plan import Plan
from pscnet.sources import manifest
from tests.conftest import Workspace, planned
from tests.servers.cds import Cds
from tests.servers.earthdata import Earthdata
from tests.servers.internet import Internet
from tests.servers.world import World

OVERLAY = """\
run: net
source: fetch
archive: raw
terrain: elevation.tif
fetch:
  retry: {first_wait_seconds: 0.05, longest_wait_seconds: 0.2, give_up_after_hours: 0.01, stall_seconds: 5}
  reserve_gb: 0
"""

#: What a period of June to August fetches.
SUMMER = {"fetch_era5_land": 3, "fetch_era5_edge": 2, "fetch_smap": 3, "fetch_terrain": 1}
LONGER = "period={start: 2016-06, end: 2016-09}"


def run(space: Workspace, *arguments: str, check: bool = True):
    return space.snakemake(*arguments, "--configfile", "tiny.yaml", "net.yaml", check=check)


def jobs(space: Workspace, *arguments: str) -> dict[str, int]:
    """What a dry run plans for the target ``fetch``, or for those given first."""
    return planned(run(space, "-n", *(arguments or ("fetch",))).stdout)


# Plans, which need neither network nor accounts ---------------------------------------------------------------------


@pytest.fixture
def alone(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A checkout on a machine that has no accounts, and no way to the network."""
    (workspace.root / "net.yaml").write_text(OVERLAY)
    (workspace.root / "elevation.tif").touch()
    kept = {key: os.environ[key] for key in ("PATH", "PYTHONPATH", "LANG") if key in os.environ}
    return Workspace(workspace.root, kept | {"HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"})


def test_the_plan_of_a_fetching_run(alone):
    whole = planned(run(alone, "-n").stdout)
    assert {rule: whole[rule] for rule in SUMMER} == SUMMER == jobs(alone)
    assert whole["regrid_era5_land"] == whole["product_month"] == 3
    assert "archive_manifest" not in whole


def test_further_products_are_fetched_with_the_rest(alone):
    products = "fetch={smap: {products: [SPL3SMP, SPL3SMP_E, SPL4SMGP]}}"
    for target in ("all", "fetch"):
        assert jobs(alone, target, "--config", products)["fetch_smap"] == 9


def test_the_target_fetch_lists_the_files_of_other_sources_too(workspace):
    done = workspace.snakemake("fetch", "-n", "--configfile", "tiny.yaml")
    assert planned(done.stdout) == {"twin_month": 3, "twin_static": 1}


def test_three_years_are_planned_without_reading_a_file(alone, monkeypatch):
    """With a complete archive: every file of 36 months is looked at, and none is hashed."""
    made = Plan(mapping(period={"start": "2016-01", "end": "2018-12"}))
    root = alone.root / "shelf"
    for month in made.months:
        days = [f"smap/{month}-{day:02d}.h5" for day in range(1, 31)]
        records = [{"path": day, "size": 0, "mtime_ns": 0, "sha256": 64 * "0"} for day in days]
        for day in days:
            path = root / "raw" / day
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            os.utime(path, ns=(0, 0))
        common = {"source": "smap", "month": month}
        entries = [{**record, **common, "provider_id": record["path"], "variables": []} for record in records]
        ledger = root / "raw" / ".fetch" / "files" / "smap" / f"{month}.json"
        listing = root / "build" / "net" / "manifests" / "smap" / f"{month}.json"
        for path, content in ((ledger, {"files": entries}), (listing, {**common, **LISTING, "files": entries})):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
    here = Path.cwd()
    os.chdir(root)
    try:
        monkeypatch.setattr(manifest, "hash_file", lambda path: pytest.fail(f"{path} was hashed"))
        states = [made.fetch_state("smap", month) for month in made.months]
        (root / "raw" / "smap" / "2017-03-05.h5").unlink()
        disturbed = [month for month in made.months if made.fetch_state("smap", month)]
    finally:
        os.chdir(here)
        shutil.rmtree(root)
    assert states == [0] * 36 and disturbed == ["2017-03"]


LISTING = {"root": "raw", "missing": {"variables": [], "days": []}, "made_by": "fetch"}


def mapping(**changes):
    keys = {
        "run": "net",
        "source": "fetch",
        "archive": "raw",
        "terrain": "elevation.tif",
        "region": {"lat": [32.0, 33.1], "lon": [91.0, 92.1]},
        "period": {"start": "2016-06", "end": "2016-08"},
        "samples": {"window_days": 4, "buffer_days": 4},
    }
    return keys | changes


def test_the_first_month_begins_where_the_opening_step_ends():
    made, folder = Plan(mapping()), "build/net/manifests/era5_land"
    assert made.era5_land_before("2016-06") == [f"{folder}/opening.json"]
    assert made.era5_land_before("2016-07") == [f"{folder}/2016-06.json"]
    assert (made.edge_month("opening"), made.edge_month("closing")) == ("2016-06", "2016-08")
    assert Plan(mapping(source="archive")).era5_land_before("2016-06") == []


def test_patience_is_no_part_of_what_a_product_is_made_of():
    one, other = Plan(mapping()), Plan(mapping(fetch={"reserve_gb": 1}, terrain_sha256=64 * "a"))
    assert one.config_hash() == other.config_hash()


def test_batch_systems_are_asked_for_more_time_than_a_job_waits():
    made = Plan(mapping(fetch={"era5_land": {"deadline_hours": 10}, "retry": {"give_up_after_hours": 2.5}}))
    assert (made.fetch_minutes("era5_land"), made.fetch_minutes("smap")) == (34 * 60, 1590)


def test_an_address_is_no_input_file():
    local = Plan(mapping())
    remote = Plan(mapping(terrain="https://example.org/a.tif", terrain_sha256=64 * "a"))
    assert (local.terrain_file, local.terrain_address) == (["elevation.tif"], None)
    assert (remote.terrain_file, remote.terrain_address) == ([], "https://example.org/a.tif")


# Runs against local services ------------------------------------------------------------------------------------------


@dataclass
class Fetched:
    """A checkout whose raw files came from local services."""

    space: Workspace
    net: Internet
    cds: Cds
    earthdata: Earthdata
    output: str

    @property
    def root(self) -> Path:
        return self.space.root

    def granules(self, month: str) -> list[Path]:
        return sorted((self.root / "raw" / "smap").rglob(f"*_{month.replace('-', '')}*.h5"))

    def manifest(self, source: str, month: str) -> Path:
        return self.root / "build" / "net" / "manifests" / source / f"{month}.json"

    def fetch(self) -> str:
        return run(self.space, "--cores", "2", "fetch").stdout


@pytest.fixture(scope="module")
def fetched(make_workspace, tmp_path_factory):
    """Three months, fetched, and their clean months: the files that follow the manifests."""
    space = make_workspace("fetched")
    months = ("2016-06", "2016-07", "2016-08", "2016-09")
    world = World(tmp_path_factory.mktemp("world"), (32.0, 33.1), (91.0, 92.1), months, ("swvl1", "stl1", "tp", "sd"))
    shutil.copy(world.elevation(), space.root / "elevation.tif")
    (space.root / "net.yaml").write_text(OVERLAY)
    cds, earthdata = Cds(world, queue=0.5), Earthdata(world)
    with Internet([cds, earthdata]) as net:
        made = Workspace(space.root, net.full_environment())
        yield Fetched(made, net, cds, earthdata, run(made, "--cores", "2", "fetch", *CLEAN).stdout)
    world.close()


#: Targets after the manifests.
CLEAN = [f"build/net/{kind}/2016-0{month}.nc" for kind in ("predictors", "smap") for month in (6, 7, 8)]

slow = pytest.mark.slow


@slow
def test_everything_is_listed_with_where_it_came_from(fetched, monkeypatch):
    monkeypatch.chdir(fetched.root)  # manifests name the archive as the configuration does
    for source, month in (("era5_land", "2016-06"), ("era5_land", "opening"), ("smap", "2016-08")):
        listed = manifest.read(fetched.manifest(source, month))
        assert (listed.made_by, listed.root) == ("fetch", "raw") and listed.paths()
        assert all(member.url.startswith("https://") and member.fetched_at for member in listed.files)
        assert all(member.request for member in listed.files if source == "era5_land")
    assert fetched.cds.needless == [] and len(fetched.cds.jobs) == 8


@slow
def test_progress_reaches_the_screen(fetched):
    assert re.search(r"ERA5-Land 2016-06: 2 of 2 files, [\d.]+ MB", fetched.output)
    assert re.search(r"CDS 1 accepted \(", fetched.output)
    assert re.search(r"(\d+) of \1 files", fetched.output)
    assert "pscnet.sources.fetch" not in fetched.output, "details belong into the log"
    log = (fetched.root / "logs/fetch_era5_land/net_2016-06.log").read_text()
    assert "submitted as CDS job" in log


@slow
def test_an_undisturbed_archive_asks_for_nothing(fetched):
    assert jobs(fetched.space) == jobs(fetched.space, *CLEAN) == {}


@slow
def test_a_touched_archive_asks_for_nothing(fetched):
    for path in [path for path in (fetched.root / "raw").rglob("*.*") if path.is_file()]:
        os.utime(path)
    assert jobs(fetched.space) == {}


@slow
def test_other_patience_asks_for_nothing(fetched):
    assert jobs(fetched.space, "fetch", "--config", "fetch={reserve_gb: 1, retry: {stall_seconds: 7}}") == {}


@slow
def test_a_further_version_fetches_the_product_again(fetched):
    version = "fetch={smap: {versions: {SPL3SMP: '010'}}}"
    assert jobs(fetched.space, "fetch", "--config", version) == {"fetch_smap": 3}


@slow
def test_a_day_to_go_without_concerns_its_month_only(fetched):
    assert jobs(fetched.space, "fetch", "--config", "fetch={smap: {without: [2016-07-05]}}") == {"fetch_smap": 1}


@slow
def test_a_month_more_fetches_itself_and_the_closing_step(fetched):
    assert jobs(fetched.space, "fetch", "--config", LONGER) == {
        "fetch_era5_land": 1,
        "fetch_era5_edge": 1,
        "fetch_smap": 1,
    }
    assert jobs(fetched.space, *CLEAN, "--config", LONGER) == {}


@slow
@pytest.mark.parametrize("damage", ["deleted", "cut", "other bytes"])
def test_a_disturbed_file_is_fetched_again_once(fetched, damage):
    victim, *others = fetched.granules("2016-07")
    whole, others_before = victim.read_bytes(), [path.stat().st_mtime_ns for path in others]
    put_aside_before = set((fetched.root / "raw").rglob(".quarantine/smap/*"))
    asked = len(fetched.net.requests("data.nsidc.earthdatacloud.nasa.gov"))
    if damage == "deleted":
        victim.unlink()
    else:
        victim.write_bytes(whole[:1000] if damage == "cut" else bytes(len(whole)))
    assert jobs(fetched.space) == {"fetch_smap": 1}
    assert "Fetching smap of 2016-07" in fetched.fetch()
    assert victim.read_bytes() == whole
    assert jobs(fetched.space) == {}
    assert [path.stat().st_mtime_ns for path in others] == others_before
    assert len(fetched.net.requests("data.nsidc.earthdatacloud.nasa.gov")) == asked + 1
    put_aside = {path for path in (fetched.root / "raw").rglob(".quarantine/smap/*") if path.suffix != ".txt"}
    assert len(put_aside - put_aside_before) == (damage != "deleted")


@slow
def test_what_follows_runs_again_only_when_the_raw_files_are_others(fetched):
    run(fetched.space, "--cores", "2", *CLEAN)
    listing = fetched.manifest("smap", "2016-08")
    before = listing.read_text()
    listing.unlink()
    fetched.fetch()
    assert listing.read_text() == before
    assert jobs(fetched.space, *CLEAN) == {}
    victim, *_ = fetched.granules("2016-08")
    victim.unlink()
    time.sleep(1.1)  # the time of fetching, to the second, is in the manifest
    fetched.fetch()
    assert victim.exists() and listing.read_text() == before
    assert jobs(fetched.space, *CLEAN) == {}


def secrets_of(fetched: Fetched) -> set[bytes]:
    """Whatever would let somebody else in, in the forms in which it could be written down."""
    login = fetched.earthdata.login
    pair = f"{login.user}:{login.password}"
    plain = {fetched.cds.key, login.password, quote(login.password, safe=""), *login.given, "X-Amz-Signature="}
    return {text.encode() for text in plain} | {base64.b64encode(pair.encode()).rstrip(b"=")}


def holding(root: Path, secrets: set[bytes]) -> list[str]:
    """Files below a folder that hold one of the secrets; the checkout itself is left out."""
    aside = {"src", "workflow", "config", "envs", "profiles"}
    paths = [
        path for path in sorted(root.rglob("*")) if path.is_file() and path.relative_to(root).parts[0] not in aside
    ]
    return [path.name for path in paths if any(secret in path.read_bytes() for secret in secrets)]


@slow
def test_faults_and_failures_leave_no_secret_behind(fetched):
    victims = [fetched.granules("2016-06")[0], *(fetched.root / "raw/era5_land").rglob("era5_land_2016-06_*")]
    for victim in victims:
        victim.unlink()
    services, said = (fetched.cds, fetched.earthdata), ""
    rounds = (
        (["cds_401"], ["edl_401"]),
        (["cds_results_expired", "cds_403_licence"], ["edl_bearer_refused", "edl_eula"]),
        (["cds_results_expired", "cds_failed"], ["edl_bearer_refused", "edl_redirect_loop"]),
    )
    for planted in rounds:
        fetched.earthdata.login.expire_tokens()
        for service, faults in zip(services, planted, strict=True):
            for fault in faults:
                service.faults.plant(fault, times=1000 if fault == faults[-1] else 1)
        done = run(fetched.space, "--cores", "2", "fetch", "--verbose", "--show-failed-logs", check=False)
        assert done.returncode != 0
        said += done.stdout
        for service, faults in zip(services, planted, strict=True):
            assert all(service.faults.taken[fault] for fault in faults)
            service.faults.clear()
    said += fetched.fetch()
    assert all(victim.exists() for victim in victims)
    secrets = secrets_of(fetched)
    assert len(secrets) >= 8, "several tokens and codes were given"
    assert [secret for secret in secrets if secret in said.encode()] == []
    assert holding(fetched.root, secrets) == []
    planted = fetched.root / "logs" / "planted.log"
    planted.write_bytes(b"a line with " + min(secrets))
    assert holding(fetched.root, secrets) == ["planted.log"], "a check that cannot fail"
    planted.unlink()


@slow
def test_an_error_is_told_in_words_without_secrets(fetched):
    """Last: with a key that the service does not know, what is there stays, and what is missing is not come by."""
    key = "0f0f0f0f-planted-key"
    stranger = Workspace(fetched.root, {**fetched.space.environment, "CDSAPI_KEY": key})
    victim = next((fetched.root / "raw/era5_land").rglob("era5_land_2016-07_accum*"))
    victim.unlink()
    before = {path for path in (fetched.root / "raw").rglob("*.nc")}
    done = run(stranger, "--cores", "1", "fetch", check=False)
    assert done.returncode != 0
    assert "RefusedError: " in done.stdout
    assert "The whole story: logs/fetch_era5_land/net_2016-07.log" in done.stdout
    assert "Traceback" not in done.stdout
    left = [path for path in (fetched.root / "logs").rglob("*") if path.is_file()]
    assert not [path for path in left if key in path.read_text(errors="replace")] and key not in done.stdout
    assert {path for path in (fetched.root / "raw").rglob("*.nc")} == before
    fetched.fetch()
    assert victim.exists() and jobs(fetched.space) == {}
