"""SMAP smoothed in time and filled in space."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pscnet.baselines.smoothing import SMOOTHING_DAYS, interpolated_smap, smoothed_smap
from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import make_weights
from pscnet.samples.retrievals import Retrievals, RetrievalSet

BOX = {"lat": (31.0, 33.0), "lon": (91.0, 93.0)}
FALLBACK = 0.25


def retrieval_set(age, value, weight=None) -> RetrievalSet:
    """One answer; arrays (slot, y, x)."""
    age, value = np.asarray(age, "f4")[None], np.asarray(value, "f4")[None]
    weight = np.ones_like(age) if weight is None else np.asarray(weight, "f4")[None]
    return RetrievalSet(age, weight, np.where(weight > 0, value, 0), np.zeros_like(value))


def test_the_mean_is_weighed_with_a_gaussian_of_age_and_with_precision():
    """By hand: ages 0, +1.5 and -3 days are 0, 1 and 2 standard deviations; the last has half the precision."""
    seen = retrieval_set([[[0.0]], [[1.5]], [[-3.0]]], [[[0.1]], [[0.2]], [[0.4]]], [[[1.0]], [[1.0]], [[0.5]]])
    assert SMOOTHING_DAYS == 1.5
    weights = [1.0, math.exp(-0.5), 0.5 * math.exp(-2.0)]
    expected = (0.1 * weights[0] + 0.2 * weights[1] + 0.4 * weights[2]) / sum(weights)
    assert smoothed_smap(seen, FALLBACK)[0, 0, 0] == pytest.approx(expected, rel=1e-6)
    assert expected == pytest.approx(0.1484, abs=1e-4)


def test_past_and_future_count_alike():
    ages, values = np.full((2, 1, 1), 2.0), np.array([0.1, 0.3]).reshape(2, 1, 1)
    ages[0] = -2.0
    assert smoothed_smap(retrieval_set(ages, values), FALLBACK)[0, 0, 0] == pytest.approx(0.2)


def test_a_constant_stays_constant_through_gaps_and_interpolation():
    rng = np.random.default_rng(0)
    fine, coarse = regular_grid(**BOX), ease2_grid(**BOX)
    shape = (30, *coarse.shape)
    weight = (rng.random(shape) < 0.1) * rng.uniform(0.3, 1, shape)
    weight[:, 0, :3] = 0
    seen = retrieval_set(rng.uniform(-8, 8, shape), np.full(shape, 0.31), weight)
    assert (weight.sum(0) == 0).any(), "there are gaps to fill"
    bilinear = make_weights(coarse, fine, "bilinear", "exact")
    np.testing.assert_allclose(smoothed_smap(seen, FALLBACK), 0.31, atol=1e-6)
    field = interpolated_smap(seen, bilinear, FALLBACK)
    assert field.shape == (1, *fine.shape) and field.dtype == np.float32
    np.testing.assert_allclose(field, 0.31, atol=1e-6)


def test_a_gap_takes_its_neighbours_and_near_ones_more():
    value = np.full((1, 5, 9), 0.1)
    value[..., 5:] = 0.3
    weight = np.ones(value.shape)
    weight[..., 4] = 0  # a missing column between dry and wet
    weight[0, 2, 1] = 0  # a hole deep in the dry part
    made = smoothed_smap(retrieval_set(np.zeros(value.shape), value, weight), FALLBACK)[0]
    assert made[2, 4] == pytest.approx(0.2, abs=1e-3), "half way between equally near sides"
    assert made[2, 1] == pytest.approx(0.1, abs=0.005), "the wet part is far"
    observed = weight[0] > 0
    np.testing.assert_allclose(made[observed], value[0][observed], rtol=1e-6, err_msg="what is observed stays")


def test_a_wide_gap_is_filled_by_growing_circles():
    value, weight = np.full((1, 30, 30), 0.2), np.zeros((1, 30, 30))
    weight[0, 0, 0] = 1
    made = smoothed_smap(retrieval_set(np.zeros(value.shape), value, weight), FALLBACK)[0]
    assert made[10, 10] == pytest.approx(0.2, abs=1e-6)
    assert np.isfinite(made).all()


def test_without_any_retrieval_the_fallback_is_taken():
    nothing = retrieval_set(np.zeros((4, 3, 3)), np.full((4, 3, 3), 0.1), np.zeros((4, 3, 3)))
    np.testing.assert_array_equal(smoothed_smap(nothing, FALLBACK), np.float32(FALLBACK))


def test_answers_do_not_mix():
    one = retrieval_set(np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.1))
    other = retrieval_set(np.zeros((1, 2, 2)), np.full((1, 2, 2), 0.4))
    both = RetrievalSet(
        *(np.concatenate([getattr(one, n), getattr(other, n)]) for n in ("age", "weight", "value", "innovation"))
    )
    np.testing.assert_allclose(smoothed_smap(both, FALLBACK)[:, 0, 0], [0.1, 0.4])


@pytest.mark.parametrize(("leave_out_hours", "sees_it"), [(6, False), (None, True)])
def test_an_overpass_that_is_left_out_does_not_show(leave_out_hours, sees_it):
    """An impossible value in the scored overpass; without leaving it out, the control, it shows."""
    date = np.repeat(np.arange("2020-06-01", "2020-06-21", dtype="M8[D]").astype("M8[ns]"), 2)
    time = date + np.tile([np.timedelta64(0, "h"), np.timedelta64(12, "h")], 20)
    shape = (40, 2, 2)
    time = np.broadcast_to(time[:, None, None], shape)
    value = np.full(shape, 0.2, "f4")
    stamp = np.datetime64("2020-06-10T12", "ns")
    value[time == stamp] = 50.0
    retrievals = Retrievals(date, time, value, np.full(shape, 0.04, "f4"), np.zeros(shape, "f4"), 0.04)
    made = smoothed_smap(retrievals.around([stamp], 8, leave_out_hours), FALLBACK)
    assert bool(made.max() > 1) is sees_it
    if not sees_it:
        np.testing.assert_allclose(made, 0.2, rtol=1e-6)
