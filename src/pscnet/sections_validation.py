"""Groups of keys of the configuration about validation."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pscnet.sections import Section


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
    stations: StationsValidation = Field(StationsValidation(), description="In-situ stations.")


def station_sources(value: Any) -> str | list[str]:
    """The key ``stations``: a path or several."""
    paths = value if isinstance(value, list) else [value]
    if not paths or not all(isinstance(path, str) and path.strip() for path in paths):
        raise ValueError(
            "a path expected (folder or zip of ISMN, or a description of tables), or a list of paths, such as "
            f"[/data/ismn.zip, naqu.yaml] (found {value!r})"
        )
    return value
