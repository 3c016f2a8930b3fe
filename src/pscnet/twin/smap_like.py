"""An orbit, an antenna and noise that play SMAP: what a radiometer with a 40 km footprint would retrieve.

The orbit is SMAP's (685 km, sun-synchronous, 98.1 degrees, 18:00 at the ascending node, 117 orbits in exactly 8 days)
[Entekhabi et al. 2010, doi:10.1109/JPROC.2010.2043918]. A cell is seen when it lies within 500 km of the ground
track. The date of a retrieval is its local solar date, so the morning half of a date can carry times of the evening
before in UTC, as in the real granules over Asia.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from pscnet.grids import Grid
from pscnet.twin.noise import Waves, generator
from pscnet.twin.world import World, logistic

INCLINATION = np.deg2rad(98.12)
PERIOD = 8.0 / 117.0  # day
ASCENDING_NODE = 0.75  # local solar time [day]
HALF_SWATH = 500.0  # km
FULL_WIDTH = 40.0  # km, at half the power of the antenna pattern: about 36 x 47 km in reality
SIGMA = FULL_WIDTH / 2.3548
#: Noise of a recommended retrieval [m3 m-3]: the mission's requirement and its validation are 0.04 [Chan et al. 2016];
#: part of it is common to neighbours within an overpass (temperature, vegetation and calibration errors; share ours).
NOISE_WHITE, NOISE_COMMON = 0.035, 0.023
#: Factor on the noise of retrievals that are not recommended (ours).
POOR = 1.4
LIMITS = (0.02, 0.5)
#: Bits of ``retrieval_qual_flag``.
NOT_RECOMMENDED, SKIPPED, FAILED, NO_FREEZE_THAW = 1, 2, 4, 8


def footprint_matrix(fine: Grid, coarse: Grid) -> sparse.csr_matrix:
    """Gaussian antenna weights (coarse.size, fine.size): each row sums to 1; cut at three standard deviations."""
    rows, columns, values = [], [], []
    area = np.cos(np.deg2rad(fine.lat))
    for r, lat in enumerate(coarse.lat):
        dy = 111.2 * (fine.lat - lat)
        near_y = np.flatnonzero(np.abs(dy) < 3 * SIGMA)
        for c, lon in enumerate(coarse.lon):
            dx = 111.3 * np.cos(np.deg2rad(lat)) * (fine.lon - lon)
            near_x = np.flatnonzero(np.abs(dx) < 3 * SIGMA)
            weight = np.exp(-0.5 * (dy[near_y, None] ** 2 + dx[None, near_x] ** 2) / SIGMA**2) * area[near_y, None]
            rows.append(np.full(weight.size, r * coarse.lon.size + c))
            columns.append((near_y[:, None] * fine.lon.size + near_x[None, :]).ravel())
            values.append((weight / weight.sum()).ravel())
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_matrix((np.concatenate(values).astype("f4"), where), (coarse.size, fine.size))


@dataclass(frozen=True)
class Overpass:
    """One half of one date (y, x): ``seen``, ``hour`` [hour since 1970], ``nadir`` distance from the track [km]."""

    seen: np.ndarray
    hour: np.ndarray
    nadir: np.ndarray


def overpass(coarse: Grid, day: int, half: str) -> Overpass:
    """Where and when the satellite looks on a date (days since 1970) in half ``"AM"`` (descending) or ``"PM"``."""
    sine = np.clip(np.sin(np.deg2rad(coarse.lat)) / np.sin(INCLINATION), -1, 1)
    u = np.arcsin(sine) if half == "PM" else np.pi - np.arcsin(sine)  # argument of latitude
    # Longitude that the track has moved from the node to this latitude, against the sun (which the node follows).
    turn = np.rad2deg(np.arctan2(np.cos(INCLINATION) * np.sin(u), np.cos(u))) - 360.0 * u / (2 * np.pi) * PERIOD
    du = 1e-4
    turn_next = np.rad2deg(np.arctan2(np.cos(INCLINATION) * np.sin(u + du), np.cos(u + du)))
    turn_next -= 360.0 * (u + du) / (2 * np.pi) * PERIOD
    lat_next = np.arcsin(np.sin(INCLINATION) * np.sin(u + du))
    east = ((turn_next - turn + 180) % 360 - 180) * np.cos(np.deg2rad(coarse.lat))
    north = np.rad2deg(lat_next) - coarse.lat
    across = np.abs(north) / np.hypot(east, north)  # cosine of the track's angle with the meridian

    first = int(np.floor((day - 1.2) / PERIOD))
    node = np.arange(first, first + int(np.ceil(3.4 / PERIOD)))[:, None] * PERIOD  # time of the node [day]
    node_lon = 360.0 * (ASCENDING_NODE - node % 1.0)
    time = node + u[None, :] / (2 * np.pi) * PERIOD  # (orbit, row)
    track = node_lon + turn[None, :]
    offset = (coarse.lon[None, None, :] - track[:, :, None] + 180.0) % 360.0 - 180.0
    distance = np.abs(offset) * (111.3 * np.cos(np.deg2rad(coarse.lat)) * across)[None, :, None]
    date = np.floor(time[:, :, None] + coarse.lon[None, None, :] / 360.0)
    distance = np.where((date == day) & (distance <= HALF_SWATH), distance, np.inf)
    best = np.argmin(distance, axis=0)
    nadir = np.take_along_axis(distance, best[None], 0)[0]
    hour = np.take_along_axis(np.broadcast_to(time[:, :, None], distance.shape), best[None], 0)[0] * 24.0
    return Overpass(np.isfinite(nadir), hour, nadir)


class Radiometer:
    """Turns footprint averages into the fields of a granule.

    Parameters
    ----------
    world : World
    coarse : Grid
        M36 cells that touch the box.
    """

    #: Footprint averages that :meth:`average` makes of the truth, in this order.
    FIELDS = ("liquid", "frozen", "snow", "temperature", "skin", "rain")

    def __init__(self, world: World, coarse: Grid) -> None:
        self.world, self.coarse = world, coarse
        self.matrix = footprint_matrix(world.grid, coarse)

        def mean(field: np.ndarray) -> np.ndarray:
            return (self.matrix @ field.ravel()).reshape(coarse.shape)

        self.water, self.relief, self.lai = mean(world.water), mean(world.relief), mean(world.lai)
        self.clay, self.porosity, self.wetness = mean(world.clay), mean(world.porosity), mean(world.wetness)
        patches = Waves.draw(world.seed, "retrieval bias", (250, 900)).field(coarse.lat, coarse.lon)
        #: Regional bias [m3 m-3], 0 to +0.03: soil and vegetation parameters that fit elsewhere (size of SMAP's wet
        #: bias over the Plateau's networks [Li et al. 2018], pattern ours).
        self.bias = 0.03 * logistic(1.6 * patches)

    def average(self, fields: np.ndarray) -> np.ndarray:
        """Footprint averages (n, y, x) of fine fields (n, ny, nx)."""
        flat = np.ascontiguousarray(fields.reshape(fields.shape[0], -1).T, dtype="f4")
        return (self.matrix @ flat).T.reshape(fields.shape[0], *self.coarse.shape)

    def noise(self, day: int, half: str, copy: int = 0) -> np.ndarray:
        """Retrieval noise (y, x) [m3 m-3] of one overpass; ``copy`` distinguishes processing versions."""
        number = 2 * day + (half == "PM")
        white = generator(self.world.seed, "radiometer noise", number, copy).normal(0, NOISE_WHITE, self.coarse.shape)
        common = Waves.draw(self.world.seed, f"overpass {number}", (90, 450), slope=0.5, modes=40)
        return white + NOISE_COMMON * common.field(self.coarse.lat, self.coarse.lon)

    def retrieve(
        self, day: int, half: str, hours: np.ndarray, series: np.ndarray, copy: int = 0
    ) -> dict[str, np.ndarray]:
        """The fields of one half of a granule.

        Parameters
        ----------
        day : int [days since 1970]
        half : str
            ``"AM"`` or ``"PM"``.
        hours : ndarray (time,) [hour since 1970]
            Hourly, ascending. Overpasses outside take the nearest hour.
        series : ndarray (time, field, y, x)
            Footprint averages, fields as in :attr:`FIELDS`.

        Returns
        -------
        dict of ndarray (y, x)
            By dataset name of the AM group, NaN or the fill value where nothing was measured.
        """
        view = overpass(self.coarse, day, half)
        position = np.clip(view.hour - hours[0], 0, hours.size - 1)
        early = np.minimum(position.astype(int), max(hours.size - 2, 0))
        share = (position - early).astype("f4")
        y, x = np.indices(self.coarse.shape)
        late = np.minimum(early + 1, hours.size - 1)
        now = {
            name: series[early, k, y, x] * (1 - share) + series[late, k, y, x] * share
            for k, name in enumerate(self.FIELDS)
        }
        draws = generator(self.world.seed, "retrieval quality", 2 * day + (half == "PM")).random(
            (4, *self.coarse.shape)
        )
        return self._granule(view, now, self.noise(day, half, copy), draws)

    def _granule(
        self, view: Overpass, now: dict[str, np.ndarray], noise: np.ndarray, draws: np.ndarray
    ) -> dict[str, np.ndarray]:
        seen = view.seen
        green = 0.3 + 0.7 * np.exp(-0.5 * (((view.hour / 24.0) % 365.2425 - 208.0) / 52.0) ** 2)
        vegetation = 1.4 * self.lai * green  # kg m-2, grassland
        surface, blocked, doubtful = self._conditions(now, vegetation, view, draws)
        failed = draws[0] < 0.02
        quality = np.where(doubtful | failed | blocked, NOT_RECOMMENDED, 0)
        quality = quality + np.where(blocked, SKIPPED | FAILED, np.where(failed, FAILED, 0))
        quality = quality + np.where(draws[1] < 0.04, NO_FREEZE_THAW, 0)
        got = seen & ~blocked & ~failed

        scale = np.where(doubtful, POOR, 1.0) * (1.0 + 0.04 * vegetation)
        value = now["liquid"] + self.bias + 0.12 * self.water + noise * scale
        value = np.where(got, np.clip(value, LIMITS[0], np.minimum(LIMITS[1], self.porosity)), np.nan)
        moist = np.where(got, value, now["liquid"])
        tau = 0.11 * vegetation
        fields = {
            "soil_moisture": value,
            "soil_moisture_scav": np.clip(value * 0.93 + 0.004, *LIMITS),
            "soil_moisture_scah": np.clip(value * 0.88 + 0.002, *LIMITS),
            "surface_temperature": now["skin"] * 0.4 + now["temperature"] * 0.6,
            "freeze_thaw_fraction": now["frozen"],
            "vegetation_water_content": vegetation, "vegetation_opacity": tau,
            "static_water_body_fraction": self.water, "radar_water_body_fraction": self.water,
            "surface_water_fraction_mb_h": self.water, "surface_water_fraction_mb_v": self.water,
            "tb_v_corrected": now["temperature"] * (0.965 - 0.38 * moist * np.exp(-tau)),
            "tb_h_corrected": now["temperature"] * (0.900 - 0.72 * moist * np.exp(-tau)),
            "clay_fraction": self.clay, "bulk_density": 2.65 * (1 - self.porosity),
            "albedo": np.full(seen.shape, 0.06), "roughness_coefficient": np.full(seen.shape, 0.15),
            "boresight_incidence": np.full(seen.shape, 40.0),
        }  # fmt: skip
        for name in ("v", "h"):
            fields[f"tb_{name}_uncorrected"] = fields[f"tb_{name}_corrected"] - 25.0 * self.water
        for channel in ("scah", "scav"):
            fields[f"vegetation_opacity_{channel}"] = tau
        result = {name: np.where(seen, field, np.nan).astype("f4") for name, field in fields.items()}
        for name in ("retrieval_qual_flag", "retrieval_qual_flag_scah", "retrieval_qual_flag_scav"):
            result[name] = np.where(seen, quality, 65534).astype("u2")
        result["surface_flag"] = np.where(seen, surface, 65534).astype("u2")
        result["grid_surface_status"] = np.where(seen, self.water > 0.5, 65534).astype("u2")
        for name in "hv34":
            result[f"tb_qual_flag_{name}"] = np.where(seen, np.where(failed, 5, 0), 65534).astype("u2")
        result["hour"] = np.where(seen, view.hour, np.nan)
        return result

    def _conditions(
        self, now: dict[str, np.ndarray], vegetation: np.ndarray, view: Overpass, draws: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``surface_flag`` bits, where no retrieval is tried, and where one is tried but not recommended; each (y, x).

        Thresholds as in the product's specification where it gives any (water 0.05 and 0.5, snow and frozen ground 0.05
        and 0.5, vegetation 5 kg m-2, rain 1 mm h-1), else ours.
        """
        frozen, snow = now["frozen"], now["snow"]
        bits = {
            0: self.water > 0.05,
            1: self.water > 0.05,
            4: now["rain"] > 1.0,
            5: snow > 0.05,
            7: frozen + 0.10 * (draws[2] - 0.5) > 0.05,
            8: frozen > 0.05,
            9: self.relief > 300.0,
            10: vegetation > 5.0,
            11: view.nadir < 120.0,
        }
        surface = sum(np.where(condition, 1 << bit, 0) for bit, condition in bits.items())
        blocked = (frozen > 0.5) | (snow > 0.5) | (self.water > 0.5)
        doubtful = bits[0] | bits[4] | (snow > 0.05) | (frozen > 0.05) | bits[9] | bits[10]
        return surface, blocked, doubtful
