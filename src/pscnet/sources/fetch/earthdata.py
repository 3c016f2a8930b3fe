"""NASA Earthdata through earthaccess: one login that never asks a person, searches that must be complete, and sessions.

The client is earthaccess, without its module-wide login and without its store. Its sessions are those of
:mod:`pscnet.sources.fetch.sessions` too: every answer has a limit of time; a netrc file is read by earthaccess alone,
while requests would otherwise send what it finds there, in place of the token, to every host that the file names; and
a token is sent to no other host than the one asked first.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import requests
from earthaccess.auth import Auth, SessionWithHeaderRedirection
from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable
from earthaccess.search import DataGranules

from pscnet.sources.fetch import RefusedError, failure
from pscnet.sources.fetch.credentials import EARTHDATA_HOST, EARTHDATA_TOKENS, EarthdataAccount, earthdata_account
from pscnet.sources.fetch.granules import PRODUCTS, Granule, from_catalogue
from pscnet.sources.fetch.retry import PASSING, describe, persist
from pscnet.sources.fetch.secrets import remember
from pscnet.sources.fetch.sessions import Session as Bounded
from pscnet.sources.fetch.sessions import read_page
from pscnet.sources.fetch.settings import Patience

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: A token must last at least this long for a run to begin, and from then on its end is worth a warning.
SHORTEST_LIFE, SHORT_LIFE = timedelta(hours=1), timedelta(days=3)

_LOGIN = "NASA Earthdata Login"
_NEW_TOKEN = f"make a new token ({EARTHDATA_TOKENS}) and put it into EARTHDATA_TOKEN"


class Unsettled(requests.exceptions.ConnectionError):
    """An answer that cannot be right, and may be the next time."""


class Session(SessionWithHeaderRedirection, Bounded):
    """A session of earthaccess that waits no longer than ``patience`` and knows no netrc file.

    Parameters
    ----------
    host : str
        Of the login; its answers are asked for again with user name and password.
    auth : (str, str) or None
    token : str or None
    patience : Patience
    login : int
        Number of the login that the session stands for.
    """

    def __init__(
        self, host: str, auth: tuple[str, str] | None, token: str | None, patience: Patience, login: int
    ) -> None:
        super().__init__(host, auth)
        self.login, self._stall = login, patience.stall
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """As of requests, with an error where an agreement is missing."""
        response = super().request(method, url, **options)
        if response.status_code == 403:
            if options.get("stream") and response.raw is not None:
                read_page(response, self._stall)
            if "eula" in response.text.lower():
                # No link of the store that a fresh one replaces: nothing but an agreement helps.
                raise requests.HTTPError("403, an agreement (EULA) has not been accepted", response=response)
        return response


class _Auth(Auth):
    """The login of earthaccess, with our sessions, and with an outage told from a refusal."""

    def __init__(self, patience: Patience, number: int, without_token: bool) -> None:
        super().__init__()
        self._patience, self._number, self._without_token = patience, number, without_token

    def get_session(self) -> requests.Session:
        both = (self.username, self.password) if self.username and self.password else None
        token = self.token["access_token"] if self.token else None
        return Session(self.system.edl_hostname, both, token, self._patience, self._number)

    def _get_credentials(self, username: str | None, password: str | None, user_token: str | None) -> bool:
        token = None if self._without_token or user_token is None else user_token.strip() or None
        return super()._get_credentials(username, password, token)

    def _find_or_create_token(self) -> requests.Response:
        response = super()._find_or_create_token()
        if response.status_code in PASSING:
            raise requests.HTTPError(f"{response.status_code} {response.reason} at {EARTHDATA_HOST}", response=response)
        if response.ok and not {"access_token", "expiration_date"} <= set(_json(response)):
            raise Unsettled(f"{EARTHDATA_HOST} answered without a token")
        return response


def _json(response: requests.Response) -> dict:
    """The JSON object of an answer, empty where it is something else."""
    try:
        content = response.json()
    except requests.exceptions.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


class Earthdata:
    """The configured account, logged in when first needed; safe to use from several threads.

    Parameters
    ----------
    patience : Patience
    note : callable, optional
        Told in words about every pause.
    stop : callable, optional
        When it returns true, waiting ends at once.

    Raises
    ------
    RefusedError
        No account is configured, or its token has ended or will within the hour.
    """

    def __init__(
        self, patience: Patience, note: Callable[[str], None] | None = None, stop: Callable[[], bool] | None = None
    ) -> None:
        self._patience, self._note, self._stop = patience, note, stop
        self._account = earthdata_account()
        check_expiry(self._account)
        self._lock = threading.Lock()
        self._auth: _Auth | None = None
        self._logins = 0

    def session(self) -> Session:
        """A new session of the account."""
        with self._lock:
            if self._auth is None:
                self._auth = self._log_in()
            return self._auth.get_session()

    def _log_in(self, without_token: bool = False) -> _Auth:
        """Log in, as long as patience lasts."""
        self._logins += 1

        def attempt() -> _Auth:
            auth = _Auth(self._patience, self._logins, without_token)
            auth.login(strategy=self._account.strategy, persist=False)
            return auth

        try:
            auth = persist(attempt, _LOGIN, self._patience, stop=self._stop, note=self._note)
        except (LoginAttemptFailure, LoginStrategyUnavailable) as error:
            raise failure(
                RefusedError,
                _LOGIN,
                f"the account of {self._account.where} to be accepted",
                describe(error),
                f"try user name and password at https://{EARTHDATA_HOST}, and correct them there or in "
                f"{self._account.where}",
            ) from None
        if not auth.token:
            raise failure(RefusedError, _LOGIN, "a token", "none", f"check {self._account.where}")
        remember(auth.token["access_token"])
        return auth

    def authorised(self, work: Callable[[Session], T]) -> T:
        """Do something with a session; log in once more when the service says that nobody is logged in (401).

        Raises
        ------
        RefusedError
            The account is still not accepted, or it has no user name and password to log in with.
        """
        with self.session() as session:
            try:
                return work(session)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != 401:
                    raise
        with self._renewed(session) as session:
            try:
                return work(session)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != 401:
                    raise
                raise self._not_accepted() from None

    def _renewed(self, session: Session) -> Session:
        """A session of a later login than that of ``session``."""
        with self._lock:
            if session.login == self._logins:
                if not has_password(self._account):
                    raise self._not_accepted()
                logger.info("Earthdata no longer accepts the login: logging in once more")
                self._auth = self._log_in(without_token=True)
            return self._auth.get_session()

    def _not_accepted(self) -> Exception:
        found = f"that of {self._account.where} is not accepted (401)"
        remedy = _NEW_TOKEN if self._account.token else f"check user name and password in {self._account.where}"
        return failure(RefusedError, _LOGIN, "an account that the service accepts", found, remedy)

    def search(
        self, product: str, version: str, box: tuple[float, float, float, float], first: str, last: str
    ) -> list[Granule]:
        """All granules of a product that touch a box and a span of days, whatever pages they are on.

        Parameters
        ----------
        product, version : str
            Such as ``SPL3SMP`` and ``009``.
        box : (west, south, east, north) [degree]
        first, last : str
            ``YYYY-MM-DD``, both included.

        Returns
        -------
        list of Granule
            In the catalogue's order, with several versions of a day, and with neighbouring days.

        Raises
        ------
        RefusedError, UnavailableError
        """
        what = f"search for {product} {version}, {first} to {last}"

        def ask() -> list[dict]:
            return self.authorised(lambda session: _found(session, product, version, box, first, last))

        try:
            items = persist(ask, what, self._patience, stop=self._stop, note=self._note)
        except requests.HTTPError as error:
            remedy = "check fetch.smap.versions, the region and the period"
            raise failure(RefusedError, what, "an answer of the catalogue", describe(error), remedy) from None
        known = (from_catalogue(item, PRODUCTS[product]) for item in items)
        return [granule for granule in known if granule is not None]


def _found(
    session: Session, product: str, version: str, box: tuple[float, float, float, float], first: str, last: str
) -> list[dict]:
    """The catalogue's entries, as many as it says there are."""
    query = DataGranules()
    query.session = session
    query.short_name(product).version(version).bounding_box(*box).temporal(first, last)
    try:
        hits = query.hits()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # earthaccess calls what it has deprecated itself
            items = query.get(hits) if hits else []
        after = query.hits()
        number = len({item["meta"]["concept-id"] for item in items if item["umm"] is not None})
    except RuntimeError as error:
        # earthaccess keeps the status only in the error behind its own.
        behind = error.__cause__
        if not isinstance(behind, requests.HTTPError):
            raise
        text = f"{behind.response.status_code} {behind.response.reason} from the catalogue"
        raise requests.HTTPError(text, response=behind.response) from None
    except (KeyError, TypeError) as error:
        raise Unsettled(f"the catalogue's answer has another form than known ({error!r})") from None
    if after != hits:
        # Of a catalogue that grew, the pages hold the first granules, as many as had been counted.
        raise Unsettled(f"the catalogue changed while it was read: {hits} granules, then {after}")
    if number != hits:
        raise Unsettled(f"the catalogue gave {number} of the {hits} granules that it announced")
    return items


def has_password(account: EarthdataAccount) -> bool:
    """Whether there is a user name with password to log in with, be it beside a token."""
    return bool(account.user or (os.environ.get("EARTHDATA_USERNAME") and os.environ.get("EARTHDATA_PASSWORD")))


def check_expiry(account: EarthdataAccount) -> None:
    """Refuse a token that has ended or is about to, and warn of one that soon will.

    Raises
    ------
    RefusedError
    """
    if account.expires is None or has_password(account):
        return
    left, date = account.expires - datetime.now(UTC), f"{account.expires:%Y-%m-%d %H:%M} UTC"
    if left < SHORTEST_LIFE:
        found = f"one that {'ended' if left < timedelta(0) else 'ends'} at {date}, in {account.where}"
        raise failure(RefusedError, _LOGIN, "a token that is good for an hour at least", found, _NEW_TOKEN)
    if left < SHORT_LIFE:
        logger.warning("the Earthdata token of %s ends at %s: %s", account.where, date, _NEW_TOKEN)
