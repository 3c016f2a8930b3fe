"""Grids against the official EASE-Grid 2.0 coordinates, and against geodesic areas."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pscnet import grids

PLATEAU = (25.0, 40.0), (73.0, 105.0)


def test_m36_centres_are_the_official_ones(realdata):
    """To 1e-9 degree, 0.1 mm; the control, centres half a metre off, must not pass."""
    with xr.open_dataset(realdata / "static" / "NSIDC0772_LatLon_EASE2_M36km_v1.0.nc") as official:
        latitude, longitude = official["latitude"].values, official["longitude"].values
    lat, lon = grids.ease2_axes("M36")
    np.testing.assert_allclose(np.broadcast_to(lat[:, None], latitude.shape), latitude, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.broadcast_to(lon, longitude.shape), longitude, rtol=0, atol=1e-9)
    assert np.abs(lat + 0.5 / 111_000 - latitude[:, 0]).max() > 1e-9


@pytest.mark.parametrize(
    ("name", "lat", "lon"),
    [("M36", 83.63197528, -179.813278), ("M09", 84.656418797, -179.9533195)],
)
def test_first_centre_and_outer_edge(name, lat, lon):
    lats, lons = grids.ease2_axes(name)
    assert lats[0] == pytest.approx(lat, abs=1e-8)
    assert lons[0] == pytest.approx(lon, abs=1e-6)
    edges = grids.ease2_lat_edges(name)
    assert edges[[0, -1]] == pytest.approx([85.0445664, -85.0445664], abs=1e-7)


@pytest.mark.parametrize("name", list(grids.EASE2_GRIDS))
def test_latitudes_follow_the_series_of_the_inverse_projection(name):
    """Snyder's series in the authalic latitude (USGS PP 1395, eq. 3-18 and 10-26), written out beside PROJ."""
    size, rows, cols = grids.EASE2_GRIDS[name]
    e2, qp, k0 = 0.0066943799901413, 1.9955310875028376, 0.8667510025721987
    y = grids.EASE2_Y0 - (np.arange(rows) + 0.5) * size
    beta = np.arcsin(2 * y * k0 / (6378137.0 * qp))
    lat = (
        beta
        + (e2 / 3 + 31 * e2**2 / 180 + 517 * e2**3 / 5040) * np.sin(2 * beta)
        + (23 * e2**2 / 360 + 251 * e2**3 / 3780) * np.sin(4 * beta)
        + 761 * e2**3 / 45360 * np.sin(6 * beta)
    )
    lats, lons = grids.ease2_axes(name)
    np.testing.assert_allclose(lats, np.rad2deg(lat), rtol=0, atol=1e-7)
    np.testing.assert_allclose(lons, -180 + (np.arange(cols) + 0.5) * 360 / cols, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "rows", "cols"),
    [("M36", (72, 117), (677, 763)), ("M09", (289, 468), (2709, 3052))],
)
def test_cells_that_touch_the_plateau(name, rows, cols):
    grid = grids.ease2_grid(*PLATEAU, name)
    assert (grid.row0, grid.row0 + grid.shape[0] - 1) == rows
    assert (grid.col0, grid.col0 + grid.shape[1] - 1) == cols
    assert grid.lat_edges[0] >= 40 > grid.lat_edges[1] and grid.lat_edges[-1] <= 25 < grid.lat_edges[-2]
    assert grid.lon_edges[0] <= 73 < grid.lon_edges[1] and grid.lon_edges[-1] >= 105 > grid.lon_edges[-2]


def test_a_cell_that_only_shares_an_edge_does_not_touch():
    edge = -180 + 763 * (360 / 964)
    grid = grids.ease2_grid((25, 40), (90.0, edge), "M36")
    assert (grid.col0, grid.col0 + grid.shape[1] - 1) == (723, 762)


def test_default_fine_grid():
    grid = grids.regular_grid(*PLATEAU, 0.1)
    assert grid.shape == (151, 321) and grid.name == "r0100"
    assert grid.lat[[0, -1]].tolist() == [40.0, 25.0] and grid.lon[[0, -1]].tolist() == [73.0, 105.0]
    assert grid.lon[1] == 73.1, "no float noise such as 73.09999847"


