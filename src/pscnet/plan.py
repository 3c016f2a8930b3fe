"""Which file of which month: the months, neighbours and arguments that the workflow's rules ask for.

A path pattern holds ``{run}`` and ``{month}``, such as ``build/{run}/smap/{month}.nc``. Nothing here reads data, so
that a plan of many years is made in a moment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pscnet import config, provenance
from pscnet.demands import Demands
from pscnet.grids import WEIGHTS
from pscnet.model_plan import ModelPlan
from pscnet.report_plan import ReportPlan
from pscnet.sections import SMAP_SOURCES, is_address
from pscnet.timeaxis import PARTS, neighbour
from pscnet.validation_plan import ENHANCED, ValidationPlan
from pscnet.variants import CHANGED_SECTIONS

if TYPE_CHECKING:
    from pscnet.sources.archive import Inventory

#: The weight file from ERA5-Land's nodes to a fine grid that is another one.
INTERPOLATION = {"source_to_fine": "bilinear"}


class Plan(ModelPlan, ValidationPlan, ReportPlan):
    """What the rules ask of a configuration.

    Parameters
    ----------
    mapping : nested mapping
        The configuration as Snakemake gives it.

    Raises
    ------
    ConfigError
        See :func:`pscnet.config.load`.
    """

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self.config = config.load(mapping)
        self.run = self.config.run
        self.months: list[str] = self.config.months()
        self.twin = self.config.source == "twin"
        self.fetching = self.config.source == "fetch"
        self.split = self.config.make_split()

    # Files -----------------------------------------------------------------------------------------------------

    def at(self, pattern: str, months: Sequence[str] | None = None) -> list[str]:
        """The files of ``months`` (default: of the whole period)."""
        return [pattern.format(run=self.run, month=month) for month in (self.months if months is None else months)]

    def previous(self, pattern: str, month: str) -> list[str]:
        """The file of the month before, or nothing where the period starts."""
        return self.at(pattern, [before for before in [neighbour(month, -1)] if before in self.months])

    def around(self, pattern: str, month: str) -> list[str]:
        """The files of the month before, the month and the month after, as far as they are in the period."""
        wanted = (neighbour(month, -1), month, neighbour(month, 1))
        return self.at(pattern, [name for name in wanted if name in self.months])

    def up_to(self, pattern: str, month: str) -> list[str]:
        """The files of the month before, as far as it is in the period, and of the month."""
        return self.previous(pattern, month) + self.at(pattern, [month])

    def part(self, pattern: str, *parts: str) -> list[str]:
        """The files of the months that parts of the split touch."""
        return self.at(pattern, self.part_months(*parts))

    def part_of_twin(self, pattern: str, *parts: str) -> list[str]:
        """The same of files that only the simulated Plateau has.

        Raises
        ------
        ConfigError
            With another source.
        """
        if not self.twin:
            raise config.ConfigError(
                f"source: {self.config.source}: models are compared with the truth, which only the simulated Plateau "
                "has; type source: twin, or take a configuration that has it (--configfile config/demo.yaml)"
            )
        if self.config.model.dress != "own":
            raise config.ConfigError(
                "model.dress: literature: a comparison trains every net in both dresses itself; type model.dress: own"
            )
        return self.part(pattern, *parts)

    def part_months(self, *parts: str) -> list[str]:
        """The months that parts of the split touch."""
        touched = {month for part in parts for month in self.split.months(part)}
        return [month for month in self.months if month in touched]

    def span_months(self, *parts: str) -> list[str]:
        """All months from the first to the last of parts of the split, with one neighbour at each end."""
        touched = [self.months.index(month) for month in self.part_months(*parts)]
        return self.months[max(touched[0] - 1, 0) : touched[-1] + 2]

    def span(self, pattern: str, *parts: str) -> list[str]:
        """The files of :meth:`span_months`."""
        return self.at(pattern, self.span_months(*parts))

    # Arguments of the package's functions --------------------------------------------------------------------------

    @cached_property
    def grids(self) -> dict[str, dict[str, Any]]:
        """Arguments of ``fine_grid`` (``fine``; ``source``, the nodes of ERA5-Land) and ``ease2_grid`` (``coarse``)."""
        return self.config.grid_arguments()

    @cached_property
    def grid_names(self) -> dict[str, str]:
        """The names that weight files carry, by grid."""
        return {
            "source": self.config.source_grid().name,
            "fine": self.config.fine_grid().name,
            "middle": self.config.middle_grid().name,
            "coarse": self.config.coarse_grid().name,
        }

    def weights(self, name: str) -> str:
        """One weight file of :data:`WEIGHTS` or :data:`INTERPOLATION`."""
        source, target = (self.grid_names[grid] for grid in name.split("_to_"))
        return f"build/{self.run}/weights/{(WEIGHTS | INTERPOLATION)[name]}_{source}_{target}.nc"

    @property
    def interpolation(self) -> list[str]:
        """The weight file from ERA5-Land's nodes to the fine grid; nothing where that is those nodes."""
        same = self.grids["source"] == self.grids["fine"]
        return [] if same else [self.weights(name) for name in INTERPOLATION]

    @cached_property
    def weight_set(self) -> dict[str, str]:
        """All weight files, by name."""
        return {name: self.weights(name) for name in WEIGHTS}

    @cached_property
    def split_blocks(self) -> dict[str, list[list[str]]]:
        """The split resolved to blocks of time (see :meth:`pscnet.timeaxis.Split.describe`)."""
        return self.split.describe()

    def config_hash(self, *, without: Sequence[str] = (), variant: str | None = None) -> str:
        """Digest of what decides the values of a product month, and of a checkpoint ``without`` the later sections.

        The checkpoint of a ``variant`` depends on its own sections, and not on how many others are trained beside it.

        Names, folders and pages are left out, and the period too: a longer record with the same split leaves the old
        months as they are.
        """
        aside = {
            "run",
            "archive",
            "fetch",
            "terrain_sha256",
            "stations",
            "report",
            "period",
            "product",
            "compare",
            "validation",
            *without,
        }
        keys = {key: value for key, value in self.config.model_dump(mode="json").items() if key not in aside}
        if variant is not None:
            keys |= {section: self.changed(variant, section) for section in CHANGED_SECTIONS}
            for beside in ("seed", "ensemble"):
                keys["training"].pop(beside)  # a checkpoint's own seed stands in its name
        for section in {"training", "downscale"} & set(keys):
            for key in ("threads", "device"):
                keys[section].pop(key)  # how fast and where, not what
        return provenance.digest({**keys, "split": self.split_blocks})

    @property
    def background(self) -> str:
        """The predictor that is rescaled to SMAP."""
        return config.BACKGROUND

    @property
    def control(self) -> str | None:
        """The twin's control experiment, if any."""
        return None if self.config.twin.control == "none" else self.config.twin.control

    def gpus(self, section: str) -> int:
        """GPUs that a job asks for: one where the configuration names it, or says auto and this machine may have one.

        On a cluster, whose login node may have none, the configuration names it.
        """
        device = getattr(self.config, section).device
        return int(device.startswith("cuda") or (device == "auto" and has_gpu()))

    def memory(self, rule: str) -> Callable[[Any, int], int]:
        """Memory of a rule's jobs [MB]: see :meth:`pscnet.demands.Demands.memory`."""
        return self._demands.memory(rule)

    def minutes(self, rule: str) -> Callable[[Any, int], int]:
        """Time of a rule's jobs [min]: see :meth:`pscnet.demands.Demands.minutes`."""
        return self._demands.minutes(rule)

    @cached_property
    def _demands(self) -> Demands:
        return Demands(self.config)

    def torch(self, section: str) -> str:
        """The environment of a job that runs the net, ``envs/{name}.yaml``: with CUDA where it asks for a GPU."""
        return "torch_cuda" if self.gpus(section) else "torch_cpu"

    @cached_property
    def test_months(self) -> list[str]:
        """The months that are scored."""
        return self.part_months(PARTS[-1])

    # Files over the network ------------------------------------------------------------------------------------------

    @cached_property
    def manifests(self) -> list[str]:
        """All manifests of the run: of every month, of the edges where files are fetched, and of the elevation."""
        sources = ["era5_land", *(self.config.fetch.sources() if self.fetching else ["smap"])]
        edges = ["opening", "closing"] if self.fetching else []
        return [
            f"build/{self.run}/manifests/terrain.json",
            *self.at("build/{run}/manifests/era5_land/{month}.json", edges),
            *(path for source in sources for path in self.at(f"build/{{run}}/manifests/{source}/{{month}}.json")),
        ]

    def era5_land_before(self, month: str) -> list[str]:
        """The manifest with the ERA5-Land step before a month: that of the month before, or a fetched opening edge."""
        pattern = "build/{run}/manifests/era5_land/{month}.json"
        opening = self.fetching and month == self.months[0]
        return self.at(pattern, ["opening"]) if opening else self.previous(pattern, month)

    def edge_month(self, edge: str) -> str:
        """The month that the ``opening`` or ``closing`` step adjoins: the first or the last of the period."""
        return self.months[0 if edge == "opening" else -1]

    @property
    def terrain_address(self) -> str | None:
        """Where the elevation comes from over the network; None where it is a local file."""
        terrain = self.config.terrain
        return terrain if terrain and is_address(terrain) else None

    @property
    def terrain_file(self) -> list[str]:
        """The elevation file that the configuration names; nothing where it is an address, or is not named."""
        return [self.config.terrain] if self.config.terrain and not self.terrain_address else []

    def smap_product(self, source: str, month: str) -> dict[str, Any]:
        """What is fetched of a month of a SMAP source: what decides on its files, and so on a rerun."""
        smap, product = self.config.fetch.smap, SMAP_SOURCES[source]
        kept = smap.l4_variables if product == "SPL4SMGP" else []
        made = {"product": product, "version": getattr(smap.versions, product), "variables": kept}
        without = [day for day in smap.without if day.startswith(month)]
        return made | ({"without": without} if without else {})

    def fetch_minutes(self, provider: Literal["era5_land", "smap"]) -> int:
        """Run time to ask a batch system for [min]: longer than a job waits before it gives up by itself.

        A job of ERA5-Land may wait for its turn first, and for two requests one after the other, so that a day is added
        to the deadline; one of SMAP gives up after a time without any success, and moves up to 22 GB.
        """
        fetch = self.config.fetch
        hours = fetch.era5_land.deadline_hours if provider == "era5_land" else fetch.retry.give_up_after_hours
        return math.ceil(60 * (hours + 24))

    def repairs_file(self, source: str, month: str) -> str:
        """Where the number of :meth:`fetch_state` is kept."""
        return f"build/{self.run}/repairs/{source}_{month}.txt"

    def fetch_state(self, source: str, month: str) -> int:
        """How often a month (or edge, or ``static``) will have been put in order after this run.

        It grows by one when a raw file of the month is gone or changed, so that the month's job runs; see
        :mod:`pscnet.sources.fetch.repairs`.
        """
        from pscnet.sources.fetch.repairs import planned  # only here: other sources need no ledger

        manifest = "terrain.json" if source == "terrain" else f"{source}/{month}.json"
        folder = f"build/{self.run}/manifests"
        return planned(self.repairs_file(source, month), f"{folder}/{manifest}", self.config.archive, source, month)

    # The archive of raw files ----------------------------------------------------------------------------------------

    @property
    def archive_index(self) -> str:
        """Where the pipeline keeps what it found in the archive, so that it looks into each file once."""
        return f"build/{self.run}/archive_index.json"

    @cached_property
    def archive(self) -> Inventory | None:
        """What the archive holds; None where its folder is not there (yet)."""
        if not Path(self.config.archive).is_dir():
            return None
        from pscnet.sources.archive import inventory  # only here: a plan without files needs no reader

        return inventory(self.config.archive, self.archive_index)

    def _holdings(self, source: str, month: str | None) -> dict[str, Any]:
        """What the archive has and lacks of a month, as in a manifest."""
        if self.archive is None:
            everything = self.config.predictors if source == "era5_land" else []
            return {"files": [], "missing": {"variables": everything, "days": ["all"]}}
        return self.archive.manifest(source, month, self.config.predictors, self.archive_grid(source))

    def archive_grid(self, source: str) -> str:
        """EASE-Grid 2.0 of a SMAP source's granules."""
        return "M09" if source == ENHANCED else self.config.grids.coarse.name

    def holds(self, source: str, month: str) -> bool:
        """Whether the archive has a file of a source and month."""
        return bool(self._holdings(source, month)["files"])

    def archive_digest(self, source: str, month: str | None = None) -> str:
        """Digest of the names and the content of a month's raw files: the same for files that were only touched."""
        holdings = self._holdings(source, month)
        files = sorted((item["path"], item["sha256"]) for item in holdings["files"])
        return provenance.digest({"files": files, "missing": holdings["missing"]})

    def archive_gaps(self) -> str:
        """What the period needs and the archive lacks, in words; empty when nothing is missing."""
        lines = []
        without = [month for month in self.months if self._holdings("era5_land", month)["missing"]["variables"]]
        if without:
            lines.append(f"ERA5-Land is absent or incomplete in {_shown(without, len(self.months))}")
        without = [month for month in self.months if not self._holdings("smap", month)["files"]]
        if without:
            lines.append(f"SMAP is absent in {_shown(without, len(self.months))}")
        if self.config.terrain is None and len(self._holdings("terrain", None)["files"]) != 1:
            lines.append("one elevation file is needed; put it there or name it with the key terrain")
        if not lines:
            return ""
        state = "" if self.archive is not None else ", a folder that does not exist"
        return "\n  ".join([f"Raw files are missing in {self.config.archive}{state}:", *lines])


def has_gpu(devices: str | Path = "/dev") -> bool:
    """Whether this machine may have a GPU for torch; without torch, which takes seconds to import.

    A container may have been given any one of the cards; under WSL2 all GPUs are behind one device, which is there for
    those of other makers too. Asked for in vain, a GPU makes jobs wait for each other; not asked for, they share it.
    """
    folder = Path(devices)
    return any(folder.glob("nvidia[0-9]*")) or (folder / "dxg").exists()


def _shown(months: Sequence[str], total: int) -> str:
    """Months in words, with an end where they are many."""
    if len(months) == total and total > 1:
        return f"all {total} months"
    names = ", ".join(months[:12]) + (" ..." if len(months) > 12 else "")
    return f"{len(months)} of {total} months ({names})"
