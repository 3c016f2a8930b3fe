"""Regridding: constants, integrals, missing values, weight files, and the two engines beside each other."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pscnet import regrid
from pscnet.grids import Grid, GridError, ease2_grid, halved, regular_grid

PLATEAU = (25.0, 40.0), (73.0, 105.0)


@pytest.fixture(scope="module")
def fine() -> Grid:
    return regular_grid((30.0, 34.0), (88.0, 94.0), 0.1)


@pytest.fixture(scope="module")
def coarse() -> Grid:
    return ease2_grid((30.0, 34.0), (88.0, 94.0), "M36")


def rough_field(grid: Grid, seed: int = 0) -> np.ndarray:
    """A field with structure at the scale of a cell, so that a method that samples points cannot keep its integral."""
    return np.random.default_rng(seed).gamma(2.0, 0.1, grid.shape)


def integral(weights: regrid.Weights, field: np.ndarray) -> float:
    """Area integral of the unrenormalised target field, in float64."""
    return float((weights.matrix @ field.ravel()) @ weights.dst.areas.ravel())


# --------------------------------------------------------------------------------------------------- conservation


def test_default_grids_have_the_published_number_of_weights():
    weights = regrid.make_weights(regular_grid(*PLATEAU), ease2_grid(*PLATEAU), "conservative", "exact")
    assert weights.matrix.nnz == 79_772
    assert weights.matrix.max() == pytest.approx(0.086, abs=5e-4)
    assert (weights.src_shape, weights.dst_shape) == ((151, 321), (46, 87))
    assert (weights.src_name, weights.dst_name) == ("r0100", "M36")


def inner_source() -> tuple[Grid, Grid]:
    """A fine grid that lies wholly inside the coarse one, so that no integral is lost over the rim."""
    return regular_grid((31.0, 33.0), (89.0, 93.0), 0.1), ease2_grid((30.5, 33.5), (88.5, 93.5), "M36")


def test_integral_is_kept_to_1e_12():
    src, dst = inner_source()
    field = rough_field(src)
    source = float((field * src.areas).sum())
    weights = regrid.make_weights(src, dst, "conservative", "exact")
    assert integral(weights, field) == pytest.approx(source, rel=1e-12)


def test_bilinear_does_not_keep_the_integral():
    """The control of the test before: on the inner target cells bilinear weights miss by far more than 1e-12."""
    src, dst = inner_source()
    inside = regrid.make_weights(src, dst, "conservative", "exact")
    full = np.isclose(np.asarray(inside.matrix.sum(axis=1)).ravel(), 1.0)
    area = np.where(full, dst.areas.ravel(), 0.0)
    share = (inside.matrix.T @ area) / src.areas.ravel()
    field = rough_field(src).ravel()
    source = float((field * share * src.areas.ravel()).sum())
    assert float((inside.matrix @ field) @ area) == pytest.approx(source, rel=1e-12)
    bilinear = regrid.make_weights(src, dst, "bilinear", "exact")
    assert float((bilinear.matrix @ field) @ area) != pytest.approx(source, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    south=st.floats(-75, 70),
    west=st.floats(-179, 170),
    height=st.floats(1.0, 4.0),
    width=st.floats(1.0, 6.0),
    spacing=st.sampled_from([0.1, 0.13, 0.25]),
    name=st.sampled_from(["M36", "M18", "M09"]),
    seed=st.integers(0, 9),
)
def test_conservation_anywhere_on_earth(south, west, height, width, spacing, name, seed):
    """Each source cell's area is shared out once: the sum over targets is the part of the cell inside the target."""
    src = regular_grid((south, south + height), (west, west + width), spacing)
    # A target that reaches past the source's outer edges on every side.
    pad = 2 * spacing
    box = (max(south - pad, -85), min(south + height + pad, 85)), (max(west - pad, -180), min(west + width + pad, 180))
    dst = ease2_grid(*box, name)
    weights = regrid.make_weights(src, dst, "conservative", "exact")
    inside = (
        (src.lat_edges[0] <= dst.lat_edges[0])
        and (src.lat_edges[-1] >= dst.lat_edges[-1])
        and (src.lon_edges[0] >= dst.lon_edges[0])
        and (src.lon_edges[-1] <= dst.lon_edges[-1])
    )
    rows = np.asarray(weights.matrix.sum(axis=1)).ravel()
    assert rows.max() <= 1 + 1e-9 and weights.matrix.data.min() > 0
    if inside:
        field = rough_field(src, seed)
        assert integral(weights, field) == pytest.approx(float((field * src.areas).sum()), rel=1e-12)


