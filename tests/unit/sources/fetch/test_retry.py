"""Which errors pass, how long the pauses are, and when patience ends."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import urllib3

from pscnet.sources.fetch import UnavailableError
from pscnet.sources.fetch.retry import describe, duration, persist, server_wait, transient
from pscnet.sources.fetch.settings import Patience

PATIENCE = Patience(first_wait=0.01, longest_wait=0.05, give_up_after=30.0)


def answer(status: int, text: str = "", **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


def refusal(status: int, text: str = "", **headers: str) -> requests.HTTPError:
    return requests.HTTPError(f"{status} for https://h/x?Signature=planted", response=answer(status, text, **headers))


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        (answer(503), 0.0),
        (answer(503, Retry_After="17"), 17.0),
        (answer(503, Retry_After=" 1.5 "), 1.5),
        (answer(429, Retry_After="soon"), 0.0),
        (answer(429, Retry_After="-3"), 0.0),
        (answer(429, "Rate limit exceeded. Please wait 17 seconds."), 17.0),
        (answer(429, '{"detail":"please wait 2 minutes"}'), 120.0),
        (answer(429, "Please wait 17 seconds.", Retry_After="5"), 5.0),
        (answer(503, "Please wait 17 seconds."), 0.0),
        (None, 0.0),
    ],
)
def test_what_a_server_asks_to_wait(response, seconds):
    assert server_wait(response) == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(17, 17.0), (-5, 0.0), (10**6, 3600.0)])
@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(days=400), timedelta(days=-400)])
def test_a_date_counts_from_the_clock_of_the_server(ahead, seconds, wrong):
    date = datetime.now(UTC) + wrong
    then = date + timedelta(seconds=ahead)
    dates = {"Retry_After": format_datetime(then, usegmt=True), "Date": format_datetime(date, usegmt=True)}
    assert server_wait(answer(503, **dates)) == seconds


@pytest.mark.parametrize("ahead", [30, 0, -300])
def test_a_date_to_wait_for(ahead):
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ahead)
    seconds = server_wait(answer(503, Retry_After=format_datetime(then, usegmt=True)))
    assert max(0, ahead - 10) <= seconds <= max(0, ahead)


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError(),
        requests.exceptions.ProxyError(),
        requests.exceptions.SSLError("UNEXPECTED_EOF"),
        requests.ReadTimeout(),
        requests.ConnectTimeout(),
        requests.exceptions.ChunkedEncodingError(),
        requests.TooManyRedirects(),
        requests.JSONDecodeError("no", "<html>", 0),
        urllib3.exceptions.ProtocolError("broken"),
        urllib3.exceptions.IncompleteRead(1, 2),
        urllib3.exceptions.ReadTimeoutError(None, "", ""),
        urllib3.exceptions.SSLError(),
        http.client.IncompleteRead(b""),
        http.client.RemoteDisconnected(),
        ConnectionResetError(),
        TimeoutError(),
        socket.gaierror(),
        ssl.SSLEOFError(),
        *(refusal(status) for status in (408, 429, 500, 502, 503, 504)),
    ],
    ids=repr,
)
def test_errors_that_pass(error):
    assert transient(error) == 0.0


@pytest.mark.parametrize(
    "error",
    [
        *(refusal(status, Retry_After="5") for status in (400, 401, 403, 404, 405, 410, 416, 422, 501)),
        requests.HTTPError("without an answer"),
        requests.exceptions.InvalidURL(),
        requests.exceptions.MissingSchema(),
        ValueError(),
        FileNotFoundError(),
        PermissionError(),
        OSError(28, "No space left on device"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_errors_that_stay(error):
    assert transient(error) is None


def test_the_wait_of_an_error():
    assert transient(refusal(503, Retry_After="7")) == 7.0


class Flaky:
    """Fails a number of times."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.left, self.calls, self.times = failures, 0, []
        self.error = error or requests.ConnectionError("https://h/x?Signature=planted reset")

    def __call__(self) -> str:
        self.calls += 1
        self.times.append(time.monotonic())
        if self.calls <= self.left:
            raise self.error
        return "here"


def test_success_at_last():
    call, notes = Flaky(4), []
    assert persist(call, "SMAP 2016-05", PATIENCE, note=notes.append) == "here"
    assert call.calls == 5
    assert len(notes) == 4
    assert all(note.startswith("SMAP 2016-05: ConnectionError: https://h/x?*** reset; trying again") for note in notes)


