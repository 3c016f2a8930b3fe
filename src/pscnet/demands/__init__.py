"""How much memory and time does a job ask for? A formula a rule, of the cells, steps and channels that it goes through.

A job's memory is measured as ``mb[0] + mb[1] * size``, its time as ``seconds[0] + seconds[1] * size * passes``, with
``size`` one of :data:`SIZES` and ``passes`` one of :data:`PASSES`. What is asked for lies above it by the margins
below. The numbers come from the records of time and memory that every run leaves in ``runtimes/``;
``python -m pscnet.demands`` prints them beside what is asked, and suggests new ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pscnet.config import Config
from pscnet.timeaxis import PARTS
from pscnet.variants import ENSEMBLE

#: Beside the job itself, a batch system counts the two Snakemake processes that start it on the node [MB].
STARTERS_MB = 500

#: Asked for over measured: other libraries and allocators; slower and busier nodes.
MEMORY_MARGIN, TIME_MARGIN = 1.5, 4.0

#: Least time to ask for [min]; a short job may still wait for a slow file system.
LEAST_MINUTES = 10

#: 3-hourly stamps in the longest month.
STAMPS = 31 * 8


@dataclass(frozen=True)
class Extent:
    """What of a configuration decides on the size of its jobs.

    Attributes
    ----------
    fine, coarse : int
        Cells of the two grids.
    predictors : int
    months : mapping
        Months that a part of the split reads, neighbours included; and of the whole period (``all``).
    epochs, ensemble : int
    compared : int
        Seeds of the comparison.
    """

    fine: int
    coarse: int
    predictors: int
    months: Mapping[str, int]
    epochs: int
    ensemble: int
    compared: int

    @classmethod
    def of(cls, config: Config) -> Extent:
        """The extent of a run; reads no data."""
        split, every = config.make_split(), config.months()
        touched = {part: [every.index(month) for month in split.months(part) if month in every] for part in PARTS}
        spans = {
            part: min(max(found) + 2, len(every)) - max(min(found) - 1, 0) if found else 0
            for part, found in touched.items()
        }
        return cls(
            fine=config.fine_grid().size,
            coarse=config.coarse_grid().size,
            predictors=len(config.predictors),
            months=spans | {"all": len(every)},
            epochs=config.training.epochs,
            ensemble=config.training.ensemble,
            compared=config.compare.seeds,
        )


class Wildcards(Protocol):
    """A job's wildcards, as Snakemake gives them."""

    def get(self, name: str, default: str) -> str: ...


def _size(kind: str, span: str) -> Callable[[Extent, Wildcards], float]:
    """Millions of values of a kind in a month, or in the months of a span."""

    def size(extent: Extent, wildcards: Wildcards) -> float:
        per_month = {
            "predictors": extent.fine * extent.predictors,
            "fields": extent.fine,
            "retrievals": extent.coarse,
        }
        part = wildcards.get("part", "train") if span == "part" else span
        return per_month[kind] * STAMPS * (1 if span == "month" else extent.months[part]) / 1e6

    return size


#: Millions of values that a job goes through, cells x steps x channels: of all predictors on the fine grid, of a field
#: on it, or of the retrievals; of one month, of the job's part of the split, of the test part or of the whole period.
SIZES: dict[str, Callable[[Extent, Wildcards], float]] = {
    "nothing": lambda extent, w: 0.0,
    **{
        f"{kind}, {span}": _size(kind, span)
        for kind in ("predictors", "fields", "retrievals")
        for span in ("month", "part", "test", "all")
    },
}

#: How often it goes through them.
PASSES: dict[str, Callable[[Extent, Wildcards], float]] = {
    "once": lambda extent, w: 1.0,
    "every epoch": lambda extent, w: extent.epochs,
    "every member": lambda extent, w: extent.ensemble,
    "every member and test month": lambda extent, w: extent.ensemble * extent.months["test"],
    "every compared net and test month": lambda extent, w: (
        (extent.compared if w.get("members", "") == ENSEMBLE else 1) * extent.months["test"]
    ),
}


