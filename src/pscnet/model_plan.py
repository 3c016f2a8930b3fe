"""Which net with which options: the models of a run, what they are trained from, and what is compared.

The half of :class:`pscnet.plan.Plan` that knows of models; it reads no data either.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pscnet.channels import LEARNT_PARTS, band_names
from pscnet.config import Config, Model
from pscnet.validation import METHODS, PRODUCT
from pscnet.variants import (
    ENSEMBLE,
    LITERATURE,
    OF_PSCNET,
    READ_SEQUENCES,
    Variant,
    net_variants,
    part_variants,
)


class ModelPlan:
    """What the rules ask about models.

    Attributes
    ----------
    config : Config
    run : str
    """

    config: Config
    run: str

    def section(self, name: str, *, without: tuple[str, ...] | list[str] = ()) -> dict[str, Any]:
        """A section of the configuration as plain values."""
        values = getattr(self.config, name).model_dump(mode="json")
        return {key: value for key, value in values.items() if key not in without}

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
            defaults = Model().model_dump(mode="json")
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
        return [f"build/{self.run}/samples/{part}.{name}.npy" for part in LEARNT_PARTS for name in names]

    def covariance_of(self, variant: str) -> list[str]:
        """The covariance that a checkpoint carries: nothing where the variant reads no kriged innovation."""
        return [f"build/{self.run}/covariance.json"] if self.net_of(variant)["kriged"] else []

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
    def curves(self) -> list[str]:
        """The learning curves of all members of the product's ensemble."""
        return [self.curve_of(checkpoint) for checkpoint in self.checkpoints()]

    @property
    def references(self) -> list[str]:
        """The methods without training, by the names of :data:`pscnet.validation.METHODS`."""
        return [name for name in METHODS if name != PRODUCT]

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
