"""What ``python -m pscnet doctor`` says, with and without accounts, and that it never says a secret."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.utils import update_config

from pscnet.__main__ import main
from pscnet.config import load
from pscnet.doctor import machine, room, setting
from pscnet.doctor.accounts import token_validity
from pscnet.doctor.findings import attention, can_start, conclusion, duration, gigabytes, missing, ok
from pscnet.sources.fetch.credentials import EarthdataAccount
from pscnet.sources.fetch.ledger import Ledger, write_manifest
from pscnet.sources.fetch.settings import Settings
from tests.servers.cds import Cds
from tests.servers.earthdata import Earthdata
from tests.servers.faults import Faults
from tests.servers.internet import UNSET, Internet

KEY = "0f1e2d3c-planted-cds-key"
PASSWORD = "planted+word&with%2Fsigns"
PLANTED = {"CDSAPI_KEY": KEY, "EARTHDATA_USERNAME": "alpine-meadow", "EARTHDATA_PASSWORD": PASSWORD}
VARIABLES = (
    *UNSET,
    "CDSAPI_URL",
    "CDSAPI_KEY",
    "CDSAPI_RC",
    "EARTHDATA_USERNAME",
    "EARTHDATA_PASSWORD",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    *(name for upper in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY") for name in (upper, upper.lower())),
)
MINE = {
    "run": "mine",
    "source": "fetch",
    "archive": "raw",
    "region": {"lat": [32.0, 32.9], "lon": [91.0, 91.9]},
    "period": {"start": "2016-05", "end": "2016-07"},
    "split": {"train": ["2016-05"], "validation": ["2016-06"], "test": ["2016-07"]},
    "predictors": ["swvl1", "tp"],
    "terrain": "elevation.tif",
    "fetch": {"reserve_gb": 0},
}


@pytest.fixture
def place(tmp_path, repository, monkeypatch) -> Path:
    """A folder like a checkout, without accounts, and with a home of its own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "config").mkdir()
    shutil.copy(repository / "config" / "config.yaml", tmp_path / "config")
    (tmp_path / "elevation.tif").write_bytes(b"II*\0")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(MINE))
    return tmp_path


@pytest.fixture
def doctor(place, capfd):
    """Run the doctor: exit code and lines by topic. No secret planted anywhere may be among what it says."""

    def run(*arguments: str, secrets: tuple[str, ...] = (KEY, PASSWORD)) -> tuple[int, dict[str, list[str]]]:
        code = main(["doctor", "--configfile", "mine.yaml", *arguments])
        said = "".join(capfd.readouterr())
        for secret in secrets:
            for form in (secret, base64.b64encode(secret.encode()).decode()):
                assert form not in said
        lines: dict[str, list[str]] = {}
        for line in said.splitlines():
            if found := re.fullmatch(r"(ok|attention|missing) +(.{1,19}\S) +(.*)", line):
                state, topic, text = found[1], line[11:31].strip(), line[31:]
                lines.setdefault(topic, []).append(f"{state}: {text}")
        return code, lines

    return run


def token(days: float) -> str:
    """A JSON Web Token that ends so many days from now."""
    ends = (datetime.now(UTC) + timedelta(days=days)).timestamp()
    parts = ({"typ": "JWT"}, {"uid": "alpine-meadow", "exp": int(ends)}, {"signature": "planted"})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


# Without network --------------------------------------------------------------------------------------------------


def test_without_accounts_nothing_can_start(doctor):
    code, lines = doctor("--offline")
    assert code == 1
    assert lines["CDS key"][0].startswith("missing: ") and "CDSAPI_KEY" in lines["CDS key"][0]
    assert lines["Earthdata login"][0].startswith("missing: ") and "netrc" in lines["Earthdata login"][0]
    assert lines["configuration"][0].startswith("ok: config/config.yaml + mine.yaml")


def test_with_accounts_in_the_environment_a_run_can_start(doctor, monkeypatch):
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    code, lines = doctor("--offline")
    assert code == 0, lines
    assert "environment variable CDSAPI_KEY" in lines["CDS key"][0]
    assert "EARTHDATA_USERNAME and EARTHDATA_PASSWORD" in lines["Earthdata login"][0]
    assert "attention: not asked, as --offline was given" in lines["CDS key"]
    assert "about 8 requests" in lines["fetching"][0]  # three months, two step types, two ends


