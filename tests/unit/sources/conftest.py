"""Builders of small provider files, and the form that every complaint must have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest

from pscnet.grids import Grid, ease2_grid, regular_grid
from pscnet.sources import SourceError
from pscnet.timeaxis import month_bounds, month_days

MONTH = "2015-02"
BOX = (30.0, 30.4), (90.0, 90.5)


@pytest.fixture
def month() -> str:
    return MONTH


@pytest.fixture
def fine() -> Grid:
    return regular_grid(*BOX)


@pytest.fixture
def coarse() -> Grid:
    return ease2_grid((30.0, 31.0), (90.0, 91.5), "M36")


@pytest.fixture
def complains() -> Callable[..., AbstractContextManager[None]]:
    """A block that must raise a complaint with the four parts, in which each of ``texts`` occurs."""

    @contextmanager
    def check(*texts: object) -> Iterator[None]:
        with pytest.raises(SourceError) as caught:
            yield
        message = str(caught.value)
        assert re.fullmatch(r".+: expected .+; found .+\. [A-Z].+\.", message, re.DOTALL), message
        for text in texts:
            assert str(text).lower() in message.lower(), message

    return check


def field(name: str, times: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Values (time, lat, lon) that tell time and place: temperatures, soil water, and running totals since 00 UTC."""
    hours = (times - np.datetime64("2015-01-01")) / np.timedelta64(1, "h")
    place = (lat[:, None] - 30) + (lon[None, :] - 90) / 10
    if name == "t2m":
        return 270 + 10 * np.sin(hours / 24)[:, None, None] + place
    if name == "swvl1":
        return 0.2 + 0.1 * np.sin(hours / 50)[:, None, None] + place / 10
    # Each hour h of a day adds (h + 1) units; the value at 00 UTC is the whole day before: 24 * 25 / 2 = 300 units.
    of_day = np.where(hours % 24 == 0, 24, hours % 24)
    unit = {"tp": 1e-5, "e": -1e-6, "ssrd": 1e4}[name]
    return (of_day * (of_day + 1) / 2)[:, None, None] * unit * (1 + place)


@pytest.fixture
def values() -> Callable[..., np.ndarray]:
    return field


@pytest.fixture
def hourly() -> Callable[..., np.ndarray]:
    """Times of a month in steps of ``hours``."""

    def times(month: str = MONTH, hours: int = 1) -> np.ndarray:
        return np.arange(*month_bounds(month), np.timedelta64(hours, "h"))

    return times


@pytest.fixture
def write_era5(fine: Grid, hourly: Callable) -> Callable[..., Path]:
    """Write an ERA5-Land file; every argument has the plain case as default."""
    units = {"t2m": "K", "swvl1": "m**3 m**-3", "tp": "m", "e": "m of water equivalent", "ssrd": "J m**-2"}

    def write(
        path: Path,
        names: tuple[str, ...] = ("t2m",),
        times: np.ndarray | None = None,
        lat: np.ndarray | None = None,
        lon: np.ndarray | None = None,
        *,
        layout: str = "new",
        data: dict[str, np.ndarray] | None = None,
        unit: str | None = None,
        expver: str = "0001",
    ) -> Path:
        times = hourly() if times is None else times
        lat, lon = (fine.lat if lat is None else lat), (fine.lon if lon is None else lon)
        path.parent.mkdir(parents=True, exist_ok=True)
        with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET" if layout == "old" else "NETCDF4") as file:
            time_name, epoch = ("time", "1900-01-01") if layout == "old" else ("valid_time", "1970-01-01")
            step = "h" if layout == "old" else "s"
            for name, axis in ((time_name, times), ("latitude", lat), ("longitude", lon)):
                file.createDimension(name, axis.size)
            axis = file.createVariable(time_name, "i4" if layout == "old" else "i8", (time_name,))
            axis.setncatts({"units": f"{'hours' if step == 'h' else 'seconds'} since {epoch}", "calendar": "standard"})
            axis[:] = (times - np.datetime64(epoch)) // np.timedelta64(1, step)
            file.createVariable("latitude", "f4" if layout == "old" else "f8", ("latitude",))[:] = lat
            file.createVariable("longitude", "f4" if layout == "old" else "f8", ("longitude",))[:] = lon
            if layout == "new":
                file.createVariable("number", "i8", ())[...] = 0
                file.createVariable("expver", str, (time_name,))[:] = np.array([expver] * times.size, object)
                file.createDimension("time", 1)
                file.createVariable("time", "i4", ("time",))[:] = 998520
                file["time"].units = "hours since 1900-01-01"
                file.createVariable("lsm", "f8", ("time", "latitude", "longitude"))[:] = 1.0
            if layout == "expver":
                file.createDimension("expver", 2)
                file.createVariable("expver", "i4", ("expver",))[:] = [5, 1]
            for name in names:
                array = (data or {}).get(name)
                array = field(name, times, lat, lon) if array is None else array
                _put(file, name, array, time_name, layout, unit or units[name])
        return path

    return write


