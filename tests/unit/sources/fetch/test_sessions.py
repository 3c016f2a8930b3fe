"""Sessions on small servers of the loopback: what goes to whom, and how long an answer may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests

from pscnet.sources.fetch import RefusedError, sessions
from pscnet.sources.fetch.retry import transient
from pscnet.sources.fetch.sessions import Session, read_page
from pscnet.sources.fetch.settings import Patience
from tests.servers.loopback import Loopback, redirect, text


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loopback]:
    """A server, and a netrc file that knows every host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("NO_PROXY", "*")
    with Loopback() as made:
        yield made


SECRETS = {"PRIVATE-TOKEN": "planted-key", "Authorization": "Bearer planted"}


def test_credentials_stay_on_their_host(server: Loopback) -> None:
    server.answers = {
        "/api": redirect("/same"),
        "/same": redirect(server.url("/other", host="localhost")),
        "/other": text(),
    }
    assert Session().get(server.url("/api"), headers=SECRETS).status_code == 200
    for name, value in SECRETS.items():
        assert server.header(name) == {"/api": value, "/same": value, "/other": None}


def test_credentials_are_not_sent_to_a_host_that_the_service_names(server: Loopback, caplog) -> None:
    server.answers = {"/api/job": text(), "/elsewhere": text()}
    with Session(home=server.url("/api")) as session:
        session.get(server.url("/api/job"), headers=SECRETS)
        session.get(server.url("/elsewhere", host="localhost"), headers=SECRETS)
    for name, value in SECRETS.items():
        assert server.header(name) == {"/api/job": value, "/elsewhere": None}
    assert "no credentials are sent to http://localhost" in caplog.text and "planted" not in caplog.text


def test_no_password_of_a_netrc_file(server: Loopback) -> None:
    server.answers = {"/file": redirect(server.url("/store", host="localhost")), "/store": text()}
    Session().get(server.url("/file"))
    assert server.header("Authorization") == {"/file": None, "/store": None}


@pytest.mark.parametrize("place", ["http://store.example.org/file?token=planted", "http://data.example.org/file"])
def test_no_way_from_https_to_http(place: str) -> None:
    before, after = requests.PreparedRequest(), requests.PreparedRequest()
    before.prepare("GET", "https://data.example.org/file")
    after.prepare("GET", place)
    response = requests.Response()
    response.request = before
    with pytest.raises(RefusedError, match="encrypted connection") as caught:
        Session().rebuild_auth(after, response)
    assert "planted" not in str(caught.value)


def trickle(head: bytes, piece: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answer with a piece now and then, so that there is never silence, and never an end."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.wfile.write(head)
        for _ in range(1000):
            handler.wfile.write(piece)
            if handler.server.over.wait(0.05):
                return

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
BRIEF = Patience(stall=2.0)
ANSWERS = {
    "a body with a length": (OK + b"Content-Length: 10000000\r\n\r\n", b" "),
    "a body without": (OK + b"Connection: close\r\n\r\n", b" "),
    "a body in chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a header": (OK, b"X-Name: value\r\n"),
    "a line of a header": (OK + b"X-Name: ", b"x"),
}


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a whole answer may take [s]: less than silence may, so that a hiccup of the machine is none."""
    monkeypatch.setattr(sessions, "WHOLE", 0.5)
    return sessions.WHOLE * BRIEF.stall


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_trickling_answer_has_an_end(server: Loopback, kind: str) -> None:
    server.answers = {"/": trickle(*ANSWERS[kind]), "/there": redirect(server.url("/"))}
    for path in ("/", "/there"):
        with Session(patience=BRIEF) as session, pytest.raises(requests.exceptions.RequestException) as caught:
            session.get(server.url(path))
        assert transient(caught.value) == 0.0 and "no whole answer" in str(caught.value)


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("kind", ["a header", "a line of a header"])
def test_the_header_of_a_stream_has_an_end(server: Loopback, kind: str) -> None:
    server.answers = {"/": trickle(*ANSWERS[kind])}
    with Session(patience=BRIEF) as session, pytest.raises(requests.exceptions.ReadTimeout, match="no whole answer"):
        session.get(server.url("/"), stream=True)


def test_the_body_of_a_stream_is_for_others_to_watch(server: Loopback, limit: float) -> None:
    server.answers = {"/": trickle(*ANSWERS["a body with a length"])}
    with Session(patience=BRIEF) as session, session.get(server.url("/"), stream=True) as response:
        server.over.wait(2.0 * limit)
        assert response.raw.read(30) == b" " * 30


def test_an_error_page_that_trickles_is_read_as_far_as_it_came(server: Loopback) -> None:
    server.answers = {"/": trickle(b"HTTP/1.1 403 No\r\nContent-Length: 10000000\r\n\r\nplease accept the EULA", b" ")}
    with Session(patience=BRIEF) as session:
        response = session.get(server.url("/"), stream=True)
        for _ in range(2):
            read_page(response, limit=0.3)
        assert response.status_code == 403 and "EULA" in response.text


def test_answers_over_one_connection(server: Loopback) -> None:
    server.answers = {"/": text(b"whole")}
    with Session(patience=BRIEF) as session:
        assert [session.get(server.url("/")).content for _ in range(3)] == [b"whole"] * 3
