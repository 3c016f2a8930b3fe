"""Would the services let us in: accounts found and where, and what the services say of them."""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from pscnet.doctor.findings import Finding, attention, missing, ok
from pscnet.sources.fetch import RefusedError, probe
from pscnet.sources.fetch.cds_answers import LICENCES
from pscnet.sources.fetch.credentials import (
    CDS_PROFILE,
    EARTHDATA_TOKENS,
    EarthdataAccount,
    cds_account,
    earthdata_account,
)
from pscnet.sources.fetch.earthdata import SHORTEST_LIFE
from pscnet.sources.fetch.probe import Verdict

_NOT_ASKED = "not asked, as --offline was given"


def cds(offline: bool) -> Iterator[Finding]:
    """The Climate Data Store: key found, accepted, and the licence of ERA5-Land accepted."""
    try:
        account = cds_account()
    except RefusedError as error:
        yield missing("CDS key", str(error))
        return
    yield ok("CDS key", f"found in {account.where}, for {urlsplit(account.url).hostname}")
    yield from _private("CDS key", account.where)
    if offline:
        yield attention("CDS key", _NOT_ASKED)
        return
    key = probe.cds_key(account)
    yield _finding("CDS key", key, f"make a new one at {CDS_PROFILE}")
    if key.answer == "no":
        return
    if key.answer == "unknown":  # asking further would only take more time
        yield attention("CDS licence", "could not be checked either")
        return
    yield _finding("CDS licence", probe.cds_licence(account), f"accept the terms of ERA5-Land at {LICENCES}")


def earthdata(offline: bool, hours: float) -> Iterator[Finding]:
    """NASA Earthdata: account found, token valid long enough, accepted by the login service.

    Parameters
    ----------
    hours : float
        Longest time that the fetch is expected to take [h].
    """
    try:
        account = earthdata_account()
    except RefusedError as error:
        yield missing("Earthdata login", str(error))
        return
    kind = "user name and password" if account.user else "token"
    yield ok("Earthdata login", f"{kind} found in {account.where}")
    yield from _private("Earthdata login", account.where)
    if account.token:
        validity = token_validity(account, hours, datetime.now(UTC))
        yield validity
        if validity.state == "missing":
            return
    if offline:
        yield attention("Earthdata login", _NOT_ASKED)
        return
    verdict = probe.earthdata_login(account)
    remedy = (
        f"make a new token at {EARTHDATA_TOKENS}" if account.token else "try them on https://urs.earthdata.nasa.gov"
    )
    yield _finding("Earthdata login", verdict, remedy)


def token_validity(account: EarthdataAccount, hours: float, now: datetime) -> Finding:
    """Whether a token lives as long as the fetch may take.

    Parameters
    ----------
    account : EarthdataAccount
        With a token; a token cannot be renewed without user name and password.
    hours : float
        Longest time that the fetch is expected to take [h].
    now : datetime
        UTC.
    """
    topic, remedy = "Earthdata token", f"make a new one at {EARTHDATA_TOKENS}"
    if account.expires is None:
        return attention(topic, "it does not tell until when it is valid; they live 60 days")
    left_over = account.expires - now
    days = left_over.total_seconds() / 86_400
    date = f"{account.expires:%Y-%m-%d %H:%M} UTC"
    if left_over < SHORTEST_LIFE:
        return missing(topic, f"{'expired' if days <= 0 else 'expires'} on {date}; {remedy}")
    left = f"valid until {date}, {int(days)} days" if days >= 2 else f"valid until {date}, {days * 24:.0f} hours"
    if days * 24 < hours:
        return attention(
            topic,
            f"{left}, and the fetch may take {math.ceil(hours / 24)} days; {remedy}, or give user name and password, "
            "with which tokens are renewed",
        )
    return ok(topic, left)


def _finding(topic: str, verdict: Verdict, remedy: str) -> Finding:
    if verdict.answer == "yes":
        return ok(topic, verdict.words)
    if verdict.answer == "no":
        return missing(topic, f"{verdict.words}; {remedy}")
    return attention(topic, verdict.words)


def _private(topic: str, where: str) -> Iterator[Finding]:
    """A complaint about a file with a secret that others on this machine can read."""
    path = Path(where)
    if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield attention(topic, f"others can read {path}; type: chmod 600 {path}")
