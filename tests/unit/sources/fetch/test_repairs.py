"""The number that stands for raw files: it grows when they are gone or damaged, and only then."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from pscnet.sources import manifest as manifests
from pscnet.sources.fetch import ledger as ledgers
from pscnet.sources.fetch.ledger import Ledger, write_manifest
from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.repairs import planned


@dataclass
class Month:
    """May with two files, recorded and listed."""

    root: Path
    ledger: Ledger

    @property
    def manifest(self) -> Path:
        return self.root / "manifests" / "2016-05.json"

    @property
    def counter(self) -> Path:
        return self.root / "repairs.txt"

    def file(self, number: int) -> Path:
        return self.ledger.archive / "smap" / f"{number}.h5"

    def planned(self) -> int:
        return planned(self.counter, self.manifest, self.ledger.archive, "smap", "2016-05")


@pytest.fixture
def month(tmp_path: Path) -> Month:
    ledger = Ledger(tmp_path / "archive")
    for number in range(2):
        part = ledger.part(str(number))
        part.write_bytes(bytes([number]) * 1000)
        ledger.keep(part, f"smap/{number}.h5", source="smap", month="2016-05")
    made = Month(tmp_path, ledger)
    write_manifest(made.manifest, "smap", "2016-05", ledger.archive, ledger.records("smap", "2016-05"))
    return made


def test_nothing_is_planned_where_all_is_well(month: Month, monkeypatch) -> None:
    monkeypatch.setattr(ledgers.manifests, "hash_file", lambda path: pytest.fail("a plan hashes no undisturbed file"))
    assert month.planned() == 0
    month.counter.write_text("4\n")
    assert month.planned() == 4


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"short")])
def test_a_lost_or_damaged_file_asks_for_one_more(month: Month, damage) -> None:
    month.counter.write_text("4\n")
    damage(month.file(0))
    assert month.planned() == month.planned() == 5
    assert month.file(1).exists() and len(month.ledger.records("smap", "2016-05")) == 2, "a plan changes nothing"


def test_other_bytes_of_the_same_size_ask_for_one_more(month: Month) -> None:
    month.file(0).write_bytes(b"x" * 1000)
    assert month.planned() == month.planned() == 1


def test_a_touched_file_is_hashed_once_and_asks_for_nothing(month: Month, monkeypatch) -> None:
    os.utime(month.file(0))
    assert month.planned() == 0
    monkeypatch.setattr(ledgers.manifests, "hash_file", lambda path: pytest.fail("once is enough"))
    assert month.planned() == 0


def test_a_plan_does_not_wait_for_who_is_at_the_month(month: Month) -> None:
    os.utime(month.file(0))
    numbers = []
    with exclusive(month.ledger.archive / ".fetch/files/smap/2016-05.lock"):
        planner = threading.Thread(target=lambda: numbers.append(month.planned()), daemon=True)
        planner.start()
        planner.join(30.0)
        assert numbers == [1], "it is left to the month's job"
    assert month.planned() == 0


def test_the_number_stays_when_its_job_has_written_it(month: Month) -> None:
    content = month.file(0).read_bytes()
    month.file(0).unlink()
    number = month.planned()
    month.file(0).write_bytes(content)  # the job's work
    month.ledger.good("smap", "2016-05")
    month.counter.write_text(f"{number}\n")
    assert month.planned() == number == 1


def test_without_manifest_the_job_runs_anyway(month: Month) -> None:
    month.manifest.unlink()
    month.file(0).unlink()
    assert month.planned() == 0


def test_a_damaged_manifest_asks_for_one_more(month: Month) -> None:
    month.manifest.write_text("{")
    assert month.planned() == 1


def test_without_records_the_size_decides(month: Month) -> None:
    (month.ledger.archive / ".fetch/files/smap/2016-05.json").unlink()
    os.utime(month.file(0))
    assert month.planned() == 0
    month.file(0).write_bytes(b"")
    assert month.planned() == 1


def test_files_outside_of_the_archive_are_known_by_their_size(month: Month, tmp_path: Path) -> None:
    raster = tmp_path / "elevation.tif"
    raster.write_bytes(b"abc")
    entry = manifests.member(tmp_path, raster, variables=["elevation"])
    manifests.write(month.manifest, source="terrain", month=None, root=tmp_path, files=[entry], made_by="fetch")
    assert month.planned() == 0
    raster.unlink()
    assert month.planned() == 1
