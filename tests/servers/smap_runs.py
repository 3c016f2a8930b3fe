"""Fetches of SMAP into an archive of their own, and what tests want to know of them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pscnet.sources import manifest
from pscnet.sources.fetch.granules import OF_SOURCE, expected
from pscnet.sources.fetch.smap import fetch_month
from tests.servers.conftest import LAT, LON
from tests.servers.earthdata import DATA, Earthdata
from tests.servers.fast import FAST
from tests.servers.faults import Faults
from tests.servers.internet import Answer, Request

MONTH = "2016-06"
#: Of one of these days the provider has two versions, and of another no PM half.
DAYS = ("2016-06-05", "2016-06-06", "2016-06-20", "2016-06-21")
HALF = "2016-06-20"
FINE_DAYS = ("2016-06-05", "2016-06-20")


def sparse() -> dict:
    """Settings for a month of which the provider has a few days only."""
    settings = deepcopy(FAST)
    settings["smap"]["without"] = [day for day in expected(OF_SOURCE["smap"], MONTH) if day not in DAYS]
    return settings


@dataclass
class Run:
    """One archive, and fetches into it."""

    folder: Path
    source: str = "smap"
    settings: dict = field(default_factory=sparse)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def fetch(self, month: str = MONTH) -> manifest.Manifest:
        """Fetch the month; its manifest."""
        output, state = (self.folder / f"{self.source}_{month}.{suffix}" for suffix in ("json", "state"))
        fetch_month(self.archive, self.source, month, LAT, LON, self.settings, output, state, 3)
        assert state.read_text().strip() == "3"
        return manifest.read(output)

    def content(self) -> dict[str, str]:
        """Path to SHA-256 of every file that a person sees."""
        files = (path for path in sorted(self.archive.rglob("*")) if path.is_file())
        shown = {path.relative_to(self.archive): path for path in files}
        return {
            str(name): hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in shown.items()
            if not any(part.startswith(".") for part in name.parts)
        }

    def leftovers(self) -> list[str]:
        """Names of unfinished downloads."""
        return [path.name for path in self.archive.glob(".fetch/parts/*")]

    def reasons(self) -> str:
        """Why files are in quarantine."""
        return "\n".join(path.read_text() for path in sorted(self.archive.glob(".quarantine/*/*.reason.txt")))


def described(made: manifest.Manifest) -> list[dict]:
    """A manifest's files without the time when they were fetched."""
    return [{**vars(member), "fetched_at": None} for member in made.files]


def token_only(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    for name in ("EARTHDATA_USERNAME", "EARTHDATA_PASSWORD"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("EARTHDATA_TOKEN", token)


class Watch:
    """The largest number of originals that lay on the disk at one time."""

    def __init__(self, run: Run) -> None:
        self._run, self._over = run, threading.Event()
        self.most, self.seen = 0, set()

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            parts = {
                path.name for path in self._run.archive.glob(".fetch/parts/*SMAP*.part") if "crop" not in path.name
            }
            self.most = max(self.most, len(parts))
            self.seen |= parts
            time.sleep(0.002)


class Ending(Earthdata):
    """All tokens end with the second granule that is asked for."""

    asked = 0

    def answer(self, request: Request) -> Answer:
        if request.host == DATA and request.path != "/login":
            self.asked += 1
            if self.asked == 2:
                self.login.expire_tokens()
        return super().answer(request)


def down_after_a_cut(faults: Faults) -> Callable[[str], bool]:
    """The faults' ``take``, and the store down for good once it has cut a download."""
    take = faults.take

    def taken(name: str) -> bool:
        return (name == "store_503" and faults.taken["store_cut"] > 0) or take(name)

    return taken
