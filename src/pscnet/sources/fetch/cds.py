"""One request to the Climate Data Store, from submission to a verified part, over any number of runs.

The real cdsapi talks; its own patience is switched off, since it knows neither deadlines nor what was submitted before.
Before a job is submitted, the intention is stored; afterwards its id. So a later run finds the job: by its id, or,
where a kill or a lost answer left only the intention, in the service's list of jobs. There is never a second job
while the first one may still deliver.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import requests
from ecmwf.datastores import Process, Remote
from ecmwf.datastores.processing import Results

from pscnet.sources.fetch import DamagedError, TooLargeError, UnavailableError, failure
from pscnet.sources.fetch.cds_answers import (
    QUEUE,
    GoneError,
    ended,
    explain,
    job_verdict,
    kinds,
    not_ready,
    said,
    too_large,
    verdict,
)
from pscnet.sources.fetch.cds_client import LONGEST_POLL, connect
from pscnet.sources.fetch.cds_file import Context, verified_file
from pscnet.sources.fetch.cds_lost import Search
from pscnet.sources.fetch.cds_state import State
from pscnet.sources.fetch.era5_check import Content
from pscnet.sources.fetch.era5_requests import DATASET
from pscnet.sources.fetch.locks import exclusive
from pscnet.sources.fetch.retry import duration, persist
from pscnet.sources.fetch.transfer import Received

LOG = logging.getLogger(__name__)

#: Most jobs for one request in one run, and of these with unusable files.
JOBS, DAMAGED_JOBS = 5, 2

#: Longest pause after a job that was rejected since too much is queued, in longest pauses between other tries.
BUSY_PAUSE = 6

T = TypeVar("T")


class _NotDoneError(Exception):
    """A job that was done, or failed, is under way again."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the job is {status} again")
        self.status = status


