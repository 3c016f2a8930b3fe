"""Elevation of any CRS and resolution on the fine grid, and the files that must be refused."""

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from pscnet import regrid
from pscnet.grids import Grid, ease2_grid, regular_grid
from pscnet.sources import SourceError
from pscnet.sources.elevation import open_elevation

GRID = regular_grid((30.0, 31.0), (90.0, 91.5), 0.1)


def hills(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """A smooth terrain [m]."""
    return 4000.0 + 800.0 * np.sin(np.deg2rad(lon * 150)) * np.cos(np.deg2rad(lat * 190)) + 300.0 * (lat - 30)


def write_tif(path, values, west, north, step, crs="EPSG:4326", nodata=-9999.0, dtype="float32", **profile):
    """A GeoTIFF of ``values`` whose upper-left corner is (west, north)."""
    bands = profile.pop("count", 1)
    transform = from_origin(west, north, step, step)
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=bands, dtype=dtype, crs=crs, nodata=nodata,
        transform=transform, **profile,
    ) as file:  # fmt: skip
        for band in range(1, bands + 1):
            file.write(values.astype(dtype), band)
    return path


def geographic(path, step=0.02, west=89.5, north=31.5, size=(2.0, 2.5), field=hills, **options):
    """A GeoTIFF in degrees that covers the grid by a margin."""
    lat = north - (np.arange(round(size[0] / step)) + 0.5) * step
    lon = west + (np.arange(round(size[1] / step)) + 0.5) * step
    return write_tif(path, field(lat[:, None], lon[None, :]), west, north, step, **options)


def cell_means(grid: Grid, samples: int = 40) -> np.ndarray:
    """Means of the hills over each cell, by sampling it densely."""
    offset = (np.arange(samples) + 0.5) / samples
    lat = grid.lat_edges[:-1, None] + np.diff(grid.lat_edges)[:, None] * offset
    lon = grid.lon_edges[:-1, None] + np.diff(grid.lon_edges)[:, None] * offset
    fine = hills(lat.reshape(-1, 1), lon.reshape(1, -1))
    return fine.reshape(grid.shape[0], samples, grid.shape[1], samples).mean(axis=(1, 3))


def test_a_finer_raster_is_averaged_over_the_cell(tmp_path):
    """Control: the value at the centre is another number."""
    got = open_elevation(geographic(tmp_path / "dem.tif"), GRID)
    assert got.dims == ("lat", "lon") and got.dtype == np.float32 and got.attrs["units"] == "m"
    assert got.attrs["resampling"] == "average"
    np.testing.assert_array_equal(got["lat"], GRID.lat)
    np.testing.assert_allclose(got, cell_means(GRID), atol=1.0)
    assert np.abs(hills(GRID.lat[:, None], GRID.lon) - cell_means(GRID)).max() > 5.0


def test_a_coarser_raster_is_interpolated(tmp_path):
    got = open_elevation(geographic(tmp_path / "dem.tif", step=0.25, west=89.0, north=32.0, size=(3.0, 3.5)), GRID)
    assert got.attrs["resampling"] == "bilinear"
    assert np.abs(got - hills(GRID.lat[:, None], GRID.lon)).max() < 120
    assert np.unique(got.values[0]).size > 10, "not blocks of the coarse pixels"


@pytest.mark.parametrize("crs", ["EPSG:32646", "EPSG:3857", "EPSG:6933", "ESRI:102025"])
def test_projected_rasters_land_in_the_right_place(tmp_path, crs):
    """UTM, Mercator, EASE-Grid 2.0 and Albers; control: shifted by two cells the answer is far off."""
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    lon, lat = np.meshgrid(np.linspace(89.6, 91.9, 30), np.linspace(29.6, 31.4, 30))
    x, y = to_crs.transform(lon, lat)
    step = 2000.0
    west, north = x.min(), y.max()
    px = west + (np.arange(int((x.max() - west) / step)) + 0.5) * step
    py = north - (np.arange(int((north - y.min()) / step)) + 0.5) * step
    plon, plat = to_crs.transform(*np.meshgrid(px, py), direction="INVERSE")
    path = write_tif(tmp_path / "dem.tif", hills(plat, plon), west, north, step, crs=crs)
    got = open_elevation(path, GRID)
    error = np.abs(got.values - cell_means(GRID))
    assert error.max() < 25 and error.mean() < 5
    assert np.abs(got.values[:, 2:] - cell_means(GRID)[:, :-2]).mean() > 100


