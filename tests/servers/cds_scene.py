"""Where the fetch of a month is watched: an archive, the service that can be disturbed, and what must come out."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pscnet.sources import manifest
from pscnet.sources.era5_files import opened
from pscnet.sources.fetch.era5_land import fetch_month
from tests.servers import cds_store
from tests.servers.cds import Cds
from tests.servers.conftest import LAT, LON, PREDICTORS
from tests.servers.fast import FAST
from tests.servers.faults import Faults
from tests.servers.internet import Internet, Record

MONTH, OTHER_MONTH = "2016-05", "2016-06"

#: More often than any run asks.
ALWAYS = 10**6

#: Requests of an undisturbed month: instants and accumulations.
REQUESTS = 2


def settings(**changes: float) -> dict:
    """The fast settings, with some patience changed: ``give_up`` and ``deadline`` [s]."""
    made = copy.deepcopy(FAST)
    if "give_up" in changes:
        made["retry"]["give_up_after_hours"] = changes["give_up"] / 3600
    if "deadline" in changes:
        made["era5_land"]["deadline_hours"] = changes["deadline"] / 3600
    return made


@dataclass
class Place:
    """Where a test fetches to."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def output(self, month: str = MONTH) -> Path:
        return self.folder / "manifests" / f"{month}.json"

    def fetch(self, month: str = MONTH, variables: tuple[str, ...] = PREDICTORS, **changes: float) -> None:
        fetch_month(
            archive=self.archive,
            month=month,
            variables=list(variables),
            lat=LAT,
            lon=LON,
            settings=settings(**changes),
            output=self.output(month),
            state_file=self.folder / f"{month}.state",
            state="7",
        )

    def paths(self, month: str = MONTH) -> list[Path]:
        """The files of a month in the archive."""
        return sorted(self.archive.glob(f"era5_land/*/*_{month}_*"))

    def files(self, month: str = MONTH) -> dict[str, bytes]:
        """Name and bytes of the files of a month."""
        return {path.name: path.read_bytes() for path in self.paths(month)}

    def values(self) -> dict[str, dict[str, bytes]]:
        """The month's values by variable and time, whatever files they are in."""
        found: dict[str, dict[str, bytes]] = {}
        with opened(self.paths()) as pieces:
            for piece in pieces:
                for name in piece.variables:
                    fields = np.asarray(piece.dataset[name][:])
                    for stamp, field in zip(piece.time_of(name), fields, strict=True):
                        found.setdefault(name, {})[str(stamp)] = field.tobytes()
        return found

    def leftovers(self) -> list[str]:
        """Unfinished downloads."""
        return sorted(path.name for path in (self.archive / ".fetch" / "parts").glob("*"))

    def quarantined(self) -> list[Path]:
        """Bad files that were put aside; each has its reason."""
        bad = [path for path in (self.archive / ".quarantine").rglob("*") if path.is_file()]
        return [path for path in bad if not path.name.endswith(".reason.txt")]


@dataclass
class Scene:
    """A service that can be disturbed, the internet in which it lives, and an empty archive."""

    cds: Cds
    net: Internet
    place: Place

    @property
    def faults(self) -> Faults:
        return self.cds.faults

    def downloads(self) -> list[Record]:
        return self.net.requests(cds_store.HOST, "GET")

    def assert_complete(self, undisturbed: Place, same_bytes: bool = True) -> None:
        """The archive is the undisturbed one, without a job or a file too many."""
        place = self.place
        if same_bytes:
            assert place.files() == undisturbed.files()
        assert place.values() == undisturbed.values()
        listed = manifest.read(place.output())
        assert sorted(path.resolve() for path in listed.paths()) == [path.resolve() for path in place.paths()]
        assert (listed.made_by, listed.missing) == ("fetch", {"variables": [], "days": []})
        assert {manifest.hash_file(path) for path in place.paths()} == {entry.sha256 for entry in listed.files}
        assert (place.folder / f"{MONTH}.state").read_text().strip() == "7"
        assert place.leftovers() == []
        assert self.cds.needless == [], "a job was submitted although another would have done"
        assert self.net.refused == []