def test_cells_across_the_antimeridian_are_found():
    """A global grid's first node stands at 180 W: half of its cell lies beyond 180 E."""
    src = regular_grid((0.0, 4.0), (-180.0, 180.0), 1.0)
    dst = ease2_grid((1.0, 3.0), (-180.0, 180.0), "M36")
    weights = regrid.make_weights(src, dst, "conservative", "exact")
    np.testing.assert_allclose(np.asarray(weights.matrix.sum(axis=1)).ravel(), 1.0, rtol=1e-9)


def test_weights_of_one_cell_by_hand():
    """One target cell over four source cells at the equator: shares are the overlaps of the edges."""
    src = Grid("a", np.array([0.5, -0.5]), np.array([0.5, 1.5]), np.array([1.0, 0.0, -1.0]), np.array([0.0, 1.0, 2.0]))
    dst = Grid("b", np.array([0.0]), np.array([1.25]), np.array([0.5, -0.5]), np.array([0.75, 1.75]))
    weights = regrid.make_weights(src, dst, "conservative", "exact").matrix.toarray()
    np.testing.assert_allclose(weights, [[0.125, 0.375, 0.125, 0.375]], rtol=1e-12)
    mid = regrid.make_weights(src, dst, "bilinear", "exact").matrix.toarray()
    np.testing.assert_allclose(mid, [[0.125, 0.375, 0.125, 0.375]], rtol=1e-12)


def test_m36_to_its_quarters_copies_and_back_averages(coarse):
    half = halved(coarse)
    field = rough_field(coarse)
    down, _ = regrid.apply(regrid.make_weights(coarse, half, "conservative", "exact"), field)
    np.testing.assert_allclose(down, np.kron(field, np.ones((2, 2))), rtol=1e-6)
    back, fraction = regrid.apply(regrid.make_weights(half, coarse, "conservative", "exact"), down)
    np.testing.assert_allclose(back, field, rtol=1e-6)
    np.testing.assert_allclose(fraction, 1.0, atol=1e-6)


# -------------------------------------------------------------------------------------------------------- bilinear


def test_bilinear_reproduces_a_bilinear_field(fine, coarse):
    """Exact inside the hull of source centres; held constant outside it, where the plain formula goes on."""

    def plane(lat, lon):
        return 2.0 + 0.3 * lat - 0.2 * lon + 0.05 * lat * lon

    weights = regrid.make_weights(coarse, fine, "bilinear", "exact")
    got, fraction = regrid.apply(weights, plane(coarse.lat[:, None], coarse.lon))
    lat = np.clip(fine.lat, coarse.lat[-1], coarse.lat[0])[:, None]
    lon = np.clip(fine.lon, coarse.lon[0], coarse.lon[-1])
    np.testing.assert_allclose(got, plane(lat, lon), rtol=1e-6)
    np.testing.assert_array_equal(fraction, 1.0)


