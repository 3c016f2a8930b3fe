"""Estimates of size, number and time, held against what is known of the whole Plateau."""

from __future__ import annotations

import pytest

from pscnet.config import DEFAULT_PREDICTORS
from pscnet.sources.fetch import estimate
from pscnet.timeaxis import months

PERIOD = months("2016-01", "2018-12")
LAT, LON = (25.0, 40.0), (73.0, 105.0)
NODES = 151 * 321
L4 = ("sm_surface", "sm_rootzone", "soil_temp_layer1", "surface_temp")


def test_three_years_of_the_plateau():
    """The table of docs/fetching.md, in GB."""
    shares = [estimate.era5_land(NODES, PERIOD, DEFAULT_PREDICTORS)]
    shares += [estimate.smap(product, PERIOD, LAT, LON, L4) for product in ("SPL3SMP", "SPL3SMP_E", "SPL4SMGP")]
    assert [round(share.kept / 1e9, 1) for share in shares] == [11.2, 32.9, 17.0, 9.6]
    assert [round(share.carried / 1e9) for share in shares] == [11, 33, 767, 1254]
    assert [share.source for share in shares] == ["era5_land", "smap", "smap_e", "smap_l4"]
    assert round(estimate.build(NODES, PERIOD, 12, 5, PERIOD[:24], PERIOD[24:]) / 1e9) == 30
    assert round(estimate.product(NODES, PERIOD, "int16") / 1e9, 1) == 2.1


def test_sizes_grow_with_what_is_asked():
    small = estimate.era5_land(100, ["2016-05"], ["swvl1"]).kept
    assert estimate.era5_land(200, ["2016-05"], ["swvl1", "tp"]).kept == pytest.approx(4 * small, abs=4)
    fewer = estimate.smap("SPL4SMGP", ["2016-05"], LAT, LON, L4[:1]).kept
    assert fewer < estimate.smap("SPL4SMGP", ["2016-05"], LAT, LON, L4).kept


def test_a_crop_is_never_larger_than_the_whole():
    share = estimate.smap("SPL3SMP_E", ["2016-05"], (-80.0, 80.0), (-179.0, 179.0))
    assert share.kept == share.carried


@pytest.mark.parametrize(
    ("variables", "max_fields", "expected"),
    [
        (["swvl1"], 4000, 1),  # one month, one step type
        (["swvl1", "tp"], 4000, 2),
        (["swvl1", "swvl2", "stl1"], 500, 2),  # two variables of 248 fields together
        (["swvl1"], 100, 4),  # a single variable is halved by days
    ],
)
def test_requests_of_a_month(variables, max_fields, expected):
    assert estimate.requests(["2016-05"], variables, max_fields) == expected


def test_only_accumulations_reach_over_the_ends():
    assert estimate.edges(["swvl1"]) == 0
    assert estimate.edges(["swvl1", "tp"]) == 2


def test_times_are_ranges():
    low, high = estimate.cds_hours(74, 2)
    assert (round(low), round(high)) == (6, 148)
    assert estimate.cds_hours(0, 2) == (0, 0)
    low, high = estimate.download_hours(33 * 10**9)
    assert low < 1 and 9 < high < 10
