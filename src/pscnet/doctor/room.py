"""How much a run takes, how much of it is there, and whether the disks have room for the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pscnet.channels import LEARNT_PARTS, band_names
from pscnet.config import Config
from pscnet.doctor.findings import Finding, attention, duration, gigabytes, missing, ok
from pscnet.sources import SourceError
from pscnet.sources import manifest as manifests
from pscnet.sources.fetch import estimate
from pscnet.sources.fetch.estimate import Share
from pscnet.sources.fetch.ledger import Ledger, Record
from pscnet.sources.fetch.settings import Settings
from pscnet.timeaxis import month_days


@dataclass(frozen=True)
class Holding:
    """How much of one source the archive's ledger lists.

    Attributes
    ----------
    share : Share
        What the whole period takes.
    there : int
        Size of the recorded files that are there [byte].
    done : float
        Share of the period that they cover, 0 to 1.
    words : str
        The same in words.
    """

    share: Share
    there: int
    done: float
    words: str

    @property
    def left(self) -> int:
        """What is still to come into the archive [byte]."""
        return int(self.share.kept * (1 - self.done))

    @property
    def carried(self) -> int:
        """What is still to come over the network [byte]."""
        return int(self.share.carried * (1 - self.done))


def holdings(config: Config, settings: Settings) -> list[Holding]:
    """What a run with ``source: fetch`` takes of each source, and what the archive has of it."""
    months, lat, lon = config.months(), config.region.lat, config.region.lon
    ledger = Ledger(config.archive)
    share = estimate.era5_land(config.source_grid().size, months, config.predictors)
    found = [_era5_land(ledger, share, months, config.predictors)]
    for product in config.fetch.smap.products:
        share = estimate.smap(product, months, lat, lon, settings.l4_variables)
        found.append(_smap(ledger, share, months, estimate.FILES_A_DAY[product], config.run))
    return found


def _era5_land(ledger: Ledger, share: Share, months: list[str], variables: list[str]) -> Holding:
    size, whole, parts = 0, 0, 0.0
    for month in months:
        records = _present(ledger, share.source, month)
        size += sum(record.size for record in records)
        covered = {name for record in records for name in record.variables} & set(variables)
        parts += len(covered) / len(variables)
        whole += len(covered) == len(variables)
    return Holding(share, size, parts / len(months), f"{whole} of {len(months)} months")


def _smap(ledger: Ledger, share: Share, months: list[str], files_a_day: int, run: str) -> Holding:
    size, there, wanted = 0, 0, 0
    for month in months:
        records = _present(ledger, share.source, month)
        size += sum(record.size for record in records)
        there += len(records)
        finished = _finished(run, share.source, month)
        wanted += len(month_days(month)) * files_a_day if finished is None else max(finished, len(records))
    return Holding(share, size, min(1.0, there / wanted), f"{there} of about {wanted} files")


def _finished(run: str, source: str, month: str) -> int | None:
    """Files of a month that was fetched before, which may be fewer than its days; None for another."""
    try:
        return len(manifests.read(Path("build") / run / "manifests" / source / f"{month}.json").files)
    except SourceError:
        return None


def _present(ledger: Ledger, source: str, month: str) -> list[Record]:
    """The records of a month whose files are there with their size; nothing is changed or hashed."""
    return [record for record in ledger.records(source, month) if _size(ledger.archive / record.path) == record.size]


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def archive(found: list[Holding]) -> Iterator[Finding]:
    """What the archive holds of each source, one line each."""
    for holding in found:
        name, text = holding.share.name, f"{holding.words} are there ({gigabytes(holding.there)})"
        if holding.done >= 1:
            yield ok(name, text)
            continue
        coming = f"about {gigabytes(holding.left)} to come"
        text = f"{text}; {coming}" if holding.there else f"nothing is there yet; {coming}"
        if holding.carried > 1.5 * holding.left:
            text += f", cut out of {gigabytes(holding.carried)} that go over the network"
        yield ok(name, text)


def hours(config: Config, settings: Settings, found: list[Holding]) -> tuple[float, float]:
    """Shortest and longest time that the fetching of what is left may take [h]."""
    era5, *smap = found
    cds = estimate.cds_hours(_requests(config, settings, era5), settings.requests_at_once)
    granules = estimate.download_hours(sum(holding.carried for holding in smap))
    return max(cds[0], granules[0]), max(cds[1], granules[1])  # both services work at the same time


def queue(config: Config, settings: Settings, found: list[Holding]) -> Finding:
    """How many requests the CDS will get, and how long it may take."""
    count = _requests(config, settings, found[0])
    if count == 0 and all(holding.done >= 1 for holding in found):
        return ok("fetching", "nothing to fetch; files are looked at again and the run goes on")
    rate = " to ".join(f"{estimate.DOWNLOAD_RATE[i] / 1e6:.0f}" for i in (0, 1))
    return ok(
        "fetching",
        f"about {count} requests to the CDS, {settings.requests_at_once} at a time; expect "
        f"{duration(*hours(config, settings, found))}, as the CDS queue allows, with {rate} MB/s from Earthdata",
    )


def _requests(config: Config, settings: Settings, era5: Holding) -> int:
    """CDS requests still to be made: none where all is there."""
    if era5.done >= 1:
        return 0
    whole = estimate.requests(config.months(), config.predictors, settings.max_fields)
    return round(whole * (1 - era5.done)) + estimate.edges(config.predictors)


def disks(config: Config, settings: Settings, found: list[Holding]) -> Iterator[Finding]:
    """Room on the disks of archive, ``build/`` and ``results/``, which may be one and the same.

    Parameters
    ----------
    found : list of Holding
        Empty where nothing is fetched.
    """
    months, nodes = config.months(), config.fine_grid().size
    need: dict[str, int] = {}
    if found:
        flight = settings.downloads_at_once * max(estimate.WHOLE_FILE[name] for name in config.fetch.smap.products)
        coming = sum(holding.left for holding in found)
        need[config.archive] = coming + (flight if coming else 0)
    split, bands = config.make_split(), len(band_names(config.samples.time_scales_days))
    learnt = sorted({month for part in LEARNT_PARTS for month in split.months(part)})
    build = estimate.build(nodes, months, len(config.predictors), bands, learnt, split.months("test"))
    if config.source == "twin":
        build += estimate.era5_land(nodes, months, config.predictors).kept  # its raw files lie in build/ too
    need["build"] = max(0, build - _tree_size(Path("build") / config.run))
    made = _tree_size(Path("results") / config.run / "product")
    need["results"] = max(0, estimate.product(nodes, months, config.product.dtype) - made)
    reserve = settings.reserve if found else 0
    for folders, room in _by_disk(need).items():
        yield _disk(folders, sum(need[name] for name in folders), room, reserve)


def _disk(folders: tuple[str, ...], need: int, room: int, reserve: int) -> Finding:
    names = ", ".join(f"{name.rstrip('/')}/" for name in folders)
    text = f"{names}: about {gigabytes(need)} more needed, {gigabytes(room)} free"
    if need + reserve > room:
        what = f", of which {gigabytes(reserve)} stay free (fetch.reserve_gb)" if reserve else ""
        return missing("disk", f"{text}{what}; make room, or name another folder (key archive, or a link for build)")
    if need + reserve > 0.8 * room:
        return attention("disk", f"{text}: little is left over, and the need is an estimate")
    return ok("disk", text)


def _by_disk(need: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    """Folders that share a file system, and its free bytes."""
    groups: dict[int, list[str]] = {}
    for name in need:
        groups.setdefault(os.stat(_existing(Path(name))).st_dev, []).append(name)
    return {tuple(names): shutil.disk_usage(_existing(Path(names[0]))).free for names in groups.values()}


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there already."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _tree_size(folder: Path) -> int:
    """Bytes of the files below a folder; 0 where it is absent."""
    return sum(_size(Path(here) / name) or 0 for here, _, files in os.walk(folder) for name in files)
