"""Every fault of Earthdata, met by the real fetch: recovered to the byte, or told in words with nothing lost."""

from __future__ import annotations

import builtins
import getpass
import hashlib
import json
import logging
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import pytest

from pscnet.sources import manifest
from pscnet.sources.fetch import DamagedError, RefusedError, UnavailableError, secrets
from pscnet.sources.fetch.crop import crop
from pscnet.sources.fetch.granules import OF_SOURCE, expected
from pscnet.sources.smap_granule import version_of
from tests.servers.conftest import LAT, LON
from tests.servers.earthdata import CMR, DATA, STORE, URS, Earthdata
from tests.servers.fast import FAST
from tests.servers.faults import Faults
from tests.servers.internet import Answer, Internet, Request
from tests.servers.smap_runs import (
    DAYS,
    FINE_DAYS,
    HALF,
    MONTH,
    Ending,
    Run,
    Watch,
    described,
    down_after_a_cut,
    token_only,
)
from tests.servers.world import World

ALWAYS = 10**6


@pytest.fixture(autouse=True)
def nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal and nobody to ask: a prompt fails the test."""

    def prompt(*_: object, **__: object) -> str:
        raise AssertionError("a prompt")

    monkeypatch.setattr(builtins, "input", prompt)
    monkeypatch.setattr(getpass, "getpass", prompt)
    monkeypatch.setattr(sys, "stdin", None)


@pytest.fixture(autouse=True)
def no_tokens_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process knows a token or two: to mask those of forty tests takes seconds."""
    monkeypatch.setattr(secrets, "_remembered", set())


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def edl(world: World, faults: Faults) -> Earthdata:
    return Earthdata(world, faults, days=DAYS, fine_days=FINE_DAYS)


@pytest.fixture
def internet(net: Callable[..., Internet], edl: Earthdata) -> Iterator[Internet]:
    made = net(edl)
    yield made
    assert made.refused == []


