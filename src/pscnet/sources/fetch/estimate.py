"""How much, how many and how long, before anything is fetched: sizes and times from the configuration alone.

All are estimates, on the cautious side, and are told as such. Where the numbers come from:

=================  ============================================================================================
what               formula
=================  ============================================================================================
ERA5-Land          nodes x steps x variables x 4 byte (float32) x 0.55. Eight steps a day. The CDS delivers zlib
                   level 1 with shuffle; a real day of 18 variables over a high plateau takes 0.28 of its raw
                   size (level 5), and smooth fields without sea or dry days take more, hence 0.55.
SPL3SMP            30 MB a day: the global file is kept whole.
SPL3SMP_E, crop    M09 cells of the box x 250 byte a day. A cell has 219 byte in each half-orbit (53 datasets of
                   the SPL3SMP V008 structure). A global SPL3SMP of 30 MB over the 30 % of 406 x 964 cells that
                   are land comes to 255 byte a land cell, both half-orbits together.
SPL3SMP_E, whole   up to 700 MB a day go over the network (as users report).
SPL4SMGP, crop     M09 cells of the box x (variables + 4 of position) x 4 byte x 0.55, eight files a day.
SPL4SMGP, whole    143 MB a file, eight files a day, go over the network (150 383 099 byte is one).
`build/`           predictors: nodes x steps x variables x 4 byte x 0.55, and 1/8 of it for daily means; filter
                   states: nodes x variables x 11 x 4 byte a month; fields before packing: nodes x steps x 9 byte;
                   samples: nodes x (variables x bands x 2 + 4) byte at two stamps of each day that is learnt from;
                   references: nodes x steps of the test months x 6 x 4 byte.
product            nodes x steps x (2 + 2 + 1) byte packed, (4 + 4 + 1) byte plain: the size before compression.
CDS requests       a month and step type at a time, halved while variables x days x 8 exceed the largest request;
                   with accumulated variables one more at each end of the period.
CDS time           10 minutes to 4 hours a request in each of the requests at once: the service gives no promise,
                   its users report from minutes to a day.
Earthdata time     1 to 15 MB/s over all downloads together.
=================  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from pscnet.grids import ease2_grid
from pscnet.sources.fetch.era5_requests import pieces, wanted
from pscnet.timeaxis import STEPS_PER_DAY, month_days
from pscnet.variables import ERA5_LAND

#: Share of raw float32 that compressed ERA5-Land takes.
COMPRESSED = 0.55

#: Bytes of one file as the provider keeps it.
WHOLE_FILE = {"SPL3SMP": 30_000_000, "SPL3SMP_E": 700_000_000, "SPL4SMGP": 143_000_000}

#: Files a day.
FILES_A_DAY = {"SPL3SMP": 1, "SPL3SMP_E": 1, "SPL4SMGP": STEPS_PER_DAY}

#: Source names of the manifests.
SOURCE_OF = {"SPL3SMP": "smap", "SPL3SMP_E": "smap_e", "SPL4SMGP": "smap_l4"}

#: Bytes that a day of SPL3SMP_E takes in a cell, both half-orbits.
ENHANCED_CELL = 250

#: Values that the filters remember of each variable and node from one month to the next.
FILTER_STATES = 11

#: Fields of the references that are kept of the test months.
REFERENCE_FIELDS = 6

#: Shortest and longest time of a CDS request [h], and slowest and fastest download from Earthdata [byte/s].
REQUEST_HOURS = (1 / 6, 4.0)
DOWNLOAD_RATE = (1e6, 15e6)


@dataclass(frozen=True)
class Share:
    """What one source takes.

    Attributes
    ----------
    name : str
        As a person calls it: ``ERA5-Land``, or the short name of a SMAP product.
    source : str
        As in :mod:`pscnet.sources.manifest`.
    kept : int
        Size in the archive [byte].
    carried : int
        What comes over the network [byte].
    """

    name: str
    source: str
    kept: int
    carried: int


def era5_land(nodes: int, months: Sequence[str], variables: Sequence[str]) -> Share:
    """ERA5-Land of ``months`` on ``nodes`` grid points."""
    size = int(nodes * _days(months) * STEPS_PER_DAY * len(variables) * 4 * COMPRESSED)
    return Share("ERA5-Land", "era5_land", size, size)


def smap(
    product: str,
    months: Sequence[str],
    lat: tuple[float, float],
    lon: tuple[float, float],
    l4_variables: Sequence[str] = (),
) -> Share:
    """One SMAP product of ``months``; the enhanced and the model product are cut to the box (degrees) as they arrive.

    Parameters
    ----------
    product : {"SPL3SMP", "SPL3SMP_E", "SPL4SMGP"}
    months : sequence of str
    lat, lon : (south, north), (west, east) [degree]
    l4_variables : sequence of str
        Datasets kept of SPL4SMGP.
    """
    files = _days(months) * FILES_A_DAY[product]
    whole = WHOLE_FILE[product]
    one = whole
    if product != "SPL3SMP":
        cells = ease2_grid(lat, lon, "M09").size
        one = cells * ENHANCED_CELL if product == "SPL3SMP_E" else int(cells * (len(l4_variables) + 4) * 4 * COMPRESSED)
    return Share(product, SOURCE_OF[product], files * min(one, whole), files * whole)


def build(
    nodes: int, months: Sequence[str], variables: int, bands: int, learnt: Sequence[str], tested: Sequence[str]
) -> int:
    """Size of ``build/{run}`` [byte], without the raw files and the truth of the simulated Plateau.

    Parameters
    ----------
    nodes : int
    months : sequence of str
        The period.
    variables, bands : int
        Predictors, and bands of each.
    learnt, tested : sequence of str
        Months of training and validation, and of the test.
    """
    steps = _days(months) * STEPS_PER_DAY
    predictors = nodes * steps * variables * 4 * COMPRESSED * (1 + 1 / STEPS_PER_DAY)
    states = nodes * len(months) * variables * FILTER_STATES * 4
    samples = nodes * 2 * _days(learnt) * (variables * bands * 2 + 4)
    references = nodes * _days(tested) * STEPS_PER_DAY * REFERENCE_FIELDS * 4
    return int(predictors + states + nodes * steps * 9 + samples + references)


def product(nodes: int, months: Sequence[str], dtype: str) -> int:
    """Size of the product files [byte], for ``product.dtype``."""
    return nodes * _days(months) * STEPS_PER_DAY * (5 if dtype == "int16" else 9)


def requests(months: Sequence[str], variables: Sequence[str], max_fields: int) -> int:
    """CDS requests of ``months``, those of the two ends of the period left out.

    Parameters
    ----------
    months : sequence of str
    variables : sequence of str
        Short names.
    max_fields : int
        Largest request [fields: variables x days x times].
    """
    anywhere = [1.0, 0.0, 0.0, 1.0]  # the size of the box does not count
    return sum(
        len(pieces(wanted(month, variables, kind, anywhere), max_fields))
        for month in months
        for kind in ("instant", "accum")
    )


def edges(variables: Sequence[str]) -> int:
    """CDS requests for the two ends of the period: only accumulated variables need them."""
    return 2 if any(ERA5_LAND[name].kind == "accum" for name in variables) else 0


def cds_hours(count: int, at_once: int) -> tuple[float, float]:
    """Shortest and longest time [h] that ``count`` CDS requests may take."""
    rounds = ceil(count / at_once)
    return rounds * REQUEST_HOURS[0], rounds * REQUEST_HOURS[1]


def download_hours(size: int) -> tuple[float, float]:
    """Shortest and longest time [h] that ``size`` byte from Earthdata may take."""
    return size / DOWNLOAD_RATE[1] / 3600, size / DOWNLOAD_RATE[0] / 3600


def _days(months: Sequence[str]) -> int:
    return sum(len(month_days(month)) for month in months)
