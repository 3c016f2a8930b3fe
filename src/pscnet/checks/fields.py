"""Contract of the downscaled month: ranges, uncertainty, flags, and the seamless rule, in one pass over time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from ..grids import Grid
from ..variables import FLAG_BITS, SOIL_MOISTURE_RANGE
from .layout import FIELD_DIMS, axes_complaints, blocks, complaint, layout_complaints, stamps_complaints

#: Accepted range (above, up to) of a standard deviation of soil moisture [m3 m-3]; the top catches a wrong unit.
UNCERTAINTY_RANGE = (0.0, SOIL_MOISTURE_RANGE[1])

#: Flags that may explain why a cell has no value. Observed or extrapolated cells have to have one.
REASONS = ("frozen", "snow", "inland_water", "outside_region")


@dataclass
class FieldSummary:
    """What one pass over a month of soil moisture, uncertainty and flags found.

    ``steps`` counts cells times steps of the region, ``unfrozen`` those of them that are neither frozen nor
    inland water, ``valued`` the unfrozen ones that carry a value; ``flags`` counts each flag in the region
    (``outside_region`` everywhere).
    """

    steps: int = 0
    unfrozen: int = 0
    valued: int = 0
    flags: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FLAG_BITS, 0))
    ranges: dict[str, list[float]] = field(default_factory=dict)
    faults: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def coverage(self) -> float | None:
        """Share of the unfrozen land cells and steps of the region with a value; None where all is frozen."""
        return self.valued / self.unfrozen if self.unfrozen else None

    def count(self, name: str, expected: str, bad: np.ndarray) -> None:
        """Add the number of True cells of ``bad`` to the faults of ``name``."""
        number = int(bad.sum())
        if number:
            self.faults[name, expected] = self.faults.get((name, expected), 0) + number

    def complaints(self) -> list[str]:
        """The faults, one sentence for each kind."""
        out = []
        for (name, expected), number in self.faults.items():
            low, high = self.ranges.get(name, (np.nan, np.nan))
            extent = f"; all values within {low:.6g} .. {high:.6g}" if "values in" in expected else ""
            out.append(complaint(name, expected, f"{number} cells and steps that break this{extent}"))
        return out


def summarise(ds: xr.Dataset, region: np.ndarray | None = None) -> FieldSummary:
    """Check the values of ``soil_moisture``, ``soil_moisture_uncertainty`` and ``flag`` in one pass over time.

    Parameters
    ----------
    ds : Dataset (time, lat, lon)
        With a good layout; read in blocks, so that memory stays bounded.
    region : ndarray (lat, lon) of bool, optional
        Land cells of the region. Without it, the cells that are not flagged ``outside_region`` at the first step.

    Returns
    -------
    FieldSummary
    """
    summary = FieldSummary()
    if region is None:
        region = (ds["flag"].isel(time=0).values & FLAG_BITS["outside_region"]) == 0
    region = np.asarray(region, bool)
    for block in blocks(ds):
        _summarise_block(summary, block, region)
    return summary


def _summarise_block(summary: FieldSummary, block: xr.Dataset, region: np.ndarray) -> None:
    """Add one block of steps to the summary."""
    flag = block["flag"].values
    bits = {name: (flag & bit) != 0 for name, bit in FLAG_BITS.items()}
    known = np.uint8(sum(FLAG_BITS.values()))
    summary.count("flag", f"only the bits {list(FLAG_BITS.values())}", (flag & ~known) != 0)
    summary.count("flag", "outside_region exactly outside the region", bits["outside_region"] == region)
    there = {}
    for name, (low, high) in {
        "soil_moisture": SOIL_MOISTURE_RANGE,
        "soil_moisture_uncertainty": UNCERTAINTY_RANGE,
    }.items():
        values = block[name].values
        there[name] = ~np.isnan(values)
        if there[name].any():
            seen = [float(np.nanmin(values)), float(np.nanmax(values))]
            old = summary.ranges.get(name, seen)
            summary.ranges[name] = [min(seen[0], old[0]), max(seen[1], old[1])]
        summary.count(name, f"values in {low:g} .. {high:g}", there[name] & ((values < low) | (values > high)))
        if name == "soil_moisture_uncertainty":
            summary.count(name, "positive values", there[name] & (values <= 0))
    value, uncertain = there.values()
    summary.count("soil_moisture_uncertainty", "a value exactly where soil_moisture has one", value != uncertain)
    summary.count("soil_moisture", "no value outside the region", value & ~region)
    reason = np.logical_or.reduce([bits[name] for name in REASONS])
    expected = f"a value, or one of the flags {', '.join(REASONS)}, at every cell and step (seamless)"
    summary.count("soil_moisture", expected, ~value & ~reason)
    unfrozen = region & ~bits["frozen"] & ~bits["inland_water"]
    summary.steps += int(region.sum()) * flag.shape[0]
    summary.unfrozen += int(unfrozen.sum())
    summary.valued += int((unfrozen & value).sum())
    for name, found in bits.items():
        summary.flags[name] += int((found if name == "outside_region" else found & region).sum())


def field_layout_complaints(ds: xr.Dataset, fine: Grid, month: str, dtypes: tuple[str, ...] = ("f4",)) -> list[str]:
    """Axes, dims, decoded types and units that the downscaled month and the product share."""
    out = axes_complaints(ds, fine) + stamps_complaints(ds, month)
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        out += layout_complaints(ds, name, FIELD_DIMS, dtypes, "m3 m-3")
    return out + layout_complaints(ds, "flag", FIELD_DIMS, "u1")


def downscaled_complaints(ds: xr.Dataset, fine: Grid, month: str, region: np.ndarray | None = None) -> list[str]:
    """Complaints on a downscaled month.

    Parameters
    ----------
    ds : Dataset (time, lat, lon)
        ``soil_moisture``, ``soil_moisture_uncertainty`` float32 [m3 m-3], ``flag`` uint8.
    fine : Grid
    month : str
    region : ndarray (lat, lon) of bool, optional
        Land cells of the region.

    Returns
    -------
    list of str
    """
    return field_layout_complaints(ds, fine, month) or summarise(ds, region).complaints()