@pytest.mark.parametrize("error", [refusal(404), ValueError("mine"), KeyboardInterrupt()], ids=repr)
def test_errors_that_stay_come_at_once(error):
    call = Flaky(9, error)
    with pytest.raises(type(error)) as caught:
        persist(call, "SMAP", PATIENCE)
    assert caught.value is error
    assert call.calls == 1


def test_patience_ends_in_words():
    call = Flaky(10**9)
    begun = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        persist(call, "SMAP 2016-05", Patience(0.01, 0.05, give_up_after=0.2))
    assert 0.2 <= time.monotonic() - begun < 60.0
    text = str(caught.value)
    assert text.startswith(
        "SMAP 2016-05: expected an answer within 0.2 s; found ConnectionError: https://h/x?*** reset"
    )
    assert text.endswith(f"after {call.calls} tries. Start again to go on: what has been fetched is kept.")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_server_that_asks_for_more_than_patience():
    call = Flaky(9, refusal(429, Retry_After="3600"))
    with pytest.raises(UnavailableError, match=r"asks to wait 60 min.*after 1 try"):
        persist(call, "CDS", PATIENCE)
    assert call.calls == 1


def test_pauses_grow_up_to_the_longest(monkeypatch):
    pauses = []
    monkeypatch.setattr("pscnet.sources.fetch.retry._Course.sleep", lambda self, seconds: pauses.append(seconds))
    persist(Flaky(12), "SMAP", Patience(first_wait=1.0, longest_wait=100.0, give_up_after=1e6))
    for n, pause in enumerate(pauses):
        full = min(100.0, 2.0**n)
        assert full / 2 <= pause <= full
    assert len(set(pauses[7:])) == 5, "jitter"


def test_pauses_are_never_shorter_than_asked(monkeypatch):
    pauses = []
    monkeypatch.setattr("pscnet.sources.fetch.retry._Course.sleep", lambda self, seconds: pauses.append(seconds))
    persist(Flaky(3, refusal(503, Retry_After="50")), "SMAP", Patience(1.0, 2.0, 1e6))
    assert pauses == [50.0] * 3


def test_the_last_try_is_at_the_end_of_patience(monkeypatch):
    """A long pause is cut so that patience is not left unused."""
    pauses = []
    monkeypatch.setattr("pscnet.sources.fetch.retry._Course.sleep", lambda self, seconds: pauses.append(seconds))
    persist(Flaky(1), "SMAP", Patience(first_wait=1000.0, longest_wait=1000.0, give_up_after=10.0))
    assert 5.0 < pauses[0] <= 10.0


def test_progress_starts_patience_anew():
    reached = []

    def call() -> str:
        time.sleep(0.02)
        reached.append(1)
        if len(reached) < 15:
            raise requests.ConnectionError("cut")
        return "here"

    patience = Patience(0.001, 0.002, give_up_after=0.15)
    assert persist(call, "SMAP", patience, progress=lambda: len(reached)) == "here"
    reached.clear()
    with pytest.raises(UnavailableError):
        persist(call, "SMAP", patience, progress=lambda: 7)


def test_progress_makes_pauses_short_again(monkeypatch):
    pauses, reached = [], [0, 0, 0, 0, 5, 5, 5]  # before the first call, and after each failure
    monkeypatch.setattr("pscnet.sources.fetch.retry._Course.sleep", lambda self, seconds: pauses.append(seconds))
    persist(Flaky(6), "SMAP", Patience(1.0, 1000.0, 1e6), progress=lambda: reached.pop(0))
    assert pauses[2] >= 2.0
    assert pauses[3] <= 1.0 < pauses[5]


def test_stop():
    begun = time.monotonic()
    with pytest.raises(UnavailableError):
        persist(
            Flaky(9, refusal(503, Retry_After="200")), "SMAP", PATIENCE, stop=lambda: time.monotonic() - begun > 0.1
        )
    assert time.monotonic() - begun < 60.0


def test_nothing_is_called_after_a_stop():
    called = []
    with pytest.raises(UnavailableError, match="expected no stop"):
        persist(lambda: called.append(1), "SMAP", PATIENCE, stop=lambda: True)
    assert called == []


def test_own_verdict():
    call = Flaky(2, ValueError("odd"))
    assert persist(call, "SMAP", PATIENCE, lambda error: 0.0) == "here"


def test_errors_in_words():
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(ValueError("a\n  b  Bearer abc.def")) == "ValueError: a b Bearer ***"
    assert len(describe(ValueError("x" * 5000))) < 400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (0.5, "0.5 s"), (40.2, "40 s"), (99, "99 s"), (150, "2 min"), (3600, "60 min"), (7200, "2 h")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
