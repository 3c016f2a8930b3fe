"""The archive's ledger: what is recorded is there and good, whatever happened in between."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pscnet.sources import SourceError, manifest
from pscnet.sources.fetch import ledger as room
from pscnet.sources.fetch.ledger import Ledger, to_members, write_manifest

PATH, MONTH = "era5_land/2016/a.nc", "2016-05"


@pytest.fixture
def archive(tmp_path) -> Ledger:
    return Ledger(tmp_path / "archive")


def keep(archive: Ledger, content: bytes = b"whole", path: str = PATH, **fields: object):
    part = archive.part(Path(path).name)
    part.write_bytes(content)
    part.with_name(f"{part.name}.json").write_text("{}")
    return archive.keep(part, path, source="era5_land", month=MONTH, variables=["t2m"], **fields)


def quarantined(archive: Ledger) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((archive.archive / ".quarantine" / "era5_land").glob("*"))}


def test_kept_file_is_there_recorded_and_its_part_is_gone(archive):
    record = keep(archive, url="https://user:word@store/a.nc?X-Amz-Signature=1", request={"day": ["01"]})
    assert (archive.archive / PATH).read_bytes() == b"whole"
    assert archive.good("era5_land", MONTH) == archive.records("era5_land", MONTH) == [record]
    assert (record.url, record.request, record.size, record.provider_id) == (
        "https://store/a.nc",
        {"day": ["01"]},
        5,
        "a.nc",
    )
    assert record.sha256 == manifest.hash_file(archive.archive / PATH)
    assert list((archive.archive / ".fetch" / "parts").iterdir()) == []


def test_bytes_are_on_the_disk_before_the_file_has_its_name(archive, monkeypatch):
    true_sync, synced = os.fsync, []
    monkeypatch.setattr(room.os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), true_sync(handle)))
    part = archive.part("a.nc")
    part.write_bytes(b"whole")
    number = part.stat().st_ino
    true_replace = os.replace

    def replace(source, target):
        assert Path(source) != part or number in synced
        true_replace(source, target)

    monkeypatch.setattr(room.os, "replace", replace)
    archive.keep(part, PATH, source="era5_land", month=MONTH)
    assert (archive.archive / PATH).stat().st_ino == number


def test_records_are_sorted_and_one_for_each_path(archive):
    for path in ("era5_land/2016/b.nc", PATH, PATH):
        keep(archive, path=path)
    assert [record.path for record in archive.records("era5_land", MONTH)] == [PATH, "era5_land/2016/b.nc"]
    assert not (archive.archive / ".quarantine").exists(), "the same bytes once more are no reason to put a file aside"


def test_another_content_under_the_same_name_never_destroys_the_first(archive):
    keep(archive, b"first")
    keep(archive, b"second")
    assert (archive.archive / PATH).read_bytes() == b"second"
    assert quarantined(archive)["a.nc"] == b"first"


@pytest.mark.parametrize("change", ["shorter", "other bytes"])
def test_changed_file_is_put_aside_with_the_reason(archive, change):
    record = keep(archive, url="https://store/a.nc")
    file = archive.archive / PATH
    file.write_bytes(b"who" if change == "shorter" else b"whale")
    os.utime(file, ns=(1, record.mtime_ns if change == "shorter" else 1))
    assert archive.good("era5_land", MONTH) == [] == archive.records("era5_land", MONTH)
    aside = quarantined(archive)
    assert set(aside) == {"a.nc", "a.nc.reason.txt"}
    assert b"when it was verified" in aside["a.nc.reason.txt"] and b"https://store/a.nc" in aside["a.nc.reason.txt"]


def test_only_the_full_look_sees_what_kept_its_size_and_time(archive):
    record = keep(archive)
    file = archive.archive / PATH
    file.write_bytes(b"whale")
    os.utime(file, ns=(record.mtime_ns, record.mtime_ns))
    assert archive.good("era5_land", MONTH) == [record]
    assert archive.good("era5_land", MONTH, full=True) == []
    assert quarantined(archive)["a.nc"] == b"whale"


def test_touched_file_is_hashed_once_and_stays(archive):
    keep(archive)
    os.utime(archive.archive / PATH, ns=(5, 5))
    assert [record.mtime_ns for record in archive.good("era5_land", MONTH)] == [5]
    assert [record.mtime_ns for record in archive.records("era5_land", MONTH)] == [5]


def test_lost_file_loses_its_record(archive):
    keep(archive)
    (archive.archive / PATH).unlink()
    assert archive.good("era5_land", MONTH) == [] == archive.records("era5_land", MONTH)
    assert not (archive.archive / ".quarantine").exists()


def test_a_lost_file_that_comes_again_as_it_was_has_its_record_back(archive):
    """What followed from it need not be made again: its manifest is the same."""
    first = keep(archive, provider_id="job 1", url="https://store/1", fetched_at="2026-01-01T00:00:00Z")
    (archive.archive / PATH).unlink()
    assert archive.good("era5_land", MONTH) == []
    again = keep(archive, provider_id="job 2", url="https://store/2", fetched_at="2026-02-02T00:00:00Z")
    assert (again.provider_id, again.url, again.fetched_at) == (first.provider_id, first.url, first.fetched_at)
    assert archive.good("era5_land", MONTH) == [again]


def test_a_lost_file_that_comes_again_otherwise_has_a_record_of_its_own(archive):
    keep(archive, fetched_at="2026-01-01T00:00:00Z")
    (archive.archive / PATH).unlink()
    assert archive.good("era5_land", MONTH) == []
    assert keep(archive, b"other", fetched_at="2026-02-02T00:00:00Z").fetched_at == "2026-02-02T00:00:00Z"


def test_kill_between_record_and_rename_leaves_part_and_no_file(archive, monkeypatch):
    """The rename is what a kill prevents: nothing has the final name, and the part is still there to go on with."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    true_replace = os.replace
    monkeypatch.setattr(
        room.os, "replace", lambda a, b: killed() if str(a).endswith(".nc.part") else true_replace(a, b)
    )
    with pytest.raises(KeyboardInterrupt):
        keep(archive)
    assert len(archive.records("era5_land", MONTH)) == 1
    assert archive.good("era5_land", MONTH) == []
    assert archive.part("a.nc").read_bytes() == b"whole"
    assert not (archive.archive / PATH).exists()


