"""The lasting fine pattern: which fields go with wetter and drier ground inside a 36 km cell.

No footprint sees inside itself, and a flexible net, asked for detail that its loss does not judge, makes detail up. But
neighbouring cells differ too, and what makes a cell wetter than its neighbours (height, rain, soil water of the model)
makes a pixel wetter than its surroundings. So a ridge regression with few coefficients is fitted to the local
anomalies of the *cells*, and applied to the anomalies of the *pixels* from their cells (ours). Its penalty is chosen by
leaving out blocks of cells; where no field predicts left-out cells better than nothing does, the pattern is zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from pscnet.regrid import apply
from pscnet.weights import Weights

#: Side of the neighbourhood [coarse cells] from which a cell's local anomaly is taken.
NEIGHBOURHOOD = 3

#: Penalties tried, as shares of the number of cells.
PENALTIES = tuple(10.0**exponent for exponent in np.arange(-2.0, 2.51, 0.5))

#: Blocks of cells left out in turn, along each axis.
BLOCKS = 4

#: A field whose local anomalies are a smaller share of its size than this is constant but for rounding in float32.
CONSTANT_SHARE = 1e-6

#: Fewest cells from which a pattern is fitted.
FEWEST_CELLS = 30


def fine_pattern(
    fields: Mapping[str, np.ndarray],
    climate: np.ndarray,
    observed: np.ndarray,
    land: np.ndarray,
    conservative: Weights,
    bilinear: Weights,
) -> tuple[np.ndarray, dict[str, float]]:
    """Fit and apply the pattern.

    Parameters
    ----------
    fields : name to ndarray (lat, lon)
        Lasting fields: training means of predictors, terrain.
    climate : ndarray (y, x) [m3 m-3]
        Mean soil moisture of each cell as SMAP sees it.
    observed : ndarray (y, x) bool
        Cells with enough retrievals and land.
    land : ndarray (lat, lon) bool
    conservative, bilinear : Weights
        Fine to coarse, coarse to fine.

    Returns
    -------
    pattern : ndarray (lat, lon) [m3 m-3]
        Its mean over each cell is about zero.
    coefficients : dict
        Change of soil moisture [m3 m-3] for one standard deviation of each field's local anomaly; empty where
        there is no pattern.
    """
    details, anomalies, sizes = [], [], []
    for field in fields.values():
        means = apply(conservative, np.where(land, field, np.nan))[0]
        filled = np.where(np.isfinite(means), means, np.nanmean(means))
        details.append(np.where(land, field - apply(bilinear, filled)[0], 0.0))
        anomalies.append(local_anomaly(means, observed))
        sizes.append(np.nanmax(np.abs(filled), initial=0.0))
    target = local_anomaly(climate, observed)
    used = observed & np.isfinite(target) & np.isfinite(anomalies).all(0)
    nothing = np.zeros(land.shape, "f4")
    if used.sum() < FEWEST_CELLS:
        return nothing, {}
    design = np.stack([anomaly[used] for anomaly in anomalies], 1).astype("f8")
    scale = design.std(0)
    varying = scale > np.maximum(CONSTANT_SHARE * np.array(sizes), 1e-12)
    if not varying.any():
        return nothing, {}
    design = design[:, varying] / scale[varying]
    weights = ridge(design, target[used].astype("f8"), blocks(used))
    if not weights.any():
        return nothing, {}
    names = [name for name, keep in zip(fields, varying, strict=True) if keep]
    kept = [detail for detail, keep in zip(details, varying, strict=True) if keep]
    parts = [w * detail / s for w, detail, s in zip(weights, kept, scale[varying], strict=True)]
    return np.sum(parts, 0).astype("f4"), dict(zip(names, map(float, weights), strict=True))


def local_anomaly(field: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Departure (y, x) of each observed cell from the mean of the observed cells around it; NaN elsewhere."""
    good = observed & np.isfinite(field)
    total = uniform_filter(np.where(good, field, 0.0).astype("f8"), NEIGHBOURHOOD, mode="constant")
    share = uniform_filter(good.astype("f8"), NEIGHBOURHOOD, mode="constant")
    return np.where(good, field - total / np.maximum(share, 1e-12), np.nan)


def blocks(used: np.ndarray) -> np.ndarray:
    """Number of the block of cells (cell,) that each used cell belongs to: neighbours are left out together."""
    y, x = np.nonzero(used)
    rows, cols = used.shape
    return (y * BLOCKS // rows) * BLOCKS + x * BLOCKS // cols


def ridge(design: np.ndarray, target: np.ndarray, block: Sequence[int] | np.ndarray) -> np.ndarray:
    """Ridge coefficients (feature,) with the penalty that predicts left-out blocks best; zeros where none helps.

    Parameters
    ----------
    design : ndarray (cell, feature), standardised
    target : ndarray (cell,)
    block : ndarray (cell,)
    """

    def solve(rows: np.ndarray, penalty: float) -> np.ndarray:
        part = design[rows]
        return np.linalg.solve(part.T @ part + penalty * rows.sum() * np.eye(part.shape[1]), part.T @ target[rows])

    block = np.asarray(block)
    errors = []
    for penalty in PENALTIES:
        left_out = np.empty_like(target)
        for number in np.unique(block):
            out = block == number
            left_out[out] = design[out] @ solve(~out, penalty)
        errors.append(((target - left_out) ** 2).mean())
    best = int(np.argmin(errors))
    if errors[best] >= (target**2).mean():
        return np.zeros(design.shape[1])
    return solve(np.ones(target.size, bool), PENALTIES[best])
