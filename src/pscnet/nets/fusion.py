"""MFTF, multi-frequency temporal fusion: band gates for the predictors, time-kernel attention for SMAP.

Predictors come as bands of :class:`pscnet.nets.filters.FilterBank`; learnt gates weigh the bands at each pixel. SMAP
comes as the *set* of raw retrievals within the window, each with its age; attention heads of different learnt
memory and reach condense the set to values, innovations (retrieval minus background at its own time) and a
confidence. A retrieval that must not be seen has weight 0 and does not enter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Reach of an attention head in space [coarse cells]; the kernel is cut off there.
HEAD_REACH = 2


class BandFusion(nn.Module):
    """Gates over bands, then a pointwise mix to features.

    Parameters
    ----------
    predictors, bands : int
        The input has ``predictors * bands`` channels, predictor-major.
    extra : int
        Further channels (static fields, season, background, SMAP features) that are not gated.
    width : int
        Feature channels.
    gates : bool
        Without gates, all bands weigh the same.
    """

    def __init__(self, predictors: int, bands: int, extra: int, width: int, gates: bool = True) -> None:
        super().__init__()
        self.predictors, self.bands, self.gates = predictors, bands, gates
        channels = predictors * bands + extra
        if gates:
            self.gate = nn.Sequential(nn.Conv2d(channels, 16, 1), nn.GELU(), nn.Conv2d(16, bands, 1))
        self.mix = nn.Sequential(nn.Conv2d(channels, width, 1), nn.GELU(), nn.Conv2d(width, width, 1))

    def forward(self, series_bands: Tensor, extra: Tensor) -> Tensor:
        """Fuse.

        Parameters
        ----------
        series_bands : Tensor (batch, predictors * bands, y, x)
        extra : Tensor (batch, extra, y, x)

        Returns
        -------
        Tensor (batch, width, y, x)
        """
        if not self.gates:
            return self.mix(torch.cat([series_bands, extra], 1))
        gates = 2 * torch.sigmoid(self.gate(torch.cat([series_bands, extra], 1)))
        shape = series_bands.shape
        gated = series_bands.reshape(shape[0], self.predictors, self.bands, *shape[2:]) * gates[:, None]
        return self.mix(torch.cat([gated.reshape(shape), extra], 1))


class RetrievalAttention(nn.Module):
    """Attention over the set of retrievals around a time, with learnt memory and reach for each head.

    The logit of a retrieval is the sum of a decay with its age (own rates for past and future), a Gaussian decay with
    its distance in coarse cells, the log of its relative precision, and a small learnt function of its age. A head
    without retrievals falls back to zero innovation through a learnt prior mass.

    Parameters
    ----------
    heads : int
    window_days : float
        Largest age [day].
    """

    def __init__(self, heads: int, window_days: float) -> None:
        super().__init__()
        self.heads, self.window_days = heads, window_days
        memory = torch.logspace(math.log10(0.7), math.log10(max(window_days, 1.4)), heads)
        self.log_memory = nn.Parameter(memory.log().repeat(2, 1))
        self.log_reach = nn.Parameter(torch.linspace(0.35, 1.2, heads).log())
        self.log_prior = nn.Parameter(torch.full((heads,), math.log(0.3)))
        self.age_logit = nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, heads))
        nn.init.zeros_(self.age_logit[2].weight)
        nn.init.zeros_(self.age_logit[2].bias)

    @property
    def features(self) -> int:
        """Channels of the answer: innovation, value against background and confidence of each head."""
        return 3 * self.heads

    def forward(self, age: Tensor, weight: Tensor, value: Tensor, innovation: Tensor) -> tuple[Tensor, Tensor]:
        """Condense the set at each coarse cell.

        Parameters
        ----------
        age : Tensor (batch, slot, y, x) [day]
            Time of the retrieval minus time of the answer.
        weight : Tensor (batch, slot, y, x)
            Relative precision of the retrieval; 0 for none, and for those left out.
        value, innovation : Tensor (batch, slot, y, x)
            Standardised retrieval and innovation; anything where the weight is 0.

        Returns
        -------
        sums : Tensor (batch, 2 * heads, y, x)
            Weighted sums of innovations, then of values: to be interpolated and divided by ``mass``.
        mass : Tensor (batch, heads, y, x)
            Sum of weights, without the prior.
        """
        seen = weight > 0
        age = torch.where(seen, age, 0.0)
        scaled = age / self.window_days
        decay = torch.where(
            (age > 0)[:, None],
            age.abs()[:, None] * torch.exp(-self.log_memory[0])[:, None, None, None],
            age.abs()[:, None] * torch.exp(-self.log_memory[1])[:, None, None, None],
        )
        learnt = self.age_logit(torch.stack([scaled, scaled.abs()], -1)).movedim(-1, 1)
        logits = (learnt - decay).clamp(-30, 10)
        share = torch.exp(logits) * torch.where(seen, weight, 0.0)[:, None]
        mass = share.sum(2)
        innovations = (share * torch.where(seen, innovation, 0.0)[:, None]).sum(2)
        values = (share * torch.where(seen, value, 0.0)[:, None]).sum(2)
        spread = self._spread(torch.cat([innovations, values, mass], 1))
        return spread[:, : 2 * self.heads], spread[:, 2 * self.heads :]

    def _spread(self, sums: Tensor) -> Tensor:
        """Add what neighbouring cells hold, by each head's Gaussian of distance."""
        offset = torch.arange(-HEAD_REACH, HEAD_REACH + 1, dtype=sums.dtype, device=sums.device)
        line = torch.exp(-0.5 * (offset / self.log_reach.exp()[:, None]) ** 2)
        kernel = (line[:, :, None] * line[:, None, :]).repeat(3, 1, 1)[:, None]
        return functional.conv2d(sums, kernel, padding=HEAD_REACH, groups=kernel.shape[0])

    def analyse(self, sums: Tensor, mass: Tensor) -> Tensor:
        """Features from interpolated sums: innovations, values, log confidence (batch, 3 * heads, y, x)."""
        prior = self.log_prior.exp()[:, None, None]
        total = mass + prior
        return torch.cat([sums / total.repeat(1, 2, 1, 1), torch.log(total / prior)], 1)
