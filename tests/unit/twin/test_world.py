from __future__ import annotations

import numpy as np
import pytest

from pscnet.twin.noise import Waves, generator
from pscnet.twin.world import build

NAQU = ((31.0, 33.0), (91.0, 93.0))


def test_waves_have_unit_variance_and_agree_with_their_values_at_points() -> None:
    waves = Waves.draw(1, "test", (30, 300), periods=(1.0, 10.0), modes=200)
    lat, lon = np.linspace(25, 40, 151), np.linspace(73, 105, 321)
    field = waves.field(lat, lon, 17000.3)
    assert abs(field.std() - 1) < 0.1 and abs(field.mean()) < 0.1
    rows, columns = np.array([0, 70, 150]), np.array([5, 200, 320])
    assert np.allclose(waves.at(lat[rows], lon[columns], 17000.3), field[rows, columns], atol=2e-3)


def test_generators_depend_on_the_name_and_every_number() -> None:
    draws = {
        generator(*key).random() for key in ((1, "a", 2), (1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a"))
    }
    assert len(draws) == 5


def test_the_world_has_the_plateaus_climates_and_heights() -> None:
    ngari, naqu, maqu = build((31.5, 33.5), (79.0, 81.0), 0), build(*NAQU, 0), build((33.0, 35.0), (101.0, 103.0), 0)
    assert ngari.wetness.mean() < 0.25 < naqu.wetness.mean() < 0.8 < maqu.wetness.mean()
    assert 3500 < naqu.elevation.mean() < 5200 and naqu.elevation.std() > 150
    assert ngari.porosity.mean() < 0.45 < 0.55 < maqu.porosity.mean() < 0.72
    assert build((25.0, 27.0), (80.0, 82.0), 0).elevation.mean() < 1500  # the Gangetic plain


def test_the_same_seed_makes_the_same_world_and_another_seed_another() -> None:
    first, again, other = build(*NAQU, 5), build(*NAQU, 5), build(*NAQU, 6)
    assert np.array_equal(first.sand, again.sand)
    assert abs(np.corrcoef(first.sand.ravel(), other.sand.ravel())[0, 1]) < 0.5


def test_overlapping_boxes_see_the_same_ground() -> None:
    small, large = build(*NAQU, 5), build((30.0, 34.0), (90.0, 94.0), 5)
    rows = np.searchsorted(-large.grid.lat, -small.box_grid.lat - 1e-6)
    columns = np.searchsorted(large.grid.lon, small.box_grid.lon - 1e-6)
    for name in ("elevation", "wetness", "lai", "sand"):
        inner = getattr(large, name)[np.ix_(rows, columns)]
        scale = inner.std()
        assert np.abs(inner - getattr(small, name)[small.box]).max() < 0.02 * scale, name


@pytest.mark.parametrize("box", [((-32.0, -31.0), (116.0, 117.0)), ((50.0, 51.0), (-110.0, -109.0))])
def test_any_box_works(box: tuple) -> None:
    world = build(*box, 0)
    for name in ("elevation", "wetness", "porosity", "lai", "clay"):
        assert np.isfinite(getattr(world, name)).all()
