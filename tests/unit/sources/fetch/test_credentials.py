"""Accounts: found where the clients find them, refused in words, and never shown."""

from __future__ import annotations

import base64
import json
import traceback
from datetime import UTC, datetime

import pytest

from pscnet.sources.fetch import RefusedError
from pscnet.sources.fetch.credentials import CDS_URL, cds_account, earthdata_account, token_expiry

VARIABLES = (
    "CDSAPI_URL",
    "CDSAPI_KEY",
    "CDSAPI_RC",
    "EARTHDATA_TOKEN",
    "EARTHDATA_USERNAME",
    "EARTHDATA_PASSWORD",
    "NETRC",
)
KEY = "0f0e7a12-secret-key"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without any account."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def token(claims: dict) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"head.{body}.signature"


def test_cds_from_the_environment(monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    monkeypatch.setenv("CDSAPI_URL", "http://127.0.0.1:8000/api/")
    account = cds_account()
    assert (account.url, account.key) == ("http://127.0.0.1:8000/api", KEY)
    assert "CDSAPI_KEY" in account.where


def test_cds_from_the_file(home, monkeypatch):
    (home / ".cdsapirc").write_text(f"url: {CDS_URL}\nkey: {KEY}\n")
    assert (cds_account().url, cds_account().key, cds_account().where) == (CDS_URL, KEY, str(home / ".cdsapirc"))
    other = home / "other"
    other.write_text("key: another\n")
    monkeypatch.setenv("CDSAPI_RC", str(other))
    assert (cds_account().url, cds_account().key) == (CDS_URL, "another")
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    assert cds_account().key == KEY, "the environment goes before the file"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["CDSAPI_KEY", "profile", ".cdsapirc"]),
        (f"key: 1234:{KEY}\n", ["retired", "personal access token"]),
        (f"key: two {KEY}\n", ["one word"]),
        (f"url: http://cds.climate.copernicus.eu/api\nkey: {KEY}\n", ["https"]),
        (f"url: {CDS_URL}/v2\nkey: {KEY}\n", ["retired one"]),
        (f"url: https://me:{KEY}@cds.climate.copernicus.eu/api\nkey: {KEY}\n", ["user name"]),
        (f"url: {CDS_URL}\nkey: {KEY}\nverify: 0\n", ["certificate", "REQUESTS_CA_BUNDLE"]),
        (b"\xff\xfe", ["readable"]),
    ],
)
def test_cds_refusals_say_what_to_do_and_show_nothing(home, content, words):
    (home / ".cdsapirc").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RefusedError) as refused:
        cds_account()
    for word in words:
        assert word in str(refused.value)
    assert KEY not in str(refused.value)


def test_earthdata_order(home, monkeypatch):
    (home / ".netrc").write_text("machine urs.earthdata.nasa.gov login fay password word\n")
    account = earthdata_account()
    assert (account.strategy, account.user, account.token, account.where) == (
        "netrc",
        "fay",
        None,
        str(home / ".netrc"),
    )
    monkeypatch.setenv("EARTHDATA_USERNAME", "gus")
    assert earthdata_account().user == "fay", "a name without password is no account"
    monkeypatch.setenv("EARTHDATA_PASSWORD", "word")
    assert (earthdata_account().strategy, earthdata_account().user) == ("environment", "gus")
    monkeypatch.setenv("EARTHDATA_TOKEN", token({"exp": 1_900_000_000}))
    account = earthdata_account()
    assert (account.user, account.expires) == (None, datetime.fromtimestamp(1_900_000_000, UTC))


def test_earthdata_named_netrc(home, monkeypatch):
    path = home / "elsewhere"
    path.write_text('machine urs.earthdata.nasa.gov login fay password "a b"\n')
    monkeypatch.setenv("NETRC", str(path))
    assert earthdata_account().where == str(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["EARTHDATA_TOKEN", "users/new", "machine urs.earthdata.nasa.gov"]),
        ("machine elsewhere login a password b\n", ["no entry for urs.earthdata.nasa.gov"]),
        ("machine urs.earthdata.nasa.gov login fay\n", ["no entry for urs.earthdata.nasa.gov"]),
        ("machine urs.earthdata.nasa.gov login fay pasword geheim\n", ["line 1"]),
    ],
)
def test_earthdata_refusals_say_what_to_do_and_show_nothing(home, content, words):
    if content is not None:
        (home / ".netrc").write_text(content)
    with pytest.raises(RefusedError) as refused:
        earthdata_account()
    for word in words:
        assert word in str(refused.value)
    assert "geheim" not in "".join(traceback.format_exception(refused.value))


def test_accounts_do_not_show_their_secrets(monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    monkeypatch.setenv("EARTHDATA_TOKEN", "head.planted.signature")
    assert KEY not in repr(cds_account())
    assert "planted" not in repr(earthdata_account())


@pytest.mark.parametrize(
    "text",
    ["", "opaque", "a.b.c", "a.!!!.c", token({}), token({"exp": "soon"}), token({"exp": None}), token({"exp": 1e300})],
)
def test_tokens_without_expiry(text):
    assert token_expiry(text) is None
