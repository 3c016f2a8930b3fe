"""A small internet on the loopback: true host names behind a CONNECT proxy, TLS by a throw-away CA, all else refused.

Clients reach it through ``HTTPS_PROXY`` and trust it through ``REQUESTS_CA_BUNDLE``: nothing in them is replaced.
The proxy ends the tunnel itself, so that every byte that a client gets, and every cut, comes from here.

A service has ``hosts`` (names) and ``answer(request) -> Answer``; it may have ``environment() -> dict`` (what clients
of it need to know, such as a key) and ``close()``.
"""

from __future__ import annotations

import os
import select
import socket
import socketserver
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

from tests.servers.messages import Answer, Request, ranged, reader, size_of

__all__ = ["Answer", "Internet", "Record", "Request", "Service", "UNSET", "ranged", "size_of"]

#: Variables of a person's own environment that must not reach a client here.
UNSET = (
    "ALL_PROXY",
    "all_proxy",
    "CURL_CA_BUNDLE",
    "EARTHDATA_TOKEN",
    "ECMWF_DATASTORES_URL",
    "ECMWF_DATASTORES_KEY",
)

BLOCK = 2**18


class Service(Protocol):
    """One provider: its host names and what they answer."""

    hosts: tuple[str, ...]

    def answer(self, request: Request) -> Answer: ...


