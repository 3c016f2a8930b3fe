"""A month of SMAP granules from NSIDC into the archive: SPL3SMP whole, the 9 km products cut to the box on arrival.

What the archive has already is not asked for again. A granule takes its name there when its size and checksum are
those of the catalogue and its content is that of the day; days that the provider lacks are listed in the manifest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from pscnet.grids import ease2_grid
from pscnet.sources import SourceError
from pscnet.sources.fetch import DamagedError, FetchError, failure
from pscnet.sources.fetch.crew import alone, work_off
from pscnet.sources.fetch.crop import covers, crop, origin_of, window_of
from pscnet.sources.fetch.earthdata import Earthdata
from pscnet.sources.fetch.granules import OF_SOURCE, Granule, believe, expected, explain, missing, releases, when_of
from pscnet.sources.fetch.ledger import Ledger, Record, write_manifest
from pscnet.sources.fetch.parts import discard
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.repairs import write_down
from pscnet.sources.fetch.secrets import guarded
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.fetch.smap_arrival import (
    AbsentError,
    Arrival,
    announced,
    checksum_problem,
    fetch_granule,
    origin_problem,
    verifiable,
)
from pscnet.sources.fetch.smap_check import Content, check
from pscnet.sources.fetch.smap_parts import bound, clean
from pscnet.timeaxis import month_days

logger = logging.getLogger(__name__)

#: Downloads of one granule before what comes counts as damaged at the provider.
TRIES = 3

#: What may be the provider's own, or not: the same bytes must come twice.
HALF = "it lacks the half of a day"
UNKNOWN = "neither the catalogue nor the store tells a checksum of it"


def fetch_month(
    archive: str | Path,
    source: str,
    month: str,
    lat: Sequence[float],
    lon: Sequence[float],
    settings: Mapping[str, Any],
    output: str | Path,
    state_file: str | Path,
    state: object,
    screen: TextIO | None = None,
) -> None:
    """Bring a month of SMAP granules into the archive, and write its manifest.

    Parameters
    ----------
    archive : path
    source : {"smap", "smap_e", "smap_l4"}
        SPL3SMP, SPL3SMP_E or SPL4SMGP.
    month : str
        ``YYYY-MM``.
    lat, lon : sequence of float [degree]
        Box, or nodes: all cells that touch the box around them are fetched.
    settings : mapping
        The section ``fetch`` of the configuration.
    output : path
        Manifest to write.
    state_file : path
        Written at the end, with ``state`` as text.
    state : object
    screen : text stream, optional
        The terminal or SLURM log, for a line now and then.

    Raises
    ------
    FetchError
        See :mod:`pscnet.sources.fetch`; what was fetched is kept.
    """
    with guarded():
        box = (min(lat), max(lat)), (min(lon), max(lon))
        errands = _Errands(archive, source, month, *box, Settings.of(settings), screen)
        records = errands.records()
        lacking = missing(errands.product, month, list(records))
        write_manifest(output, source, month, archive, records.values(), missing=lacking)
        write_down(state_file, state)


class _Errands:
    """All granules of one month."""

    def __init__(
        self,
        archive: str | Path,
        source: str,
        month: str,
        lat: tuple[float, float],
        lon: tuple[float, float],
        settings: Settings,
        screen: TextIO | None,
    ) -> None:
        self.product, self._month, self._settings, self._screen = OF_SOURCE[source], month, settings, screen
        self._ledger, self._lat, self._lon = Ledger(archive), lat, lon
        self._version = settings.versions[self.product.name]
        self._variables = sorted(settings.l4_variables) if self.product.hours else []
        self._window = ease2_grid(lat, lon, self.product.grid)
        self._title = f"{self.product.name} {month}"
        self._wanted = [when for when in expected(self.product, month) if when[:10] not in settings.without]
        self._hidden = self._ledger.hidden
        self._stop = threading.Event()

    def records(self) -> dict[str, Record]:
        """The record of each day or time that the provider has, fetching what is missing."""
        lock = self._hidden / "slots" / f"{self.product.name}_{self._month}.lock"
        with alone(lock, self._title, self._screen, self._stop.is_set):
            there = self._good()
            if len(there) < len(self._wanted):
                try:
                    self._fetch(there)
                except FetchError:
                    bound(self._hidden / "parts", self.product, self._month)
                    raise
                there = self._good()
            clean(self._hidden / "parts", self.product, self._month)
        absent = missing(self.product, self._month, list(there))["days"]
        if absent:
            said = f"{self._title}: incomplete days: {explain(absent, self._settings.without)}"
            logger.warning("%s", said)
            if self._screen is not None:
                print(said, file=self._screen, flush=True)
        return there

    @property
    def _folder(self) -> Path:
        return Path("smap") / f"{self.product.name}.{self._version}" / self._month[:4]

    def _good(self) -> dict[str, Record]:
        """The good files of the month, by day or time: of the version, with the cells and fields wanted, the newest."""
        found = {}
        for record in self._ledger.good(self.product.source, self._month):
            when = when_of(record.provider_id, self.product)
            if when and Path(record.path).parent == self._folder and self._serves(record):
                found[when] = record  # the records come in order of their names, and so of their releases
        return {when: found[when] for when in self._wanted if when in found}

    def _lost(self) -> set[str]:
        """Days or times of which the archive had a file of the version once."""
        lost = self._ledger.lost(self.product.source, self._month)
        return {
            when for record in lost
            if Path(record.path).parent == self._folder and (when := when_of(record.provider_id, self.product))
        }  # fmt: skip

    def _serves(self, record: Record) -> bool:
        """Whether a file holds the cells and fields wanted."""
        if not self.product.cropped:
            return True
        request = record.request or {}
        return covers(request.get("window", {}), self._window) and set(self._variables) <= set(record.variables)

    def _request(self, granule: Granule) -> dict[str, Any]:
        """What was asked of the provider, and what was kept of its answer."""
        request: dict[str, Any] = {
            "short_name": granule.product, "version": self._version, "concept_id": granule.concept,
        }  # fmt: skip
        if self.product.cropped:
            request["window"] = window_of(self._window)
        return request

    def _final(self, granule: Granule) -> Path:
        """The granule's path in the archive: crops of other cells or fields have another name."""
        if not self.product.cropped:
            return self._folder / granule.name
        text = json.dumps([window_of(self._window), self._variables], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:8]
        return self._folder / f"{Path(granule.name).stem}.{key}.crop.h5"

    def _fetch(self, there: Mapping[str, Record]) -> None:
        """Find what the provider has and fetch what is missing of it, a few at a time."""
        earthdata = Earthdata(self._settings.patience, logger.info, self._stop.is_set)
        days = month_days(self._month)
        (south, north), (west, east) = self._lat, self._lon
        box = (west, south, east, north)
        found = earthdata.search(self.product.name, self._version, box, days[0], days[-1])
        chosen = releases(found, self.product, self._month)
        believe(self.product, self._month, self._version, chosen, there, self._lost(), self._settings.without)
        wanted = [chosen[when] for when in self._wanted if when in chosen and when not in there]
        if there:
            logger.info("%s: %d granules are there already", self._title, len(there))
        if wanted:
            sizes = [best.size for best, *_ in wanted]
            total = None if None in sizes else sum(sizes)
            with Progress(self._title, len(wanted), self._screen, total) as progress:
                self._download(earthdata, wanted, progress)

    def _download(self, earthdata: Earthdata, wanted: Sequence[list[Granule]], progress: Progress) -> None:
        """Fetch in a few threads; a granule that is damaged at the provider does not keep the others away."""
        slots = (self._hidden / "slots", "earthdata", self._settings.downloads_at_once)

        def bring(granules: list[Granule]) -> tuple[()]:
            self._bring_best(earthdata, granules, progress)
            return ()

        def meet(error: Exception, errors: list[Exception]) -> None:
            if isinstance(error, DamagedError | AbsentError):
                errors.append(error)
                return
            if not self._stop.is_set():
                errors.insert(0, error)
            self._stop.set()

        work_off(wanted, bring, meet, slots, self._stop, progress.note)

    def _bring_best(self, earthdata: Earthdata, granules: Sequence[Granule], progress: Progress) -> None:
        """Bring the best granule of a day; where it is damaged or gone at the provider, the next best one."""
        first: FetchError | None = None
        for granule in granules:
            try:
                self._bring(earthdata, granule, progress)
            except (DamagedError, AbsentError) as error:
                first = first or error
                logger.warning("%s", error)
                continue
            if first is not None:
                logger.warning("%s stands in for %s, which could not be had", granule.name, granules[0].name)
            return
        raise first

    def _bring(self, earthdata: Earthdata, granule: Granule, progress: Progress) -> None:
        """Bring one granule into the archive, whole or cropped."""
        if self._adopted(granule):
            progress.done(granule.name)
            return
        part, before = self._ledger.part(granule.name), None
        for attempt in range(1, TRIES + 1):
            arrival = fetch_granule(earthdata, granule, part, self._settings, progress, self._stop.is_set, attempt > 1)
            problem = arrival.problem
            if problem is None:
                same = arrival.sha256 == before
                sure = arrival.proven or arrival.tagged or same
                problem = self._kept(granule, arrival, same) if sure else UNKNOWN
            if problem is None:
                progress.done(granule.name)
                return
            progress.bytes(-arrival.size)
            if problem in (HALF, UNKNOWN):
                before = arrival.sha256
                logger.warning("%s is fetched once more, to see whether the same comes: %s", granule.name, problem)
                continue
            self._quarantine(part, granule, problem)
            if arrival.proven:
                break  # these are the provider's bytes, and will be the next time
        if part.exists():
            self._quarantine(part, granule, problem)
        raise failure(
            DamagedError,
            granule.name,
            "a whole granule, as the catalogue announces it",
            f"something else, {attempt} times, the last time: {problem}",
            f"look into {self._ledger.archive}/.quarantine/{self.product.source}, start again later, and tell NSIDC "
            f"(nsidc@nsidc.org) if it stays so; fetch.smap.without: [{granule.day}] goes on without that day",
        )

    def _quarantine(self, part: Path, granule: Granule, problem: str) -> None:
        """Put a bad granule aside under its own name."""
        named = part.with_name(granule.name)
        os.replace(part, named)
        discard(part)
        self._ledger.quarantine(named, self.product.source, problem, granule.url)

    def _kept(self, granule: Granule, arrival: Arrival, same_again: bool) -> str | None:
        """Check the content and give the file its final name; else say what is wrong with it.

        A granule without one half of the day may be the provider's own: when its checksum is the announced one, or,
        where none is announced, when the same bytes came twice.
        """
        try:
            part, content = self._checked(granule, arrival)
        except FetchError:
            raise
        except SourceError as error:
            return str(error)
        if content.missing_halves:
            if not (arrival.proven or same_again):
                return HALF
            text = " and ".join(content.missing_halves)
            logger.warning("%s has no %s group; that is how the provider has it", granule.name, text)
        fields = self._fields(granule, content)
        if self.product.cropped:
            whole = {"name": granule.name, "size": arrival.size, "sha256": arrival.sha256}
            fields["origin"] = whole | announced(granule)
        known = None if self.product.cropped else arrival.sha256
        self._ledger.keep(part, self._final(granule), sha256=known, **fields)
        discard(arrival.path)
        return None

    def _checked(self, granule: Granule, arrival: Arrival) -> tuple[Path, Content]:
        """The file to keep, and what it holds."""
        part = arrival.path
        if self.product.cropped:
            part = self._ledger.part(self._final(granule).name)
            crop(
                arrival.path, self._lat, self._lon, part, self._variables or None,
                name=granule.name, sha256=arrival.sha256, grid=self.product.grid,
            )  # fmt: skip
        return part, self._check(part, granule, not arrival.proven)

    def _check(self, path: Path, granule: Granule, every: bool) -> Content:
        return check(path, granule.product, granule.when, name=granule.name, variables=self._variables, every=every)

    def _fields(self, granule: Granule, content: Content) -> dict[str, Any]:
        """What the ledger keeps of a file."""
        return {
            "source": self.product.source,
            "month": self._month,
            "provider_id": granule.name,
            "version": granule.release,
            "url": granule.url,
            "request": self._request(granule),
            "first": content.first,
            "last": content.last,
            "variables": content.variables,
        }

    def _adopted(self, granule: Granule) -> bool:
        """Whether the granule, or a crop of it, is there without record, and is good: then it is recorded."""
        path = self._ledger.archive / self._final(granule)
        if not path.exists():
            return False
        cropped = self.product.cropped
        try:
            origin = origin_of(path) if cropped else None
            problem = origin_problem(granule, origin) if cropped else checksum_problem(granule, path)
            content = self._check(path, granule, cropped or not verifiable(granule)) if problem is None else None
        except SourceError as error:
            problem = str(error)
        if problem is not None:
            self._ledger.quarantine(path, self.product.source, problem, granule.url)
            return False
        whole = {"origin": origin | announced(granule)} if cropped else {}
        self._ledger.adopt(self._final(granule), **self._fields(granule, content), **whole)
        logger.info("%s is there already and was verified", granule.name)
        return True
