"""The login host of Earthdata (URS): JSON Web Tokens for a name and a password, and the sign-in of OAuth."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from tests.servers.faults import Faults
from tests.servers.internet import Answer, Request

URS = "urs.earthdata.nasa.gov"
#: What the data host is called at the login host.
CLIENT = "local-egress-app"

LOGIN_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head><body><h1>Earthdata Login</h1>"
    b"<form action='/login' method='post'>Username Password</form></body></html>\n"
)


class Login:
    """The login host, and what the other hosts know from it.

    Parameters
    ----------
    faults : Faults
    user, password : str
        Of the only account.
    token_life : float
        How long a token lasts [s].

    Attributes
    ----------
    tokens : dict of str to float
        Tokens that are good, and until when [s since 1970].
    codes : set of str
        Codes of OAuth that the data host may still turn into a cookie.
    given : list of str
        Every token, code and cookie that was ever given: what nobody else may see.
    """

    def __init__(self, faults: Faults, user: str, password: str, token_life: float) -> None:
        self.faults, self.user, self.password, self.token_life = faults, user, password, token_life
        self.tokens: dict[str, float] = {}
        self.codes: set[str] = set()
        self.given: list[str] = []
        self.secret = hashlib.sha256(f"{user}:{password}".encode()).digest()
        self._lock = threading.RLock()
        self._made = 0

    def token(self, life: float | None = None, known: bool = True) -> str:
        """A new JSON Web Token that ends ``life`` seconds from now; ``known`` says whether the hosts accept it."""
        with self._lock:
            self._made += 1
            number = self._made
        now = int(time.time())
        ends = now + (self.token_life if life is None else life)
        head = {"typ": "JWT", "origin": "Earthdata Login", "sig": "edljwtpubkey_ops", "alg": "HS256"}
        claims = {"type": "User", "uid": self.user, "exp": int(ends), "iat": now, "iss": f"https://{URS}", "n": number}
        text = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
        made = f"{text}.{_base64(hmac.digest(self.secret, text.encode(), 'sha256'))}"
        with self._lock:
            self.given.append(made)
            if known:
                self.tokens[made] = ends
        return made

    def expire_tokens(self) -> None:
        """End all tokens that are out."""
        with self._lock:
            self.tokens.clear()

    def answer(self, request: Request) -> Answer:
        """What the login host says."""
        if request.path == "/api/users/find_or_create_token" and request.method == "POST":
            return self._token_endpoint(request)
        if request.path == "/profile":
            known = self._signed_in(request) or self.bearer(request)
            return html_answer(200, LOGIN_PAGE) if known else _no_credentials()
        if request.path == "/oauth/authorize":
            return self._authorize(request)
        return json_answer(404, {"error": "not_found"})

    def _token_endpoint(self, request: Request) -> Answer:
        if not request.headers.get("authorization", "").startswith("Basic "):
            return _no_credentials()
        if self.faults.take("edl_503"):
            return html_answer(503, b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>")
        if self.faults.take("edl_401") or not self._signed_in(request):
            return _no_credentials()
        with self._lock:
            good = [token for token, ends in self.tokens.items() if ends > time.time()]
        token = good[0] if good else self.token()
        ends = datetime.fromtimestamp(self.tokens.get(token, 0.0), UTC)
        content = {"access_token": token, "token_type": "Bearer", "expiration_date": f"{ends:%m/%d/%Y}"}
        return json_answer(200, content)

    def _signed_in(self, request: Request) -> bool:
        expected = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return request.headers.get("authorization") == f"Basic {expected}"

    def bearer(self, request: Request) -> bool:
        """Whether the request carries a good token; the moment when one may turn out to have ended."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        with self._lock:
            if token in self.tokens and self.faults.take("edl_token_expired"):
                del self.tokens[token]
            return self.tokens.get(token, 0.0) > time.time()

    def _authorize(self, request: Request) -> Answer:
        if request.first("client_id") != CLIENT:
            return json_answer(400, {"error": "invalid_client"})
        if not self._signed_in(request):
            return _no_credentials()
        code = self.once(self.codes)
        query = urlencode({"code": code, "state": request.first("state", "/")})
        return Answer(302, b"", {"Location": f"{request.first('redirect_uri')}?{query}"})

    def once(self, kept: set[str]) -> str:
        """A word that nobody had before, put into ``kept``."""
        with self._lock:
            self._made += 1
            made = hashlib.sha256(self.secret + str(self._made).encode()).hexdigest()
            kept.add(made)
            self.given.append(made)
            return made


def _no_credentials() -> Answer:
    content = {"error": "invalid_credentials", "error_description": "Invalid user credentials"}
    realm = {"WWW-Authenticate": 'Basic realm="Please enter your Earthdata Login credentials."'}
    return json_answer(401, content, realm)


def json_answer(status: int, content: object, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON, as the hosts of Earthdata send it."""
    extra = {"Content-Type": "application/json;charset=utf-8", **(headers or {})}
    return Answer(status, json.dumps(content).encode(), extra)


def html_answer(status: int, page: bytes) -> Answer:
    """A page."""
    return Answer(status, page, {"Content-Type": "text/html; charset=utf-8"})


def xml_answer(status: int, code: str, text: str) -> Answer:
    """An error of the object store."""
    content = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{text}</Message></Error>'
    return Answer(status, content.encode(), {"Content-Type": "application/xml", "Server": "AmazonS3"})


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
