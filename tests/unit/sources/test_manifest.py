from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from pscnet.sources import SourceError, complaint, manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.nc").write_bytes(b"abc")
    return root


def written(folder: Path, **changes: object) -> Path:
    path = folder.parent / "manifest.json"
    entry = manifest.member(folder, folder / "sub" / "a.nc", variables=["tp"], first="2016-05-01T00:00:00")
    arguments = {"source": "era5_land", "month": "2016-05", "root": folder, "files": [entry], "made_by": "archive"}
    manifest.write(path, **(arguments | changes))
    return path


def test_a_complaint_has_four_parts() -> None:
    assert str(complaint("a.nc", "x", "y", "do z")) == "a.nc: expected x; found y. Do z."


def test_reads_what_was_written(folder: Path) -> None:
    read = manifest.read(written(folder, missing={"days": ["2016-05-03"]}))
    assert read.paths() == [folder / "sub" / "a.nc"]
    assert read.files[0].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (read.files[0].size, read.files[0].provider_id, read.files[0].variables) == (3, "a.nc", ["tp"])
    assert read.missing == {"variables": [], "days": ["2016-05-03"]}


def test_a_relative_root_is_relative_to_the_working_directory(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder.parent)
    manifest.write(
        "m.json", source="smap", month=None, root="raw", made_by="twin",
        files=[manifest.member("raw", "raw/sub/a.nc", variables=[])],
    )  # fmt: skip
    assert manifest.read("m.json").paths() == [Path("raw/sub/a.nc")]
    assert json.loads(Path("m.json").read_text())["root"] == "raw"


@pytest.mark.parametrize("member", ["/etc/passwd", "../secret.nc", "sub/../../secret.nc", "link.nc", "..\\secret", ""])
def test_no_member_escapes(folder: Path, member: str, complains) -> None:
    (folder.parent / "secret.nc").write_bytes(b"abc")
    (folder / "link.nc").symlink_to(folder.parent / "secret.nc")
    entry = asdict(manifest.member(folder, folder / "sub" / "a.nc", variables=[]))
    with complains("manifest.json", repr(member)):
        written(folder, files=[entry | {"path": member}])
    path = written(folder)
    content = json.loads(path.read_text())
    content["files"][0]["path"] = member
    path.write_text(json.dumps(content))
    with complains("manifest.json", repr(member)):
        manifest.read(path).paths()


def test_a_link_within_the_folder_may_stay(folder: Path) -> None:
    (folder / "inner.nc").symlink_to(folder / "sub" / "a.nc")
    entry = asdict(manifest.member(folder, folder / "sub" / "a.nc", variables=[]))
    assert manifest.read(written(folder, files=[entry | {"path": "inner.nc"}])).paths() == [folder / "inner.nc"]


def test_a_changed_or_absent_file_is_named(folder: Path, complains) -> None:
    path = written(folder)
    (folder / "sub" / "a.nc").write_bytes(b"abcd")
    with complains("a.nc", "3 bytes", "4 bytes", "again"):
        manifest.read(path).paths()
    (folder / "sub" / "a.nc").unlink()
    with complains("a.nc", "No such file"):
        manifest.read(path).paths()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source", "era5"), ("month", "2016-13"), ("month", 201605), ("root", ""), ("made_by", "me"), ("missing", []),
        ("files", {}), ("files", [3]), ("files", [{"path": "a", "size": -1}]),
        ("files", [{"path": "a", "size": 1, "sha256": "xyz", "variables": []}]),
    ],
)  # fmt: skip
def test_a_broken_layout_is_refused(folder: Path, key: str, value: object, complains) -> None:
    path = written(folder)
    content = json.loads(path.read_text()) | {key: value}
    path.write_text(json.dumps(content))
    with complains("manifest.json", "again"):
        manifest.read(path)
    del content[key]
    path.write_text(json.dumps(content))
    with complains("the keys"):
        manifest.read(path)


def test_no_json_and_no_file(tmp_path: Path, complains) -> None:
    (tmp_path / "m.json").write_text("{")
    with complains("m.json", "no JSON"):
        manifest.read(tmp_path / "m.json")
    with complains("absent.json"):
        manifest.read(tmp_path / "absent.json")
    with complains("absent.bin"):
        manifest.hash_file(tmp_path / "absent.bin")


def test_a_failing_write_leaves_the_earlier_manifest(folder: Path) -> None:
    path = written(folder)
    before = path.read_bytes()
    with pytest.raises(SourceError):
        written(folder, source="nonsense")
    assert path.read_bytes() == before
    assert {entry.name for entry in path.parent.iterdir()} == {"raw", "manifest.json"}
