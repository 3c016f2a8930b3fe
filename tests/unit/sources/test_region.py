"""The region mask and the static file, on made-up terrain and on real."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import xarray as xr
from rasterio.transform import from_origin

from pscnet.grids import WGS84, GridError, ease2_grid, regular_grid
from pscnet.regrid import write_weight_file
from pscnet.sources import SourceError
from pscnet.sources.region import land_mask, region_mask, slope, write_static

BOX = (30.0, 32.0), (90.0, 93.0)
FINE, COARSE = regular_grid(*BOX), ease2_grid(*BOX)


def ramp(grid=FINE, low=3000.0, high=5000.0) -> xr.DataArray:
    """Elevation that rises from west to east."""
    field = np.broadcast_to(np.linspace(low, high, grid.lon.size), grid.shape)
    return xr.DataArray(field.copy(), coords={"lat": grid.lat, "lon": grid.lon}, dims=("lat", "lon"))


def polygon_file(path, shape=None, crs="EPSG:4326", to=None):
    """A vector file of one shape, written in the CRS ``to``."""
    shape = shapely.box(90.55, 30.55, 91.55, 31.25) if shape is None else shape
    frame = geopandas.GeoDataFrame({"name": ["area"]}, geometry=[shape], crs=crs)
    (frame if to is None else frame.to_crs(to)).to_file(path)
    return path


# -------------------------------------------------------------------------------------------------------------- mask


def test_the_box_alone_is_the_whole_grid():
    mask = region_mask(FINE)
    assert mask.shape == FINE.shape and mask.dtype == bool and mask.all()


@pytest.mark.parametrize("name", ["area.geojson", "area.gpkg", "area.shp"])
def test_polygon_of_any_format(tmp_path, name):
    mask = region_mask(FINE, polygon_file(tmp_path / name))
    want = ((FINE.lat > 30.55) & (FINE.lat < 31.25))[:, None] & ((FINE.lon > 90.55) & (FINE.lon < 91.55))
    np.testing.assert_array_equal(mask, want)
    assert want.sum() == 70


@pytest.mark.parametrize("crs", ["EPSG:32646", "EPSG:3857", "ESRI:102025"])
def test_polygon_in_any_crs(tmp_path, crs):
    """A projected outline of few vertices gives the same cells as the same outline in degrees."""
    outline = shapely.segmentize(shapely.box(90.55, 30.55, 91.55, 31.25), 0.05)
    mask = region_mask(FINE, polygon_file(tmp_path / "area.gpkg", outline, to=crs))
    np.testing.assert_array_equal(mask, region_mask(FINE, polygon_file(tmp_path / "degrees.gpkg")))


def test_straight_edges_of_a_projection_are_kept_straight(tmp_path):
    """A long edge in Albers is bent in degrees: its four corners alone would cut cells away."""
    grid = regular_grid((30.0, 40.0), (75.0, 105.0), 0.25)
    corners = geopandas.GeoSeries(shapely.points([[76, 35], [104, 35]]), crs="EPSG:4326").to_crs("ESRI:102025")
    (x0, y0), (x1, _) = ((p.x, p.y) for p in corners)
    path = polygon_file(tmp_path / "area.gpkg", shapely.box(x0, y0 - 4e5, x1, y0), crs="ESRI:102025")
    mask = region_mask(grid, path)
    naive = geopandas.read_file(path).to_crs("EPSG:4326").union_all()
    lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
    assert (mask != shapely.contains_xy(naive, lon, lat)).sum() > 100
    middle = geopandas.GeoSeries([shapely.Point((x0 + x1) / 2, y0 - 1000)], crs="ESRI:102025").to_crs("EPSG:4326")[0]
    row, col = np.abs(grid.lat - middle.y).argmin(), np.abs(grid.lon - middle.x).argmin()
    assert mask[row + 1, col] and not mask[row - 1, col]


def test_several_polygons_and_a_hole(tmp_path):
    ring = shapely.difference(shapely.box(90.2, 30.2, 91.2, 31.2), shapely.box(90.5, 30.5, 90.9, 30.9))
    frame = geopandas.GeoDataFrame(geometry=[ring, shapely.box(92, 31, 92.5, 31.5)], crs="EPSG:4326")
    frame.to_file(tmp_path / "two.gpkg")
    mask = xr.DataArray(region_mask(FINE, tmp_path / "two.gpkg"), coords={"lat": FINE.lat, "lon": FINE.lon})
    assert not mask.sel(lat=30.7, lon=90.7, method="nearest") and mask.sel(lat=30.3, lon=90.3, method="nearest")
    assert mask.sel(lat=31.2, lon=92.2, method="nearest") and not mask.sel(lat=31.2, lon=91.6, method="nearest")


def test_minimum_elevation():
    mask = region_mask(FINE, elevation=ramp(), min_elevation=4000.0)
    np.testing.assert_array_equal(mask, ramp().values >= 4000)
    holed = ramp()
    holed[:, -3:] = np.nan
    assert not region_mask(FINE, elevation=holed, min_elevation=4000.0)[:, -3:].any()
    with pytest.raises(ValueError, match="highest has 5000 m"):
        region_mask(FINE, elevation=ramp(), min_elevation=6000.0)
    with pytest.raises(ValueError, match="terrain"):
        region_mask(FINE, min_elevation=4000.0)


def test_bad_polygon_files_are_refused(tmp_path):
    (tmp_path / "page.geojson").write_text("<html>log in</html>")
    line = polygon_file(tmp_path / "line.gpkg", shapely.LineString([(90, 30), (91, 31)]))
    away = polygon_file(tmp_path / "away.gpkg", shapely.box(10, 45, 12, 47))
    bare = tmp_path / "bare.shp"
    polygon_file(bare)
    (tmp_path / "bare.prj").unlink()
    cases = {
        tmp_path / "page.geojson": "a vector file",
        tmp_path / "none.gpkg": "no such file",
        line: "at least one polygon",
        away: r"found lat 45\.00\.\.47\.00, lon 10\.00\.\.12\.00",
        bare: "coordinate reference system",
    }
    for path, message in cases.items():
        with pytest.raises(SourceError, match=message) as caught:
            region_mask(FINE, path)
        assert path.name in str(caught.value)


# ------------------------------------------------------------------------------------------------------------- slope


@pytest.mark.parametrize("south", [-60.0, 0.0, 30.0, 70.0])
@pytest.mark.parametrize("direction", ["east", "north"])
def test_slope_of_a_plane_in_metres(south, direction):
    """Heights proportional to geodesic distance; control: with one degree as long as at the equator it is wrong."""
    grid = regular_grid((south, south + 1), (90, 91), 0.1)
    lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
    if direction == "north":
        _, _, distance = WGS84.inv(lon, np.full_like(lat, south), lon, lat)
    else:  # a parallel is no geodesic, but over 0.1 degree it is one to 1e-6
        _, _, step = WGS84.inv(lon[:, :-1], lat[:, :-1], lon[:, 1:], lat[:, 1:])
        distance = np.concatenate([np.zeros((grid.lat.size, 1)), np.cumsum(step, axis=1)], axis=1)
    got = slope(0.02 * distance, grid)
    if direction == "north":
        np.testing.assert_allclose(got, 0.02, rtol=1e-4)
    else:
        eastward = np.gradient(0.02 * distance, axis=1) / step[:, :1]
        northward = np.gradient(0.02 * distance, 0.1 * 111_200, axis=0)  # the parallels shorten towards the pole
        np.testing.assert_allclose(got, np.hypot(eastward, northward), rtol=5e-3)
    if abs(south) >= 30 and direction == "east":
        naive = np.gradient(0.02 * distance, axis=1) / 11_132.0
        assert np.abs(naive / 0.02 - 1).max() > 0.1


# ------------------------------------------------------------------------------------------------------- static file


@pytest.fixture()
def inputs(tmp_path):
    """Terrain, predictors and weights on the small grid; sea in the south-west corner."""
    north, west, step = 32.5, 89.5, 0.02
    lat = north - (np.arange(150) + 0.5) * step
    lon = west + (np.arange(200) + 0.5) * step
    terrain = 4000 + 600 * np.sin(lat[:, None] * 40) * np.cos(lon * 35) + 200 * (lon - 91)
    terrain[(lat[:, None] < 30.25) & (lon < 90.35)] = -30.0
    path = tmp_path / "dem.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=200, height=150, count=1, dtype="float32", crs="EPSG:4326", nodata=-9999,
        transform=from_origin(west, north, step, step),
    ) as file:  # fmt: skip
        file.write(terrain.astype("f4"), 1)
    time = pd.date_range("2016-05-01", periods=6, freq="3h")
    field = np.full((6, *FINE.shape), 0.2, "f4")
    field[:, (FINE.lat[:, None] < 30.25) & (FINE.lon < 90.35)] = np.nan
    predictors = tmp_path / "2016-05.nc"
    coords = {"time": time, "lat": FINE.lat, "lon": FINE.lon}
    xr.Dataset(
        {"swvl1": (("time", "lat", "lon"), field), "t2m": (("time", "lat", "lon"), field + 280)}, coords
    ).to_netcdf(predictors)
    write_weight_file(FINE, COARSE, "conservative", "exact", tmp_path / "c.nc")
    write_weight_file(COARSE, FINE, "bilinear", "exact", tmp_path / "b.nc")
    return {
        "terrain": path, "predictors": predictors, "fine": FINE, "coarse": COARSE,
        "conservative_weights": tmp_path / "c.nc", "bilinear_weights": tmp_path / "b.nc",
        "polygon": None, "min_elevation": None, "output": tmp_path / "B" / "static.nc",
    }  # fmt: skip


def test_static_file_has_its_contract(inputs):
    write_static(**inputs)
    assert [p.name for p in inputs["output"].parent.iterdir()] == ["static.nc"]
    with xr.open_dataset(inputs["output"]) as static:
        types = {name: (field.dims, field.dtype.str[1:]) for name, field in static.data_vars.items()}
        f4, i1 = (("lat", "lon"), "f4"), (("lat", "lon"), "i1")
        assert types == {"elevation": f4, "slope": f4, "elevation_anomaly": f4, "land": i1, "region": i1}
        np.testing.assert_array_equal(static["lat"], FINE.lat)
        sea = (FINE.lat[:, None] < 30.25) & (FINE.lon < 90.35)
        np.testing.assert_array_equal(static["land"].values == 0, sea)
        np.testing.assert_array_equal(static["region"], static["land"])
        assert all(np.isfinite(static[name]).all() for name in ("elevation", "slope", "elevation_anomaly"))
        assert float(static["elevation"].where(static["land"] == 0).max()) < 3000
        assert float(static["elevation"].min()) >= 0, "the sea floor is no terrain"
        units = {name: static[name].attrs["units"] for name in ("elevation", "slope", "elevation_anomaly")}
        assert units == {"elevation": "m", "slope": "1", "elevation_anomaly": "m"}


def test_elevation_anomaly_has_little_left_at_the_coarse_scale(inputs):
    """It keeps most of the hills' variance and almost nothing of the slope across the box."""
    write_static(**inputs)
    with xr.open_dataset(inputs["output"]) as static:
        inner = static.isel(lat=slice(4, -6), lon=slice(8, -4))
        anomaly, elevation = inner["elevation_anomaly"], inner["elevation"]
        assert abs(float(anomaly.mean())) < 0.05 * float(elevation.std())
        assert 0.3 * float(elevation.std()) < float(anomaly.std()) < 1.5 * float(elevation.std())
        trend = {name: np.polyfit(inner["lon"], inner[name].mean("lat"), 1)[0] for name in ("elevation", anomaly.name)}
        assert trend["elevation"] > 100 and abs(trend[anomaly.name]) < 0.3 * trend["elevation"]


