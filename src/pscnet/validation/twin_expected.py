"""What the simulated Plateau is held to: a range and its source for every number of the review."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Moisture by season and hour at stations of the third Plateau experiment.
_SEVEN = "seven stations of the third Plateau experiment, doi:10.3390/rs14195010"
_NAQU = "28 stations around Naqu, doi:10.11676/qxxb2018.057"
_DESIGN = "design of the twin"
_MISSION = "Entekhabi et al. 2010, doi:10.1109/JPROC.2010.2043918"
_ERA5 = "reanalyses rain too often and too weakly, e.g. doi:10.3390/rs15041013"


@dataclass(frozen=True)
class Range:
    """Bounds, both included, their unit, and where they come from; None is no bound."""

    low: float | None
    high: float | None
    unit: str
    source: str

    def holds(self, value: float) -> bool | None:
        """Whether a value lies inside; None where it is not defined."""
        if not math.isfinite(value):
            return None
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def words(self) -> str:
        """The range for people."""
        if self.low is None:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


#: Networks: centre (lat, lon) [degree] and range of surface moisture [m3 m-3] in unfrozen ground. Centres from
#: Su et al. 2011 (doi:10.5194/hess-15-2303-2011).
NETWORKS = {
    "ngari": ((32.8, 80.0), (0.03, 0.15)),
    "naqu": ((31.5, 91.9), (0.05, 0.30)),
    "maqu": ((33.9, 102.1), (0.15, 0.50)),
}

_WATER = "m3 m-3"
_BETTER = "a better product has 0.76 against gauges, doi:10.5194/essd-15-621-2023"
_BIAS = f"0 to 0.03: {_DESIGN}; two standard errors of a cell's mean allowed"

#: Ranges by name. A name may carry a place or season after a colon; the range of the part before it then holds.
EXPECTED: dict[str, Range] = {
    "peaks in the mean year": Range(3, 3, "of 3", _SEVEN),
    "steepest thaw": Range(60, 151, "day of year", f"{_DESIGN}; {_SEVEN}"),
    "thaw rise": Range(0.02, None, _WATER, "a rise that stands out (ours)"),
    "daily range, unfrozen dry days": Range(0.005, 0.02, _WATER, _DESIGN),
    "daily range, partly frozen dry days": Range(0.005, 0.05, _WATER, _DESIGN),
    "daily range, partly frozen dry days, 95th percentile": Range(None, 0.05, _WATER, _DESIGN),
    "daily range, frozen dry days": Range(0.005, 0.05, _WATER, _DESIGN),
    "daily range, frozen dry days, 95th percentile": Range(None, 0.05, _WATER, _DESIGN),
    "hour of the spring maximum, all days": Range(15, 20, "solar hour", f"17-18 h, {_NAQU}, widened"),
    "R of daily cycles, moisture and temperature, spring": Range(0.3, 1, "1", f"positive: {_SEVEN}"),
    "R of daily cycles, moisture and temperature, winter": Range(0.3, 1, "1", f"positive: {_SEVEN}"),
    "R of daily cycles, moisture and temperature, summer": Range(-1, -0.3, "1", f"negative: {_NAQU}"),
    "R of daily cycles, moisture and temperature, arid summer": Range(0.3, 1, "1", f"positive in the west: {_SEVEN}"),
    "ERA5-Land-like R, median cell": Range(0.6, 0.8, "1", _DESIGN),
    "ERA5-Land-like R, share of cells in range": Range(0.5, 1, "1", "half of the cells (ours)"),
    "ERA5-Land-like bias, median cell": Range(0.03, 0.06, _WATER, _DESIGN),
    "ERA5-Land-like bias, share of cells in range": Range(0.5, 1, "1", "half of the cells (ours)"),
    "wet steps, ERA5-Land-like over truth": Range(1.05, 3, "1", _ERA5),
    "intensity of wet steps, ERA5-Land-like over truth": Range(0.3, 0.95, "1", _ERA5),
    "R of daily wettings, cell": Range(0.3, 0.75, "1", _BETTER),
    "R of daily wettings, 50 km minus cell": Range(0.03, 0.4, "1", "misplaced rain agrees better over an area (ours)"),
    "lead of ERA5-Land-like rain": Range(0.5, 4, "hour", "parametrised convection is early (ours)"),
    "footprint, full width": Range(36, 47, "km", _MISSION),
    "noise of recommended retrievals": Range(0.04, 0.05, _WATER, _DESIGN),
    "noise of the others": Range(0.04, 0.06, _WATER, "Li et al. 2018, doi:10.3390/rs10040535"),
    "noise correlation, neighbours": Range(0.05, 0.6, "1", f"partly correlated: {_DESIGN}"),
    "regional bias, 5th percentile of cells": Range(-0.005, 0.035, _WATER, _BIAS),
    "regional bias, 95th percentile of cells": Range(-0.005, 0.035, _WATER, _BIAS),
    "retrievals at the lower limit": Range(0, 0.02, "share", "a clipped noise is smaller than it seems (ours)"),
    "revisit of one half, mean": Range(2, 3, "day", _MISSION),
    "revisits up to 3.5 days": Range(0.9, 1, "share", _MISSION),
    "solar time, morning": Range(5.5, 6.5, "hour", _MISSION),
    "solar time, evening": Range(17.5, 18.5, "hour", _MISSION),
    "retrievals over frozen or snowy ground": Range(0, 0.005, "share", "of footprints closed by half: product flags"),
    "station error, root mean square": Range(0.02, 0.04, _WATER, _DESIGN),
    "station error, median station": Range(0.02, 0.04, _WATER, _DESIGN),
    **{
        f"level around {name}, {end} percentile": Range(low, high, _WATER, _DESIGN)
        for name, (_, (low, high)) in NETWORKS.items()
        for end in ("5th", "95th")
    },
}  # fmt: skip


def judge(name: str, value: float, where: str = "") -> dict[str, object]:
    """One line of the review.

    Raises
    ------
    KeyError
        For a name that no range is given for.
    """
    wanted = EXPECTED[name]
    return {
        "name": f"{name}: {where}" if where else name,
        "value": float(value) if math.isfinite(value) else None,
        "unit": wanted.unit,
        "range": wanted.words,
        "inside": wanted.holds(value),
        "source": wanted.source,
    }
