"""The job that a lost answer or a kill has left without its id: looked for in the service's list of jobs.

The service knows no key by which a submission that is repeated would be recognised. So the list is searched for some
minutes, and as long as a job in it may be the lost one, none is submitted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from ecmwf.datastores import Client, Remote
from ecmwf.datastores.processing import ApiResponse, LinkError

from pscnet.sources.fetch import UnavailableError, failure
from pscnet.sources.fetch.cds_answers import QUEUE, gone, not_ready, same_request
from pscnet.sources.fetch.cds_state import State
from pscnet.sources.fetch.era5_requests import DATASET

LOG = logging.getLogger(__name__)

#: A lost job is looked for among those made since shortly before the intention: clocks differ.
CLOCKS_DIFFER = timedelta(days=2)

#: A job that does not show its request may be the lost one if it was made so shortly before or after the intention.
MOMENT = timedelta(hours=1)

#: Pages of the list of jobs that are searched, and jobs on each.
PAGES, PAGE = 10, 100

#: How long a job may take to be listed, in first pauses between tries, and at most [s].
LISTED_WITHIN, LONGEST = 60, 600.0

_DEAD = ("failed", "rejected", "dismissed", "deleted")
_STRANGE = (KeyError, TypeError, AttributeError, AssertionError, ValueError, LinkError)


class Search:
    """The search for one lost job.

    Parameters
    ----------
    client : Client
    request : mapping
        Of the job.
    state : State
        With an intention.
    first_wait : float
        First pause between tries [s].
    ask : callable
        Calls a function, given with the id of the job that it is about or None, until the service answers.
    wait : callable
        Sleeps for some seconds, and tells whether the search must stop.
    what : str
        For messages.
    """

    def __init__(
        self,
        client: Client,
        request: Mapping,
        state: State,
        first_wait: float,
        ask: Callable[[Callable[[], Any], str | None], Any],
        wait: Callable[[float], bool],
        what: str,
    ) -> None:
        self._client, self._request, self._state = client, request, state
        self._first_wait, self._ask, self._wait, self._what = first_wait, ask, wait, what
        self._others = state.past | state.elsewhere()
        self._unclear: set[str] = set()
        intent = datetime.fromisoformat(state.intent)
        self._intent = intent if intent.tzinfo else intent.replace(tzinfo=UTC)

    def job(self) -> Remote | None:
        """The lost job, or None when there is none.

        Raises
        ------
        UnavailableError
            When a job may be it, but the service does not show its request, or when the search must stop.
        """
        end, pause = time.monotonic() + min(LISTED_WITHIN * self._first_wait, LONGEST), self._first_wait
        while True:
            self._unclear.clear()
            for entry in self._entries():
                remote = self._match(entry)
                if remote is not None:
                    return remote
            left = end - time.monotonic()
            if left <= 0:
                break
            if self._wait(min(pause, left)):
                raise self._open("no stop", "one while a lost job was looked for")
            pause *= 2.0
        if self._unclear:
            found = f"that CDS job {', '.join(sorted(self._unclear))} may be that of this request, and does not show it"
            raise self._open("to know which jobs there are", found)
        return None

    def _open(self, expected: str, found: str) -> Exception:
        remedy = f"look at {QUEUE}, delete there what nobody needs, and start again"
        return failure(UnavailableError, self._what, expected, found, remedy)

    def _entries(self) -> Iterator[Mapping]:
        """Jobs of the list, the newest first."""
        page = self._ask(lambda: self._client.get_jobs(limit=PAGE, sortby="-created"), None)
        for _ in range(PAGES):
            yield from [entry for entry in page.json["jobs"] if isinstance(entry, Mapping)]
            page = self._ask(lambda page=page: page.next, None)
            if page is None:
                return

    def _match(self, entry: Mapping) -> Remote | None:
        """The job of an entry, if it is the lost one."""
        if entry.get("processID") not in (None, DATASET) or entry.get("status") in _DEAD:
            return None
        made, job = _created(entry), entry.get("jobID")
        if job in self._others or (made is not None and made < self._intent - CLOCKS_DIFFER):
            return None
        near = made is None or abs(made - self._intent) < MOMENT
        if job is None:
            LOG.warning("%s: the service lists a job without its id", self._what)
            self._unclear |= {"without id"} if near else set()
            return None
        remote, theirs, there = self._ask(lambda: self._look(job), job)
        if not there:
            return None
        if theirs is None:
            LOG.warning("%s: CDS job %s does not show its request", self._what, job)
            self._unclear |= {job} if near else set()
        elif same_request(self._request, theirs):
            return remote
        else:
            self._others.add(job)  # looked at once, however often the search is broken off
        return None

    def _look(self, job: str) -> tuple[Remote | None, Mapping | None, bool]:
        """A listed job, its request if it shows one, and whether it is there still."""
        remote = None
        try:
            remote = self._client.get_remote(job)
            return remote, remote.request, True
        except requests.HTTPError as error:
            if gone(error):
                return None, None, False  # somebody deletes old jobs
            raise
        except _STRANGE as error:
            if isinstance(error, requests.RequestException):
                raise
        return remote, remote and self._receipt(remote), True

    def _receipt(self, remote: Remote) -> Mapping | None:
        """The request in a job's receipt, if there is one. The client's own function waits for the job's end."""
        try:
            answer = ApiResponse.from_request("get", f"{remote.url}/receipt", **remote._request_kwargs)
            theirs = answer.json["request"]
        except requests.HTTPError as error:
            if gone(error) or not_ready(error) or error.response.status_code in (400, 404):
                return None
            raise
        except _STRANGE as error:
            if isinstance(error, requests.RequestException):
                raise
            return None
        return theirs if isinstance(theirs, Mapping) else None


def _created(entry: Mapping) -> datetime | None:
    """When a job was made, as the service says, if it does."""
    try:
        made = datetime.fromisoformat(str(entry["created"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)
