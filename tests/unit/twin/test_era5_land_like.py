from __future__ import annotations

import numpy as np
import pytest

from pscnet.twin.era5_land_like import INSTANT, LandModel, other_seed
from pscnet.twin.truth import Truth
from pscnet.twin.world import build

BOX = ((31.5, 33.4), (92.0, 93.9))


def day(date: str) -> float:
    return float(np.datetime64(date, "D").astype(int))


@pytest.fixture(scope="module")
def summer() -> dict[str, np.ndarray]:
    """Truth and model, every third hour of June to September, (time, ny, nx); rain as hourly series."""
    world = build(*BOX, 4)
    truth, model = Truth(world, day("2016-04-25") * 24), LandModel(world, day("2016-04-25") * 24)
    kept: dict[str, list] = {"truth": [], "model": [], "true_rain": [], "model_rain": []}
    for hour in range(155 * 24):
        air, rain = truth.forcing()
        model_air, model_rain = model.forcing()
        if hour >= 40 * 24:
            kept["true_rain"].append(rain)
            kept["model_rain"].append(model_rain)
            if hour % 3 == 0:
                kept["truth"].append(truth.show(air, rain).liquid.copy())
                kept["model"].append(model.instant(model_air)["swvl1"].copy())
        truth.step(air, rain)
        model.step(model_air, model_rain)
    return {name: np.array(values) for name, values in kept.items()}


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


def test_errors_are_those_of_era5_land_at_plateau_stations(summer: dict[str, np.ndarray]) -> None:
    r = correlation(summer["truth"], summer["model"])
    bias = float((summer["model"] - summer["truth"]).mean())
    assert 0.55 < np.median(r) < 0.80
    assert 0.02 < bias < 0.08
    # Control: the model's series a month late must have lost its skill.
    late = correlation(summer["truth"][240:], summer["model"][:-240])
    assert np.median(late) < np.median(r) - 0.3


def test_rain_is_too_frequent_and_too_light(summer: dict[str, np.ndarray]) -> None:
    true, model = (
        summer[name].reshape(-1, 24, *summer[name].shape[1:]).sum(axis=1) for name in ("true_rain", "model_rain")
    )
    assert (model > 0.1).mean() > (true > 0.1).mean() + 0.1
    assert model[model > 0.1].mean() < true[true > 0.1].mean()
    assert 1.0 < model.mean() / true.mean() < 1.7


def test_fine_detail_is_partly_right(summer: dict[str, np.ndarray]) -> None:
    """Inside blocks of 4 x 4 cells the model knows a little, still and moving, and not much."""

    def detail(field: np.ndarray) -> np.ndarray:
        n = field.shape[-1] // 4 * 4
        blocks = field[:, :n, :n].reshape(len(field), n // 4, 4, n // 4, 4)
        return (blocks - blocks.mean(axis=(2, 4), keepdims=True)).reshape(len(field), -1)

    truth, model = detail(summer["truth"]), detail(summer["model"])
    moving = np.corrcoef((truth - truth.mean(0)).ravel(), (model - model.mean(0)).ravel())[0, 1]
    assert 0.15 < moving < 0.6
    assert truth.mean(axis=0).std() > 0.01


def test_ice_counts_as_water_in_the_model() -> None:
    world = build((31.5, 32.0), (92.0, 92.5), 4)
    model = LandModel(world, day("2015-12-01") * 24)
    before = model.state["water_1"].mean()
    for _ in range(24 * 20):
        model.step(*model.forcing())
    assert model.state["warmth_1"].mean() < 270
    assert model.state["water_1"].mean() > 0.9 * before


def test_every_instant_is_finite_and_within_the_providers_range(summer: dict[str, np.ndarray]) -> None:
    from pscnet.variables import ERA5_LAND

    model = LandModel(build((31.5, 32.0), (92.0, 92.5), 4), day("2016-03-01") * 24)
    for _ in range(48):
        air, rain = model.forcing()
        fields = model.instant(air)
        for name in INSTANT:
            assert np.isfinite(fields[name]).all(), name
            assert fields[name].min() >= ERA5_LAND[name].minimum and fields[name].max() <= ERA5_LAND[name].maximum, name
        model.step(air, rain)


def test_null_control_knows_neither_the_season_nor_the_place() -> None:
    world = build(*BOX, other_seed(4))
    states = []
    for date in ("2016-01-10", "2016-07-10"):
        model = LandModel(world, day(date) * 24, null=True)
        warmth = []
        for _ in range(24 * 5):
            air, rain = model.forcing()
            warmth.append(air.t2m.mean())
            model.step(air, rain)
        states.append(np.mean(warmth))
    assert abs(states[0] - states[1]) < 5.0
    # Control: with a season the difference is that of the Plateau.
    real = [Truth(build(*BOX, 4), day(date) * 24).forcing()[0].t2m.mean() for date in ("2016-01-10", "2016-07-10")]
    assert real[1] - real[0] > 12.0
