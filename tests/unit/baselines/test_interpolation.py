"""Optimal interpolation as a whole: background plus increment on both grids, and the left-out overpass."""

from __future__ import annotations

import numpy as np
import pytest

from pscnet.baselines.interpolation import Interpolator
from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import apply, make_weights
from pscnet.samples.background import Background, Line
from pscnet.samples.retrievals import Retrievals
from tests.unit.baselines.world import KNOWN, simulate

FINE, COARSE = (grid(lat=(31.0, 33.0), lon=(91.0, 93.0)) for grid in (regular_grid, ease2_grid))
BILINEAR = make_weights(COARSE, FINE, "bilinear", "exact")
REGION = np.ones(FINE.shape, bool)
STAMP = np.datetime64("2020-05-15T12", "ns")


def background() -> Background:
    none, none_coarse = np.zeros(FINE.shape), np.zeros(COARSE.shape)
    fine, coarse = (Line(np.full(shape, 0.05), np.full(shape, 0.7)) for shape in (FINE.shape, COARSE.shape))
    return Background("swvl1", fine, coarse, none, none_coarse, none, none_coarse)


def interpolator(change: float = 0.0, seen: bool = True) -> Interpolator:
    """On simulated retrievals, those of one overpass raised by ``change``."""
    drawn = simulate(KNOWN, days=30, cells=max(COARSE.shape))
    rows, columns = COARSE.shape
    cut = (slice(None), slice(0, rows), slice(0, columns))
    innovation = drawn.innovation[cut].copy()
    innovation[drawn.stamp[cut] == STAMP] += change
    if not seen:
        innovation[:] = np.nan
    retrievals = Retrievals(drawn.date, drawn.time[cut], innovation, drawn.noise[cut], innovation, 0.04)
    return Interpolator(background(), retrievals, KNOWN, BILINEAR, 8.0)


def water(shape) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.4, (1, *shape))


def test_the_overpass_that_is_scored_is_there():
    drawn = interpolator().retrievals
    assert np.isfinite(drawn.innovation[drawn.stamp == STAMP]).sum() > 10


@pytest.mark.parametrize(("leave_out_hours", "sees_it"), [(6, False), (None, True)])
def test_an_overpass_that_is_left_out_has_no_influence(leave_out_hours, sees_it):
    """Raised by 0.5, it changes nothing at footprints and on the fine grid; the control is the planted leak."""
    plain, raised = interpolator(), interpolator(0.5)
    coarse = [each.at_footprints([STAMP], water(COARSE.shape), leave_out_hours) for each in (plain, raised)]
    fine = [each.on_fine_grid([STAMP], water(FINE.shape), leave_out_hours, REGION)[0] for each in (plain, raised)]
    for a, b in (coarse, fine):
        assert np.array_equal(a, b) is not sees_it
        assert bool(np.abs(a - b).max() > 0.05) is sees_it


def test_without_retrievals_it_is_the_background():
    empty = interpolator(seen=False)
    here, there = water(COARSE.shape), water(FINE.shape)
    np.testing.assert_allclose(empty.at_footprints([STAMP], here, None), 0.05 + 0.7 * here, rtol=1e-6)
    field, std = empty.on_fine_grid([STAMP], there, None, REGION)
    np.testing.assert_allclose(field, 0.05 + 0.7 * there, rtol=1e-6)
    np.testing.assert_allclose(std, KNOWN.variance**0.5, rtol=1e-5)


def test_the_fine_answer_is_the_background_plus_interpolated_increments():
    made, there = interpolator(), water(FINE.shape)
    increment, std = made.increments([STAMP], None)
    field, error = made.on_fine_grid([STAMP], there, None, REGION)
    assert field.dtype == error.dtype == np.float32
    np.testing.assert_allclose(field, made.background.field(there) + apply(BILINEAR, increment)[0], atol=1e-6)
    np.testing.assert_allclose(error, apply(BILINEAR, std)[0], atol=1e-6)
    assert np.abs(increment).max() > 0.02 and std.max() < KNOWN.variance**0.5


def test_cells_that_no_pixel_of_the_region_needs_are_not_solved_for():
    region = np.zeros(FINE.shape, bool)
    region[:4, :4] = True
    made, there = interpolator(), water(FINE.shape)
    whole, part = (made.on_fine_grid([STAMP], there, None, where) for where in (REGION, region))
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_allclose(a[:, region], b[:, region], atol=1e-6)
    assert not np.allclose(whole[0], part[0])