def results_of(remote: Remote) -> Results:
    """The results of a job as they are now. The client's own ``get_results`` waits for them without end."""
    return remote._make_results(wait=False)


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
    with exclusive(state.lock, context.stop.is_set, context.progress.note):
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
        self._begun = time.monotonic()  # one deadline for all that comes
        self._vain_since = 0.0  # when the first job came to nothing
        self._new = False  # whether the job is of this run

    def run(self) -> tuple[Received, Content, str]:
        """Jobs until one delivers."""
        ends: list[GoneError] = []
        while True:
            try:
                remote = self._job()
                return *self._delivered(remote), remote.request_id
            except GoneError as end:
                self._context.progress.note(f"{self._what}: CDS job {self._state.id} came to nothing: {end}")
                self._state.over(str(end))
                ends.append(end)
                self._vain_since = self._vain_since or time.monotonic()
            counted = [end for end in ends if not end.busy]
            if len(counted) >= JOBS or sum(end.damaged for end in ends) >= DAMAGED_JOBS:
                raise self._in_vain(ends)
            self._rest(ends)

    def _in_vain(self, ends: list[GoneError]) -> Exception:
        """That no job delivers."""
        found = "; then ".join(dict.fromkeys(str(end) for end in ends))
        if ends[-1].damaged:
            remedy = "look at the files in .quarantine of the archive; start again later, or tell the service's support"
            return failure(DamagedError, self._what, "the file that was asked for", found, remedy)
        remedy = f"look at {QUEUE} and start again later: what has been fetched is kept"
        return failure(UnavailableError, self._what, f"one of {len(ends)} CDS jobs to succeed", found, remedy)

    def _rest(self, ends: list[GoneError]) -> None:
        """Give a service that fails or is busy some time before the next job, twice as long each time."""
        last, longest = ends[-1], self._patience.longest_wait
        if last.busy:
            seconds = longest * min(2.0 ** (sum(end.busy for end in ends) - 1), BUSY_PAUSE)
        elif last.failed:
            seconds = longest * 2.0 ** (sum(end.failed for end in ends) - 2)
        else:
            return
        then = time.monotonic() + seconds
        if (
            then - self._vain_since > self._patience.give_up_after
            or then - self._begun > self._context.settings.deadline
        ):
            raise self._in_vain(ends)
        self._context.progress.note(f"{self._what}: the next CDS job will be submitted in {duration(seconds)}")
        if self._context.stop.wait(seconds):
            raise self._in_vain(ends)

    def _delivered(self, remote: Remote) -> tuple[Received, Content]:
        """The verified file of a job, however often it goes back into the queue until the deadline."""
        while True:
            try:
                self._wait(remote)
                return self._file(remote)
            except _NotDoneError as error:
                self._context.progress.note(f"{self._what}: CDS job {remote.request_id} is {error.status} again")
                self._pause(remote, error.status, min(1.0, self._patience.first_wait))

    def _ask(self, call: Callable[[], T], job: str | None = None) -> T:
        """An answer of the service, however long it takes within patience; refusals in words.

        ``job`` is the one that is asked about.
        """
        stop, note = self._context.stop.is_set, self._context.progress.note
        try:
            return persist(call, self._what, self._patience, job_verdict if job else verdict, stop, note)
        except requests.HTTPError as error:
            raise explain(error, self._what, job) from None

    def _job(self) -> Remote:
        """The job of an earlier run or try, else a new one."""
        if job := self._state.id:
            return self._ask(lambda: self._client.get_remote(job), job)
        return self._ask(self._found_or_new)

    def _found_or_new(self) -> Remote:
        remote = None
        if self._state.intent:
            remote = self._search().job()
        if remote is not None:
            self._context.progress.note(f"{self._what}: CDS job {remote.request_id} was found again")
            self._state.submitted(remote.request_id)
            return remote
        return self._submit()

    def _search(self) -> Search:
        """For a job that may have been made before its id could be stored."""
        first_wait, stop = self._patience.first_wait, self._context.stop
        return Search(self._client, self._request, self._state, first_wait, self._ask, stop.wait, self._what)

    def _submit(self) -> Remote:
        process = self._client.get_process(DATASET)
        self._check_cost(process)
        self._state.intend()
        try:
            remote = process.submit(self._request)
        except requests.HTTPError as error:
            if kinds(error) and 400 <= error.response.status_code < 500 and error.response.status_code != 408:
                self._state.withdraw()  # an answer of the service that says that there is no job
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
        pause = min(1.0, self._patience.first_wait)
        while True:
            status = self._ask(lambda: remote.status, remote.request_id)
            self._context.progress.queue(self._what, status)
            if status == "successful":
                return
            if status in ("failed", "rejected"):
                raise self._bad_end(remote, status)
            if status in ("dismissed", "deleted"):
                raise GoneError("somebody dismissed it")
            self._pause(remote, status, pause)
            pause = min(1.5 * pause, self._patience.longest_wait, LONGEST_POLL)

    def _pause(self, remote: Remote, status: str, seconds: float) -> None:
        """Wait between two looks at a job, but not beyond the deadline of the whole errand."""
        waited, job = time.monotonic() - self._begun, f"CDS job {remote.request_id}"
        deadline = self._context.settings.deadline
        again = f"look at {QUEUE}; start again to go on: the job keeps its place in the queue and is picked up"
        if waited + seconds > deadline:
            expected, found = f"{job} to be done within {duration(deadline)}", f"still {status}"
            raise failure(UnavailableError, self._what, expected, f"{found} after {duration(waited)}", again)
        if self._context.stop.wait(seconds):
            found = f"it {status} when another request failed for good"
            raise failure(UnavailableError, self._what, f"{job} to be done", found, again)

    def _results(self, remote: Remote) -> Results:
        """The results of a job that has ended; :class:`_NotDoneError` when it is under way again."""
        try:
            return results_of(remote)
        except requests.HTTPError as error:
            if not_ready(error) and (status := remote.status) in ("accepted", "running"):
                raise _NotDoneError(status) from None
            raise

    def _bad_end(self, remote: Remote, status: str) -> Exception:
        """Why a job failed or was rejected, and whether a new one may do better."""
        stop, reason = self._context.stop.is_set, "no reason was given"
        try:
            persist(lambda: self._results(remote), self._what, self._patience, job_verdict, stop)
        except requests.HTTPError as error:
            if error.response.status_code != 400:
                return explain(error, self._what, remote.request_id)
            reason = said(error)
        error = ended(self._what, status, reason)
        if not self._new and not isinstance(error, TooLargeError):
            return GoneError(f"it ended as {status} ({reason})")  # an earlier run's: what was wrong may be over
        if isinstance(error, GoneError):
            return error
        self._state.over(reason)
        return error

    def _file(self, remote: Remote) -> tuple[Received, Content]:
        """The verified file of a successful job."""

        def results() -> Results:
            return self._ask(lambda: self._results(remote), remote.request_id)

        return verified_file(self._context, self._request, self._part, self._what, results)
