"""The filter bank adds up, equals direct convolution and carries over month ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pscnet.channels import band_names
from pscnet.nets.filters import STEP_DAYS, STEPS_PER_DAY, FilterBank

SCALES = (1.5, 5.0, 15.0)


@pytest.fixture
def series() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(120, 3, 4)))


def test_bands_add_up_to_the_series(series):
    bank = FilterBank(SCALES)
    bands, _ = bank(series, bank.initial_state(series))
    assert bands.shape == (len(SCALES) + 2, *series.shape)
    torch.testing.assert_close(bands.sum(0), series, rtol=0, atol=1e-12)


def test_recursion_equals_direct_convolution(series):
    bank = FilterBank(SCALES)
    state = bank.initial_state(series)
    bands, _ = bank(series, state)
    memory = STEPS_PER_DAY - 1
    daily = torch.cat([state[:memory], series]).unfold(0, STEPS_PER_DAY, 1).mean(-1)
    steps = torch.arange(len(series))
    for position, scale in enumerate(SCALES):
        decay = np.exp(-STEP_DAYS / scale)
        lag = (steps[:, None] - steps[None, :]).double()
        kernel = torch.where(lag >= 0, (1 - decay) * torch.exp(-lag.clamp(min=0) * STEP_DAYS / scale), 0.0)
        direct = torch.einsum("ts,sij->tij", kernel, daily)
        fading = torch.exp(-(steps.double() + 1) * STEP_DAYS / scale)
        direct = direct + fading[:, None, None] * state[memory + position]
        level = bands[position + 2 :].sum(0)
        torch.testing.assert_close(level, direct, rtol=0, atol=1e-10)


def test_a_diurnal_cycle_stays_in_the_first_band():
    time = torch.arange(40 * STEPS_PER_DAY, dtype=torch.float64)
    cycle = torch.sin(2 * np.pi * time / STEPS_PER_DAY)
    bank = FilterBank(SCALES)
    bands, _ = bank(cycle, bank.initial_state(cycle))
    assert bands[0, STEPS_PER_DAY:].std() > 0.6
    assert bands[1:].abs().max() < 1e-12


def test_two_months_equal_one_stretch(series):
    bank = FilterBank(SCALES)
    state = bank.initial_state(series)
    whole, end = bank(series, state)
    first, middle = bank(series[:37], state)
    second, closing = bank(series[37:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(closing, end, rtol=0, atol=1e-12)


def test_a_forgotten_state_shows(series):
    """The control: starting the second month afresh is not the same."""
    bank = FilterBank(SCALES)
    whole, _ = bank(series, bank.initial_state(series))
    second, _ = bank(series[37:], bank.initial_state(series[37:]))
    assert (second - whole[:, 37:]).abs().max() > 1e-2


def test_names_follow_the_bands():
    assert band_names(SCALES) == ["day", "1.5d", "5d", "15d", "level"]
    assert len(band_names(SCALES)) == FilterBank(SCALES).bands
