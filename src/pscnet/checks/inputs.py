"""Contracts of what the net reads: predictors, SMAP retrievals, static fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..grids import Grid
from ..timeaxis import month_days
from ..variables import ERA5_LAND, SMAP_VALID_RANGE
from .layout import (
    FIELD_DIMS,
    axes_complaints,
    blocks,
    complaint,
    layout_complaints,
    range_complaints,
    stamps_complaints,
)

#: Dimensions of the retrievals on the coarse grid.
SMAP_DIMS = ("half_orbit", "y", "x")


def predictors_complaints(
    ds: xr.Dataset, fine: Grid, month: str, variables: Sequence[str], land: np.ndarray | None = None
) -> list[str]:
    """Complaints on a month of clean predictors.

    Parameters
    ----------
    ds : Dataset (time, lat, lon)
        Float32, in the units of :data:`pscnet.variables.ERA5_LAND`, NaN over sea and nowhere else.
    fine : Grid
    month : str
        ``YYYY-MM``.
    variables : sequence of str
        ERA5-Land short names that have to be there.
    land : ndarray (lat, lon) of bool, optional
        Cells that have to have values; without it, cells that have one at any step.

    Returns
    -------
    list of str
    """
    out = axes_complaints(ds, fine) + stamps_complaints(ds, month)
    for name in variables:
        if name not in ERA5_LAND:
            out.append(complaint(name, "an ERA5-Land short name", "none of that name"))
            continue
        layout = layout_complaints(ds, name, FIELD_DIMS, "float32", ERA5_LAND[name].units)
        out += layout
        if not layout:
            out += _predictor_values(ds[[name]], name, land)
    return out


def _predictor_values(ds: xr.Dataset, name: str, land: np.ndarray | None) -> list[str]:
    """Range and holes of one predictor, read in blocks."""
    row = ERA5_LAND[name]
    clipped = (row.kind == "accum" and not row.signed) or name.startswith("swvl")
    counts, extremes = np.zeros(ds[name].shape[1:], int), []
    for block in blocks(ds):
        values = block[name].values
        finite = np.isfinite(values)
        counts += finite.sum(axis=0)
        if finite.any():
            extremes += [values[finite].min(), values[finite].max()]
    if not extremes:
        return [complaint(name, "values over land", "no finite value in the whole month")]
    out = range_complaints(name, np.array(extremes), 0.0 if clipped else row.minimum, row.maximum)
    wanted = counts > 0 if land is None else np.asarray(land, bool)
    holes = wanted & (counts < ds.sizes["time"])
    if holes.any():
        at = tuple(np.argwhere(holes)[0].tolist())
        found = f"{int(holes.sum())} land cells with missing steps, first at row, column {at}"
        out.append(complaint(name, "a value at every step on every land cell", found))
    return out


def smap_complaints(ds: xr.Dataset, coarse: Grid, month: str) -> list[str]:
    """Complaints on a month of SMAP retrievals on the coarse grid.

    Parameters
    ----------
    ds : Dataset (half_orbit, y, x)
        Two half-orbits a day, AM first: ``soil_moisture`` [m3 m-3], ``soil_moisture_error`` [m3 m-3],
        ``time_offset`` [hours since the month's first 00 UTC], ``quality`` (0, 1, 255 for none),
        ``freeze_thaw_fraction``, ``surface_flag``.
    coarse : Grid
    month : str

    Returns
    -------
    list of str
    """
    out = axes_complaints(ds, coarse, ("y", "x"))
    types = {
        "soil_moisture": "f4",
        "time_offset": "f8",
        "quality": "u1",
        "soil_moisture_error": "f4",
        "freeze_thaw_fraction": "f4",
        "surface_flag": "u2",
    }
    layout = [c for name, dtype in types.items() for c in layout_complaints(ds, name, SMAP_DIMS, dtype)]
    layout += _half_orbits(ds, month)
    out += layout
    for name, dim, start, size in (("row", "y", coarse.row0, 0), ("column", "x", coarse.col0, 1)):
        wanted = start + np.arange(coarse.shape[size])
        if name not in ds.variables or not np.array_equal(ds[name].values, wanted):
            out.append(complaint(name, f"{wanted[0]} .. {wanted[-1]} along {dim!r}", "something else, or none"))
    return out if layout else out + _smap_values(ds)


def _half_orbits(ds: xr.Dataset, month: str) -> list[str]:
    """Complaints on the half-orbit axis: AM and PM of every day of the month."""
    days = np.array(month_days(month), "M8[D]").repeat(2)
    halves = np.tile(["AM", "PM"], days.size // 2)
    out = []
    for name, wanted in (("date", days), ("half", halves)):
        if name not in ds.variables or ds[name].dims != ("half_orbit",):
            out.append(complaint(name, "a coordinate along 'half_orbit'", "none"))
            continue
        found = ds[name].values
        found = found.astype("M8[D]") if name == "date" else found.astype(str)
        if not np.array_equal(found, wanted):
            what = f"{wanted[0]}, {wanted[1]} .. {wanted[-1]} ({wanted.size})"
            out.append(complaint(name, what, f"{found[0]} .. {found[-1]} ({found.size})" if found.size else "nothing"))
    return out


def _smap_values(ds: xr.Dataset) -> list[str]:
    """Complaints on the retrievals' values; the layout has been found good."""
    value, error, offset = (ds[name].values for name in ("soil_moisture", "soil_moisture_error", "time_offset"))
    quality, there = ds["quality"].values, np.isfinite(ds["soil_moisture"].values)
    out = range_complaints("soil_moisture", value, *SMAP_VALID_RANGE)
    out += range_complaints("freeze_thaw_fraction", ds["freeze_thaw_fraction"].values, 0.0, 1.0)
    strange = np.setdiff1d(quality, [0, 1, 255])
    if strange.size:
        out.append(complaint("quality", "0, 1 or 255", strange.tolist()))
    for name, has in (("quality", quality != 255), ("time_offset", np.isfinite(offset))):
        if (has != there).any():
            found = f"{int((has & ~there).sum())} without a retrieval, {int((there & ~has).sum())} lacking beside one"
            out.append(complaint(name, "a value exactly where soil_moisture has one", found))
    if not (error[there] > 0).all():
        found = f"{int((~(error[there] > 0)).sum())} that are not"
        out.append(complaint("soil_moisture_error", "a positive error beside every retrieval", found))
    # A granule's day is a local solar day: its overpasses lie at most 12 hours outside the UTC day of that date.
    day = (np.arange(offset.shape[0]) // 2)[:, None, None] * 24.0
    late = np.isfinite(offset) & ((offset < day - 12) | (offset > day + 36))
    if late.any():
        found = f"{int(late.sum())} outside, first {offset[late][0]:.1f} h"
        out.append(complaint("time_offset", "hours of the granule's own day, 12 h tolerance", found))
    return out


def static_complaints(ds: xr.Dataset, fine: Grid) -> list[str]:
    """Complaints on the static fields: ``elevation``, ``slope``, ``elevation_anomaly``, ``land``, ``region``.

    Parameters
    ----------
    ds : Dataset (lat, lon)
    fine : Grid

    Returns
    -------
    list of str
    """
    limits = {"elevation": (-500.0, 9000.0, "m"), "slope": (0.0, 20.0, "1"), "elevation_anomaly": (-9e3, 9e3, "m")}
    out = axes_complaints(ds, fine)
    masks = [c for name in ("land", "region") for c in layout_complaints(ds, name, ("lat", "lon"), "int8")]
    for name in () if masks else ("land", "region"):
        strange = np.setdiff1d(ds[name].values, [0, 1])
        masks += [complaint(name, "0 or 1", strange.tolist())] if strange.size else []
    out += masks
    land = None if masks else ds["land"].values == 1
    for name, (low, high, units) in limits.items():
        layout = layout_complaints(ds, name, ("lat", "lon"), "float32", units)
        out += layout
        if layout:
            continue
        out += range_complaints(name, ds[name].values, low, high)
        holes = 0 if land is None else int((land & ~np.isfinite(ds[name].values)).sum())
        out += [complaint(name, "a value on every land cell", f"{holes} land cells without")] if holes else []
    if land is not None:
        region = ds["region"].values == 1
        if not region.any():
            out.append(complaint("region", "at least one land cell", "none: box, polygon or elevation exclude all"))
        if (region & ~land).any():
            out.append(complaint("region", "land cells only", f"{int((region & ~land).sum())} cells that are not land"))
    return out