def test_rim_takes_the_nearest_edge_value():
    src = regular_grid((30.0, 31.0), (90.0, 91.0), 0.5)
    dst = regular_grid((29.8, 31.2), (89.8, 91.2), 0.1)
    field = rough_field(src)
    got, _ = regrid.apply(regrid.make_weights(src, dst, "bilinear", "exact"), field)
    assert got[0, 0] == pytest.approx(field[0, 0]) and got[-1, -1] == pytest.approx(field[-1, -1])
    on_node = np.argmin(np.abs(dst.lon - 90.5))
    assert got[0, on_node] == pytest.approx(field[0, 1])
    assert got.min() >= field.min() - 1e-6 and got.max() <= field.max() + 1e-6


@settings(max_examples=25, deadline=None)
@given(method=st.sampled_from(["conservative", "bilinear"]), value=st.floats(-1e4, 1e4), holes=st.floats(0, 0.9))
def test_a_constant_stays_constant(fine, coarse, method, value, holes):
    src, dst = (fine, coarse) if method == "conservative" else (coarse, fine)
    field = np.full(src.shape, value)
    field[np.random.default_rng(1).random(src.shape) < holes] = np.nan
    got, fraction = regrid.apply(regrid.make_weights(src, dst, method, "exact"), field)
    np.testing.assert_allclose(got[fraction > 0], np.float32(value), rtol=3e-7, atol=1e-30)
    assert np.isnan(got[fraction == 0]).all()


# ----------------------------------------------------------------------------------------------------------- apply


def test_missing_values_are_left_out_and_counted(fine, coarse):
    """Against a plain loop; the control, missing as zero, must differ."""
    weights = regrid.make_weights(fine, coarse, "conservative", "exact")
    field = rough_field(fine)
    field[np.random.default_rng(3).random(fine.shape) < 0.3] = np.nan
    got, fraction = regrid.apply(weights, field)
    dense, flat = weights.matrix.toarray(), field.ravel()
    valid = np.isfinite(flat)
    share = dense[:, valid].sum(axis=1)
    np.testing.assert_allclose(fraction.ravel(), share, atol=1e-6)
    np.testing.assert_allclose(got.ravel(), (dense[:, valid] @ flat[valid]) / share, rtol=1e-6)
    as_zero, _ = regrid.apply(weights, np.nan_to_num(field))
    assert np.nanmax(np.abs(as_zero - got)) > 0.01


def test_valid_fraction_limits(fine, coarse):
    weights = regrid.make_weights(fine, coarse, "conservative", "exact")
    field = rough_field(fine)
    field[:, : fine.shape[1] // 2] = np.nan
    got, fraction = regrid.apply(weights, field, min_valid_fraction=0.5)
    assert np.isnan(got[fraction < 0.499]).all() and np.isfinite(got[fraction > 0.501]).all()
    lenient, _ = regrid.apply(weights, field)
    assert np.isfinite(lenient).sum() > np.isfinite(got).sum() > 0
    strict, fraction = regrid.apply(weights, rough_field(fine), min_valid_fraction=1.0)
    assert np.isfinite(strict).any() and np.isnan(strict[fraction < 0.99]).all(), "rim cells are not full"
    nothing, fraction = regrid.apply(weights, np.full(fine.shape, np.nan))
    assert np.isnan(nothing).all() and (fraction == 0).all()


@pytest.mark.parametrize("leading", [(), (1,), (7,), (3, 5), (0,)])
@pytest.mark.parametrize("moving_holes", [False, True])
def test_blocks_do_not_change_the_answer(fine, coarse, monkeypatch, leading, moving_holes):
    """Sizes that the block does not divide, with the same holes at every step and with others at every step."""
    weights = regrid.make_weights(fine, coarse, "conservative", "exact")
    generator = np.random.default_rng(5)
    field = generator.random((*leading, *fine.shape)).astype(np.float32)
    holes = generator.random(field.shape if moving_holes else fine.shape) < 0.2
    field[np.broadcast_to(holes, field.shape)] = np.nan
    whole = regrid.apply(weights, field)
    monkeypatch.setattr(regrid, "_BLOCK_BYTES", 3 * 16 * (fine.size + coarse.size))
    blocks = regrid.apply(weights, field)
    for one, other in zip(whole, blocks, strict=True):
        assert one.shape == (*leading, *coarse.shape) and one.dtype == np.float32
        np.testing.assert_array_equal(one, other)
    if leading == (7,):
        single, _ = regrid.apply(weights, field[4])
        np.testing.assert_array_equal(whole[0][4], single)


def test_a_view_in_another_order_gives_the_same(fine, coarse):
    weights = regrid.make_weights(fine, coarse, "conservative", "exact")
    field = np.random.default_rng(2).random((*fine.shape, 4))
    turned = np.moveaxis(field, -1, 0)
    np.testing.assert_array_equal(
        regrid.apply(weights, turned)[0], regrid.apply(weights, np.ascontiguousarray(turned))[0]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: regrid.apply(w, np.zeros((5, 4))), r"expected \(\.\.\., 41, 61\)"),
        (lambda w: regrid.apply(w, np.zeros(w.src.size)), "source grid r0100"),
        (lambda w: regrid.apply(w, np.zeros(w.src_shape), 30), "within 0..1"),
        (lambda w: regrid.make_weights(w.src, w.dst, "nearest", "exact"), "conservative, bilinear"),
        (lambda w: regrid.make_weights(w.src, w.dst, "bilinear", "esmf"), "auto, exact, xesmf"),
    ],
)
def test_bad_calls_are_refused(fine, coarse, call, message):
    with pytest.raises(GridError, match=message):
        call(regrid.make_weights(fine, coarse, "conservative", "exact"))


