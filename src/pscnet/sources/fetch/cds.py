"""One request to the Climate Data Store, from submission to a verified part, over any number of runs.

The real cdsapi talks; its own patience is switched off, since it knows neither deadlines nor what was submitted before.
Before a job is submitted, the intention is stored; afterwards its id. So a later run finds the job: by its id, or,
where a kill or a lost answer left only the intention, in the service's list of jobs. There is never a second job
while the first one may still deliver.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import requests
from ecmwf.datastores import Process, Remote
from ecmwf.datastores.processing import ProcessingFailedError

from pscnet.sources import SourceError
from pscnet.sources.fetch import DamagedError, TooLargeError, UnavailableError, failure
from pscnet.sources.fetch.cds_answers import (
    QUEUE,
    GoneError,
    checksum_agrees,
    ended,
    explain,
    said,
    same_request,
    too_large,
    verdict,
)
from pscnet.sources.fetch.cds_client import LONGEST_POLL, connect, quiet_session
from pscnet.sources.fetch.cds_state import State
from pscnet.sources.fetch.credentials import CdsAccount
from pscnet.sources.fetch.era5_check import Content, check
from pscnet.sources.fetch.era5_requests import DATASET
from pscnet.sources.fetch.ledger import Ledger
from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.parts import discard
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.retry import duration, persist
from pscnet.sources.fetch.secrets import redact
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.fetch.transfer import Offer, Received, receive

LOG = logging.getLogger(__name__)

#: Most jobs for one request in one run, of these with unusable files, and most downloads of one job's file.
JOBS, DAMAGED_JOBS, DOWNLOADS = 3, 2, 3

#: A lost job is looked for among those made since shortly before the intention: clocks differ.
CLOCKS_DIFFER = timedelta(days=2)

#: Pages of the list of jobs that are searched, and jobs on each.
PAGES, PAGE = 10, 100

_ALIVE = ("accepted", "running", "successful")

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """What the requests of one run share.

    Attributes
    ----------
    ledger : Ledger
    settings : Settings
    account : CdsAccount
    progress : Progress
    stop : threading.Event
        Set when the run ends: all waiting then ends too.
    """

    ledger: Ledger
    settings: Settings
    account: CdsAccount
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)


def fetch_request(context: Context, request: Mapping, part: Path, what: str) -> tuple[Received, Content, str]:
    """Have the service make the file of a request, and download it into ``part``.

    Parameters
    ----------
    context : Context
    request : dict
        See :mod:`pscnet.sources.fetch.era5_requests`.
    part : Path
        From :meth:`Ledger.part`; an earlier run's is resumed.
    what : str
        Name of the file, for messages and the quarantine.

    Returns
    -------
    Received
    Content
        Verified.
    str
        Id of the job.

    Raises
    ------
    TooLargeError
        The request must be cut in two; that is remembered.
    RefusedError
        A person must act.
    UnavailableError
        Patience or the deadline ran out; the job is picked up by the next run.
    DamagedError
        Two jobs gave unusable files.
    """
    state = State(context.ledger.archive, request)
    with exclusive(state.lock):
        state = State(context.ledger.archive, request)
        errand = _Errand(context, request, part, what, state)
        try:
            return errand.run()
        except TooLargeError:
            state.refuse_size()
            raise
        finally:
            context.progress.queue(what, None)


class _Errand:
    """The steps of :func:`fetch_request`."""

    def __init__(self, context: Context, request: Mapping, part: Path, what: str, state: State) -> None:
        self._context, self._request, self._part, self._what, self._state = context, dict(request), part, what, state
        self._patience = context.settings.patience
        self._client = connect(context.account, self._patience)
        self._store = quiet_session()
        self._asset: dict = {}
        self._counted = 0
        self._new = False  # whether the job is of this run

    def run(self) -> tuple[Received, Content, str]:
        """Jobs until one delivers."""
        ends: list[GoneError] = []
        while len(ends) < JOBS and sum(end.damaged for end in ends) < DAMAGED_JOBS:
            try:
                remote = self._ask(self._job)
                self._wait(remote)
                received, content = self._file(remote)
                return received, content, remote.request_id
            except GoneError as end:
                self._context.progress.note(f"{self._what}: CDS job {self._state.id} came to nothing: {end}")
                self._state.over(str(end))
                ends.append(end)
        found = "; then ".join(dict.fromkeys(str(end) for end in ends))
        if ends[-1].damaged:
            remedy = "look at the files in .quarantine of the archive; start again later, or tell the service's support"
            raise failure(DamagedError, self._what, "the file that was asked for", found, remedy)
        remedy = f"look at {QUEUE} and start again later: what has been fetched is kept"
        raise failure(UnavailableError, self._what, f"one of {len(ends)} CDS jobs to succeed", found, remedy)

    def _ask(self, call: Callable[[], T]) -> T:
        """An answer of the service, however long it takes within patience; refusals in words."""
        stop, note = self._context.stop.is_set, self._context.progress.note
        try:
            return persist(call, self._what, self._patience, verdict, stop, note)
        except requests.HTTPError as error:
            raise explain(error, self._what) from None
        except ProcessingFailedError as error:
            raise GoneError(redact(str(error))) from None

    def _job(self) -> Remote:
        """The job of an earlier run or try, else a new one."""
        if self._state.id:
            try:
                return self._client.get_remote(self._state.id)
            except requests.HTTPError as error:
                if error.response.status_code in (403, 404) and "licence" not in said(error).lower():
                    raise GoneError(f"the service does not give access to it any more ({said(error)})") from None
                raise
        if self._state.intent and (remote := self._lost()) is not None:
            self._context.progress.note(f"{self._what}: CDS job {remote.request_id} was found again")
            self._state.submitted(remote.request_id)
            return remote
        return self._submit()

    def _lost(self) -> Remote | None:
        """The job that may have been made before its id could be stored."""
        for pause in (0.0, min(2 * self._patience.first_wait, 30.0)):  # a job may take a moment to be listed
            self._context.stop.wait(pause)
            remote = self._listed()
            if remote is not None:
                return remote
        return None

    def _listed(self) -> Remote | None:
        """A living job with this request in the service's list."""
        since = (datetime.fromisoformat(self._state.intent) - CLOCKS_DIFFER).replace(tzinfo=UTC)
        page = self._client.get_jobs(limit=PAGE, sortby="-created")
        for _ in range(PAGES):
            for job in page.json["jobs"]:
                known = job["jobID"] in self._state.past or job.get("processID") != DATASET
                if known or job["status"] not in _ALIVE or _created(job) < since:
                    continue
                remote = self._client.get_remote(job["jobID"])
                if same_request(self._request, remote.request):
                    return remote
            page = page.next
            if page is None:
                break
        return None

    def _submit(self) -> Remote:
        process = self._client.get_process(DATASET)
        self._check_cost(process)
        self._state.intend()
        try:
            remote = process.submit(self._request)
        except requests.HTTPError as error:
            if 400 <= error.response.status_code < 500 and error.response.status_code != 408:
                self._state.withdraw()  # an answer that says that there is no job
            raise
        self._state.submitted(remote.request_id)
        self._new = True
        LOG.info("%s: submitted as CDS job %s", self._what, remote.request_id)
        return remote

    def _check_cost(self, process: Process) -> None:
        """Refuse a request that the service would refuse; where it does not say, submission will tell."""
        try:
            answer = process.estimate_costs(self._request)
            cost, limit = float(answer["cost"]), float(answer["limit"])
        except (requests.RequestException, AssertionError, KeyError, TypeError, ValueError) as error:
            LOG.info("%s: the service gave no estimate of the cost (%s)", self._what, type(error).__name__)
            return
        if cost > limit:
            raise too_large(self._what, f"a cost of {cost:g}, above the limit of {limit:g}")

    def _wait(self, remote: Remote) -> None:
        """Until the job is successful, or the deadline."""
        patience, begun = self._patience, time.monotonic()
        pause = min(1.0, patience.first_wait)
        while True:
            status = self._ask(lambda: remote.status)
            self._context.progress.queue(self._what, status)
            if status == "successful":
                return
            if status in ("failed", "rejected"):
                raise self._bad_end(remote, status)
            if status in ("dismissed", "deleted"):
                raise GoneError("somebody dismissed it")
            waited, job = time.monotonic() - begun, f"CDS job {remote.request_id}"
            deadline = self._context.settings.deadline
            again = f"look at {QUEUE}; start again to go on: the job keeps its place in the queue and is picked up"
            if waited + pause > deadline:
                expected, found = f"{job} to be done within {duration(deadline)}", f"still {status}"
                raise failure(UnavailableError, self._what, expected, f"{found} after {duration(waited)}", again)
            if self._context.stop.wait(pause):
                found = f"it {status} when another request failed for good"
                raise failure(UnavailableError, self._what, f"{job} to be done", found, again)
            pause = min(1.5 * pause, patience.longest_wait, LONGEST_POLL)

    def _bad_end(self, remote: Remote, status: str) -> Exception:
        """Why a job failed or was rejected, and whether a new one may do better."""
        reason = "no reason was given"
        try:
            persist(remote.get_results, self._what, self._patience, verdict, self._context.stop.is_set)
        except requests.HTTPError as error:
            reason = said(error)
        except ProcessingFailedError as error:
            reason = redact(str(error))
        error = ended(self._what, status, reason)
        if isinstance(error, GoneError) or (not self._new and not isinstance(error, TooLargeError)):
            return GoneError(f"it ended as {status} ({reason})")  # an earlier run's: what was wrong may be over
        self._state.over(reason)
        return error

    def _file(self, remote: Remote) -> tuple[Received, Content]:
        """The verified file of a successful job.

        A size or checksum other than announced is a suspicion: the same bytes twice with valid content are accepted.
        """
        seen: set[str] = set()
        problem, url = "", None
        for number in range(DOWNLOADS):
            received = self._download(remote, whole=number > 0)
            url, trusted = received.url, self._trusted(received)
            repeated = received.sha256 in seen
            seen.add(received.sha256)
            try:
                content = check(self._part, self._request)
            except SourceError as error:
                problem = str(error).replace(str(self._part), self._what)
                if trusted or repeated:
                    break  # the service's file is like that
            else:
                if trusted or repeated:
                    if not trusted:
                        LOG.warning("%s: accepted with another size or checksum than announced", self._what)
                    return received, content
                problem = f"{received.size} bytes with MD5 {received.md5}, neither of them as announced"
            self._context.progress.note(f"{self._what}: downloading once more, since there came {problem}")
        discarded = self._context.ledger.quarantine(self._part, "era5_land", problem, url, f"{self._what}.bad")
        discard(self._part)
        raise GoneError(f"its file is unusable: {problem} It lies at {discarded}", damaged=True)

    def _download(self, remote: Remote, whole: bool) -> Received:
        if whole:
            self._count(-self._counted)
        try:
            return receive(
                lambda: self._offer(remote),
                self._part,
                self._what,
                self._patience,
                self._count,
                whole,
                self._context.settings.reserve,
                self._context.stop.is_set,
                self._context.progress.note,
            )
        except requests.HTTPError as error:
            raise GoneError(f"its file cannot be had: {error}") from None

    def _count(self, n: int) -> None:
        self._counted += n
        self._context.progress.bytes(n)

    def _offer(self, remote: Remote) -> Offer:
        """A fresh link to the job's file."""

        def fresh() -> tuple[str, dict]:
            results = remote.get_results()
            return results.location, results.asset

        location, self._asset = self._ask(fresh)
        return Offer(location, self._store, size=self._announced_size())

    def _announced_size(self) -> int | None:
        size = self._asset.get("file:size")
        return int(size) if size is not None else None

    def _trusted(self, received: Received) -> bool:
        """Whether the bytes are as announced: by their checksum, or where there is none by their size."""
        announced = self._asset.get("file:checksum")
        if not checksum_agrees(received, announced):
            return False
        return bool(announced) or received.size == (self._announced_size() or received.size)


def _created(job: Mapping) -> datetime:
    """When a job was made, as the service says."""
    return datetime.fromisoformat(job["created"].replace("Z", "")).replace(tzinfo=UTC)