def test_accounts_in_files_are_found_and_open_ones_are_named(doctor, place):
    cdsapirc, netrc = place / "home" / ".cdsapirc", place / "home" / ".netrc"
    cdsapirc.write_text(f"url: https://cds.climate.copernicus.eu/api\nkey: {KEY}\n")
    netrc.write_text(f"machine urs.earthdata.nasa.gov login alpine-meadow password {PASSWORD}\n")
    cdsapirc.chmod(0o600)
    netrc.chmod(0o644)
    code, lines = doctor("--offline")
    assert code == 0
    assert lines["CDS key"][0] == f"ok: found in {cdsapirc}, for cds.climate.copernicus.eu"
    assert not any("others can read" in line for line in lines["CDS key"])
    assert f"attention: others can read {netrc}; type: chmod 600 {netrc}" in lines["Earthdata login"]


def test_a_key_of_the_retired_form_is_refused(doctor, monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", f"12345:{KEY}")
    code, lines = doctor("--offline")
    assert code == 1
    assert "retired form" in lines["CDS key"][0]


@pytest.mark.parametrize(
    ("days", "state", "words"),
    [
        (-1, "missing", "expired on"),
        (0.5, "attention", "the fetch may take"),
        (0.03, "missing", "expires on"),
        (59, "ok", "58 days"),
    ],
)
def test_tokens_are_looked_at_before_the_run(doctor, monkeypatch, days, state, words):
    planted = token(days)
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    monkeypatch.setenv("EARTHDATA_TOKEN", planted)
    code, lines = doctor("--offline", secrets=(KEY, planted, planted.split(".")[1]))
    (line,) = lines["Earthdata token"]
    assert line.startswith(f"{state}: ") and words in line
    assert code == (1 if state == "missing" else 0)


def test_a_token_that_does_not_tell_its_end_is_an_attention():
    account = EarthdataAccount("environment", "here", "opaque")
    assert token_validity(account, 10, datetime.now(UTC)).state == "attention"


def test_proxies_are_named_without_their_user(doctor, monkeypatch, place):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:planted-proxy-word@proxy.example.org:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(place / "absent.pem"))
    code, lines = doctor("--offline", secrets=("planted-proxy-word", "me:"))
    assert lines["proxy"] == ["ok: connections follow HTTPS_PROXY (proxy.example.org:3128)"]
    assert lines["certificates"][0].startswith("missing: REQUESTS_CA_BUNDLE")
    assert code == 1


def test_a_proxy_that_is_no_address_is_not_shown():
    (proxy, *_) = machine.way_out({"https_proxy": "http://me:word@[half"})
    assert "word" not in proxy.text and "not an address" in proxy.text


def test_too_small_a_disk_is_missing(doctor, monkeypatch):
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    code, lines = doctor("--offline")
    assert code == 1
    assert lines["disk"][0].startswith("missing: ") and "1.0 MB free" in lines["disk"][0]


def test_an_elevation_file_that_is_not_there_is_missing(doctor, place):
    (place / "elevation.tif").unlink()
    _, lines = doctor("--offline")
    assert lines["elevation"][0].startswith("missing: elevation.tif does not exist")


def test_a_broken_configuration_ends_the_report(doctor, place):
    (place / "mine.yaml").write_text("regoin: {lat: [1, 2]}\n")
    code, lines = doctor("--offline")
    assert code == 1 and set(lines) == {"configuration"}
    assert "'region'" in lines["configuration"][0]
    (place / "mine.yaml").write_text("run: [\n")
    assert "no valid YAML" in doctor("--offline")[1]["configuration"][0]
    (place / "mine.yaml").unlink()
    assert "mine.yaml does not exist" in doctor("--offline")[1]["configuration"][0]


def test_of_other_sources_only_what_applies_is_said(doctor, place):
    (place / "mine.yaml").write_text(yaml.safe_dump({**MINE, "source": "twin", "terrain": None}))
    code, lines = doctor()
    assert code == 0
    assert not {"CDS key", "Earthdata login", "fetching", "archive"} & set(lines)
    (place / "mine.yaml").write_text(yaml.safe_dump({**MINE, "source": "archive", "terrain": None}))
    code, lines = doctor()
    assert code == 1
    assert "SMAP is absent in all 3 months" in lines["archive"][0]
    assert not {"CDS key", "Earthdata login", "fetching"} & set(lines)


