"""Another region is a configuration: config/sahel.yaml is planned, and its grids hold on both sides of Greenwich.

That real values of another region give a good product is shown over Western Australia, by
tests/end_to_end/test_real_month.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from pscnet.plan import Plan
from pscnet.regrid import apply, make_weights
from tests.conftest import REPOSITORY, planned

OVERLAY = yaml.safe_load((REPOSITORY / "config" / "sahel.yaml").read_text())
BASE = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
MONTHS = 36


@pytest.fixture(scope="module")
def region() -> Plan:
    return Plan(BASE | OVERLAY)


def test_the_overlay_differs_from_the_plateau_in_a_few_keys():
    assert set(OVERLAY) <= {"run", "source", "archive", "terrain", "region", "predictors", "product"}


def test_without_the_elevation_there_is_no_plan(workspace):
    """As the head of the file says; once it is there, the next test has the plan."""
    (workspace.root / OVERLAY["terrain"]).unlink(missing_ok=True)
    done = workspace.snakemake("-n", "--quiet", "host", "--configfile", "config/sahel.yaml", check=False)
    assert done.returncode != 0
    assert "MissingInputException" in done.stdout and OVERLAY["terrain"] in done.stdout
    assert OVERLAY["terrain"] in (REPOSITORY / "config" / "sahel.yaml").read_text().partition("\nrun:")[0]


@pytest.mark.parametrize("source", ["fetch", "archive"])
def test_the_second_region_is_planned(workspace, source):
    elevation = workspace.root / OVERLAY["terrain"]
    elevation.parent.mkdir(parents=True, exist_ok=True)
    elevation.touch()
    arguments = ("-n", "--quiet", "host", "--configfile", "config/sahel.yaml", "--config", f"source={source}")
    output = workspace.snakemake(*arguments).stdout
    jobs = planned(output)
    raw = {"fetch_era5_land": MONTHS, "fetch_smap": MONTHS, "fetch_era5_edge": 2, "fetch_terrain": 1}
    raw = raw if source == "fetch" else {"archive_manifest": 2 * MONTHS, "archive_terrain": 1}
    assert {rule: count for rule, count in jobs.items() if rule.startswith(source)} == raw
    for rule in ("regrid_era5_land", "regrid_smap", "downscale_month", "product_month", "verify_product"):
        assert jobs[rule] == MONTHS
    assert "results/sahel/product/sm_sahel_10km_3h_2017-07.nc" in output
    assert "tibet" not in output.lower()


def test_boxes_hold_on_both_sides_of_greenwich(region):
    fine, coarse = region.config.fine_grid(), region.config.coarse_grid()
    assert fine.shape == (61, 91)
    for grid in (fine, coarse):
        assert np.all(np.diff(grid.lon) > 0), "without a jump at Greenwich"
        assert grid.lon.min() < -3.9 and grid.lon.max() > 4.9


def test_weights_hold_on_both_sides_of_greenwich(region):
    """A constant stays one, also in cells that lie across the meridian."""
    fine, coarse = region.config.fine_grid(), region.config.coarse_grid()
    weights = make_weights(fine, coarse, "conservative", "exact")
    ones, fraction = apply(weights, np.ones((1, *fine.shape)))
    across = np.abs(coarse.lon) < 0.2
    assert across.any() and np.nanmax(fraction) <= 1 + 1e-9
    inside = fraction[0] > 0.999
    assert inside[:, across].any()
    np.testing.assert_allclose(ones[0][inside], 1, atol=1e-12)
