"""Which file of which month: the months, neighbours and arguments that the workflow's rules ask for.

Months and raw files are those of :mod:`pscnet.plan_raw`; here stands what is made of them, and the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pscnet import config, provenance
from pscnet.grids import WEIGHTS
from pscnet.plan_raw import RawPlan
from pscnet.timeaxis import PARTS
from pscnet.variants import (
    CHANGED_SECTIONS,
    ENSEMBLE,
    LITERATURE,
    OF_PSCNET,
    READ_SEQUENCES,
    Variant,
    band_names,
    net_variants,
    part_variants,
)

#: The weight file from ERA5-Land's nodes to a fine grid that is another one.
INTERPOLATION = {"source_to_fine": "bilinear"}


class Plan(RawPlan):
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
        super().__init__(mapping)
        self.split = self.config.make_split()

    # Files of parts of the split ---------------------------------------------------------------------------------

    def part(self, pattern: str, *parts: str) -> list[str]:
        """The files of the months that parts of the split touch."""
        return self.at(pattern, self.part_months(*parts))

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

    def section(self, name: str, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """A section of the configuration as plain values."""
        values = getattr(self.config, name).model_dump(mode="json")
        return {key: value for key, value in values.items() if key not in without}

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
            *without,
        }
        keys = {key: value for key, value in self.config.model_dump(mode="json").items() if key not in aside}
        if variant is not None:
            keys |= {section: self.changed(variant, section) for section in CHANGED_SECTIONS}
            for beside in ("seed", "ensemble"):
                keys["training"].pop(beside)  # a checkpoint's own seed stands in its name
        for section in {"training", "downscale"} & set(keys):
            keys[section].pop("threads")  # how fast, not what
        return provenance.digest({**keys, "split": self.split_blocks})

    # Models and what is compared with them -----------------------------------------------------------------------

    @cached_property
    def variants(self) -> dict[str, Variant]:
        """Every model that can be trained, by the name that its files carry."""
        nets = list(dict.fromkeys([self.config.model.name, "pscnet", *self.config.compare.models]))
        return net_variants(nets) | self._parts

    @cached_property
    def _parts(self) -> dict[str, Variant]:
        return part_variants(band_names(self.config.samples.time_scales_days))

    @property
    def part_names(self) -> list[str]:
        """The variants of PSCNet with one part changed."""
        return list(self._parts)

    def changed(self, variant: str, section: str) -> dict[str, Any]:
        """A section of the configuration as a variant has it; the configured net's own is the configuration's."""
        values = self.section(section)
        changes = getattr(self.variants[variant], section)
        if section == "model" and changes["name"] != values["name"]:
            defaults = config.Model().model_dump(mode="json")
            values |= {key: defaults[key] for key in OF_PSCNET}
        return values | changes

    def net_of(self, variant: str) -> dict[str, Any]:
        """Fields of :class:`pscnet.nets.frame.NetSpec` that the configuration decides."""
        values = self.changed(variant, "model")
        bands = band_names(self.config.samples.time_scales_days)
        values["without_bands"] = [bands.index(name) for name in values["without_bands"]]
        values["sequence_days"] = values["sequence_days"] if values["name"] in READ_SEQUENCES else 0
        values["kriged"] = values["kriged"] and values["dress"] == "own"
        return values

    def options_of(self, variant: str, seed: str | int) -> dict[str, Any]:
        """Options of a variant's training."""
        values = self.changed(variant, "training") | {"seed": int(seed)}
        return {key: value for key, value in values.items() if key not in ("threads", "ensemble")}

    def samples(self, variant: str) -> list[str]:
        """The sample files that a variant is trained from."""
        net = self.net_of(variant)
        names = ["stamps", "bands", "background"]
        if net["kriged"]:
            names.append("kriged_causal" if self.changed(variant, "samples")["causal"] else "kriged")
        if net["sequence_days"]:
            names += ["sequence", "sequence_stamps"]
        return [f"build/{self.run}/samples/{part}.{name}.npy" for part in PARTS[:2] for name in names]

    def causal_kriging(self, name: str) -> bool:
        """Whether the sample file of that name holds kriged innovations of past retrievals alone."""
        return name.endswith("_causal")

    def checkpoint(self, variant: str, seed: int) -> str:
        """The checkpoint of one training."""
        return f"build/{self.run}/models/{variant}_{seed}.safetensors"

    def checkpoints(self, variant: str | None = None, members: int | None = None) -> list[str]:
        """The members of a variant's ensemble; by default those of the product."""
        training = self.config.training
        seeds = range(training.seed, training.seed + (members or training.ensemble))
        return [self.checkpoint(variant or self.config.model.name, seed) for seed in seeds]

    def curve_of(self, checkpoint: str) -> str:
        """The learning curve of a checkpoint."""
        return checkpoint.replace(".safetensors", "_curve.csv")

    @property
    def curve(self) -> str:
        """The learning curve of the product's first member."""
        return self.curve_of(self.checkpoints()[0])

    @property
    def references(self) -> list[str]:
        """The methods without training, by the names of :data:`pscnet.validation.METHODS`."""
        return ["era5_land", "era5_land_rescaled", "smap_interpolated", "smap_kriged", "optimal_interpolation"]

    def compared(self, variant: str, members: str) -> list[str]:
        """The checkpoints behind one row of a comparison: of one seed, or of the ensemble of all."""
        if members == ENSEMBLE:
            return self.checkpoints(variant, self.config.compare.seeds)
        return [self.checkpoint(variant, int(members))]

    def comparison(self, table: str) -> dict[str, list[str]]:
        """Method to the files of its moments, by seed: of the ``models``, or of PSCNet's ``parts``."""
        compare, folder = self.config.compare, f"build/{self.run}/compare"
        nets = list(dict.fromkeys([self.config.model.name, *compare.models]))
        chosen = {"models": list(net_variants(nets)), "parts": ["pscnet", *self.part_names]}[table]
        if not compare.literature:
            chosen = [name for name in chosen if not name.endswith(LITERATURE)]
        seeds = range(self.config.training.seed, self.config.training.seed + compare.seeds)
        files = {name: [f"{folder}/{name}.nc"] for name in self.references}
        files |= {name: [f"{folder}/{name}_{seed}.nc" for seed in seeds] for name in chosen}
        if table == "models":
            together = [name for name in compare.ensembles if name in chosen and compare.seeds > 1]
            files |= {f"{name}_{ENSEMBLE}": [f"{folder}/{name}_{ENSEMBLE}.nc"] for name in together}
        return files

    def compared_files(self, table: str) -> list[str]:
        """All files of :meth:`comparison`."""
        return [path for paths in self.comparison(table).values() for path in paths]

    @property
    def reads_sequences(self) -> bool:
        """Whether the product's net looks back into the month before."""
        return self.config.model.name in READ_SEQUENCES

    @property
    def background(self) -> str:
        """The predictor that is rescaled to SMAP."""
        return config.BACKGROUND

    @property
    def control(self) -> str | None:
        """The twin's control experiment, if any."""
        return None if self.config.twin.control == "none" else self.config.twin.control

    def gpus(self, section: str) -> int:
        """GPUs that a job asks for: one where the configuration names it, or says auto and this machine has one.

        On a cluster, whose login node may have none, the configuration names it.
        """
        device = getattr(self.config, section).device
        return int(device.startswith("cuda") or (device == "auto" and Path("/dev/nvidia0").exists()))

    @cached_property
    def test_months(self) -> list[str]:
        """The months that are scored."""
        return self.part_months(PARTS[-1])

    @property
    def report_month(self) -> str:
        """The month that the report shows."""
        return self.config.report.month or self.test_months[0]

    @property
    def report_references(self) -> list[str]:
        """The same month where it has reference fields: test months have."""
        return [month for month in self.test_months if month == self.report_month]

    def summary(self) -> dict[str, Any]:
        """What was run, for the report."""
        keys = ("source", "period", "region", "predictors", "samples", "model", "training", "smap", "regrid")
        values = self.config.model_dump(mode="json")
        chosen = {key: values[key] for key in keys} | ({"twin": values["twin"]} if self.twin else {})
        return {"title": self.config.product.title, "run": self.run, **chosen, "split": self.split_blocks}