@pytest.fixture(autouse=True)
def silence(edl: Earthdata, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Not even the most talkative log says a token, a password or a signature."""
    caplog.set_level(logging.DEBUG)
    yield
    said = "\n".join(map(logging.Formatter().format, caplog.get_records("call"))) + "".join(capfd.readouterr())
    told = [secret for secret in (edl.login.password, *edl.login.given) if secret in said]
    assert told == [] and not re.search(r"X-Amz-Signature=[0-9a-f]", said)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, manifest.Manifest]:
    """A fetch in which nothing goes wrong."""
    run = Run(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch, Internet([Earthdata(world, days=DAYS)]) as internet:
        for name, value in internet.environment().items():
            patch.setenv(name, value)
        patch.delenv("EARTHDATA_TOKEN", raising=False)
        made = run.fetch()
    return run, made


@pytest.fixture
def nearly(undisturbed: tuple[Run, manifest.Manifest], run: Run) -> Run:
    """The undisturbed archive, of which one granule is gone."""
    shutil.copytree(undisturbed[0].archive, run.archive)
    next(run.archive.glob("smap/**/*_20160605_*.h5")).unlink()
    return run


def test_undisturbed(undisturbed: tuple[Run, manifest.Manifest], world: World) -> None:
    run, made = undisturbed
    offered = {granule.day: granule for granule in world.granules() if granule.day in DAYS}  # the last version wins
    hashes = {path.rsplit("/", 1)[-1]: digest for path, digest in run.content().items()}
    assert hashes == {
        granule.name: hashlib.sha256(granule.path.read_bytes()).hexdigest() for granule in offered.values()
    }
    assert [version_of(path).counter for path in sorted(hashes)] == [1, 2, 1, 1]
    assert made.missing["days"] == [day for day in expected(OF_SOURCE["smap"], MONTH) if day not in DAYS]
    assert [member.sha256 for member in made.files] == [hashes[member.provider_id] for member in made.files]
    assert all(member.url.startswith(f"https://{DATA}/") and "?" not in member.url for member in made.files)
    assert made.made_by == "fetch" and not run.leftovers() and not run.reasons()


def test_a_second_fetch_downloads_nothing(internet: Internet, undisturbed, run: Run) -> None:
    first, made = undisturbed
    shutil.copytree(first.archive, run.archive)
    again = run.fetch()
    assert not internet.requests(STORE) and not internet.requests(DATA)
    assert [vars(member) for member in again.files] == [vars(member) for member in made.files]


#: Fault to how often it happens, and a word of the reason for which something went into quarantine.
RECOVERED = {
    "edl_503": (2, None),
    "edl_bearer_refused": (ALWAYS, None),
    "edl_redirect_loop": (1, None),
    "cmr_504": (2, None),
    "cmr_hits_mismatch": (1, None),
    "cmr_many": (1, None),
    "cmr_duplicates": (1, None),
    "cmr_no_size_or_checksum": (1, None),
    "store_cut": (3, None),
    "store_stall": (1, None),
    "store_403": (2, None),
    "store_503": (2, None),
    "data_html_200": (1, None),
    "data_wrong_checksum": (1, "MD5"),
    "data_group_missing": (1, "the catalogue says"),
}


@pytest.mark.parametrize("fault", RECOVERED)
def test_recovers(fault: str, internet: Internet, faults: Faults, undisturbed, run: Run) -> None:
    times, reason = RECOVERED[fault]
    faults.plant(fault, times)
    made = run.fetch()
    assert faults.taken[fault] == times if times < ALWAYS else faults.taken[fault] > 0
    assert run.content() == undisturbed[0].content()
    if fault != "cmr_no_size_or_checksum":
        assert described(made) == described(undisturbed[1])
    assert made.missing == undisturbed[1].missing
    assert run.leftovers() == []
    assert (reason in run.reasons()) if reason else (run.reasons() == "")


def test_recovers_from_cmr_missing_date(internet, edl, faults, undisturbed, run, caplog) -> None:
    """The day is listed as missing, said so in the log, and comes with the next fetch once the provider has it."""
    faults.plant("cmr_missing_date")
    with caplog.at_level(logging.WARNING):
        made = run.fetch()
    gone = edl.missing_day("SPL3SMP")
    assert faults.taken["cmr_missing_date"] == 1 and gone in DAYS
    assert gone in made.missing["days"] and gone in caplog.text
    assert {name: digest for name, digest in undisturbed[0].content().items() if gone.replace("-", "") not in name} == (
        run.content()
    )
    edl.mend()
    assert described(run.fetch()) == described(undisturbed[1])
    assert run.content() == undisturbed[0].content()


def test_a_group_missing_where_nothing_is_announced(internet, faults, undisturbed, run) -> None:
    """Without size and checksum only the look into the file tells; the whole granule of the second time is kept."""
    faults.plant("cmr_no_size_or_checksum", 2)
    faults.plant("data_group_missing")
    run.fetch()
    assert faults.taken["data_group_missing"] == 1
    assert run.content() == undisturbed[0].content()
    assert run.leftovers() == []


def test_wrong_bytes_where_nothing_is_announced(internet, faults, undisturbed, run) -> None:
    """Without a checksum the ETag of the store vouches for the bytes; those that it does not fit come once more."""
    faults.plant("cmr_no_size_or_checksum")
    faults.plant("data_wrong_checksum")
    run.fetch()
    assert faults.taken["data_wrong_checksum"] == 1
    assert run.content() == undisturbed[0].content() and run.leftovers() == []


def test_bytes_that_nothing_vouches_for_come_twice(net, world, undisturbed, run) -> None:
    class Encrypted(Earthdata):
        """A store whose ETags are no MD5 of anything."""

        def _deliver(self, request: Request, body: bytes | Path, md5: str) -> Answer:
            return super()._deliver(request, body, md5[::-1])

    edl = Encrypted(world, days=DAYS)
    edl.faults.plant("cmr_no_size_or_checksum")
    edl.faults.plant("data_wrong_checksum")
    internet = net(edl)
    run.fetch()
    assert run.content() == undisturbed[0].content() and run.leftovers() == []
    assert len(internet.requests(STORE)) == 2 * len(DAYS) + 1


def test_a_half_that_the_provider_does_not_have_is_no_fault(internet, undisturbed, run, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        run.fetch()
    name = f"SMAP_L3_SM_P_{HALF.replace('-', '')}_R19240_001.h5"
    with h5py.File(next(run.archive.rglob(name))) as file:
        assert "Soil_Moisture_Retrieval_Data_PM" not in file
    warned = [record.getMessage() for record in caplog.records if "PM" in record.getMessage()]
    assert warned and name in warned[0]
    assert run.content() == undisturbed[0].content() and run.reasons() == ""


#: Fault to the error that it ends in, and words that say what to do.
ERRORS = {
    "edl_401": (RefusedError, ("EARTHDATA_USERNAME", "password", URS)),
    "edl_token_expired": (RefusedError, ("new token", URS, "EARTHDATA_TOKEN", "not accepted")),
    "edl_eula": (RefusedError, ("agreement", f"https://{URS}/")),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_refuses(fault, internet, edl, faults, undisturbed, nearly, monkeypatch) -> None:
    kind, words = ERRORS[fault]
    if fault == "edl_token_expired":
        token_only(monkeypatch, edl.login.token())
    before = nearly.content()
    faults.plant(fault)
    with pytest.raises(kind) as raised:
        nearly.fetch()
    assert faults.taken[fault] == 1  # at once, not after all patience
    assert [word for word in words if word.lower() not in str(raised.value).lower()] == []
    assert nearly.content() == before and len(before) == len(DAYS) - 1
    assert not list(nearly.folder.glob("*.json")) and not list(nearly.folder.glob("*.state"))
    faults.clear()
    if fault == "edl_token_expired":
        monkeypatch.setenv("EARTHDATA_TOKEN", edl.login.token())  # what the message asks for
    assert described(nearly.fetch()) == described(undisturbed[1])
    assert nearly.content() == undisturbed[0].content() and nearly.leftovers() == []


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("data_wrong_checksum", DamagedError, "MD5"),
        ("data_group_missing", DamagedError, "the catalogue says"),
        ("data_html_200", RefusedError, "log in"),
    ],
)
def test_what_stays_wrong_is_named(fault, kind, words, internet, faults, undisturbed, run) -> None:
    """After a few times an error names the granule; what is bad lies in quarantine, and nothing bad elsewhere."""
    faults.plant(fault, ALWAYS)
    with pytest.raises(kind, match=words) as raised:
        run.fetch()
    assert re.search(r"SMAP_L3_SM_P_201606\d\d_R19240_00\d.h5", str(raised.value))
    assert run.content() == {}
    assert (run.reasons() != "") == (kind is DamagedError)
    faults.clear()
    assert described(run.fetch()) == described(undisturbed[1])
    assert run.content() == undisturbed[0].content() and run.leftovers() == []


def test_a_granule_that_stays_wrong_does_not_keep_the_others_away(net, world, undisturbed, run) -> None:
    class Lying(Earthdata):
        """One granule is always wrong."""

        def answer(self, request: Request) -> Answer:
            if request.host == STORE and "_20160605_" in request.path:
                self.faults.plant("data_wrong_checksum")
            return super().answer(request)

    run.settings["smap"]["downloads_at_once"] = 1
    net(Lying(world, days=DAYS))
    with pytest.raises(DamagedError, match="20160605"):
        run.fetch()
    others = {name: digest for name, digest in undisturbed[0].content().items() if "_20160605_" not in name}
    assert run.content() == others and len(others) == len(DAYS) - 1


def test_a_download_goes_on_where_an_earlier_run_ended(internet, faults, undisturbed, nearly) -> None:
    nearly.settings["retry"]["give_up_after_hours"] = 0.6 / 3600
    faults.plant("store_cut")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faults, "take", down_after_a_cut(faults))
        with pytest.raises(UnavailableError):
            nearly.fetch()
    (part,) = nearly.archive.glob(".fetch/parts/*.part")
    have, before = part.stat().st_size, len(internet.requests(STORE))
    nearly.fetch()
    (last,) = internet.requests(STORE)[before:]
    assert have > 0 and (last.status, last.start) == (206, have)
    assert nearly.content() == undisturbed[0].content() and nearly.leftovers() == []


def test_a_granule_disturbed_in_the_archive_comes_anew(internet, undisturbed, nearly) -> None:
    shutil.copytree(undisturbed[0].archive, nearly.archive, dirs_exist_ok=True)
    path = next(nearly.archive.rglob("*_20160621_*.h5"))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    nearly.fetch()
    assert len(internet.requests(STORE)) == 1 and "SHA-256" in nearly.reasons()
    assert nearly.content() == undisturbed[0].content()


@pytest.mark.parametrize("fault", ["cmr_504", "store_503", "edl_503"])
def test_a_lasting_outage_ends_in_words_and_the_next_fetch_goes_on(
    fault, internet, faults, undisturbed, nearly
) -> None:
    nearly.settings["retry"]["give_up_after_hours"] = 0.5 / 3600
    before = nearly.content()
    faults.plant(fault, ALWAYS)
    with pytest.raises(UnavailableError, match="Start again"):
        nearly.fetch()
    assert nearly.content() == before
    faults.clear()
    nearly.fetch()
    assert nearly.content() == undisturbed[0].content() and nearly.leftovers() == []


def test_a_token_that_ends_midway_is_renewed_once(net, world, undisturbed, run) -> None:
    run.settings["smap"]["downloads_at_once"] = 1
    edl = Ending(world, days=DAYS)
    internet = net(edl)
    run.fetch()
    logins = [post for post in internet.requests(URS, "POST") if post.status == 200]
    assert edl.asked > 2 and len(logins) <= 2
    assert run.content() == undisturbed[0].content() and run.leftovers() == []
    assert internet.refused == []


def test_a_token_that_ends_before_the_search_is_renewed_once(internet, faults, undisturbed, run) -> None:
    faults.plant("edl_token_expired")
    run.fetch()
    assert faults.taken["edl_token_expired"] == 1
    assert len([post for post in internet.requests(URS, "POST") if post.status == 200]) == 2
    assert run.content() == undisturbed[0].content()


@pytest.mark.parametrize("life", [-3600, 1800])
def test_a_token_that_is_over_is_refused_before_anything_is_asked(life, internet, edl, run, monkeypatch) -> None:
    """Over by its own word, or within the hour: nobody is contacted."""
    token = edl.login.token(life)
    token_only(monkeypatch, token)
    with pytest.raises(RefusedError) as raised:
        run.fetch()
    text = str(raised.value)
    assert URS in text and "EARTHDATA_TOKEN" in text and token not in text
    assert internet.log == []


def test_a_good_token_alone_is_enough(internet, edl, undisturbed, run, monkeypatch) -> None:
    token_only(monkeypatch, edl.login.token())
    run.fetch()
    assert run.content() == undisturbed[0].content() and not internet.requests(URS, "POST")


def test_a_netrc_file_is_enough_and_stays_between_us_and_the_login_host(
    internet, edl, undisturbed, run, monkeypatch, tmp_path
) -> None:
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    hosts = (URS, CMR, DATA, STORE)
    lines = [f'machine {host} login {edl.login.user} password "{edl.login.password}"' for host in hosts]
    (tmp_path / "netrc").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    run.fetch()
    assert run.content() == undisturbed[0].content()
    basic = {record.host for record in internet.log if record.headers.get("authorization", "").startswith("Basic")}
    assert basic == {URS}


def test_a_token_alone_that_ends_midway_keeps_what_came(net, world, undisturbed, run, monkeypatch) -> None:
    run.settings["smap"]["downloads_at_once"] = 1
    edl = Ending(world, days=DAYS)
    net(edl)
    token_only(monkeypatch, edl.login.token())
    with pytest.raises(RefusedError, match="new token"):
        run.fetch()
    assert len(run.content()) == 1 and set(run.content().items()) < set(undisturbed[0].content().items())
    monkeypatch.setenv("EARTHDATA_TOKEN", edl.login.token())
    run.fetch()
    assert run.content() == undisturbed[0].content()


def test_without_an_account_nobody_is_asked(internet, run, monkeypatch) -> None:
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    with pytest.raises(RefusedError, match="netrc"):
        run.fetch()
    assert internet.log == []


def test_a_month_without_granules_is_told(internet, run) -> None:
    with pytest.raises(RefusedError, match="2016-07"):
        run.fetch("2016-07")


def test_more_than_two_thousand_granules_in_one_search(internet, faults, undisturbed, run) -> None:
    faults.plant("cmr_many")
    run.fetch()
    pages = [record for record in internet.requests(CMR) if record.query["page_size"] != ["0"]]
    # On a busy machine a page may be asked for again after its time limit.
    assert len(pages) >= 2 and all(record.query["page_size"] == ["2000"] for record in pages)
    assert len(internet.requests(STORE)) == len(DAYS)
    assert run.content() == undisturbed[0].content()


@pytest.mark.parametrize("seed", [3, 5])
def test_many_faults_together(seed, net, world, undisturbed, run, caplog) -> None:
    """All that a fetch gets over, by chance.

    A granule that is wrong three times in a row takes a second run, or, where the catalogue lists older releases (the
    same bytes here), the next best one stands in for it and the log says so. One in whose place a web page comes four
    times takes a second run too. Half a granule that comes twice without a checksum is by right taken for what the
    provider has, so it is left out.
    """
    names = tuple(name for name in RECOVERED if name != "data_group_missing")
    edl = Earthdata(world, Faults(seed, names, 0.12), days=DAYS)
    net(edl)
    for _ in range(3):
        try:
            run.fetch()
            break
        except DamagedError:
            continue
        except RefusedError as refused:
            assert "times a web page" in str(refused) and edl.faults.taken["data_html_200"] >= 4
    assert edl.faults.taken
    expected = undisturbed[0].content()
    for message in caplog.messages:
        if " stands in for " in message:
            other, best = (re.search(r"[^/\s]+\.h5", part).group() for part in message.split(" stands in for "))
            expected = {name.replace(best, other): digest for name, digest in expected.items()}
    assert run.content() == expected and run.leftovers() == []


def test_a_catalogue_that_grows_while_it_is_read_is_read_again(net, world, undisturbed, run) -> None:
    class Growing(Earthdata):
        """Older versions, which come first, turn up when the granules have been counted."""

        def _search(self, request: Request) -> Answer:
            if request.first("page_size") != "0" and not self.faults.taken["cmr_duplicates"]:
                self.faults.plant("cmr_duplicates")
            return super()._search(request)

    edl = Growing(world, days=DAYS)
    net(edl)
    run.fetch()
    assert edl.faults.taken["cmr_duplicates"] == 1
    assert run.content() == undisturbed[0].content()


def test_downloads_at_once_holds_for_all_products_together(internet, run) -> None:
    run.settings["smap"]["downloads_at_once"] = 1
    other = Run(run.folder, "smap_e", run.settings)
    with Watch(run) as watch, ThreadPoolExecutor(2) as pool:
        made = list(pool.map(Run.fetch, (run, other)))
    assert [len(manifest.files) for manifest in made] == [len(DAYS), len(FINE_DAYS)]
    assert watch.most == 1


@pytest.mark.parametrize(("source", "product"), [("smap_e", "SPL3SMP_E"), ("smap_l4", "SPL4SMGP")])
def test_nine_km_granules_are_cropped_as_they_arrive(source, product, internet, edl, faults, run, tmp_path) -> None:
    run.source = source
    run.settings["smap"]["downloads_at_once"] = 2
    if source == "smap_l4":
        edl.fine_days = FINE_DAYS[:1]
    originals = {entry.name: entry.granule for entry in edl.collection(product)}
    faults.plant("store_cut")
    faults.plant("data_wrong_checksum")
    with Watch(run) as watch:
        made = run.fetch()
    assert faults.taken["store_cut"] == faults.taken["data_wrong_checksum"] == 1
    assert 1 <= watch.most <= 2 and len(watch.seen) > 1
    assert run.leftovers() == []
    assert sorted(member.origin["name"] for member in made.files) == sorted(originals)
    variables = FAST["smap"]["l4_variables"] if source == "smap_l4" else None
    for member in made.files:
        granule = originals[member.origin["name"]]
        digest = hashlib.sha256(granule.path.read_bytes()).hexdigest()
        assert (member.origin["size"], member.origin["sha256"]) == (granule.size, digest)
        assert granule.md5 in json.dumps(member.origin["checksum"])
        crop(granule.path, LAT, LON, tmp_path / "crop.h5", variables, name=granule.name, sha256=digest)
        kept = run.archive / member.path
        assert re.fullmatch(rf"{Path(granule.name).stem}\.[0-9a-f]{{8}}\.crop\.h5", kept.name)
        assert kept.read_bytes() == (tmp_path / "crop.h5").read_bytes()
        assert kept.stat().st_size < granule.size
    days = [f"{MONTH}-{day:02d}" for day in range(1, 31)]
    assert made.missing["days"] == [day for day in days if day not in edl.fine_days]
    before = len(internet.requests(STORE))
    run.fetch()
    assert len(internet.requests(STORE)) == before
