"""How far the fields are from SMAP: Gaussian likelihood of area averages at observed cells, at every scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pscnet.nets.frame import SCALES, Answer, Geometry


def footprint_means(answer: Answer, geometry: Geometry) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance of each scale's field over the 36 km footprints.

    The variance of a footprint mean is taken as the area mean of the fields' variances: the head learns the total
    variance (field error and retrieval noise) of the footprint mean, not of a pixel.

    Returns
    -------
    dict of scale name to (mean, variance), each (batch, 1, y, x)
    """
    averages = {"36km": lambda x: x, "18km": geometry.middle_to_coarse, "10km": geometry.to_coarse}
    return {
        scale: (averages[scale](answer.mean[scale]), averages[scale](answer.log_variance[scale].exp()))
        for scale in SCALES
    }


def area_average_loss(
    answer: Answer,
    geometry: Geometry,
    target: Tensor,
    extra_variance: Tensor,
    precision: Tensor,
    used: Tensor,
    scale_weights: Sequence[float],
) -> Tensor:
    """Heteroscedastic Gaussian negative log-likelihood of SMAP given the footprint means of every scale.

    The mean is fitted by least squares weighted with the known precision of the retrievals, the variance by the
    likelihood of the residuals: a joint fit lets the variance excuse the mean where it is hard (Seitzer et al. 2022,
    arXiv:2203.09168).

    Parameters
    ----------
    answer, geometry
    target : Tensor (batch, 1, y, x)
        Standardised retrievals; anything where not used.
    extra_variance : Tensor (batch, 1, y, x)
        Noise variance of the retrieval beyond that of a recommended one, standardised.
    precision : Tensor (batch, 1, y, x)
        Precision relative to that of a recommended retrieval.
    used : Tensor (batch, 1, y, x)
        1 at observed cells that the tile covers, 0 elsewhere.
    scale_weights : weights of the 36, 18 and 10 km fields

    Returns
    -------
    Tensor ()
        Weighted mean over observed cells; 0 when there is none.
    """
    total = target.new_zeros(())
    count = used.sum().clamp(min=1.0)
    target = torch.where(used > 0, target, 0.0)
    for weight, (mean, variance) in zip(scale_weights, footprint_means(answer, geometry).values(), strict=True):
        error2 = torch.where(used > 0, (target - mean) ** 2, 0.0)
        spread = torch.where(used > 0, variance + extra_variance, 1.0).clamp(min=1e-6)
        fit = error2 * precision
        likelihood = spread.log() + error2.detach() / spread
        total = total + weight * 0.5 * ((fit + likelihood) * used).sum() / count
    return total / sum(scale_weights)
