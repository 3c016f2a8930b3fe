"""Classes and pairs: who belongs where, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import make_weights
from pscnet.timeaxis import make_split
from pscnet.validation import ScoreError
from pscnet.validation.classes import elevation_of_cells, overpasses, seasons, terciles, training_mean
from pscnet.validation.pairs import Pairs, make_pairs
from pscnet.validation.regions import footprint_means

BOX = (31.5, 33.5), (90.0, 93.0)
FINE, COARSE = regular_grid(*BOX), ease2_grid(*BOX)


@pytest.fixture(scope="module")
def weights():
    return make_weights(FINE, COARSE, "conservative", "exact")


def columns(times: list[str], **changes) -> dict[str, np.ndarray]:
    """A retrieval of cell (1, 2) at each time, and what a method says there."""
    size = len(times)
    made = {"time": np.array(times, "M8[ns]"), "y": np.full(size, 1), "x": np.full(size, 2)}
    made |= {"smap": np.full(size, 0.2), "noise": np.full(size, 0.04), "pscnet": np.full(size, 0.25)}
    return made | changes


def pairs(times: list[str], **changes) -> Pairs:
    return make_pairs(columns(times, **changes), ["pscnet"], COARSE.shape)


def test_pairs_without_a_value_of_every_method_are_left_out():
    times = ["2017-07-01T00", "2017-07-02T00", "2017-07-03T00"]
    made = pairs(times, smap=np.array([0.2, np.nan, 0.2]), pscnet=np.array([np.nan, 0.2, 0.3]))
    assert made.size == 1 and made.fields["pscnet"].tolist() == [0.3]
    assert made.cell.tolist() == [COARSE.shape[1] + 2] and made.hidden_days.tolist() == [0.0]


def test_anomalies_of_pairs_by_hand():
    """Seven overpasses, four days apart: the window of 35 days holds four on either side."""
    times = [str(np.datetime64("2017-07-01T00") + np.timedelta64(4 * n, "D")) for n in range(7)]
    values = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.4])
    smap, fields = pairs(times, smap=values, pscnet=np.full(7, 0.2)).anomalies()
    assert smap[3] == pytest.approx(values[3] - values.mean()) and smap[0] == pytest.approx(0.1 - values[:5].mean())
    assert fields["pscnet"] == pytest.approx(0.0)
    # Four in a window are too few for a mean.
    assert np.isnan(pairs(times[:4]).anomalies()[0]).all()


def test_seasons_are_months_on_either_hemisphere():
    made = seasons(pairs(["2016-12-15T00", "2017-01-15T00", "2017-07-15T00", "2017-09-01T00"]))
    assert {name: keep.tolist() for name, keep in made.items()} == {
        "JJA": [False, False, True, False],
        "SON": [False, False, False, True],
        "DJF": [True, True, False, False],
    }


def test_overpasses_by_local_solar_time():
    made = overpasses(pairs(["2017-07-01T00", "2017-07-01T12", "2017-07-01T21"]), COARSE.lon)
    assert made["AM, 06 h"].tolist() == [True, False, True] and made["PM, 18 h"].tolist() == [False, True, False]


def test_terciles_come_from_scored_cells():
    field = np.arange(12.0).reshape(3, 4)
    field[0, 0] = np.nan
    scored = np.ones(field.shape, bool)
    scored[2] = False
    made = terciles(field, scored, ("low", "middle", "high"), "m", 0)
    assert made.labels == ["low (below 3 m)", "middle (3 to 5 m)", "high (above 5 m)"]
    assert made.number.tolist() == [[-1, 0, 0, 0], [1, 1, 2, 2], [2, 2, 2, 2]]
    assert terciles(field * np.nan, scored, ("a", "b", "c"), "m", 0).labels == []


def test_the_mean_of_training_days_alone(tmp_path):
    """Ten retrievals on training days, others besides; a withheld cell has its class too."""
    dates = np.repeat(np.arange(np.datetime64("2016-06-21"), np.datetime64("2016-07-11")), 2).astype("M8[ns]")
    dims = ("half_orbit", "y", "x")
    value = np.where(dates < np.datetime64("2016-07-01"), 0.3, 0.1)[:, None, None] * np.ones((1, 1, 3))
    value[1::2] = np.nan
    value[:2, 0, 2] = np.nan
    seen, hidden = value.copy(), value.copy()
    seen[:, 0, 1], hidden[:, 0, [0, 2]] = np.nan, np.nan
    hours = (dates - np.datetime64("2016-06-01")) / np.timedelta64(1, "h")
    offset = np.broadcast_to((hours + 0.1)[:, None, None], value.shape) * 1.0
    empty = np.zeros(value.shape, "u1")
    made = {"soil_moisture": (dims, seen), "soil_moisture_withheld": (dims, hidden)}
    for name, full in (("time_offset", offset), ("quality", empty), ("soil_moisture_error", offset)):
        made |= {name: (dims, full), f"{name}_withheld": (dims, full)}
    xr.Dataset(made, {"date": ("half_orbit", dates)}).to_netcdf(tmp_path / "smap.nc")
    parts = {"train": ["2016-06-21/2016-06-30"], "validation": ["2016-07-02/2016-07-04"], "test": ["2016-07-05"]}
    split = make_split(parts, ("2016-06", "2016-07"), 0)
    mean = training_mean([tmp_path / "smap.nc"], split)
    assert mean[0, :2] == pytest.approx(0.3), "ten on training days; those of July would lower it"
    assert np.isnan(mean[0, 2]), "nine are too few"


def test_elevation_is_that_of_the_region(tmp_path, weights):
    elevation = np.where(np.arange(FINE.shape[1]) < 10, 5000.0, 1000.0) * np.ones(FINE.shape)
    region = (np.arange(FINE.shape[1]) < 10) * np.ones(FINE.shape, "i1")
    dims = ("lat", "lon")
    xr.Dataset({"elevation": (dims, elevation), "region": (dims, region)}).to_netcdf(tmp_path / "static.nc")
    found = elevation_of_cells(tmp_path / "static.nc", weights)
    assert np.nanmax(np.abs(found - 5000.0)) < 0.1, "the low land outside the region does not count"
    assert np.isnan(found[:, -1]).all()


def test_a_stamp_that_a_month_lacks_is_named(tmp_path, weights):
    times = np.array(["2017-07-01T00", "2017-07-01T03"], "M8[ns]")
    field = np.full((2, *FINE.shape), 0.2, "f4")
    coords = {"time": times, "lat": FINE.lat, "lon": FINE.lon}
    xr.Dataset({"soil_moisture": (("time", "lat", "lon"), field)}, coords).to_netcdf(tmp_path / "july.nc")
    made = footprint_means(tmp_path / "july.nc", "soil_moisture", times[1:], weights)
    assert made.shape == (1, *COARSE.shape) and np.nanmax(np.abs(made - 0.2)) < 1e-6
    assert footprint_means(tmp_path / "july.nc", "soil_moisture", times[:0], weights).shape == (0, *COARSE.shape)
    with pytest.raises(ScoreError, match="2017-07-01T06:00; found none"):
        footprint_means(tmp_path / "july.nc", "soil_moisture", times + np.timedelta64(6, "h"), weights)
