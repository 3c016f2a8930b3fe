"""``python -m pscnet verify``: what was tampered with is found, named and put aside; what was not is left alone."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from pscnet.config import Config, load
from pscnet.doctor.proof import doubts, prove
from pscnet.sources import manifest as manifests
from pscnet.sources.fetch.ledger import Ledger, write_manifest

MINE = {
    "run": "mine",
    "source": "fetch",
    "region": {"lat": [32.0, 32.9], "lon": [91.0, 91.9]},
    "period": {"start": "2016-05", "end": "2016-07"},
    "split": {"train": ["2016-05"], "validation": ["2016-06"], "test": ["2016-07"]},
    "predictors": ["swvl1"],
    "terrain": "elevation.tif",
}
FILES = {"era5_land/a.nc": b"one", "era5_land/b.nc": b"two", "smap/c.h5": b"three"}


@pytest.fixture
def config(tmp_path, monkeypatch) -> Config:
    """A run whose archive has three fetched files, and a manifest of each source."""
    monkeypatch.chdir(tmp_path)
    config = load({**MINE, "archive": str(tmp_path / "raw")})
    ledger = Ledger(config.archive)
    for path, content in FILES.items():
        part = ledger.part(Path(path).name)
        part.write_bytes(content)
        ledger.keep(part, path, source=path.split("/")[0], month="2016-05", variables=("swvl1",))
    for source in ("era5_land", "smap"):
        output = Path("build/mine/manifests") / source / "2016-05.json"
        write_manifest(output, source, "2016-05", config.archive, ledger.records(source, "2016-05"))
    return config


def verify(config: Config) -> tuple[int, str]:
    screen = io.StringIO()
    return prove(config, screen), screen.getvalue()


def spoil(path: Path) -> None:
    """Other bytes of the same length, under the old modification time: only a hash finds it."""
    stat = path.stat()
    path.write_bytes(b"x" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_good_files_are_proven(config):
    code, said = verify(config)
    assert code == 0
    assert "3 of 3 files good" in said and "2 of 2 proven" in said and "All of it is as it was verified" in said


def test_a_spoilt_file_goes_to_quarantine_with_the_reason(config):
    bad = Path(config.archive) / "era5_land" / "a.nc"
    spoil(bad)
    code, said = verify(config)
    assert code == 1
    assert "2 of 3 files good" in said and "SHA-256" in said
    assert not bad.exists()
    folder = Path(config.archive) / ".quarantine" / "era5_land"
    assert (folder / "a.nc").read_bytes() == b"xxx"
    assert "SHA-256" in (folder / "a.nc.reason.txt").read_text()
    assert [record.path for record in Ledger(config.archive).records("era5_land", "2016-05")] == ["era5_land/b.nc"]
    assert "a.nc is not there" in said and "Bad files in the archive: 1; manifests that cannot be proven: 1" in said
    assert "1 of 2 proven" in said  # the manifest that lists it bears witness that it was used


def test_a_lost_file_is_named(config):
    (Path(config.archive) / "smap" / "c.h5").unlink()
    code, said = verify(config)
    assert code == 1
    assert "c.h5 is no longer in the archive" in said


def test_a_file_that_cannot_be_read_is_not_moved(config, monkeypatch):
    def unreadable(path):
        raise manifests.complaint(path, "a readable file", "an error of the disk", "look at the disk")

    monkeypatch.setattr(manifests, "hash_file", unreadable)
    code, said = verify(config)
    assert code == 1 and "an error of the disk" in said
    assert all((Path(config.archive) / name).exists() for name in FILES)


def test_files_that_nobody_fetched_are_proven_by_their_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load({**MINE, "source": "archive", "terrain": None, "archive": "own"})
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.nc").write_bytes(b"one")
    assert "nothing to verify yet" in verify(config)[1]
    member = manifests.member(own, own / "a.nc", variables=["swvl1"])
    manifests.write(
        "build/mine/manifests/era5_land/2016-05.json",
        source="era5_land", month="2016-05", root=own, files=[member], made_by="archive",
    )  # fmt: skip
    code, said = verify(config)
    assert code == 0 and "1 of 1 proven" in said
    spoil(own / "a.nc")
    code, said = verify(config)
    assert code == 1
    assert "a.nc has other bytes" in said and "Put good files in their place" in said
    assert (own / "a.nc").exists()  # a person's own file is never moved


def test_a_manifest_that_is_none_is_named(tmp_path):
    path = tmp_path / "m.json"
    path.write_text("{")
    assert "no JSON" in next(doubts(path, {}))
