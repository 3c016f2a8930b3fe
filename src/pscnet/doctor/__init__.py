"""What is missing before anything starts: configuration, accounts, room and machine, told in words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pscnet.config import Config
from pscnet.doctor import machine, room, setting
from pscnet.doctor.findings import Finding, attention, missing, ok
from pscnet.sources.fetch.ledger import Ledger
from pscnet.sources.fetch.secrets import redact
from pscnet.sources.fetch.settings import Settings


def diagnose(overlays: Sequence[str | Path] = (), offline: bool = False) -> Iterator[Finding]:
    """Look at everything that a run needs; findings come as they are made.

    Parameters
    ----------
    overlays : sequence of path
        Configuration files on top of ``config/config.yaml``, as given to ``snakemake --configfile``.
    offline : bool
        Ask no service.

    Yields
    ------
    Finding
        Free of secrets: keys, tokens, passwords, and user names within addresses.
    """
    for finding in _findings(overlays, offline):
        yield replace(finding, text=redact(finding.text))


def _findings(overlays: Sequence[str | Path], offline: bool) -> Iterator[Finding]:
    config, finding = setting.read(overlays)
    yield finding
    if config is None:
        return
    if config.source == "fetch":
        yield from _fetch(config, offline)
    else:
        if config.source == "archive":
            yield from _archive(config)
        yield from room.disks(config, Settings(), [])
    yield machine.weight_engine(config.regrid.engine)
    yield from machine.devices(config)
    yield machine.slurm()


def _fetch(config: Config, offline: bool) -> Iterator[Finding]:
    """All that fetching needs."""
    from pscnet.doctor import accounts  # late: the clients of the services take a second to import

    settings = Settings.of(config.fetch.model_dump(mode="json"))
    found = room.holdings(config, settings)
    yield from room.archive(found)
    yield _terrain(config)
    yield room.queue(config, settings, found)
    yield from room.disks(config, settings, found)
    complete = all(holding.done >= 1 for holding in found)
    longest = room.hours(config, settings, found)[1]
    for finding in (*accounts.cds(offline), *accounts.earthdata(offline, longest)):
        # Nothing is asked of the services where all files are there.
        yield replace(finding, state="attention") if complete and finding.state == "missing" else finding
    yield from machine.way_out(os.environ)


def _archive(config: Config) -> Iterator[Finding]:
    """What a folder of provider files lacks."""
    from pscnet.plan import Plan

    plan = Plan(config.model_dump(mode="json", exclude_unset=True))
    gaps = plan.archive_gaps()
    if gaps:
        yield missing("archive", "; ".join(line.strip() for line in gaps.splitlines()).replace(":;", ":", 1))
    else:
        yield ok("archive", f"{config.archive} has every month of {config.period.start} to {config.period.end}")


def _terrain(config: Config) -> Finding:
    """Whether there will be an elevation raster (the configuration names one: a file or an address)."""
    name = str(config.terrain)
    if name.startswith("https://"):
        there = Ledger(config.archive).records("terrain", "static")
        return ok(
            "elevation", f"{name}: " + ("in the archive" if there else "to be fetched, and held against its hash")
        )
    if not Path(name).is_file():
        return missing("elevation", f"{name} does not exist; correct the key terrain")
    return ok("elevation", name)


__all__ = ["Finding", "attention", "diagnose", "missing", "ok"]
