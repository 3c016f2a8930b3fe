"""What does the report show: the part of :class:`pscnet.plan.Plan` that knows of it; it reads no data."""

from __future__ import annotations

from typing import Any, NamedTuple

from pscnet.config import Config
from pscnet.report.figure_names import figure_names, validation_figures

#: Sections of the configuration that the page shows.
SHOWN = ("source", "period", "region", "predictors", "samples", "model", "training", "smap", "regrid", "downscale")


class FigurePath(NamedTuple):
    """A figure of a run: what it belongs to, its name, and its path without suffix."""

    what: str
    name: str
    path: str


class ReportPlan:
    """What the rules ask about the report.

    Attributes
    ----------
    config : Config
    run : str
    twin : bool
    test_months : list of str
    split_blocks : mapping
    validations : list of str
    """

    config: Config
    run: str
    twin: bool
    test_months: list[str]
    split_blocks: dict[str, list[list[str]]]
    validations: list[str]

    @property
    def report_month(self) -> str:
        """The month that the report shows."""
        return self.config.report.month or self.test_months[0]

    @property
    def report_references(self) -> list[str]:
        """The same month where it has reference fields: test months have."""
        return [month for month in self.test_months if month == self.report_month]

    @property
    def run_figures(self) -> list[FigurePath]:
        """The figures that every run has."""
        return [FigurePath("run", name, f"results/{self.run}/figures/{name}") for name in figure_names("run_figures")]

    @property
    def validation_figures(self) -> list[FigurePath]:
        """The figures of all validations of the run.

        Raises
        ------
        LookupError
            When a validation has no module that draws.
        """
        folder = f"results/{self.run}/figures"
        return [
            FigurePath(what, name, f"{folder}/{what}/{name}")
            for what in self.validations
            for name in validation_figures(what)
        ]

    @property
    def station_series(self) -> list[str]:
        """The series of the stations where they are validated."""
        return [f"results/{self.run}/validation/stations_series.nc"] if "stations" in self.validations else []

    def summary(self) -> dict[str, Any]:
        """What was run, for the report."""
        values = self.config.model_dump(mode="json")
        chosen = {key: values[key] for key in SHOWN} | ({"twin": values["twin"]} if self.twin else {})
        return {"title": self.config.product.title, "run": self.run, **chosen, "split": self.split_blocks}
