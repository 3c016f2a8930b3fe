"""What is known of a CDS request from earlier runs: one small file a request, written before and after each step.

===========  ==========================================================================================
key          meaning
===========  ==========================================================================================
request      as sent
intent       when a job was about to be submitted (ISO 8601, UTC): without ``id`` it may exist or not
id           the job to go on with
too_large    the service refuses the request for its size; it is cut in two
history      jobs that came to nothing: ``id``, ``end`` (why) and ``at`` (when)
===========  ==========================================================================================
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from pscnet.sources.atomic import write_durably
from pscnet.sources.fetch.era5_requests import DATASET, key
from pscnet.sources.fetch.ledger import now

LOG = logging.getLogger(__name__)


class State:
    """The stored state of one request."""

    def __init__(self, archive: str | Path, request: Mapping) -> None:
        self.path = Path(archive) / ".fetch" / "requests" / f"{key(request)}.json"
        self._values: dict = {"dataset": DATASET, "request": dict(request)}
        self._values |= {"intent": None, "id": None, "too_large": False, "history": []}
        try:
            self._values |= json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (ValueError, TypeError) as error:
            LOG.warning("%s cannot be read (%s): the service will be asked for the job", self.path, error)
            self._values["intent"] = now()

    @property
    def lock(self) -> Path:
        """The lock file of the request."""
        return self.path.with_suffix(".lock")

    @property
    def id(self) -> str | None:
        return self._values["id"]

    @property
    def intent(self) -> str | None:
        return self._values["intent"]

    @property
    def too_large(self) -> bool:
        return self._values["too_large"]

    @property
    def past(self) -> set[str]:
        """Jobs that came to nothing."""
        return {entry["id"] for entry in self._values["history"]}

    def elsewhere(self) -> set[str]:
        """Jobs that are known to be those of other requests of the archive."""
        jobs = set()
        for path in self.path.parent.glob("*.json"):
            if path != self.path:
                try:
                    jobs.add(json.loads(path.read_text(encoding="utf-8"))["id"])
                except (OSError, ValueError, KeyError, TypeError):
                    LOG.warning("%s cannot be read", path)
        return jobs - {None}

    def intend(self) -> None:
        """A job is about to be submitted."""
        self._set(intent=now())

    def withdraw(self) -> None:
        """The submission was refused: there is no job."""
        self._set(intent=None, id=None)

    def submitted(self, job: str) -> None:
        """The job exists."""
        self._set(id=job)

    def over(self, why: str) -> None:
        """The job came to nothing.

        Raises
        ------
        ValueError
            When there is none: an intention may stand for a job that nobody has looked at.
        """
        if self.id is None:
            raise ValueError(f"{self.path}: no job is known that could be over ({why})")
        entry = {"id": self.id, "end": why, "at": now()}
        self._set(intent=None, id=None, history=[*self._values["history"], entry])

    def refuse_size(self) -> None:
        """The request must be cut."""
        self._set(intent=None, id=None, too_large=True)

    def _set(self, **values: object) -> None:
        self._values |= values
        write_durably(self.path, self._values)
