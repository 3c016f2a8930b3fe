"""Sessions on small servers of the loopback: what goes to whom, and how long an answer may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pscnet.sources.fetch import RefusedError
from pscnet.sources.fetch.sessions import Session
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