@settings(max_examples=10, deadline=None)
@given(value=st.floats(-400, 8800), step=st.sampled_from([0.013, 0.05, 0.1, 0.3]))
def test_a_constant_stays_constant(tmp_path_factory, value, step):
    path = tmp_path_factory.mktemp("dem") / "dem.tif"
    geographic(path, step, 89.0, 32.0, (3.0, 3.5), field=lambda lat, lon: np.full(np.broadcast(lat, lon).shape, value))
    np.testing.assert_allclose(open_elevation(path, GRID), np.float32(value), rtol=1e-6, atol=1e-6)


def test_an_ease2_grid_is_served_too(tmp_path):
    grid = ease2_grid((30.1, 30.9), (90.1, 91.4), "M09")
    np.testing.assert_allclose(open_elevation(geographic(tmp_path / "dem.tif"), grid), cell_means(grid), atol=3.0)


def test_no_data_is_left_out_of_the_mean(tmp_path):
    def holed(lat, lon):
        field = hills(lat, lon)
        field[(lon > 90.48) & (lat < 2000)] = -9999.0
        return field

    got = open_elevation(geographic(tmp_path / "dem.tif", field=holed), GRID)
    assert np.isnan(got.sel(lon=slice(90.6, None))).all()
    known = got.sel(lon=slice(None, 90.4))
    np.testing.assert_allclose(known, cell_means(GRID)[:, : known.sizes["lon"]], atol=1.0)
    assert float(got.min()) > 2000, "no cell is mixed with -9999"


def test_integer_files_are_averaged_without_rounding_to_integers(tmp_path):
    got = open_elevation(geographic(tmp_path / "dem.tif", dtype="int16", nodata=-32768), GRID)
    assert (got.values % 1 != 0).any()
    np.testing.assert_allclose(got, cell_means(GRID), atol=2.0)


def test_scale_and_offset_are_applied(tmp_path):
    path = geographic(tmp_path / "dem.tif", field=lambda lat, lon: (hills(lat, lon) - 100) / 0.5)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.5,), (100.0,)
    np.testing.assert_allclose(open_elevation(path, GRID), cell_means(GRID), atol=1.0)


def test_longitudes_of_0_to_360(tmp_path):
    grid = regular_grid((-20.0, -19.0), (-70.0, -68.5), 0.1)

    def field(lat, lon):
        return hills(lat + 50, lon % 360)

    usual = geographic(tmp_path / "usual.tif", west=-70.5, north=-18.5, field=field)
    turned = geographic(tmp_path / "turned.tif", west=289.5, north=-18.5, field=field)
    one, other = open_elevation(usual, grid), open_elevation(turned, grid)
    assert float(one.std()) > 50
    np.testing.assert_allclose(one, other, atol=0.5)


# ----------------------------------------------------------------------------------------------------------- NetCDF


def netcdf(path, names=("latitude", "longitude"), variable="elevation", lon=None, **attrs):
    lat = 29.5 + (np.arange(100) + 0.5) * 0.02
    lon = 89.5 + (np.arange(125) + 0.5) * 0.02 if lon is None else lon
    data = xr.DataArray(hills(lat[:, None], lon), coords={names[0]: lat, names[1]: lon}, dims=names, attrs=attrs)
    data.to_dataset(name=variable).to_netcdf(path)
    return path


@pytest.mark.parametrize(("names", "variable"), [(("latitude", "longitude"), "elevation"), (("lat", "lon"), "Band1")])
def test_netcdf_with_ascending_latitudes(tmp_path, names, variable):
    got = open_elevation(netcdf(tmp_path / "dem.nc", names, variable, units="meters"), GRID)
    np.testing.assert_allclose(got, cell_means(GRID), atol=1.0)


def test_netcdf_agrees_with_the_same_field_as_geotiff(tmp_path):
    one = open_elevation(netcdf(tmp_path / "dem.nc"), GRID)
    np.testing.assert_allclose(one, open_elevation(geographic(tmp_path / "dem.tif"), GRID), atol=0.01)


