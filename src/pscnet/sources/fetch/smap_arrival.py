"""One granule on its way in: streamed with the account's session, and held against what the catalogue announces."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from pscnet.sources.fetch import FetchError, RefusedError, UnavailableError, failure
from pscnet.sources.fetch.credentials import EARTHDATA_HOST
from pscnet.sources.fetch.earthdata import Earthdata, Session, Unsettled
from pscnet.sources.fetch.granules import TRUSTED_HOSTS, Granule
from pscnet.sources.fetch.parts import discard
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.retry import describe, persist, transient
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.fetch.transfer import Offer, Received, receive
from pscnet.sources.formats import ADVICE, kind_of

#: Login pages in place of a granule before a person must look at it.
LOGIN_PAGES = 4

#: Checksums of the catalogue that hashlib computes.
ALGORITHMS = ("md5", "sha1", "sha256", "sha384", "sha512")

_EULAS = f"https://{EARTHDATA_HOST}, menu EULAs (https://{EARTHDATA_HOST}/users/<your user name>/unaccepted_eulas)"


class AbsentError(UnavailableError):
    """The catalogue lists a granule, and the data host has none of that name."""


@dataclass(frozen=True)
class Arrival:
    """A granule as it came.

    Attributes
    ----------
    path : Path
    size : int
        Bytes.
    sha256 : str
    problem : str or None
        In which way it is another file than the catalogue announces, in words.
    proven : bool
        Whether it has the checksum that the catalogue announces.
    tagged : bool
        Whether its MD5, or that of its parts, is the store's ETag: then these are the bytes that the store has.
    """

    path: Path
    size: int
    sha256: str
    problem: str | None
    proven: bool
    tagged: bool = False


def fetch_granule(
    earthdata: Earthdata,
    granule: Granule,
    part: Path,
    settings: Settings,
    progress: Progress,
    stop: Callable[[], bool],
    whole: bool = False,
) -> Arrival:
    """Download a granule into ``part``, resuming what an earlier run has left unless ``whole``.

    Raises
    ------
    UnavailableError
        Patience ran out.
    AbsentError
        The data host does not have it.
    RefusedError
        The account is not accepted, has not accepted an agreement, or the disk is full.
    """
    pages = 0
    if whole:
        discard(part)

    def on_bytes(number: int) -> None:
        progress.bytes(number)
        if stop():
            raise failure(UnavailableError, granule.name, "time to go on", "a stop", "start again to go on")

    def stream(session: Session) -> Received:
        offer = Offer(granule.url, session, size=granule.size)
        return receive(
            lambda: offer, part, granule.name, settings.patience, on_bytes,
            reserve=settings.reserve, stop=stop, note=progress.note,
        )  # fmt: skip

    def attempt() -> Received:
        nonlocal pages
        received = earthdata.authorised(stream)
        if kind_of(part) != "html":
            return received
        discard(part)
        progress.bytes(-received.size)
        pages += 1
        if pages < LOGIN_PAGES:
            raise Unsettled("a web page came in place of the granule")
        raise failure(
            RefusedError,
            granule.name,
            "an HDF5 file",
            f"{pages} times a web page, as for someone who is not logged in or must agree to something",
            f"open {granule.url} in a browser, log in, and see what the page says; agreements are at {_EULAS}",
        )

    try:
        received = persist(attempt, granule.name, settings.patience, _verdict, stop, progress.note)
    except requests.HTTPError as error:
        raise _refusal(granule, error) from None
    problem = _problem(granule, part, received)
    proven = problem is None and verifiable(granule)
    return Arrival(part, received.size, received.sha256, problem, proven, _tagged(received))


def _verdict(error: BaseException) -> float | None:
    """As :func:`transient`; and a store that refuses its own fresh links for a while may come to terms with them."""
    response = error.response if isinstance(error, requests.HTTPError) else None
    if response is not None and response.status_code == 403 and not _of_provider(response):
        return 0.0
    return transient(error)


def _of_provider(response: requests.Response) -> bool:
    return (urlsplit(response.url).hostname or "").endswith(TRUSTED_HOSTS)


def _refusal(granule: Granule, error: requests.HTTPError) -> FetchError:
    """What a status means that waiting does not change."""
    status = error.response.status_code
    if status == 403 and "eula" in error.response.text.lower():
        found, remedy = "an agreement (EULA) that has not been accepted (403)", f"accept it at {_EULAS}"
        return failure(RefusedError, granule.name, "leave to download", found, remedy)
    if status in (404, 410):
        expected, remedy = (
            "the file that the catalogue lists",
            (
                "start again later, as NSIDC may be replacing it, or go on without that day "
                f"(fetch.smap.without: [{granule.day}])"
            ),
        )
        return failure(AbsentError, granule.name, expected, describe(error), remedy)
    remedy = f"see that the application of NSIDC is approved for the account (https://{EARTHDATA_HOST}, Applications)"
    return failure(RefusedError, granule.name, "leave to download", describe(error), remedy)


def _tagged(received: Received) -> bool:
    """Whether the store's ETag is a hash of the bytes, which it need not be: single uploads have their MD5 there."""
    digest, _, parts = (received.etag or "").strip('"').lower().partition("-")
    return digest == (received.part_md5s if parts else received.md5)