def test_region_is_land_in_the_polygon_above_the_minimum(inputs, tmp_path):
    polygon = polygon_file(tmp_path / "area.gpkg", shapely.box(90.05, 30.05, 92.05, 31.55))
    write_static(**{**inputs, "polygon": polygon, "min_elevation": 3900.0})
    with xr.open_dataset(inputs["output"]) as static:
        inside = ((FINE.lat > 30.05) & (FINE.lat < 31.55))[:, None] & ((FINE.lon > 90.05) & (FINE.lon < 92.05))
        want = inside & (static["elevation"].values >= 3900) & (static["land"].values == 1)
        np.testing.assert_array_equal(static["region"].values == 1, want)
        assert 0 < want.sum() < inside.sum()
        assert static.attrs["polygon"] == "area.gpkg" and static.attrs["min_elevation"] == 3900.0


def test_land_needs_every_predictor_at_every_stamp(inputs):
    with xr.open_dataset(inputs["predictors"]) as opened:
        month = opened.load()
    month["t2m"][3, 10, 10] = np.nan
    month.to_netcdf(inputs["predictors"])
    assert not land_mask(inputs["predictors"], FINE)[10, 10]
    month["t2m"][3] = np.nan
    month.to_netcdf(inputs["predictors"])
    with pytest.raises(SourceError, match="t2m is complete in 0 of"):
        land_mask(inputs["predictors"], FINE)
    with pytest.raises(GridError, match="expected the fine grid"):
        land_mask(inputs["predictors"], regular_grid((30.0, 32.0), (90.1, 93.1)))


