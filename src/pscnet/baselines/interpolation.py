"""Optimal interpolation: a background plus kriged innovations, at footprints and on the fine grid.

::

    answer(p, t) = background(p, t) + increment(p, t)

The increment is kriged on the coarse cells (:mod:`pscnet.baselines.kriging`) and interpolated bilinearly to the fine
grid, whose detail is the background's own. With rescaled ERA5-Land as background this is optimal interpolation, with
SMAP's mean it is kriged SMAP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pscnet.baselines.covariance import Covariance, Spacing, read_covariances
from pscnet.baselines.kriging import krige
from pscnet.baselines.rescaling import BACKGROUNDS
from pscnet.regrid import apply
from pscnet.samples.background import Background
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.weights import Weights


@dataclass(frozen=True)
class Interpolator:
    """One background, its innovations and their covariance.

    Attributes
    ----------
    background : Background
    retrievals : Retrievals
        With innovations against this background.
    covariance : Covariance
    bilinear : Weights
        Coarse to fine.
    window_days : float
        Largest age of a retrieval, on both sides [day].
    """

    background: Background
    retrievals: Retrievals
    covariance: Covariance
    bilinear: Weights
    window_days: float

    def increments(
        self, times: Sequence[np.datetime64], leave_out_hours: float | None, wanted: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Kriged increments and their standard deviation (answer, y, x) [m3 m-3].

        Parameters
        ----------
        times : times of the answers
        leave_out_hours : float or None
            Retrievals this near in time [hour], in any cell, are left out; None uses all.
        wanted : ndarray (y, x) bool, optional
            Cells to be answered; the others get 0.
        """
        seen = self.retrievals.around(times, self.window_days, leave_out_hours)
        return krige(seen, self.covariance, Spacing.of(self.bilinear.src), wanted)

    def at_footprints(
        self, times: Sequence[np.datetime64], soil_water: np.ndarray, leave_out_hours: float | None
    ) -> np.ndarray:
        """The answer as SMAP would see it (answer, y, x) [m3 m-3], from coarse ERA5-Land (answer, y, x)."""
        return self.background.coarse(soil_water) + self.increments(times, leave_out_hours)[0]

    def on_fine_grid(
        self, times: Sequence[np.datetime64], soil_water: np.ndarray, leave_out_hours: float | None, region: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The answer and its standard deviation (answer, lat, lon) [m3 m-3].

        Parameters
        ----------
        times, leave_out_hours : see :meth:`increments`
        soil_water : ndarray (answer, lat, lon)
            ERA5-Land's on the fine grid [m3 m-3].
        region : ndarray (lat, lon) bool
            Where answers are wanted.

        Returns
        -------
        field, std : ndarray (answer, lat, lon) float32 [m3 m-3]
            The standard deviation is that of a footprint's mean: detail within it is not known.
        """
        wanted = (self.bilinear.matrix[region.ravel()].getnnz(axis=0) > 0).reshape(self.bilinear.src_shape)
        increment, std = self.increments(times, leave_out_hours, wanted)
        std = np.where(wanted, std, 0.0)
        field = self.background.field(soil_water) + apply(self.bilinear, increment)[0]
        return field.astype("f4"), apply(self.bilinear, std)[0].astype("f4")


def read_interpolators(
    smap: Sequence[str | Path],
    coarse: Sequence[str | Path],
    covariance: str | Path,
    normaliser: Normaliser,
    land: np.ndarray,
    weights: Mapping[str, Weights],
    window_days: float,
    causal: bool = False,
) -> dict[str, Interpolator]:
    """An interpolator of each method of :data:`~pscnet.baselines.rescaling.BACKGROUNDS`.

    Parameters
    ----------
    smap, coarse : paths of consecutive months, see :meth:`pscnet.samples.retrievals.Retrievals.from_files`
    covariance : path of the fitted covariances
    normaliser : Normaliser
    land : ndarray (lat, lon) bool
    weights : ``fine_to_coarse`` and ``coarse_to_fine``
    window_days : float [day]
    causal : bool
        Past retrievals only.
    """
    fitted = read_covariances(covariance)
    made = {}
    for name, background_of in BACKGROUNDS.items():
        background = background_of(normaliser, land, weights["fine_to_coarse"], weights["coarse_to_fine"])
        retrievals = Retrievals.from_files(smap, coarse, background, normaliser.noise, causal)
        made[name] = Interpolator(background, retrievals, fitted[name], weights["coarse_to_fine"], window_days)
    return made
