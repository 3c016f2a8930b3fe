"""Writes the second model's month as the Climate Data Store delivers ERA5-Land: a zip of two NetCDF files.

Kept from real deliveries: instants and accumulations in members named after the stream and step type, ``valid_time``
in seconds since 1970, ``number`` and ``expver``, ``GRIB_*`` attributes, latitude descending, float noise in
longitude, values quantised as GRIB packs them (with tiny negatives where zero is meant), NaN over sea, accumulations
that run from 00 UTC and whose 00 UTC value is the whole previous day, and now and then a zip that is called ``.nc``.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import netCDF4
import numpy as np

from pscnet.grids import Grid
from pscnet.variables import ERA5_LAND

INSTANT_MEMBER = "data_stream-oper_stepType-instant.nc"
ACCUM_MEMBER = "data_stream-oper_stepType-accum.nc"
#: Variables that ECMWF packs so that zero comes back as a tiny negative number.
TINY_NEGATIVE = {"swvl1": -9.4e-20, "swvl2": -5.2e-21, "swvl3": -5.2e-21, "sd": -7.3e-25, "snowc": -2.7e-15}
PARAMETER = {
    "swvl1": 39, "swvl2": 40, "swvl3": 41, "stl1": 139, "stl2": 170, "stl3": 183, "skt": 235, "t2m": 167, "d2m": 168,
    "sp": 134, "u10": 165, "v10": 166, "lai_lv": 66, "lai_hv": 67, "snowc": 260038, "sd": 141, "tp": 228, "sf": 144,
    "e": 182, "ssrd": 169, "strd": 175,
}  # fmt: skip
UNITS = {"m3 m-3": "m**3 m**-3", "m s-1": "m s**-1", "m2 m-2": "m**2 m**-2", "J m-2": "J m**-2"}


def file_name(month: str) -> str:
    """Name of a month's file; Junes and Decembers are called ``.nc`` though zips, as the service does at times."""
    extension = "nc" if month[5:] in ("06", "12") else "zip"
    return f"era5_land_{month.replace('-', '_')}.{extension}"


def quantised(name: str, values: np.ndarray) -> np.ndarray:
    """Values as GRIB's 16-bit packing returns them: whole multiples of a power of two above the field's minimum.

    Parameters
    ----------
    values : ndarray (time, ny, nx) float32
    """
    low = np.nanmin(values, axis=(1, 2), keepdims=True)
    span = np.nanmax(values, axis=(1, 2), keepdims=True) - low
    step = 2.0 ** np.ceil(np.log2(np.maximum(span, 1e-30) / 65534.0))
    packed = (low + np.round((values - low) / step) * step).astype("f4")
    if name in TINY_NEGATIVE:
        packed[packed == 0] = TINY_NEGATIVE[name]
    return packed


def running_totals(hourly_sums: np.ndarray, yesterday: np.ndarray) -> np.ndarray:
    """Accumulations as ERA5-Land stores them.

    Parameters
    ----------
    hourly_sums : ndarray (days, 8, ny, nx)
        Totals of the 3 hours *after* each stamp 00, 03, .. 21.
    yesterday : ndarray (ny, nx)
        Total of the day before the first.

    Returns
    -------
    ndarray (days * 8, ny, nx)
        At 03 .. 21 the total since 00 UTC; at 00 the total of the whole previous day.
    """
    since = np.cumsum(hourly_sums, axis=1)
    out = np.empty_like(since)
    out[:, 1:] = since[:, :-1]
    out[0, 0] = yesterday
    out[1:, 0] = since[:-1, -1]
    return out.reshape(-1, *since.shape[2:])


def _grib_attributes(name: str, kind: str, grid: Grid) -> dict[str, object]:
    variable = ERA5_LAND[name]
    unit = UNITS.get(variable.units, variable.units)
    title = variable.request.replace("_", " ").capitalize()
    return {
        "GRIB_paramId": np.int64(PARAMETER[name]), "GRIB_dataType": "an" if kind == "instant" else "fc",
        "GRIB_numberOfPoints": np.int64(grid.size), "GRIB_typeOfLevel": "surface", "GRIB_stepUnits": np.int64(1),
        "GRIB_stepType": kind, "GRIB_gridType": "regular_ll", "GRIB_uvRelativeToGrid": np.int64(0),
        "GRIB_NV": np.int64(0), "GRIB_Nx": np.int64(grid.lon.size), "GRIB_Ny": np.int64(grid.lat.size),
        "GRIB_cfName": "unknown", "GRIB_cfVarName": name, "GRIB_gridDefinitionDescription": "Latitude/Longitude Grid",
        "GRIB_iDirectionIncrementInDegrees": 0.1, "GRIB_iScansNegatively": np.int64(0),
        "GRIB_jDirectionIncrementInDegrees": 0.1, "GRIB_jPointsAreConsecutive": np.int64(0),
        "GRIB_jScansPositively": np.int64(0), "GRIB_latitudeOfFirstGridPointInDegrees": float(grid.lat[0]),
        "GRIB_latitudeOfLastGridPointInDegrees": float(grid.lat[-1]),
        "GRIB_longitudeOfFirstGridPointInDegrees": float(grid.lon[0]),
        "GRIB_longitudeOfLastGridPointInDegrees": float(grid.lon[-1]), "GRIB_missingValue": 3.4028234663852886e38,
        "GRIB_name": title, "GRIB_shortName": name, "GRIB_totalNumber": np.int64(0), "GRIB_units": unit,
        "long_name": title, "units": unit, "standard_name": "unknown", "GRIB_surface": 0.0,
        "coordinates": "number valid_time latitude longitude expver",
    }  # fmt: skip


