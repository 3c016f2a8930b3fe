"""Writes the radiometer's halves as SPL3SMP granules: global HDF5 files with the real product's inside.

Every dataset is created whole, but only the rows of the box are written: HDF5 allocates no space for the other chunks
and reads them as the fill value. One empty granule is built a month and copied for each day.
"""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np

from pscnet.grids import Grid
from pscnet.twin.smap_layout import AM_GROUP, COORDINATES, FIELDS, PM_GROUP, SURFACE_BITS, Field

#: Hours from 1970-01-01T00 to 2000-01-01T12 (J2000).
J2000 = 262_980.0
EPOCH = datetime(1970, 1, 1)


def granule_name(day: int, version: int = 1) -> str:
    """File name of a date (days since 1970) and a processing version."""
    return f"SMAP_L3_SM_P_{EPOCH + timedelta(days=day):%Y%m%d}_R19240_{version:03d}.h5"


def _attributes(field: Field, afternoon: bool) -> dict[str, object]:
    attributes = dict(field.attributes)
    place = field.name in ("latitude", "longitude")
    if not place or afternoon:
        attributes["coordinates"] = COORDINATES
    if field.fill is not None and (not place or afternoon):
        attributes["_FillValue"] = np.array(field.fill).astype(field.dtype)[()]
    if place and afternoon:
        edge = (-90.0, 90.0) if field.name == "latitude" else (-180.0, 179.9989929)
        attributes |= {"valid_min": np.float32(edge[0]), "valid_max": np.float32(edge[1])}
    if field.name == "surface_flag" and afternoon:
        attributes["flag_meanings"] = " ".join(f"36_km_{name}" for name in SURFACE_BITS.format("radar").split())
    return attributes


def empty_granule(with_pm: bool = True) -> bytes:
    """The bytes of a granule in which every value is fill."""
    image = io.BytesIO()
    with h5py.File(image, "w", libver="earliest") as file:
        file.create_group("Metadata/Extent")
        for afternoon in (False, True) if with_pm else (False,):
            group = file.create_group(PM_GROUP if afternoon else AM_GROUP)
            suffix = "_pm" if afternoon else ""
            for field in FIELDS:
                if field.same_as:
                    group[field.name + suffix] = group[field.same_as + suffix]
                    continue
                dataset = group.create_dataset(
                    field.name + suffix, field.shape, field.dtype, chunks=(1, *field.shape[1:]), compression="gzip",
                    compression_opts=2, fillvalue=field.fill,
                )  # fmt: skip
                for name, value in _attributes(field, afternoon).items():
                    dataset.attrs[name] = value
    return image.getvalue()


def _iso(day: float, milliseconds: int = 0) -> str:
    return f"{EPOCH + timedelta(days=day, milliseconds=milliseconds):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _stamps(hour: np.ndarray) -> np.ndarray:
    """``tb_time_utc`` (y, x) S24 of hours since 1970, empty where NaN."""
    text = np.full(hour.shape, b"", "S24")
    known = np.isfinite(hour)
    stamps = np.datetime_as_string((hour[known] * 3.6e6).round().astype("i8").astype("M8[ms]"))
    text[known] = [f"{stamp}Z".encode() for stamp in stamps]
    return text


def _write_half(group: h5py.Group, suffix: str, half: dict[str, np.ndarray], coarse: Grid) -> None:
    seen = np.isfinite(half["hour"])
    if not seen.any():
        return
    rows = slice(coarse.row0, coarse.row0 + coarse.lat.size)
    columns = slice(coarse.col0, coarse.col0 + coarse.lon.size)
    grid_lat, grid_lon = np.broadcast_arrays(coarse.lat[:, None], coarse.lon[None, :])
    row, column = np.indices(coarse.shape)
    values = dict(half)
    hour = values.pop("hour")
    values |= {
        # Real files hold -9999 where the antenna did not look, on latitude and longitude too.
        "latitude": np.where(seen, grid_lat, np.nan), "longitude": np.where(seen, grid_lon, np.nan),
        "latitude_centroid": np.where(seen, grid_lat, np.nan), "longitude_centroid": np.where(seen, grid_lon, np.nan),
        "EASE_row_index": np.where(seen, row + coarse.row0, 65534),
        "EASE_column_index": np.where(seen, column + coarse.col0, 65534),
        "tb_time_seconds": (hour - J2000) * 3600.0, "tb_time_utc": _stamps(hour),
        "landcover_class": np.where(seen[..., None], np.array([10, 16, 7]), 254),
        "landcover_class_fraction": np.where(seen[..., None], np.array([0.7, 0.2, 0.1]), np.nan),
    }  # fmt: skip
    for field in FIELDS:
        if field.name not in values:
            continue
        value = values[field.name]
        if field.fill is not None and value.dtype.kind == "f":
            value = np.where(np.isfinite(value), value, field.fill)
        group[field.name + suffix][rows, columns] = value.astype(field.dtype)


def write_granule(
    path: Path, template: bytes, day: int, am: dict[str, np.ndarray], pm: dict[str, np.ndarray] | None, coarse: Grid
) -> None:
    """Write one granule.

    Parameters
    ----------
    path : Path
    template : bytes
        From :func:`empty_granule`, with or without the PM group, as ``pm`` is.
    day : int [days since 1970]
    am, pm : dict of ndarray (y, x)
        From :meth:`pscnet.twin.smap_like.Radiometer.retrieve`; ``pm`` None leaves the group out.
    coarse : Grid
    """
    image = io.BytesIO(template)
    with h5py.File(image, "r+") as file:
        extent = file["Metadata/Extent"]
        extent.attrs["rangeBeginningDateTime"] = _iso(day)
        extent.attrs["rangeEndingDateTime"] = _iso(day + 1, -1)
        _write_half(file[AM_GROUP], "", am, coarse)
        if pm is not None:
            _write_half(file[PM_GROUP], "_pm", pm, coarse)
    path.write_bytes(image.getvalue())
