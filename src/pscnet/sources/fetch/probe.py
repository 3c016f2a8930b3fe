"""Would the services let us in: short questions before anything is asked for, each answered yes, no or unknown.

Nothing is requested, accepted or stored. A service that does not answer within seconds is ``unknown``, not a reason to
stop: the fetch itself waits for it. What services say passes :func:`pscnet.sources.fetch.secrets.redact`.
"""

from __future__ import annotations

import logging
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import requests
from ecmwf.datastores import Client

from pscnet.sources.fetch import RefusedError, UnavailableError
from pscnet.sources.fetch.cds_client import connect
from pscnet.sources.fetch.credentials import EARTHDATA_HOST, CdsAccount, EarthdataAccount
from pscnet.sources.fetch.earthdata import Earthdata
from pscnet.sources.fetch.era5_requests import DATASET
from pscnet.sources.fetch.retry import describe
from pscnet.sources.fetch.sessions import Session
from pscnet.sources.fetch.settings import Patience

#: The licence under which ERA5-Land stands since July 2025, as the service calls it.
LICENCE = "cc-by"

#: One try, and seconds of silence before a service counts as not answering.
BRIEF = Patience(first_wait=0.1, longest_wait=0.1, give_up_after=0.0, stall=8.0)

#: What goes wrong on the way to a service, in words, by what the error is called; the first that fits.
_REASONS = {
    "SSLError": "its certificate is not trusted (a proxy with its own? name its CA in REQUESTS_CA_BUNDLE)",
    "ProxyError": "the proxy does not lead there",
    "Timeout": "no answer",
    "ConnectionError": "no connection",
}


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
        with Session(patience=BRIEF) as session:
            answer = session.get(url)
        links = answer.json().get("links", []) if answer.ok else []
        found = [re.search(r"/licences/([^/]+)/", str(link.get("href"))) for link in links if link["rel"] == "license"]
    except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError):
        return set()  # then the accepted ones are judged by themselves
    return {match[1] for match in found if match}


def _native(account: CdsAccount) -> Client:
    """The client underneath cdsapi, with one try and short timeouts."""
    with _quiet("pscnet.sources.fetch.cds_client"):  # the service's messages are told by the fetch
        return connect(account, BRIEF)


def earthdata_login(account: EarthdataAccount) -> Verdict:
    """Whether Earthdata Login accepts the account.

    With user name and password this is the login itself, which finds the present token or makes one; a token alone is
    shown to the profile page.
    """
    refused = {401: "not accepted: it is wrong or has expired", 403: "not accepted"}

    def ask() -> Verdict:
        try:
            with _quiet("earthaccess"):
                session = Earthdata(BRIEF).session()
        except RefusedError:
            return Verdict("no", refused[401])
        if account.token is None:
            return Verdict("yes", "accepted")
        answer = session.get(f"https://{EARTHDATA_HOST}/profile", allow_redirects=False)
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
    except UnavailableError as error:
        return Verdict("unknown", f"{what} could not be checked: {_reason(str(error))}")
    except Exception as error:  # clients raise plain exceptions for what a service says
        return Verdict("unknown", f"{what} could not be checked: {_reason(describe(error))}")


def _reason(text: str) -> str:
    """A failed connection in a few words."""
    known = (words for name, words in _REASONS.items() if name in text)
    return next(known, textwrap.shorten(text, 160, placeholder=" ..."))
