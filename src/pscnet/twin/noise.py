"""Seeded randomness that depends on a name, a place and a moment, never on what was drawn before.

A :class:`Waves` is a sum of plane waves with random phases: a smooth Gaussian random field that can be evaluated at any
latitude, longitude and time. Two boxes that overlap therefore see the same world, and a month sees the same
weather whichever months ran before it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

#: Kilometres a degree of latitude; of longitude at the Plateau's middle latitude (33 N), used everywhere so that the
#: fields stay functions of longitude and latitude alone (ours).
KM_LAT, KM_LON = 111.2, 93.4


def generator(seed: int, tag: str, *numbers: int) -> np.random.Generator:
    """A random generator of its own for a seed, a name and any whole numbers (a day, an orbit)."""
    return np.random.default_rng([int(seed), zlib.crc32(tag.encode()), *(int(number) for number in numbers)])


@dataclass(frozen=True)
class Waves:
    """A random field of mean 0 and standard deviation 1 over (lat, lon[, time]).

    Attributes
    ----------
    ky, kx : ndarray (modes,) [rad per degree of latitude, of longitude]
    omega : ndarray (modes,) [rad per day]
    phase, amplitude : ndarray (modes,) [rad], [1]
    """

    ky: np.ndarray
    kx: np.ndarray
    omega: np.ndarray
    phase: np.ndarray
    amplitude: np.ndarray

    @classmethod
    def draw(
        cls,
        seed: int,
        tag: str,
        lengths: tuple[float, float],
        slope: float = 1.0,
        periods: tuple[float, float] | None = None,
        modes: int = 96,
    ) -> Waves:
        """Draw wavelengths between ``lengths`` [km] and periods between ``periods`` [day], both log-uniform.

        ``slope`` is the exponent with which a wave's amplitude grows with its wavelength (1: red, terrain-like).
        """
        rng = generator(seed, tag)
        length = np.exp(rng.uniform(*np.log(lengths), modes))
        direction = rng.uniform(0, 2 * np.pi, modes)
        k = 2 * np.pi / length
        omega = np.zeros(modes)
        if periods is not None:
            omega = 2 * np.pi / np.exp(rng.uniform(*np.log(periods), modes)) * rng.choice([-1.0, 1.0], modes)
        amplitude = length**slope * rng.uniform(0.5, 1.5, modes)
        amplitude *= np.sqrt(2.0 / np.sum(amplitude**2))
        phase = rng.uniform(0, 2 * np.pi, modes)
        return cls(k * np.sin(direction) * KM_LAT, k * np.cos(direction) * KM_LON, omega, phase, amplitude)

    def stretched(self, factor: float) -> Waves:
        """The same waves with wave numbers along the parallel multiplied by ``factor``."""
        return replace(self, kx=self.kx * factor)

    def field(self, lat: np.ndarray, lon: np.ndarray, day: float = 0.0) -> np.ndarray:
        """Values (lat.size, lon.size) float32 on a rectilinear grid at a time [day since 1970].

        A plane wave is the product of a wave in latitude and one in longitude: the sum is one matrix product.
        """
        return self.on(lat, lon).at(day)

    def on(self, lat: np.ndarray, lon: np.ndarray) -> Gridded:
        """The field prepared for many times on one rectilinear grid."""
        along_lon = np.outer(lon, self.kx)
        columns = np.concatenate([np.cos(along_lon), np.sin(along_lon)], axis=1).astype("f4").T
        return Gridded(self, np.outer(lat, self.ky), np.ascontiguousarray(columns))

    def at(self, lat: np.ndarray, lon: np.ndarray, day: np.ndarray | float = 0.0) -> np.ndarray:
        """Values (n,) at n places, and times where ``day`` is an array (n,)."""
        angle = np.outer(lat, self.ky) + np.outer(lon, self.kx) + np.multiply.outer(np.asarray(day), self.omega)
        return np.cos(angle + self.phase) @ self.amplitude


@dataclass(frozen=True)
class Gridded:
    """Waves on a grid: what does not change with time, made once."""

    waves: Waves
    along_lat: np.ndarray
    columns: np.ndarray

    def at(self, day: float) -> np.ndarray:
        """Values (ny, nx) float32 at a time [day since 1970]."""
        angle = self.waves.phase + self.waves.omega * day + self.along_lat
        rows = np.concatenate([self.waves.amplitude * np.cos(angle), -self.waves.amplitude * np.sin(angle)], axis=1)
        return rows.astype("f4") @ self.columns