def test_without_torch_it_says_so(doctor, place, monkeypatch):
    (place / "mine.yaml").write_text(yaml.safe_dump({**MINE, "source": "twin", "terrain": None}))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pscnet.devices", raising=False)
    code, lines = doctor()
    assert code == 1
    assert "does not import" in lines["torch"][0]


def test_esmf_is_missing_only_where_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "xesmf", None)
    assert [machine.weight_engine(name).state for name in ("auto", "exact", "xesmf")] == ["ok", "ok", "missing"]


def test_a_gpu_asked_for_and_absent_is_missing_unless_jobs_go_elsewhere(monkeypatch):
    config = load({**MINE, "training": {"device": "cuda"}})
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(machine, "scheduler", lambda: False)
    assert "missing" in [finding.state for finding in machine.devices(config)]
    monkeypatch.setattr(machine, "scheduler", lambda: True)
    assert "missing" not in [finding.state for finding in machine.devices(config)]


def test_overlays_go_over_each_other_as_snakemake_lays_them():
    base = {"run": "a", "split": "auto", "region": {"lat": [1, 2], "lon": [3, 4]}, "twin": {"seed": 1}}
    overlays = [{"split": {"train": ["x"]}, "region": {"lat": [5, 6]}}, {"twin": None, "region": {"polygon": "p"}}]
    expected, found = json.loads(json.dumps(base)), base
    for overlay in overlays:
        update_config(expected, overlay)
        found = setting.overlaid(found, overlay)
    assert found == expected
    assert found["region"] == {"lat": [5, 6], "lon": [3, 4], "polygon": "p"}


# What is there already --------------------------------------------------------------------------------------------


def put(ledger: Ledger, source: str, month: str, name: str, size: int, variables: tuple[str, ...]) -> None:
    part = ledger.part(name)
    part.write_bytes(bytes(size))
    ledger.keep(part, f"{source}/{name}", source=source, month=month, variables=variables)


@pytest.fixture
def ledger(place) -> Ledger:
    """An archive with one of three months complete, and a second half."""
    ledger = Ledger(place / "raw")
    put(ledger, "era5_land", "2016-05", "may.nc", 1000, ("swvl1", "tp"))
    put(ledger, "era5_land", "2016-06", "june.nc", 500, ("swvl1",))
    for day in range(31):
        put(ledger, "smap", "2016-05", f"{day}.h5", 10, ())
    return ledger


def test_what_the_archive_holds_is_not_asked_for_again(ledger):
    config = load(MINE)
    era5, smap = room.holdings(config, Settings())
    assert (era5.there, era5.done, era5.words) == (1500, 0.5, "1 of 3 months")
    assert smap.done == pytest.approx(31 / 92)
    before = room._requests(config, Settings(), room.holdings(load({**MINE, "archive": "empty"}), Settings())[0])
    assert room._requests(config, Settings(), era5) < before == 8


def test_a_file_that_is_gone_counts_as_not_there_and_nothing_is_changed(ledger):
    (ledger.archive / "era5_land" / "may.nc").unlink()
    era5, _ = room.holdings(load(MINE), Settings())
    assert era5.words == "0 of 3 months"
    assert len(ledger.records("era5_land", "2016-05")) == 1


def test_a_complete_archive_needs_no_accounts(doctor, place):
    ledger = Ledger(place / "raw")
    for month, days in (("2016-05", 31), ("2016-06", 29), ("2016-07", 31)):
        put(ledger, "era5_land", month, f"{month}.nc", 10, ("swvl1", "tp"))
        for day in range(days):
            put(ledger, "smap", month, f"{month}-{day}.h5", 10, ())
    assert doctor("--offline")[0] == 1  # a day of June is still to come
    june = ledger.records("smap", "2016-06")
    write_manifest("build/mine/manifests/smap/2016-06.json", "smap", "2016-06", ledger.archive, june)
    code, lines = doctor("--offline")
    assert code == 0
    assert lines["CDS key"][0].startswith("attention: ")
    assert "nothing to fetch" in lines["fetching"][0]


# Against the services ---------------------------------------------------------------------------------------------


@pytest.fixture
def services(tmp_path, place, monkeypatch) -> Iterator[SimpleNamespace]:
    """Both services, with the environment of a client that has accounts there."""
    faults = Faults()
    cds = Cds(None, faults, key=KEY)
    earthdata = Earthdata(None, faults, password=PASSWORD, fine_days=("2016-05-01",))
    with Internet([cds, earthdata], tmp_path / "net") as net:
        for name, value in net.environment().items():
            monkeypatch.setenv(name, value)
        yield SimpleNamespace(cds=cds, earthdata=earthdata, faults=faults, net=net)
    assert net.refused == []


