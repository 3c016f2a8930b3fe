"""Jobs of the local Climate Data Store: their way from accepted to successful, or to a bad end."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.faults import Faults
from tests.servers.world import NoDataError, World, zipped

NO_DATA = "MultiAdaptorNoDataError: None of the data you have requested is available yet, please revise the period"
CRASH = "Traceback (most recent call last):\n  File 'adaptor.py', line 1\nRuntimeError: retrieval from tape failed"
DENIED = "The request has been rejected: your account may not use this dataset"
QUOTA = "The request has been rejected: number of queued requests per user is limited"

#: Flaws of a result, in the order in which they are asked for: fault to what is wrong.
FLAWS = ("cds_zip_unasked", "cds_zip_empty", "cds_zip_truncated", "cds_day_missing", "cds_variable_missing")
#: A flaw with which the values are all there all the same.
HARMLESS = ("cds_zip_unasked",)

ALIVE = ("accepted", "running", "successful")


def key_of(request: Mapping[str, Any]) -> str:
    """Equal for requests that ask for the same, however their lists are ordered."""
    plain = {
        name: sorted(map(str, value)) if isinstance(value, list) and name != "area" else value
        for name, value in request.items()
    }
    return json.dumps(plain, sort_keys=True)


def timestamp(moment: float) -> str:
    """As the service writes times: UTC without saying so."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


@dataclass
class Job:
    """One job.

    ``queue`` and ``work`` [s] are how long it stays accepted and running; ``fate`` is how it ends: ``successful``,
    ``failed``, ``rejected`` or ``dismissed``. ``held`` keeps it accepted, until somebody was ``told`` of its end;
    ``needless`` tells that another job would have done.
    """

    request: dict[str, Any]
    dataset: str
    queue: float
    work: float
    fate: str = "successful"
    traceback: str = ""
    flaw: str | None = None
    needless: bool = False
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: float = field(default_factory=time.time)
    held: bool = False
    told: bool = False
    content: Path | None = None
    expired: bool = False
    gone: bool = False
    listed_from: float = 0.0

    @property
    def key(self) -> str:
        return key_of(self.request)

    def status(self, now: float) -> str:
        """The status at a moment."""
        age = now - self.created
        if self.gone:
            return "dismissed"
        if age < self.queue or self.held:
            return "accepted"
        if self.fate == "rejected":
            return "rejected"
        if age < self.queue + self.work or (self.fate == "successful" and self.content is None):
            return "running"
        return self.fate

    def requeue(self, now: float, queue: float) -> None:
        """Back into the queue, for so many seconds from now."""
        self.queue, self.told = now - self.created + queue, False

    @property
    def may_hang(self) -> bool:
        """Whether nobody has been told yet that the job has ended, so that it may still be accepted."""
        return not self.told and not self.gone

    def hopeless(self, now: float) -> bool:
        """Whether nothing good can come of this job any more, so that a new one is called for."""
        flawed = self.flaw is not None and self.flaw not in HARMLESS
        return self.expired or flawed or self.status(now) not in ALIVE


class Jobs:
    """All jobs of one account, in the order of submission."""

    def __init__(self, world: World, faults: Faults, queue: float, work: float) -> None:
        self.world, self.faults, self.queue, self.work = world, faults, queue, work
        self.all: list[Job] = []
        self._lock = threading.Lock()

    def submit(self, dataset: str, request: dict[str, Any]) -> Job:
        """A new job; its fate is drawn here, its file made beside."""
        job = Job(request, dataset, self.queue, self.work)
        with self._lock:
            job.needless = any(other.key == job.key and not other.hopeless(job.created) for other in self.all)
            self._draw(job)
            self.all.append(job)
        worker = threading.Thread(target=self._work, args=(job,), daemon=True)
        worker.start()
        worker.join(0.1)  # what is made in no time is there at once
        return job

    def _draw(self, job: Job) -> None:
        ends = {
            "cds_failed": ("failed", CRASH),
            "cds_no_data": ("failed", NO_DATA),
            "cds_rejected": ("rejected", DENIED),
            "cds_rejected_load": ("rejected", QUOTA),
            "cds_dismissed": ("dismissed", ""),
        }
        for fault, (fate, traceback) in ends.items():
            if self.faults.take(fault):
                job.fate, job.traceback = fate, traceback
                return
        job.flaw = next((fault for fault in FLAWS if self.faults.take(fault)), None)

    def _work(self, job: Job) -> None:
        try:
            job.content = self._content(job)
        except NoDataError as error:
            job.fate, job.traceback = "failed", f"{NO_DATA} ({error})"

    def _content(self, job: Job) -> Path:
        request = job.request
        if job.flaw == "cds_day_missing":
            days = request["day"] if isinstance(request["day"], list) else [request["day"]]
            times = request["time"] if isinstance(request["time"], list) else [request["time"]]
            less = {"day": days[:-1]} if len(days) > 1 else {"time": times[:-1]}
            return self.world.era5_land({**request, **less})
        if job.flaw == "cds_variable_missing":
            names = request["variable"]
            less = names[:-1] if len(names) > 1 else [_another(names[0])]
            return self.world.era5_land({**request, "variable": less})
        whole = self.world.era5_land(request)
        if job.flaw is None:
            return whole
        target = whole.with_name(f"{whole.name}.{job.flaw}.{job.id[:8]}")
        members = [] if job.flaw == "cds_zip_empty" else [("data_0.nc", whole.read_bytes())]
        zipped(target, members)
        if job.flaw == "cds_zip_truncated":
            content = target.read_bytes()
            target.write_bytes(content[: len(content) * 2 // 3])
        return target

    def find(self, job_id: str) -> Job | None:
        """The job of an id, unless it was deleted."""
        return next((job for job in self.listed() if job.id == job_id), None)

    def listed(self) -> list[Job]:
        """All jobs, as they are now."""
        with self._lock:
            return list(self.all)


def _another(name: str) -> str:
    """A variable of the same kind that is not the one asked for."""
    instants = ("2m_temperature", "volumetric_soil_water_layer_1")
    totals = ("total_precipitation", "surface_solar_radiation_downwards")
    return next(other for family in (instants, totals) if name in family for other in family if other != name)