def write_member(path: Path, kind: str, fields: dict[str, np.ndarray], seconds: np.ndarray, grid: Grid) -> None:
    """Write the NetCDF of one step type.

    Parameters
    ----------
    path : Path
    kind : str
        ``instant`` or ``accum``.
    fields : dict of ndarray (time, ny, nx) float32
        By short name, in the provider's unit.
    seconds : ndarray (time,) [second since 1970]
    grid : Grid
        Of the fields.
    """
    with netCDF4.Dataset(path, "w", format="NETCDF4") as file:
        for name, size in (("valid_time", seconds.size), ("latitude", grid.lat.size), ("longitude", grid.lon.size)):
            file.createDimension(name, size)
        centre = "European Centre for Medium-Range Weather Forecasts"
        file.setncatts({
            "GRIB_centre": "ecmf", "GRIB_centreDescription": centre, "GRIB_subCentre": np.int64(0),
            "Conventions": "CF-1.7", "institution": centre,
            "history": "simulated; in the layout of GRIB to CDM+CF via cfgrib",
        })  # fmt: skip
        number = file.createVariable("number", "i8")
        number.setncatts({"long_name": "ensemble member numerical id", "units": "1", "standard_name": "realization"})
        number[...] = 0
        time = file.createVariable("valid_time", "i8", ("valid_time",))
        time.setncatts({
            "long_name": "time", "standard_name": "time", "units": "seconds since 1970-01-01",
            "calendar": "proleptic_gregorian",
        })  # fmt: skip
        time[:] = seconds
        # The real files' longitudes carry single precision noise (73.09999847).
        for name, unit, values in (
            ("latitude", "degrees_north", grid.lat),
            ("longitude", "degrees_east", grid.lon.astype("f4").astype("f8")),
        ):
            axis = file.createVariable(name, "f8", (name,), fill_value=np.nan)
            axis.setncatts({"units": unit, "standard_name": name, "long_name": name})
            axis[:] = values
        file["latitude"].stored_direction = "decreasing"
        version = file.createVariable("expver", str, ("valid_time",))
        version[:] = np.full(seconds.size, "0001", dtype=object)
        for name, values in fields.items():
            data = file.createVariable(
                name, "f4", ("valid_time", "latitude", "longitude"), zlib=True, complevel=1, shuffle=True,
                fill_value=np.float32(np.nan), chunksizes=(min(seconds.size, 64), grid.lat.size, grid.lon.size),
            )  # fmt: skip
            data.setncatts(_grib_attributes(name, kind, grid))
            data[:] = values


def write_month(
    folder: Path,
    month: str,
    grid: Grid,
    hours: np.ndarray,
    instants: dict[str, np.ndarray],
    totals: dict[str, np.ndarray],
    sea: np.ndarray | None = None,
) -> Path:
    """Write a month's zip and return its path.

    Parameters
    ----------
    folder : Path
    month : str
    grid : Grid
        Of the box.
    hours : ndarray (time,) [hour since 1970]
    instants, totals : dict of ndarray (time, ny, nx) float32
        By short name, in the provider's unit; ``totals`` from :func:`running_totals`. Emptied while writing, to
        bound memory.
    sea : ndarray (ny, nx) bool, optional
        Cells without values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(month)
    seconds = (hours * 3600).astype("i8")

    def delivered(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for name in fields:
            values = fields[name]
            if sea is not None:
                values = np.where(sea, np.float32(np.nan), values)
            fields[name] = quantised(name, values)
        return fields

    with tempfile.TemporaryDirectory(dir=folder, prefix=".twin-") as scratch:
        members = [
            (name, kind, fields)
            for name, kind, fields in ((INSTANT_MEMBER, "instant", instants), (ACCUM_MEMBER, "accum", totals))
            if fields
        ]
        part = Path(scratch) / "month.zip"
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name, kind, fields in members:
                write_member(Path(scratch) / name, kind, delivered(fields), seconds, grid)
                fields.clear()
                # A fixed date keeps the bytes of equal runs equal.
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                archive.writestr(entry, (Path(scratch) / name).read_bytes())
        part.replace(target)
    return target