@pytest.mark.parametrize("method", ["conservative", "bilinear"])
def test_grids_that_do_not_overlap_are_refused(fine, method):
    with pytest.raises(GridError, match="do not overlap"):
        regrid.make_weights(fine, ease2_grid((-30, -25), (88, 94)), method, "exact")


# ---------------------------------------------------------------------------------------------------- weight files


@pytest.mark.parametrize("method", ["conservative", "bilinear"])
def test_weight_file_round_trip(tmp_path, fine, coarse, method):
    path = tmp_path / "weights" / f"{method}_r0100_M36.nc"
    regrid.write_weight_file(fine, coarse, method, "exact", path)
    made, read = regrid.make_weights(fine, coarse, method, "exact"), regrid.read_weights(path, fine, coarse, method)
    assert (read.matrix != made.matrix).nnz == 0
    assert (read.method, read.engine, read.src_name, read.dst_name) == (method, "exact", "r0100", "M36")
    assert (read.dst.row0, read.dst.col0) == (coarse.row0, coarse.col0)
    np.testing.assert_array_equal(read.src.lat_edges, fine.lat_edges)
    np.testing.assert_array_equal(read.dst.lon_edges, coarse.lon_edges)
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no temporary is left behind"


def test_weight_file_has_the_layout_of_esmf(tmp_path, fine, coarse):
    path = tmp_path / "w.nc"
    regrid.write_weight_file(fine, coarse, "conservative", "exact", path)
    with xr.open_dataset(path) as file:
        assert (file.sizes["n_a"], file.sizes["n_b"]) == (fine.size, coarse.size)
        assert file["src_grid_dims"].values.tolist() == [61, 41], "columns first, as in Fortran"
        assert file["col"].min() == 1 and file["row"].max() == coarse.size
        assert file.attrs["ESMF_regrid_method"] == "First-order Conservative"
        total = file["S"].groupby(file["row"]).sum()
        np.testing.assert_allclose(total, file["frac_b"].values[total["row"].values - 1], rtol=1e-12)
        # The law of conservation, from the file alone: areas given equal areas taken.
        given_area = float((file["area_a"] * file["frac_a"]).sum())
        assert given_area == pytest.approx(float((file["area_b"] * file["frac_b"]).sum()), rel=1e-12)
        assert float(file["area_b"][0]) == pytest.approx(36032.220840584**2 / 5.10065621724e14 * 4 * np.pi, rel=1e-9)
        corners = file["yv_a"].values[0], file["xv_a"].values[0]
        np.testing.assert_allclose(corners, [[33.95, 33.95, 34.05, 34.05], [87.95, 88.05, 88.05, 87.95]])