def test_netcdf_of_0_to_360(tmp_path):
    grid = regular_grid((30.0, 31.0), (-1.0, 1.0), 0.1)
    lon = np.arange(0, 360, 0.25)
    lat = np.arange(29, 32.1, 0.25)
    wave = 1000 + 100 * np.sin(np.deg2rad(lon)) + 0 * lat[:, None]
    xr.DataArray(wave, coords={"lat": lat, "lon": lon}, dims=("lat", "lon"), name="z").to_netcdf(tmp_path / "z.nc")
    got = open_elevation(tmp_path / "z.nc", grid)
    np.testing.assert_allclose(got, np.broadcast_to(1000 + 100 * np.sin(np.deg2rad(grid.lon)), grid.shape), atol=0.01)


def test_netcdf_with_both_ends_of_the_circle(tmp_path):
    """0 and 360, or 180 W and 180 E: one column, written twice."""
    lat = np.arange(29, 32.1, 0.25)
    for lon in (np.arange(0, 360.1, 0.25), np.arange(-180, 180.1, 0.25)):
        wave = 1000 + 100 * np.sin(np.deg2rad(lon)) + 0 * lat[:, None]
        field = xr.DataArray(wave, coords={"lat": lat, "lon": lon}, dims=("lat", "lon"), name="z")
        field.to_netcdf(tmp_path / "z.nc")
        for west in (-1.0, 90.0):
            grid = regular_grid((30.0, 31.0), (west, west + 2), 0.1)
            want = np.broadcast_to(1000 + 100 * np.sin(np.deg2rad(grid.lon)), grid.shape)
            np.testing.assert_allclose(open_elevation(tmp_path / "z.nc", grid), want, atol=0.01)


@pytest.mark.parametrize(
    ("file", "box", "highest"),
    [
        ("etopo5_tp.nc", ((25.0, 40.0), (73.0, 105.0)), (6000, 8000)),
        ("etopo5_western_australia.nc", ((-32.0, -27.0), (116.0, 122.0)), (400, 700)),
    ],
)
def test_real_elevation_is_averaged_as_the_exact_weights_do(realdata, file, box, highest):
    """ETOPO5 by GDAL and by our own conservative weights; control: nearest neighbours are tens of metres off."""
    grid = regular_grid(*box)
    got = open_elevation(realdata / "static" / file, grid)
    assert np.isfinite(got).all() and highest[0] < float(got.max()) < highest[1]
    with xr.open_dataset(realdata / "static" / file) as opened:
        field = opened["elevation"].sortby("latitude", ascending=False).load()
    lat, lon, half = field["latitude"].values, field["longitude"].values, 1 / 24
    source = Grid("etopo5", lat, lon, np.append(lat + half, lat[-1] - half), np.append(lon - half, lon[-1] + half))
    exact, _ = regrid.apply(regrid.make_weights(source, grid, "conservative", "exact"), field.values)
    assert np.abs(got.values - exact).max() < 1.0
    nearest = field.sel(latitude=grid.lat, longitude=grid.lon, method="nearest").values
    assert np.abs(nearest - exact).max() > 20.0


# ------------------------------------------------------------------------------------------------------------ refusals


def test_a_box_that_is_not_covered_is_refused(tmp_path):
    path = geographic(tmp_path / "dem.tif", west=90.2)
    with pytest.raises(SourceError, match=r"cover lat 29\.95\.\.31\.05, lon 89\.95\.\.91\.55.*x 90\.20") as caught:
        open_elevation(path, GRID)
    assert str(path) in str(caught.value)
    with pytest.raises(SourceError, match="cover"):
        open_elevation(netcdf(tmp_path / "dem.nc", lon=np.arange(90.5, 93, 0.02)), GRID)


def test_a_raster_that_just_covers_the_nodes_is_enough(tmp_path):
    """Pixels of 0.1 degree on the grid's own nodes."""
    path = geographic(tmp_path / "dem.tif", step=0.1, west=89.95, north=31.05, size=(1.1, 1.6))
    np.testing.assert_allclose(open_elevation(path, GRID), hills(GRID.lat[:, None], GRID.lon), atol=0.01)


