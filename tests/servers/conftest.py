"""Fixtures of the tests against local servers: a small simulated Plateau, an internet, and no way out of it."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:  # the servers are imported as tests.servers, by child processes too
    sys.path.insert(0, ROOT)

from tests.servers.internet import UNSET, Internet, Service  # noqa: E402
from tests.servers.world import World  # noqa: E402

LAT, LON = (32.0, 32.9), (91.0, 91.9)
MONTHS = ("2016-05", "2016-06", "2016-07")
PREDICTORS = ("swvl1", "swvl2", "t2m", "tp", "ssrd")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three months of a box of 10 x 10 nodes (and the months around them), made once."""
    made = World(tmp_path_factory.mktemp("world"), LAT, LON, MONTHS, PREDICTORS)
    yield made
    made.close()


@contextmanager
def living_in(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Callable[..., Internet]]:
    """Makes an internet of the services given, and lets this process live in it until ``patch`` is undone."""
    with ExitStack() as stack:

        def make(*services: Service) -> Internet:
            made = stack.enter_context(Internet(services, folder / "internet"))
            for name in UNSET:
                patch.delenv(name, raising=False)
            for name, value in made.environment().items():
                patch.setenv(name, value)
            return made

        yield make


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Internet]]:
    """See :func:`living_in`."""
    with living_in(tmp_path, monkeypatch) as make:
        yield make


def is_loopback(address: object) -> bool:
    """Whether a socket address stays on this machine; the host is an address, not a name."""
    if not isinstance(address, tuple):
        return True  # a path of the file system
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return address[0] == "localhost"


@pytest.fixture(autouse=True)
def no_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine, whatever a client was told."""
    for name in ("connect", "connect_ex"):
        true_one = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: object, true_one: Callable = true_one) -> object:
            if not is_loopback(address):
                raise AssertionError(f"a connection to {address} would leave this machine")
            return true_one(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)
