"""The product month: contract, conventions, and what xarray, cf_xarray, rioxarray and GDAL make of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cf_xarray  # noqa: F401
import netCDF4
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401
import xarray as xr
from compliance_checker.runner import CheckSuite, ComplianceChecker

import pscnet.product
from pscnet.checks import CheckError, product_complaints, verify_product
from pscnet.grids import Grid, ease2_grid, regular_grid
from pscnet.product import SCALE, ProductError, chunk_shape, pack, write_month
from pscnet.timeaxis import month_stamps
from pscnet.variables import FLAG_BITS

MONTH = "2017-02"
ATTRIBUTES = {
    "title": "Soil moisture of a test",
    "institution": "Institute of Tests",
    "creator_name": "A. Tester",
    "creator_email": "a.tester@example.org",
    "creator_url": "https://soil.example.org/people",
    "license": "CC-BY-4.0",
}
PROVENANCE = {
    "version": "0.1.0",
    "commit": "0123abc",
    "config_hash": "a" * 64,
    "checkpoint_hash": "b" * 64,
    "weight_engine": "exact",
    "manifests_hash": "c" * 64,
}
GRIDS = {
    "wide": regular_grid((30.0, 30.4), (90.0, 90.9)),
    "tiny": regular_grid((10.0, 10.1), (-0.1, 0.0)),
    "south": regular_grid((-32.0, -31.1), (-70.4, -70.0)),
    "ease2": ease2_grid((30.0, 30.6), (90.0, 90.4), "M09"),
}


def downscaled(path: Path, grid: Grid, month: str = MONTH) -> Path:
    """A month of noise with sea in the last column and one frozen morning without values."""
    times, dims = month_stamps(month), ("time", "lat", "lon")
    rng = np.random.default_rng(0)
    value = rng.uniform(0.0, 0.9, (times.size, *grid.shape)).astype("f4")
    value[0, 0, 0], value[1, 0, 0] = 0.0, 0.9
    error = rng.uniform(0.005, 0.06, value.shape).astype("f4")
    flag = rng.choice([0, FLAG_BITS["smap_observed"]], value.shape).astype("u1")
    flag[:, :, -1] = FLAG_BITS["outside_region"]
    flag[4, :, 0] |= FLAG_BITS["frozen"]
    missing = (flag & (FLAG_BITS["outside_region"] | FLAG_BITS["frozen"])) != 0
    value[missing] = error[missing] = np.nan
    units = {"units": "m3 m-3"}
    fields = {"soil_moisture": (dims, value, units), "soil_moisture_uncertainty": (dims, error, units)}
    ds = xr.Dataset({**fields, "flag": (dims, flag)}, {"time": times, "lat": grid.lat, "lon": grid.lon})
    ds.to_netcdf(path)
    return path


def deliver(folder: Path, grid: Grid, **options) -> Path:
    source = folder / "downscaled.nc"
    if not source.exists():
        downscaled(source, grid)
    options = {"attributes": ATTRIBUTES, "provenance": PROVENANCE, **options}
    return write_month(source, folder / f"sm_test_10km_3h_{MONTH}.nc", "test", MONTH, grid, **options)


@pytest.fixture(scope="module", params=list(GRIDS))
def made(request, tmp_path_factory) -> tuple[Path, Grid]:
    grid = GRIDS[request.param]
    return deliver(tmp_path_factory.mktemp(request.param), grid), grid


@pytest.fixture(scope="module")
def south(tmp_path_factory) -> Path:
    return deliver(tmp_path_factory.mktemp("south"), GRIDS["south"])


def test_contract_is_kept(made) -> None:
    path, grid = made
    assert product_complaints(path, grid, MONTH) == []
    assert sorted(p.name for p in path.parent.iterdir()) == ["downscaled.nc", path.name]


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_values_come_back(tmp_path, dtype) -> None:
    path = deliver(tmp_path, GRIDS["wide"], dtype=dtype)
    tolerance = SCALE / 2 if dtype == "int16" else 0
    with xr.open_dataset(path) as ds, xr.open_dataset(tmp_path / "downscaled.nc") as source:
        for name in ("soil_moisture", "soil_moisture_uncertainty"):
            assert ds[name].dtype == np.float32
            assert ds[name].encoding["dtype"] == dtype
            np.testing.assert_allclose(ds[name], source[name], rtol=0, atol=tolerance, equal_nan=True)
        assert ds["soil_moisture"].isnull().values[:, :, -1].all()
        np.testing.assert_array_equal(ds["flag"], source["flag"])
        np.testing.assert_array_equal(ds["time"], month_stamps(MONTH))
        # Resolution far below the uncertainty: the claim that packing loses nothing of worth.
        assert tolerance < 0.01 * float(ds["soil_moisture_uncertainty"].min())


def test_pack_refuses_what_it_cannot_hold() -> None:
    assert pack(np.array([0.0, 0.9, np.nan]), "soil_moisture").tolist() == [0, 29491, -32768]
    for name, value in (
        ("soil_moisture", 0.91),
        ("soil_moisture", -0.001),
        ("soil_moisture", np.inf),
        ("soil_moisture_uncertainty", 1e-6),
    ):
        with pytest.raises(ProductError, match=f"{name}: expected values in .* found 1 outside"):
            pack(np.array([0.2, value]), name)


def test_chunks_cut_evenly_for_maps_and_series() -> None:
    assert chunk_shape((248, 151, 321)) == (62, 51, 54)
    assert chunk_shape((224, 2, 3)) == (56, 2, 3)


def test_cf_xarray_finds_axes_bounds_mapping_and_flags(made) -> None:
    path, grid = made
    with xr.open_dataset(path, decode_coords="all") as ds:
        assert ds.cf.axes == {"X": ["lon"], "Y": ["lat"], "Z": ["depth"], "T": ["time"]}
        assert ds.cf.grid_mapping_names == {"latitude_longitude": ["crs"]}
        assert ds.cf["volume_fraction_of_condensed_water_in_soil"].name == "soil_moisture"
        np.testing.assert_allclose(ds.cf.get_bounds("lat")[:, 0], grid.lat_edges[:-1])
        np.testing.assert_allclose(ds.cf.get_bounds("lon")[:, 1], grid.lon_edges[1:])
        bounds = ds.cf.get_bounds("time").values
        np.testing.assert_array_equal(bounds[1:, 0], bounds[:-1, 1])
        assert bounds[0, 0] == np.datetime64("2017-01-31T22:30") and bounds[-1, 1] == np.datetime64("2017-02-28T22:30")
        frozen = (ds["flag"].cf == "frozen").values
        assert frozen[4, :, 0].all() and frozen.sum() == grid.shape[0]


def test_rioxarray_places_it(south) -> None:
    grid = GRIDS["south"]
    with xr.open_dataset(south, decode_coords="all") as ds:
        field = ds["soil_moisture"].rio
        assert field.crs.to_epsg() == 4326
        assert field.bounds() == pytest.approx((-70.45, -32.05, -69.95, -31.05))
        assert field.transform().e == pytest.approx(-0.1), "north is up"
        assert field.transform().a == pytest.approx(0.1)
        picked = ds["soil_moisture"].sel(lat=-31.5, lon=-70.3, method="nearest").values
        row, column = np.abs(grid.lat + 31.5).argmin(), np.abs(grid.lon + 70.3).argmin()
        with xr.open_dataset(south.parent / "downscaled.nc") as source:
            np.testing.assert_allclose(picked, source["soil_moisture"].values[:, row, column], rtol=0, atol=SCALE)


def test_gdal_places_it_orders_it_and_scales_it(south) -> None:
    from rasterio.drivers import raster_driver_extensions

    if "netCDF" not in raster_driver_extensions().values():
        pytest.skip("the GDAL inside rasterio has no netCDF driver")
    with rasterio.open(f"netcdf:{south}:soil_moisture") as band, xr.open_dataset(south) as ds:
        assert band.crs.to_epsg() == 4326
        assert tuple(band.transform)[:6] == pytest.approx((0.1, 0, -70.45, 0, -0.1, -31.05))
        assert (band.count, band.height, band.width) == ds["soil_moisture"].shape
        assert set(band.units) == {"m3 m-3"} and set(band.scales) == {SCALE} and set(band.offsets) == {0.0}
        raw = band.read(3, masked=True)
        np.testing.assert_array_equal((raw * np.float32(SCALE)).filled(np.nan), ds["soil_moisture"].values[2])
        at = next(iter(band.sample([(-70.3, -31.5)], indexes=[3])))[0]
        expected = ds["soil_moisture"].sel(lat=-31.5, lon=-70.3, method="nearest").values[2]
        assert at * SCALE == pytest.approx(expected)


def test_gdalinfo_reads_it(south) -> None:
    if shutil.which("gdalinfo") is None:
        pytest.skip("gdalinfo is not installed (Debian: apt-get install gdal-bin)")
    command = ["gdalinfo", "-json", f"NETCDF:{south}:soil_moisture"]
    # rasterio's wheels point PROJ and GDAL at their own data, which another GDAL cannot read.
    environment = {key: value for key, value in os.environ.items() if key not in ("PROJ_LIB", "PROJ_DATA", "GDAL_DATA")}
    info = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    assert info["size"] == [5, 10]
    assert info["geoTransform"] == pytest.approx([-70.45, 0.1, 0, -31.05, 0, -0.1])
    assert "WGS 84" in info["coordinateSystem"]["wkt"]
    assert len(info["bands"]) == 224
    first = info["bands"][0]
    assert (first["type"], first["unit"], first["scale"], first["offset"]) == ("Int16", "m3 m-3", SCALE, 0)
    assert first["noDataValue"] == -32768


def compliance(path: Path, folder: Path) -> dict[str, dict]:
    """Report of the IOOS compliance-checker for each convention."""
    CheckSuite.load_all_available_checkers()
    output = folder / "report.json"
    ComplianceChecker.run_checker(
        str(path), ["cf:1.11", "acdd:1.3"], 0, "strict", output_filename=str(output), output_format="json"
    )
    return json.loads(output.read_text())


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("grid", ["south", "ease2"])
def test_compliance_checker_has_nothing_to_say(tmp_path, dtype, grid) -> None:
    report = compliance(deliver(tmp_path, GRIDS[grid], dtype=dtype), tmp_path)
    assert sorted(report) == ["acdd:1.3", "cf:1.11"]
    for name, finding in report.items():
        issues = [
            f"{name} {level}: {item['name']}: {item['msgs']}"
            for level in ("high_priorities", "medium_priorities", "low_priorities")
            for item in finding[level]
            if item["value"][0] < item["value"][1]
        ]
        assert issues == []
        assert finding["scored_points"] == finding["possible_points"]


def test_compliance_checker_would_have_something_to_say(tmp_path) -> None:
    path = deliver(tmp_path, GRIDS["south"])
    with netCDF4.Dataset(path, "a") as nc:
        nc["soil_moisture"].units = "metres"
        nc["soil_moisture"].standard_name = "soil_wetness_of_my_own"
        nc.delncattr("summary")
    report = compliance(path, tmp_path)
    assert report["cf:1.11"]["scored_points"] < report["cf:1.11"]["possible_points"]
    assert report["acdd:1.3"]["scored_points"] < report["acdd:1.3"]["possible_points"]


def test_the_source_names_the_net(south, tmp_path) -> None:
    other = deliver(tmp_path, GRIDS["tiny"], provenance=PROVENANCE | {"model": "unet"})
    for path, net in ((south, "PSCNet"), (other, "U-Net")):
        with netCDF4.Dataset(path) as nc:
            assert nc.source == f"SMAP L3 passive soil moisture (SPL3SMP) and ERA5-Land, merged by {net}"
    with netCDF4.Dataset(other) as nc:
        assert nc.model == "unet"


def test_attributes_say_where_it_comes_from(south) -> None:
    with netCDF4.Dataset(south) as nc:
        for name, value in PROVENANCE.items():
            assert nc.getncattr(name) == value
        assert nc.id == "sm_test_10km_3h_2017-02"
        assert nc.naming_authority == "org.example.soil"
        assert (nc.time_coverage_start, nc.time_coverage_end) == ("2017-02-01T00:00:00Z", "2017-02-28T21:00:00Z")
        assert nc.time_coverage_duration == "P28D"
        assert "SIMULATED" not in nc.title
        assert str(south.parent) not in str(nc.__dict__), "a folder of the maker's machine leaked into the product"


def test_simulated_products_say_so(tmp_path) -> None:
    with netCDF4.Dataset(deliver(tmp_path, GRIDS["wide"], simulated=True)) as nc:
        for name in ("title", "summary", "source"):
            assert nc.getncattr(name).startswith("SIMULATED")
        assert "SMAP" not in nc.platform


def test_same_input_gives_the_same_bytes(tmp_path) -> None:
    digests = [hashlib.sha256(deliver(tmp_path, GRIDS["wide"]).read_bytes()).hexdigest() for _ in range(2)]
    assert digests[0] == digests[1]
    os.utime(tmp_path / "downscaled.nc", (1_500_000_000, 1_500_000_000))
    with netCDF4.Dataset(deliver(tmp_path, GRIDS["wide"])) as nc:
        assert nc.date_created == "2017-07-14T02:40:00Z"
    with netCDF4.Dataset(deliver(tmp_path, GRIDS["wide"], date_created="2020-01-01T00:00:00Z")) as nc:
        assert nc.date_created == "2020-01-01T00:00:00Z"


def spoil(path: Path, change) -> None:
    with netCDF4.Dataset(path, "a") as nc:
        change(nc)


def test_bad_input_leaves_the_old_product_and_nothing_else(tmp_path) -> None:
    path = deliver(tmp_path, GRIDS["wide"])
    before = path.read_bytes()

    def change(nc: netCDF4.Dataset) -> None:
        nc["soil_moisture"][7, 1, 1] = 21.0
        nc["soil_moisture_uncertainty"][8, 1, 1] = 0.0

    spoil(tmp_path / "downscaled.nc", change)
    with pytest.raises(CheckError) as caught:
        deliver(tmp_path, GRIDS["wide"])
    for part in (
        "downscaled.nc",
        "2 complaint(s)",
        "soil_moisture: expected",
        "soil_moisture_uncertainty: expected",
        "21",
    ):
        assert part in str(caught.value)
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(CheckError):
        deliver(tmp_path, GRIDS["wide"])
    assert [p.name for p in tmp_path.iterdir()] == ["downscaled.nc"]


def test_a_product_that_fails_its_check_is_not_delivered(tmp_path, monkeypatch) -> None:
    def write_without_crs(nc, fine, month):
        original(nc, fine, month)
        nc.renameVariable("crs", "somewhere")

    original = pscnet.product.write_axes
    monkeypatch.setattr(pscnet.product, "write_axes", write_without_crs)
    with pytest.raises(CheckError, match="crs: expected a variable, found none"):
        deliver(tmp_path, GRIDS["wide"])
    assert [p.name for p in tmp_path.iterdir()] == ["downscaled.nc"]


def test_wrong_grid_or_month_is_refused(tmp_path) -> None:
    source = downscaled(tmp_path / "downscaled.nc", GRIDS["wide"])
    common = {"attributes": ATTRIBUTES, "provenance": PROVENANCE}
    with pytest.raises(CheckError, match="lat: expected 10 cells"):
        write_month(source, tmp_path / "p.nc", "test", MONTH, GRIDS["south"], **common)
    with pytest.raises(CheckError, match="time: expected the 248 stamps"):
        write_month(source, tmp_path / "p.nc", "test", "2017-03", GRIDS["wide"], **common)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype 'int8': expected 'int16' or 'float32'"),
        ({"attributes": {**ATTRIBUTES, "creator_email": " "}}, "found none for creator_email"),
        ({"attributes": {}}, "found none for title, institution, creator_name, creator_email, creator_url, license"),
        ({"provenance": {**PROVENANCE, "commit": None}}, "found none for commit"),
        ({"attributes": {**ATTRIBUTES, "history": "mine"}}, "history: expected none, it is computed"),
        ({"attributes": {**ATTRIBUTES, "commit": "x"}}, "commit: expected either metadata or provenance"),
    ],
)
def test_bad_arguments_are_named(tmp_path, options, message) -> None:
    with pytest.raises(ProductError, match=message):
        deliver(tmp_path, GRIDS["wide"], **options)
    assert [p.name for p in tmp_path.iterdir()] == ["downscaled.nc"]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda nc: nc.delncattr("summary"), ("attribute summary",)),
        (lambda nc: nc.setncattr("checkpoint_hash", ""), ("attribute checkpoint_hash",)),
        (lambda nc: nc.setncattr("Conventions", "CF-1.6, ACDD-1.3"), ("Conventions", "CF-1.11", "CF-1.6")),
        (lambda nc: nc["soil_moisture"].setncattr("standard_name", "moisture"), ("soil_moisture:standard_name",)),
        (lambda nc: nc["soil_moisture"].setncattr("units", "%"), ("soil_moisture", "'m3 m-3'", "'%'")),
        (
            lambda nc: nc["soil_moisture"].setncattr("valid_range", np.array([0, 0.9])),
            ("valid_range", "int16", "float64"),
        ),
        (
            lambda nc: nc["soil_moisture"].setncattr("valid_range", np.array([0, 9], "i2")),
            ("soil_moisture:valid_range", "0 .. 0.9"),
        ),
        (lambda nc: nc["soil_moisture"].delncattr("grid_mapping"), ("soil_moisture:grid_mapping", "'crs'")),
        (lambda nc: nc["flag"].setncattr("flag_meanings", "snow frozen"), ("flag:flag_meanings", "frozen")),
        (lambda nc: nc["flag"].setncattr("flag_masks", np.arange(6, dtype="u1")), ("flag:flag_masks", "[1, 2, 4")),
        (lambda nc: nc["crs"].setncattr("GeoTransform", "0 1 0 0 0 -1"), ("crs:GeoTransform", "89.95")),
        (lambda nc: nc["crs"].delncattr("crs_wkt"), ("crs:crs_wkt",)),
        (lambda nc: nc["time_bnds"].__setitem__((0, 0), 0.0), ("time_bnds", "1.5 h before")),
        (lambda nc: nc["lat_bnds"].__setitem__((0, 0), 31.0), ("lat_bnds", "edges")),
        (lambda nc: nc["lon"].__setitem__(0, 89.99), ("lon", "0.01 degree off")),
        (lambda nc: nc["lat"].delncattr("bounds"), ("lat:bounds",)),
        (lambda nc: nc["soil_moisture"].__setitem__((9, 1, 1), np.ma.masked), ("soil_moisture",)),
        (lambda nc: nc["flag"].__setitem__((9, 1, 1), 128), ("flag", "only the bits")),
    ],
)
def test_spoiled_products_are_named(tmp_path, change, parts) -> None:
    path = deliver(tmp_path, GRIDS["wide"])
    spoil(path, change)
    complaints = product_complaints(path, GRIDS["wide"], MONTH)
    assert complaints
    for part in (*parts, "expected", "found"):
        assert part in complaints[0], complaints


def test_verification_passes_and_says_how_much_is_covered(tmp_path) -> None:
    grid = GRIDS["wide"]
    path = deliver(tmp_path, grid)
    region = np.ones(grid.shape, "i1")
    region[:, -1] = 0
    static = tmp_path / "static.nc"
    xr.Dataset({"region": (("lat", "lon"), region)}, {"lat": grid.lat, "lon": grid.lon}).to_netcdf(static)
    output = tmp_path / "verify" / "product.json"
    finding = verify_product(path, output, MONTH, grid, static)
    assert json.loads(output.read_text()) == finding
    assert (finding["file"], finding["month"], finding["complaints"]) == (path.name, MONTH, [])
    assert finding["coverage"] == 1.0
    assert finding["cells_and_steps"]["region"] == 224 * 5 * 9
    assert finding["cells_and_steps"]["unfrozen"] == 224 * 5 * 9 - 5

    xr.Dataset({"region": (("lat", "lon"), region * 0 + 1)}, {"lat": grid.lat, "lon": grid.lon}).to_netcdf(static)
    with pytest.raises(CheckError, match="flag: expected outside_region exactly outside the region"):
        verify_product(path, output, MONTH, grid, static)
    assert json.loads(output.read_text())["complaints"]


def test_verification_refuses_thin_coverage(tmp_path) -> None:
    path = deliver(tmp_path, GRIDS["wide"])

    def change(nc: netCDF4.Dataset) -> None:
        for name in ("soil_moisture", "soil_moisture_uncertainty"):
            nc[name][20:30, 1:3, 1:3] = np.ma.masked
        nc["flag"][20:30, 1:3, 1:3] = FLAG_BITS["snow"]

    spoil(path, change)
    assert product_complaints(path, GRIDS["wide"], MONTH) == [], "seamless: the flag says why there is no value"
    with pytest.raises(CheckError, match=r"coverage: expected at least 0\.999 .* found 0\.996"):
        verify_product(path, tmp_path / "v.json", MONTH, GRIDS["wide"])
    assert verify_product(path, tmp_path / "v.json", MONTH, GRIDS["wide"], min_coverage=0.99)["coverage"] < 0.999


def test_a_full_plateau_month_takes_little_memory(tmp_path) -> None:
    script = r"""
