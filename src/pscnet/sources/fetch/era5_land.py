"""A month of ERA5-Land, or the step at one edge of the period, from the Climate Data Store into the archive.

What the archive has already is never asked for again; what is missing is asked for in as few requests as the service
allows, instants and accumulations apart. The manifest is written when all is there.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from pscnet.sources import SourceError
from pscnet.sources.fetch import RefusedError, TooLargeError
from pscnet.sources.fetch.cds import Context, fetch_request
from pscnet.sources.fetch.cds_state import State
from pscnet.sources.fetch.credentials import cds_account
from pscnet.sources.fetch.crew import alone, work_off
from pscnet.sources.fetch.era5_check import Content, check
from pscnet.sources.fetch.era5_requests import (
    Cell,
    Request,
    area_of,
    cells,
    contains,
    halve,
    key,
    pieces,
    wanted,
    wanted_edge,
    without,
)
from pscnet.sources.fetch.ledger import Ledger, Record, write_manifest
from pscnet.sources.fetch.parts import discard
from pscnet.sources.fetch.progress import Progress
from pscnet.sources.fetch.repairs import write_down
from pscnet.sources.fetch.secrets import guarded
from pscnet.sources.fetch.settings import Settings
from pscnet.sources.formats import kind_of

LOG = logging.getLogger(__name__)

SOURCE = "era5_land"


@dataclass(frozen=True)
class Wish:
    """What one call is to bring into the archive.

    Attributes
    ----------
    title : str
        For messages, such as ``"ERA5-Land 2016-05"``.
    month : str
        Key of the ledger.
    names : dict of str to dict
        Stem of the files' names to the whole request that they answer together.
    """

    title: str
    month: str
    names: dict[str, Request]


def fetch_month(
    archive: str | Path,
    month: str,
    variables: Sequence[str],
    lat: Sequence[float],
    lon: Sequence[float],
    settings: Mapping[str, Any],
    output: str | Path,
    state_file: str | Path,
    state: object,
    screen: TextIO | None = None,
) -> None:
    """Bring a month of ERA5-Land into the archive, and write its manifest.

    Parameters
    ----------
    archive : path
    month : str
        ``YYYY-MM``.
    variables : sequence of str
        Short names of instants and accumulations.
    lat, lon : sequence of float [degree]
        Box, or nodes: all values between the smallest and the largest are fetched.
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
        area = area_of(lat, lon)
        names = {f"era5_land_{month}_{kind}": wanted(month, variables, kind, area) for kind in ("instant", "accum")}
        wish = Wish(f"ERA5-Land {month}", month, names)
        records = _Errands(archive, wish, Settings.of(settings), screen).records()
        write_manifest(output, SOURCE, month, archive, records, variables=variables)
        write_down(state_file, state)


def fetch_edge(
    archive: str | Path,
    edge: Literal["opening", "closing"],
    period: Sequence[str],
    variables: Sequence[str],
    lat: Sequence[float],
    lon: Sequence[float],
    settings: Mapping[str, Any],
    output: str | Path,
    state_file: str | Path,
    state: object,
    screen: TextIO | None = None,
) -> None:
    """Bring the step of the accumulations at one edge of the period into the archive, and write its manifest.

    The opening step is 21:00 UTC of the day before the first month, the closing one 00:00 UTC of the day after the
    last. Without accumulations among the variables the manifest lists no file.

    Parameters
    ----------
    edge : {"opening", "closing"}
    period : (first month, last month)

    Other parameters and errors as in :func:`fetch_month`.
    """
    with guarded():
        stamp, request = wanted_edge(edge, period, variables, area_of(lat, lon))
        wish = Wish(f"ERA5-Land {edge} step {stamp}", edge, {f"era5_land_{edge}_{stamp}": request})
        records = _Errands(archive, wish, Settings.of(settings), screen).records()
        write_manifest(output, SOURCE, None, archive, records, variables=variables)
        write_down(state_file, state)


