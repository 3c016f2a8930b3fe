"""HTTP sessions that keep credentials to those they are for, and that wait for no answer without end.

No netrc file is read, and no key is sent to another host; proxies and certificates come from the environment as ever.
The timeout of a request is one of silence: a server that sends a byte now and then could hold a request for ever. So
a whole answer (of a stream, its header) has a limit too, after which its connection is cut from another thread.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pscnet.sources.fetch import RefusedError, failure
from pscnet.sources.fetch.secrets import public_url
from pscnet.sources.fetch.settings import Patience

LOG = logging.getLogger(__name__)

#: Headers that say who asks; they go to the host that was asked first, and to no other.
CREDENTIALS = ("Authorization", "PRIVATE-TOKEN")

#: A whole answer may take so many times the longest silence (:attr:`Patience.stall`).
WHOLE = 5.0

_USUAL = Patience()
_AGAIN = 0.1  # s; between cuts of a connection, until the request has ended
_PAGE = 1 << 16  # byte; how much of an error page is read
_BLOCK = 1 << 14  # byte

_local = threading.local()  # the watch of the thread's request


class Session(requests.Session):
    """A session that reads no netrc file, and whose credentials do not follow redirects to other hosts.

    Parameters
    ----------
    home : str, optional
        URL of the service for which the credentials are; to other hosts requests go without, also when the service
        itself names them in its answers.
    patience : Patience
        Its ``stall`` is the timeout where a request has none; and see :data:`WHOLE`.
    """

    def __init__(self, home: str | None = None, patience: Patience = _USUAL) -> None:
        super().__init__()
        self._home, self._stall = home, patience.stall
        self.auth = _as_it_is  # without any, requests looks into the netrc file
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter())

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """As of requests, without the credentials where they do not belong, and within limits of time."""
        if self._home is not None and self.should_strip_auth(self._home, request.url) and _strip(request):
            LOG.warning("no credentials are sent to %s: they are for %s", _origin(request.url), _origin(self._home))
        if options.get("timeout") is None:
            options["timeout"] = (self._stall, self._stall)
        if getattr(_local, "watch", None) is not None:  # a redirect of a request that is watched
            return super().send(request, **options)
        with _Watch(WHOLE * self._stall, public_url(request.url)):
            return super().send(request, **options)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Send credentials to no other host, and nothing else in their place.

        Raises
        ------
        RefusedError
            The redirect leads from an encrypted connection to one that is not.
        """
        before, after = response.request.url, prepared_request.url
        if urlsplit(before).scheme == "https" and urlsplit(after).scheme != "https":
            raise failure(
                RefusedError,
                public_url(before),
                "an encrypted connection to the end",
                f"a redirect to {public_url(after)}",
                "check the address, and whether a proxy in between is meant to be there",
            )
        if self.should_strip_auth(before, after):
            _strip(prepared_request)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An authentication that adds nothing."""
    return request


def _strip(request: requests.PreparedRequest) -> bool:
    """Take the credentials away; whether there were any."""
    return any([request.headers.pop(name, None) is not None for name in CREDENTIALS])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def read_page(response: requests.Response, limit: float) -> None:
    """Read the beginning of a streamed answer, an error page, so that its ``text`` is at hand; close the connection.

    Parameters
    ----------
    response : requests.Response
    limit : float
        Time that it may take [s]; what has come until then counts.
    """
    if isinstance(response.raw, io.BytesIO):  # it has been read
        return
    page, end = b"", time.monotonic() + limit
    try:
        while len(page) < _PAGE and time.monotonic() < end:
            if not (block := response.raw.read1(_BLOCK, decode_content=True)):
                break
            page += block
    except (urllib3.exceptions.HTTPError, OSError) as error:
        page = page or f"(the page did not arrive: {type(error).__name__})".encode()
    response.close()
    response.raw = io.BytesIO(page)


class _Watch:
    """Cuts the connection of this thread's request when the time is over."""

    def __init__(self, limit: float, what: str) -> None:
        self._limit, self._what = limit, what
        self._lock, self._done, self._cut = threading.Lock(), threading.Event(), False
        self._held: list[HTTPConnection | socket.socket] = []

    def __enter__(self) -> None:
        _local.watch = self
        threading.Thread(target=self._wait, name="watch", daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        _local.watch = None
        with self._lock:
            self._done.set()
        # A body without announced length ends with its connection, and would pass for whole.
        if self._cut and (kind is None or issubclass(kind, Exception)):
            text = f"no whole answer of {self._what} within {self._limit:.0f} s"
            raise requests.exceptions.ReadTimeout(text) from None

    def hold(self, *held: HTTPConnection | socket.socket) -> None:
        """What to cut: that of the latest request, should there be redirects."""
        with self._lock:
            self._held = list(held)

    def _wait(self) -> None:
        pause = self._limit
        while not self._done.wait(pause):
            pause = _AGAIN
            with self._lock:
                if not self._done.is_set():
                    self._cut = True
                    for held in self._held:
                        _cut(held.sock if isinstance(held, HTTPConnection) else held)


def _cut(sock: Any) -> None:
    """End a connection that another thread reads from; it may be in the middle of becoming an encrypted one."""
    sock = getattr(sock, "socket", sock)  # of encryption within encryption
    if sock is not None:
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Watched:
    """A connection that the watch of its thread can cut."""

    def connect(self) -> None:
        self._hold()
        super().connect()

    def getresponse(self) -> urllib3.HTTPResponse:
        self._hold(self.sock)  # an announced end takes it from the connection, while the body is still to come
        return super().getresponse()

    def _hold(self, *sockets: socket.socket) -> None:
        watch = getattr(_local, "watch", None)
        if watch is not None:
            watch.hold(self, *sockets)


class _Connection(_Watched, HTTPConnection):
    pass


class _EncryptedConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _EncryptedPool(HTTPSConnectionPool):
    ConnectionCls = _EncryptedConnection


class _Adapter(HTTPAdapter):
    """An adapter whose connections can be cut."""

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        super().init_poolmanager(*sizes, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _EncryptedPool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> urllib3.ProxyManager:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _EncryptedPool}
        return manager
