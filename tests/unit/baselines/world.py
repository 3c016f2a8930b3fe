"""Innovations of known covariance: retrievals drawn exactly from the model."""

from __future__ import annotations

import numpy as np

from pscnet.baselines.covariance import Covariance, Spacing
from pscnet.samples.retrievals import Retrievals, RetrievalSet

KNOWN = Covariance(variance=0.03**2, length_km=120.0, days=4.0, white=0.03, shared=0.02, shared_km=60.0)
NOISE = 0.04


def square(cells: int) -> Spacing:
    """Cells of 36 km."""
    return Spacing(np.full(cells, 36.0), np.full(cells, 36.0))


def simulate(covariance: Covariance, days: int = 45, cells: int = 9, share: float = 0.35, seed: int = 0) -> Retrievals:
    """Retrievals (slot, y, x) on a square of cells: half of the half-orbits pass, each sees about 70 % of the cells.

    A third of the retrievals has 1.4 times the noise. The value is the innovation: the background is 0.
    """
    rng = np.random.default_rng(seed)
    date = np.repeat(np.arange("2020-05-01", np.datetime64("2020-05-01") + days, dtype="M8[D]").astype("M8[ns]"), 2)
    shape = (2 * days, cells, cells)
    start = date + np.tile([0, 12 * 3600], days).astype("m8[s]")
    time = start[:, None, None] + rng.integers(0, 240, shape).astype("m8[s]")
    seen = (rng.random((2 * days, 1, 1)) < 2 * share) & (rng.random(shape) < 0.7)
    time = np.where(seen, time, np.datetime64("NaT"))
    scale = np.where(rng.random(shape) < 1 / 3, 1.4, 1.0)
    slot, y, x = np.nonzero(seen)
    age = (time[seen] - date[0]) / np.timedelta64(1, "D")
    matrix = covariance.matrix(-36.0 * y, 36.0 * x, age, scale[seen])
    innovation = np.full(shape, np.nan, "f4")
    innovation[slot, y, x] = np.linalg.cholesky(matrix) @ rng.standard_normal(slot.size)
    noise = np.where(seen, NOISE * scale, np.nan).astype("f4")
    return Retrievals(date, time, innovation.copy(), noise, innovation, NOISE)


def retrieval_set(age, innovation, weight) -> RetrievalSet:
    """One answer; arrays (slot, y, x)."""
    age, innovation, weight = (np.asarray(part, "f4")[None] for part in (age, innovation, weight))
    there = weight > 0
    return RetrievalSet(*(np.where(there, part, 0.0).astype("f4") for part in (age, weight, innovation, innovation)))
