"""What the page shows, read from the files of a run."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.variables import FLAG_BITS

#: A retrieval this old [h] is no longer shown beside the product: SMAP comes back within 3 days.
OLDEST_HOURS = 72.0


class ReportError(ValueError):
    """A file that cannot be shown; the message says which, what was expected and what was found."""


@dataclass
class Month:
    """One product month.

    Attributes
    ----------
    times : datetime64 (time,)
    lat, lon : ndarray (lat,), (lon,) [degree]
    moisture, sigma : float32 (time, lat, lon) [m3 m-3]
    frozen : bool (time, lat, lon)
    era5_land : float32 (time, lat, lon) [m3 m-3] or None
    """

    times: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    moisture: np.ndarray
    sigma: np.ndarray
    frozen: np.ndarray
    era5_land: np.ndarray | None


@dataclass
class Retrievals:
    """SMAP on its own cells.

    Attributes
    ----------
    lat, lon : ndarray (y,), (x,) [degree]
    times : datetime64 (half_orbit, y, x), NaT where there is none
    moisture : float32 (half_orbit, y, x) [m3 m-3]
    """

    lat: np.ndarray
    lon: np.ndarray
    times: np.ndarray
    moisture: np.ndarray

    def latest(self, stamp: np.datetime64) -> tuple[np.ndarray, np.ndarray]:
        """Most recent retrieval of each cell at ``stamp``, 1.5 h ahead included, and its age [h]; NaN where none."""
        age = (stamp - self.times) / np.timedelta64(1, "h")
        age = np.where((age >= -1.5) & (age <= OLDEST_HOURS), age, np.inf)
        newest = age.argmin(axis=0)[None]
        best = np.take_along_axis(age, newest, axis=0)[0]
        value = np.take_along_axis(self.moisture, newest, axis=0)[0]
        found = np.isfinite(best)
        return np.where(found, value, np.nan), np.where(found, best, np.nan)


def read_month(product: str | Path, references: str | Path | None) -> Month:
    """Product month and, where given, the ERA5-Land field of its reference file."""
    with xr.open_dataset(product) as made:
        _require(made, product, ("soil_moisture", "soil_moisture_uncertainty", "flag"))
        dims = ("time", "lat", "lon")
        flags = np.nan_to_num(made["flag"].transpose(*dims).values).astype(np.uint8)
        month = Month(
            made["time"].values.astype("M8[ns]"),
            made["lat"].values,
            made["lon"].values,
            made["soil_moisture"].transpose(*dims).values.astype(np.float32),
            made["soil_moisture_uncertainty"].transpose(*dims).values.astype(np.float32),
            (flags & FLAG_BITS["frozen"]) > 0,
            None,
        )
    if references is not None:
        with xr.open_dataset(references) as others:
            _require(others, references, ("era5_land",))
            stamps = others["time"].values.astype("M8[ns]")
            if not np.array_equal(stamps, month.times) or others["era5_land"].shape != month.moisture.shape:
                raise ReportError(f"{references}: expected the stamps and cells of {product}; rerun verify_references")
            month.era5_land = others["era5_land"].values.astype(np.float32)
    return month


def read_retrievals(paths: Sequence[str | Path], first: np.datetime64) -> Retrievals:
    """Retrievals of neighbouring months, from the oldest that can still be shown at ``first``."""
    times, moisture = [], []
    for path in sorted(map(Path, paths)):
        with xr.open_dataset(path, decode_timedelta=False) as smap:
            _require(smap, path, ("soil_moisture", "time_offset", "date"))
            dims = ("half_orbit", "y", "x")
            start = smap["date"].values.astype("M8[M]").min().astype("M8[ns]")
            offset = smap["time_offset"].transpose(*dims).values
            values = smap["soil_moisture"].transpose(*dims).values.astype(np.float32)
            lat, lon = smap["lat"].values, smap["lon"].values
        there = np.isfinite(offset) & np.isfinite(values)
        seconds = np.where(there, offset * 3600.0, 0.0).astype("m8[s]")
        times.append(np.where(there, start + seconds, np.datetime64("NaT", "ns")))
        moisture.append(values)
    if not times:
        raise ReportError("the page needs the SMAP file of its month; found none")
    when, values = np.concatenate(times), np.concatenate(moisture)
    fresh = (when >= first - np.timedelta64(int(OLDEST_HOURS), "h")).any(axis=(1, 2))
    return Retrievals(lat, lon, when[fresh], values[fresh])


def read_curve(path: str | Path | None) -> list[dict[str, float]]:
    """Training curve: a dict of epoch, train_loss, validation_loss and seconds for each epoch."""
    if path is None:
        return []
    names = ("epoch", "train_loss", "validation_loss", "seconds")
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or not set(names) <= set(reader.fieldnames):
            raise ReportError(f"{path}: expected the columns {', '.join(names)}; found {reader.fieldnames}")
        return [{name: float(row[name]) for name in names} for row in reader]


def read_checks(paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """What the contract checks said of each product month."""
    return [json.loads(Path(path).read_text(encoding="utf-8")) for path in sorted(map(str, paths))]


def edges(centres: np.ndarray) -> np.ndarray:
    """Cell edges (n + 1,) half-way between centres (n >= 2,). On EASE-Grid 2.0 M36 this is true to 0.0002 degree."""
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _require(dataset: xr.Dataset, path: str | Path, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in dataset.variables]
    if missing:
        raise ReportError(
            f"{path}: expected the variables {', '.join(names)}; {', '.join(missing)} missing, found "
            f"{', '.join(map(str, dataset.variables))}; rerun the rule that made the file"
        )