@settings(max_examples=30, deadline=None)
@given(
    south=st.floats(-80, 78),
    west=st.floats(-180, 176),
    height=st.floats(0.5, 20),
    width=st.floats(0.5, 20),
    spacing=st.sampled_from([0.05, 0.1, 0.25]),
)
def test_regular_nodes_fill_the_box_and_no_more(south, west, height, width, spacing):
    north, east = min(south + height, 90.0), min(west + width, 180.0)
    grid = grids.regular_grid((south, north), (west, east), spacing)
    assert np.all(np.diff(grid.lat) < 0) and np.all(np.diff(grid.lon) > 0)
    assert south - 1e-5 <= grid.lat[-1] < south + spacing and north - spacing < grid.lat[0] <= north + 1e-5
    assert west - 1e-5 <= grid.lon[0] < west + spacing and east - spacing < grid.lon[-1] <= east + 1e-5
    np.testing.assert_allclose(grid.lat / spacing, np.round(grid.lat / spacing), atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    south=st.floats(-80, 78),
    west=st.floats(-180, 176),
    height=st.floats(0.1, 5),
    width=st.floats(0.1, 4),
    name=st.sampled_from(["M36", "M18", "M09"]),
)
def test_ease2_subset_covers_the_box_without_a_row_too_many(south, west, height, width, name):
    north, east = south + height, west + width
    grid = grids.ease2_grid((south, north), (west, east), name)
    assert grid.lat_edges[0] >= north - 1e-8 and grid.lat_edges[-1] <= south + 1e-8
    assert grid.lat_edges[1] < north and grid.lat_edges[-2] > south
    assert grid.lon_edges[0] <= west + 1e-8 and grid.lon_edges[-1] >= east - 1e-8
    assert grid.lon_edges[1] > west and grid.lon_edges[-2] < east


def test_areas_agree_with_geodesics_and_add_up_to_the_earth():
    """Control: spherical areas miss by 4e-5."""
    grid = grids.regular_grid((34, 36), (90, 92), 0.5)
    row = 1
    # The parallel edges as many short geodesics: a polygon of two points a side would follow great circles.
    lon = np.linspace(grid.lon_edges[0], grid.lon_edges[1], 400)
    south, north = grid.lat_edges[row + 1], grid.lat_edges[row]
    lats = np.concatenate([np.full(lon.size, south), np.full(lon.size, north)])
    area, _ = grids.WGS84.polygon_area_perimeter(np.concatenate([lon, lon[::-1]]), lats)
    assert grid.areas[row, 0] == pytest.approx(area, rel=1e-7)
    sphere = 6371008.8**2 * np.deg2rad(0.5) * (np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south)))
    assert grid.areas[row, 0] != pytest.approx(sphere, rel=1e-5)
    globe = grids.regular_grid((-90, 90), (-180, 180), 1.0)
    assert globe.shape == (181, 360), "180 E is 180 W"
    assert globe.areas.sum() == pytest.approx(5.10065621724e14, rel=1e-10)


def test_ease2_cells_are_of_equal_area():
    areas = grids.ease2_grid(*PLATEAU, "M36").areas
    np.testing.assert_allclose(areas, grids.EASE2_GRIDS["M36"][0] ** 2, rtol=1e-9)


def test_halves_nest_in_their_cells():
    coarse = grids.ease2_grid(*PLATEAU, "M36")
    half = grids.halved(coarse)
    quarter = grids.halved(half)
    assert half.shape == (92, 174) and quarter.name == "M09" and quarter.row0 == 4 * coarse.row0
    np.testing.assert_allclose(half.lat_edges[::2], coarse.lat_edges, atol=1e-12)
    np.testing.assert_allclose(quarter.lon_edges[::4], coarse.lon_edges, atol=1e-12)
    np.testing.assert_allclose(half.areas.reshape(46, 2, 87, 2).sum(axis=(1, 3)), coarse.areas, rtol=1e-9)
    with pytest.raises(grids.GridError, match="cannot be halved"):
        grids.halved(grids.regular_grid(*PLATEAU))


