"""Manifests: which raw files one month of one provider consists of, with size, hash and what is missing.

A manifest is a small JSON file that points into a folder of raw files. Raw files are precious and never
written by the pipeline; a manifest is what Snakemake tracks in their place.

==========  ===============================================================================================
key         meaning
==========  ===============================================================================================
source      ``era5_land``, ``smap`` (SPL3SMP), ``smap_e`` (SPL3SMP_E), ``smap_l4`` (SPL4SMGP) or ``terrain``
month       ``YYYY-MM``, or null for what does not depend on time
root        folder of the files, absolute or relative to the working directory of the pipeline
files       list of ``path`` (relative to root), ``size`` [byte], ``sha256``, ``provider_id``, ``version``,
            ``first``, ``last`` (ISO 8601, UTC) and ``variables``; of fetched files also ``url`` (without
            query), ``request``, ``fetched_at`` (ISO 8601, UTC) and, where only a part of a provider's file
            is kept, its ``origin``: ``name``, ``size``, ``sha256`` and ``checksum`` of the whole
missing     ``variables`` and ``days`` that the month should have and the files do not
made_by     ``twin``, ``archive`` or ``fetch``
==========  ===============================================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from pscnet.sources import complaint
from pscnet.sources.atomic import replacing

SOURCES = ("era5_land", "smap", "smap_e", "smap_l4", "terrain")
MAKERS = ("twin", "archive", "fetch")

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_AGAIN = "delete it and run Snakemake again, which writes it anew"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Member:
    """One raw file of a manifest; see the module's table."""

    path: str
    size: int
    sha256: str
    provider_id: str
    version: str | None = None
    first: str | None = None
    last: str | None = None
    variables: list[str] = field(default_factory=list)
    url: str | None = None
    request: dict | None = None
    fetched_at: str | None = None
    origin: dict | None = None


@dataclass(frozen=True)
class Manifest:
    """The raw files of one month of one provider; see the module's table."""

    source: str
    month: str | None
    root: str
    files: tuple[Member, ...]
    missing: dict[str, list[str]]
    made_by: str
    name: str = "manifest"

    def paths(self) -> list[Path]:
        """The files, in the manifest's order.

        Returns
        -------
        list of Path

        Raises
        ------
        SourceError
            When a member is absolute, climbs out of the root, is a link that leads out of it, is absent, or has
            another size than when the manifest was written.
        """
        return [self._checked(member) for member in self.files]

    def _checked(self, member: Member) -> Path:
        remedy = "write the manifest again from the folder as it is now"
        path = confined(self.root, member.path, self.name)
        try:
            size = path.stat().st_size
        except OSError as error:
            raise complaint(path, f"the file that {self.name} lists", error.strerror or str(error), remedy) from error
        if size != member.size:
            raise complaint(path, f"{member.size} bytes, as {self.name} says", f"{size} bytes", remedy)
        return path


def confined(root: str | Path, member: str, owner: str | Path) -> Path:
    """``root / member``, provided that it stays below ``root``.

    Parameters
    ----------
    root : str or Path
    member : str
        Relative POSIX path.
    owner : str or Path
        File that lists the member, for the message.

    Raises
    ------
    SourceError
        When the member is absolute, has a ``..`` part, or resolves (through links) to a place outside ``root``.
    """
    remedy = "remove the entry, or put the file itself into the folder"
    pure = PurePosixPath(member)
    if not member or pure.is_absolute() or ".." in pure.parts or "\\" in member or "\0" in member:
        raise complaint(owner, f"paths relative to {root}", f"the member {member!r}", remedy)
    base = Path(root)
    path = base / pure
    if not path.resolve().is_relative_to(base.resolve()):
        raise complaint(owner, f"files below {root}", f"the member {member!r} leading to {path.resolve()}", remedy)
    return path


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits.

    Raises
    ------
    SourceError
        When the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise complaint(
            path, "a readable file", error.strerror or str(error), "check that it exists and its permissions"
        ) from error


