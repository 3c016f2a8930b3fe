"""The pyramid of nets that know nothing of footprints: block means and interpolation, counted from the corner."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pscnet.samples.geometry import make_pyramid

DOWN = ("to_coarse", "to_middle", "middle_to_coarse")
UP = ("coarse_to_middle", "middle_to_fine", "coarse_to_fine")


def shape_of(geometry, name: str) -> tuple[int, ...]:
    return (getattr(geometry, name).operator if name in DOWN else getattr(geometry, name)).source_shape


@pytest.fixture(params=[(12, 16), (7, 9), (2, 3), (1, 1)], ids=str)
def weight(request) -> np.ndarray:
    """Relative areas, with sea in a corner where there is room."""
    made = np.linspace(0.8, 1.0, request.param[0])[:, None] * np.ones(request.param)
    if made.size > 20:
        made[:5, :5] = 0.0
    return made


def test_a_constant_stays_constant(weight):
    geometry = make_pyramid(weight)
    for name in (*DOWN, *UP):
        out = getattr(geometry, name)(torch.full((1, 1, *shape_of(geometry, name)), 3.0))
        seen = out[out != 0] if name in DOWN else out
        assert seen.numel() and torch.allclose(seen, torch.tensor(3.0)), name


def test_masked_means_are_those_of_the_land_of_a_block(weight):
    geometry = make_pyramid(weight)
    field = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    for name, side in (("to_middle", 2), ("to_coarse", 4)):
        found = getattr(geometry, name)(field[None, None])[0, 0].numpy()
        for y, x in np.ndindex(found.shape):
            block = (slice(side * y, side * (y + 1)), slice(side * x, side * (x + 1)))
            land = weight[block] > 0
            assert found[y, x] == pytest.approx(field.numpy()[block][land].mean() if land.any() else 0.0, abs=1e-5)


def test_sea_does_not_matter(weight):
    geometry = make_pyramid(weight)
    field = torch.ones(1, 1, *weight.shape)
    spoilt = torch.where(torch.from_numpy(weight > 0), field, 1e6)
    for name in ("to_middle", "to_coarse"):
        assert torch.equal(getattr(geometry, name)(field), getattr(geometry, name)(spoilt))
    whole = make_pyramid(np.ones_like(weight))
    if (weight == 0).any():
        assert not torch.equal(whole.to_coarse(field), whole.to_coarse(spoilt)), "the control"


def test_weights_are_the_shares_of_land(weight):
    geometry = make_pyramid(weight)
    assert torch.allclose(geometry.fine_weight[0, 0], torch.from_numpy(weight.astype("f4")))
    assert geometry.coarse_weight.shape[2:] == tuple(-(-size // 4) for size in weight.shape)
    assert float(geometry.coarse_weight.max()) == pytest.approx(1.0) and float(geometry.coarse_weight.min()) >= 0


def test_interpolation_keeps_a_slope_between_centres():
    geometry = make_pyramid(np.ones((8, 16)))
    coarse = torch.arange(4.0).expand(2, 4)[None, None]
    fine = geometry.coarse_to_fine(coarse)[0, 0, 0].numpy()
    expected = np.clip((np.arange(16) + 0.5) / 4 - 0.5, 0, 3)
    np.testing.assert_allclose(fine, expected, atol=1e-6)