def test_verified_file_without_record_is_adopted_as_it_is(archive):
    file = archive.archive / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(b"whole")
    before = file.stat()
    record = archive.adopt(PATH, source="era5_land", month=MONTH, variables=["t2m"])
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert archive.good("era5_land", MONTH) == [record]


def test_damaged_ledger_counts_as_empty(archive, caplog):
    keep(archive)
    (archive.archive / ".fetch" / "files" / "era5_land" / f"{MONTH}.json").write_text('{"files": [')
    assert archive.good("era5_land", MONTH) == []
    assert "verified anew" in caplog.text
    assert (archive.archive / PATH).exists(), "a file is not to blame for its ledger"


def listing(archive: Ledger) -> Path:
    return archive.archive / ".fetch" / "files" / "era5_land" / f"{MONTH}.json"


def test_a_ledger_that_cannot_be_read_is_moved_aside_and_never_overwritten(archive):
    for content in ('{"files": [', '{"files": [{"path": "a"}]}', "[]"):
        keep(archive)
        listing(archive).write_text(content)
        keep(archive, path="era5_land/2016/b.nc")
        assert [record.path for record in archive.records("era5_land", MONTH)] == ["era5_land/2016/b.nc"]
    aside = sorted(listing(archive).parent.glob("*.unreadable.*"))
    assert [path.name for path in aside] == [f"{MONTH}.json.unreadable.{number}" for number in range(3)]
    assert [path.read_text() for path in aside] == ['{"files": [', '{"files": [{"path": "a"}]}', "[]"]


def test_what_a_later_release_adds_to_records_is_passed_over(archive):
    record = keep(archive)
    content = json.loads(listing(archive).read_text())
    assert content["version"] == 1
    content["files"][0]["weather"] = "fine"
    listing(archive).write_text(json.dumps(content | {"remarks": []}))
    assert archive.good("era5_land", MONTH) == [record]


def test_a_ledger_without_version_is_one_of_the_first(archive):
    record = keep(archive)
    content = json.loads(listing(archive).read_text())
    del content["version"], content["lost"]
    listing(archive).write_text(json.dumps(content))
    assert archive.good("era5_land", MONTH) == [record]


def test_a_ledger_in_a_later_form_is_refused_and_left(archive):
    keep(archive)
    text = json.dumps(json.loads(listing(archive).read_text()) | {"version": 2})
    listing(archive).write_text(text)
    for act in (archive.good, archive.records, archive.refresh):
        with pytest.raises(SourceError, match="version 2"):
            act("era5_land", MONTH)
    with pytest.raises(SourceError, match="version 2"):
        keep(archive)
    assert listing(archive).read_text() == text


def test_nobody_knows_when_a_file_that_was_found_was_fetched(archive):
    file = archive.archive / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(b"whole")
    assert archive.adopt(PATH, source="era5_land", month=MONTH).fetched_at is None
    assert keep(archive, path="era5_land/2016/b.nc").fetched_at.endswith("Z")


def test_bad_files_of_one_name_are_all_kept(archive, monkeypatch):
    monkeypatch.setenv("CDSAPI_KEY", "planted-secret-key")
    for number in range(3):
        part = archive.part("a")
        part.write_bytes(b"%d" % number)
        archive.quarantine(part, "era5_land", "planted-secret-key was in it", "https://store/a?token=1", "a.bad")
    aside = quarantined(archive)
    assert [aside[name] for name in ("a.bad", "a.bad.1", "a.bad.2")] == [b"0", b"1", b"2"]
    assert not any(b"planted" in content or b"token" in content for content in aside.values())


def test_final_names_stay_inside_the_archive(archive):
    with pytest.raises(SourceError, match=r"\.\./outside"):
        keep(archive, path="../outside.nc")


def test_manifest_lists_what_is_asked_for(archive, tmp_path):
    first = keep(archive)
    other = archive.part("b")
    other.write_bytes(b"b")
    second = archive.keep(
        other, "era5_land/2016/b.nc", source="era5_land", month=MONTH, variables=["tp", "e"], request={"a": 1}
    )
    assert [member.path for member in to_members([second, first])] == [first.path, second.path]
    write_manifest(
        tmp_path / "m.json", "era5_land", MONTH, archive.archive, [first, second], {"days": ["2016-05-03"]}, ["e"]
    )
    read = manifest.read(tmp_path / "m.json")
    assert [(file.path, file.variables, file.request) for file in read.files] == [(second.path, ["e"], {"a": 1})]
    assert (read.made_by, read.missing) == ("fetch", {"variables": [], "days": ["2016-05-03"]})
    assert read.paths() == [archive.archive / second.path]
    assert "mtime_ns" not in json.loads((tmp_path / "m.json").read_text())["files"][0]
