"""What the Climate Data Store says, understood: refusals in words, jobs that are lost, requests that are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests
from ecmwf.datastores.processing import LinkError

from pscnet.sources.fetch import FetchError, RefusedError, TooLargeError, failure
from pscnet.sources.fetch.credentials import CDS_PROFILE, CDS_URL
from pscnet.sources.fetch.era5_requests import DATASET
from pscnet.sources.fetch.parts import MULTIPART
from pscnet.sources.fetch.retry import server_wait, transient
from pscnet.sources.fetch.secrets import redact
from pscnet.sources.fetch.transfer import Received

SITE = "https://cds.climate.copernicus.eu"
LICENCES = f"{SITE}/datasets/{DATASET}?tab=download#manage-licences"
OVERVIEW = f"{SITE}/datasets/{DATASET}"
QUEUE = f"{SITE}/requests"

_NO_DATA = re.compile(r"NoDataError|none of the data|no data (is|are) available|not available yet", re.IGNORECASE)
_TOO_LARGE = re.compile(r"cost limits? exceeded|request is too large|too large", re.IGNORECASE)
_PASSING = re.compile(r"maintenance|temporar|unavailable|try again|later", re.IGNORECASE)
_ENDED = re.compile(r"^the job has|job results failed|^job dismissed")
_GONE = ("job not found", "no-such-job", "results expired")
_BUSY = re.compile(r"queued|temporar|limit|too many|busy|overload", re.IGNORECASE)
_LONGEST = 400


class GoneError(Exception):
    """A job will not deliver: a new one is needed.

    ``damaged`` tells that it delivered, but nothing usable; ``failed`` that the service tried in vain, and may do so
    for a while; ``busy`` that it has too much to do to try.
    """

    def __init__(self, reason: str, damaged: bool = False, failed: bool = False, busy: bool = False) -> None:
        super().__init__(reason)
        self.damaged, self.failed, self.busy = damaged, failed, busy


def said(error: requests.HTTPError) -> str:
    """What the service says in an error: title, detail and the end of its traceback, without secrets."""
    response = error.response
    try:
        body = response.json()
        texts = [str(body[name]) for name in ("title", "detail", "traceback") if body.get(name)]
    except (ValueError, AttributeError):  # HTML, or JSON of another form
        texts = []
    text = "; ".join(" ".join(redact(text).split()) for text in texts) or f"{response.status_code} {response.reason}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def kinds(error: requests.HTTPError) -> tuple[str, ...]:
    """Title and type of an error of the service, in small letters; none where a page of somebody else came."""
    try:
        body = error.response.json()
    except ValueError:
        return ()
    if not isinstance(body, Mapping):
        return ()
    return tuple(str(body[name]).strip().lower() for name in ("title", "type") if body.get(name))


def gone(error: requests.HTTPError) -> bool:
    """Whether the service itself says that a job or its results are no more: nothing less ends a job."""
    return error.response.status_code in (404, 410) and any(kind.endswith(_GONE) for kind in kinds(error))


def not_ready(error: BaseException) -> bool:
    """Whether the service says that a job has no results yet."""
    if not isinstance(error, requests.HTTPError) or error.response is None or error.response.status_code != 404:
        return False
    return any("not ready" in kind or "not-ready" in kind for kind in kinds(error))


def verdict(error: BaseException) -> float | None:
    """As :func:`pscnet.sources.fetch.retry.transient`, for answers of the service."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        maintained = error.response.status_code == 403 and kinds(error) and _PASSING.search(said(error))
        if not_ready(error) or (maintained and not _licence(said(error))):
            return server_wait(error.response)
    elif isinstance(error, LinkError | KeyError | TypeError | AttributeError | AssertionError):
        return 0.0  # JSON, but not of the service
    return transient(error)


def job_verdict(error: BaseException) -> float | None:
    """As :func:`verdict`, for questions about a job that is known: a page in place of the answer passes."""
    status = error.response.status_code if isinstance(error, requests.HTTPError) and error.response is not None else 0
    return server_wait(error.response) if status in (403, 404, 410) and not kinds(error) else verdict(error)


def _licence(text: str) -> bool:
    return "licence" in text.lower() or "license" in text.lower()