def test_accounts_that_are_accepted(doctor, services):
    code, lines = doctor()
    assert code == 0, lines
    assert "ok: the key is accepted" in lines["CDS key"]
    assert lines["CDS licence"] == ["ok: accepted (cc-by)"]
    assert "ok: accepted" in lines["Earthdata login"]
    assert services.cds.jobs == []


def test_a_key_that_is_not_accepted(doctor, services, monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", "planted-wrong-key")
    code, lines = doctor(secrets=("planted-wrong-key", PASSWORD))
    assert code == 1
    assert lines["CDS key"][-1].startswith("missing: the key is not accepted; make a new one at https://")
    assert "CDS licence" not in lines


def test_a_licence_that_is_not_accepted(doctor, services):
    services.cds.licences = []
    code, lines = doctor()
    assert code == 1
    assert lines["CDS licence"][0].startswith("missing: ")
    assert "manage-licences" in lines["CDS licence"][0]


def test_a_password_that_is_not_accepted(doctor, services, monkeypatch):
    monkeypatch.setenv("EARTHDATA_PASSWORD", "planted-wrong-word")
    code, lines = doctor(secrets=(KEY, "planted-wrong-word"))
    assert code == 1
    assert lines["Earthdata login"][-1].startswith("missing: not accepted")


def test_a_token_that_is_accepted_and_one_that_is_not(doctor, services, monkeypatch):
    good, bad = services.earthdata.login.token(), services.earthdata.login.token(known=False)
    monkeypatch.setenv("EARTHDATA_TOKEN", good)
    code, lines = doctor(secrets=(KEY, good))
    assert code == 0 and "ok: accepted" in lines["Earthdata login"]
    monkeypatch.setenv("EARTHDATA_TOKEN", bad)
    code, lines = doctor(secrets=(KEY, bad))
    assert code == 1 and lines["Earthdata login"][-1].startswith("missing: not accepted")


@pytest.mark.parametrize("fault", ["cds_500", "cds_502_html", "cds_503", "cds_504", "cds_429", "edl_503"])
def test_a_service_that_is_down_is_no_reason_not_to_start(doctor, services, fault):
    services.faults.plant(fault, 100)
    code, lines = doctor()
    assert code == 0
    service = "Earthdata login" if fault.startswith("edl") else "CDS key"
    assert lines[service][-1].startswith("attention: ") and "could not be checked" in lines[service][-1]
    assert services.faults.taken[fault] > 0


def test_services_that_cannot_be_reached(doctor, services, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    code, lines = doctor()
    assert code == 0
    for topic in ("CDS key", "Earthdata login"):
        assert "could not be checked: the proxy does not lead there" in lines[topic][-1]
    assert lines["CDS licence"] == ["attention: could not be checked either"]


def test_a_certificate_that_is_not_trusted(doctor, services, monkeypatch, tmp_path):
    with Internet([Cds(None)], tmp_path / "other") as other:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.certificate))
        _, lines = doctor()
    assert "REQUESTS_CA_BUNDLE" in lines["CDS key"][-1] and lines["CDS key"][-1].startswith("attention: ")


# Words ------------------------------------------------------------------------------------------------------------


def test_what_is_missing_decides():
    assert conclusion([ok("a", "b")]) == "A run can start."
    assert conclusion([ok("a", "b"), attention("a", "b")]) == "A run can start; 1 to look at."
    assert conclusion([missing("a", "b"), missing("a", "c")]) == "A run cannot start: 2 things are missing."
    assert not can_start([missing("a", "b")]) and can_start([attention("a", "b")])


def test_a_finding_is_one_line():
    assert "\n" not in missing("a", "b\nc").line()


def test_sizes_and_times_in_words():
    assert [gigabytes(size) for size in (0, 5e3, 1.5e6, 3.2e10, 1.25e12)] == [
        "0 kB",
        "5 kB",
        "1.5 MB",
        "32 GB",
        "1.2 TB",
    ]
    assert duration(0.1, 0.5) == "less than an hour"
    assert duration(0.5, 9) == "up to 9 hours"
    assert duration(6, 148) == "6 hours to 6 days"


def test_without_a_command_it_helps(repository):
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "pscnet"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "doctor" in done.stdout and "verify" in done.stdout
