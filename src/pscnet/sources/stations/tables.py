"""Which values are in tables of stations, one file a station or one for all, as their description says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pscnet.sources import complaint
from pscnet.sources.stations import VALID_RANGE, VALID_TEMPERATURE, LeftOut, Sensor, Wanted, good_values
from pscnet.sources.stations.description import Description, Station, files_of, read_description, zone_of

_ZERO = 273.15

#: A record in percent whose largest value is no larger [m3 m-3] is one in m3 m-3.
_LARGEST_FRACTION = 0.01


def read_tables(source: str | Path, wanted: Wanted) -> tuple[list[Sensor], list[LeftOut]]:
    """The sensors of a description and its tables.

    Parameters
    ----------
    source : path
        YAML, see :mod:`pscnet.sources.stations.description`.
    wanted : Wanted

    Returns
    -------
    sensors : list of Sensor
        With at least one good value in the period.
    left_out : list of LeftOut

    Raises
    ------
    SourceError
        The description or a table is not as it should be; a time or a number cannot be read.
    """
    source = Path(source)
    description = read_description(source)
    paths = files_of(source, description)
    tables: dict[str, pd.DataFrame] = {}
    sensors, left = [], []
    for station in description.stations:
        what = f"{description.network}, {station.name} ({source.name})"
        fault = wanted.place_fault(station.lat, station.lon) or wanted.depth_fault(*description.depth_of(station))
        if fault is None:
            name = description.file_of(station)
            if name not in tables:
                tables[name] = _read_table(paths[name], description)
            sensor = _sensor(tables[name], paths[name], description, station, wanted)
            if isinstance(sensor, Sensor):
                sensors.append(sensor)
                continue
            fault = sensor
        left.append(LeftOut(what, fault))
    return sensors, left


def _read_table(path: Path, description: Description) -> pd.DataFrame:
    """The table as texts, with ``time`` (UTC) as index."""
    try:
        table = pd.read_csv(path, sep=description.delimiter, dtype=str, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise complaint(
            path, f"a table with the delimiter {description.delimiter!r}", str(error), "correct it"
        ) from error
    table.columns = [str(column).strip() for column in table.columns]
    _column(table, path, description.time.column)
    texts = table[description.time.column].str.strip()
    try:
        local = pd.to_datetime(texts, format=description.time.format or "ISO8601")
    except (ValueError, TypeError) as error:
        form = description.time.format or "ISO 8601 (2017-07-01 00:00)"
        raise complaint(
            path, f"times of the form {form} in the column {description.time.column}", str(error).split(". ")[0],
            "correct time.format in the description",
        ) from error  # fmt: skip
    if local.isna().any():
        row = int(np.flatnonzero(local.isna())[0]) + 2
        raise complaint(path, f"a time in every row of {description.time.column}", f"none in line {row}", "correct it")
    if local.dt.tz is None:  # a time that states its own offset needs no zone
        local = local.dt.tz_localize(zone_of(description.time.zone), ambiguous="NaT", nonexistent="NaT")
    table.index = pd.DatetimeIndex(local.dt.tz_convert("UTC").dt.tz_localize(None))
    return table


def _column(table: pd.DataFrame, path: Path, name: str) -> pd.Series:
    if name not in table.columns:
        raise complaint(
            path, f"a column {name!r}", f"the columns {', '.join(map(repr, table.columns))}",
            "correct the column or the delimiter in the description",
        )  # fmt: skip
    return table[name]


def _numbers(table: pd.DataFrame, path: Path, name: str, missing: list[float]) -> np.ndarray:
    """A column as numbers (n,); empty fields and the signs of missing values are NaN."""
    texts = _column(table, path, name).str.strip()
    numbers = pd.to_numeric(texts, errors="coerce")
    unreadable = numbers.isna() & texts.notna() & ~texts.str.lower().isin(["", "nan", "na", "null", "-"])
    if unreadable.any():
        row = int(np.flatnonzero(unreadable)[0])
        raise complaint(
            path, f"numbers in the column {name!r}", f"{texts.iloc[row]!r} in line {row + 2}",
            "correct it, or the delimiter or column in the description",
        )  # fmt: skip
    values = numbers.to_numpy(float)
    return np.where(np.isin(values, missing), np.nan, values)


def _sensor(
    table: pd.DataFrame, path: Path, description: Description, station: Station, wanted: Wanted
) -> Sensor | str:
    """The sensor of a station, or why there is none."""
    if description.station_column and not station.file:
        table = table[_column(table, path, description.station_column).str.strip() == station.name]
        if table.empty:
            return f"no row of {path.name} has {station.name!r} in the column {description.station_column}"
    inside = (table.index >= pd.Timestamp(wanted.start)) & (table.index < pd.Timestamp(wanted.end))
    if not inside.any():
        return f"no row within the period (the table has {len(table)})"
    table = table[inside]
    moisture = _numbers(table, path, station.column or description.soil_moisture.column or "", description.missing)
    if description.soil_moisture.unit == "%":
        moisture = moisture / 100.0
    if description.quality is not None:
        flags = _column(table, path, description.quality.column).fillna("").str.strip()
        moisture = np.where(flags.isin(description.quality.good), moisture, np.nan)
    fault = _unit_fault(moisture, description.soil_moisture.unit)
    if fault:
        return fault
    times, moisture = good_values(table.index.to_numpy(), moisture, VALID_RANGE)
    top, bottom = description.depth_of(station)
    assert top is not None and bottom is not None  # checked by depth_fault
    sensor = Sensor(description.network, station.name, "table", station.lat, station.lon, top, bottom, times, moisture)
    if description.soil_temperature is not None:
        warmth = _numbers(table, path, description.soil_temperature.column, description.missing)
        warmth = warmth - _ZERO if description.soil_temperature.unit == "K" else warmth
        sensor.warm_times, sensor.temperature = good_values(table.index.to_numpy(), warmth, VALID_TEMPERATURE)
    return sensor


def _unit_fault(moisture: np.ndarray, unit: str) -> str | None:
    """Why values (n,) [m3 m-3] cannot be soil moisture, or None."""
    finite = moisture[np.isfinite(moisture)]
    low, high = VALID_RANGE
    outside = int(((finite < low) | (finite > high)).sum())
    if not finite.size:
        return f"no good value among {moisture.size} rows of the period"
    if 2 * outside > finite.size:
        limits = f"between {low:g} and {high:g} m3 m-3"
        return f"{outside} of {finite.size} values are not {limits}: is the unit {unit!r} right?"
    if unit == "%" and finite.max() <= _LARGEST_FRACTION:
        return f"the largest of {finite.size} values is {100 * finite.max():g} %: is the unit {unit!r} right?"
    return None
