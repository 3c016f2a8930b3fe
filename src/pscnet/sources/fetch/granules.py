"""Which SMAP granules a month needs: what their names say, the best one of each day, and the days that have none.

A day of SPL3SMP and SPL3SMP_E is one granule, called here by its date (``2016-05-01``); a day of SPL4SMGP is eight
3-hour means, called by the time of their middle (``2016-05-01T01:30``). Nothing here opens a file or a connection.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from pscnet.sources.fetch import RefusedError, UnavailableError, failure
from pscnet.timeaxis import month_days

logger = logging.getLogger(__name__)

#: Days without SMAP data, first and last: safe modes of the satellite, known to NSIDC.
OUTAGES = (("2019-06-19", "2019-07-23"), ("2022-08-06", "2022-09-20"))

#: So many days without granule, outages apart, are believed of the catalogue at once; more are its own trouble.
FEW_DAYS = 5

#: Hosts that may be asked for a granule: the bearer token goes there.
TRUSTED_HOSTS = (".nasa.gov",)


@dataclass(frozen=True)
class Product:
    """A SMAP product.

    Attributes
    ----------
    name : str
        Short name at NSIDC.
    source : str
        As in :mod:`pscnet.sources.manifest`.
    grid : str
        EASE-Grid 2.0 of its cells.
    pattern : Pattern
        Of file names: groups ``day``, ``crid``, ``counter`` and, where there is one, ``time``.
    hours : tuple of str
        ``HH:MM`` of the granules of a day; empty where a granule is a whole day.
    cropped : bool
        Whether only the cells of the box are kept.
    """

    name: str
    source: str
    grid: str
    pattern: re.Pattern[str]
    hours: tuple[str, ...] = ()
    cropped: bool = True


_LEVEL_3 = r"SMAP_L3_SM_P{}_(?P<day>\d{{8}})_R(?P<crid>\d{{5}})_(?P<counter>\d{{3}})\.h5"
_LEVEL_4 = r"SMAP_L4_SM_gph_(?P<day>\d{8})T(?P<time>\d{6})_Vv(?P<crid>\d{4})_(?P<counter>\d{3})\.h5"

PRODUCTS = {
    product.name: product
    for product in (
        Product("SPL3SMP", "smap", "M36", re.compile(_LEVEL_3.format("")), cropped=False),
        Product("SPL3SMP_E", "smap_e", "M09", re.compile(_LEVEL_3.format("_E"))),
        Product(
            "SPL4SMGP",
            "smap_l4",
            "M09",
            re.compile(_LEVEL_4),
            tuple(f"{hour:02d}:30" for hour in range(1, 24, 3)),
        ),
    )
}

#: Source of a manifest to product.
OF_SOURCE = {product.source: product for product in PRODUCTS.values()}


@dataclass(frozen=True)
class Granule:
    """One granule as the catalogue lists it.

    Attributes
    ----------
    name : str
        File name.
    product : str
    when : str
        ``YYYY-MM-DD``, for SPL4SMGP ``YYYY-MM-DDTHH:MM`` (UTC).
    url : str
    size : int or None
        As announced [byte].
    checksum : (str, str) or None
        Algorithm, such as ``MD5``, and value in lower-case hexadecimal digits, as announced.
    crid, counter : int
        Composite release and product counter: the higher, the newer.
    concept : str
        The catalogue's identifier of the granule.
    """

    name: str
    product: str
    when: str
    url: str
    size: int | None
    checksum: tuple[str, str] | None
    crid: int
    counter: int
    concept: str

    @property
    def day(self) -> str:
        """``YYYY-MM-DD``."""
        return self.when[:10]

    @property
    def release(self) -> str:
        """Release and counter as they stand in the name, such as ``R19240_001``."""
        return "_".join(PurePosixPath(self.name).stem.split("_")[-2:])


def when_of(name: str, product: Product) -> str | None:
    """The day or time in the name of a product's file, None where the name is another's."""
    match = product.pattern.fullmatch(name)
    if match is None:
        return None
    day = match["day"]
    when = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return f"{when}T{match['time'][:2]}:{match['time'][2:4]}" if product.hours else when


def from_catalogue(item: Mapping, product: Product) -> Granule | None:
    """A granule from an entry of the catalogue (UMM-G).

    Returns
    -------
    Granule or None
        None where the entry has no file of the product that could be downloaded, which is logged.
    """
    umm, meta = item["umm"], item.get("meta", {})
    for link in umm.get("RelatedUrls", []):
        url = str(link.get("URL", ""))
        name = PurePosixPath(unquote(urlsplit(url).path)).name
        when = when_of(name, product)
        if link.get("Type") != "GET DATA" or when is None or not _trusted(url):
            continue
        match = product.pattern.fullmatch(name)
        size, checksum = _announced(umm, name)
        crid, counter = int(match["crid"]), int(match["counter"])
        return Granule(name, product.name, when, url, size, checksum, crid, counter, str(meta.get("concept-id", "")))
    logger.warning("%s: the catalogue lists %s without a file to download", product.name, umm.get("GranuleUR"))
    return None


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(TRUSTED_HOSTS)


def _announced(umm: Mapping, name: str) -> tuple[int | None, tuple[str, str] | None]:
    """Size and checksum of the file in the catalogue's entry, each None where it says nothing usable."""
    files = umm.get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])
    entry = next((file for file in files if file.get("Name") == name), {})
    size, checksum = entry.get("SizeInBytes"), entry.get("Checksum") or {}
    algorithm, value = str(checksum.get("Algorithm", "")), str(checksum.get("Value", "")).strip().lower()
    whole = isinstance(size, int) and size > 0
    return size if whole else None, (algorithm, value) if algorithm and value else None


