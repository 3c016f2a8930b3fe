"""The atmosphere over the Plateau, hour by hour: sun, clouds, warmth, humidity and wind.

The same synoptic waves blow for the truth and for the reanalysis (a reanalysis has the weather maps right); each adds
its own local effects. Wherever no source is given, a number is ours, chosen so that stations' climatologies come out:
Naqu (4500 m, 31.5 N) has an annual mean near -1 C, July near +9 C, January near -12 C, and 1.5 to 2 times the daily
range in the dry season.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pscnet.grids import Grid
from pscnet.twin.noise import Waves
from pscnet.twin.storms import activity_waves, day_of_year, monsoon

STEFAN = 5.670374e-8  # W m-2 K-4
SOLAR_CONSTANT = 1361.0  # W m-2 [Kopp & Lean 2011]
ZERO = 273.15  # K
#: Vertical temperature gradient over the Plateau [K m-1]: less than the free air's 6.5, for the heated ground.
LAPSE = 0.0058


@dataclass(frozen=True)
class Air:
    """One hour's weather, each field (ny, nx) float32."""

    t2m: np.ndarray  # K
    d2m: np.ndarray  # K
    solar: np.ndarray  # W m-2, downward
    thermal: np.ndarray  # W m-2, downward
    cloud: np.ndarray  # 0..1
    u10: np.ndarray  # m s-1
    v10: np.ndarray  # m s-1
    pressure: np.ndarray  # Pa


def cos_zenith(grid: Grid, hour: float) -> np.ndarray:
    """Cosine of the solar zenith angle (ny, nx), not below 0, at ``hour`` [hour since 1970, UTC] (equation of time left
    out).
    """
    declination = np.deg2rad(-23.44) * np.cos(2 * np.pi * (day_of_year(hour / 24.0) + 10.0) / 365.2425)
    phi = np.deg2rad(grid.lat)[:, None]
    angle = np.deg2rad(15.0 * (hour % 24.0 - 12.0) + grid.lon)[None, :]
    cosine = np.sin(phi) * np.sin(declination) + np.cos(phi) * np.cos(declination) * np.cos(angle)
    return np.clip(cosine, 0, None).astype("f4")


def saturation_pressure(kelvin: np.ndarray) -> np.ndarray:
    """Saturation vapour pressure [Pa] over water [Bolton 1980, eq. 10]."""
    celsius = kelvin - ZERO
    return 611.2 * np.exp(17.67 * celsius / (celsius + 243.5))


