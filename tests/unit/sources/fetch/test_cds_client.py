"""The client of the Climate Data Store on servers of the loopback: to whom it tells the key."""

from __future__ import annotations

import json

import pytest

from pscnet.sources.fetch.cds_client import connect
from pscnet.sources.fetch.credentials import CdsAccount
from pscnet.sources.fetch.settings import Patience
from tests.servers.loopback import Loopback, redirect, text

PATIENCE = Patience(first_wait=0.01, longest_wait=0.02, give_up_after=0.5, stall=5.0, slowest=1.0)
MESSAGES = "/api/catalogue/v1/messages"


@pytest.mark.parametrize("place", ["localhost", "127.0.0.1"])
def test_the_key_follows_no_redirect_to_another_host(place: str, monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with Loopback() as server:
        body = json.dumps({"messages": []}).encode()
        server.answers = {MESSAGES: redirect(server.url("/moved", host=place)), "/moved": text(body)}
        connect(CdsAccount(server.url("/api"), "planted-key", "here"), PATIENCE)
        told = None if place == "localhost" else "planted-key"
        assert server.header("PRIVATE-TOKEN") == {MESSAGES: "planted-key", "/moved": told}
