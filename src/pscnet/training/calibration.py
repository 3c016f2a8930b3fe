"""How far a net's variance is off: its scale from the squared residuals of a store of samples."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from pscnet.losses import observed
from pscnet.nets import Net
from pscnet.nets.frame import Batch
from pscnet.samples.store import Target
from pscnet.training.trainer import TrainingTile


@torch.no_grad()
def calibrate(net: Net, batches: Iterable[tuple[TrainingTile, Batch, Target, np.ndarray]]) -> float:
    """The factor by which predicted variances have to grow for squared residuals to fit them on average."""
    net.eval()
    parts = []
    for tile, batch, target, _ in batches:
        mean, variance = observed(net, batch, tile.geometry, tile.cells)["10km"]
        used = target.used > 0
        parts.append([part[used] for part in ((target.value - mean) ** 2, variance, target.extra_variance)])
    return variance_scale(*(torch.cat(column) for column in zip(*parts, strict=True)))


def variance_scale(error2: Tensor, variance: Tensor, extra: Tensor) -> float:
    """The s for which the mean of ``error2 / (s * variance + extra)`` is 1, by bisection; all (n,)."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        too_small = float((error2 / (math.exp(middle) * variance + extra)).mean()) > 1.0
        low, high = (middle, high) if too_small else (low, middle)
    return math.exp(0.5 * (low + high))