@dataclass(frozen=True)
class Demand:
    """What a job of a rule takes, as measured.

    Attributes
    ----------
    size : str
        One of :data:`SIZES`.
    mb : pair of float
        Memory of the job: always, and for each million of values [MB].
    seconds : pair of float or None
        The same of its time [s], on one thread of a processor of 2020; None where the rule itself says how long it
        waits for others.
    passes : str
        One of :data:`PASSES`.
    """

    size: str
    mb: tuple[float, float]
    seconds: tuple[float, float] | None
    passes: str = "once"

    def measured(self, extent: Extent, wildcards: Wildcards) -> tuple[float, float]:
        """Memory [MB] and time [s] of a job."""
        size = SIZES[self.size](extent, wildcards)
        work = size * PASSES[self.passes](extent, wildcards)
        first, more = self.seconds or (0.0, 0.0)
        return self.mb[0] + self.mb[1] * size, first + more * work


#: Rule to what its jobs take: fitted to records of runs of 2304, 4096 and 9216 cells (tests/unit/demands/recorded.csv;
#: docs/cluster.md), but for those of :data:`ESTIMATED`; for those that fetch, what they hold at once.
DEMANDS: dict[str, Demand] = {
    "archive_manifest": Demand("predictors, month", (150, 0), (5.2, 0)),
    "archive_terrain": Demand("nothing", (150, 0), (5.4, 0)),
    "compare_numbers": Demand("nothing", (230, 0), (23, 0)),
    "compare_page": Demand("nothing", (120, 0), (8.4, 0)),
    "compare_references": Demand("fields, test", (480, 86), (97, 12)),
    "compare_scores": Demand("predictors, month", (570, 21), (180, 0.87), "every compared net and test month"),
    "dataset_bands": Demand("predictors, month", (340, 13), (2.7, 0.42)),
    "dataset_covariance": Demand("retrievals, part", (500, 250), (30, 5.1)),
    "dataset_kriged": Demand("retrievals, part", (350, 24), (28, 22)),
    "dataset_normaliser": Demand("retrievals, part", (360, 7.4), (11, 0.98)),
    "dataset_samples": Demand("predictors, part", (580, 2), (14, 0.063)),
    "dataset_sequences": Demand("predictors, part", (360, 1.3), (2.3, 0.033)),
    "downscale_month": Demand("predictors, month", (390, 16), (3.1, 3.1), "every member"),
    "explain_figures": Demand("fields, test", (180, 30), (12, 5)),
    "explain_model": Demand("predictors, month", (360, 45), (50, 1.5), "every member and test month"),
    "fetch_era5_edge": Demand("nothing", (1000, 0), None),
    "fetch_era5_land": Demand("predictors, month", (500, 8), None),
    "fetch_smap": Demand("nothing", (1600, 0), None),
    "fetch_terrain": Demand("nothing", (2300, 0), (3600, 0)),
    "product_month": Demand("fields, month", (120, 21), (0.83, 1.5)),
    "regrid_era5_land": Demand("predictors, month", (150, 2.5), (1.2, 0.18)),
    "regrid_smap": Demand("retrievals, month", (130, 40), (1.1, 8.2)),
    "regrid_static": Demand("fields, month", (120, 49), (0.91, 1.9)),
    "regrid_weights": Demand("fields, month", (130, 2.1), (1.1, 0.17)),
    "report_figures": Demand("fields, month", (300, 40), (6, 4)),
    "report_inputs": Demand("retrievals, all", (200, 20), (3, 4)),
    "report_page": Demand("fields, month", (250, 40), (4, 8)),
    "report_quicklook": Demand("fields, month", (200, 40), (3, 4)),
    "report_validation": Demand("nothing", (500, 0), (30, 0)),
    "train_model": Demand("predictors, part", (630, 4.5), (28, 0.12), "every epoch"),
    "twin_month": Demand("predictors, month", (130, 7.9), (2.9, 1.5)),
    "twin_static": Demand("fields, month", (130, 19), (1.1, 0.093)),
    "twin_stations": Demand("nothing", (130, 0), (1.2, 0)),
    "validate_dynamics": Demand("fields, test", (400, 8), (5, 2)),
    "validate_hours": Demand("fields, test", (400, 5), (5, 1.5)),
    "validate_satellite": Demand("fields, test", (400, 10), (10, 2)),
    "validate_sensors": Demand("nothing", (600, 0), (120, 0)),
    "validate_stations": Demand("fields, test", (400, 5), (8, 2)),
    "validate_triple": Demand("retrievals, all", (300, 60), (60, 12)),
    "validate_uncertainty": Demand("fields, test", (400, 8), (5, 2)),
    "verify_heldout": Demand("predictors, month", (380, 11), (16, 0.78), "every member and test month"),
    "verify_product": Demand("fields, month", (120, 28), (0.64, 1.7)),
    "verify_references": Demand("retrievals, month", (350, 490), (2.8, 640)),
    "verify_scores": Demand("fields, test", (210, 48), (1.7, 6.1)),
    "verify_twin": Demand("predictors, all", (200, 6), (5, 0.3)),
}