def damage(path, how: str) -> None:
    """Damage a weight file in one way."""
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif how == "text":
        path.write_text("<html>Please log in</html>")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        with xr.open_dataset(path, decode_cf=False) as opened:
            file = opened.load()
        if how == "no weights":
            file = file.drop_vars("S")
        elif how == "index":
            file["col"][5] = file.sizes["n_a"] + 1
        elif how == "changed weight":
            file["S"][5] += 1e-3
        elif how == "nan":
            file["S"][5] = np.nan
        elif how == "dims":
            file["src_grid_dims"][0] += 1
        elif how == "method":
            file.attrs["method"] = "patch"
        file.to_netcdf(path)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "readable NetCDF"),
        ("text", "readable NetCDF"),
        ("empty", "readable NetCDF"),
        ("no weights", "none of S"),
        ("index", "col within"),
        ("changed weight", "add up to frac_b"),
        ("nan", "finite weights"),
        ("dims", "src_grid_dims"),
        ("method", "attribute method"),
    ],
)
def test_damaged_weight_files_are_refused(tmp_path, fine, coarse, how, message):
    path = tmp_path / "w.nc"
    regrid.write_weight_file(fine, coarse, "conservative", "exact", path)
    damage(path, how)
    with pytest.raises(regrid.WeightError, match=message) as caught:
        regrid.read_weights(path)
    assert str(path) in str(caught.value) and "regrid_weights" in str(caught.value)


def test_a_flipped_byte_in_the_data_is_noticed(tmp_path, fine, coarse):
    """The checksum of the chunks: a changed byte that leaves the file readable must not pass as weights."""
    path = tmp_path / "w.nc"
    regrid.write_weight_file(fine, coarse, "conservative", "exact", path)
    whole = path.read_bytes()
    refused = 0
    for place in np.linspace(0.3, 0.9, 12):
        spoilt = bytearray(whole)
        spoilt[int(place * len(whole))] ^= 0xFF
        path.write_bytes(bytes(spoilt))
        try:
            read = regrid.read_weights(path, fine, coarse, "conservative")
        except regrid.WeightError:
            refused += 1
        else:
            exact = regrid.make_weights(fine, coarse, "conservative", "exact")
            assert (read.matrix != exact.matrix).nnz == 0, "a spoilt file passed with other weights"
    assert refused >= 4


def test_the_weights_of_another_run_are_refused(tmp_path, fine, coarse):
    path = tmp_path / "w.nc"
    regrid.write_weight_file(fine, coarse, "conservative", "exact", path)
    with pytest.raises(regrid.WeightError, match="expected source grid"):
        regrid.read_weights(path, src=regular_grid((30, 34), (88, 94.1), 0.1))
    with pytest.raises(regrid.WeightError, match="expected target grid"):
        regrid.read_weights(path, dst=halved(coarse))
    with pytest.raises(regrid.WeightError, match="expected bilinear"):
        regrid.read_weights(path, method="bilinear")
    with pytest.raises(regrid.WeightError, match="no such weight file"):
        regrid.read_weights(tmp_path / "none.nc")


