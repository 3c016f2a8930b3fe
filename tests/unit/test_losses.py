"""Losses against values by hand, and what the mean's gradient depends on."""

from __future__ import annotations

import math

import pytest
import torch

from pscnet.losses import area_average_loss

#: Two cells at 10 km: errors 0.5 and 3, variance 0.5 and 2, extra variance 0 and 0.5, precision 1 and 0.4.
MEAN, TARGET = torch.tensor([1.0, -1.0]), torch.tensor([1.5, 2.0])
VARIANCE, EXTRA, PRECISION = torch.tensor([0.5, 2.0]), torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.4])


def shaped(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(1, 1, 1, -1)


def loss(kind: str, mean: torch.Tensor = MEAN, variance: torch.Tensor = VARIANCE, used=(1.0, 1.0), **scales):
    means = {"10km": (shaped(mean), shaped(variance))} | scales
    weights = (0.25, 0.25, 1.0)
    parts = (shaped(part) for part in (TARGET, EXTRA, PRECISION, torch.tensor(used)))
    return area_average_loss(means, *parts, weights, kind)


LIKELIHOOD = (math.log(0.5) + 0.25 / 0.5, math.log(2.5) + 9.0 / 2.5)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("joint", 0.5 * sum(LIKELIHOOD) / 2),
        ("separate", 0.5 * (sum(LIKELIHOOD) + 0.25 * 1.0 + 9.0 * 0.4) / 2),
        # Huber: e^2 / 2 up to one, |e| - 1 / 2 beyond; twice that, so that small errors count as squares
        ("huber", 0.5 * (sum(LIKELIHOOD) + 0.25 * 1.0 + 2 * (3.0 - 0.5) * 0.4) / 2),
    ],
)
def test_losses_are_those_by_hand(kind, expected):
    assert float(loss(kind)) == pytest.approx(expected, rel=1e-6)


def test_huber_equals_separate_for_small_errors_and_is_less_for_large_ones():
    near = TARGET + torch.tensor([0.3, -0.9])
    assert float(loss("huber", near)) == pytest.approx(float(loss("separate", near)), rel=1e-6)
    assert float(loss("huber")) < float(loss("separate")) - 0.1


def test_scales_are_weighed_and_those_that_a_net_lacks_left_out():
    perfect = (shaped(TARGET), shaped(torch.ones(2)))
    coarse = 0.5 * (math.log(1.0) + math.log(1.5)) / 2
    expected = (0.25 * coarse + float(loss("separate"))) / 1.25
    assert float(loss("separate", **{"36km": perfect})) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["separate", "joint", "huber"])
def test_cells_that_are_not_used_do_not_count(kind):
    wild = torch.tensor([1.0, 1e6])
    assert float(loss(kind, wild, used=(1.0, 0.0))) == pytest.approx(float(loss(kind, used=(1.0, 0.0))), rel=1e-6)
    assert float(loss(kind, wild)) != pytest.approx(float(loss(kind)), rel=1e-3)
    assert float(loss(kind, used=(0.0, 0.0))) == 0.0


def gradient(kind: str, variance: float) -> torch.Tensor:
    """Of the mean, at a variance."""
    mean = MEAN.clone().requires_grad_()
    loss(kind, mean, torch.full((2,), variance)).backward()
    return mean.grad


@pytest.mark.parametrize(("kind", "depends"), [("separate", False), ("huber", False), ("joint", True)])
def test_the_variance_excuses_no_error_of_the_mean_unless_fitted_jointly(kind, depends):
    """Seitzer et al. 2022; the joint fit is the control."""
    small, large = gradient(kind, 0.1), gradient(kind, 10.0)
    assert torch.allclose(small, large) != depends
    if depends:
        assert (large.abs() < 0.5 * small.abs()).all()
