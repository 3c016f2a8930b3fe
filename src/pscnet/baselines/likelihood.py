"""Which covariance makes the training retrievals most likely.

Blocks of 7 x 7 cells and twice the window's days are drawn around random training retrievals; of each, at most
:data:`BLOCK_SIZE` retrievals, at random. Their Gaussian log-likelihoods are added up as if blocks were independent (a
composite likelihood of small blocks: Caragea and Smith 2007, Journal of Multivariate Analysis 98, 1417; Varin, Reid
and Firth 2011, Statistica Sinica 21, 5) and maximised over the logarithms of the six parameters, with the gradient in
closed form. Neighbours in one overpass and the same neighbours in the next tell the shared noise from the signal.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from pscnet.baselines.covariance import (
    Covariance,
    Spacing,
    differences,
    products,
    same_overpass,
    write_covariances,
)
from pscnet.baselines.rescaling import BACKGROUNDS
from pscnet.samples.bands import SampleError
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.timeaxis import Split
from pscnet.weights import read_weights

logger = logging.getLogger(__name__)

#: Blocks drawn, and most retrievals of each (ours): other draws of the demo change the noise by about 5 %, variance,
#: lengths and time by 10 to 20 %.
BLOCKS, BLOCK_SIZE = 500, 80

#: Half a block's side [coarse cell].
BLOCK_REACH = 3

#: Fewest training retrievals.
FEWEST = 30

#: Bounds of the parameters, in the order of :class:`Covariance`. Noise that is alike over less than a cell's width of
#: 36 km cannot be told from white noise.
BOUNDS = ((1e-7, 0.1), (18.0, 2000.0), (0.25, 200.0), (1e-3, 0.3), (1e-4, 0.3), (36.0, 1000.0))

#: Where the search starts: variance and standard deviations of noise as shares of the innovations' own, the lengths
#: [km] and the time [day] as they are.
START = (0.4, 120.0, 6.0, 0.6, 0.4, 60.0)

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Blocks:
    """Retrievals drawn in blocks.

    Attributes
    ----------
    north, east : ndarray (block, retrieval) [km]
    time : ndarray (block, retrieval) [day]
    innovation : ndarray (block, retrieval) [m3 m-3]
    scale : ndarray (block, retrieval)
        Noise relative to a recommended retrieval's; infinite where a block has fewer retrievals.
    """

    north: np.ndarray
    east: np.ndarray
    time: np.ndarray
    innovation: np.ndarray
    scale: np.ndarray


def draw_blocks(
    retrievals: Retrievals,
    use: np.ndarray,
    spacing: Spacing,
    window_days: float,
    seed: int = 0,
    count: int = BLOCKS,
    size: int = BLOCK_SIZE,
) -> Blocks:
    """Draw blocks of the retrievals that may be used.

    Parameters
    ----------
    retrievals : Retrievals
    use : ndarray (slot, y, x) bool
        Retrievals of the training split.
    spacing : Spacing
    window_days : float
        Half a block's length [day].
    seed, count, size : int
        Of the draw; blocks; most retrievals of a block.
    """
    slot, y, x = np.nonzero(use)
    time = (retrievals.time[slot, y, x] - retrievals.date[0]) / _DAY
    innovation = retrievals.innovation[slot, y, x].astype("f8")
    scale = 1.0 / np.sqrt(retrievals.precision[slot, y, x].astype("f8"))
    rng = np.random.default_rng(seed)
    drawn = []
    for centre in rng.choice(slot.size, min(count, slot.size), replace=False):
        near = (np.abs(y - y[centre]) <= BLOCK_REACH) & (np.abs(x - x[centre]) <= BLOCK_REACH)
        near = np.flatnonzero(near & (np.abs(time - time[centre]) <= window_days))
        near = rng.permutation(near)[:size]
        north = (y[centre] - y[near]) * spacing.height[y[centre]]
        east = (x[near] - x[centre]) * spacing.width[y[centre]]
        columns = (north, east, time[near] - time[centre], innovation[near], scale[near])
        gaps = size - near.size
        drawn.append(
            [
                np.pad(column, (0, gaps), constant_values=fill)
                for column, fill in zip(columns, (0, 0, 0, 0, np.inf), strict=True)
            ]
        )
    return Blocks(*(np.stack(columns) for columns in zip(*drawn, strict=True)))


class Likelihood:
    """Mean negative log-likelihood of a retrieval, and its gradient, as a function of the parameters' logarithms."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.there = np.isfinite(blocks.scale)
        self.pairs = self.there[..., :, None] & self.there[..., None, :]
        self.distance = np.hypot(differences(blocks.north), differences(blocks.east))
        self.lag = np.abs(differences(blocks.time))
        noise = np.where(self.there, blocks.scale, 0.0)
        self.noise = noise**2
        self.together = (same_overpass(self.lag) & self.pairs).nonzero()
        self.shared_distance = self.distance[self.together]
        self.shared_noise = products(noise)[self.together]

    def __call__(self, logarithms: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (parameter,) at the logarithms (parameter,) of the parameters."""
        covariance = Covariance(*np.exp(logarithms))
        signal = covariance.signal(self.distance, self.lag) * self.pairs
        shared = covariance.shared_noise(self.shared_distance) * self.shared_noise
        white = covariance.white**2 * self.noise
        matrix = signal.copy()
        matrix[self.together] += shared
        diagonal = np.arange(white.shape[-1])
        matrix[..., diagonal, diagonal] += np.where(self.there, white, 1.0)
        root = np.linalg.cholesky(matrix)
        inverse = np.linalg.inv(matrix)
        solved = (inverse @ self.blocks.innovation[..., None])[..., 0]
        fit = 0.5 * (solved * self.blocks.innovation).sum()
        value = np.log(root[..., diagonal, diagonal]).sum() + fit
        # d value / d p = tr((C^-1 - a a') dC/dp) / 2 with a = C^-1 d (Rasmussen and Williams 2006, eq. 5.9)
        outer = inverse - products(solved)
        pulled = outer * signal
        shared_pulled = outer[self.together] * shared
        gradient = 0.5 * np.array(
            [
                pulled.sum(),
                np.vdot(pulled, self.distance) / covariance.length_km,
                np.vdot(pulled, self.lag) / covariance.days,
                2.0 * (outer[..., diagonal, diagonal] * white).sum(),
                2.0 * shared_pulled.sum(),
                (shared_pulled * (self.shared_distance / covariance.shared_km) ** 2).sum(),
            ]
        )
        count = self.there.sum()
        return float(value / count), gradient / count


def fit_covariance(blocks: Blocks) -> tuple[Covariance, float]:
    """The most likely covariance, and its log-likelihood for each retrieval."""
    likelihood = Likelihood(blocks)
    spread = float(blocks.innovation[likelihood.there].std())
    units = np.array([spread**2, 1.0, 1.0, spread, spread, 1.0])
    low, high = np.log(np.array(BOUNDS)).T
    start = np.clip(np.log(np.array(START) * units), low, high)
    found = minimize(likelihood, start, jac=True, method="L-BFGS-B", bounds=list(zip(low, high, strict=True)))
    return Covariance(*(float(value) for value in np.exp(found.x))), -float(found.fun)


def write_covariance(
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    normaliser: str | Path,
    weights: Mapping[str, str | Path],
    split: Split,
    window_days: float,
    output: str | Path,
) -> None:
    """Fit the covariance of every background's innovations on the training split.

    Parameters
    ----------
    coarse, smap : paths of consecutive months that hold the training split
    static, normaliser : paths
    weights : paths of the weight files ``fine_to_coarse`` and ``coarse_to_fine``
    split : Split
    window_days : reach of the retrieval window [day]
    output : path to write

    Raises
    ------
    SampleError
        When the training split holds too few retrievals.
    """
    statistics = Normaliser.read(normaliser)
    conservative, bilinear = read_weights(weights["fine_to_coarse"]), read_weights(weights["coarse_to_fine"])
    with xr.open_dataset(static) as data:
        land = data["land"].values > 0
    found, facts = {}, {}
    for name, make in BACKGROUNDS.items():
        background = make(statistics, land, conservative, bilinear)
        retrievals = Retrievals.from_files(smap, coarse, background, statistics.noise)
        use = (retrievals.precision > 0) & split.usable("train", retrievals.stamp)
        if use.sum() < FEWEST:
            raise SampleError(
                f"covariance of {name}: {int(use.sum())} training retrievals have ERA5-Land beside them, at least "
                f"{FEWEST} expected: lengthen split.train, or set smap.quality: lenient"
            )
        blocks = draw_blocks(retrievals, use, Spacing.of(conservative.dst), window_days)
        found[name], likelihood = fit_covariance(blocks)
        facts[name] = {
            "log_likelihood": likelihood,
            "training_retrievals": int(use.sum()),
            "blocks": int(blocks.scale.shape[0]),
            "innovation_std": float(retrievals.innovation[use].std()),
        }
        logger.info("%s: %s, log-likelihood %.4f a retrieval", name, found[name], likelihood)
    write_covariances(found, {"fit": facts}, output)