#: Rules of which records of one size are there, or none: how they grow is an estimate from what their code holds and
#: goes through (validate_triple: measured on made-up files of 210 to 1763 coarse cells). Their first runs at another
#: size may need a second attempt; ``python -m pscnet.demands`` with the records of two runs says better.
ESTIMATED = frozenset(
    {
        "archive_manifest",
        "archive_terrain",
        "compare_numbers",
        "compare_page",
        "dataset_sequences",
        "explain_figures",
        "explain_model",
        "fetch_era5_edge",
        "fetch_era5_land",
        "fetch_smap",
        "fetch_terrain",
        "report_figures",
        "report_inputs",
        "report_page",
        "report_quicklook",
        "report_validation",
        "validate_dynamics",
        "validate_hours",
        "validate_satellite",
        "validate_sensors",
        "validate_stations",
        "validate_triple",
        "validate_uncertainty",
        "verify_twin",
    }
)


class Demands:
    """What the jobs of a run ask for.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self.extent = Extent.of(config)

    def memory(self, rule: str) -> Callable[[Any, int], int]:
        """The memory of a job [MB], for ``resources``: twice as much at every further attempt.

        Raises
        ------
        LookupError
            When the rule has no entry.
        """
        demand = demand_of(rule)

        def mem_mb(wildcards: Any, attempt: int) -> int:
            megabytes = STARTERS_MB + MEMORY_MARGIN * demand.measured(self.extent, wildcards)[0]
            return math.ceil(megabytes / 100) * 100 * 2 ** (attempt - 1)

        return mem_mb

    def minutes(self, rule: str) -> Callable[[Any, int], int]:
        """The time of a job [min], for ``resources``: twice as much at every further attempt.

        Raises
        ------
        LookupError
            When the rule has no entry.
        """
        demand = demand_of(rule)

        def runtime(wildcards: Any, attempt: int) -> int:
            seconds = TIME_MARGIN * demand.measured(self.extent, wildcards)[1]
            return max(math.ceil(seconds / 60), LEAST_MINUTES) * 2 ** (attempt - 1)

        return runtime


def demand_of(rule: str) -> Demand:
    """The entry of a rule.

    Raises
    ------
    LookupError
        With what to do, when there is none.
    """
    try:
        return DEMANDS[rule]
    except KeyError:
        raise LookupError(
            f"rule {rule}: no entry in DEMANDS of pscnet.demands; write "
            "Demand('predictors, month', (1000, 0), (60, 0)), run the rule once, and take what "
            "python -m pscnet.demands suggests from runtimes/"
        ) from None
