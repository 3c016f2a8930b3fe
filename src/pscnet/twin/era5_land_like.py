"""A second land model that plays ERA5-Land: other physics, other soil, misplaced rain, smoother terrain.

Three layers as ERA5-Land's upper three, 0-7, 7-28 and 28-100 cm; one dominant texture class a cell with the table of
the real model [Balsamo et al. 2009, J. Hydrometeorol. 10, 623, table 1]; soil ice inside the water content; freezing
spread over +1 to -3 C as there. Its errors against the truth are the ones that station studies report for the
Plateau: too wet by 0.03 to 0.06 m3 m-3, R 0.6 to 0.8, too cold, rain too frequent and too light. Constants without a
source are ours.

``control`` changes what the model knows: ``"null"`` gives another world's weather and soil, held at one date and one
climate, so that no predictor tells anything about this world but the hour of the day; ``"perfect"`` hands out the
true liquid water as ``swvl1``.
"""

from __future__ import annotations

import numpy as np

from pscnet.twin.noise import Waves
from pscnet.twin.storms import RainMaker, day_of_year, model_storms
from pscnet.twin.weather import ZERO, Air, Synoptic, Weather, potential_evaporation
from pscnet.twin.world import World, smooth

CONTROLS = (None, "null", "perfect")
DEPTHS = (70.0, 210.0, 720.0)  # mm
#: Saturation, field capacity, wilting point [m3 m-3], conductivity at saturation [mm h-1] of coarse, medium,
#: medium-fine and fine soil [Balsamo et al. 2009, table 1].
TEXTURES = np.array(
    [[0.403, 0.244, 0.059, 25.0], [0.439, 0.347, 0.151, 4.2], [0.430, 0.383, 0.133, 0.94], [0.520, 0.448, 0.279, 10.3]]
)
STATE = ("water_1", "water_2", "water_3", "warmth_1", "warmth_2", "warmth_3", "snow")
INSTANT = (
    "swvl1", "swvl2", "swvl3", "stl1", "stl2", "stl3", "skt", "t2m", "d2m", "sp", "u10", "v10", "lai_lv", "lai_hv",
    "snowc", "sd",
)  # fmt: skip
ACCUMULATED = ("tp", "sf", "e", "ssrd", "strd")
SUPPORTED = (*INSTANT, *ACCUMULATED)
#: Day of the year at which the null control's season is held.
NULL_SEASON = 195.0


def other_seed(seed: int) -> int:
    """The seed of the world that the null control describes."""
    return seed + 104_729


