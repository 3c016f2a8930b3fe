"""Which validations does a run have: the part of :class:`pscnet.plan.Plan` that knows of them; it reads no data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pscnet import provenance
from pscnet.config import Config
from pscnet.timeaxis import month_bounds
from pscnet.validation import block_length

#: Source name of SMAP's 9 km product.
ENHANCED = "smap_e"


class ValidationPlan:
    """What the rules ask about validations.

    Attributes
    ----------
    config : Config
    run : str
    twin, fetching : bool
    test_months : list of str
    """

    config: Config
    run: str
    twin: bool
    fetching: bool
    test_months: list[str]

    if TYPE_CHECKING:

        def at(self, pattern: str, months: Sequence[str] | None = None) -> list[str]: ...
        def holds(self, source: str, month: str) -> bool: ...

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
        return block_length(self.config.samples.window_days)

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

    @property
    def enhanced(self) -> list[str]:
        """The manifests of the 9 km product for the test months: those that are fetched, or that the archive has."""
        if self.twin:
            return []
        if self.fetching:
            there = self.test_months if ENHANCED in self.config.fetch.sources() else []
        else:
            there = [month for month in self.test_months if self.holds(ENHANCED, month)]
        return self.at(f"build/{{run}}/manifests/{ENHANCED}/{{month}}.json", there)

    def delivered(self, pattern: str) -> list[str]:
        """Files of the test months, where delivered fields are scored: held-out regions, and the 9 km product."""
        return self.at(pattern, self.test_months) if self.withheld or self.enhanced else []

    @property
    def land_cover(self) -> list[str]:
        """The raster of land cover, where one is named."""
        return [path for path in [self.config.validation.land_cover] if path]

    # Triple collocation --------------------------------------------------------------------------------------------

    @property
    def third_files(self) -> list[str]:
        """The independent products."""
        return [one.path for one in self.config.validation.third]

    def beside_two(self, pattern: str) -> list[str]:
        """Files of the test months, where two independent products make a triplet with the product."""
        return self.at(pattern, self.test_months) if len(self.config.validation.third) > 1 else []

    @property
    def period_bounds(self) -> list[str]:
        """First instant of the period, and its end."""
        months = self.config.months()
        return [str(month_bounds(months[0])[0])[:16], str(month_bounds(months[-1])[1])[:16]]

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
