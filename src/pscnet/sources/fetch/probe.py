"""Would the services let us in: short questions before anything is asked for, each answered yes, no or unknown.

Nothing is requested, accepted or stored. A service that does not answer within seconds is ``unknown``, not a reason to
stop: the fetch itself waits for it. What services say passes :func:`pscnet.sources.fetch.secrets.redact`.
"""

from __future__ import annotations

import logging
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import requests

from pscnet.sources.fetch.credentials import EARTHDATA_HOST, CdsAccount, EarthdataAccount
from pscnet.sources.fetch.secrets import redact, remember

#: The dataset that is asked for, and the licence under which it stands since July 2025.
DATASET = "reanalysis-era5-land"
LICENCE = "cc-by"

#: Seconds to connect, and of silence, before a service counts as not answering.
TIMEOUT = (5.0, 8.0)


@dataclass(frozen=True)
class Verdict:
    """What a service said: ``yes``, ``no``, or ``unknown`` where it did not say; ``words`` tell more."""

    answer: Literal["yes", "no", "unknown"]
    words: str


def cds_key(account: CdsAccount) -> Verdict:
    """Whether the Climate Data Store accepts the key."""

    def ask() -> Verdict:
        _native(account).check_authentication()
        return Verdict("yes", "the key is accepted")

    return _asked(ask, "the key", {401: "the key is not accepted", 403: "the key is not accepted"})


def cds_licence(account: CdsAccount) -> Verdict:
    """Whether the account has accepted what the dataset asks for."""

    def ask() -> Verdict:
        accepted = {str(item.get("id")) for item in _native(account).get_accepted_licences()}
        return judge_licences(_required(account), accepted)

    return _asked(ask, "the licence", {401: "the key is not accepted", 403: "the key is not accepted"})


def judge_licences(required: set[str], accepted: set[str]) -> Verdict:
    """Compare what a dataset asks for with what an account has accepted.

    Parameters
    ----------
    required : set of str
        Licence names; empty where the catalogue did not tell.
    accepted : set of str
    """
    lacking = sorted(required - accepted)
    if required:
        return Verdict("no", f"not accepted: {', '.join(lacking)}") if lacking else Verdict("yes", "accepted")
    if LICENCE in accepted:
        return Verdict("yes", f"accepted ({LICENCE})")
    if not accepted:
        return Verdict("no", "the account has accepted no licence at all")
    names = ", ".join(sorted(accepted))
    return Verdict("unknown", f"could not be checked: the account has accepted {names}; the first request will tell")


def _required(account: CdsAccount) -> set[str]:
    """Licences that the catalogue names for the dataset; empty where it does not answer in the form known."""
    try:
        url = f"{account.url}/catalogue/v1/collections/{DATASET}"
        answer = requests.get(url, timeout=TIMEOUT)
        links = answer.json().get("links", []) if answer.ok else []
        found = [re.search(r"/licences/([^/]+)/", str(link.get("href"))) for link in links if link["rel"] == "license"]
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError):
        return set()  # then the accepted ones are judged by themselves
    return {match[1] for match in found if match}


def _native(account: CdsAccount) -> Any:
    """The client underneath cdsapi: one try, short timeouts, and nothing of what it logs."""
    from ecmwf import datastores

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the service's messages are told by the fetch
        return datastores.Client(
            url=account.url,
            key=account.key,
            timeout=TIMEOUT,
            progress=False,
            retry_after=0,
            maximum_tries=1,
            log_callback=_unheard,
        )


def _unheard(*_: object, **__: object) -> None:
    """Drop what the client logs: it has the request headers, and so the key, in it."""


def earthdata_login(account: EarthdataAccount) -> Verdict:
    """Whether Earthdata Login accepts the account.

    With user name and password this is the login of earthaccess itself, which finds the present token or makes one;
    a token alone is shown to the profile page.
    """
    refused = {401: "not accepted: user name, password or token is wrong or has expired", 403: "not accepted"}

    def ask() -> Verdict:
        import earthaccess
        from earthaccess.exceptions import LoginAttemptFailure

        auth = earthaccess.Auth()
        try:
            with _quiet("earthaccess"):
                auth.login(strategy=account.strategy, persist=False)
        except LoginAttemptFailure as error:
            if "invalid" in str(error).lower():
                return Verdict("no", refused[401])
            raise
        remember(auth.token["access_token"])
        if account.token is None:
            return Verdict("yes", "accepted")
        url = f"https://{EARTHDATA_HOST}/profile"
        answer = auth.get_session().get(url, timeout=TIMEOUT, allow_redirects=False)
        answer.raise_for_status()
        if answer.is_redirect:
            return Verdict("unknown", f"could not be checked: {EARTHDATA_HOST} leads to its login page")
        return Verdict("yes", "accepted")

    return _asked(ask, "the account", refused)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Let a client log nothing: what it has to say comes back as an exception."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _asked(ask: Callable[[], Verdict], what: str, refused: dict[int, str]) -> Verdict:
    """The verdict of ``ask``, or what came instead of one."""
    try:
        return ask()
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in refused:
            return Verdict("no", refused[status])
        return Verdict("unknown", f"{what} could not be checked: the service answers with status {status}")
    except requests.RequestException as error:
        host = urlsplit(error.request.url).hostname if error.request is not None else "the service"
        return Verdict("unknown", f"{what} could not be checked: {_reason(error, host)}")
    except Exception as error:  # clients raise plain exceptions for what a service says
        said = textwrap.shorten(redact(str(error)), 160, placeholder=" ...")
        return Verdict("unknown", f"{what} could not be checked: {type(error).__name__}: {said}")


def _reason(error: requests.RequestException, host: str | None) -> str:
    """A failed connection in a few words."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of {host} is not trusted (a proxy with its own? name its CA in REQUESTS_CA_BUNDLE)"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy does not lead to {host}"
    if isinstance(error, requests.exceptions.Timeout):
        return f"{host} does not answer"
    return f"{host} cannot be reached"
