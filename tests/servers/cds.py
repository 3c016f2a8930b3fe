"""A local Climate Data Store: every call of the retrieval API that clients make, with the real bodies, and its faults.

The key is asked for on every call but the catalogue's; the object store must never see it.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.servers import cds_store
from tests.servers.cds_jobs import Job, Jobs, timestamp
from tests.servers.cds_store import Shape, Store
from tests.servers.faults import Faults
from tests.servers.internet import Answer, Request
from tests.servers.world import SHORT, World

HOST = "cds.climate.copernicus.eu"
BASE = f"https://{HOST}/api"
DATASET = "reanalysis-era5-land"
LICENCE = {"id": "cc-by", "revision": 1, "label": "CC-BY licence", "scope": "dataset"}

KEY = "6ed1f0d4-1c1b-4f6e-9a55-5c5d0f1b7a11"

#: Cost limit of a request [fields]; public reports lie between 4,464 and 7,440.
LIMIT = 5000

#: What each call may suffer before anything is done, in this order.
OUTAGES = {"cds_500": 500, "cds_502_html": 502, "cds_503": 503, "cds_504": 504}

#: How long a job may need to be listed [s].
LATE = 0.4

NEEDED = ("variable", "year", "month", "day", "time", "area", "data_format")


class RefusalError(Exception):
    """An error answer of the API."""

    def __init__(self, status: int, title: str, detail: str, headers: dict | None = None) -> None:
        super().__init__(title)
        self.status, self.headers = status, headers or {}
        self.body = {"type": title, "title": title, "status": status, "detail": detail}


class Cds:
    """The service.

    Parameters
    ----------
    world : World
    faults : Faults, optional
    key : str
        The personal access token that is accepted.
    queue, work : float
        How long a job stays accepted and running [s].
    limit : int
        Largest request [fields].
    shape : str
        Which ETags, and thus ``file:checksum``, the store gives: ``md5``, ``multipart``, ``leading_zero`` or ``mixed``.
    retry_after : int
        Seconds that a 429 asks to wait.

    Attributes
    ----------
    jobs : list of Job
    submitted : Counter
        Jobs by request.
    licences : list of dict
        Those that the account has accepted.
    requeued_for : float
        How long a job that goes back into the queue stays there [s].
    """

    hosts = (HOST, cds_store.HOST)

    def __init__(
        self,
        world: World,
        faults: Faults | None = None,
        key: str = KEY,
        queue: float = 0.05,
        work: float = 0.05,
        limit: int = LIMIT,
        shape: Shape = "mixed",
        retry_after: int = 1,
    ) -> None:
        self.world, self.faults, self.key = world, faults or Faults(), key
        self.limit, self.retry_after = limit, retry_after
        self.licences = [LICENCE]
        self.requeued_for = 0.1
        self.store = Store(self.faults, shape)
        self._jobs = Jobs(world, self.faults, queue, work)

    def environment(self) -> dict[str, str]:
        """What a client of this service needs."""
        return {"CDSAPI_URL": BASE, "CDSAPI_KEY": self.key}

    @property
    def jobs(self) -> list[Job]:
        return self._jobs.listed()

    @property
    def submitted(self) -> Counter[str]:
        return Counter(job.key for job in self.jobs)

    @property
    def needless(self) -> list[Job]:
        """Jobs that were submitted although an earlier one for the same request was in good order."""
        return [job for job in self.jobs if job.needless]

    def pace(self, queue: float, work: float) -> None:
        """How long jobs submitted from now on stay accepted and running [s]."""
        self._jobs.queue, self._jobs.work = queue, work

    def answer(self, request: Request) -> Answer:
        if request.host == cds_store.HOST:
            return self.store.answer(request)
        try:
            if not request.path.startswith("/api/catalogue/"):
                self._outage()
            return self._dispatch(request)
        except RefusalError as refusal:
            extra = {"instance": f"https://{HOST}{request.path}", "trace_id": str(uuid.uuid4())}
            return _json(refusal.body | extra, refusal.status, refusal.headers)
        except _HtmlError as error:
            page = f"<html>\r\n<head><title>{error}</title></head>\r\n<body>{error}</body>\r\n</html>\r\n"
            return Answer(int(str(error)[:3]), page.encode(), {"Content-Type": "text/html"})

    def _outage(self) -> None:
        if self.faults.take("cds_429"):
            wait = self.retry_after
            detail = f"Rate limit exceeded. Please wait {wait} seconds."
            raise RefusalError(429, "rate limit exceeded", detail, {"Retry-After": str(wait)})
        for fault, status in OUTAGES.items():
            if self.faults.take(fault):
                if status == 502:
                    raise _HtmlError("502 Bad Gateway")
                title = {500: "internal server error", 503: "service unavailable", 504: "read timeout error"}[status]
                raise RefusalError(status, title, "an unexpected error occurred")

        if self.faults.take("cds_403_maintenance"):
            raise RefusalError(403, "permission denied", "The system is under maintenance, please try again later.")

    def _dispatch(self, request: Request) -> Answer:
        for method, pattern, handler in ROUTES:
            if request.method == method and (found := re.fullmatch(pattern, request.path)):
                if not request.path.startswith("/api/catalogue/"):
                    self._authenticate(request)
                return handler(self, request, *found.groups())
        raise RefusalError(404, "Not Found", f"no such resource: {request.method} {request.path}")

    def _authenticate(self, request: Request) -> None:
        token = request.headers.get("private-token")
        if token is None:
            raise RefusalError(401, "authentication required", "a personal access token is required")
        if token != self.key or self.faults.take("cds_401"):
            raise RefusalError(401, "authentication failed", "the personal access token is not valid")

    # the catalogue and the profile

    def _messages(self, request: Request) -> Answer:
        return _json({"messages": []})

    def _all_licences(self, request: Request) -> Answer:
        return _json({"licences": [LICENCE]})

    def _verify(self, request: Request) -> Answer:
        return _json({"id": 1, "sub": "ffffffff-0000-4000-8000-000000000001", "role": "user"})

    def _accepted(self, request: Request) -> Answer:
        return _json({"licences": list(self.licences)})

    def _accept(self, request: Request, licence: str) -> Answer:
        if licence != LICENCE["id"]:
            raise RefusalError(404, "licence not found", f"licence {licence} not found")
        self.licences = [LICENCE]
        return _json({"id": licence, "revision": json.loads(request.body)["revision"]})

    # processes

    def _process(self, request: Request, dataset: str) -> Answer:
        self._known(dataset)
        href = f"{BASE}/retrieve/v1/processes/{dataset}"
        link = {"href": href, "rel": "self", "type": "application/json", "title": "process"}
        return _json({"id": dataset, "version": "1.0.0", "title": "ERA5-Land hourly data", "links": [link]})

    def _known(self, dataset: str) -> None:
        if dataset != DATASET or self.faults.take("cds_404_dataset"):
            raise RefusalError(404, "process not found", f"dataset {dataset} not found")

    def _inputs(self, request: Request) -> dict[str, Any]:
        try:
            inputs = json.loads(request.body)["inputs"]
        except (ValueError, KeyError, TypeError) as error:
            raise RefusalError(422, "invalid parameter", f"the body holds no inputs: {error}") from error
        absent = [name for name in NEEDED if name not in inputs]
        unknown = [name for name in _strings(inputs.get("variable", [])) if name not in SHORT]
        if absent or unknown or self.faults.take("cds_400_invalid"):
            raise RefusalError(
                400, "invalid request", f"Request has not produced a valid combination of values {inputs}"
            )
        return {**inputs, "variable": list(_strings(inputs["variable"]))}

    def _costing(self, request: Request, dataset: str) -> Answer:
        self._known(dataset)
        cost = fields_of(self._inputs(request))
        valid = cost <= self.limit
        reason = None if valid else "cost limits exceeded"
        return _json(
            {"id": "size", "cost": cost, "limit": self.limit, "request_is_valid": valid, "invalid_reason": reason}
        )

    def _execute(self, request: Request, dataset: str) -> Answer:
        self._known(dataset)
        if not self.licences or self.faults.take("cds_403_licence"):
            page = f"https://{HOST}/datasets/{dataset}?tab=download#manage-licences"
            detail = f"please visit {page} to accept the required licence(s)."
            raise RefusalError(
                403,
                "required licences not accepted",
                f"Not all the required licences have been accepted; {detail}",
            )
        inputs = self._inputs(request)
        cost = fields_of(inputs)
        if self.faults.take("cds_403_cost"):
            self.limit = cost - 1  # from now on: the same request would fail again
        if cost > self.limit:
            raise RefusalError(403, "cost limits exceeded", "Your request is too large, please reduce your selection.")
        job = self._jobs.submit(dataset, inputs)
        job.held = self.faults.take("cds_stuck")  # before its first answer, which may tell of the end
        if self.faults.take("cds_504_late"):
            job.listed_from = time.time() + LATE
            raise RefusalError(504, "read timeout error", "the gateway did not wait any longer")
        if self.faults.take("cds_post_answer_lost"):
            return Answer(vanish=True)
        execution = f"{BASE}/retrieve/v1/processes/{dataset}/execution"
        links = [{"href": execution, "rel": "self", "type": None, "title": None}, _monitor(job)]
        body = self._shown(job, links)
        body["metadata"] = {"datasetMetadata": {"messages": []}, "origin": "api"}
        return _json(body, 201, {"Location": _monitor(job)["href"]})

    # jobs

    def _shown(self, job: Job, links: list[dict]) -> dict[str, Any]:
        now = time.time()
        status = job.status(now)
        shown = {
            "processID": job.dataset,
            "type": "process",
            "jobID": job.id,
            "status": status,
            "created": timestamp(job.created),
            "updated": timestamp(min(now, job.created + job.queue + job.work)),
            "links": links,
        }
        if status != "accepted":
            shown["started"] = timestamp(job.created + job.queue)
        if status not in ("accepted", "running"):
            job.told = True
            shown["finished"] = timestamp(job.created + job.queue + job.work)
        return shown

    def _links(self, job: Job) -> list[dict]:
        href = _monitor(job)["href"]
        links = [{"href": href, "rel": "self", "type": "application/json", "title": None}, _monitor(job)]
        if job.status(time.time()) in ("successful", "failed", "rejected"):
            links.append({"href": f"{href}/results", "rel": "results", "type": None, "title": None})
        return links

    def _find(self, job_id: str) -> Job:
        job = self._jobs.find(job_id)
        if job is None:
            raise RefusalError(404, "job not found", f"job {job_id} not found")
        return job

    def _job(self, request: Request, job_id: str) -> Answer:
        if self.faults.take("cds_html_404"):
            raise _HtmlError("404 Not Found")
        job = self._find(job_id)
        job.held = job.may_hang and self.faults.take("cds_stuck")
        shown = self._shown(job, self._links(job))
        shown["metadata"] = {"datasetMetadata": {"messages": []}, "origin": "api"}
        if request.first("request", "").lower() == "true" and not self.faults.take("cds_listed_bare"):
            shown["metadata"]["request"] = {"ids": job.request, "labels": {}}
        if request.first("log", "").lower() == "true":
            since = request.first("logStartTime", "")
            lines = [[timestamp(job.created), "Request accepted"], [shown["updated"], f"Request is {shown['status']}"]]
            shown["metadata"]["log"] = [line for line in lines if line[0] > since]
        return _json(shown)

    def _list(self, request: Request) -> Answer:
        now = time.time()
        jobs = [job for job in self.jobs if job.listed_from <= now]
        if wanted := request.query.get("status"):
            jobs = [job for job in jobs if job.status(now) in wanted]
        jobs.sort(key=lambda job: job.created, reverse=request.first("sortby", "-created") == "-created")
        limit, start = int(request.first("limit", "1000")), int(request.first("cursor", "0"))
        page = jobs[start : start + limit]
        address = f"{BASE}/retrieve/v1/jobs"
        links = [{"href": address, "rel": "self", "type": "application/json", "title": "list of submitted jobs"}]
        if start + limit < len(jobs):
            kept = [(name, value) for name, values in request.query.items() if name != "cursor" for value in values]
            query = "&".join(f"{name}={value}" for name, value in [*kept, ("cursor", start + limit)])
            links.append({"href": f"{address}?{query}", "rel": "next", "type": None, "title": None})
        shown = [self._shown(job, self._links(job)) for job in page]
        if shown and self.faults.take("cds_listed_gone"):
            shown.insert(0, {**shown[0], "jobID": str(uuid.uuid4()), "status": "successful"})
        return _json({"jobs": shown, "links": links, "metadata": {"totalCount": len(jobs)}})

    def _results(self, request: Request, job_id: str) -> Answer:
        job = self._find(job_id)
        status = job.status(time.time())
        if status in ("failed", "rejected"):
            refusal = RefusalError(400, f"The job has {'failed' if status == 'failed' else 'been rejected'}", "")
            refusal.body |= {"type": "job results failed", "traceback": job.traceback}
            del refusal.body["detail"]
            raise refusal
        if status == "successful" and self.faults.take("cds_results_expired"):
            job.expired = True
        if job.expired:
            raise RefusalError(404, "results expired", f"results of job {job.id} expired")
        if status == "successful" and self.faults.take("cds_requeued"):
            job.requeue(time.time(), self.requeued_for)
            status = job.status(time.time())
        if status != "successful" or self.faults.take("cds_results_not_ready"):
            raise RefusalError(404, "job results not ready", f"status of job {job.id} is running")
        return _json(self.store.asset(job))

    def _receipt(self, request: Request, job_id: str) -> Answer:
        job = self._find(job_id)
        return _json({"request_uid": job.id, "collection_id": job.dataset, "request": job.request})

    def _delete(self, request: Request, job_id: str) -> Answer:
        job = self._find(job_id)
        job.gone = True
        return _json(self._shown(job, self._links(job)))

    def _delete_many(self, request: Request) -> Answer:
        jobs = [self._find(job_id) for job_id in json.loads(request.body)["job_ids"]]
        for job in jobs:
            job.gone = True
        return _json({"jobs": [self._shown(job, self._links(job)) for job in jobs], "links": [], "metadata": {}})


class _HtmlError(Exception):
    """A proxy before the service speaks."""


_ID = "([0-9a-zA-Z-]+)"
ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/api/catalogue/v1/messages", Cds._messages),
    ("GET", "/api/catalogue/v1/vocabularies/licences", Cds._all_licences),
    ("POST", "/api/profiles/v1/account/verification/pat", Cds._verify),
    ("GET", "/api/profiles/v1/account/licences", Cds._accepted),
    ("PUT", f"/api/profiles/v1/account/licences/{_ID}", Cds._accept),
    ("GET", f"/api/retrieve/v1/processes/{_ID}", Cds._process),
    ("POST", f"/api/retrieve/v1/processes/{_ID}/costing", Cds._costing),
    ("POST", f"/api/retrieve/v1/processes/{_ID}/execution", Cds._execute),
    ("POST", "/api/retrieve/v1/jobs/delete", Cds._delete_many),
    ("GET", "/api/retrieve/v1/jobs", Cds._list),
    ("GET", f"/api/retrieve/v1/jobs/{_ID}", Cds._job),
    ("DELETE", f"/api/retrieve/v1/jobs/{_ID}", Cds._delete),
    ("GET", f"/api/retrieve/v1/jobs/{_ID}/results", Cds._results),
    ("GET", f"/api/retrieve/v1/jobs/{_ID}/receipt", Cds._receipt),
)


def fields_of(request: dict[str, Any]) -> int:
    """Cost of a request: variables x days x times; the area does not count."""
    cost = 1
    for name in ("variable", "year", "month", "day", "time"):
        cost *= len(_strings(request[name]))
    return cost


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _monitor(job: Job) -> dict[str, str]:
    href = f"{BASE}/retrieve/v1/jobs/{job.id}"
    return {"href": href, "rel": "monitor", "type": "application/json", "title": "job status info"}


def _json(content: dict, status: int = 200, headers: dict | None = None) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})
