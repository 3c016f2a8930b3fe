"""The truth: a bucket model of water and warmth in the soil, hour by hour.

Two layers (0-5 cm, 5-40 cm) hold liquid water and ice; a third, slow temperature lies below. Snow lies on top. Rain
infiltrates, drains by texture and climbs back by suction; sun, warmth and moisture set evaporation; soil water
freezes over a range of temperatures and its latent heat holds the temperature at the freezing point meanwhile.
Constants without a source are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pscnet.twin.storms import RainMaker, true_storms
from pscnet.twin.weather import ZERO, Air, Synoptic, Weather, potential_evaporation
from pscnet.twin.world import World

TOP, ROOT = 50.0, 350.0  # mm of soil in the layers
LATENT = 334.0e6  # J m-3 of liquid water that freezes
#: Names of the restart fields.
STATE = ("top", "root", "warmth_top", "warmth_root", "warmth_deep", "snow")


@dataclass(frozen=True)
class Soil:
    """What the truth shows at one hour, each (ny, nx) float32 or bool."""

    liquid: np.ndarray  # m3 m-3, 0-5 cm
    frozen: np.ndarray  # bool
    snow: np.ndarray  # bool: more than 1 mm of snow water
    temperature: np.ndarray  # K, 0-5 cm
    skin: np.ndarray  # K
    rain: np.ndarray  # mm h-1


class Truth:
    """The true land surface; ``state`` holds :data:`STATE`, each (ny, nx) float32.

    ``state`` None starts from a plausible profile: run it for some weeks before believing it.
    """

    def __init__(
        self,
        world: World,
        hour: float,
        state: dict[str, np.ndarray] | None = None,
        synoptic: Synoptic | None = None,
    ) -> None:
        self.world = world
        self.synoptic = synoptic or Synoptic(world.seed, world.grid)
        self.weather = Weather(self.synoptic, world.grid, world.elevation, world.wetness)
        self.rain = RainMaker(true_storms, world.seed, world.grid, threshold=0.12)
        # Slopes catch rain: up to a third more on crests and 15 % less in valleys (ours).
        self.orography = (1.0 + 0.25 * world.position).astype("f4")
        self.hour = hour
        self._parameters()
        self.state = {k: v.astype("f4") for k, v in (state or self._start(hour)).items()}

    def _parameters(self) -> None:
        w = self.world
        self.conductivity = (0.8 + 13.0 * (w.sand - 0.15) ** 1.5).astype("f4")  # mm h-1 at saturation
        self.exponent = (6.5 + 20.0 * w.clay).astype("f4")  # 2 b + 3, near Clapp & Hornberger 1978
        self.residual = (0.015 + 0.16 * w.clay + 0.04 * w.organic).astype("f4")
        self.cover = (1.0 - np.exp(-0.55 * w.lai)).astype("f4")
        self.slow = (1.0 - 0.45 * w.position).astype("f4")  # crests shed water, valley floors keep it
        self.capacity_top = (1.6e6 + 1.2e6 * w.organic).astype("f4")  # J m-3 K-1, without water

    def _start(self, hour: float) -> dict[str, np.ndarray]:
        w = self.world
        air = self.weather.air(hour, np.zeros(w.grid.shape, "f4"))
        level = (0.22 + 0.42 * w.wetness) * w.porosity
        return {
            "top": level,
            "root": level + 0.02,
            "warmth_top": air.t2m,
            "warmth_root": air.t2m,
            "warmth_deep": ZERO + 25.5 + 2.5 - 0.0058 * w.elevation - 0.7 * (w.grid.lat[:, None] - 32.0),
            "snow": np.zeros(w.grid.shape),
        }

    def unfrozen(self, kelvin: np.ndarray) -> np.ndarray:
        """Water that stays liquid at a temperature (ny, nx) [m3 m-3]: all at 0 C, films in the finest pores at -5."""
        cold = np.clip(kelvin - ZERO, -40.0, 0.0)
        return self.residual + (self.world.porosity - self.residual) * np.exp(cold / 0.7)

    def show(self, air: Air, rain: np.ndarray) -> Soil:
        """The surface as it is now, under the given weather."""
        s = self.state
        liquid = np.minimum(s["top"], self.unfrozen(s["warmth_top"]))
        skin = self._skin(air, liquid)
        # Half a degree below zero, or a quarter of the water turned to ice.
        frozen = (s["warmth_top"] < ZERO - 0.5) | (s["top"] - liquid > 0.25 * s["top"])
        return Soil(liquid, frozen, s["snow"] > 1.0, s["warmth_top"], skin, rain)

    def _skin(self, air: Air, liquid: np.ndarray) -> np.ndarray:
        """Skin temperature [K]: dry ground heats up in the sun and cools under a clear night sky."""
        dryness = 1.0 - 0.6 * liquid / self.world.porosity
        skin = air.t2m + 0.016 * air.solar * dryness * (1 - 0.35 * self.cover) - 3.0 * (1 - air.cloud)
        return np.where(self.state["snow"] > 1.0, np.minimum(skin, ZERO), skin)

    def forcing(self) -> tuple[Air, np.ndarray]:
        """Weather and rain [mm h-1] in the middle of the coming hour."""
        rain = self.rain.rate(self.hour + 0.5) * self.orography
        return self.weather.air(self.hour + 0.5, rain), rain

    def step(self, air: Air, rain: np.ndarray) -> None:
        """One hour forward."""
        s = self.state
        liquid = np.minimum(s["top"], self.unfrozen(s["warmth_top"]))
        skin = self._skin(air, liquid)
        water = self._snow(air, rain)
        self._heat(skin)
        self._water(air, water, liquid)
        self.hour += 1.0

    def _snow(self, air: Air, rain: np.ndarray) -> np.ndarray:
        """Snow falls (half of the rain at 1 C), melts 4 mm a day and degree, sublimes; returns liquid water [mm]."""
        s = self.state
        solid = np.clip(1.0 - (air.t2m - ZERO) / 2.0, 0, 1)
        s["snow"] = s["snow"] + rain * solid
        melt = np.minimum(
            s["snow"], np.clip(air.t2m - ZERO, 0, None) * (4.0 / 24) + 0.0012 * air.solar * (air.t2m > 270)
        )
        # The dry, sunny air takes thin snow away within days: Plateau snow is shallow and patchy.
        s["snow"] = np.clip(s["snow"] - melt - 0.00018 * air.solar, 0, 300.0)
        return rain * (1 - solid) + melt

    def _heat(self, skin: np.ndarray) -> None:
        """Force-restore temperatures; freezing water multiplies the heat capacity (the zero curtain)."""
        s = self.state
        cold = np.clip(s["warmth_top"] - ZERO, -40.0, 0.5)
        # Derivative of the freezing curve, where there is water to freeze or ice to melt.
        steepness = np.where((cold < 0.3) & (s["top"] > self.residual), np.exp(np.minimum(cold, 0) / 0.7) / 0.7, 0.0)
        available = np.minimum((self.world.porosity - self.residual) * steepness, (s["top"] - self.residual) / 0.7)
        capacity = self.capacity_top + 4.2e6 * s["top"]
        slow = 1.0 + LATENT * np.clip(available, 0, None) / capacity
        cover = 1.0 + np.minimum(s["snow"], 30.0) * 0.15 + 0.4 * self.cover
        share = 1.0 - np.exp(-1.0 / (6.0 * cover * slow))
        back = 1.0 - np.exp(-1.0 / (14.0 * slow))
        exchange = s["warmth_root"] - s["warmth_top"]
        s["warmth_top"] = s["warmth_top"] + share * (skin - s["warmth_top"]) + back * exchange
        curtain = 1.0 + 12.0 * np.clip(s["root"], 0, 0.5) * (np.abs(s["warmth_root"] - ZERO) < 0.6)
        gain = (s["warmth_top"] - s["warmth_root"]) / 60.0 + (s["warmth_deep"] - s["warmth_root"]) / 700.0
        s["warmth_root"] = s["warmth_root"] + gain / curtain

    def _water(self, air: Air, water: np.ndarray, liquid: np.ndarray) -> None:
        """Infiltration, evaporation, drainage and capillary rise over an hour."""
        s, w = self.state, self.world
        open_pores = np.clip(1.0 - (s["top"] - liquid) / w.porosity, 0.05, 1.0)
        infiltration = np.minimum(water, 2.5 * self.conductivity * open_pores**4)
        liquid_root = np.minimum(s["root"], self.unfrozen(s["warmth_root"]))
        wet_top, wet_root = np.clip(liquid / w.porosity, 0, 1), np.clip(liquid_root / w.porosity, 0, 1)

        demand = potential_evaporation(air) * np.clip((air.t2m - ZERO + 4.0) / 8.0, 0.0, 1.0)
        bare = np.clip((liquid - self.residual) / (0.62 * w.porosity - self.residual), 0, 1)
        roots = np.clip((0.65 * liquid_root + 0.35 * liquid - self.residual) / (0.45 * w.porosity), 0, 1)
        warm = np.clip((s["warmth_root"] - ZERO) / 6.0, 0, 1)
        free = s["snow"] < 1.0
        from_soil = 0.60 * demand * (1 - self.cover) * bare * free
        plants = 0.70 * demand * self.cover * roots * warm * free
        top_share = 0.30

        drain = np.minimum(self.conductivity * wet_top**self.exponent, 6.0)
        suction = 0.9 * (wet_root - wet_top - 0.02) * np.sqrt(np.clip(wet_root * wet_top, 1e-4, 1))
        down = np.minimum(drain, np.clip(liquid - self.residual, 0, None) * TOP * 0.4)
        up = np.clip(suction, -0.6, 0.6) * open_pores**2
        loss = from_soil + top_share * plants + down
        s["top"] = s["top"] + (infiltration + up - loss) / TOP
        excess = np.clip(s["top"] - w.porosity * 0.98, 0, None) * TOP  # runs off
        dry = np.clip(self.residual * 0.9 - s["top"], 0, None)
        s["top"] = s["top"] - excess / TOP + dry
        base = np.minimum(0.5 * self.conductivity * wet_root ** (self.exponent + 1.0) / self.slow.clip(0.5), 3.0)
        gone = (1 - top_share) * plants + up + np.minimum(base, np.clip(liquid_root - 0.05, 0, None) * ROOT * 0.02)
        s["root"] = np.clip(s["root"] + (down - gone - dry * TOP) / ROOT, 0.02, w.porosity * 0.99)
