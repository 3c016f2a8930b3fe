"""Backgrounds without a net: lines of each cell on both grids."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pscnet.baselines.rescaling import BACKGROUNDS, fine_line, mean_smap, regressed_era5_land
from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import apply, make_weights, read_weights
from pscnet.samples.background import Line
from pscnet.samples.normaliser import Normaliser
from pscnet.validation import METHODS
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS

BOX = {"lat": (31.0, 33.0), "lon": (91.0, 93.0)}


def test_the_fine_line_interpolates_both_coefficients():
    fine, coarse = regular_grid(**BOX), ease2_grid(**BOX)
    bilinear = make_weights(coarse, fine, "bilinear", "exact")
    east = np.broadcast_to(coarse.lon, coarse.shape).astype("f4")
    line = fine_line(Line(np.full(coarse.shape, 0.05, "f4"), east / 100), bilinear)
    inside = (fine.lon > coarse.lon[0]) & (fine.lon < coarse.lon[-1])
    np.testing.assert_allclose(line.intercept, 0.05, rtol=1e-6)
    np.testing.assert_allclose(line.slope[:, inside], np.broadcast_to(fine.lon, fine.shape)[:, inside] / 100, rtol=1e-5)
    np.testing.assert_allclose(line(np.full(fine.shape, 0.3)), line.intercept + line.slope * 0.3, rtol=1e-6)


@pytest.fixture(scope="module")
def parts(made_run):  # noqa: F811
    with xr.open_dataset(made_run.static) as data:
        land = data["land"].values > 0
    with xr.open_dataset(made_run.folder / "predictors" / f"{MONTHS[1]}.nc") as data:
        water = data["swvl1"].values[:16]
    operators = [read_weights(made_run.weights[name]) for name in ("fine_to_coarse", "coarse_to_fine")]
    return Normaliser.read(made_run.normaliser), land, water, *operators


@pytest.mark.parametrize("make", BACKGROUNDS.values(), ids=BACKGROUNDS)
def test_footprint_means_are_those_of_the_fine_field(parts, make):
    """The coarse line of coarse soil water is the footprint mean of the fine field, up to slopes within a cell."""
    normaliser, land, water, conservative, bilinear = parts
    background = make(normaliser, land, conservative, bilinear)
    fine = apply(conservative, np.where(land, background.field(water), np.nan))[0]
    coarse = background.coarse(apply(conservative, np.where(land, water, np.nan))[0])
    known = np.isfinite(fine)
    np.testing.assert_allclose(coarse[known], fine[known], atol=0.002)
    assert np.nanstd(fine) > 0.01


def test_optimal_interpolation_keeps_the_detail_of_era5_land_and_takes_nothing_of_the_nets_pattern(parts):
    normaliser, land, water, conservative, bilinear = parts
    background = regressed_era5_land(normaliser, land, conservative, bilinear)
    line = normaliser.background.fine
    expected = line.intercept + line.slope * water
    np.testing.assert_allclose(background.field(water)[:, land], expected[:, land], rtol=1e-5)
    assert not background.detail.any() and not background.pattern.any()
    assert normaliser.background.detail.any(), "the control: the net's background does strip it"


def test_the_mean_of_smap_does_not_follow_era5_land(parts):
    normaliser, land, water, conservative, bilinear = parts
    background = mean_smap(normaliser, land, conservative, bilinear)
    np.testing.assert_array_equal(background.field(water)[:, land], background.field(2 * water)[:, land])
    assert float(np.abs(background.coarse.intercept - normaliser.target_mean).max()) < 0.05


def test_every_kriged_method_has_its_row_in_the_tables():
    assert set(BACKGROUNDS) < set(METHODS)
