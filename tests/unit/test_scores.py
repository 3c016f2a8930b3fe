"""Scores against hand-computed values and pytesmo; the sub-pixel score against fields whose detail is known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytesmo import metrics
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import norm

from pscnet.grids import ease2_grid, regular_grid
from pscnet.scores import (
    PairMoments,
    SubPixel,
    crps_gaussian,
    detail_scores,
    inside_share,
    mean_of_cells,
    overpass_stamps,
)

BOX = (31.0, 35.0), (88.0, 93.0)


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Series (200, 6) with holes on both sides."""
    rng = np.random.default_rng(1)
    x = 0.2 + 0.05 * rng.standard_normal((200, 6))
    y = 0.7 * x + 0.1 + 0.02 * rng.standard_normal((200, 6))
    x[rng.random(x.shape) < 0.1] = np.nan
    y[rng.random(y.shape) < 0.1] = np.nan
    return x, y


def test_scores_by_hand():
    moments = PairMoments.of(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    # Means 3 and 2.5; departures (-2, -1, 0, 3) and (-1.5, 0.5, -0.5, 1.5); sums 14, 5, 7.
    assert moments.n == 4
    assert moments.r() == pytest.approx(7 / np.sqrt(14 * 5), abs=1e-15)
    assert moments.bias() == pytest.approx(0.5)
    assert moments.rmsd() == pytest.approx(np.sqrt((0 + 1 + 1 + 4) / 4))
    assert moments.ubrmsd() == pytest.approx(np.sqrt(6 / 4 - 0.25))
    assert moments.std_ratio() == pytest.approx(np.sqrt(14 / 5))


def test_the_ratio_of_standard_deviations_is_undefined_where_r_is():
    rows = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    assert np.isnan(PairMoments.of(*rows).std_ratio()) and np.isnan(PairMoments.of(rows[1], rows[0]).std_ratio())
    assert np.isnan(PairMoments.of(np.array([1.0]), np.array([2.0])).std_ratio())


def test_anscombe_quartet():
    """Anscombe 1973, The American Statistician 27, 17: four data sets with means 9.0 and 7.5 and R = 0.816."""
    x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    sets = [
        (x, [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]),
        (x, [9.14, 8.14, 8.74, 8.77, 9.26, 8.10, 6.13, 3.10, 9.13, 7.26, 4.74]),
        (x, [7.46, 6.77, 12.74, 7.11, 7.81, 8.84, 6.08, 5.39, 8.15, 6.42, 5.73]),
        ([8, 8, 8, 8, 8, 8, 8, 19, 8, 8, 8], [6.58, 5.76, 7.71, 8.84, 8.47, 7.04, 5.25, 12.50, 5.56, 7.91, 6.89]),
    ]
    for first, second in sets:
        moments = PairMoments.of(np.array(first, float), np.array(second))
        assert moments.r() == pytest.approx(0.816, abs=1e-3)
        assert moments.bias() == pytest.approx(9.0 - 7.5, abs=2e-3)
        # The published residual sum of squares about the line 3 + 0.5 x is 13.75.
        line = PairMoments.of(3.0 + 0.5 * np.array(first), np.array(second))
        assert line.rmsd() ** 2 * 11 == pytest.approx(13.75, abs=0.05)


def test_kge_by_hand():
    x, y = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 3.0, 2.0, 4.0])
    moments = PairMoments.of(x, y)
    r, spread, level = 7 / np.sqrt(70), np.sqrt(14 / 5), 3 / 2.5
    expected = 1 - np.sqrt((r - 1) ** 2 + (spread - 1) ** 2 + (level - 1) ** 2)
    assert moments.kge() == pytest.approx(expected, abs=1e-14)
    modified = 1 - np.sqrt((r - 1) ** 2 + (spread / level - 1) ** 2 + (level - 1) ** 2)
    assert moments.kge(modified=True) == pytest.approx(modified, abs=1e-14)
    assert PairMoments.of(y, y).kge() == pytest.approx(1.0, abs=1e-14)
    assert np.isnan(PairMoments.of(np.ones(4), y).kge()) and np.isnan(moments.kge(minimum=5))
    # The field counts against the reference, not the other way round.
    assert PairMoments.of(y, x).kge() != pytest.approx(expected, abs=0.01)


