"""The elevation raster: a file that lies somewhere already, or one that comes from an address, known by its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit

import requests

from pscnet.grids import Grid
from pscnet.sections import is_address
from pscnet.sources import complaint
from pscnet.sources import manifest as manifests
from pscnet.sources.elevation import open_elevation
from pscnet.sources.fetch import DamagedError, RefusedError, failure
from pscnet.sources.fetch.ledger import Ledger, Record, write_manifest
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.repairs import write_down
from pscnet.sources.fetch.secrets import public_url, redact
from pscnet.sources.fetch.sessions import Session
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.fetch.transfer import Offer, Received, receive

SOURCE, KEY = "terrain", "static"


def fetch_terrain(
    archive: str | Path,
    terrain: str,
    sha256: str | None,
    grid: Grid,
    settings: Mapping[str, Any],
    output: str | Path,
    state_file: str | Path,
    state: int,
    screen: TextIO | None = None,
) -> None:
    """Have the elevation raster there, checked, and write its manifest.

    Parameters
    ----------
    archive : path
        Folder of the raw files; a fetched raster comes into its sub-folder ``terrain``.
    terrain : str
        A local file, which stays where it is, or an https address.
    sha256 : str or None
        Of the file; for an address it must be known.
    grid : Grid
        What the raster has to cover.
    settings : mapping
        The section ``fetch`` of the configuration.
    output : path
        Manifest to write.
    state_file, state
        See :mod:`pscnet.sources.fetch.repairs`: ``state`` is written to ``state_file`` at the end.
    screen : text stream, optional
        See :class:`pscnet.sources.fetch.progress.Progress`.

    Raises
    ------
    SourceError
        The raster cannot be had, is another file than announced, or is no elevation of the whole grid in metres.
    """
    if is_address(terrain):
        record = _from_address(Ledger(archive), terrain, sha256, Settings.of(settings), screen)
        open_elevation(Path(archive) / record.path, grid)
        write_manifest(output, SOURCE, None, archive, [record])
    else:
        _from_disk(Path(terrain), sha256, grid, output)
    write_down(state_file, state)


def _from_disk(path: Path, sha256: str | None, grid: Grid, output: str | Path) -> None:
    found = manifests.hash_file(path)
    if sha256 is not None and found != sha256:
        remedy = "name the right file in terrain, or its SHA-256 in terrain_sha256"
        raise complaint(path, f"the SHA-256 {sha256}, as configured", found, remedy)
    open_elevation(path, grid)
    entry = manifests.member(path.parent, path, variables=["elevation"], sha256=found)
    manifests.write(output, source=SOURCE, month=None, root=path.parent, files=[entry], made_by="fetch")


def _from_address(ledger: Ledger, url: str, sha256: str | None, settings: Settings, screen: TextIO | None) -> Record:
    """The record of the file behind an address: known, found under its name, or received now."""
    if sha256 is None:
        expected, remedy = "the SHA-256 of what comes over the network", "put it into terrain_sha256"
        raise failure(RefusedError, f"elevation {public_url(url)}", expected, "none", remedy)
    known = [record for record in ledger.good(SOURCE, KEY) if record.sha256 == sha256]
    if known:
        return known[0]
    name = _name(url, sha256)
    fields = {"source": SOURCE, "month": KEY, "provider_id": _provider_name(url), "url": url, "sha256": sha256}
    final = ledger.archive / SOURCE / name
    if final.exists() and manifests.hash_file(final) == sha256:
        return ledger.adopt(f"{SOURCE}/{name}", **fields, variables=["elevation"])
    received = _received(ledger, name, url, sha256, settings, screen)
    return ledger.keep(received.path, f"{SOURCE}/{name}", **fields, variables=["elevation"])


def _received(ledger: Ledger, name: str, url: str, sha256: str, settings: Settings, screen: TextIO | None) -> Received:
    """The whole file as a part, with the right hash; a wrong one is fetched once more from its first byte."""
    what = f"elevation {public_url(url)}"
    with Session(patience=settings.patience) as session, Progress("Elevation", 1, screen) as progress:
        for whole in (False, True):
            received = _ask(session, ledger.part(name), url, what, settings, progress, whole)
            if received.sha256 == sha256:
                progress.done(name)
                return received
            progress.note(f"{name} came with another SHA-256 than configured")
    ledger.quarantine(received.path, SOURCE, f"SHA-256 {received.sha256} instead of {sha256}", url)
    remedy = "compare terrain_sha256 with what the provider states; the file lies in .quarantine of the archive"
    raise failure(DamagedError, what, f"the SHA-256 {sha256}, as configured", f"{received.sha256}, twice", remedy)


def _ask(
    session: requests.Session, part: Path, url: str, what: str, settings: Settings, progress: Progress, whole: bool
) -> Received:
    try:
        return receive(
            lambda: Offer(url, session),
            part,
            what,
            settings.patience,
            on_bytes=progress.bytes,
            whole=whole,
            reserve=settings.reserve,
            note=progress.note,
        )
    except requests.HTTPError as error:
        remedy = "check the address in terrain, or download the file and name it there instead"
        raise failure(RefusedError, what, "the file", redact(str(error)), remedy) from None


def _provider_name(url: str) -> str:
    """The last part of an address, as a plain file name."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name).lstrip(".") or "elevation"


def _name(url: str, sha256: str) -> str:
    """A file name that differs between files of equal names."""
    name = PurePosixPath(_provider_name(url))
    return f"{name.stem}_{sha256[:8]}{name.suffix}"
