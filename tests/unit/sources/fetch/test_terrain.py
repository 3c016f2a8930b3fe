"""The elevation raster from a disk and from an address: what is taken, kept and refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from pscnet.grids import regular_grid
from pscnet.sources import SourceError, manifest
from pscnet.sources.fetch import DamagedError, RefusedError
from pscnet.sources.fetch.terrain import fetch_terrain
from tests.servers.fast import FAST
from tests.servers.internet import UNSET, Answer, Internet, Request, ranged

HOST, STORE = "elevation.example.org", "store.example.org"
URL = f"https://{HOST}/data/tibet%20one.tif"
GRID = regular_grid((32.0, 32.9), (91.0, 91.9))


def raster(path: Path, west: float = 90.5, level: int = 4600) -> bytes:
    """A GeoTIFF of two degrees, with a slope."""
    values = (level + np.add.outer(np.arange(80), np.arange(80))).astype("i2")
    profile = {"driver": "GTiff", "height": 80, "width": 80, "count": 1, "dtype": "int16", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", **profile, transform=from_origin(west, 33.4, 0.025, 0.025)) as file:
        file.write(values, 1)
    return path.read_bytes()


@dataclass
class Provider:
    """Serves one file; ``answers`` are given before it."""

    content: bytes
    answers: list[Answer] = field(default_factory=list)
    asked: int = 0
    told: list[str | None] = field(default_factory=list)  # the Authorization of each request
    hosts = (HOST, STORE)

    def answer(self, request: Request) -> Answer:
        self.asked += 1
        self.told.append(request.headers.get("authorization"))
        return self.answers.pop(0) if self.answers else ranged(request, self.content, '"one"')


@pytest.fixture
def provider(tmp_path: Path, monkeypatch) -> Iterator[Provider]:
    made = Provider(raster(tmp_path / "provided.tif"))
    with Internet([made], tmp_path / "internet") as net:
        for name in UNSET:
            monkeypatch.delenv(name, raising=False)
        for name, value in net.environment().items():
            monkeypatch.setenv(name, value)
        yield made


@dataclass
class Run:
    """Calls of the function in a folder."""

    root: Path
    screen: io.StringIO = field(default_factory=io.StringIO)

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def output(self) -> Path:
        return self.root / "build" / "terrain.json"

    def __call__(self, terrain: str | Path, sha256: str | None = None, state: int = 0) -> manifest.Manifest:
        fetch_terrain(
            archive=self.archive,
            terrain=str(terrain),
            sha256=sha256,
            grid=GRID,
            settings=FAST,
            output=self.output,
            state_file=self.root / "build" / "repairs" / "terrain_static.txt",
            state=state,
            screen=self.screen,
        )
        return manifest.read(self.output)

    def files(self, folder: str = "terrain") -> list[Path]:
        return sorted(path for path in (self.archive / folder).glob("*") if path.is_file())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_local_file_stays_where_it_is(run: Run, tmp_path: Path) -> None:
    content = raster(tmp_path / "mine.tif")
    made = run(tmp_path / "mine.tif", state=3)
    assert (made.source, made.month, made.made_by) == ("terrain", None, "fetch")
    assert made.paths() == [tmp_path / "mine.tif"] and made.files[0].sha256 == sha(content)
    assert not run.archive.exists()
    assert (tmp_path / "build/repairs/terrain_static.txt").read_text() == "3\n"


def test_a_local_file_of_another_hash_is_refused(run: Run, tmp_path: Path) -> None:
    content = raster(tmp_path / "mine.tif")
    run(tmp_path / "mine.tif", sha(content))
    with pytest.raises(SourceError, match="as configured"):
        run(tmp_path / "mine.tif", sha(b"another"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"west": 95.0}, "expected elevations that cover"), ({"level": 9500}, "convert them to metres")],
)
def test_what_is_no_elevation_of_the_region_is_refused(run: Run, tmp_path: Path, changes: dict, said: str) -> None:
    raster(tmp_path / "mine.tif", **changes)
    with pytest.raises(SourceError, match=said):
        run(tmp_path / "mine.tif")
    assert not run.output.exists()


def test_a_file_from_an_address_comes_into_the_archive_once(run: Run, provider: Provider) -> None:
    digest = sha(provider.content)
    made = run(URL, digest)
    (member,) = made.files
    assert made.paths() == [run.archive / "terrain" / f"tibet_one_{digest[:8]}.tif"]
    assert (member.url, member.provider_id, member.sha256) == (URL, "tibet_one.tif", digest)
    assert member.fetched_at and member.variables == ["elevation"]
    assert made.paths()[0].read_bytes() == provider.content
    first, asked = run.output.read_text(), provider.asked
    run(URL, digest)
    assert (run.output.read_text(), provider.asked) == (first, asked)
    assert "Elevation: 1 of 1 files" in run.screen.getvalue()


def test_a_lost_file_is_fetched_again_and_a_damaged_one_put_aside(run: Run, provider: Provider) -> None:
    digest = sha(provider.content)
    (path,) = run(URL, digest).paths()
    path.unlink()
    assert run(URL, digest).paths()[0].read_bytes() == provider.content
    path.write_bytes(b"damaged")
    assert run(URL, digest).paths()[0].read_bytes() == provider.content
    assert [file.read_bytes() for file in run.files(".quarantine/terrain") if file.suffix != ".txt"] == [b"damaged"]


def test_a_file_without_record_is_taken_over(run: Run, provider: Provider) -> None:
    digest = sha(provider.content)
    run(URL, digest)
    (run.archive / ".fetch/files/terrain/static.json").unlink()
    asked = provider.asked
    run(URL, digest)
    assert provider.asked == asked


def test_a_cut_line_and_an_outage_are_survived(run: Run, provider: Provider) -> None:
    provider.answers = [
        Answer(503, b"<html>down</html>"),
        Answer(200, provider.content, {"ETag": '"one"', "Accept-Ranges": "bytes"}, cut_after=5000),
    ]
    assert run(URL, sha(provider.content)).paths()[0].read_bytes() == provider.content


def test_wrong_bytes_once_are_survived(run: Run, provider: Provider) -> None:
    provider.answers = [Answer(200, provider.content[::-1])]
    assert run(URL, sha(provider.content)).paths()[0].read_bytes() == provider.content


def test_wrong_bytes_twice_are_an_error_with_the_file_kept_aside(run: Run, provider: Provider) -> None:
    with pytest.raises(DamagedError, match=r"expected the SHA-256 .*, as configured; found .*, twice. Compare"):
        run(URL, sha(b"another"))
    assert run.files() == [] and not run.output.exists()
    assert any(file.read_bytes() == provider.content for file in run.files(".quarantine/terrain"))
    run(URL, sha(provider.content))


def test_a_missing_file_is_told_in_words(run: Run, provider: Provider) -> None:
    provider.answers = [Answer(404, b"no such file")] * 20
    with pytest.raises(RefusedError, match=r"expected the file; found 404 .*Check the address in terrain"):
        run(URL, sha(provider.content))


def test_an_address_without_hash_is_refused(run: Run, provider: Provider) -> None:
    with pytest.raises(RefusedError, match="Put it into terrain_sha256"):
        run(URL)
    assert provider.asked == 0


def test_two_files_of_one_name_do_not_meet(run: Run, provider: Provider, tmp_path: Path) -> None:
    run(URL, sha(provider.content))
    provider.content = raster(tmp_path / "other.tif", level=4000)
    run(URL, sha(provider.content))
    assert len(run.files()) == 2
    records = json.loads((run.archive / ".fetch/files/terrain/static.json").read_text())["files"]
    assert len(records) == 2 and not os.path.exists(run.archive / ".quarantine")


def test_no_password_is_sent_whatever_the_netrc_file_knows(
    run: Run, provider: Provider, tmp_path: Path, monkeypatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password planted-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    provider.answers = [Answer(302, headers={"Location": f"https://{STORE}/one"})]
    run(URL, sha(provider.content))
    assert provider.told == [None, None]


def test_a_redirect_away_from_encryption_is_refused(run: Run, provider: Provider) -> None:
    provider.answers = [Answer(302, headers={"Location": f"http://{STORE}/one"})]
    with pytest.raises(RefusedError, match="expected an encrypted connection"):
        run(URL, sha(provider.content))
    assert provider.asked == 1