def test_a_coast_without_elevation_is_filled_and_a_hole_is_refused(inputs):
    with rasterio.open(inputs["terrain"], "r+") as file:
        whole = file.read(1)
        coast = whole.copy()
        coast[110:, 40:48] = -9999  # one or two cells east of the sea
        coast[112:, :43] = -9999
        file.write(coast, 1)
    write_static(**inputs)
    with xr.open_dataset(inputs["output"]) as static:
        assert static["elevation"].attrs["cells_filled"] > 0
        assert np.isfinite(static["elevation"].values[static["land"].values == 1]).all()
        assert np.isnan(static["elevation"].values[static["land"].values == 0]).any(), "none is made up over sea"
    before = inputs["output"].read_bytes()
    with rasterio.open(inputs["terrain"], "r+") as file:
        whole[40:80, 60:120] = -9999
        file.write(whole, 1)
    with pytest.raises(SourceError, match=r"none on .* land cells") as caught:
        write_static(**inputs)
    assert "dem.tif" in str(caught.value) and inputs["output"].read_bytes() == before


def test_weights_of_other_grids_are_refused(inputs):
    other = ease2_grid((30.0, 32.0), (90.0, 94.0))
    with pytest.raises(GridError, match="expected target grid"):
        write_static(**{**inputs, "coarse": other})
    with pytest.raises(GridError, match="expected source grid"):
        write_static(**{**inputs, "bilinear_weights": inputs["conservative_weights"]})


