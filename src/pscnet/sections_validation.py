"""Groups of keys of the configuration about validation."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from pscnet.grids import GridError, check_box
from pscnet.lineage import ERA5_LAND, SMAP, lineage
from pscnet.sections import Section


class Dynamics(Section):
    """What counts as rain event and as dry-down, in ERA5-Land's rain."""

    wet_mm: float = Field(0.5, gt=0, description="Least rain of a wet 3-hour step [mm].")
    dry_hours: int = Field(24, ge=3, le=240, description="Hours before an event without rain [h].")
    dry_mm: float = Field(1.0, ge=0, description="Most rain of these hours together [mm].")
    rain_mm: float = Field(5.0, gt=0, description="Least rain of an event in its first 24 hours [mm].")
    drydown_days: int = Field(3, ge=2, le=30, description="Fewest days without a wet step of a dry-down [day].")


class Box(Section):
    """A box of latitude and longitude."""

    lat: tuple[float, float] = Field(description="South and north edge [degree].")
    lon: tuple[float, float] = Field(description="West and east edge [degree], within -180..180.")

    @model_validator(mode="after")
    def _box(self) -> Box:
        try:
            check_box(self.lat, self.lon)
        except GridError as error:
            raise ValueError(str(error)) from error
        return self


class Third(Section):
    """A product of soil moisture that is made of neither SMAP nor ERA5-Land, for triple collocation."""

    path: str = Field(description="NetCDF on latitude, longitude and time, or a GeoTIFF whose bands are dates.")
    name: str = Field(description="Its name for people.")
    variable: str | None = Field(None, description="Its soil moisture (NetCDF); default: the only variable.")
    made_of: list[str] = Field(
        min_length=1, description="What it is made of, such as [ASCAT]: no triplet may have anything in common."
    )
    scale: float = Field(1.0, gt=0, description="Factor to m3 m-3, or of a relative unit (0.01 for percent).")
    hours: float = Field(12.0, gt=0, le=24, description="Farthest in time from an overpass that is compared [hour].")

    @field_validator("made_of")
    @classmethod
    def _independent(cls, made_of: list[str]) -> list[str]:
        shared = sorted(lineage(made_of) & {SMAP, ERA5_LAND})
        if shared:
            raise ValueError(
                f"{', '.join(made_of)}: what is made of {' and '.join(shared)} stands in no triplet, because SMAP, "
                "ERA5-Land or the product, which is made of both, are in each: name a product made of neither"
            )
        return made_of


class StationsValidation(Section):
    """How the product is judged at stations."""

    deepest: float = Field(
        0.05, gt=0, le=0.3, description="Lower end of the layer whose sensors are used [m]; SMAP sees the top 0.05."
    )
    min_stamps: int = Field(
        120,
        ge=16,
        description="Fewest common 3-hourly stamps of a station's scores; daily means need an eighth of it. Below it "
        "the count is shown and no score.",
    )
    min_retrievals: int = Field(
        10, ge=5, description="Fewest SMAP retrievals at a station for scores on the stamps of the overpasses."
    )
    anomaly_days: float = Field(
        35, gt=1, le=366, description="Window of the moving mean that anomalies are departures from [day]."
    )


class Validation(Section):
    """How the product is judged."""

    draws: int = Field(1000, ge=100, le=20000, description="Draws of the bootstrap that intervals come from.")
    cells: int = Field(
        2500, ge=100, description="Most cells of series, events and bootstraps; of larger regions a regular lattice."
    )
    stations: StationsValidation = Field(StationsValidation(), description="In-situ stations.")
    dynamics: Dynamics = Field(Dynamics(), description="Events of the temporal dynamics.")
    gaps_days: list[float] = Field(
        [1.0, 3.0, 6.0],
        description="Artificial gaps: retrievals this near [day] to the scored one, on both sides, are hidden with it; "
        "of the default, those shorter than samples.window_days.",
    )
    gaps_share: float = Field(
        0.5, gt=0, le=1, description="Share of the test overpasses that the gaps are computed for, drawn at random."
    )
    gaps_seed: int = Field(0, ge=0, description="Seed of that draw.")
    land_cover: str | None = Field(
        None, description="Raster of IGBP classes (GeoTIFF or NetCDF, such as MCD12C1); scores by class of land."
    )
    third: list[Third] = Field(
        [], description="Independent products (one, or a list) for triple collocation; none: it is left out."
    )

    @field_validator("gaps_days")
    @classmethod
    def _gaps(cls, gaps: list[float]) -> list[float]:
        if sorted(set(gaps)) != gaps or (gaps and gaps[0] <= 0):
            raise ValueError(f"{gaps}: type days above 0, ascending and each once, such as [1, 3, 6]")
        return gaps

    @field_validator("third", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("third")
    @classmethod
    def _names(cls, third: list[Third]) -> list[Third]:
        names = [one.name for one in third]
        if len(set(names)) != len(names):
            raise ValueError(f"{', '.join(names)}: give each product a name of its own")
        return third

    def gaps(self, window_days: float) -> list[float]:
        """The gaps that leave some of the window."""
        return [gap for gap in self.gaps_days if gap < window_days]


def station_sources(value: Any) -> str | list[str]:
    """The key ``stations``: a path or several."""
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path.strip() for path in paths):
        raise ValueError(
            "a path expected (folder or zip of ISMN, or a description of tables), or a list of paths, such as "
            f"[/data/ismn.zip, naqu.yaml] (found {value!r})"
        )
    return value
