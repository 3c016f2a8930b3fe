"""Groups of keys of the configuration: what all of them have in common, and those about fetching over the network."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SmapProduct = Literal["SPL3SMP", "SPL3SMP_E", "SPL4SMGP"]

#: SMAP products by the name that manifests and folders give them.
SMAP_SOURCES: dict[str, str] = {"smap": "SPL3SMP", "smap_e": "SPL3SMP_E", "smap_l4": "SPL4SMGP"}


class Section(BaseModel):
    """A group of keys; keys that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Retry(Section):
    """When to try again, and when no longer."""

    first_wait_seconds: float = Field(5, gt=0, description="Pause after a first failure; doubled from then on.")
    longest_wait_seconds: float = Field(
        600, gt=0, description="Longest pause; a service that asks for more gets what it asks for."
    )
    give_up_after_hours: float = Field(
        24, gt=0, description="Time without any success after which a job fails; the next run goes on from there."
    )
    stall_seconds: float = Field(60, gt=0, description="Longest silence of a connection before it is opened anew.")
    slowest_bytes_per_second: float = Field(
        1000, ge=0, description="A download that stays slower than this is started anew where it stands."
    )

    @model_validator(mode="after")
    def _order(self) -> Retry:
        if self.longest_wait_seconds < self.first_wait_seconds:
            raise ValueError(
                f"longest_wait_seconds {self.longest_wait_seconds:g} is less than first_wait_seconds "
                f"{self.first_wait_seconds:g}: type the larger one as longest_wait_seconds"
            )
        return self


class FetchEra5Land(Section):
    """ERA5-Land from the Climate Data Store."""

    requests_at_once: int = Field(
        2, ge=1, le=20, description="CDS requests queued or running at one time, over all jobs that share the archive."
    )
    deadline_hours: float = Field(
        72, gt=0, description="Longest wait for one CDS request in one run; a later run picks it up again."
    )
    max_fields: int = Field(
        4000, ge=8, description="Largest CDS request (variables x days x times); a month that needs more is split."
    )


class SmapVersions(Section):
    """Versions of the SMAP products, as NSIDC numbers them."""

    SPL3SMP: str = Field("009", description="Version of SPL3SMP.")
    SPL3SMP_E: str = Field("006", description="Version of SPL3SMP_E.")
    SPL4SMGP: str = Field("008", description="Version of SPL4SMGP.")

    @field_validator("*", mode="before")
    @classmethod
    def _digits(cls, value: Any) -> str:
        if not re.fullmatch(r"\d{3}", str(value)):
            raise ValueError(f'{value!r} is no version: type three digits in quotes, such as "006"')
        return str(value)


class FetchSmap(Section):
    """SMAP from NASA Earthdata."""

    products: list[SmapProduct] = Field(
        ["SPL3SMP"], description="What is fetched; the pipeline itself uses SPL3SMP, the others are kept as crops."
    )
    versions: SmapVersions = Field(SmapVersions(), description="Versions of the products.")
    downloads_at_once: int = Field(
        3, ge=1, le=16, description="Earthdata downloads at one time, over all jobs that share the archive."
    )
    l4_variables: list[str] = Field(
        ["sm_surface", "sm_rootzone", "soil_temp_layer1", "surface_temp"],
        description="Datasets of SPL4SMGP, group Geophysical_Data, that its crops keep.",
    )

    without: list[str] = Field(
        [],
        description="Days (YYYY-MM-DD) to go without: not fetched, and listed as missing; for those that the provider "
        "has lost or damaged.",
    )

    @field_validator("without", mode="before")
    @classmethod
    def _days(cls, days: Any) -> Any:
        if not isinstance(days, list):
            return days
        days = [str(day) for day in days]  # YAML reads a bare day as a date
        for day in days:
            try:
                known = datetime.strptime(day, "%Y-%m-%d").strftime("%Y-%m-%d") == day
            except ValueError:
                known = False
            if not known:
                raise ValueError(f"{day!r} is no day: type it as 2017-03-05")
        return sorted(set(days))

    @field_validator("products")
    @classmethod
    def _products(cls, names: list[str]) -> list[str]:
        if "SPL3SMP" not in names:
            raise ValueError("SPL3SMP is missing: the pipeline is fed with it; add it to the list")
        if len(set(names)) != len(names):
            raise ValueError(f"{', '.join(sorted(_twice(names)))} is listed twice: take one out")
        return names

    @field_validator("l4_variables")
    @classmethod
    def _datasets(cls, names: list[str]) -> list[str]:
        for name in names:
            if not name.isidentifier():
                raise ValueError(f"{name!r} is no dataset: type its name without group, such as sm_surface")
        if not names or _twice(names):
            raise ValueError(f"{names}: name each dataset once, and at least one")
        return names


class Fetch(Section):
    """How files are fetched over the network (source: fetch)."""

    retry: Retry = Field(Retry(), description="Patience.")
    era5_land: FetchEra5Land = Field(FetchEra5Land(), description="ERA5-Land from the Climate Data Store.")
    smap: FetchSmap = Field(FetchSmap(), description="SMAP from NASA Earthdata.")
    reserve_gb: float = Field(5, ge=0, description="Room to leave free on the disk of the archive [GB].")

    def sources(self) -> list[str]:
        """The wanted SMAP products by the names of their manifests, in the order of :data:`SMAP_SOURCES`."""
        return [source for source, product in SMAP_SOURCES.items() if product in self.smap.products]


def is_address(place: str) -> bool:
    """Whether a place is an address (``https://...``) and no path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", place) is not None


def sha256_digits(value: Any) -> str:
    """A SHA-256 as typed, in lower case.

    Raises
    ------
    ValueError
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", str(value)):
        raise ValueError(f"64 hexadecimal digits expected, as sha256sum prints them (found {value!r})")
    return str(value).lower()


def check_terrain(source: str, terrain: str | None, sha256: str | None) -> None:
    """Refuse what cannot be had: the elevation raster is a local file, or with source: fetch also an https address.

    Raises
    ------
    ValueError
    """
    if source != "fetch" and sha256 is not None:
        raise ValueError("terrain_sha256: goes with source: fetch only: take it out")
    if terrain is None:
        if source == "fetch":
            raise ValueError(
                "terrain: missing; source: fetch needs an elevation raster: name a local GeoTIFF, or an https address "
                "together with terrain_sha256"
            )
        return
    if not is_address(terrain):
        return
    if source != "fetch":
        raise ValueError("terrain: an address goes with source: fetch only: download the file and name it instead")
    parts = urlsplit(terrain)
    if parts.scheme != "https" or not parts.hostname or parts.username or parts.password or parts.query:
        raise ValueError("terrain: an address such as https://host/name.tif expected, without user name or query")
    if sha256 is None:
        raise ValueError(
            "terrain_sha256: missing; what comes over the network is held against it: type the SHA-256 that the "
            "provider states, or that of a copy which you have looked at (sha256sum)"
        )


def _twice(names: list[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}