@pytest.mark.parametrize(
    ("terrain", "box", "highest"),
    [
        ("etopo5_western_australia.nc", ((-32.0, -27.0), (116.0, 122.0)), 582),
        ("etopo5_tp.nc", ((25.0, 40.0), (73.0, 105.0)), 6824),
    ],
)
def test_statics_of_real_terrain(realdata, tmp_path, terrain, box, highest):
    """The January box and the Plateau; the real land mask of ERA5-Land stands in for the predictors."""
    fine, coarse = regular_grid(*box), ease2_grid(*box)
    with xr.open_dataset(realdata / "static" / "era5_land_mask_0.1deg.nc") as opened:
        land = opened["land"].sel(latitude=fine.lat, longitude=fine.lon, method="nearest").values > 0.5
    field = np.where(land, 0.2, np.nan).astype("f4")[None].repeat(2, axis=0)
    coords = {"time": pd.date_range("2020-01-01", periods=2, freq="3h"), "lat": fine.lat, "lon": fine.lon}
    xr.Dataset({"swvl1": (("time", "lat", "lon"), field)}, coords).to_netcdf(tmp_path / "p.nc")
    write_weight_file(fine, coarse, "conservative", "exact", tmp_path / "c.nc")
    write_weight_file(coarse, fine, "bilinear", "exact", tmp_path / "b.nc")
    write_static(
        realdata / "static" / terrain, tmp_path / "p.nc", fine, coarse, tmp_path / "c.nc", tmp_path / "b.nc",
        None, None, tmp_path / "static.nc",
    )  # fmt: skip
    with xr.open_dataset(tmp_path / "static.nc") as static:
        np.testing.assert_array_equal(static["land"].values == 1, land)
        assert float(static["elevation"].max()) == pytest.approx(highest, abs=1)
        assert np.isfinite(static["elevation_anomaly"].values[land]).all()
        assert 0 < float(static["slope"].max()) < 0.5, "rise over run between cells of 10 km"
        assert abs(float(static["elevation_anomaly"].mean())) < 0.02 * float(static["elevation"].std())