class Synoptic:
    """The maps that move over a grid, made every three hours and interpolated linearly between.

    Truth and reanalysis ask for the same hours in turn, so one instance can serve both.
    """

    def __init__(self, seed: int, grid: Grid) -> None:
        waves = {
            "activity": activity_waves(seed),
            "warmth": Waves.draw(seed, "warmth", (900, 3500), slope=0.5, periods=(3.0, 14.0), modes=40),
            "clouds": Waves.draw(seed, "clouds", (120, 700), slope=0.7, periods=(0.4, 3.0), modes=60),
            "wind": Waves.draw(seed, "wind", (500, 3000), slope=0.7, periods=(1.0, 8.0), modes=40),
            "error": Waves.draw(seed, "model error", (150, 900), slope=0.7, periods=(1.0, 10.0), modes=60),
        }
        self._waves = {name: wave.on(grid.lat, grid.lon) for name, wave in waves.items()}
        self._held: dict[int, dict[str, np.ndarray]] = {}
        self._now: tuple[float, dict[str, np.ndarray]] = (np.nan, {})

    def maps(self, hour: float) -> dict[str, np.ndarray]:
        """Maps (ny, nx) of mean 0 and standard deviation 1 at ``hour`` [hour since 1970]."""
        if hour != self._now[0]:
            before = int(hour // 3) * 3
            for key in (before, before + 3):
                if key not in self._held:
                    self._held[key] = {name: waves.at(key / 24.0) for name, waves in self._waves.items()}
            self._held = {key: self._held[key] for key in (before, before + 3)}
            share = np.float32((hour - before) / 3.0)
            early, late = self._held[before], self._held[before + 3]
            self._now = hour, {name: early[name] + share * (late[name] - early[name]) for name in early}
        return self._now[1]


class Weather:
    """Hourly weather over a grid.

    Parameters
    ----------
    synoptic : Synoptic
        The large-scale weather.
    grid : Grid
    elevation, wetness : ndarray (ny, nx) [m], [1]
        As the model in question sees them.
    reanalysis : bool
        Add the errors of a reanalysis.
    season : float or None [day of year]
        Hold the season at this date.
    """

    def __init__(
        self,
        synoptic: Synoptic,
        grid: Grid,
        elevation: np.ndarray,
        wetness: np.ndarray,
        reanalysis: bool = False,
        season: float | None = None,
    ) -> None:
        self.synoptic, self.grid, self.elevation, self.wetness = synoptic, grid, elevation, wetness
        self.reanalysis, self.season = reanalysis, season

    def date(self, hour: float) -> float:
        """The day since 1970 that sets the season."""
        day = hour / 24.0
        return day if self.season is None else self.season + day % 1.0

    def air(self, hour: float, rain: np.ndarray) -> Air:
        """Weather (ny, nx) at ``hour`` [hour since 1970]; ``rain`` [mm h-1] darkens and cools."""
        maps, day = self.synoptic.maps(hour), self.date(hour)
        season = float(np.cos(2 * np.pi * (day_of_year(day) - 200.0) / 365.2425))
        wet_season = monsoon(day, self.wetness).astype("f4")
        raining = np.clip(rain / 0.5, 0, 1)
        cloud = 0.28 + 0.22 * wet_season + 0.13 * maps["activity"] + 0.14 * maps["clouds"] + 0.4 * raining
        cloud = np.clip(cloud, 0.0, 1.0)

        latitude = self.grid.lat.astype("f4")[:, None] - 32.0
        mean = ZERO + 25.5 - LAPSE * self.elevation - 0.7 * latitude + (10.5 + 0.25 * latitude) * season
        synoptic = (2.3 - 0.9 * season) * maps["warmth"]
        solar_hour = hour % 24.0 + self.grid.lon.astype("f4")[None, :] / 15.0
        daily = (5.2 + 3.2 * (1 - self.wetness)) * (1.15 - 0.6 * cloud) * np.cos(np.pi / 12 * (solar_hour - 14.5))
        t2m = mean + synoptic + daily - 1.2 * raining
        humidity = 0.38 + 0.28 * wet_season + 0.10 * maps["activity"] + 0.25 * raining - 0.018 * daily
        if self.reanalysis:
            # Reanalyses are too cold over the Plateau by 1 to 3 K, most in winter [e.g. Huai et al. 2021, ERA5-Land].
            t2m = t2m - 1.3 + 0.4 * season + 0.9 * maps["error"]
            humidity = humidity + 0.04 * maps["error"] + 0.04
        humidity = np.clip(humidity, 0.08, 1.0)

        sun = cos_zenith(self.grid, hour if self.season is None else self.season * 24.0 + hour % 24.0)
        clear = 0.70 + 0.022 * self.elevation / 1000.0  # thin air
        solar = SOLAR_CONSTANT * sun * clear * (1.0 - 0.70 * cloud**1.6)
        emissivity = 0.60 + 0.16 * humidity + 0.20 * cloud
        vapour = np.log(np.clip(humidity * saturation_pressure(t2m), 1.0, None) / 611.2)
        d2m = ZERO + 243.5 * vapour / (17.67 - vapour)
        breeze = np.sin(np.pi / 12 * (solar_hour - 9.0))
        return Air(
            t2m.astype("f4"), d2m.astype("f4"), solar.astype("f4"), (emissivity * STEFAN * t2m**4).astype("f4"),
            cloud.astype("f4"), (1.6 - 1.4 * season + 1.6 * maps["wind"] + 0.9 * breeze).astype("f4"),
            (0.6 * season + 1.4 * maps["clouds"] + 0.5 * breeze).astype("f4"),
            (101325.0 * (1 - 2.25577e-5 * self.elevation) ** 5.25588 * (1 - 0.004 * maps["warmth"])).astype("f4"),
        )  # fmt: skip


def potential_evaporation(air: Air, albedo: float = 0.21) -> np.ndarray:
    """Priestley-Taylor evaporation (ny, nx) [mm h-1] from net radiation, not below 0 [Priestley & Taylor 1972]."""
    net = (1 - albedo) * air.solar + 0.97 * (air.thermal - STEFAN * air.t2m**4)
    celsius = air.t2m - ZERO
    slope = 4098.0 * 0.6108 * np.exp(17.27 * celsius / (celsius + 237.3)) / (celsius + 237.3) ** 2  # kPa K-1, FAO-56
    gamma = 0.000665 * air.pressure / 1000.0  # kPa K-1, FAO-56
    return np.clip(1.26 * slope / (slope + gamma) * 0.88 * net * 3600.0 / 2.45e6, 0, None)
