"""What a file is, by its first bytes and never by its name; and the safe unpacking of zips."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from pscnet.sources import SourceError, complaint

#: Limits on what a zip may declare. The largest month of ERA5-Land that the CDS delivers is a few GB, and
#: NetCDF inside it is already compressed: a large zip that shrank a hundredfold is no such file.
MAX_MEMBERS = 1000
MAX_UNPACKED = 64 * 2**30
MAX_RATIO = 100
RATIO_MATTERS_ABOVE = 256 * 2**20

#: What to do about a file of each kind that is not data.
ADVICE = {
    "empty": ("a file of 0 bytes", "delete it and download it again"),
    "html": (
        "an HTML page (often a login or error page saved as data)",
        "delete it, check the account of the provider, and download it again",
    ),
    "json": ("JSON text (often an error message saved as data)", "read it, delete it, and download the file again"),
    "grib": ("GRIB", 'request it again with "data_format": "netcdf", or convert it: grib_to_netcdf, or cfgrib'),
    "gzip": ("a gzip file", "unpack it into the folder"),
    "tiff": ("a TIFF image", "use it as terrain only"),
    "text": ("plain text", "delete it and download the file again"),
    "unknown": ("bytes of no known format", "delete it and download it again"),
}


def kind_of(path: str | Path) -> str:
    """The format of a file by its magic bytes.

    Returns
    -------
    str
        ``hdf5`` (NetCDF-4 too), ``netcdf3``, ``zip``, ``tiff``, ``grib``, ``gzip``, ``html``, ``json``, ``text``,
        ``empty`` or ``unknown``.

    Raises
    ------
    SourceError
        When the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise complaint(
            path, "a readable file", error.strerror or str(error), "check that it exists and its permissions"
        ) from error
    if not head:
        return "empty"
    # The HDF5 signature may follow a user block of 512, 1024, 2048 ... bytes (HDF5 file format, III.A).
    if any(head[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512, 1024, 2048)):
        return "hdf5"
    signatures = {
        b"CDF\x01": "netcdf3",
        b"CDF\x02": "netcdf3",
        b"CDF\x05": "netcdf3",
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"GRIB": "grib",
        b"\x1f\x8b": "gzip",
        b"II*\0": "tiff",
        b"MM\0*": "tiff",
        b"II+\0": "tiff",
        b"MM\0+": "tiff",
    }
    for signature, kind in signatures.items():
        if head.startswith(signature):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<body")):
        return "html"
    if text.startswith((b"{", b"[")):
        return "json"
    return "unknown" if b"\0" in head or not _is_text(head) else "text"


def _is_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in (9, 10, 13) for byte in head)
    return printable > 0.95 * len(head)


def refusal(path: str | Path, kind: str, expected: str) -> SourceError:
    """The error for a file whose format is not the ``expected`` one."""
    found, remedy = ADVICE.get(kind, (f"a file of format {kind}", "delete it and download the right file"))
    return complaint(path, expected, found, remedy)


def check_zip(path: str | Path) -> list[zipfile.ZipInfo]:
    """The members of a zip, after checking that its directory is whole and that it is safe to unpack.

    Raises
    ------
    SourceError
        Truncated, encrypted, with members that leave the folder, or declaring a size beyond all reason.
    """
    again = "delete it and download it again"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise complaint(path, "a whole zip file", f"a damaged or truncated one ({error})", again) from error
    if len(members) > MAX_MEMBERS:
        raise complaint(path, f"at most {MAX_MEMBERS} members", f"{len(members)}", again)
    unpacked = sum(info.file_size for info in members)
    packed = max(sum(info.compress_size for info in members), 1)
    bomb = unpacked > RATIO_MATTERS_ABOVE and unpacked > MAX_RATIO * packed
    if unpacked > MAX_UNPACKED or bomb:
        raise complaint(
            path,
            f"a zip that unpacks to at most {MAX_UNPACKED >> 30} GiB and {MAX_RATIO} times its size",
            f"one that declares {unpacked / 2**20:.0f} MiB from {packed / 2**20:.1f} MiB",
            "do not unpack it; download it again from the provider",
        )
    for info in members:
        pure = PurePosixPath(info.filename.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or (pure.parts[:1] and ":" in pure.parts[0]):
            raise complaint(path, "members inside the zip's own folder", f"the member {info.filename!r}", again)
        if info.flag_bits & 0x1:
            raise complaint(path, "members without password", f"the encrypted member {info.filename!r}", again)
    return members


def unpack_netcdf(path: str | Path, folder: Path) -> list[tuple[str, Path]]:
    """Unpack the NetCDF members of a zip into ``folder`` under names of our own, checking their CRC.

    Parameters
    ----------
    path : str or Path
    folder : Path
        Existing folder, to be removed by the caller.

    Returns
    -------
    list of (label, Path)
        ``label`` is ``zip!member`` for messages. Members of other formats (receipts, licences) are left out.

    Raises
    ------
    SourceError
    """
    members = check_zip(path)
    found = []
    with zipfile.ZipFile(path) as archive:
        needed = sum(info.file_size for info in members)
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise complaint(
                path,
                f"{needed / 2**30:.1f} GiB free in {folder} to unpack it",
                f"{free / 2**30:.1f} GiB",
                "set TMPDIR to a folder with more room",
            )
        for number, info in enumerate(members):
            target = folder / f"member_{number:04d}.nc"
            _copy_member(archive, info, target, path)
            if kind_of(target) in ("hdf5", "netcdf3"):
                found.append((f"{path}!{info.filename}", target))
            else:
                target.unlink()
    return found


def _copy_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, path: str | Path) -> None:
    """Unpack one member, never beyond the size that it declares."""
    name, declared, written = info.filename, info.file_size, 0
    try:
        with archive.open(info) as source, open(target, "wb") as sink:
            while block := source.read(2**20):
                written += len(block)
                if written > declared:
                    raise zipfile.BadZipFile(f"{name} is longer than the {declared} bytes that it declares")
                sink.write(block)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise complaint(
            path, f"a whole zip member {name}", f"damaged bytes ({error})", "delete the zip and download it again"
        ) from error
