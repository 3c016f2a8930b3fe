from __future__ import annotations

import numpy as np
import pytest

from pscnet.twin.truth import Truth
from pscnet.twin.world import World, build


def day(date: str) -> int:
    return int(np.datetime64(date, "D").astype(int))


def run(world: World, start: str, days: int, skip: int) -> dict[str, np.ndarray]:
    """Hourly series (time, ny, nx) after ``skip`` days."""
    truth = Truth(world, day(start) * 24.0)
    kept: dict[str, list] = {"liquid": [], "frozen": [], "snow": [], "rain": [], "warmth": [], "total": []}
    for hour in range(days * 24):
        air, rain = truth.forcing()
        soil = truth.show(air, rain)
        if hour >= skip * 24:
            for name, value in (
                ("liquid", soil.liquid), ("frozen", soil.frozen), ("snow", soil.snow), ("rain", rain),
                ("warmth", soil.temperature), ("total", truth.state["top"]),
            ):  # fmt: skip
                kept[name].append(value.copy())
        truth.step(air, rain)
    return {name: np.array(values) for name, values in kept.items()}


@pytest.fixture(scope="module")
def naqu_summer() -> dict[str, np.ndarray]:
    return run(build((31.5, 32.4), (91.5, 92.4), 2), "2016-06-01", 92, 30)


@pytest.mark.parametrize(
    ("box", "low", "high"),
    [
        # Ranges of network means in the monsoon season (Ngari, Maqu; Naqu below).
        (((32.0, 32.9), (79.5, 80.4)), 0.03, 0.17),
        (((33.5, 34.4), (101.5, 102.4)), 0.15, 0.55),
    ],
)
def test_dry_and_humid_zones_keep_their_ranges(box: tuple, low: float, high: float) -> None:
    liquid = run(build(*box, 2), "2016-05-15", 75, 30)["liquid"]
    assert np.percentile(liquid, 3) > low and np.percentile(liquid, 96) < high


def test_naqu_keeps_its_range_and_dries_between_rains(naqu_summer: dict[str, np.ndarray]) -> None:
    liquid = naqu_summer["liquid"]
    assert np.percentile(liquid, 2) > 0.05 and np.percentile(liquid, 95) < 0.36
    assert 0.02 < liquid.std(axis=0).mean() < 0.09


def test_dry_days_have_the_small_daily_cycle_of_real_soil(naqu_summer: dict[str, np.ndarray]) -> None:
    liquid = naqu_summer["liquid"].reshape(-1, 24, *naqu_summer["liquid"].shape[1:])
    dry = naqu_summer["rain"].reshape(liquid.shape).sum(axis=1) < 0.1
    # The straight line from midnight to midnight is the drying after rain, the rest the daily cycle.
    share = (np.arange(24) / 23)[:, None, None]
    cycle = liquid - liquid[:, :1] - share * (liquid[:, -1:] - liquid[:, :1])
    span = (cycle.max(axis=1) - cycle.min(axis=1))[dry]
    assert dry.mean() > 0.2
    assert 0.005 < np.median(span) < 0.02


def test_monsoon_rain_falls_often_and_mostly_from_afternoon_to_night(naqu_summer: dict[str, np.ndarray]) -> None:
    rain = naqu_summer["rain"].reshape(-1, 24, *naqu_summer["rain"].shape[1:])
    monthly = rain.sum(axis=(0, 1)).mean() / rain.shape[0] * 30
    assert 25 < monthly < 160
    assert 0.25 < (rain.sum(axis=1) > 0.1).mean() < 0.8
    by_hour = rain.mean(axis=(0, 2, 3))  # UTC; the Plateau is six hours ahead
    assert by_hour[8:17].mean() > 1.5 * by_hour[[0, 1, 2, 3, 4, 22, 23]].mean()


def test_winter_soil_is_frozen_and_spring_thaw_releases_its_water() -> None:
    series = run(build((31.5, 32.0), (92.0, 92.5), 2), "2015-09-20", 250, 0)
    months = np.arange(day("2015-09-20") * 24, (day("2015-09-20") + 250) * 24).astype("M8[h]").astype("M8[M]")
    winter, spring = months == np.datetime64("2016-01"), months == np.datetime64("2016-05")
    assert series["frozen"][winter].mean() > 0.95 and series["frozen"][spring].mean() < 0.4
    assert series["liquid"][winter].mean() < 0.5 * series["total"][winter].mean()
    assert series["liquid"][spring].mean() > series["liquid"][winter].mean() + 0.04
    # The liquid share never exceeds the water there is.
    assert (series["liquid"] <= series["total"] + 1e-6).all()


def test_soil_never_leaves_its_physical_range(naqu_summer: dict[str, np.ndarray]) -> None:
    assert np.isfinite(naqu_summer["liquid"]).all()
    assert naqu_summer["liquid"].min() > 0.01 and naqu_summer["liquid"].max() < 0.78
