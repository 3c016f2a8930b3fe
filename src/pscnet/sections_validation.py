"""Groups of keys of the configuration about validation."""

from __future__ import annotations

from pydantic import Field

from pscnet.sections import Section


class Dynamics(Section):
    """What counts as rain event and as dry-down, in ERA5-Land's rain."""

    wet_mm: float = Field(0.5, gt=0, description="Least rain of a wet 3-hour step [mm].")
    dry_hours: int = Field(24, ge=3, le=240, description="Hours before an event without rain [h].")
    dry_mm: float = Field(1.0, ge=0, description="Most rain of these hours together [mm].")
    rain_mm: float = Field(5.0, gt=0, description="Least rain of an event in its first 24 hours [mm].")
    drydown_days: int = Field(3, ge=2, le=30, description="Fewest days without a wet step of a dry-down [day].")


class Validation(Section):
    """How the product is judged."""

    draws: int = Field(1000, ge=100, le=20000, description="Draws of the bootstrap that intervals come from.")
    cells: int = Field(
        2500, ge=100, description="Most cells of series, events and bootstraps; of larger regions a regular lattice."
    )
    dynamics: Dynamics = Field(Dynamics(), description="Events of the temporal dynamics.")