def _problem(granule: Granule, part: Path, received: Received) -> str | None:
    """In which way the bytes are not those announced."""
    kind = kind_of(part)
    if kind != "hdf5":
        return f"it is {ADVICE.get(kind, (f'of format {kind}',))[0]} and no HDF5 file"
    if granule.size not in (None, received.size):
        return f"it has {received.size} bytes, and the catalogue says {granule.size}"
    known = {"md5": received.md5, "sha256": received.sha256}
    return checksum_problem(granule, part, known)


def verifiable(granule: Granule) -> bool:
    """Whether a checksum is announced that can be computed here: not so for CRC and the like."""
    return granule.checksum is not None and _algorithm(granule.checksum[0]) in ALGORITHMS


def _algorithm(said: str) -> str:
    """The name that hashlib has for a checksum of the catalogue, such as ``SHA-256``."""
    return re.sub(r"[^a-z0-9]", "", said.lower())


def announced(granule: Granule) -> dict[str, str | None]:
    """The announced checksum as the ledger keeps it."""
    return {"checksum": ":".join(granule.checksum) if granule.checksum else None}


def origin_problem(granule: Granule, origin: Mapping[str, Any]) -> str | None:
    """In which way a crop was cut from another file than the one announced; None where it was not, or nobody can tell.

    Parameters
    ----------
    granule : Granule
    origin : mapping
        ``name``, ``size`` and ``sha256`` of the whole file.
    """
    if origin["name"] != granule.name:
        return f"it was cut from {origin['name']}"
    if granule.size not in (None, origin["size"]):
        return f"it was cut from a file of {origin['size']} bytes, and the catalogue says {granule.size}"
    if granule.checksum and _algorithm(granule.checksum[0]) == "sha256" and granule.checksum[1] != origin["sha256"]:
        return f"it was cut from a file with the SHA-256 {origin['sha256']}, and the catalogue says another"
    return None


def checksum_problem(granule: Granule, path: Path, known: dict[str, str] | None = None) -> str | None:
    """In which way a file's checksum is not the announced one; None where it is, or cannot be told.

    Parameters
    ----------
    granule : Granule
    path : Path
    known : dict of str to str, optional
        Hashes by algorithm that need not be computed.
    """
    if not verifiable(granule):
        return None
    said, value = granule.checksum
    algorithm = _algorithm(said)
    found = (known or {}).get(algorithm)
    if found is None:
        with open(path, "rb") as stream:
            found = hashlib.file_digest(stream, algorithm).hexdigest()
    return None if found == value else f"its {said} is {found}, and the catalogue says {value}"