def test_a_raster_without_crs_is_refused(tmp_path):
    with pytest.raises(SourceError, match="coordinate reference system; found none"):
        open_elevation(geographic(tmp_path / "dem.tif", crs=None), GRID)
    with pytest.raises(SourceError, match="coordinate reference system; found none"):
        open_elevation(netcdf(tmp_path / "dem.nc", names=("y", "x")), GRID)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda z: z * 3.28084, {}, "feet"),
        (lambda z: z * 9.80665, {}, "geopotential"),
        (lambda z: np.where(z > 4500, -9999, z), {"nodata": None}, "no-data value that is not declared"),
        (lambda z: np.where(z > 4500, -32768, z), {"nodata": None}, "no-data value that is not declared"),
        (lambda z: np.where(z > 4500, 1e20, z), {"nodata": None}, "no-data value that is not declared"),
        (lambda z: np.full(z.shape, -9999), {}, "no-data everywhere"),
        (lambda z: z, {"count": 2}, "one band; found 2"),
    ],
)
def test_values_that_are_no_elevation_are_refused(tmp_path, change, options, message):
    path = geographic(tmp_path / "dem.tif", field=lambda lat, lon: change(hills(lat, lon)), **options)
    with pytest.raises(SourceError, match=message):
        open_elevation(path, GRID)


def test_one_bad_pixel_among_thousands_is_found(tmp_path):
    def field(lat, lon):
        heights = hills(lat, lon)
        heights[50, 60] = 32767
        return heights

    with pytest.raises(SourceError, match=r"\.\.32767\. This looks like a no-data value"):
        open_elevation(geographic(tmp_path / "dem.tif", dtype="int16", nodata=None, field=field), GRID)


def test_a_mask_band_is_respected(tmp_path):
    path = geographic(tmp_path / "dem.tif", nodata=None)
    with rasterio.open(path, "r+") as file:
        mask = np.full(file.shape, 255, np.uint8)
        mask[:, 49:] = 0  # from 90.48 E
        file.write_mask(mask)
    got = open_elevation(path, GRID)
    assert np.isnan(got.sel(lon=slice(90.6, None))).all() and np.isfinite(got.sel(lon=slice(None, 90.4))).all()


def test_units_of_the_file_are_read(tmp_path):
    with pytest.raises(SourceError, match="elevation in m; found unit 'feet'"):
        open_elevation(netcdf(tmp_path / "dem.nc", units="feet"), GRID)
    path = geographic(tmp_path / "dem.tif")
    with rasterio.open(path, "r+") as file:
        file.units = ("km",)
    with pytest.raises(SourceError, match="unit 'km'"):
        open_elevation(path, GRID)


def test_files_that_are_no_raster_are_refused(tmp_path):
    whole = geographic(tmp_path / "dem.tif", compress="deflate").read_bytes()
    cases = {
        "empty.tif": (b"", "0 bytes"),
        "page.tif": (b"<!DOCTYPE html><html>Please log in</html>", "HTML"),
        "noise.tif": (bytes(range(256)) * 8, "readable elevation raster"),
        "cut.tif": (whole[: len(whole) // 2], "readable elevation raster"),
        "cut.nc": (netcdf(tmp_path / "dem.nc").read_bytes()[:4000], "readable"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=message) as caught:
            open_elevation(tmp_path / name, GRID)
        assert name in str(caught.value)
    with pytest.raises(SourceError, match="nothere"):
        open_elevation(tmp_path / "nothere.tif", GRID)


def test_netcdf_without_one_elevation_field_is_refused(tmp_path):
    lat, lon = np.arange(29.5, 31.6, 0.1), np.arange(89.5, 92, 0.1)
    field = xr.DataArray(np.ones((lat.size, lon.size)), coords={"lat": lat, "lon": lon}, dims=("lat", "lon"))
    xr.Dataset({"slope": field, "aspect": field}).to_netcdf(tmp_path / "two.nc")
    with pytest.raises(SourceError, match="slope, aspect"):
        open_elevation(tmp_path / "two.nc", GRID)
    uneven = field.assign_coords(lat=29.5 + (lat - 29.5) ** 1.2)
    uneven.to_dataset(name="elevation").to_netcdf(tmp_path / "uneven.nc")
    with pytest.raises(SourceError, match="evenly spaced y"):
        open_elevation(tmp_path / "uneven.nc", GRID)
