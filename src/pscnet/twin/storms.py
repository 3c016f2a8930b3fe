"""Rain: storms that come in clusters, in active spells, on the mountains, and with the monsoon.

A day's storms depend on the seed and the date alone. A storm is a cluster of convective cells, each a Gaussian patch
that drifts, grows and decays; a wide weak shield of stratiform rain goes with it. The model's version of the same day
(:func:`model_storms`) is misplaced, mistimed, too wide and too weak, misses some storms and invents others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pscnet.grids import Grid
from pscnet.twin.noise import KM_LAT, KM_LON, Waves, generator
from pscnet.twin.world import climate_at, logistic

#: Clusters tried a day on 10,000 km2, before climate, season and weather thin them out (ours; gives July totals of
#: about 100 mm in the humid east and 20 mm in the arid west, as the Plateau's gauges do).
TRIES = 1.70
#: Peak rates of the model's cells against the true ones' at equal volume, before they last longer (ours; with drizzle
#: the model's monthly total comes out 15 to 50 % too high, ERA5-Land's wet bias over the Plateau).
MODEL_AMOUNT = 0.64
#: Hardest rain of a convective cell [mm h-1]: thin, dry air holds the Plateau's storms below the lowlands' (ours).
HARDEST = 9.0
#: Longest life of a storm [hour]; yesterday's storms are rendered until then.
LONGEST = 14.0


def day_of_year(day: float) -> float:
    """Day of the year [0, 365.2425) of a day since 1970-01-01."""
    return float(day % 365.2425)


def monsoon(day: float, wetness: np.ndarray) -> np.ndarray:
    """Seasonal factor of rain, 0.04 in winter .. 1 in the monsoon, which arrives in the humid south-east first.

    Onset mid-May in the east to early July in the west, retreat mid- to late September (Plateau rain-gauge climatology,
    rounded).
    """
    date = day_of_year(day)
    onset, retreat = 183.0 - 48.0 * wetness, 258.0 + 16.0 * wetness
    return 0.04 + 0.96 * logistic((date - onset) / 9.0) * logistic((retreat - date) / 9.0)


def activity_waves(seed: int) -> Waves:
    """Active and break spells: synoptic waves of 4 to 20 days, 800 to 3000 km (ours)."""
    return Waves.draw(seed, "activity", (800, 3000), slope=0.5, periods=(3.5, 20.0), modes=48)


@dataclass(frozen=True)
class Cells:
    """Rain cells, each (n,): centre [degree] at ``start`` [hour since 1970], life [hour], widths [degree], peak
    [mm h-1], drift [degree h-1].
    """

    lat: np.ndarray
    lon: np.ndarray
    start: np.ndarray
    life: np.ndarray
    width_lat: np.ndarray
    width_lon: np.ndarray
    peak: np.ndarray
    drift_lat: np.ndarray
    drift_lon: np.ndarray

    def joined(self, other: Cells) -> Cells:
        return Cells(*(np.concatenate([getattr(self, k), getattr(other, k)]) for k in self.__dataclass_fields__))

    def rate(self, grid: Grid, hour: float, threshold: float) -> np.ndarray:
        """Rain rate (ny, nx) [mm h-1] at a time [hour since 1970]; ``threshold`` is cut off to bound the patches."""
        age = hour - self.start
        alive = np.flatnonzero((age > 0) & (age < self.life))
        if alive.size == 0:
            return np.zeros(grid.shape, "f4")
        age = age[alive]
        strength = self.peak[alive] * np.sin(np.pi * age / self.life[alive]) ** 2
        dy = grid.lat[None, :] - (self.lat[alive] + self.drift_lat[alive] * age)[:, None]
        dx = grid.lon[None, :] - (self.lon[alive] + self.drift_lon[alive] * age)[:, None]
        gy = np.exp(-0.5 * (dy / self.width_lat[alive, None]) ** 2).astype("f4")
        gx = np.exp(-0.5 * (dx / self.width_lon[alive, None]) ** 2).astype("f4")
        return np.clip((gy * strength[:, None].astype("f4")).T @ gx - threshold, 0, None)


def _clusters(seed: int, tag: str, grid: Grid, day: int, tries: float, season: float | None) -> dict[str, np.ndarray]:
    """Clusters of one day that survive climate, season and weather: places, times and sizes, each (n,).

    A held ``season`` [day of year] also levels the climate: rain then tells neither date nor place.
    """
    rng = generator(seed, tag, day)
    pad = 0.8
    south, north = grid.lat[-1] - pad, grid.lat[0] + pad
    west, east = grid.lon[0] - pad, grid.lon[-1] + pad
    area = (north - south) * KM_LAT * (east - west) * KM_LON / 1e4
    n = rng.poisson(tries * area)
    lat, lon = rng.uniform(south, north, n), rng.uniform(west, east, n)
    # Plateau convection peaks in the late afternoon and the evening (local solar time), with a nocturnal share.
    solar = np.where(rng.random(n) < 0.7, rng.normal(17.5, 2.6, n), rng.uniform(0, 24, n)) % 24
    hour = (solar - lon / 15.0) % 24
    wetness = climate_at(seed, lat, lon) if season is None else np.full(n, 0.5)
    spell = np.clip(np.exp(0.9 * activity_waves(seed).at(lat, lon, day + hour / 24.0)), 0.05, 4.0) / 1.4
    chance = (0.10 + 0.70 * wetness) * monsoon(day if season is None else season, wetness) * spell
    keep = rng.random(n) < chance
    drawn = {
        "lat": lat, "lon": lon, "start": day * 24.0 + hour, "life": np.clip(rng.gamma(6.0, 0.9, n), 2.0, LONGEST),
        "strength": rng.gamma(1.6, 1.0, n), "drift_lat": rng.normal(0, 0.03, n), "drift_lon": rng.normal(0.10, 0.08, n),
    }  # fmt: skip
    return {name: values[keep] for name, values in drawn.items()}


def _cells(rng: np.random.Generator, clusters: dict[str, np.ndarray]) -> tuple[Cells, np.ndarray]:
    """Convective cells and a stratiform shield for each cluster, and the cluster that each belongs to (n,)."""
    per = 5
    n = clusters["lat"].size
    index = np.repeat(np.arange(n), per)
    scatter_lat, scatter_lon = rng.normal(0, 22.0, n * per) / KM_LAT, rng.normal(0, 26.0, n * per) / KM_LON
    width = rng.uniform(6.0, 15.0, n * per)
    peak = HARDEST * np.tanh(clusters["strength"][index] * rng.gamma(1.5, 1.0, n * per) * 1.7 / HARDEST)
    convective = Cells(
        clusters["lat"][index] + scatter_lat, clusters["lon"][index] + scatter_lon,
        clusters["start"][index] + rng.uniform(0, 2.5, n * per),
        clusters["life"][index] * rng.uniform(0.4, 0.9, n * per), width / KM_LAT, width / KM_LON, peak,
        clusters["drift_lat"][index], clusters["drift_lon"][index],
    )  # fmt: skip
    shield = rng.uniform(28.0, 60.0, n)
    stratiform = Cells(
        clusters["lat"], clusters["lon"], clusters["start"] + 1.0, clusters["life"], shield / KM_LAT, shield / KM_LON,
        0.30 * clusters["strength"], clusters["drift_lat"], clusters["drift_lon"],
    )  # fmt: skip
    return convective.joined(stratiform), np.concatenate([index, np.arange(n)])


def true_storms(seed: int, grid: Grid, day: int, season: float | None = None) -> Cells:
    """The rain cells born on a day (days since 1970-01-01)."""
    clusters = _clusters(seed, "storms", grid, day, TRIES, season)
    return _cells(generator(seed, "cells", day), clusters)[0]


def model_storms(seed: int, grid: Grid, day: int, season: float | None = None) -> Cells:
    """The reanalysis' idea of the same day's rain cells.

    Each cluster is displaced by some 20 km, rains an hour and a half too early (as parametrised convection does), a
    third longer, over twice the area, with a random error of its amount of 50 %; one in six is missed, and nearly a
    third as many are invented. Sizes of the errors are ours.
    """
    clusters = _clusters(seed, "storms", grid, day, TRIES, season)
    cells, of = _cells(generator(seed, "cells", day), clusters)
    rng = generator(seed, "model storms", day)
    n = clusters["lat"].size
    north, east = rng.normal(0, 15.0, n) / KM_LAT, rng.normal(0, 15.0, n) / KM_LON
    early, amount, hit = rng.normal(-1.5, 1.2, n), np.exp(rng.normal(-0.12, 0.5, n)), rng.random(n) > 0.17
    moved = replace(
        cells, lat=cells.lat + north[of], lon=cells.lon + east[of], start=cells.start + early[of],
        peak=cells.peak * amount[of] * hit[of],
    )  # fmt: skip
    false, _ = _cells(rng, _clusters(seed, "false storms", grid, day, 0.30 * TRIES, season))
    both = moved.joined(false)
    wide = 1.45
    return replace(
        both, width_lat=both.width_lat * wide, width_lon=both.width_lon * wide,
        life=np.clip(both.life * 1.35, 2.0, LONGEST), peak=both.peak * MODEL_AMOUNT / wide**2,
    )  # fmt: skip


class RainMaker:
    """Hourly rain rate, keeping today's and yesterday's storms at hand.

    Parameters
    ----------
    source : callable
        :func:`true_storms` or :func:`model_storms`.
    threshold : float [mm h-1]
        Cut off the sum of patches: large for distinct storms, small for drizzle.
    """

    def __init__(
        self,
        source: Callable[..., Cells],
        seed: int,
        grid: Grid,
        threshold: float,
        season: float | None = None,
    ) -> None:
        self._season = season
        self._source, self._seed, self._grid, self._threshold = source, seed, grid, threshold
        self._day, self._cells = None, None

    def rate(self, hour: float) -> np.ndarray:
        """Rain rate (ny, nx) [mm h-1] at a time [hour since 1970]."""
        day = int(hour // 24)
        if day != self._day:
            yesterday = self._source(self._seed, self._grid, day - 1, self._season)
            self._cells = yesterday.joined(self._source(self._seed, self._grid, day, self._season))
            self._day = day
        return self._cells.rate(self._grid, hour, self._threshold)
