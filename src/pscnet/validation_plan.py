"""Which validations does a run have: the part of :class:`pscnet.plan.Plan` that knows of them; it reads no data."""

from __future__ import annotations

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
        return []

    @property
    def validation_files(self) -> list[str]:
        """What the validations deliver."""
        return [f"results/{self.run}/validation/{what}.{kind}" for what in self.validations for kind in ("json", "csv")]
