"""How far the fields are from SMAP: Gaussian likelihood of area averages at observed cells, at every scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from pscnet.nets.frame import SCALES, Answer, Batch, Geometry, Net


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
        if scale in answer.mean
    }


def observed(net: Net, batch: Batch, geometry: Geometry, cells: Geometry | None) -> dict[str, tuple[Tensor, Tensor]]:
    """What a net says of the footprints: mean and variance (batch, 1, y, x) by scale.

    Parameters
    ----------
    net, batch, geometry
    cells : Geometry, optional
        The coarse grid's own pyramid: where a net in the literature's dress is trained, from footprint means of its
        input. In the net's own dress the footprint means of its fields are taken.
    """
    if net.spec.own:
        return footprint_means(net(batch, geometry), geometry)
    answer = net(batch.averaged(geometry.to_coarse), cells)
    return {"10km": (answer.mean["10km"], answer.log_variance["10km"].exp())}


def area_average_loss(
    means: Mapping[str, tuple[Tensor, Tensor]],
    target: Tensor,
    extra_variance: Tensor,
    precision: Tensor,
    used: Tensor,
    scale_weights: Sequence[float],
    kind: str = "separate",
) -> Tensor:
    """Heteroscedastic Gaussian negative log-likelihood of SMAP given the footprint means of every scale.

    Parameters
    ----------
    means : mapping of scale to mean and variance (batch, 1, y, x)
        From :func:`footprint_means` or :func:`observed`.
    target : Tensor (batch, 1, y, x)
        Standardised retrievals; anything where not used.
    extra_variance : Tensor (batch, 1, y, x)
        Noise variance of the retrieval beyond that of a recommended one, standardised.
    precision : Tensor (batch, 1, y, x)
        Precision relative to that of a recommended retrieval.
    used : Tensor (batch, 1, y, x)
        1 at observed cells that the tile covers, 0 elsewhere.
    scale_weights : weights of the 36, 18 and 10 km fields
    kind : {"separate", "joint", "huber"}
        ``separate``: the mean is fitted by least squares weighted with the known precision of the retrievals, the
        variance by the likelihood of the residuals; a joint fit lets the variance excuse the mean where it is hard
        (Seitzer et al. 2022, arXiv:2203.09168). ``joint``: that joint fit. ``huber``: as ``separate``, with residuals
        beyond one standard deviation of the retrievals counting linearly (Huber 1964, doi:10.1214/aoms/1177703732).

    Returns
    -------
    Tensor ()
        Weighted mean over observed cells; 0 when there is none.
    """
    total, weights = target.new_zeros(()), 0.0
    count = used.sum().clamp(min=1.0)
    target = torch.where(used > 0, target, 0.0)
    for weight, scale in zip(scale_weights, SCALES, strict=True):
        if scale not in means or weight == 0:
            continue
        mean, variance = means[scale]
        error = torch.where(used > 0, target - mean, 0.0)
        spread = torch.where(used > 0, variance + extra_variance, 1.0).clamp(min=1e-6)
        fit = {"separate": error**2, "huber": 2 * functional.huber_loss(error, error * 0, reduction="none")}
        error2 = error**2 if kind == "joint" else error.detach() ** 2
        likelihood = spread.log() + error2 / spread
        loss = likelihood if kind == "joint" else fit[kind] * precision + likelihood
        total, weights = total + weight * 0.5 * (loss * used).sum() / count, weights + weight
    return total / weights