def test_kge_of_the_mean_benchmark():
    """Knoben et al. 2019, HESS 23, 4323: the observed mean as a model has KGE 1 - sqrt(2) = -0.41."""
    y = np.array([1.0, 2.0, 2.0, 1.0])
    x = 1.5 + 1e-6 * np.array([1.0, 1.0, -1.0, -1.0])
    assert PairMoments.of(x, y).kge() == pytest.approx(1 - np.sqrt(2), abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.2, 5.0), offset=st.floats(0.0, 1.0))
def test_kge_of_a_line_is_known(scale, offset):
    y = 0.2 + 0.05 * np.random.default_rng(0).standard_normal(100)
    x = scale * y + offset
    level = x.mean() / y.mean()
    expected = 1 - np.sqrt((scale - 1) ** 2 + (level - 1) ** 2)
    assert PairMoments.of(x, y).kge() == pytest.approx(expected, abs=1e-9)


def test_scores_agree_with_pytesmo(pairs):
    x, y = pairs
    moments = PairMoments.of(x, y)
    for cell in range(x.shape[1]):
        both = np.isfinite(x[:, cell]) & np.isfinite(y[:, cell])
        a, b = x[both, cell], y[both, cell]
        assert moments.n[cell] == both.sum()
        assert moments.r()[cell] == pytest.approx(metrics.pearson_r(a, b), abs=1e-10)
        assert moments.ubrmsd()[cell] == pytest.approx(metrics.ubrmsd(a, b), abs=1e-10)
        assert moments.rmsd()[cell] == pytest.approx(metrics.rmsd(a, b), abs=1e-10)
        assert moments.bias()[cell] == pytest.approx(metrics.bias(a, b), abs=1e-10)
    both = np.isfinite(x) & np.isfinite(y)
    assert moments.pooled().r() == pytest.approx(metrics.pearson_r(x[both], y[both]), abs=1e-10)
    assert moments.pooled().ubrmsd() == pytest.approx(metrics.ubrmsd(x[both], y[both]), abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 200), max_size=5), offset=st.sampled_from([0.0, 1e3]))
