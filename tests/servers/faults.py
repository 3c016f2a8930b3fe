"""What can go wrong on the other side: every fault that the local servers inject, and when.

A fault is planted with :meth:`Faults.plant`; the servers ask :meth:`Faults.take` at the place where it would happen.
Each fault of :data:`FAULTS` has a test with its outcome: the test list and this list are held against each other.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong.

    ``outcome`` is what a single occurrence must end in: ``recovered`` (the file arrives in the same run, right to the
    byte, but for :data:`OTHER_FILES`), or ``error`` (a clear message, nothing lost, and the next run goes on once the
    cause is gone).
    """

    name: str
    what: str
    outcome: Literal["recovered", "error"]


CDS = (
    Fault("cds_401", "the key is not accepted", "error"),
    Fault("cds_403_licence", "the licence has not been accepted", "error"),
    Fault("cds_403_cost", "the request costs too much: smaller ones pass", "recovered"),
    Fault("cds_400_invalid", "the request is invalid", "error"),
    Fault("cds_404_dataset", "the dataset does not exist", "error"),
    Fault("cds_429", "rate limit, with Retry-After", "recovered"),
    Fault("cds_500", "internal error in JSON", "recovered"),
    Fault("cds_502_html", "a proxy's HTML page with status 502", "recovered"),
    Fault("cds_503", "service unavailable", "recovered"),
    Fault("cds_504", "read timeout of the gateway", "recovered"),
    Fault("cds_403_maintenance", "permission denied, for maintenance", "recovered"),
    Fault("cds_html_404", "a proxy's page with status 404 in place of a job", "recovered"),
    Fault("cds_post_answer_lost", "the job is made, its answer never comes", "recovered"),
    Fault("cds_stuck", "a job that stays accepted for ever", "error"),
    Fault("cds_failed", "a job that fails with a traceback, once", "recovered"),
    Fault("cds_no_data", "a job that fails since the data do not exist yet", "error"),
    Fault("cds_rejected", "a job that is rejected", "error"),
    Fault("cds_rejected_load", "a job that is rejected since too many are queued", "recovered"),
    Fault("cds_dismissed", "a job that somebody dismissed", "recovered"),
    Fault("cds_results_not_ready", "results that are not ready although the job is", "recovered"),
    Fault("cds_results_expired", "results that have expired", "recovered"),
    Fault("cds_requeued", "a job that was done goes back into the queue", "recovered"),
    Fault("cds_listed_gone", "a job in the list that somebody has deleted", "recovered"),
    Fault("cds_listed_bare", "a job that does not show its request, but in its receipt", "recovered"),
    Fault("cds_504_late", "read timeout of the gateway, and the job is made a moment later", "recovered"),
    Fault("cds_asset_cut_early", "a download cut before its first MiB", "recovered"),
    Fault("cds_asset_cut_late", "a download cut near its end", "recovered"),
    Fault("cds_asset_cut_unannounced", "a cut download that never told its length", "recovered"),
    Fault("cds_no_ranges", "a cut download from a server without ranges", "recovered"),
    Fault("cds_ranges_ignored", "ranges announced, then answered with the whole file", "recovered"),
    Fault("cds_head_403", "HEAD refused with 403", "recovered"),
    Fault("cds_head_405", "HEAD refused with 405", "recovered"),
    Fault("cds_asset_link_expired", "the link of the file has expired", "recovered"),
    Fault("cds_store_refuses", "a store that refuses every link", "recovered"),
    Fault("cds_no_checksum", "results without file:checksum", "recovered"),
    Fault("cds_wrong_size", "file:size that is not the file's", "recovered"),
    Fault("cds_wrong_checksum", "file:checksum that is not the file's, always", "recovered"),
    Fault("cds_swapped_on_resume", "another content of equal size after a cut", "recovered"),
    Fault("cds_stall", "a download that stops without ending", "recovered"),
    Fault("cds_trickle", "a download of a few bytes a second", "recovered"),
    Fault("cds_zip_unasked", "a zip although unarchived was asked", "recovered"),
    Fault("cds_zip_empty", "a zip without members", "recovered"),
    Fault("cds_zip_truncated", "a zip cut short, with sizes that agree", "recovered"),
    Fault("cds_day_missing", "NetCDF without one of the days", "recovered"),
    Fault("cds_variable_missing", "NetCDF without one of the variables", "recovered"),
    Fault("cds_html_asset", "an HTML page with status 200 instead of the file", "recovered"),
)

EARTHDATA = (
    Fault("edl_401", "user name or password refused", "error"),
    Fault("edl_503", "the token endpoint is down for a moment", "recovered"),
    Fault("edl_token_expired", "a token that has expired", "error"),
    Fault("edl_bearer_refused", "a bearer refused: OAuth redirect through the login host", "recovered"),
    Fault("edl_redirect_loop", "redirects without end", "recovered"),
    Fault("edl_eula", "403: an EULA has not been accepted", "error"),
    Fault("cmr_504", "the search times out", "recovered"),
    Fault("cmr_hits_mismatch", "fewer granules on the pages than hits announced", "recovered"),
    Fault("cmr_many", "more than 2,000 granules", "recovered"),
    Fault("cmr_duplicates", "several versions of one date", "recovered"),
    Fault("cmr_missing_date", "a date without granule", "recovered"),
    Fault("cmr_no_size_or_checksum", "a granule without SizeInBytes and Checksum", "recovered"),
    Fault("store_cut", "the object store cuts the download", "recovered"),
    Fault("store_stall", "the object store stops without ending", "recovered"),
    Fault("store_403", "the signature of the store's link has expired", "recovered"),
    Fault("store_503", "the object store is down for a moment", "recovered"),
    Fault("data_html_200", "an HTML page with status 200 instead of the granule", "recovered"),
    Fault("data_wrong_checksum", "right length, wrong bytes, once", "recovered"),
    Fault("data_group_missing", "HDF5 without the AM or the PM group", "recovered"),
)

#: Recovered from with the same values, but in other files: the service leaves no choice.
OTHER_FILES = ("cds_403_cost", "cds_zip_unasked")

FAULTS = {fault.name: fault for fault in (*CDS, *EARTHDATA)}


class Faults:
    """Which faults happen: planted ones by count, and in a chaos run any of ``names`` by chance.

    Parameters
    ----------
    seed : int, optional
    names : iterable of str, optional
        Faults that may happen by chance.
    rate : float
        Chance of each of them at each place where it could happen.
    """

    def __init__(self, seed: int = 0, names: tuple[str, ...] = (), rate: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._names, self._rate = frozenset(names), rate
        self._planted: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.taken: Counter[str] = Counter()

    def plant(self, name: str, times: int = 1) -> None:
        """Let a fault happen the next ``times`` times (a large number: always)."""
        assert name in FAULTS, f"no fault of that name: {name}"
        with self._lock:
            self._planted[name] += times

    def clear(self) -> None:
        """Let everything be well from now on."""
        with self._lock:
            self._planted.clear()
            self._names = frozenset()

    def take(self, name: str) -> bool:
        """Whether the fault happens here and now; counted in :attr:`taken`."""
        assert name in FAULTS, f"no fault of that name: {name}"
        with self._lock:
            if self._planted[name] > 0:
                self._planted[name] -= 1
            elif not (name in self._names and self._random.random() < self._rate):
                return False
            self.taken[name] += 1
            return True
