"""Planted secrets in every form that a log, an error or a traceback could give them."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from urllib.parse import quote, quote_plus, urlencode

import pytest
import requests

from pscnet.sources import SourceError
from pscnet.sources.fetch import FetchError, TooLargeError, secrets
from pscnet.sources.fetch.secrets import MASK, guarded, known_secrets, public_url, redact, remember

KEY = "5f2c-planted-cds-key-77aa"
TOKEN = "eyPLANTED.earthdata+token/=="
PASSWORD = 'p& "s:w%ö\\rd?/+=<7>'
NETRC = "netrc-planted-9"
RC = "rc-planted-key-123"
OLD = "12345:old-planted-key"
PROXY = "proxy planted/1"
LATE = "late-planted-token"
ALL = (KEY, TOKEN, PASSWORD, NETRC, RC, "old-planted-key", PROXY, LATE)


@pytest.fixture(autouse=True)
def planted(monkeypatch, tmp_path):
    """A secret in each of the places where a person may keep one."""
    monkeypatch.setattr(secrets, "_remembered", set())
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CDSAPI_RC", "NETRC", *secrets._PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CDSAPI_KEY", KEY)
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    monkeypatch.setenv("EARTHDATA_PASSWORD", PASSWORD)
    monkeypatch.setenv("HTTPS_PROXY", f"http://someone:{quote(PROXY, safe='')}@127.0.0.1:3128")
    monkeypatch.setenv("ECMWF_DATASTORES_RC_FILE", str(tmp_path / "stores"))
    (tmp_path / "stores").write_text(f"url: https://somewhere/api\nkey: {OLD}\n")
    (tmp_path / ".cdsapirc").write_text(f"url: https://cds.climate.copernicus.eu/api\nkey:   {RC}  \n")
    (tmp_path / ".netrc").write_text(f"machine urs.earthdata.nasa.gov\n  login someone\n  password {NETRC}\n")
    remember(LATE)


def test_where_secrets_are_found():
    assert known_secrets() >= set(ALL)


def test_files_are_read_anew_when_they_change(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text('machine urs.earthdata.nasa.gov login x password "another one"\n')
    assert "another one" in known_secrets()
    assert NETRC not in known_secrets()
    (tmp_path / "elsewhere").write_text("key: key-elsewhere-1\n")
    monkeypatch.setenv("CDSAPI_RC", str(tmp_path / "elsewhere"))
    assert "key-elsewhere-1" in known_secrets()


def test_nothing_configured(monkeypatch, tmp_path):
    for name in (*secrets._VARIABLES, *secrets._PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("ECMWF_DATASTORES_RC_FILE", str(tmp_path))  # a folder: it cannot be read
    secrets._remembered.clear()
    assert known_secrets() == set()
    assert redact("SMAP 2016-05: 12 of 31 files") == "SMAP 2016-05: 12 of 31 files"


FORMS = {
    "plain": lambda s: f"the key {s}, he said",
    "quoted": lambda s: f"https://h/p/{quote(s, safe='')}/x",
    "quoted, slashes kept": lambda s: f"/p/{quote(s)}/x",
    "quoted twice": lambda s: quote(quote(s, safe=""), safe=""),
    "quoted in small letters": lambda s: _small(quote(s, safe="")),
    "form": lambda s: urlencode({"x": s}),
    "form as quote_plus": quote_plus,
    "json": lambda s: json.dumps({"a": s}),
    "json in utf-8": lambda s: json.dumps({"a": s}, ensure_ascii=False),
    "json in json": lambda s: json.dumps(json.dumps({"a": s})),
    "repr": repr,
    "repr of bytes": lambda s: repr(s.encode()),
    "html": html.escape,
    "basic": lambda s: _base64(f"someone:{s}"),
    "basic of another length": lambda s: _base64(f"someone1:{s}"),
    "basic of a third length": lambda s: _base64(f"someone12:{s}"),
    "basic in latin-1": lambda s: base64.b64encode(f"me:{s}".encode("latin-1")).decode(),
    "basic for urls": lambda s: base64.urlsafe_b64encode(f"someone:{s}".encode()).decode().rstrip("="),
    "basic, quoted": lambda s: quote(_base64(f"someone:{s}"), safe=""),
    "in the midst of base64": lambda s: _base64(f"{{'user': 'x', 'password': '{s}', 'more': 1}}"),
    "base64 in lines": lambda s: base64.encodebytes(f"{'x' * 50}:{s}".encode()).decode(),
    "repr of base64 in lines": lambda s: repr(base64.encodebytes(f"{'x' * 50}:{s}".encode())),
}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _small(text: str) -> str:
    first, *rest = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


@pytest.mark.parametrize("form", FORMS)
def test_every_secret_in_every_form(form):
    for secret in ALL:
        said = FORMS[form](secret)
        masked = redact(f"before {said} after")
        assert MASK in masked
        assert masked.startswith("before ")
        assert masked.endswith(" after")
        assert not any(other(secret) in masked for other in FORMS.values())
        assert _pieces(secret, said), "what is looked for is there before"
        assert not _pieces(secret, said) & _pieces(secret, masked), masked


def _pieces(secret: str, text: str) -> set[str]:
    """Pieces of 6 letters of the text that come from the secret, alone or in base64."""
    sources = [secret, quote(secret, safe="")]
    for shift in range(3):
        sources.append(base64.b64encode(b"\0" * shift + secret.encode()).decode().rstrip("=")[4:-2])
    pieces = {source[at : at + 6] for source in sources for at in range(len(source) - 5)}
    return {piece for piece in pieces if piece in text}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
        ("sent Bearer abcdefgh to", "sent Bearer *** to"),
        ("sent Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== to", "sent Basic *** to"),
        ("{'PRIVATE-TOKEN': 'abc', 'Accept': '*/*'}", "{'PRIVATE-TOKEN': ***, 'Accept': '*/*'}"),
        ("PRIVATE-TOKEN: 0123-45\nAccept: */*", "PRIVATE-TOKEN: ***\nAccept: */*"),
        ("[('authorization', 'Basic x y'), 1]", "[('authorization', ***), 1]"),
        ("Set-Cookie: asf-urs=abc; path=/", "Set-Cookie: ***"),
        ('{"access_token":"abc","token_type":"Bearer"}', '{"access_token":"***","token_type":"Bearer"}'),
        ("Account(password='x y', user='me')", "Account(password=***, user='me')"),
        ("EARTHDATA_PASSWORD=hidden make", "EARTHDATA_PASSWORD=*** make"),
        ("token eyJhbGciOi.eyJ1aWQiOi.c2ln end", "token *** end"),
        ("http://me:word@host:1/x", "http://***@host:1/x"),
        ("with url: /b/g.h5?A-userid=me&X-Amz-Signature=1f (Caused by", "with url: /b/g.h5?*** (Caused by"),
        ("https://h/login?code=12&state=34>", "https://h/login?***>"),
        ("https://h/oauth?redirect_uri=https%3A%2F%2Fh%2Flogin%3Fcode%3D12%26x", "%3F***"),
        ("'https://h/x?Expires=1&Signature=ab&Key-Pair-Id=c'", "'https://h/x?***'"),
    ],
)
def test_what_looks_like_a_credential(said, shown):
    assert redact(said).endswith(shown)
    assert redact(redact(said)) == redact(said)


@pytest.mark.parametrize(
    "said",
    [
        "https://cmr.earthdata.nasa.gov/search/granules.umm_json?short_name=SPL3SMP&version=009&page_size=0",
        "https://cds.climate.copernicus.eu/datasets/reanalysis-era5-land?tab=download#manage-licences",
        "EARTHDATA_PASSWORD: expected a password; found none. Set it.",
        "without authorization, nothing works",
        "the bearer token was refused, the basic settings are right",
        "CDS 1 running (3 min), status code=200, state=running",
        "archive/smap/SPL3SMP.009/2016/SMAP_L3_SM_P_20160501_R19240_001.h5",
        "someone@example.org",
    ],
)
def test_ordinary_words_stay(said):
    assert redact(said) == said


def test_long_texts_take_no_time():
    text = "QUJD" * 50_000 + "?" * 2000 + " https://h/" + "a=b&" * 20_000
    begun = time.monotonic()
    redact(text)
    assert time.monotonic() - begun < 60.0, "with the square of its length it would be hours"


def test_public_url():
    assert public_url(f"https://me:{KEY}@h:8/a/b.h5?token={TOKEN}#x") == "https://h:8/a/b.h5"
    assert public_url(f"https://h/a/{KEY}/b.h5") == f"https://h/a/{MASK}/b.h5"


def failing() -> None:
    """An error with secrets in its text, in the errors behind it and in the frames."""
    local = TOKEN
    try:
        try:
            raise OSError(f"refused {local}")
        except OSError as error:
            raise requests.ConnectionError(f"https://h/x?Signature=planted-sig&k={KEY}") from error
    except requests.ConnectionError:
        raise KeyError(PASSWORD)  # noqa: B904 (the chain is the point)


def holds_secret(text: str) -> bool:
    return any(piece in text for piece in (*ALL, repr(PASSWORD)[1:-1], "planted"))


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def test_a_foreign_error_names_its_type(caplog):
    with pytest.raises(FetchError, match="KeyError") as caught, guarded():
        failing()
    assert chain(caught.value) == [caught.value]
    assert not holds_secret(str(caught.value))
    assert "in failing" in caplog.text, "the traceback is in the log"
    assert "ConnectionError" in caplog.text
    assert not holds_secret(caplog.text.replace("raise", "").replace("planted-sig&k={KEY}", ""))


@pytest.mark.parametrize("kind", [SourceError, FetchError, TooLargeError])
def test_an_own_error_keeps_its_class(kind):
    class Holding(kind):
        def __init__(self, text, response):
            super().__init__(text)
            self.response = response

    with pytest.raises(Holding) as caught, guarded():
        try:
            raise OSError(KEY)
        except OSError as error:
            raise Holding(f"no {KEY}", KEY) from error
    assert str(caught.value) == f"no {MASK}"
    assert type(caught.value) is Holding
    assert vars(caught.value) == {}
    assert chain(caught.value) == [caught.value]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_the_end_of_the_process_is_not_touched(kind):
    mine = kind(KEY)
    with pytest.raises(kind) as caught, guarded():
        raise mine
    assert caught.value is mine


@pytest.fixture
def said():
    """Everything that the root logger and a logger of its own hand on, as text."""

    class Lines(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []
            self.setFormatter(logging.Formatter("%(message)s"))

        def emit(self, record: logging.LogRecord) -> None:
            self.lines.append(self.format(record))

    handler, lone = Lines(), logging.getLogger("a.lone.logger")
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    lone.addHandler(handler)
    lone.propagate = False
    yield handler.lines
    root.removeHandler(handler)
    lone.removeHandler(handler)
    lone.propagate = True
    root.setLevel(before)


def talk(logger: logging.Logger) -> None:
    logger.warning("key %s and %r", KEY, {"password": PASSWORD})
    logger.info("%(a)s", {"a": TOKEN})
    logger.debug(f"header {requests.structures.CaseInsensitiveDict(a=LATE)}")
    logger.warning("too many %d arguments", KEY, TOKEN)
    logger.info("with stack", stack_info=True)
    try:
        failing()
    except KeyError:
        logger.exception("failed with %s", KEY)


def told(lines: list[str]) -> str:
    text = "\n".join(lines)
    assert "in failing" in text
    assert MASK in text
    source = ("planted-sig&k={KEY}",)  # a traceback shows lines of the program, not values
    for piece in source:
        text = text.replace(piece, "")
    return text


@pytest.mark.parametrize("name", ["", "some.library", "a.lone.logger"])
def test_records_of_every_logger(said, name, capfd):
    factory = logging.getLogRecordFactory()
    with guarded():
        talk(logging.getLogger(name))
    assert not holds_secret(told(said))
    assert not holds_secret("".join(capfd.readouterr()))
    assert logging.getLogRecordFactory() is factory
    said.clear()
    logging.getLogger(name).warning("key %s", KEY)
    assert said == [f"key {KEY}"], "outside, nothing is changed"


def test_records_of_threads_and_of_guards_in_guards(said):
    inside, outside = threading.Event(), threading.Event()

    def other() -> None:
        with guarded():
            inside.set()
            outside.wait(10.0)
            talk(logging.getLogger("other"))

    factory = logging.getLogRecordFactory()
    thread = threading.Thread(target=other)
    with guarded():
        thread.start()
        inside.wait(10.0)
        with guarded():
            talk(logging.getLogger("inner"))
    outside.set()
    thread.join()
    assert not holds_secret(told(said))
    assert logging.getLogRecordFactory() is factory


def test_records_that_come_by_another_way(said):
    """A record made by hand meets the filter of the root logger's handlers."""
    with guarded():
        logging.getLogger().handle(
            logging.makeLogRecord({"msg": "key %s", "args": (KEY,), "levelno": 30, "stack_info": f"at {KEY}"})
        )
    assert said == [f"key {MASK}\nat {MASK}"]


