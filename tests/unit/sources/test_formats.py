from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from pscnet.sources import formats


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\n rest", "hdf5"),
        (b"\0" * 512 + b"\x89HDF\r\n\x1a\n rest", "hdf5"),
        (b"CDF\x02 rest", "netcdf3"),
        (b"PK\x03\x04 rest", "zip"),
        (b"GRIB\x00\x01", "grib"),
        (b"II*\0 rest", "tiff"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\n <!DOCTYPE html><html>Login", "html"),
        (b'{"error": "token expired"}', "json"),
        (b"a,b\n1,2\n", "text"),
        (b"\x00\x01\x02\x03", "unknown"),
    ],
)
def test_magic_bytes_decide(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "granule.h5"
    path.write_bytes(content)
    assert formats.kind_of(path) == kind


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch, complains) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(formats, "open", refuse, raising=False)
    with complains(tmp_path / "a.nc", "a readable file", "Permission denied", "permissions"):
        formats.kind_of(tmp_path / "a.nc")


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_unpacks_netcdf_members_only(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path / "a.zip", {"data_0.nc": b"CDF\x01 data", "receipt.txt": b"thanks", "sub/b.nc": b"CDF\x02"}
    )
    (tmp_path / "out").mkdir()
    found = formats.unpack_netcdf(path, tmp_path / "out")
    assert [label for label, _ in found] == [f"{path}!data_0.nc", f"{path}!sub/b.nc"]
    assert found[0][1].read_bytes() == b"CDF\x01 data"
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {file.name for _, file in found}


@pytest.mark.parametrize("name", ["/tmp/evil.nc", "../evil.nc", "a/../../evil.nc", "..\\evil.nc", "C:\\evil.nc"])
def test_members_cannot_escape(tmp_path: Path, name: str, complains) -> None:
    path = make_zip(tmp_path / "a.zip", {name: b"CDF\x01"})
    (tmp_path / "out").mkdir()
    with complains("a.zip", "evil.nc"):
        formats.unpack_netcdf(path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_zip_bomb_is_refused_before_unpacking(tmp_path: Path, monkeypatch, complains) -> None:
    path = make_zip(tmp_path / "bomb.zip", {"a.nc": b"CDF\x01" + b"\0" * 3_000_000})
    assert formats.check_zip(path)
    monkeypatch.setattr(formats, "RATIO_MATTERS_ABOVE", 2**20)
    with complains("bomb.zip", "declares 3 MiB", "download it again"):
        formats.check_zip(path)
    monkeypatch.setattr(formats, "RATIO_MATTERS_ABOVE", 2**40)
    monkeypatch.setattr(formats, "MAX_UNPACKED", 10**6)
    with complains("bomb.zip"):
        formats.check_zip(path)


def test_a_member_longer_than_it_declares_is_refused(tmp_path: Path, complains) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.nc": b"CDF\x01" + b"x" * 1000})
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    content[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    (tmp_path / "out").mkdir()
    with complains("a.zip", "a.nc"):
        formats.unpack_netcdf(path, tmp_path / "out")


def test_too_many_members(tmp_path: Path, monkeypatch, complains) -> None:
    monkeypatch.setattr(formats, "MAX_MEMBERS", 2)
    with complains("a.zip", "at most 2", "3"):
        formats.check_zip(make_zip(tmp_path / "a.zip", {f"{n}.nc": b"x" for n in range(3)}))


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_a_truncated_zip(tmp_path: Path, keep: float, complains) -> None:
    path = make_zip(tmp_path / "cut.zip", {"a.nc": bytes(range(256)) * 100})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with complains("cut.zip", "a whole zip file", "truncated", "download it again"):
        formats.check_zip(path)


def test_damaged_bytes_in_a_zip_member(tmp_path: Path, complains) -> None:
    path = make_zip(tmp_path / "a.zip", {"a.nc": bytes(range(256)) * 100})
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))
    (tmp_path / "out").mkdir()
    with complains("a.zip", "a.nc", "damaged"):
        formats.unpack_netcdf(path, tmp_path / "out")
