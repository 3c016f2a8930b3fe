"""Each contract: a good file passes, a spoiled one fails with variable, expected and found."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pscnet import checks
from pscnet.grids import ease2_grid, regular_grid
from pscnet.timeaxis import month_days, month_stamps
from pscnet.variables import ERA5_LAND, FLAG_BITS

MONTH = "2017-02"
FINE = regular_grid((30.0, 30.4), (90.0, 90.6))
COARSE = ease2_grid((30.0, 31.0), (90.0, 91.5))
PREDICTORS = ["swvl1", "t2m", "tp", "e"]


def only(complaints: list[str], *parts: str) -> None:
    """Exactly one complaint, which holds every part, an expectation and a finding."""
    assert len(complaints) == 1, complaints
    for part in (*parts, "expected", "found"):
        assert part in complaints[0], complaints[0]


def predictors() -> xr.Dataset:
    times, levels = month_stamps(MONTH), {"swvl1": 0.2, "t2m": 280.0, "tp": 0.001, "e": -1e-4}
    sea = np.zeros(FINE.shape, bool)
    sea[:, -1] = True
    fields = {}
    for name in PREDICTORS:
        values = np.full((times.size, *FINE.shape), levels[name], "f4")
        values[:, sea] = np.nan
        fields[name] = (checks.layout.FIELD_DIMS, values, {"units": ERA5_LAND[name].units})
    return xr.Dataset(fields, {"time": times, "lat": FINE.lat, "lon": FINE.lon})


def test_good_predictors_pass() -> None:
    land = np.isfinite(predictors()["t2m"].values[0])
    assert checks.predictors_complaints(predictors(), FINE, MONTH, PREDICTORS, land) == []


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda ds: ds.drop_vars("tp"), ("tp", "a variable")),
        (lambda ds: ds.assign(t2m=ds["t2m"].transpose("lat", "time", "lon")), ("t2m", "dims")),
        (lambda ds: ds.assign(t2m=ds["t2m"].astype("f8").assign_attrs(ds["t2m"].attrs)), ("t2m", "float32", "float64")),
        (lambda ds: ds.assign(t2m=ds["t2m"].assign_attrs(units="degC")), ("t2m", "'K'", "'degC'")),
        (lambda ds: ds.assign(t2m=(ds["t2m"] - 273.15).assign_attrs(units="K")), ("t2m", "170 .. 340", "6.85")),
        (lambda ds: ds.assign(tp=(ds["tp"] - 0.0011).assign_attrs(units="m")), ("tp", "0 .. 2")),
        (lambda ds: ds.assign(swvl1=(ds["swvl1"] * np.nan).assign_attrs(units="m3 m-3")), ("swvl1", "no finite value")),
        (lambda ds: ds.isel(time=slice(1, None)), ("time", "224 stamps", "223", "2017-02-01T00:00")),
        (lambda ds: ds.assign_coords(time=ds["time"] + np.timedelta64(1, "h")), ("time", "foreign")),
        (lambda ds: ds.isel(time=[1, 0, *range(2, 224)]), ("time", "out of order")),
        (lambda ds: ds.isel(lat=slice(None, None, -1)), ("lat", "descending")),
        (lambda ds: ds.assign_coords(lon=ds["lon"] + 0.05), ("lon", "0.05 degree off")),
        (lambda ds: ds.isel(lon=slice(1, None)), ("lon", "7 cells", "6")),
    ],
)
def test_spoiled_predictors_are_named(spoil, parts) -> None:
    only(checks.predictors_complaints(spoil(predictors()), FINE, MONTH, PREDICTORS), *parts)


def test_a_hole_in_a_predictor_is_found() -> None:
    ds = predictors()
    ds["e"].values[7, 2, 3] = np.nan
    only(checks.predictors_complaints(ds, FINE, MONTH, PREDICTORS), "e", "every step", "(2, 3)")


def test_a_land_cell_without_any_predictor_is_found() -> None:
    only(checks.predictors_complaints(predictors(), FINE, MONTH, ["tp"], np.ones(FINE.shape, bool)), "tp", "5 land")


def test_an_unknown_predictor_is_named() -> None:
    only(checks.predictors_complaints(predictors(), FINE, MONTH, ["sm"]), "sm", "ERA5-Land short name")


def smap() -> xr.Dataset:
    days = np.array(month_days(MONTH), "M8[ns]").repeat(2)
    shape = (days.size, *COARSE.shape)
    there = np.zeros(shape, bool)
    there[::3] = True
    hours = (np.arange(days.size) * 12.0)[:, None, None] + np.zeros(shape)
    dims = checks.inputs.SMAP_DIMS
    return xr.Dataset(
        {
            "soil_moisture": (dims, np.where(there, 0.21, np.nan).astype("f4")),
            "soil_moisture_error": (dims, np.where(there, 0.04, np.nan).astype("f4")),
            "time_offset": (dims, np.where(there, hours, np.nan)),
            "quality": (dims, np.where(there, 0, 255).astype("u1")),
            "freeze_thaw_fraction": (dims, np.zeros(shape, "f4")),
            "surface_flag": (dims, np.zeros(shape, "u2")),
        },
        {
            "date": ("half_orbit", days),
            "half": ("half_orbit", np.tile(["AM", "PM"], days.size // 2)),
            "lat": ("y", COARSE.lat),
            "lon": ("x", COARSE.lon),
            "row": ("y", COARSE.row0 + np.arange(COARSE.shape[0])),
            "column": ("x", COARSE.col0 + np.arange(COARSE.shape[1])),
        },
    )


def put(name: str, value: float, *where: int):
    """A spoiler that sets one cell."""

    def spoil(ds: xr.Dataset) -> xr.Dataset:
        ds[name].values[where] = value
        return ds

    return spoil


def test_good_smap_passes() -> None:
    assert checks.smap_complaints(smap(), COARSE, MONTH) == []


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (put("soil_moisture", 1.4, 0, 0, 0), ("soil_moisture", "0.02 .. 0.9", "1.4")),
        (put("soil_moisture_error", 0.0, 3, 1, 1), ("soil_moisture_error", "positive", "1 that")),
        (put("quality", 7, 0, 0, 0), ("quality", "0, 1 or 255", "[7]")),
        (put("quality", 255, 0, 0, 0), ("quality", "exactly where", "1 lacking")),
        (put("time_offset", np.nan, 0, 0, 0), ("time_offset", "exactly where", "1 lacking")),
        (put("time_offset", 300.0, 0, 0, 0), ("time_offset", "own day", "300.0 h")),
        (put("freeze_thaw_fraction", 1.5, 0, 0, 0), ("freeze_thaw_fraction", "0 .. 1", "1.5")),
        (put("row", 1, 0), ("row", "along 'y'")),
        (lambda ds: ds.assign(quality=ds["quality"].astype("f4")), ("quality", "uint8", "float32")),
        (lambda ds: ds.assign_coords(half=("half_orbit", ds["half"].values[::-1])), ("half", "AM, PM")),
        (lambda ds: ds.assign_coords(date=ds["date"] + np.timedelta64(1, "D")), ("date", "2017-02-01", "2017-02-02")),
        (lambda ds: ds.drop_vars("surface_flag"), ("surface_flag", "a variable")),
    ],
)
def test_spoiled_smap_is_named(spoil, parts) -> None:
    only(checks.smap_complaints(spoil(smap()), COARSE, MONTH), *parts)


def static() -> xr.Dataset:
    land = np.ones(FINE.shape, "i1")
    land[:, -1] = 0
    region = land.copy()
    region[0] = 0
    dims = ("lat", "lon")

    def field(value: float, units: str) -> tuple:
        return dims, np.full(FINE.shape, value, "f4"), {"units": units}

    fields = {"elevation": field(4500, "m"), "slope": field(0.1, "1"), "elevation_anomaly": field(-20, "m")}
    return xr.Dataset({**fields, "land": (dims, land), "region": (dims, region)}, {"lat": FINE.lat, "lon": FINE.lon})


def test_good_static_passes() -> None:
    assert checks.static_complaints(static(), FINE) == []


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (put("elevation", 45000, 0, 0), ("elevation", "-500 .. 9000", "45000")),
        (put("elevation", np.nan, 0, 0), ("elevation", "every land cell", "1 land")),
        (put("slope", -0.1, 0, 0), ("slope", "0 .. 20")),
        (put("land", 2, 0, 0), ("land", "0 or 1", "2")),
        (put("region", 1, 1, -1), ("region", "land cells only", "1 cells")),
        (lambda ds: ds.assign(region=ds["region"] * np.int8(0)), ("region", "at least one")),
        (lambda ds: ds.assign(land=ds["land"].astype("f4")), ("land", "int8", "float32")),
        (lambda ds: ds.drop_vars("elevation_anomaly"), ("elevation_anomaly", "a variable")),
    ],
)
def test_spoiled_static_is_named(spoil, parts) -> None:
    only(checks.static_complaints(spoil(static()), FINE), *parts)


REGION = np.ones(FINE.shape, bool)
REGION[:, -1] = False


def downscaled() -> xr.Dataset:
    times, dims = month_stamps(MONTH), ("time", "lat", "lon")
    value = np.full((times.size, *FINE.shape), 0.25, "f4")
    flag = np.zeros(value.shape, "u1")
    value[:, ~REGION], flag[:, ~REGION] = np.nan, FLAG_BITS["outside_region"]
    value[:8, 0, 0], flag[:8, 0, 0] = np.nan, FLAG_BITS["frozen"] | FLAG_BITS["snow"]
    flag[9:] |= FLAG_BITS["smap_observed"]
    units = {"units": "m3 m-3"}
    fields = {"soil_moisture": (dims, value, units), "soil_moisture_uncertainty": (dims, value / 10, units)}
    return xr.Dataset({**fields, "flag": (dims, flag)}, {"time": times, "lat": FINE.lat, "lon": FINE.lon})


@pytest.mark.parametrize("region", [None, REGION])
def test_good_downscaled_passes(region) -> None:
    assert checks.downscaled_complaints(downscaled(), FINE, MONTH, region) == []


def both(value: float, *where: int):
    """A spoiler that sets soil moisture and uncertainty of one cell."""

    def spoil(ds: xr.Dataset) -> xr.Dataset:
        return put("soil_moisture_uncertainty", value, *where)(put("soil_moisture", value, *where)(ds))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (put("soil_moisture", 21.0, 20, 1, 1), ("soil_moisture", "0 .. 0.9", "1 cells", "21")),
        (put("soil_moisture", -0.01, 20, 1, 1), ("soil_moisture", "0 .. 0.9", "-0.01")),
        (put("soil_moisture", np.inf, 20, 1, 1), ("soil_moisture", "0 .. 0.9", "inf")),
        (put("soil_moisture_uncertainty", 0.0, 20, 1, 1), ("soil_moisture_uncertainty", "positive")),
        (put("soil_moisture_uncertainty", 1.5, 20, 1, 1), ("soil_moisture_uncertainty", "0 .. 0.9", "1.5")),
        (put("soil_moisture_uncertainty", np.nan, 20, 1, 1), ("soil_moisture_uncertainty", "exactly where")),
        (both(np.nan, 20, 1, 1), ("soil_moisture", "seamless", "1 cells")),
        (both(0.1, 20, 1, -1), ("soil_moisture", "no value outside")),
        (put("flag", 64, 20, 1, 1), ("flag", "only the bits", "1 cells")),
        (put("flag", 32 + 1, 20, 1, -1), None),
        (lambda ds: ds.assign(flag=ds["flag"].astype("f4")), ("flag", "uint8", "float32")),
        (lambda ds: ds.assign(soil_moisture=ds["soil_moisture"].assign_attrs(units="%")), ("soil_moisture", "'%'")),
        (lambda ds: ds.isel(time=slice(0, -1)), ("time", "224", "223", "2017-02-28T21:00")),
    ],
)
def test_spoiled_downscaled_is_named(spoil, parts) -> None:
    complaints = checks.downscaled_complaints(spoil(downscaled()), FINE, MONTH, REGION)
    if parts is None:
        assert complaints == []
    else:
        only(complaints, *parts)


def test_observed_or_extrapolated_is_no_excuse_for_a_hole() -> None:
    ds = both(np.nan, 20, 1, 1)(downscaled())
    ds["flag"].values[20, 1, 1] = FLAG_BITS["smap_observed"] | FLAG_BITS["extrapolated"]
    only(checks.downscaled_complaints(ds, FINE, MONTH, REGION), "soil_moisture", "seamless")


def test_land_cannot_be_declared_outside_the_region() -> None:
    ds = both(np.nan, slice(None), 1, 1)(downscaled())
    ds["flag"].values[:, 1, 1] = FLAG_BITS["outside_region"]
    assert checks.downscaled_complaints(ds, FINE, MONTH) == []
    only(checks.downscaled_complaints(ds, FINE, MONTH, REGION), "flag", "outside_region exactly", "224 cells")


def test_coverage_counts_unfrozen_region_only() -> None:
    summary = checks.summarise(downscaled(), REGION)
    assert summary.steps == 224 * 30
    assert summary.unfrozen == summary.valued == 224 * 30 - 8
    assert summary.coverage == 1.0
    holed = checks.summarise(both(np.nan, 20, slice(0, 3), 1)(downscaled()), REGION)
    assert holed.coverage == pytest.approx(1 - 3 / (224 * 30 - 8))


def test_coverage_of_an_all_frozen_month_is_unknown() -> None:
    ds = downscaled()
    ds["flag"].values[:, REGION] |= FLAG_BITS["frozen"]
    assert checks.summarise(ds, REGION).coverage is None


def test_blocks_give_the_same_summary(monkeypatch) -> None:
    whole = checks.summarise(downscaled(), REGION)
    monkeypatch.setattr(checks.layout, "_BLOCK_CELLS", FINE.size * 7)
    assert checks.summarise(downscaled(), REGION) == whole


def test_the_error_lists_every_complaint() -> None:
    error = checks.CheckError("a.nc", ["lat: expected 1, found 2", "lon: expected 3, found 4"], "mend it")
    for part in ("a.nc", "2 complaint(s)", "lat: expected 1", "lon: expected 3", "mend it"):
        assert part in str(error)
    assert len(error.complaints) == 2


def test_transform_of_even_and_uneven_grids() -> None:
    assert checks.geo_transform(FINE) == pytest.approx((89.95, 0.1, 0, 30.45, 0, -0.1))
    assert checks.geo_transform(ease2_grid((30.0, 32.0), (90.0, 92.0), "M09")) is None