def _put(file: netCDF4.Dataset, name: str, array: np.ndarray, time_name: str, layout: str, unit: str) -> None:
    dims = (time_name, "latitude", "longitude")
    if layout == "old":
        low, high = np.nanmin(array), np.nanmax(array)
        variable = file.createVariable(name, "i2", dims, fill_value=-32767)
        variable.setncatts(
            {"scale_factor": (high - low) / 65000, "add_offset": (high + low) / 2, "missing_value": -32767}
        )
        variable[:] = np.ma.array(np.nan_to_num(array, nan=low), mask=np.isnan(array))
    elif layout == "expver":
        # The first half of the month is final, the second preliminary; the preliminary layer comes first.
        variable = file.createVariable(name, "f4", (time_name, "expver", *dims[1:]), fill_value=np.nan)
        half = array.shape[0] // 2
        both = np.full((array.shape[0], 2, *array.shape[1:]), np.nan, "f4")
        both[half:, 0], both[:half, 1] = array[half:], array[:half]
        variable[:] = both
    else:
        variable = file.createVariable(name, "f4", dims, zlib=True, complevel=1, fill_value=np.float32(np.nan))
        variable.GRIB_missingValue = 3.4028234663852886e38
        variable[:] = array
    variable.units = unit


@pytest.fixture
def write_granule(coarse: Grid) -> Callable[..., Path]:
    """Write a SMAP granule with retrievals in the window of ``coarse``, everything else fill."""

    def write(
        folder: Path,
        day: str,
        *,
        version: str = "R19240_001",
        halves: tuple[str, ...] = ("AM", "PM"),
        soil_moisture: float | np.ndarray = 0.2,
        flag: int | np.ndarray = 0,
        surface: int | np.ndarray = 0,
        content_day: str | None = None,
        extent: bool = True,
        shape: tuple[int, int] = (406, 964),
        shift: int = 0,
        unit: str = "cm**3/cm**3",
        name: str | None = None,
        grid: Grid = coarse,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (name or f"SMAP_L3_SM_P_{day.replace('-', '')}_{version}.h5")
        content_day = content_day or day
        rows = slice(grid.row0, grid.row0 + grid.shape[0])
        cols = slice(grid.col0, grid.col0 + grid.shape[1])
        ny, nx = grid.shape
        with h5py.File(path, "w") as file:
            if extent:
                attrs = file.create_group("Metadata/Extent").attrs
                attrs["rangeBeginningDateTime"] = f"{content_day}T00:00:00.000Z"
                attrs["rangeEndingDateTime"] = f"{content_day}T23:59:59.999Z"
            for half in halves:
                # 06 and 18 h local solar time of the day, at each cell's longitude.
                local = {"AM": 6, "PM": 18}[half] - grid.lon / 15
                epoch = np.datetime64("2000-01-01T12:00:00")
                seconds = (np.datetime64(content_day) - epoch) / np.timedelta64(1, "s") + local * 3600
                window = {
                    "soil_moisture": (soil_moisture, "f4", -9999.0),
                    "tb_time_seconds": (seconds[None, :], "f8", -9999.0),
                    "retrieval_qual_flag": (flag, "u2", 65534),
                    "surface_flag": (surface, "u2", 65534),
                    "freeze_thaw_fraction": (0.0, "f4", -9999.0),
                    "EASE_row_index": (np.arange(rows.start, rows.stop)[:, None] + shift, "u2", 65534),
                    "EASE_column_index": (np.arange(cols.start, cols.stop)[None, :], "u2", 65534),
                }
                suffix = "_pm" if half == "PM" else ""
                group = file.create_group(f"Soil_Moisture_Retrieval_Data_{half}")
                for key, (content, dtype, fill) in window.items():
                    dataset = group.create_dataset(
                        key + suffix, shape, dtype, chunks=(1, shape[1]), compression=2, fillvalue=fill
                    )
                    dataset[rows, cols] = np.broadcast_to(content, (ny, nx))
                group[f"soil_moisture{suffix}"].attrs["units"] = unit
        return path

    return write


@pytest.fixture
def days() -> list[str]:
    return month_days(MONTH)
