"""Sessions and logins of Earthdata without a server: an adapter in place of the network records and answers."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from requests.adapters import BaseAdapter

from pscnet.sources.fetch import RefusedError, UnavailableError
from pscnet.sources.fetch.credentials import earthdata_account
from pscnet.sources.fetch.earthdata import Earthdata, Session, Unsettled, check_expiry
from pscnet.sources.fetch.settings import Patience

URS, DATA = "urs.earthdata.nasa.gov", "data.nsidc.earthdatacloud.nasa.gov"
STORE, CMR = "bucket.s3.us-west-2.amazonaws.com", "cmr.earthdata.nasa.gov"
PATIENCE = Patience(first_wait=0.01, longest_wait=0.02, give_up_after=0.3, stall=2.0, slowest=1.0)
BASIC = "Basic " + base64.b64encode(b"alma:a secret").decode()


class Wire(BaseAdapter):
    """In place of the network: answers by a function, and a list of (host, path, authorization, timeout)."""

    def __init__(self, answer: Callable[[requests.PreparedRequest], tuple[int, dict, str]]) -> None:
        super().__init__()
        self.answer, self.seen = answer, []

    def send(self, request, timeout=None, **_):
        host, _, path = request.url.removeprefix("https://").partition("/")
        self.seen.append((host, path.partition("?")[0], request.headers.get("Authorization"), timeout))
        status, headers, text = self.answer(request)
        response = requests.Response()
        response.status_code, response.url, response.request, response.connection = status, request.url, request, self
        response.headers.update(headers)
        response._content = text.encode()
        return response

    def close(self):
        pass


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Wire]:
    """Put a wire under every session made from now on."""

    def connect(answer: Callable) -> Wire:
        made = Wire(answer)
        monkeypatch.setattr(requests.Session, "get_adapter", lambda self, url: made)
        return made

    return connect


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An account in the environment, and a netrc file that says something else for every host."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {DATA} login other password other\ndefault login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("EARTHDATA_TOKEN", raising=False)
    monkeypatch.setenv("EARTHDATA_USERNAME", "alma")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "a secret")


def token(lasts: timedelta) -> str:
    claims = {"exp": (datetime.now(UTC) + lasts).timestamp()}
    return f"head.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.signature"


def token_answer(number: int = 1) -> tuple[int, dict, str]:
    return 200, {}, json.dumps({"access_token": f"token-{number}", "expiration_date": "01/01/2031"})


def session() -> Session:
    return Session(URS, ("alma", "a secret"), "token-1", PATIENCE, 1)


def test_every_request_has_a_timeout(wire):
    line = wire(lambda request: (200, {}, ""))
    session().get(f"https://{CMR}/search")
    session().get(f"https://{CMR}/search", timeout=None)
    session().post(f"https://{CMR}/search", timeout=9)
    assert [timeout for *_, timeout in line.seen] == [(2.0, 2.0), (2.0, 2.0), 9]


def test_the_token_goes_to_the_first_host_only_and_the_password_to_the_login_only(wire):
    """The way of a refused bearer, with a netrc file that knows every host: it must never be used."""

    def answer(request):
        host = request.url.split("/")[2]
        if host == DATA and request.headers.get("Cookie") == "asf-urs=good":
            return 303, {"Location": f"https://{STORE}/granule?X-Amz-Signature=1"}, ""
        if host == DATA and "/login" in request.url:
            return 302, {"Location": f"https://{DATA}/granule", "Set-Cookie": "asf-urs=good; Path=/"}, ""
        if host == DATA:
            return 302, {"Location": f"https://{URS}/oauth/authorize"}, ""
        if host == URS:
            good = request.headers.get("Authorization") == BASIC
            return (302, {"Location": f"https://{DATA}/login?code=1"}, "") if good else (401, {}, "")
        return 200, {}, "content"

    line = wire(answer)
    made = session()
    made.cookies.set("asf-urs", "none", domain=DATA)
    made.cookies.clear()
    with pytest.MonkeyPatch.context() as patch:
        # The wire gives no raw answer to read cookies from.
        patch.setattr(requests.sessions, "extract_cookies_to_jar", _keep_cookie)
        patch.setattr(requests.cookies, "extract_cookies_to_jar", _keep_cookie)
        assert made.get(f"https://{DATA}/granule").text == "content"
    assert [(host, path, given) for host, path, given, _ in line.seen] == [
        (DATA, "granule", "Bearer token-1"),
        (URS, "oauth/authorize", None),
        (URS, "oauth/authorize", BASIC),
        (DATA, "login", None),
        (DATA, "granule", None),
        (STORE, "granule", None),
    ]


def _keep_cookie(jar, request, response) -> None:
    if "code=1" in request.url:
        jar.set("asf-urs", "good", domain=DATA, path="/")


def test_login_asks_the_token_endpoint_with_the_account_s_password_alone(wire):
    def answer(request):
        return token_answer() if request.headers.get("Authorization") == BASIC else (401, {}, "")

    line = wire(answer)
    made = Earthdata(PATIENCE).session()
    assert made.headers["Authorization"] == "Bearer token-1"
    assert [given for _, _, given, _ in line.seen] == [None, BASIC], "the netrc file's other account stays out of it"


def test_a_netrc_file_is_an_account_and_for_the_login_only(wire, monkeypatch, tmp_path):
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    with open(tmp_path / "netrc", "a") as netrc:
        netrc.write(f'machine {URS} login alma password "a secret"\n')

    def answer(request):
        return token_answer() if request.headers.get("Authorization") == BASIC else (401, {}, "")

    line = wire(answer)
    made = Earthdata(PATIENCE).session()
    assert [given for _, _, given, _ in line.seen] == [None, BASIC]
    made.get(f"https://{DATA}/granule")
    assert line.seen[-1][2] == "Bearer token-1"


def test_an_outage_of_the_login_is_waited_for_and_a_refusal_is_not(wire):
    answers = [(503, {}, "down"), (503, {}, "down"), (200, {}, "<html>back soon</html>"), token_answer()]
    wire(lambda request: answers.pop(0) if request.headers.get("Authorization") else (401, {}, ""))
    assert Earthdata(PATIENCE).session().headers["Authorization"] == "Bearer token-1"
    line = wire(lambda request: (401, {}, '{"error": "invalid_credentials"}'))
    with pytest.raises(RefusedError, match=r"EARTHDATA_USERNAME.*invalid_credentials"):
        Earthdata(PATIENCE).session()
    assert len(line.seen) == 2


def test_one_login_serves_many_sessions(wire):
    line = wire(lambda request: token_answer())
    earthdata = Earthdata(PATIENCE)
    sessions = [earthdata.session() for _ in range(3)]
    assert len({id(one) for one in sessions}) == 3
    assert [path for _, path, _, _ in line.seen] == ["api/users/find_or_create_token"] * 2


def refused(session: Session) -> None:
    response = requests.Response()
    response.status_code = 401
    raise requests.HTTPError("401", response=response)


def test_401_brings_one_more_login_however_many_see_it(wire):
    numbers = iter(range(1, 9))
    wire(lambda request: token_answer(next(numbers) // 2))
    earthdata = Earthdata(PATIENCE)
    old = [earthdata.session() for _ in range(3)]
    renewed = [earthdata._renewed(one).headers["Authorization"] for one in old]
    assert len(set(renewed)) == 1
    assert renewed[0] != old[0].headers["Authorization"]
    tried = []

    def work(session: Session) -> str:
        tried.append(session.login)
        return refused(session) if len(tried) == 1 else "done"

    assert earthdata.authorised(work) == "done"
    assert tried == [2, 3]
    with pytest.raises(RefusedError, match="not accepted"):
        earthdata.authorised(refused)


def test_a_token_alone_is_not_renewed(monkeypatch):
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("EARTHDATA_TOKEN", token(timedelta(days=30)))
    with pytest.raises(RefusedError, match=r"EARTHDATA_TOKEN is not accepted.*Make a new token"):
        Earthdata(PATIENCE).authorised(refused)


def test_a_password_beside_the_token_helps_when_the_token_does_not(wire, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", token(timedelta(days=-1)))
    wire(lambda request: token_answer())
    tried = []

    def work(session: Session) -> str:
        tried.append(session.headers["Authorization"])
        return "done" if tried[-1] == "Bearer token-1" else refused(session)

    assert Earthdata(PATIENCE).authorised(work) == "done"
    assert len(tried) == 2


@pytest.mark.parametrize(("lasts", "words"), [(timedelta(hours=-2), "one that ended"), (timedelta(minutes=50), "ends")])
def test_a_token_that_is_over_or_nearly_is_refused(monkeypatch, lasts, words):
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("EARTHDATA_TOKEN", token(lasts))
    with pytest.raises(RefusedError, match=f"{words}.*UTC.*profile, Generate Token"):
        Earthdata(PATIENCE)


def test_a_token_that_ends_in_days_is_told(monkeypatch, caplog):
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    for days, warned in ((2, True), (30, False)):
        monkeypatch.setenv("EARTHDATA_TOKEN", token(timedelta(days=days)))
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            check_expiry(earthdata_account())
        assert ("ends at" in caplog.text) is warned


def umm(name: str) -> dict:
    link = {"URL": f"https://{DATA}/{name}", "Type": "GET DATA"}
    return {"meta": {"concept-id": name}, "umm": {"GranuleUR": name, "RelatedUrls": [link]}}


def catalogue(pages: list[list[dict]], hits: int) -> Callable:
    def answer(request):
        if URS in request.url:
            return token_answer()
        if "page_size=0" in request.url:
            return 200, {"CMR-Hits": str(hits)}, ""
        return 200, {}, json.dumps({"items": pages.pop(0)})

    return answer


def search(earthdata: Earthdata):
    return earthdata.search("SPL3SMP", "009", (90, 30, 92, 32), "2016-05-01", "2016-05-31")


def test_a_search_that_brings_fewer_than_announced_is_done_again(wire, monkeypatch):
    both = [umm(f"SMAP_L3_SM_P_2016050{day}_R19240_001.h5") for day in (1, 2)]
    wire(catalogue([both[:1], [both[0], both[0]], [{"meta": {}}, {}], both], 2))
    assert [granule.when for granule in search(Earthdata(PATIENCE))] == ["2016-05-01", "2016-05-02"]


def test_a_search_that_stays_incomplete_ends_in_words(wire):
    wire(catalogue([[umm("SMAP_L3_SM_P_20160501_R19240_001.h5")]] * 10_000, 2))
    with pytest.raises(UnavailableError, match="1 of the 2 granules"):
        search(Earthdata(PATIENCE))


def test_a_search_without_hits_asks_for_no_page(wire):
    wire(catalogue([], 0))
    assert search(Earthdata(PATIENCE)) == []


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_refused_search_is_told_without_its_address(wire, status):
    wire(lambda request: token_answer() if URS in request.url else (status, {}, '{"errors": ["no"]}'))
    with pytest.raises(RefusedError, match=f"{status}.*from the catalogue") as caught:
        search(Earthdata(PATIENCE))
    assert "bounding_box" not in str(caught.value)


def test_a_missing_agreement_is_an_error_at_once(wire):
    wire(lambda request: (403, {}, '{"error_description": "EULA Acceptance Failure"}'))
    with pytest.raises(requests.HTTPError, match="agreement"):
        session().get(f"https://{DATA}/granule", stream=True)
    wire(lambda request: (403, {}, "Request has expired"))
    assert session().get(f"https://{DATA}/granule").status_code == 403


def test_what_may_pass_is_known_as_such():
    assert isinstance(Unsettled("x"), requests.exceptions.ConnectionError)
