"""Again and again, but with manners: which errors pass by themselves, how long to wait, and when to give up."""

from __future__ import annotations

import http.client
import logging
import random
import re
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import requests
import tenacity
import urllib3

from pscnet.sources.fetch import UnavailableError, failure
from pscnet.sources.fetch.secrets import redact
from pscnet.sources.fetch.settings import Patience

log = logging.getLogger(__name__)

T = TypeVar("T")

PASSING = frozenset({408, 429, 500, 502, 503, 504})
_PASSING_ERRORS = (
    requests.exceptions.ConnectionError,  # SSLError and ProxyError too
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.TooManyRedirects,
    requests.exceptions.JSONDecodeError,  # a proxy's HTML page in place of the service's answer
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.SSLError,
    urllib3.exceptions.MaxRetryError,
    urllib3.exceptions.IncompleteRead,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    ssl.SSLError,
)
_PLEASE = re.compile(r"wait\s+(\d+(?:\.\d+)?)\s*(second|minute|hour)", re.IGNORECASE)
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_SLICE = 0.25  # s; how soon a pause sees that it should stop
_LONGEST_TEXT = 300
_LONGEST_DATE = 3600.0  # s; a date that is farther away is asked about again before


def server_wait(response: requests.Response | None) -> float:
    """Seconds that a server asks to wait, from ``Retry-After`` or "Please wait N seconds"; 0 when it does not."""
    if response is None:
        return 0.0
    after = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", after):
        return float(after)
    if after and (then := _moment(after)) is not None:
        # by the server's own clock, where it tells: ours may go wrong
        now = _moment(response.headers.get("Date", "").strip()) or datetime.now(UTC)
        return min(max(0.0, (then - now).total_seconds()), _LONGEST_DATE)
    if response.status_code != 429:
        return 0.0
    asked = _PLEASE.search(response.text[:10_000])
    return float(asked[1]) * _SECONDS[asked[2].lower()] if asked else 0.0


def _moment(text: str) -> datetime | None:
    """A date of HTTP; None when it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        if text:
            log.debug("a date in no known form: %s", text)
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def transient(error: BaseException) -> float | None:
    """Whether an error may pass by itself.

    Returns
    -------
    float or None
        None: it will not, a person or a program must act. Else the seconds that the server asks to wait; 0 leaves
        the choice to the caller.
    """
    if isinstance(error, requests.HTTPError):
        if error.response is None or error.response.status_code not in PASSING:
            return None
        return server_wait(error.response)
    return 0.0 if isinstance(error, _PASSING_ERRORS) else None


def describe(error: BaseException) -> str:
    """An error in a few words without secrets."""
    text = " ".join(redact(str(error)).split())
    text = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def persist(
    call: Callable[[], T],
    what: str,
    patience: Patience,
    verdict: Callable[[BaseException], float | None] = transient,
    stop: Callable[[], bool] | None = None,
    note: Callable[[str], None] | None = None,
    progress: Callable[[], float] | None = None,
) -> T:
    """Call until it succeeds, with growing pauses, as long as patience lasts.

    Parameters
    ----------
    call : callable
    what : str
        What is asked for, such as ``"SMAP 2016-05-03"``.
    patience : Patience
    verdict : callable
        Like :func:`transient`: None for errors that are raised at once, else seconds that the server asks to wait.
    stop : callable, optional
        When it returns true, waiting ends at once, and nothing is called any more.
    note : callable, optional
        Told in words about every pause.
    progress : callable, optional
        A number that grows with what has been reached (bytes); growth starts patience and pauses anew.

    Returns
    -------
    object
        What ``call`` returns.

    Raises
    ------
    UnavailableError
        When patience ran out, or ``stop`` said so.
    Exception
        Errors of ``call`` for which the verdict is None.
    """
    if stop is not None and stop():
        remedy = "start again to go on: what has been fetched is kept"
        raise failure(UnavailableError, what, "no stop", "one before the first try", remedy)
    course = _Course(what, patience, verdict, stop, note, progress)
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: verdict(error) is not None),
        wait=course.pause,
        stop=course.over,
        before_sleep=course.tell,
        sleep=course.sleep,
        retry_error_callback=course.give_up,
    )(call)


class _Course:
    """Pauses and patience of one :func:`persist`."""

    def __init__(self, what, patience, verdict, stop, note, progress) -> None:
        self._what, self._patience, self._verdict = what, patience, verdict
        self._stop = stop or (lambda: False)
        self._note = note
        self._progress = progress or (lambda: 0.0)
        self._best = self._progress()
        self._begun = time.monotonic()
        self._failures = self._tries = 0

    def pause(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next try: what the server asks, or the own growing pause if that is longer."""
        self._tries += 1
        reached = self._progress()
        if reached > self._best:
            self._best, self._begun, self._failures = reached, time.monotonic(), 0
        self._failures += 1
        patience = self._patience
        own = min(patience.longest_wait, patience.first_wait * 2.0 ** min(self._failures - 1, 60))
        own *= random.uniform(0.5, 1.0)
        return max(self._verdict(state.outcome.exception()), min(own, max(0.0, self._left())))

    def _left(self) -> float:
        return self._begun + self._patience.give_up_after - time.monotonic()

    def over(self, state: tenacity.RetryCallState) -> bool:
        left = self._left()  # own pauses are cut to fit, so that the last try is at the end of patience
        return self._stop() or left <= 0 or self._verdict(state.outcome.exception()) > left

    def tell(self, state: tenacity.RetryCallState) -> None:
        text = f"{self._what}: {describe(state.outcome.exception())}; trying again in {duration(state.upcoming_sleep)}"
        (self._note or log.info)(text)

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._stop():
            time.sleep(min(left, _SLICE))

    def give_up(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception()
        found, asked = describe(error), self._verdict(error)
        if asked and asked > self._left():
            found += f" (it asks to wait {duration(asked)})"
        raise failure(
            UnavailableError,
            self._what,
            "no stop" if self._stop() else f"an answer within {duration(self._patience.give_up_after)}",
            f"{found}, after {self._tries} {'try' if self._tries == 1 else 'tries'}",
            "start again to go on: what has been fetched is kept",
        ) from None


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``"40 s"``, ``"3 min"``, ``"2 h"``."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"
