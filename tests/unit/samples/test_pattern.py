"""The lasting fine pattern: learnt between cells, right inside them, and silent where nothing can be learnt."""

from __future__ import annotations

import numpy as np
import pytest

from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import apply, make_weights
from pscnet.samples.pattern import blocks, fine_pattern, local_anomaly, ridge

LAT, LON = (31.0, 35.7), (91.0, 95.7)


@pytest.fixture(scope="module")
def world():
    """Weights, a rough field (detail at all scales), a second one, and a regional slope."""
    fine, coarse = regular_grid(LAT, LON), ease2_grid(LAT, LON)
    weights = make_weights(fine, coarse, "conservative", "exact"), make_weights(coarse, fine, "bilinear", "exact")
    rng = np.random.default_rng(0)
    rough, other = rng.normal(size=(2, *fine.shape))
    rows = np.linspace(-1, 1, fine.shape[0])[:, None] * np.ones(fine.shape)
    return weights, rough, other, rows


def fit(world, climate_field: np.ndarray, fields: dict[str, np.ndarray], noise: float = 0.002):
    (conservative, bilinear), *_ = world
    means, covered = apply(conservative, climate_field)
    climate = means + np.random.default_rng(1).normal(0, noise, means.shape)
    land = np.ones(climate_field.shape, bool)
    return fine_pattern(fields, climate, covered > 0.9, land, conservative, bilinear)


def test_detail_is_recovered_although_the_region_says_the_opposite(world):
    """Wet hills in a region that dries towards the mountains: a fit to absolute values would get the sign wrong."""
    _, rough, other, rows = world
    height = rough + 6 * rows
    moisture = 0.02 * rough - 0.05 * rows
    pattern, coefficients = fit(world, moisture, {"height": height, "other": other})
    assert coefficients["height"] > 5 * abs(coefficients["other"])
    detail = rough - rough.mean()
    assert np.corrcoef(pattern.ravel(), detail.ravel())[0, 1] > 0.85


def test_the_absolute_fit_has_the_wrong_sign(world):
    """The control of the test above."""
    (conservative, _), rough, _, rows = world
    height, moisture = (apply(conservative, field)[0] for field in (rough + 6 * rows, 0.02 * rough - 0.05 * rows))
    assert np.polyfit(height.ravel(), moisture.ravel(), 1)[0] < 0


def test_the_pattern_adds_nothing_to_cell_means(world):
    (conservative, _), rough, *_ = world
    pattern, _ = fit(world, 0.02 * rough, {"rough": rough})
    means, covered = apply(conservative, pattern)
    inner = covered > 0.999
    assert np.sqrt((means[inner] ** 2).mean()) < 0.2 * pattern.std()


def test_fields_that_tell_nothing_give_no_pattern(world):
    _, rough, other, _ = world
    pattern, coefficients = fit(world, 0.02 * rough, {"other": other}, noise=0.02)
    assert np.abs(pattern).max() < 0.01
    assert not coefficients or abs(coefficients["other"]) < 0.003


def test_too_few_cells_give_no_pattern(world):
    (conservative, bilinear), rough, *_ = world
    land = np.ones(rough.shape, bool)
    observed = np.zeros(conservative.dst_shape, bool)
    observed[:3, :3] = True
    pattern, coefficients = fine_pattern(
        {"rough": rough}, apply(conservative, rough)[0], observed, land, conservative, bilinear
    )
    assert not pattern.any() and coefficients == {}


def test_a_local_anomaly_is_taken_from_observed_neighbours_only():
    field, observed = np.zeros((5, 5)), np.ones((5, 5), bool)
    field[2, 2], field[1, 1] = 1.0, np.nan
    anomaly = local_anomaly(field, observed)
    assert np.isnan(anomaly[1, 1])
    assert anomaly[2, 2] == pytest.approx(1 - 1 / 8)
    assert anomaly[4, 4] == 0


def test_ridge_is_least_squares_without_noise_and_less_in_noise_alone():
    rng = np.random.default_rng(2)
    design, noise = rng.normal(size=(200, 3)), rng.normal(size=200)
    block = blocks(np.ones((10, 20), bool))
    np.testing.assert_allclose(ridge(design, design @ [1.0, 0.0, -2.0], block), [1.0, 0.0, -2.0], atol=0.05)
    free = np.linalg.lstsq(design, noise, rcond=None)[0]
    assert np.abs(ridge(design, noise, block)).sum() < np.abs(free).sum()