def test_fine_cells_are_those_whose_centres_lie_in_the_box():
    """They nest in the coarse cells that touch the same box; cells that only touch it would reach beyond it."""
    box = (-32.0, -27.0), (116.0, 122.0)
    fine, coarse = grids.fine_grid("ease2", *box), grids.ease2_grid(*box, "M36")
    quarter = grids.halved(grids.halved(coarse))
    lat, lon = grids.ease2_axes("M09")
    rows, cols = np.flatnonzero((lat >= -32) & (lat <= -27)), np.flatnonzero((lon >= 116) & (lon <= 122))
    assert fine.name == "M09" and fine.shape == (rows.size, cols.size) == (62, 65)
    assert (fine.row0, fine.col0) == (rows[0], cols[0])
    within = quarter.window(
        slice(fine.row0 - quarter.row0, fine.row0 - quarter.row0 + fine.shape[0]),
        slice(fine.col0 - quarter.col0, fine.col0 - quarter.col0 + fine.shape[1]),
    )
    assert within.same_as(fine, 1e-9)
    np.testing.assert_allclose(within.lat_edges, fine.lat_edges, atol=1e-9)
    np.testing.assert_allclose(within.lon_edges, fine.lon_edges, atol=1e-9)
    touching = grids.ease2_grid(*box, "M09")
    assert touching.shape != fine.shape, "the control: the cells that touch the box are more"
    assert touching.lat[0] > -27 or touching.lat[-1] < -32


def test_one_builder_makes_both_kinds_of_fine_grid():
    box = {"lat": [30, 31], "lon": [90, 91]}
    assert grids.fine_grid("regular", **box).same_as(grids.regular_grid((30, 31), (90, 91), 0.1))
    assert grids.fine_grid("regular", **box, spacing=0.25).name == "r0250"
    assert grids.fine_grid("ease2", **box, name="M09").name == "M09"


def test_window_keeps_the_place_in_the_parent():
    grid = grids.ease2_grid(*PLATEAU, "M36")
    part = grid.window(slice(3, 8), slice(10, 14))
    assert part.shape == (5, 4) and (part.row0, part.col0) == (75, 687)
    assert part.lat_edges.tolist() == grid.lat_edges[3:9].tolist()
    np.testing.assert_array_equal(part.areas, grid.areas[3:8, 10:14])


def test_same_as_notices_a_shift_of_half_a_cell():
    grid = grids.regular_grid((30, 31), (90, 91), 0.1)
    shifted = grids.Grid(grid.name, grid.lat, grid.lon + 0.05, grid.lat_edges, grid.lon_edges + 0.05)
    assert grid.same_as(grids.regular_grid((30, 31), (90, 91), 0.1)) and not grid.same_as(shifted)
    assert not grid.same_as(grids.regular_grid((30, 31), (90, 91.1), 0.1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grids.regular_grid((40, 25), (73, 105)), "south first"),
        (lambda: grids.regular_grid((25, 40), (170, -170)), "antimeridian"),
        (lambda: grids.regular_grid((25, 95), (73, 105)), "within -90..90"),
        (lambda: grids.regular_grid((25.01, 25.09), (73, 105)), "fewer than 2 x 2"),
        (lambda: grids.regular_grid((25, 40), (73, 105), 0), "spacing 0"),
        (lambda: grids.ease2_grid((25, 40), (73, 105), "M25"), "M36, M18, M09, M03"),
        (lambda: grids.ease2_grid((86, 89), (73, 105)), "touches no cell"),
        (lambda: grids.fine_grid("ease2", (30.0, 30.1), (90, 91)), "fewer than 2 x 2 cell centres of M09"),
        (lambda: grids.fine_grid("hexagons", (30, 31), (90, 91)), "'hexagons': expected regular or ease2"),
    ],
)
def test_bad_grids_are_refused_with_the_way_out(call, message):
    with pytest.raises(grids.GridError, match=message):
        call()