def explain(error: requests.HTTPError, what: str, job: str | None = None) -> FetchError | GoneError:
    """A refusal in words: what a person must do, or that a new job is needed.

    Parameters
    ----------
    error : requests.HTTPError
    what : str
    job : str, optional
        Id of the job that was asked about. Without one the answer cannot be that it is no more.
    """
    status, text = error.response.status_code, said(error)
    low = text.lower()
    if status == 401:
        return _refused(
            what,
            "the key to be accepted",
            text,
            f"log in at {CDS_PROFILE}, copy the personal access token, and put it into ~/.cdsapirc or CDSAPI_KEY",
        )
    if status == 403 and _licence(text):
        return _refused(what, "the dataset's licence accepted", text, f"log in, open {LICENCES} and accept it")
    if _TOO_LARGE.search(text) and status in (400, 403, 413, 422):
        return too_large(what, text)
    if status == 403:
        return _refused(what, "access to the dataset", text, f"read the messages at {OVERVIEW}, and start again later")
    if job and (gone(error) or (status == 400 and any(_ENDED.search(kind) for kind in kinds(error)))):
        return GoneError(text)
    if job and status in (404, 410):
        remedy = f"look at {QUEUE} whether it is there, and start again: its number is kept"
        return _refused(what, f"CDS job {job}", text, remedy)
    if status == 404 and "process" in low:
        return _refused(what, f"the dataset {DATASET}", text, f"look at {OVERVIEW} whether it has moved")
    if status in (400, 422):
        return _refused(
            what,
            "a request that the service understands",
            text,
            f"compare it with what {OVERVIEW}?tab=download shows "
            "under 'Show API request code', and report the difference",
        )
    remedy = f"check CDSAPI_URL or the line 'url:' in ~/.cdsapirc: it should be {CDS_URL}"
    return _refused(what, "an answer of the Climate Data Store", text, remedy)


def ended(what: str, status: str, reason: str) -> FetchError | GoneError:
    """What the bad end of a job means.

    Parameters
    ----------
    what : str
    status : {"failed", "rejected"}
    reason : str
        As the service gives it.
    """
    if _NO_DATA.search(reason):
        return _refused(
            what,
            "data for all its steps",
            reason,
            "end the period earlier: ERA5-Land comes about 5 days late, and its final version 2 to 3 months",
        )
    if _TOO_LARGE.search(reason):
        return too_large(what, reason)
    if status == "rejected" and _BUSY.search(reason):
        return GoneError(f"it was rejected for now ({reason})", busy=True)
    if status == "rejected":
        return _refused(
            what,
            "the request to be queued",
            f"that the service rejected it ({reason})",
            f"look at {QUEUE}, and start again when the reason is gone",
        )
    return GoneError(f"it failed ({reason})", failed=True)


def too_large(what: str, found: str) -> TooLargeError:
    """The error of a request above the service's limit."""
    remedy = "set fetch.era5_land.max_fields lower; smaller requests are tried by themselves"
    return failure(TooLargeError, what, "a request within the service's limits", found, remedy)


def _refused(what: str, expected: str, found: str, remedy: str) -> FetchError:
    return failure(RefusedError, what, expected, found.rstrip("."), remedy)


def same_request(ours: Mapping, theirs: Mapping) -> bool:
    """Whether a job's request is this one, though the service may have written it in another way."""
    return all(name in theirs and _plain(name, theirs[name]) == _plain(name, value) for name, value in ours.items())


def _plain(name: str, value: object) -> object:
    values = [_word(item) for item in (value if isinstance(value, list | tuple) else [value])]
    return values if name == "area" else sorted(set(map(str, values)))


def _word(item: object) -> object:
    """A number as such, however it is written, and any other word in small letters."""
    try:
        return float(item)
    except (TypeError, ValueError):
        return str(item).strip().lower()


def proven(received: Received, announced: str | None) -> bool:
    """Whether a hash over the bytes says that they are those of the service.

    ``file:checksum`` is the ETag of the object store up to a hyphen, without leading zeros: the MD5 of the file, or for
    multipart uploads the MD5 of the parts' MD5s. Where it is absent, the ETag itself is compared.

    Parameters
    ----------
    received : Received
    announced : str or None
        Hexadecimal digits.
    """
    digits = (announced or _etag(received)[0]).lower().zfill(32)
    return digits == received.md5 or digits == received.part_md5s  # the second reads a large file once more


def plausible(received: Received, announced: str | None, size: int | None) -> bool:
    """Whether nothing that was announced contradicts the bytes, though nothing may prove them.

    Parts of another size than 50 MiB cannot be recomputed: there the store's own ETag says which object it is.

    Parameters
    ----------
    received : Received
    announced : str or None
        As of :func:`proven`.
    size : int or None
        Announced size [byte].
    """
    base, count = _etag(received)
    other_parts = bool(count) and count != str(-(-received.size // MULTIPART))
    if announced and not (other_parts and base.zfill(32) == announced.lower().zfill(32)):
        return False
    if not announced and re.fullmatch(r"[0-9a-f]{32}", base) and not other_parts:
        return False  # a hash over these bytes, and they have another one
    return size is None or size == received.size


def _etag(received: Received) -> tuple[str, str]:
    """The store's ETag before its hyphen, and the number of parts behind it."""
    base, _, count = (received.etag or "").strip('"').lower().partition("-")
    return base, count
