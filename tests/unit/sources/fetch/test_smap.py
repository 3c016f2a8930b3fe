"""A month of granules with a provider made of a folder: what is asked for, kept, left, and told."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from io import StringIO
from pathlib import Path

import h5py
import numpy as np
import pytest

from pscnet.grids import EASE2_GRIDS, ease2_grid
from pscnet.sources import manifest
from pscnet.sources.fetch import DamagedError, RefusedError, UnavailableError, failure, smap
from pscnet.sources.fetch.crop import covers, window_of
from pscnet.sources.fetch.granules import PRODUCTS, Granule
from pscnet.sources.fetch.ledger import Ledger
from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.fetch.smap import fetch_month
from pscnet.sources.fetch.smap_arrival import AbsentError, Arrival, checksum_problem, verifiable
from pscnet.sources.smap_granule import DATASETS, HALVES, J2000

MONTH, LAT, LON = "2016-02", (30.0, 31.0), (90.0, 91.0)
DAYS = ("2016-02-01", "2016-02-02", "2016-02-29")
SETTINGS = {
    "retry": {
        "first_wait_seconds": 0.01,
        "longest_wait_seconds": 0.02,
        "give_up_after_hours": 1e-4,
        "stall_seconds": 1,
        "slowest_bytes_per_second": 1,
    },
    "era5_land": {"requests_at_once": 1, "deadline_hours": 1, "max_fields": 1},
    "smap": {
        "versions": {"SPL3SMP": "009", "SPL3SMP_E": "006", "SPL4SMGP": "008"},
        "downloads_at_once": 2,
        "l4_variables": ["sm_surface"],
        "without": [f"{MONTH}-{day:02d}" for day in range(3, 29)],
    },
    "reserve_gb": 0,
}


def write(path: Path, day: str, grid: str, halves: tuple[str, ...] = ("AM", "PM")) -> None:
    """A granule with what the pipeline reads, filled in the row of 30.5 N."""
    _, rows, cols = EASE2_GRIDS[grid]
    row = ease2_grid(LAT, LON, grid).row0
    seconds = (np.datetime64(f"{day}T06:00", "ns") - J2000) / np.timedelta64(1, "s")
    values = {"soil_moisture": 0.2, "tb_time_seconds": seconds, "EASE_row_index": row}
    with h5py.File(path, "w", libver="earliest") as file:
        file.create_group("Metadata/Extent").attrs.update(
            {"rangeBeginningDateTime": f"{day}T00:00:00Z", "rangeEndingDateTime": f"{day}T23:59:59Z"}
        )
        for half in halves:
            group, suffix = HALVES[half]
            for name, dtype in DATASETS.items():
                made = file.create_dataset(
                    f"{group}/{name}{suffix}", (rows, cols), dtype, chunks=(1, cols), compression="gzip",
                    fillvalue=65534 if dtype == "u2" else -9999, track_times=False,
                )  # fmt: skip
                made[row] = np.arange(cols) if name == "EASE_column_index" else values.get(name, 0)


class Provider:
    """In place of Earthdata: files of a folder, a count of downloads, and surprises by day."""

    def __init__(self, folder: Path, product: str) -> None:
        self.folder, self.product = folder, PRODUCTS[product]
        self.downloads: list[str] = []
        self.searches = 0
        self.announced = self.tagged = True
        self.former: list[Granule] = []
        self.surprises: dict[str, list[Callable[[Path], None]]] = {}
        folder.mkdir()
        for day in DAYS:
            write(folder / self.name(day), day, self.product.grid)

    def name(self, day: str) -> str:
        middle = "P_E" if self.product.name == "SPL3SMP_E" else "P"
        return f"SMAP_L3_SM_{middle}_{day.replace('-', '')}_R19240_001.h5"

    def granule(self, day: str) -> Granule:
        content = (self.folder / self.name(day)).read_bytes()
        size, checksum = len(content), ("MD5", hashlib.md5(content).hexdigest())
        known = (size, checksum) if self.announced else (None, None)
        url = f"https://data.nsidc.earthdatacloud.nasa.gov/{self.name(day)}"
        return Granule(self.name(day), self.product.name, day, url, *known, 19240, 1, f"G-{day}")

    def search(self, *_: object) -> list[Granule]:
        self.searches += 1
        return [*self.former, *self._present()]

    def _present(self) -> list[Granule]:
        return [self.granule(day) for day in DAYS if (self.folder / self.name(day)).exists()]

    def fetch(self, _earthdata, granule, part, _settings, progress, _stop, _whole=False) -> Arrival:
        self.downloads.append(granule.name)
        content = (self.folder / granule.name).read_bytes()
        part.write_bytes(content)
        for surprise in self.surprises.get(granule.when, [])[:1]:
            self.surprises[granule.when].pop(0)
            surprise(part)
        content = part.read_bytes()
        progress.bytes(len(content))
        problem = checksum_problem(granule, part)
        digest = hashlib.sha256(content).hexdigest()
        proven = problem is None and verifiable(granule)
        return Arrival(part, len(content), digest, problem, proven, self.tagged)


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return connect(Provider(tmp_path / "provider", "SPL3SMP"), monkeypatch)


def connect(made: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setattr(smap, "Earthdata", lambda *_: made)
    monkeypatch.setattr(smap, "fetch_granule", made.fetch)
    return made


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., manifest.Manifest]:
    def run(source: str = "smap", lat=LAT, lon=LON, settings: dict = SETTINGS) -> manifest.Manifest:
        output, state = tmp_path / "out.json", tmp_path / "state"
        fetch_month(tmp_path / "archive", source, MONTH, lat, lon, settings, output, state, 5)
        assert state.read_text() == "5\n"
        return manifest.read(output)

    return run


def files(archive: Path) -> list[str]:
    shown = (path.relative_to(archive) for path in archive.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in shown if not path.parts[0].startswith("."))


def test_another_process_at_the_same_month_is_told_of(tmp_path: Path) -> None:
    archive, screen = tmp_path / "archive", StringIO()
    errands = smap._Errands(archive, "smap", MONTH, LAT, LON, Settings.of(SETTINGS), screen)
    caught = []

    def run() -> None:
        try:
            errands.records()
        except UnavailableError as error:
            caught.append(error)

    with exclusive(archive / ".fetch" / "slots" / f"SPL3SMP_{MONTH}.lock"):
        runner = threading.Thread(target=run, daemon=True)
        runner.start()
        end = time.monotonic() + 30.0
        while not screen.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
        errands._stop.set()
        runner.join(30.0)
    assert screen.getvalue() == f"SPL3SMP {MONTH}: another process is fetching it; waiting for that\n"
    assert len(caught) == 1


def test_a_month_arrives_whole_and_is_described(provider, fetch, tmp_path):
    made = fetch()
    paths = [f"smap/SPL3SMP.009/2016/{provider.name(day)}" for day in DAYS]
    assert files(tmp_path / "archive") == paths
    assert [member.path for member in made.files] == paths
    assert [path.read_bytes() for path in made.paths()] == [
        (provider.folder / provider.name(day)).read_bytes() for day in DAYS
    ]
    first = made.files[0]
    assert (first.provider_id, first.version) == (provider.name(DAYS[0]), "R19240_001")
    assert (first.first, first.last) == ("2016-02-01T00:00:00", "2016-02-01T23:59:59")
    assert first.request == {"short_name": "SPL3SMP", "version": "009", "concept_id": "G-2016-02-01"}
    assert made.missing == {"variables": [], "days": [f"2016-02-{day:02d}" for day in range(3, 29)]}
    assert not list((tmp_path / "archive/.fetch/parts").iterdir())


def test_what_is_there_is_not_asked_for_again(provider, fetch, tmp_path):
    before = fetch()
    (tmp_path / "archive" / before.files[1].path).unlink()
    again = fetch()
    assert provider.downloads[len(DAYS) :] == [provider.name(DAYS[1])]
    assert [member.sha256 for member in again.files] == [member.sha256 for member in before.files]


def test_what_killed_runs_left_of_the_month_goes(provider, fetch, tmp_path):
    parts = tmp_path / "archive/.fetch/parts"
    parts.mkdir(parents=True)
    stems = (
        "SMAP_L3_SM_P_20160203_R19240_001",
        "SMAP_L3_SM_P_20160303_R19240_001",
        "SMAP_L3_SM_P_E_20160203_R19240_001",
    )
    for stem in stems:
        for suffix in (".h5", ".h5.part", ".h5.part.json"):
            (parts / f"{stem}{suffix}").write_bytes(b"x")
    fetch()
    assert sorted({path.name.partition(".")[0] for path in parts.iterdir()}) == sorted(stems[1:])


def test_a_complete_month_asks_nobody(provider, fetch, monkeypatch):
    monkeypatch.setattr(smap, "expected", lambda *_: list(DAYS))
    fetch()
    fetch()
    assert (provider.searches, len(provider.downloads)) == (1, len(DAYS))


def test_of_two_good_files_of_a_day_the_newer_release_counts(provider, fetch, tmp_path):
    old = fetch().files[0]
    new = old.path.replace("_001.h5", "_002.h5")
    (tmp_path / "archive" / new).write_bytes((tmp_path / "archive" / old.path).read_bytes())
    Ledger(tmp_path / "archive").adopt(new, source="smap", month=MONTH, provider_id=Path(new).name)
    assert fetch().files[0].path == new
    assert len(fetch().files) == len(DAYS)


def test_files_without_record_are_verified_and_taken_up(provider, fetch, tmp_path):
    before = fetch()
    for record in (tmp_path / "archive/.fetch/files").rglob("*.json"):
        record.unlink()
    bad = tmp_path / "archive" / before.files[0].path
    bad.write_bytes(b"something else")
    again = fetch()
    assert provider.downloads[len(DAYS) :] == [provider.name(DAYS[0])]
    assert [member.sha256 for member in again.files] == [member.sha256 for member in before.files]
    (reason,) = (tmp_path / "archive/.quarantine/smap").glob("*.reason.txt")
    assert "MD5" in reason.read_text()


def test_wrong_bytes_are_put_aside_and_fetched_again(provider, fetch, tmp_path):
    provider.surprises[DAYS[0]] = [lambda part: part.write_bytes(b"\x89HDF\r\n\x1a\nnot so")] * 2
    made = fetch()
    assert len(made.files) == len(DAYS)
    quarantine = sorted(path.name for path in (tmp_path / "archive/.quarantine/smap").iterdir())
    name = provider.name(DAYS[0])
    assert quarantine == [name, f"{name}.1", f"{name}.1.reason.txt", f"{name}.reason.txt"]


def test_what_is_wrong_three_times_is_damaged_and_the_others_are_kept(provider, fetch, tmp_path):
    provider.surprises[DAYS[0]] = [lambda part: part.write_bytes(b"wrong")] * 9
    with pytest.raises(DamagedError, match=r"R19240_001.h5: .*3 times.*MD5.*quarantine"):
        fetch()
    assert provider.downloads.count(provider.name(DAYS[0])) == 3
    assert len(files(tmp_path / "archive")) == len(DAYS) - 1
    assert not (tmp_path / "out.json").exists()
    provider.surprises.clear()
    assert len(fetch().files) == len(DAYS)


def test_the_provider_s_own_damage_is_not_fetched_three_times(provider, fetch):
    path = provider.folder / provider.name(DAYS[0])
    with h5py.File(path, "r+") as file:
        del file[f"{HALVES['AM'][0]}/surface_flag"]
    with pytest.raises(DamagedError, match="surface_flag"):
        fetch()
    assert provider.downloads.count(provider.name(DAYS[0])) == 1


def test_a_half_day_that_the_checksum_vouches_for_is_kept(provider, fetch, caplog):
    write(provider.folder / provider.name(DAYS[0]), DAYS[0], "M36", ("AM",))
    assert len(fetch().files) == len(DAYS)
    assert provider.downloads.count(provider.name(DAYS[0])) == 1
    assert "no PM group; that is how the provider has it" in caplog.text


def test_a_half_day_without_checksum_is_kept_when_it_comes_twice(provider, fetch, tmp_path):
    provider.announced = False
    write(provider.folder / provider.name(DAYS[0]), DAYS[0], "M36", ("PM",))
    provider.surprises[DAYS[1]] = [lambda part: write(part, DAYS[1], "M36", ("AM",))]
    made = fetch()
    assert sorted(provider.downloads.count(provider.name(day)) for day in DAYS) == [1, 2, 2]
    with h5py.File(tmp_path / "archive" / made.files[1].path) as file:
        assert all(group in file for group, _ in HALVES.values()), "the whole one of the second time"


def test_bytes_without_any_checksum_are_kept_when_they_come_twice(provider, fetch, tmp_path, caplog):
    provider.announced = provider.tagged = False
    provider.surprises[DAYS[0]] = [lambda part: part.write_bytes(part.read_bytes() + b"more")]
    made = fetch()
    assert sorted(provider.downloads.count(provider.name(day)) for day in DAYS) == [2, 2, 3]
    for member in made.files:
        granule = provider.folder / member.provider_id
        assert (tmp_path / "archive" / member.path).read_bytes() == granule.read_bytes()
    assert "to see whether the same comes" in caplog.text


def test_bytes_that_never_come_twice_are_in_quarantine(provider, fetch, tmp_path):
    provider.announced = provider.tagged = False
    provider.surprises[DAYS[0]] = [
        lambda part, number=number: part.write_bytes(part.read_bytes() + bytes([number])) for number in range(3)
    ]
    with pytest.raises(DamagedError, match="quarantine"):
        fetch()
    (reason,) = (tmp_path / "archive/.quarantine/smap").glob("*.reason.txt")
    assert "checksum" in reason.read_text()
    assert not list((tmp_path / "archive/.fetch/parts").glob("*.part"))


def test_a_refusal_ends_the_month_and_an_absent_granule_does_not(provider, fetch, tmp_path):
    def raising(kind: type) -> Callable[[Path], None]:
        def surprise(part: Path) -> None:
            part.unlink()
            raise failure(kind, "granule", "a file", "none", "wait")

        return surprise

    settings = deepcopy(SETTINGS)
    settings["smap"]["downloads_at_once"] = 1
    for kind, kept in ((RefusedError, 0), (UnavailableError, 0), (AbsentError, len(DAYS) - 1)):
        provider.surprises[DAYS[0]] = [raising(kind)]
        with pytest.raises(kind, match="granule"):
            fetch(settings=settings)
        assert len(files(tmp_path / "archive")) == kept


@pytest.mark.parametrize("kind", [DamagedError, AbsentError])
def test_a_day_whose_best_release_cannot_be_had_has_the_next_best(provider, fetch, caplog, kind):
    best = provider.granule(DAYS[0])
    former = replace(best, name=best.name.replace("R19240", "R18290"), crid=18290)
    shutil.copy(provider.folder / best.name, provider.folder / former.name)
    provider.former = [former]

    def surprise(part: Path) -> None:
        raise failure(kind, best.name, "a file", "none", "wait")

    provider.surprises[DAYS[0]] = [surprise]
    made = fetch()
    assert (made.files[0].provider_id, made.files[0].version) == (former.name, "R18290_001")
    assert len(made.files) == len(DAYS) and f"{former.name} stands in for {best.name}" in caplog.text


def test_what_cannot_be_had_names_the_way_to_go_without(provider, fetch):
    provider.surprises[DAYS[0]] = [lambda part: part.write_bytes(b"wrong")] * 9
    with pytest.raises(DamagedError, match=rf"fetch\.smap\.without: \[{DAYS[0]}\]"):
        fetch()


def test_a_month_without_granules_is_refused(provider, fetch):
    for path in provider.folder.iterdir():
        path.unlink()
    with pytest.raises(RefusedError, match=r"SPL3SMP 2016-02: .*version 009"):
        fetch()


def test_a_catalogue_that_lists_nothing_of_a_month_in_part_there_is_not_believed(provider, fetch, tmp_path):
    before = fetch()
    (tmp_path / "archive" / before.files[1].path).unlink()
    for path in provider.folder.iterdir():
        path.unlink()
    (tmp_path / "out.json").unlink()
    for _ in range(2):
        with pytest.raises(UnavailableError, match=r"SPL3SMP 2016-02: .*lists none.*[Ss]tart again"):
            fetch()
    assert not (tmp_path / "out.json").exists()


def test_a_day_that_was_there_once_is_not_taken_for_one_that_the_provider_lacks(provider, fetch, tmp_path):
    before = fetch()
    (tmp_path / "archive" / before.files[1].path).unlink()
    (provider.folder / provider.name(DAYS[1])).unlink()
    for _ in range(2):
        with pytest.raises(UnavailableError, match=rf"{DAYS[1]}.*fetch\.smap\.without"):
            fetch()
    settings = deepcopy(SETTINGS)
    settings["smap"]["without"].append(DAYS[1])
    made = fetch(settings=settings)
    assert DAYS[1] in made.missing["days"] and len(made.files) == len(DAYS) - 1


def test_a_catalogue_that_lacks_many_days_is_not_believed(provider, fetch, tmp_path):
    settings = deepcopy(SETTINGS)
    del settings["smap"]["without"][-6:]
    with pytest.raises(UnavailableError, match="2016-02-28"):
        fetch(settings=settings)
    assert not (tmp_path / "out.json").exists() and provider.downloads == []


def test_days_that_are_missing_are_told_on_the_screen(provider, tmp_path):
    screen, settings = StringIO(), deepcopy(SETTINGS)
    del settings["smap"]["without"][-2:]
    archive, ends = tmp_path / "archive", (tmp_path / "out.json", tmp_path / "state")
    fetch_month(archive, "smap", MONTH, LAT, LON, settings, *ends, 0, screen)
    assert "2016-02-27, 2016-02-28 (the provider has none)" in screen.getvalue()


def test_a_day_without_which_the_month_is_wanted_is_not_fetched(provider, fetch):
    settings = deepcopy(SETTINGS)
    settings["smap"]["without"].append(DAYS[0])
    made = fetch(settings=settings)
    assert DAYS[0] in made.missing["days"] and provider.name(DAYS[0]) not in provider.downloads
    assert len(fetch().files) == len(DAYS), "and comes when it is wanted again"


def test_crops_are_kept_with_the_origin_and_the_original_goes(tmp_path, monkeypatch, fetch):
    provider = connect(Provider(tmp_path / "provider", "SPL3SMP_E"), monkeypatch)
    made = fetch("smap_e")
    original = (provider.folder / provider.name(DAYS[0])).read_bytes()
    md5 = hashlib.md5(original).hexdigest()
    assert made.files[0].origin == {
        "name": provider.name(DAYS[0]),
        "size": len(original),
        "sha256": hashlib.sha256(original).hexdigest(),
        "checksum": f"MD5:{md5}",
    }
    window = ease2_grid(LAT, LON, "M09")
    assert made.files[0].request["window"] == window_of(window)
    with h5py.File(made.paths()[0]) as file:
        assert file[HALVES["AM"][0]]["soil_moisture"].shape == window.shape
    assert not list((tmp_path / "archive/.fetch/parts").iterdir())
    assert all(path.endswith(".crop.h5") for path in files(tmp_path / "archive"))


def test_crops_without_record_are_taken_up_by_what_they_say_of_themselves(tmp_path, monkeypatch, fetch):
    provider = connect(Provider(tmp_path / "provider", "SPL3SMP_E"), monkeypatch)
    before = fetch("smap_e")
    shutil.rmtree(tmp_path / "archive/.fetch")
    first, second, _ = before.paths()
    with h5py.File(first, "r+") as file:
        file.attrs["source_size"] = 5
    with h5py.File(second, "r+") as file:
        file.attrs["source_name"] = "another.h5"
    again = fetch("smap_e")
    # Several threads download: which of the two comes first is left open.
    assert sorted(provider.downloads[len(DAYS) :]) == sorted(provider.name(day) for day in DAYS[:2])
    assert [member.origin for member in again.files] == [member.origin for member in before.files]
    assert [member.request for member in again.files] == [member.request for member in before.files]
    assert [member.sha256 for member in again.files] == [member.sha256 for member in before.files]
    assert again.files[2].fetched_at is None
    text = " ".join(path.read_text() for path in (tmp_path / "archive/.quarantine/smap_e").glob("*.reason.txt"))
    assert "5 bytes" in text and "another.h5" in text


def test_another_box_has_its_own_crops_and_a_smaller_one_needs_none(tmp_path, monkeypatch, fetch):
    provider = connect(Provider(tmp_path / "provider", "SPL3SMP_E"), monkeypatch)
    first = fetch("smap_e")
    smaller = fetch("smap_e", (30.2, 30.8), (90.2, 90.8))
    assert [member.path for member in smaller.files] == [member.path for member in first.files]
    other = fetch("smap_e", (30.0, 31.5), LON)
    assert len(provider.downloads) == 2 * len(DAYS)
    assert not {member.path for member in other.files} & {member.path for member in first.files}
    assert [path.exists() for path in first.paths()] == [True] * len(DAYS)


def test_a_change_of_version_is_another_folder(provider, fetch, tmp_path):
    fetch()
    settings = deepcopy(SETTINGS)
    settings["smap"]["versions"]["SPL3SMP"] = "010"
    made = fetch(settings=settings)
    assert {str(Path(member.path).parent) for member in made.files} == {"smap/SPL3SMP.010/2016"}
    assert len(files(tmp_path / "archive")) == 2 * len(DAYS)


def test_windows_cover_each_other_or_not():
    window = ease2_grid(LAT, LON, "M09")
    assert covers(window_of(window), window)
    assert covers(window_of(ease2_grid((29, 32), (89, 92), "M09")), window)
    assert not covers(window_of(ease2_grid((30, 31), (90, 90.9), "M09")), window)
    assert not covers(window_of(ease2_grid((20, 40), (80, 100), "M36")), window)
    assert not covers({}, window)
    assert json.loads(json.dumps(window_of(window))) == window_of(window)


@pytest.mark.parametrize("name", ["MD5", "md5", "SHA-256", "SHA1", "SHA-512"])
def test_announced_checksums_are_compared_under_their_usual_names(provider, tmp_path, name):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    digest = hashlib.new(name.lower().replace("-", ""), b"content").hexdigest()
    granule = Granule("a.h5", "SPL3SMP", DAYS[0], "https://x", 7, (name, digest), 1, 1, "G")
    assert verifiable(granule)
    assert checksum_problem(granule, path) is None
    os.truncate(path, 6)
    assert name in checksum_problem(granule, path)


def test_a_checksum_of_another_kind_proves_nothing(tmp_path):
    granule = Granule("a.h5", "SPL3SMP", DAYS[0], "https://x", 7, ("CRC-32", "ab"), 1, 1, "G")
    assert not verifiable(granule)
    assert checksum_problem(granule, tmp_path / "absent") is None