JOB = """
import logging, os, sys, threading
from pscnet.logs import log_to
from pscnet.sources.fetch.secrets import guarded

def deep(secret):
    try:
        raise OSError("refused " + secret)
    except OSError as error:
        raise RuntimeError("https://h/x?X-Amz-Signature=" + secret) from error

with log_to(sys.argv[1]), guarded():
    logging.getLogger("urllib3").warning("sent %s", os.environ["CDSAPI_KEY"])
    deep(os.environ["EARTHDATA_PASSWORD"])
"""


def test_a_whole_job(tmp_path):
    """What a rule leaves behind: its log with the traceback, and the banner on the screen."""
    log = tmp_path / "job.log"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(JOB), str(log)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    text = log.read_text()
    assert done.returncode == 1
    assert "FetchError: RuntimeError: https://h/x?***" in done.stderr
    assert "in deep" in text
    assert "sent ***" in text
    for place in (done.stdout, done.stderr, text):
        assert not holds_secret(place)
        assert not any(_pieces(secret, place) for secret in (KEY, PASSWORD))


@pytest.mark.parametrize("last", [KeyboardInterrupt(), SystemExit(3), SystemExit("see https://s/f?Signature=planted")])
def test_an_interruption_does_not_show_the_error_behind_it(last):
    with pytest.raises(type(last)) as caught, guarded():
        try:
            raise RuntimeError("https://store/file?Signature=planted")
        finally:  # an interruption comes in the midst of handling an error
            raise last
    printed = "".join(traceback.format_exception(caught.value))
    assert "planted" not in printed and "RuntimeError" not in printed
    if last.args == (3,):
        assert caught.value.code == 3
