"""What is in a table of station values: the small YAML file that says so, checked.

An example, with every key; the first four and ``stations`` are needed::

    network: Naqu                      # its name
    time:
      column: time
      format: "%Y-%m-%d %H:%M"         # as of Python's strptime; default: ISO 8601
      zone: "+08:00"                   # UTC, an offset, or a name such as Asia/Shanghai
    soil_moisture:
      column: SM_05cm                  # one column; each station may name its own
      unit: "%"                        # "m3 m-3", or "%" of the volume
      depth: [0.0, 0.05]               # from, to [m]; one number: a probe there; each station may have its own
    soil_temperature:                  # optional
      column: ST_05cm
      unit: degC                       # degC or K
    quality:                           # optional
      column: flag
      good: ["G"]                      # values that say good
    missing: [-99, -9999]              # optional: numbers that stand for no value
    delimiter: ","                     # optional
    file: naqu.csv                     # the table of all stations; or each station names its own file
    station_column: site               # optional: the column of that table that names the station
    stations:
      - {name: BJ, lat: 31.37, lon: 91.90}
      - {name: Naqu-2, lat: 31.42, lon: 91.85, file: naqu_2.csv, column: SM_5, depth: 0.05}

Files are found beside the description. TPDC delivers networks so after 2016, when those of ISMN end
[Zhang et al. 2021, doi:10.5194/essd-13-3075-2021].
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pscnet.sources import complaint
from pscnet.sources.manifest import confined
from pscnet.sources.stations import wrapped

Depth = float | tuple[float, float]

_REMEDY = "correct the description (docs/validation/stations.md has an example)"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimeColumn(_Part):
    """How the table writes its times."""

    column: str
    format: str | None = None
    zone: str

    @field_validator("zone", mode="before")
    @classmethod
    def _zone(cls, value: object) -> str:
        text = "+00:00" if str(value).upper() in ("UTC", "Z") else str(value)
        try:
            zone_of(text)
        except (ValueError, zoneinfo.ZoneInfoNotFoundError) as error:
            raise ValueError(f'{value!r} is no time zone: type UTC, "+08:00" in quotes, or Asia/Shanghai') from error
        return text


class Moisture(_Part):
    """Soil moisture: column, unit and depth."""

    column: str | None = None
    unit: Literal["m3 m-3", "%"]
    depth: Depth | None = None


class Temperature(_Part):
    """Soil temperature: column and unit."""

    column: str
    unit: Literal["degC", "K"] = "degC"


class Quality(_Part):
    """A column of quality flags, and which of them are good."""

    column: str
    good: list[str]

    @field_validator("good", mode="before")
    @classmethod
    def _texts(cls, value: object) -> list[str]:
        return [str(entry) for entry in (value if isinstance(value, list) else [value])]


class Station(_Part):
    """A station: name, place and, where it differs from the others, its file, column and depth.

    Longitudes of 0 to 360 degrees are read as those of -180 to 180 that grids have.
    """

    name: str
    lat: float = Field(ge=-90, le=90)
    lon: float = Field(ge=-180, le=360)
    file: str | None = None
    column: str | None = None
    depth: Depth | None = None

    @field_validator("lon")
    @classmethod
    def _lon(cls, value: float) -> float:
        return wrapped(value)

    @field_validator("name", mode="before")
    @classmethod
    def _name(cls, value: object) -> str:
        return str(value)


class Description(_Part):
    """A network of stations in tables; see the module's example."""

    network: str
    time: TimeColumn
    soil_moisture: Moisture
    soil_temperature: Temperature | None = None
    quality: Quality | None = None
    missing: list[float] = []
    delimiter: str = ","
    file: str | None = None
    station_column: str | None = None
    stations: list[Station] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Description:
        for station in self.stations:
            if not (station.file or self.file):
                raise ValueError(f"station {station.name}: no file; name it there, or one file for all stations")
            if not (station.column or self.soil_moisture.column):
                raise ValueError(f"station {station.name}: no column; name it there, or in soil_moisture")
        if self.station_column and not self.file:
            raise ValueError("station_column goes with one file for all stations: name it with the key file")
        names = [station.name for station in self.stations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"stations: {', '.join(twice)} is listed twice")
        return self

    def depth_of(self, station: Station) -> tuple[float | None, float | None]:
        """Upper and lower end of a station's layer [m]; None where nothing says it."""
        depth = self.soil_moisture.depth if station.depth is None else station.depth
        return depth if isinstance(depth, tuple) else (depth, depth)

    def file_of(self, station: Station) -> str:
        """The file that a station's values are in."""
        return station.file or self.file or ""


def read_description(path: str | Path) -> Description:
    """Read and check a description.

    Raises
    ------
    SourceError
        The file cannot be read or is no such description; the message names the key.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = str(error).splitlines()[0]
        raise complaint(
            path, "a description of station tables (YAML)", f"a file that cannot be read: {what}", _REMEDY
        ) from error
    if not isinstance(content, dict):
        raise complaint(path, "a description of station tables (YAML keys)", f"{type(content).__name__}", _REMEDY)
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors())
        raise complaint(path, "a description of station tables", faults, _REMEDY) from None


def files_of(path: str | Path, description: Description) -> dict[str, Path]:
    """The tables of a description, which lie beside it, by the name that it gives them.

    Raises
    ------
    SourceError
        A file leaves the folder, or is not there.
    """
    path = Path(path)
    found = {}
    for name in dict.fromkeys(description.file_of(station) for station in description.stations):
        found[name] = confined(path.parent, name, path)
        if not found[name].is_file():
            raise complaint(path, f"the table {name} beside it", "no such file", "put it there, or correct the name")
    return found


def zone_of(text: str) -> datetime.tzinfo:
    """The time zone of an offset such as +08:00, or of a name.

    Raises
    ------
    ValueError
        It is neither.
    """
    match = re.fullmatch(r"([+-])(\d{1,2})(?::?(\d{2}))?", text)
    if match:
        shift = datetime.timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return datetime.timezone(-shift if match[1] == "-" else shift)
    return zoneinfo.ZoneInfo(text)


def _fault(item: dict) -> str:  # type: ignore[type-arg]
    place = ".".join(str(part) for part in item["loc"] if part not in ("float", "tuple[float, float]"))
    if item["type"] == "missing":
        return f"{place}: missing"
    if item["type"] == "extra_forbidden":
        return f"{place}: an unknown key"
    message = item["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
