"""Filter bank of MFTF: a series split into frequency bands whose sum is the series.

An exact trailing 24-hour box mean takes the diurnal cycle out first, so that it does not leak into the slower
bands; first-order recursive filters (exponential means) of growing time constant split the rest. Each needs one
number of memory a pixel, so a 15-day memory costs nothing and is carried from month to month.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Stamps in 24 hours on the 3-hourly axis, and the step in days.
STEPS_PER_DAY = 8
STEP_DAYS = 1.0 / STEPS_PER_DAY


class FilterBank:
    """Recursive filter bank with perfect reconstruction.

    Parameters
    ----------
    time_scales_days : sequence of float, ascending [day]
        Time constants of the exponential means. With n of them there are n + 2 bands.
    """

    def __init__(self, time_scales_days: Sequence[float]) -> None:
        self.time_scales_days = tuple(float(scale) for scale in time_scales_days)
        self.decays = tuple(math.exp(-STEP_DAYS / scale) for scale in self.time_scales_days)

    @property
    def bands(self) -> int:
        """Number of bands."""
        return len(self.decays) + 2

    @property
    def state_size(self) -> int:
        """Numbers of memory a pixel: the last 7 values and one exponential mean a time scale."""
        return STEPS_PER_DAY - 1 + len(self.decays)

    def initial_state(self, series: Tensor) -> Tensor:
        """A state from which the filters start without a jump.

        The day before is taken to be like the first day, the slower means to be those of the start of the series.

        Parameters
        ----------
        series : Tensor (time, ...)

        Returns
        -------
        Tensor (state_size, ...)
        """
        history = series[1:STEPS_PER_DAY]
        means = [series[: math.ceil(scale) * STEPS_PER_DAY].mean(0) for scale in self.time_scales_days]
        return torch.cat([history, torch.stack(means)])

    def __call__(self, series: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Split a series.

        Parameters
        ----------
        series : Tensor (time, ...)
            3-hourly values.
        state : Tensor (state_size, ...)
            From :meth:`initial_state` or from the call on the preceding stretch.

        Returns
        -------
        bands : Tensor (bands, time, ...)
            They add up to ``series``.
        state : Tensor (state_size, ...)
            To go on with.
        """
        memory = STEPS_PER_DAY - 1
        padded = torch.cat([state[:memory], series])
        daily = padded.unfold(0, STEPS_PER_DAY, 1).mean(-1)
        means = state[memory:].clone()
        decays = torch.tensor(self.decays, dtype=series.dtype).reshape(-1, *[1] * (series.ndim - 1))
        slow = series.new_empty((len(self.decays), *series.shape))
        for step in range(series.shape[0]):
            means = decays * means + (1 - decays) * daily[step]
            slow[:, step] = means
        levels = torch.cat([series[None], daily[None], slow])
        bands = torch.cat([levels[:-1] - levels[1:], levels[-1:]])
        return bands, torch.cat([padded[series.shape[0] :], means])