import pathlib, re, resource, sys
import netCDF4
import numpy as np
from pscnet.grids import regular_grid
from pscnet.product import write_month
from pscnet.timeaxis import month_stamps
folder, grid, times = sys.argv[1], regular_grid((25, 40), (73, 105)), month_stamps("2016-05")
with netCDF4.Dataset(f"{folder}/d.nc", "w") as nc:
    for name, values in (("time", (times - times[0]) / np.timedelta64(1, "h")), ("lat", grid.lat), ("lon", grid.lon)):
        nc.createDimension(name, len(values))
        nc.createVariable(name, "f8", (name,))[:] = values
    nc["time"].units = "hours since 2016-05-01"
    fields = (("soil_moisture", "f4", 0.2), ("soil_moisture_uncertainty", "f4", 0.03), ("flag", "u1", 8))
    for name, kind, value in fields:
        variable = nc.createVariable(name, kind, ("time", "lat", "lon"), fill_value=False)
        variable.units = "m3 m-3"
        for step in range(len(times)):
            variable[step] = np.full(grid.shape, value, kind)
attributes = dict.fromkeys(["title", "institution", "creator_name", "creator_email", "creator_url", "license"], "x")
provenance = dict.fromkeys(
    ["version", "commit", "config_hash", "checkpoint_hash", "weight_engine", "manifests_hash"], "x")
write_month(f"{folder}/d.nc", f"{folder}/p.nc", "x", "2016-05", grid, attributes=attributes, provenance=provenance)
status = pathlib.Path("/proc/self/status")  # where there is one: getrusage also counts who started this process
peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())[1] if status.exists() else None
print(peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    package = str(Path(pscnet.product.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": package}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=True, capture_output=True, text=True, env=environment
    )
    assert int(done.stdout) < 1_000_000, "peak memory in kB"
    assert (tmp_path / "p.nc").exists()