@dataclass
class Record:
    """One request as it went: ``sent`` bytes of the body from ``start`` on, out of ``length`` promised.

    ``at`` is the moment at which it was answered [s], on the monotonic clock.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    status: int
    start: int
    length: int
    sent: int = 0
    at: float = field(default_factory=time.monotonic)


class Internet:
    """All the hosts there are, for the time of a ``with`` block.

    Parameters
    ----------
    services : list of Service
    folder : path, optional
        For the certificate and an empty home; a temporary one by default.

    Attributes
    ----------
    log : list of Record
        Every request that a service answered.
    refused : list of str
        Hosts that clients asked for and that are none of the services'.
    """

    def __init__(self, services: Sequence[Service], folder: str | Path | None = None) -> None:
        self.services = list(services)
        self.log: list[Record] = []
        self.refused: list[str] = []
        self.closed = threading.Event()
        self._hosts = {host: service for service in self.services for host in service.hosts}
        self._folder, self._temporary = folder, None
        self._server: _Server | None = None

    def __enter__(self) -> Internet:
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="internet-")
        self.folder = Path(self._folder or self._temporary.name)
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.certificate = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.certificate))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*self._hosts).configure_cert(self.context)
        self._server = _Server(("127.0.0.1", 0), self)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        for service in self.services:
            if close := getattr(service, "close", None):
                close()
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def proxy(self) -> str:
        """Address of the proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def connections(self) -> int:
        """Number of open connections."""
        return len(self._server.connections)

    def environment(self) -> dict[str, str]:
        """Variables with which a client lives in this internet; those of :data:`UNSET` are to be removed."""
        home = self.folder / "home"
        made = {
            "HTTPS_PROXY": self.proxy,
            "https_proxy": self.proxy,
            "HTTP_PROXY": self.proxy,
            "http_proxy": self.proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": str(self.certificate),
            "SSL_CERT_FILE": str(self.certificate),
            "HOME": str(home),
            "CDSAPI_RC": str(home / "absent" / "cdsapirc"),
            "ECMWF_DATASTORES_RC_FILE": str(home / "absent" / "ecmwfdatastoresrc"),
            "NETRC": str(home / "absent" / "netrc"),
        }
        for service in self.services:
            if own := getattr(service, "environment", None):
                made.update(own())
        return made

    def full_environment(self) -> dict[str, str]:
        """The environment of a child process that lives in this internet."""
        return {key: value for key, value in os.environ.items() if key not in UNSET} | self.environment()

    def requests(self, host: str | None = None, method: str | None = None) -> list[Record]:
        """Requests so far, by host and method."""
        return [
            record
            for record in list(self.log)
            if (host is None or record.host == host) and (method is None or record.method == method)
        ]

    def knows(self, host: str) -> bool:
        """Whether a host exists; one that does not is written down."""
        if host in self._hosts:
            return True
        self.refused.append(host)
        return False

    def answer(self, request: Request) -> Answer:
        """What the service of the host says."""
        return self._hosts[request.host].answer(request)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], net: Internet) -> None:
        self.net = net
        self.connections: set[_Connection] = set()
        super().__init__(address, _Connection)

    def hang_up(self) -> None:
        """End all connections, also those that nobody uses."""
        for connection in list(self.connections):
            connection.hang_up()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are everyday here; anything else is a mistake of a server and must be seen."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Connection(BaseHTTPRequestHandler):
    """One connection to the proxy: a CONNECT, then requests inside TLS."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True  # a head and a body sent apart would wait for each other 40 ms
    server: _Server
    host: str | None = None

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the record is in the log of the internet."""

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self)

    def do_CONNECT(self) -> None:
        net, host = self.server.net, self.path.rpartition(":")[0].lower()
        if self.host is not None or not net.knows(host):
            self._refuse()
            return
        self.connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.connection = net.context.wrap_socket(self.connection, server_side=True)
        self.connection.settimeout(self.timeout)
        self.rfile = self.connection.makefile("rb")
        self.host = host
        self.close_connection = False

    def _refuse(self) -> None:
        self.close_connection = True
        text = b"this proxy lets nobody out\n"
        head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        self.connection.sendall(head.encode() + text)

    def _serve(self) -> None:
        net = self.server.net
        if self.host is None:  # without a tunnel: plain HTTP to somewhere
            net.knows(urlsplit(self.path).hostname or self.path)
            self._refuse()
            return
        request = self._request()
        answer = net.answer(request)
        record = Record(
            request.method,
            request.host,
            request.path,
            request.query,
            request.headers,
            answer.status,
            answer.start,
            answer.length,
        )
        net.log.append(record)
        if answer.vanish:
            self.close_connection = True
            return
        self._head(answer)
        if self.command != "HEAD":
            self._body(answer, record)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve  # noqa: N815

    def _request(self) -> Request:
        url = urlsplit(self.path)
        headers = {key.lower(): value for key, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        query = parse_qs(url.query, keep_blank_values=True)
        return Request(self.command, self.host, unquote(url.path), query, headers, body)

    def _head(self, answer: Answer) -> None:
        pairs = answer.headers.items() if isinstance(answer.headers, Mapping) else answer.headers
        lines = [f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('Status',))[0]}"]
        lines += [f"{name}: {value}" for name, value in pairs]
        whole = answer.announce and answer.cut_after is None and answer.stall_after is None
        if answer.announce:
            lines.append(f"Content-Length: {answer.length}")
        if not whole:
            self.close_connection = True
        if not answer.announce or self.close_connection:
            lines.append("Connection: close")
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def _body(self, answer: Answer, record: Record) -> None:
        ends = [end for end in (answer.cut_after, answer.stall_after) if end is not None]
        left = min([answer.length, *ends])
        block = BLOCK if answer.pace is None else max(1, min(BLOCK, int(answer.pace * 0.05)))
        with reader(answer.body, answer.start) as source:
            while left > 0 and (data := source.read(min(block, left))):
                self.connection.sendall(data)
                record.sent += len(data)
                left -= len(data)
                if answer.pace is not None:
                    self._pause(len(data) / answer.pace)
        if answer.stall_after is not None and answer.length > answer.stall_after:
            self._pause(float("inf"))

    def _pause(self, seconds: float) -> None:
        """Silence: until the time is over, the client goes away (an error then) or the internet ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.server.net.closed.is_set():
                raise ConnectionAbortedError("the internet ends")
            readable, _, _ = select.select([self.connection], [], [], min(left, 0.1))
            if readable:
                raise ConnectionAbortedError("the client has gone")

    def hang_up(self) -> None:
        """End the connection, from whatever thread."""
        with suppress(OSError):  # it has ended already
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """Close the TLS socket, which the server does not know."""
        self.server.connections.discard(self)
        self.rfile.close()
        if isinstance(self.connection, ssl.SSLSocket):
            self.hang_up()
            self.connection.close()
