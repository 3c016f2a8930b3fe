from __future__ import annotations

import numpy as np
import pytest

from pscnet.grids import ease2_grid
from pscnet.twin.smap_like import FULL_WIDTH, Radiometer, footprint_matrix, overpass
from pscnet.twin.world import build

LAT, LON = (31.0, 33.5), (91.0, 93.5)
DAY = int(np.datetime64("2016-07-01").astype("M8[D]").astype(int))


@pytest.fixture(scope="module")
def radiometer() -> Radiometer:
    return Radiometer(build(LAT, LON, 1), ease2_grid(LAT, LON))


def series(radiometer: Radiometer, **values: float) -> np.ndarray:
    """Constant footprint averages (time, field, y, x) over forty days."""
    fields = {"liquid": 0.2, "frozen": 0.0, "snow": 0.0, "temperature": 283.0, "skin": 284.0, "rain": 0.0} | values
    column = np.array([fields[name] for name in Radiometer.FIELDS], "f4")
    return np.broadcast_to(column[None, :, None, None], (24 * 42, len(column), *radiometer.coarse.shape))


def hours() -> np.ndarray:
    return (DAY - 1) * 24.0 + np.arange(24 * 42)


def test_footprints_sum_to_one_and_have_the_antennas_width() -> None:
    world = build(LAT, LON, 1)
    coarse = ease2_grid(LAT, LON)
    matrix = footprint_matrix(world.grid, coarse)
    assert np.allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
    row = matrix[matrix.shape[0] // 2].toarray().reshape(world.grid.shape)
    y, _ = np.indices(row.shape)
    mean = (row * y).sum()
    sigma = np.sqrt((row * (y - mean) ** 2).sum()) * 0.1 * 111.2
    assert abs(sigma * 2.3548 - FULL_WIDTH) < 0.06 * FULL_WIDTH
    # No footprint is cut by the edge of the simulated world: its outermost weights are negligible.
    edge = np.ones(world.grid.shape, bool)
    edge[1:-1, 1:-1] = False
    assert (matrix @ edge.ravel().astype("f4")).max() < 0.02


def test_orbit_repeats_after_eight_days_and_sees_a_cell_every_two_to_three_days() -> None:
    coarse = ease2_grid((25.0, 40.0), (73.0, 105.0))
    for half in ("AM", "PM"):
        seen = np.array([overpass(coarse, DAY + k, half).seen for k in range(16)])
        assert np.array_equal(seen[:8], seen[8:])
        revisit = 1.0 / seen.mean(axis=0)
        assert 2.0 < revisit.mean() < 3.0
        assert not np.array_equal(seen[0], seen[1])


def test_overpasses_are_at_six_and_eighteen_local_solar_time() -> None:
    coarse = ease2_grid((25.0, 40.0), (73.0, 105.0))
    for half, expected in (("AM", 6.0), ("PM", 18.0)):
        for k in range(8):
            view = overpass(coarse, DAY + k, half)
            local = view.hour + coarse.lon[None, :] / 15.0 - (DAY + k) * 24.0
            assert np.abs(local[view.seen] - expected).max() < 1.0
            assert (view.nadir[view.seen] <= 500).all()


def test_morning_half_may_lie_in_the_evening_before() -> None:
    coarse = ease2_grid((30.0, 35.0), (95.0, 100.0))
    times = [overpass(coarse, DAY + k, "AM") for k in range(8)]
    assert any((view.hour[view.seen] < (DAY + k) * 24.0).any() for k, view in enumerate(times))


def test_noise_has_its_size_and_is_partly_common_to_neighbours(radiometer: Radiometer) -> None:
    noise = np.array([radiometer.noise(DAY + k, half) for k in range(60) for half in ("AM", "PM")])
    assert 0.038 < noise.std() < 0.045
    neighbours = np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]
    apart = np.corrcoef(noise[:60].ravel(), noise[60:].ravel())[0, 1]
    assert 0.15 < neighbours < 0.45
    assert abs(apart) < 0.05


def test_retrievals_are_the_footprints_water_plus_bias_and_noise(radiometer: Radiometer) -> None:
    errors, quality = [], []
    for k in range(40):
        for half in ("AM", "PM"):
            got = radiometer.retrieve(DAY + k, half, hours(), series(radiometer))
            errors.append(got["soil_moisture"] - 0.2)
            quality.append(got["retrieval_qual_flag"])
    errors, quality = np.array(errors), np.array(quality)
    good = (quality & 1) == 0
    assert np.isfinite(errors[good & (quality != 65534)]).all()
    clean = np.where(good, errors, np.nan) - radiometer.bias - 0.12 * radiometer.water
    assert 0.036 < np.nanstd(clean) < 0.048
    assert abs(np.nanmean(clean)) < 0.006
    assert (radiometer.bias >= 0).all() and (radiometer.bias <= 0.03).all()
    assert {0, 1, 8, 9} & set(np.unique(quality)) >= {0, 8}
    assert 5 in quality


@pytest.mark.parametrize("field", ["frozen", "snow"])
def test_nothing_is_retrieved_over_frozen_or_snowy_ground(radiometer: Radiometer, field: str) -> None:
    for half in ("AM", "PM"):
        for k in range(3):
            got = radiometer.retrieve(DAY + k, half, hours(), series(radiometer, **{field: 0.9}))
            seen = np.isfinite(got["hour"])
            assert np.isnan(got["soil_moisture"]).all()
            assert np.isin(got["retrieval_qual_flag"][seen], [7, 15]).all()
            assert (got["surface_flag"][seen] & (1 << (8 if field == "frozen" else 5)) > 0).all()


def test_values_follow_the_truth_in_time(radiometer: Radiometer) -> None:
    """A jump of the truth at noon shows in the afternoon half and not in the morning half."""
    jump = np.array(series(radiometer))
    jump[hours() >= DAY * 24 + 5, 0] = 0.4
    k = next(k for k in range(8) if overpass(radiometer.coarse, DAY + k, "PM").seen.any())
    morning, evening = (radiometer.retrieve(DAY + k, half, hours(), jump)["soil_moisture"] for half in ("AM", "PM"))
    assert np.nanmean(evening) > 0.35
    if k == 0 and np.isfinite(morning).any():
        assert np.nanmean(morning) < 0.3
