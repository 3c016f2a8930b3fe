"""Which validations does a run have: the part of :class:`pscnet.plan.Plan` that knows of them; it reads no data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pscnet import provenance
from pscnet.config import Config


class ValidationPlan:
    """What the rules ask about validations.

    Attributes
    ----------
    config : Config
    run : str
    twin : bool
    """

    config: Config
    run: str
    twin: bool

    @property
    def validations(self) -> list[str]:
        """Names of the validations of this run, in the order in which a reader meets them."""
        stations = ["stations"] * bool(self.station_sources)
        third = ["triple"] * bool(self.config.validation.third)
        return ["satellite", *stations, "hours", "dynamics", "uncertainty", *third]

    @property
    def validation_files(self) -> list[str]:
        """What the validations deliver."""
        return [f"results/{self.run}/validation/{what}.{kind}" for what in self.validations for kind in ("json", "csv")]

    @property
    def block_days(self) -> int:
        """Length of the blocks of time that bootstraps draw [day]: no shorter than a sample's reach."""
        return max(5, math.ceil(self.config.samples.window_days))

    # Satellite ---------------------------------------------------------------------------------------------------

    @property
    def gaps(self) -> dict[str, Any]:
        """The artificial gaps of held-out overpasses, and for which of them they are computed."""
        validation = self.config.validation
        gaps = validation.gaps(self.config.samples.window_days)
        return {"gaps_days": gaps, "gaps_share": validation.gaps_share, "gaps_seed": validation.gaps_seed}

    @property
    def withheld(self) -> list[dict[str, Any]]:
        """The boxes of cells whose retrievals are held out."""
        return [box.model_dump(mode="json") for box in self.config.samples.withheld]

    # Stations ------------------------------------------------------------------------------------------------------

    @property
    def station_sources(self) -> list[str]:
        """Where stations come from: on the simulated Plateau its own, else what the configuration names."""
        named = self.config.stations or []
        return [f"build/{self.run}/twin/raw/ismn"] if self.twin else [named] if isinstance(named, str) else list(named)

    @property
    def simulated_stations(self) -> list[str]:
        """The listing of the twin's station files, which stands in their place; nothing elsewhere."""
        return [f"build/{self.run}/twin/stations.json"] if self.twin else []

    def stations_digest(self) -> str:
        """Digest of names and contents of the station files that the configuration names: the same for touched ones."""
        if self.twin or not self.station_sources:
            return ""
        from pscnet.sources.stations.holdings import contents  # only here: other runs need no reader

        found = contents(self.station_sources, Path(f"build/{self.run}/stations_index.json"))
        return provenance.digest({"files": found})