def expected(product: Product, month: str) -> list[str]:
    """The days or times that a month has, in order."""
    return [f"{day}T{hour}" if hour else day for day in month_days(month) for hour in product.hours or ("",)]


def choose(granules: Iterable[Granule], product: Product, month: str) -> dict[str, Granule]:
    """One granule for each day or time of a month: the highest release, then counter.

    Parameters
    ----------
    granules : iterable of Granule
        In any order, with doubles, other versions and other months.
    product : Product
    month : str
        ``YYYY-MM``.

    Returns
    -------
    dict of str to Granule
        In order of time; days without granule are left out.
    """
    return {when: found[0] for when, found in releases(granules, product, month).items()}


def releases(granules: Iterable[Granule], product: Product, month: str) -> dict[str, list[Granule]]:
    """As :func:`choose`, with what could stand in for the best granule after it: one of each name, best first."""
    known: dict[str, dict[str, Granule]] = {}
    for granule in sorted(granules, key=_rank, reverse=True):
        known.setdefault(granule.when, {}).setdefault(granule.name, granule)
    return {when: list(known[when].values()) for when in expected(product, month) if when in known}


def _rank(granule: Granule) -> tuple[int, int, str]:
    return granule.crid, granule.counter, granule.concept


def missing(product: Product, month: str, present: Collection[str]) -> dict[str, list[str]]:
    """What a month lacks, in the layout of :mod:`pscnet.sources.manifest`.

    Returns
    -------
    dict
        ``days`` that are not complete; for granules of 3 hours also each single one, in ``variables``, as
        ``SPL4SMGP at 2016-05-03 04:30``.
    """
    absent = [when for when in expected(product, month) if when not in set(present)]
    steps = [f"{product.name} at {when.replace('T', ' ')}" for when in absent if product.hours]
    return {"variables": steps, "days": sorted({when[:10] for when in absent})}


def believe(
    product: Product,
    month: str,
    version: str,
    listed: Collection[str],
    there: Collection[str],
    lost: Collection[str],
    without: Collection[str],
) -> None:
    """Refuse a catalogue that cannot be all that the provider has of a month.

    Parameters
    ----------
    product : Product
    month : str
        ``YYYY-MM``.
    version : str
    listed, there, lost : collection of str
        Days or times that the catalogue lists, that the archive has, and that it had once.
    without : collection of str
        Days that are not wanted.

    Raises
    ------
    RefusedError
        Nothing is known of the month.
    UnavailableError
        The catalogue lacks what was there before, or many days.
    """
    title = f"{product.name} {month}"
    if not (listed or there or lost):
        days = explain(month_days(month))
        found = days if days.endswith("satellite)") else "none"
        remedy = f"check the period, and fetch.smap.versions against https://nsidc.org/data/{product.name.lower()}"
        raise failure(RefusedError, title, f"granules of version {version} at the provider", found, remedy)
    found = _doubt([when for when in expected(product, month) if when[:10] not in without], listed, there, lost)
    if found:
        remedy = (
            "start again later, as a catalogue in trouble lists less than there is; days that NSIDC itself says it "
            "does not have can be named in fetch.smap.without"
        )
        raise failure(UnavailableError, title, "the month's granules in NASA's catalogue", found, remedy)


def _doubt(wanted: list[str], listed: Collection[str], there: Collection[str], lost: Collection[str]) -> str | None:
    """What makes the catalogue incredible, as a clause."""
    unmet = [when for when in wanted if when not in there]
    if unmet and not listed:
        return "that it lists none, though the archive has or had some"
    gone = sorted({when[:10] for when in unmet if when in lost and when not in listed})
    if gone:
        return f"that it lists none for {', '.join(gone)}, which the archive has had"
    absent = sorted({when[:10] for when in wanted if when not in listed and not _in_outage(when[:10])})
    return f"that it lacks {len(absent)} days: {', '.join(absent)}" if len(absent) > FEW_DAYS else None


def _in_outage(day: str) -> bool:
    return any(first <= day <= last for first, last in OUTAGES)


def explain(days: Iterable[str], without: Collection[str] = ()) -> str:
    """Missing days in words, with the known outages of the satellite named, and those that are not wanted."""
    every = list(days)
    days = [day for day in every if day not in without]
    known = [day for day in days if _in_outage(day)]
    others = [day for day in days if day not in known]
    parts = [f"{', '.join(others)} (the provider has none)"] if others else []
    parts += [f"{', '.join(known)} (a known outage of the satellite)"] if known else []
    left = [day for day in every if day in without]
    parts += [f"{', '.join(left)} (fetch.smap.without)"] if left else []
    return "; ".join(parts)