def test_blocks_add_up_to_the_whole(cuts, offset):
    rng = np.random.default_rng(3)
    x, y = offset + rng.standard_normal((200, 3)), offset + rng.standard_normal((200, 3))
    x[rng.random(x.shape) < 0.3] = np.nan
    streamed = PairMoments.zeros((3,))
    edges = [0, *sorted(cuts), 200]
    for start, end in pairwise(edges):
        streamed.update(x[start:end], y[start:end])
    whole = PairMoments.of(x, y)
    for got, expected in zip(streamed.arrays(), whole.arrays(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(streamed.r(), whole.r(), atol=1e-9)


def test_between_and_within_add_up_to_the_pooled(pairs):
    x, y = pairs
    y = np.where(np.isfinite(x), np.nan_to_num(y, nan=0.2), np.nan)
    x = np.where(np.isfinite(x), x, 0.2)
    y = np.nan_to_num(y, nan=0.1)
    moments = PairMoments.of(x, y)
    pooled, within = moments.pooled(), moments.within()
    between = moments.between()
    assert pooled.sxy == pytest.approx(within.sxy + 200 * between.sxy)
    assert pooled.sxx == pytest.approx(within.sxx + 200 * between.sxx)


@pytest.mark.parametrize("constant", [0.0, 0.3, 1e6 / 3])
def test_a_constant_has_no_correlation(constant):
    x = np.full((50, 2), constant)
    y = np.random.default_rng(0).standard_normal((50, 2))
    moments = PairMoments.of(x[:20], y[:20])
    moments.update(x[20:], y[20:])
    assert np.isnan(moments.r()).all()
    assert np.isnan(PairMoments.of(y, x).r()).all()
    assert np.isfinite(moments.rmsd()).all()


def test_too_few_samples_score_nan_and_keep_their_count():
    x = np.array([[0.1, 0.1], [0.2, np.nan], [0.3, 0.4], [0.5, 0.1]])
    moments = PairMoments.of(x, x * 2)
    assert moments.n.tolist() == [4, 3]
    for score in (moments.r(4), moments.ubrmsd(4), moments.bias(4), moments.rmsd(4)):
        assert np.isfinite(score[0]) and np.isnan(score[1])
    assert np.isnan(PairMoments.zeros().bias()) and np.isnan(PairMoments.zeros().r())
    mean, cells = mean_of_cells(moments.r(4))
    assert mean == pytest.approx(1.0) and cells == 1
    assert np.isnan(mean_of_cells(np.array([np.nan]))[0])


def test_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="equal shapes"):
        PairMoments.of(np.zeros(3), np.zeros((3, 1)))


def test_crps_is_the_integral_of_the_squared_difference_of_distributions():
    grid = np.linspace(-12, 12, 200_001)
    for mean, sigma, truth in [(0.0, 1.0, 0.3), (1.0, 0.5, -2.0), (0.2, 2.0, 0.2)]:
        step = (grid >= truth).astype(float)
        expected = np.trapezoid((norm.cdf(grid, mean, sigma) - step) ** 2, grid)
        assert crps_gaussian(mean, sigma, truth) == pytest.approx(expected, abs=1e-4)
    assert crps_gaussian(0.0, 0.0, 0.3) == pytest.approx(0.3)
    assert np.isnan(crps_gaussian(0.0, -1.0, 0.3))


def test_crps_in_closed_form():
    """Gneiting and Raftery 2007, eq. 21, at its simplest: N(0, 1) and 0 give (sqrt(2) - 1) / sqrt(pi)."""
    assert crps_gaussian(0.0, 1.0, 0.0) == pytest.approx((np.sqrt(2) - 1) / np.sqrt(np.pi), abs=1e-12)
    # Of the true distribution it is sigma / sqrt(pi) on average; a narrower and a wider forecast score worse.
    truth = 0.03 * np.random.default_rng(0).standard_normal(200_000)
    right, narrow, wide = (crps_gaussian(0.0, sigma, truth).mean() for sigma in (0.03, 0.015, 0.06))
    assert right == pytest.approx(0.03 / np.sqrt(np.pi), rel=0.01)
    assert right < narrow and right < wide


def test_inside_share():
    error = np.array([0.5, -0.9, 1.5, -2.5, np.nan])
    assert inside_share(error, np.ones(5), 1.0) == 0.5
    assert inside_share(error, np.ones(5), 2.0) == 0.75
    assert np.isnan(inside_share(error, np.full(5, np.nan), 1.0))


def test_overpass_stamps_of_the_plateau_are_midnight_and_noon_utc():
    near = overpass_stamps(np.array([90.0, 0.0]))
    assert np.flatnonzero(near[:, 0]).tolist() == [0, 4]
    assert np.flatnonzero(near[:, 1]).tolist() == [2, 6]


# Sub-pixel score


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    """A truth (time, cell) = smooth in bilinear nodes + detail, and the sub-pixel splitter of its grids."""
    rng = np.random.default_rng(7)
    fine, coarse = regular_grid(*BOX), ease2_grid(*BOX)
    splitter = SubPixel(fine, coarse)
    nodes = 0.2 + 0.05 * rng.standard_normal((60, splitter._interpolate.shape[1]))
    smooth = (splitter._interpolate @ nodes.T).T
    static = 0.03 * rng.standard_normal(fine.size)
    dynamic = 0.02 * rng.standard_normal((60, fine.size))
    return {"splitter": splitter, "smooth": smooth, "static": static, "dynamic": dynamic, "nodes": nodes}


def _scores(splitter: SubPixel, field: np.ndarray, truth: np.ndarray) -> tuple[dict, dict]:
    (plain, beyond), (truth_plain, truth_beyond) = splitter.split([field, truth])
    cells = field.shape[1:]
    kinds = []
    for ours, theirs in ((plain, truth_plain), (beyond, truth_beyond)):
        moments = PairMoments.zeros(cells)
        moments.update(ours, theirs)
        kinds.append(detail_scores(moments))
    return kinds[0], kinds[1]


def test_anomalies_average_to_zero_in_every_coarse_cell(world):
    splitter = world["splitter"]
    field = world["smooth"] + world["static"] + world["dynamic"]
    for anomaly in splitter.split([field])[0]:
        kept = np.isfinite(anomaly[0])
        assert kept.mean() > 0.9
        sums = np.bincount(splitter.cell[kept], anomaly[0, kept], splitter.coarse_size)
        np.testing.assert_allclose(sums, 0.0, atol=1e-10)


def test_the_truth_scores_one(world):
    truth = world["smooth"] + world["static"] + world["dynamic"]
    for kind in _scores(world["splitter"], truth, truth):
        assert all(score == pytest.approx(1.0) for score in kind.values())


def test_a_smooth_field_scores_plain_but_not_beyond(world):
    truth = world["smooth"] + world["static"] + world["dynamic"]
    plain, beyond = _scores(world["splitter"], world["smooth"], truth)
    assert plain["all"] > 0.35
    assert all(np.isnan(score) for score in beyond.values())
    # The same field with unrelated detail on it: beyond the smooth field there is nothing to agree with.
    other = 0.02 * np.random.default_rng(11).standard_normal(truth.shape)
    plain, beyond = _scores(world["splitter"], world["smooth"] + other, truth)
    assert plain["all"] > 0.2
    assert abs(beyond["all"]) < 0.02 and abs(beyond["dynamic"]) < 0.02 and abs(beyond["static"]) < 0.1


def test_shuffled_detail_scores_nothing(world):
    rng = np.random.default_rng(5)
    truth = world["smooth"] + world["static"] + world["dynamic"]
    shuffled = world["smooth"] + rng.permutation(world["static"]) + rng.permutation(world["dynamic"], axis=1)
    _, beyond = _scores(world["splitter"], shuffled, truth)
    assert all(abs(score) < 0.1 for score in beyond.values())


def test_static_and_dynamic_detail_are_told_apart(world):
    truth = world["smooth"] + world["static"] + world["dynamic"]
    _, only_static = _scores(world["splitter"], world["smooth"] + world["static"], truth)
    _, only_dynamic = _scores(world["splitter"], world["smooth"] + world["dynamic"], truth)
    assert only_static["static"] > 0.95 and np.isnan(only_static["dynamic"])
    assert only_dynamic["dynamic"] > 0.99 and only_dynamic["static"] < 0.4


def test_a_smooth_field_has_no_detail_whatever_is_missing(world):
    splitter = world["splitter"]
    field = world["smooth"].copy()
    field[np.random.default_rng(2).random(field.shape) < 0.3] = np.nan
    field[:, : field.shape[1] // 3] = np.nan
    plain, beyond = splitter.split([field])[0]
    assert np.nanstd(plain) > 1e-3
    assert np.isfinite(beyond).any() and np.isnan(beyond[:, : field.shape[1] // 3]).all()
    assert np.nanmax(np.abs(beyond)) < 1e-6


def test_bilinear_means_alone_would_leave_gradients_in_the_detail(world):
    """The control: plain interpolation of the coarse means, not corrected to keep them, does not pass."""
    splitter, smooth = world["splitter"], world["smooth"][0]
    fine, coarse = regular_grid(*BOX), ease2_grid(*BOX)
    count = np.bincount(splitter.cell, minlength=coarse.size)
    means = np.bincount(splitter.cell, smooth, coarse.size) / np.maximum(count, 1)
    between = RegularGridInterpolator(
        (-coarse.lat, coarse.lon), means.reshape(coarse.shape), bounds_error=False, fill_value=None
    )
    nodes = np.stack(np.meshgrid(-fine.lat, fine.lon, indexing="ij"), axis=-1)
    left = (smooth - between(nodes).ravel()).reshape(fine.shape)[8:-8, 8:-8]
    assert np.abs(left).max() > 1e-2


@pytest.mark.parametrize("beyond_centres", ["constant", "linear"])
def test_edges_of_the_box_hold_no_false_detail(world, beyond_centres):
    """Interpolated SMAP may go on flat or straight beyond the outermost centres: neither is detail."""
    fine, coarse = regular_grid(*BOX), ease2_grid(*BOX)
    lat, lon = fine.lat, fine.lon
    if beyond_centres == "constant":
        lat, lon = np.clip(lat, coarse.lat[-1], coarse.lat[0]), np.clip(lon, coarse.lon[0], coarse.lon[-1])
    values = np.random.default_rng(4).standard_normal(coarse.shape)
    between = RegularGridInterpolator((-coarse.lat, coarse.lon), values, bounds_error=False, fill_value=None)
    field = between(np.stack(np.meshgrid(-lat, lon, indexing="ij"), axis=-1)).reshape(1, -1)
    plain, beyond = world["splitter"].split([field])[0]
    assert np.nanstd(plain) > 0.1 and np.nanmax(np.abs(beyond)) < 1e-6


def test_a_coarse_cell_with_little_valid_area_takes_no_part(world):
    splitter = world["splitter"]
    field = world["smooth"][:1].copy()
    cell = splitter.cell[field.shape[1] // 2]
    members = np.flatnonzero(splitter.cell == cell)
    field[0, members[2:]] = np.nan
    plain, _ = splitter.split([field])[0]
    assert np.isnan(plain[0, members]).all()
    assert np.isfinite(plain).any()


def test_nothing_valid_gives_nothing(world):
    plain, beyond = world["splitter"].split([np.full((2, world["static"].size), np.nan)])[0]
    assert np.isnan(plain).all() and np.isnan(beyond).all()
