"""How innovations vary together: a model of signal and noise with six parameters, and the file that keeps them.

::

    cov(d_i, d_j) = variance * exp(-h / length_km) * exp(-|t_i - t_j| / days)           what is wanted: the signal
                  + shared^2 * exp(-(h / shared_km)^2 / 2) * r_i * r_j                  noise of one overpass
                  + white^2 * r_i^2   where i = j                                       noise of one retrieval

with ``d`` an innovation (retrieval minus background), ``h`` the distance of the cells' centres and ``r`` the standard
deviation of a retrieval's noise relative to a recommended one's. The second line counts within one overpass only.
:mod:`pscnet.baselines.likelihood` fits the parameters. The signal is exponential in both: smoother shapes were not
more likely on the demo's training split. The shared noise is smooth at short distances, so that it can be told from
the white one on cells 36 km apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pscnet.grids import Grid
from pscnet.sources.atomic import replacing

#: Retrievals of one overpass over a region lie closer in time than this [day]; those of the next orbit come 98 minutes
#: (0.07 days) later.
SAME_OVERPASS_DAYS = 0.03

#: Mean radius of the Earth [km] (IUGG).
_EARTH_KM = 6371.0


@dataclass(frozen=True)
class Covariance:
    """Parameters of the model above.

    Attributes
    ----------
    variance : float [(m3 m-3)^2]
    length_km, days : float
        Decay of the signal in space [km] and in time [day].
    white, shared : float [m3 m-3]
        Standard deviation of a recommended retrieval's noise: its own part, and the part that neighbours in the same
        overpass have in common.
    shared_km : float [km]
    """

    variance: float
    length_km: float
    days: float
    white: float
    shared: float
    shared_km: float

    def signal(self, distance: np.ndarray, lag: np.ndarray) -> np.ndarray:
        """Covariance [(m3 m-3)^2] of the signal at a ``distance`` [km] and a time ``lag`` [day]."""
        return self.variance * np.exp(-distance / self.length_km - np.abs(lag) / self.days)

    def shared_noise(self, distance: np.ndarray) -> np.ndarray:
        """Covariance [(m3 m-3)^2] of the noise of two recommended retrievals of one overpass, the white part aside."""
        return self.shared**2 * np.exp(-0.5 * (distance / self.shared_km) ** 2)

    def matrix(self, north: np.ndarray, east: np.ndarray, time: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Covariance of retrievals among each other.

        Parameters
        ----------
        north, east : ndarray (..., retrieval) [km]
        time : ndarray (..., retrieval) [day]
        scale : ndarray (..., retrieval)
            Noise relative to a recommended retrieval's; infinite where there is no retrieval: its row and column are
            those of the unit matrix.

        Returns
        -------
        ndarray (..., retrieval, retrieval) [(m3 m-3)^2]
        """
        there = np.isfinite(scale)
        noise = np.where(there, scale, 0.0)
        distance, lag = np.sqrt(differences(north) ** 2 + differences(east) ** 2), np.abs(differences(time))
        made = self.signal(distance, lag)
        together = same_overpass(lag).nonzero()
        made[together] += self.shared_noise(distance[together]) * products(noise)[together]
        made *= products(there)
        diagonal = np.arange(scale.shape[-1])
        made[..., diagonal, diagonal] += np.where(there, (noise * self.white) ** 2, 1.0)
        return made


def differences(values: np.ndarray) -> np.ndarray:
    """Differences (..., n, n) between all pairs of the last axis (..., n)."""
    return values[..., :, None] - values[..., None, :]


def products(values: np.ndarray) -> np.ndarray:
    """Products (..., n, n) of all pairs of the last axis (..., n)."""
    return values[..., :, None] * values[..., None, :]


def same_overpass(lag: np.ndarray) -> np.ndarray:
    """Whether retrievals a time ``lag`` [day] apart belong to one overpass."""
    return lag < SAME_OVERPASS_DAYS


@dataclass(frozen=True)
class Spacing:
    """Height and width of the coarse cells of each row (y,) [km]."""

    height: np.ndarray
    width: np.ndarray

    @classmethod
    def of(cls, grid: Grid) -> Spacing:
        """The spacing of a grid of straight rows and columns."""
        north, east = np.deg2rad(np.diff(grid.lat_edges)), np.deg2rad(np.diff(grid.lon_edges).mean())
        return cls(np.abs(north) * _EARTH_KM, east * _EARTH_KM * np.cos(np.deg2rad(grid.lat)))


def write_covariances(found: Mapping[str, Covariance], facts: Mapping[str, Any], path: str | Path) -> None:
    """Write the parameters of each method, and facts about the fit, as JSON."""
    document = {"covariance": {name: asdict(covariance) for name, covariance in found.items()}, **facts}
    with replacing(path) as part:
        part.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_covariances(path: str | Path) -> dict[str, Covariance]:
    """Read what :func:`write_covariances` wrote: method to parameters."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    return {name: Covariance(**parameters) for name, parameters in document["covariance"].items()}