class _Errands:
    """All requests of one wish."""

    def __init__(self, archive: str | Path, wish: Wish, settings: Settings, screen: TextIO | None) -> None:
        self._ledger, self._wish, self._settings, self._screen = Ledger(archive), wish, settings, screen
        self._hidden = self._ledger.hidden

    def records(self) -> list[Record]:
        """The records of the files that together fulfil the wish, fetching what is missing."""
        lock = self._hidden / "requests" / f"{self._wish.title.replace(' ', '_')}.lock"
        with alone(lock, self._wish.title, self._screen):
            missing = self._missing()
            if missing:
                self._fetch(missing)
                if self._missing():
                    raise AssertionError(f"{self._wish.title}: files are missing although all were fetched")
            self._clean()
            return self._chosen()

    def _good(self, area: Sequence[float]) -> list[Record]:
        """Good files whose box holds the one asked for."""
        records = self._ledger.good(SOURCE, self._wish.month)
        return [record for record in records if record.request and contains(record.request["area"], area)]

    def _pieces(self, request: Request) -> list[Request]:
        archive = self._ledger.archive
        return pieces(request, self._settings.max_fields, lambda small: State(archive, small).too_large)

    def _missing(self) -> list[tuple[str, Request]]:
        """Stem and request of each file that is not there."""
        missing = []
        for stem, request in self._wish.names.items():
            there: set[Cell] = set()
            for record in self._good(request["area"]):
                there |= cells(record.request)
            gaps = [gap for piece in self._pieces(request) for gap in without(piece, there)]
            missing += [(stem, piece) for gap in gaps for piece in self._pieces(gap)]
        return missing

    def _chosen(self) -> list[Record]:
        """No more files than needed, the same ones each time."""
        chosen = []
        for request in self._wish.names.values():
            exact = {key(piece) for piece in self._pieces(request)}
            absent = cells(request)
            for record in sorted(
                self._good(request["area"]), key=lambda entry: (key(entry.request) not in exact, entry.path)
            ):
                if absent & cells(record.request):
                    absent -= cells(record.request)
                    chosen.append(record)
        return list({record.path: record for record in chosen}.values())

    def _clean(self) -> None:
        """Remove what is left of downloads that nobody will finish: all that is wanted is there."""
        for stem in self._wish.names:
            for part in (self._hidden / "parts").glob(f"{stem}_*.part*"):
                discard(part.with_name(part.name.removesuffix(".json")))

    def _fetch(self, missing: Sequence[tuple[str, Request]]) -> None:
        """Fetch in a few threads; one that fails does not keep the others from ending well, unless none can."""
        account = cds_account()
        with Progress(self._wish.title, len(missing), self._screen) as progress:
            context = Context(self._ledger, self._settings, account, progress)
            slots = (self._hidden / "slots", "cds", self._settings.requests_at_once)

            def bring(errand: tuple[str, Request]) -> list[tuple[str, Request]]:
                return [(errand[0], half) for half in self._bring(context, *errand)]

            def meet(error: Exception, errors: list[Exception]) -> None:
                if isinstance(error, RefusedError):
                    errors.insert(0, error)
                    context.stop.set()
                elif context.stop.is_set():
                    LOG.info("%s", error)  # it was stopped for the error that is told
                else:
                    errors.append(error)

            work_off(missing, bring, meet, slots, context.stop, progress.note)

    def _bring(self, context: Context, stem: str, request: Request) -> tuple[Request, ...]:
        """Bring one request's file into the archive; its halves, to be brought, where the service wants it so."""
        name = f"{stem}_{key(request)[:8]}"
        if self._adopted(name, request):
            context.progress.done(name)
            return ()
        part = self._ledger.part(name)
        try:
            received, content, job = fetch_request(context, request, part, name)
        except TooLargeError as error:
            context.progress.note(f"{error} It is cut in two.")
            context.progress.total_files += 1
            return halve(request)
        suffix = ".zip" if kind_of(part) == "zip" else ".nc"
        path = self._folder(request) / f"{name}{suffix}"
        known = {"provider_id": job, "url": received.url, "sha256": received.sha256}
        self._ledger.keep(part, path, **known, **self._fields(request, content))
        context.progress.done(path.name)
        return ()

    def _folder(self, request: Request) -> Path:
        return Path("era5_land") / str(request["year"])

    def _fields(self, request: Request, content: Content) -> dict[str, Any]:
        """What the ledger keeps of a file."""
        return {
            "source": SOURCE,
            "month": self._wish.month,
            "version": content.version,
            "request": request,
            "first": content.first,
            "last": content.last,
            "variables": content.variables,
        }

    def _adopted(self, name: str, request: Request) -> bool:
        """Whether a file of that name is there without record, and is good: then it is recorded."""
        for suffix in (".nc", ".zip"):
            path = self._folder(request) / f"{name}{suffix}"
            file = self._ledger.archive / path
            if not file.exists():
                continue
            try:
                content = check(file, request)
            except SourceError as error:
                self._ledger.quarantine(file, SOURCE, str(error))
                continue
            self._ledger.adopt(path, **self._fields(request, content))
            LOG.info("%s is there already and was verified", path)
            return True
        return False