class LandModel:
    """The second model; ``state`` holds :data:`STATE`, each (ny, nx) float32.

    Parameters
    ----------
    world : World
        This world; for the null control a world built from :func:`other_seed`.
    hour : float [hour since 1970]
    state : dict or None
        Restart fields, or None for a cold start.
    null : bool
        Hold season and climate.
    synoptic : Synoptic, optional
        The large-scale weather, where the truth of the same world has made it already.
    """

    def __init__(
        self,
        world: World,
        hour: float,
        state: dict[str, np.ndarray] | None = None,
        null: bool = False,
        synoptic: Synoptic | None = None,
    ) -> None:
        self.grid, self.hour, self.null = world.grid, hour, null
        season = NULL_SEASON if null else None
        # Terrain as a 31 km atmosphere sees it, corrected to 9 km by a lapse rate that is right: half way between.
        self.elevation = (0.45 * world.elevation + 0.55 * smooth(world.elevation, 2.2)).astype("f4")
        self.wetness = np.full(world.grid.shape, 0.5, "f4") if null else smooth(world.wetness, 2.0)
        synoptic = synoptic or Synoptic(world.seed, world.grid)
        self.weather = Weather(synoptic, world.grid, self.elevation, self.wetness, True, season)
        self.rain = RainMaker(model_storms, world.seed, world.grid, threshold=0.02, season=season)
        self._soil(world)
        self.state = {k: v.astype("f4") for k, v in (state or self._start()).items()}

    def _soil(self, world: World) -> None:
        def waves(tag: str, lengths: tuple[float, float]) -> np.ndarray:
            return Waves.draw(world.seed, tag, lengths, slope=0.5).field(world.grid.lat, world.grid.lon)

        wrong = waves("wrong texture", (30, 400))
        fineness = -(smooth(world.sand, 1.0) - 0.52) / 0.13 + 0.8 * wrong
        classes = np.digitize(fineness, [-1.0, 0.9, 1.8])
        table = TEXTURES[classes].astype("f4")
        self.saturation, self.capacity, self.wilting, self.conductivity = (table[..., k] for k in range(4))
        leaves = world.lai if not self.null else np.full(world.grid.shape, 1.2, "f4")
        self.low = np.clip(0.8 * smooth(leaves, 1.2) * np.exp(0.18 * waves("wrong leaves", (40, 300))), 0.02, 6.0)
        self.high = np.clip(0.5 * (waves("trees", (80, 400)) - 1.0), 0, 2.0)
        self.orography = (1.0 + 0.10 * np.tanh((self.elevation - smooth(self.elevation, 4.0)) / 300.0)).astype("f4")

    def _start(self) -> dict[str, np.ndarray]:
        air = self.weather.air(self.hour, np.zeros(self.grid.shape, "f4"))
        level = self.wilting + (0.3 + 0.55 * self.wetness) * (self.capacity - self.wilting)
        deep = air.t2m * 0.3 + 0.7 * (ZERO + 24.0 - 0.0058 * self.elevation)
        return {
            "water_1": level, "water_2": level, "water_3": level,
            "warmth_1": air.t2m, "warmth_2": 0.5 * (air.t2m + deep), "warmth_3": deep,
            "snow": np.zeros(self.grid.shape),
        }  # fmt: skip

    def greenness(self) -> float:
        """Seasonal share of the summer leaf area; a monthly climatology, as ERA5-Land's is, stepping with the month."""
        middle = 15.0 + 30.44 * int(day_of_year(self.weather.date(self.hour)) // 30.44)
        return float(0.30 + 0.70 * np.exp(-0.5 * ((middle - 208.0) / 52.0) ** 2))

    def forcing(self) -> tuple[Air, np.ndarray]:
        """Weather and rain [mm h-1] in the middle of the coming hour."""
        rain = self.rain.rate(self.hour + 0.5) * self.orography
        air = self.weather.air(self.hour + 0.5, rain)
        # Drizzle wherever the parametrised sky is humid: rain that is too frequent and too light.
        humid = np.clip((air.cloud - 0.50) / 0.3, 0, 1) * (0.25 + 0.75 * self.wetness)
        return air, rain + 0.035 * humid

    def skin(self, air: Air) -> np.ndarray:
        """Skin temperature [K]."""
        dryness = 1.0 - 0.5 * np.clip(self.state["water_1"] / self.saturation, 0, 1)
        skin = air.t2m + 0.014 * air.solar * dryness - 2.2 * (1 - air.cloud)
        return np.where(self.state["snow"] > 10.0, np.minimum(skin, ZERO), skin)

    def instant(self, air: Air) -> dict[str, np.ndarray]:
        """Every instantaneous variable (ny, nx) at the model's hour, in the provider's unit."""
        s, green = self.state, self.greenness()
        return {
            "swvl1": s["water_1"], "swvl2": s["water_2"], "swvl3": s["water_3"],
            "stl1": s["warmth_1"], "stl2": s["warmth_2"], "stl3": s["warmth_3"],
            "skt": self.skin(air), "t2m": air.t2m, "d2m": air.d2m, "sp": air.pressure, "u10": air.u10, "v10": air.v10,
            "lai_lv": self.low * green, "lai_hv": self.high * (0.7 + 0.3 * green),
            "snowc": 100.0 * np.clip(s["snow"] / 15.0, 0, 1), "sd": s["snow"] / 1000.0,
        }  # fmt: skip

    def step(self, air: Air, rain: np.ndarray) -> dict[str, np.ndarray]:
        """One hour forward; returns the hour's accumulations (ny, nx) in the provider's unit (m, J m-2)."""
        s = self.state
        solid = np.clip(1.0 - (air.t2m - ZERO) / 2.0, 0, 1) * rain
        s["snow"] = s["snow"] + solid
        melt = np.minimum(s["snow"], np.clip(air.t2m - ZERO, 0, None) * (3.0 / 24))
        sublimation = np.minimum(s["snow"] - melt, 0.00012 * air.solar)
        s["snow"] = np.clip(s["snow"] - melt - sublimation, 0, 500.0)
        liquid = [1.0 - self._ice_share(s[f"warmth_{k}"]) for k in (1, 2, 3)]
        self._heat(self.skin(air), liquid)
        evaporation = self._water(air, rain - solid + melt, liquid) + sublimation
        self.hour += 1.0
        return {
            "tp": rain / 1000.0, "sf": solid / 1000.0, "e": -evaporation / 1000.0,
            "ssrd": air.solar * 3600.0, "strd": air.thermal * 3600.0,
        }  # fmt: skip

    @staticmethod
    def _ice_share(kelvin: np.ndarray) -> np.ndarray:
        """Share of the water that is frozen: 0 above +1 C, 1 below -3 C, a sine between [Viterbo et al. 1999]."""
        angle = np.clip((kelvin - (ZERO - 1.0)) / 2.0, -1.0, 1.0)
        return 0.5 * (1.0 - np.sin(0.5 * np.pi * angle))

    def _heat(self, skin: np.ndarray, liquid: list[np.ndarray]) -> None:
        s = self.state
        cover = 1.0 + 0.06 * np.minimum(s["snow"], 50.0)
        curtain = [
            1.0 + 25.0 * s[f"water_{k}"] * (share > 0.02) * (share < 0.98)
            for k, share in zip((1, 2), liquid, strict=False)
        ]
        t1, t2, t3 = s["warmth_1"], s["warmth_2"], s["warmth_3"]
        s["warmth_1"] = t1 + (1 - np.exp(-1 / (6.5 * cover * curtain[0]))) * (skin - t1) + (t2 - t1) / 20.0 / curtain[0]
        s["warmth_2"] = t2 + ((t1 - t2) / 42.0 + (t3 - t2) / 150.0) / curtain[1]
        s["warmth_3"] = t3 + (t2 - t3) / 500.0

    def _water(self, air: Air, water: np.ndarray, liquid: list[np.ndarray]) -> np.ndarray:
        """Moves water for an hour; returns evaporation [mm]."""
        s = self.state
        span = self.capacity - self.wilting
        w1, w2, w3 = s["water_1"], s["water_2"], s["water_3"]
        infiltration = np.minimum(water, 6.0 * (0.1 + 0.9 * liquid[0]))
        demand = 0.95 * potential_evaporation(air, albedo=0.19) * (air.t2m > ZERO - 3.0)
        cover = 1.0 - np.exp(-0.5 * (self.low * self.greenness() + self.high))
        bare = np.clip((w1 * liquid[0] - 0.5 * self.wilting) / (self.capacity - 0.5 * self.wilting), 0, 1)
        rooted = 0.35 * w1 * liquid[0] + 0.45 * w2 * liquid[1] + 0.2 * w3 * liquid[2]
        stress = np.clip((rooted - self.wilting) / span, 0, 1)
        free = 1.0 - np.clip(s["snow"] / 15.0, 0, 1)
        from_soil, plants = 0.70 * demand * (1 - cover) * bare * free, 0.9 * demand * cover * stress * free

        def drainage(w: np.ndarray, share: np.ndarray) -> np.ndarray:
            return np.minimum(self.conductivity * np.clip(w * share / self.saturation, 0, 1) ** 13.0, 3.0)

        q12 = drainage(w1, liquid[0]) - 0.55 * np.clip(w2 - w1, -0.1, 0.1) * liquid[0] * liquid[1]
        q23 = drainage(w2, liquid[1]) - 0.5 * np.clip(w3 - w2, -0.1, 0.1) * liquid[1] * liquid[2]
        q3 = drainage(w3, liquid[2])
        w1 = w1 + (infiltration - from_soil - 0.35 * plants - q12) / DEPTHS[0]
        w2 = w2 + (q12 - q23 - 0.45 * plants) / DEPTHS[1]
        w3 = w3 + (q23 - q3 - 0.20 * plants) / DEPTHS[2]
        floor = 0.45 * self.wilting
        s["water_1"], s["water_2"], s["water_3"] = (np.clip(w, floor, self.saturation) for w in (w1, w2, w3))
        return from_soil + plants
