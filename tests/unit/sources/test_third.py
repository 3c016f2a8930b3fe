"""Independent products and rasters of land cover: read from NetCDF and GeoTIFF, and refused in plain words."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_bounds

from pscnet.grids import ease2_grid
from pscnet.sources.land_cover import IGBP, majority_class
from pscnet.sources.third import read_third

GRID = ease2_grid((31.0, 33.0), (91.0, 93.0))
LAT, LON = np.arange(34.0, 30.0, -0.1), np.arange(90.0, 94.0, 0.1)
TIMES = np.array(["2017-07-02", "2017-07-01", "2017-07-03"], "M8[ns]")


def netcdf(path, values=None, east=LON, **names):
    values = np.broadcast_to(LAT[:, None], (3, LAT.size, LON.size)) if values is None else values
    data = xr.Dataset({"sm": (("time", "lat", "lon"), values)}, {"time": TIMES, "lat": LAT, "lon": east})
    data.rename(names).to_netcdf(path)
    return path


def geotiff(path, values, dtype="float32", descriptions=(), crs="EPSG:4326", nodata=None):
    transform = from_bounds(LON[0] - 0.05, LAT[-1] - 0.05, LON[-1] + 0.05, LAT[0] + 0.05, LON.size, LAT.size)
    profile = {"driver": "GTiff", "width": LON.size, "height": LAT.size, "count": len(values), "dtype": dtype}
    with rasterio.open(path, "w", **profile, crs=crs, transform=transform, nodata=nodata) as file:
        file.write(np.asarray(values).astype(dtype))
        for number, text in enumerate(descriptions, 1):
            file.set_band_description(number, text)
    return path


def test_netcdf_is_averaged_over_cells_and_sorted_by_time(tmp_path):
    values = np.broadcast_to(LAT[:, None], (3, LAT.size, LON.size)) * np.array([2.0, 1.0, 3.0])[:, None, None]
    values[2, :, LON < 92] = np.nan
    times, read = read_third(netcdf(tmp_path / "a.nc", values), GRID, scale=0.01)
    np.testing.assert_array_equal(times, np.sort(TIMES))
    assert read.shape == (3, *GRID.shape)
    inside = (GRID.lat_edges[1] > LAT) & (GRID.lat_edges[2] < LAT)
    np.testing.assert_allclose(read[0, 1, 2], 0.01 * LAT[inside].mean(), rtol=1e-6)
    np.testing.assert_allclose(read[1, 1], 2 * read[0, 1], rtol=1e-6)
    assert np.isnan(read[2, :, 0]).all() and np.isfinite(read[2, :, -1]).all()


def test_other_layouts_say_the_same(tmp_path):
    expected = read_third(netcdf(tmp_path / "a.nc"), GRID)[1]
    renamed = netcdf(tmp_path / "b.nc", lat="latitude", lon="longitude")
    np.testing.assert_array_equal(read_third(renamed, GRID, "sm")[1], expected)
    turned = netcdf(tmp_path / "c.nc", east=LON + 360)
    np.testing.assert_array_equal(read_third(turned, GRID)[1], expected)
    bands = np.broadcast_to(LAT[:, None], (3, LAT.size, LON.size))
    times, read = read_third(geotiff(tmp_path / "d.tif", bands, descriptions=[str(t)[:10] for t in TIMES]), GRID)
    np.testing.assert_allclose(read, expected, rtol=1e-6)
    np.testing.assert_array_equal(times, np.sort(TIMES))


def test_bad_products_are_named(tmp_path, complains):
    with complains("no such file", "validation.third"):
        read_third(tmp_path / "none.nc", GRID)
    with complains("the variable ssm", "sm", "validation.third.variable"):
        read_third(netcdf(tmp_path / "a.nc"), GRID, "ssm")
    with complains("the axes lat, lon and time", "no lat"):
        read_third(netcdf(tmp_path / "b.nc", lat="rows"), GRID)
    with complains("values inside lat 4", "give a file of this region"):
        read_third(netcdf(tmp_path / "c.nc"), ease2_grid((41.0, 43.0), (91.0, 93.0)))
    with complains("bands described by dates"):
        read_third(geotiff(tmp_path / "d.tif", np.zeros((1, LAT.size, LON.size)), descriptions=["first"]), GRID)
    with complains("a GeoTIFF in degrees", "gdalwarp"):
        bands = np.zeros((1, LAT.size, LON.size))
        read_third(geotiff(tmp_path / "e.tif", bands, descriptions=["2017-07-01"], crs="EPSG:6933"), GRID)
    two = xr.open_dataset(netcdf(tmp_path / "f.nc")).assign(other=lambda data: data["sm"])
    two.to_netcdf(tmp_path / "g.nc")
    with complains("one variable", "sm, other", "validation.third.variable"):
        read_third(tmp_path / "g.nc", GRID)


# Land cover -----------------------------------------------------------------------------------------------------------


def classes() -> np.ndarray:
    """Grassland, with barren ground in the west and a lake of a few pixels."""
    cover = np.full((1, LAT.size, LON.size), 10)
    cover[:, :, GRID.lon_edges[2] > LON] = 16
    cover[0, 15, 25] = 17
    return cover


@pytest.mark.parametrize("layout", ["tif", "nc"])
def test_the_class_that_covers_most_of_a_cell(tmp_path, layout):
    path = tmp_path / f"cover.{layout}"
    if layout == "tif":
        geotiff(path, classes(), "uint8", nodata=255)
    else:
        data = xr.Dataset({"igbp": (("latitude", "longitude"), classes()[0].astype("u1"))})
        data.assign_coords(latitude=LAT, longitude=LON).to_netcdf(path)
    found = majority_class(path, GRID)
    assert found.shape == GRID.shape
    assert (found[:, :2] == 16).all() and (found[:, 3:] == 10).all()
    assert IGBP[int(found[0, -1])] == "grassland"


def test_pixels_without_a_class_do_not_count(tmp_path):
    cover = classes()
    cover[:, :, LON > 92] = 255
    found = majority_class(geotiff(tmp_path / "a.tif", cover, "uint8", nodata=255), GRID)
    assert (found[:, -1] == -1).all() and (found[:, 0] == 16).all()


def test_bad_rasters_are_named(tmp_path, complains):
    with complains("no such file", "validation.land_cover"):
        majority_class(tmp_path / "none.tif", GRID)
    with complains("IGBP classes 0 to 17", "the values 42", "LC_Type1"):
        majority_class(geotiff(tmp_path / "a.tif", np.full((1, LAT.size, LON.size), 42), "uint8"), GRID)
    with complains("a coordinate reference system"):
        majority_class(geotiff(tmp_path / "b.tif", classes(), "uint8", crs=None), GRID)
    with complains("classes in the region", "give a raster that covers it"):
        majority_class(geotiff(tmp_path / "c.tif", classes(), "uint8"), ease2_grid((-32.0, -30.0), (116.0, 118.0)))
    (tmp_path / "d.tif").write_text("no raster")
    with complains("a raster of IGBP classes"):
        majority_class(tmp_path / "d.tif", GRID)