def member(
    root: str | Path,
    path: str | Path,
    *,
    variables: Iterable[str],
    first: str | None = None,
    last: str | None = None,
    provider_id: str | None = None,
    version: str | None = None,
    sha256: str | None = None,
) -> Member:
    """Describe one file for :func:`write`, hashing it unless its hash is known.

    Parameters
    ----------
    root : str or Path
    path : str or Path
        The file: below ``root``, given relative to the working directory or absolute (not relative to ``root``).
    variables : iterable of str
    first, last : str, optional
        ISO 8601 time of the first and last value.
    provider_id : str, optional
        The provider's name of the file; the file's own name by default.
    version : str, optional
        The provider's version of the file.
    """
    path = Path(path)
    relative = PurePosixPath(os.path.relpath(path, root)).as_posix()
    return Member(
        path=relative,
        size=path.stat().st_size,
        sha256=sha256 or hash_file(path),
        provider_id=provider_id or path.name,
        version=version,
        first=first,
        last=last,
        variables=list(variables),
    )


def write(
    path: str | Path,
    *,
    source: str,
    month: str | None,
    root: str | Path,
    files: Sequence[Member | Mapping],
    made_by: str,
    missing: Mapping[str, Iterable[str]] | None = None,
) -> None:
    """Write a manifest; an earlier file at ``path`` is replaced only by a complete and valid one.

    Raises
    ------
    SourceError
        When a value breaks the layout of the module's table.
    """
    path = Path(path)
    missing = missing or {}
    content = {
        "source": source,
        "month": month,
        "root": str(root),
        "files": [_entry(item) for item in files],
        "missing": {"variables": list(missing.get("variables", [])), "days": list(missing.get("days", []))},
        "made_by": made_by,
    }
    parsed = _parse(content, path)
    for item in parsed.files:
        confined(root, item.path, path)
    write_json(path, content)


def _entry(item: Member | Mapping) -> dict:
    """A file's entry; what only fetched files have is left out of the others."""
    values = asdict(item) if isinstance(item, Member) else dict(item)
    only_fetched = ("url", "request", "fetched_at", "origin")
    return {key: value for key, value in values.items() if value is not None or key not in only_fetched}


def read(path: str | Path) -> Manifest:
    """Read and validate a manifest.

    Raises
    ------
    SourceError
        When the file is absent, is no JSON or breaks the layout of the module's table.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise complaint(path, "a manifest", error.strerror or str(error), _AGAIN) from error
    except ValueError as error:
        raise complaint(path, "a manifest in JSON", f"text that is no JSON ({error})", _AGAIN) from error
    return _parse(content, path)


def write_json(path: str | Path, content: object) -> None:
    """Write JSON; an earlier file is replaced only by a complete one."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _parse(content: object, path: Path) -> Manifest:
    """Build the manifest from parsed JSON, or say which key is wrong."""

    def need(condition: bool, expected: str, found: object) -> None:
        if not condition:
            raise complaint(path, expected, repr(found)[:120], _AGAIN)

    need(isinstance(content, dict), "a JSON object", content)
    keys = {"source", "month", "root", "files", "missing", "made_by"}
    need(keys <= set(content), f"the keys {', '.join(sorted(keys))}", sorted(content))
    need(content["source"] in SOURCES, f"source to be one of {', '.join(SOURCES)}", content["source"])
    month = content["month"]
    need(month is None or (isinstance(month, str) and bool(_MONTH.fullmatch(month))), "month as YYYY-MM or null", month)
    need(isinstance(content["root"], str) and content["root"] != "", "root to be a folder", content["root"])
    need(content["made_by"] in MAKERS, f"made_by to be one of {', '.join(MAKERS)}", content["made_by"])
    missing = content["missing"]
    need(
        isinstance(missing, dict) and all(_is_strings(missing.get(key)) for key in ("variables", "days")),
        "missing to hold lists of variables and days",
        missing,
    )
    need(isinstance(content["files"], list), "files to be a list", content["files"])
    members = []
    for item in content["files"]:
        need(isinstance(item, dict), "each file to be a JSON object", item)
        fields = {key: item.get(key) for key in Member.__dataclass_fields__}
        need(isinstance(fields["path"], str), "path of each file to be text", fields["path"])
        size = fields["size"]
        need(isinstance(size, int) and size >= 0, f"size of {fields['path']} in bytes", size)
        sha256 = fields["sha256"]
        need(isinstance(sha256, str) and bool(_SHA256.fullmatch(sha256)), f"sha256 of {fields['path']}", sha256)
        need(_is_strings(fields["variables"]), f"variables of {fields['path']} to be a list", fields["variables"])
        members.append(Member(**fields))
    return Manifest(
        content["source"], month, content["root"], tuple(members), missing, content["made_by"], name=str(path)
    )


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