def test_a_failed_write_keeps_the_older_file(tmp_path, fine, coarse, monkeypatch):
    path = tmp_path / "w.nc"
    regrid.write_weight_file(fine, coarse, "conservative", "exact", path)
    before = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="no space"):
        regrid.write_weight_file(fine, coarse, "bilinear", "exact", path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


# --------------------------------------------------------------------------------------------------- the two engines


def xesmf_or_skip() -> None:
    try:
        regrid._import_xesmf()
    except GridError as error:
        pytest.skip(f"xESMF with esmpy is absent (conda-forge has it): {error.__cause__}")


@pytest.mark.parametrize(("method", "tolerance", "on_smooth"), [("conservative", 2e-4, 3e-5), ("bilinear", 5e-4, 3e-5)])
def test_engines_agree(method, tolerance, on_smooth):
    xesmf_or_skip()
    src, dst = regular_grid(*PLATEAU), ease2_grid(*PLATEAU)
    if method == "bilinear":
        src, dst = dst, src
    exact, esmf = (regrid.make_weights(src, dst, method, engine) for engine in ("exact", "xesmf"))
    assert esmf.engine == "xesmf"
    assert np.abs(exact.matrix - esmf.matrix).max() < tolerance
    smooth = np.sin(np.deg2rad(src.lat * 6))[:, None] * np.cos(np.deg2rad(src.lon * 5))
    one, other = regrid.apply(exact, smooth)[0], regrid.apply(esmf, smooth)[0]
    assert np.nanmax(np.abs(one - other)) < on_smooth
    np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
    if method == "conservative":
        assert abs(exact.matrix.nnz - esmf.matrix.nnz) <= 10
        assert regrid.make_weights(src, dst, method, "auto").engine == "xesmf"


def test_weight_file_of_esmf_round_trips(tmp_path, fine, coarse):
    xesmf_or_skip()
    path = tmp_path / "w.nc"
    regrid.write_weight_file(fine, coarse, "conservative", "xesmf", path)
    read = regrid.read_weights(path, fine, coarse, "conservative")
    assert read.engine == "xesmf"
    import xesmf

    def dataset(grid):
        return xr.Dataset(coords={"lat": grid.lat, "lon": grid.lon, "lat_b": grid.lat_edges, "lon_b": grid.lon_edges})

    field = rough_field(fine)
    theirs = xesmf.Regridder(dataset(fine), dataset(coarse), "conservative", weights=str(path))(field)
    ours = (read.matrix @ field.ravel()).reshape(coarse.shape)
    np.testing.assert_allclose(theirs, ours, rtol=1e-12)


def test_auto_without_xesmf_takes_the_closed_form(fine, coarse, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xesmf", None)
    assert regrid.make_weights(fine, coarse, "conservative", "auto").engine == "exact"
    with pytest.raises(GridError, match="conda-forge"):
        regrid.make_weights(fine, coarse, "conservative", "xesmf")


# ----------------------------------------------------------------------------------------------------- real values


def test_real_soil_moisture_keeps_its_mean(realdata):
    """ERA5-Land of Western Australia: the mean over the covered area is kept, with the coast's holes left out."""
    folder = realdata / "western_australia_2020_01" / "era5_land"
    with xr.open_dataset(folder / "era5_land_swvl1_2020-01.nc") as file:
        swvl1 = file["swvl1"].isel(valid_time=slice(0, 24, 5)).values
    src = regular_grid((-32.0, -27.0), (116.0, 122.0), 0.1)
    dst = ease2_grid((-32.1, -26.9), (115.9, 122.1), "M36")
    weights = regrid.make_weights(src, dst, "conservative", "exact")
    got, fraction = regrid.apply(weights, swvl1)
    valid = np.isfinite(swvl1)
    source = np.where(valid, swvl1, 0).astype(np.float64)
    means = (source * src.areas).sum(axis=(1, 2)) / (valid * src.areas).sum(axis=(1, 2))
    area = fraction.astype(np.float64) * dst.areas
    kept = np.nansum(got * area, axis=(1, 2)) / area.sum(axis=(1, 2))
    np.testing.assert_allclose(kept, means, rtol=1e-6)  # float32 results
    plain = np.nanmean(got, axis=(1, 2))
    assert np.abs(plain / means - 1).max() > 1e-5, "control: an unweighted mean is another number"
