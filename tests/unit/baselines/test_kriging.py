"""Kriged increments: a dense reference, exact limits, order, neighbourhoods and memory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from pscnet.baselines import kriging
from pscnet.baselines.covariance import Covariance, Spacing
from pscnet.baselines.kriging import krige
from pscnet.grids import ease2_grid
from pscnet.samples.retrievals import RetrievalSet
from tests.unit.baselines.world import KNOWN, retrieval_set, square

CELLS = 5


def some(seed=0, slots=6, cells=CELLS, share=0.4):
    """One answer's retrievals; every two slots belong to one overpass."""
    rng = np.random.default_rng(seed)
    shape = (slots, cells, cells)
    age = np.repeat(rng.uniform(-6, 6, (slots + 1) // 2), 2)[:slots, None, None] + rng.uniform(0, 0.002, shape)
    weight = np.where(rng.random(shape) < share, rng.choice([1.0, 0.5], shape), 0.0)
    return retrieval_set(age, rng.normal(0, 0.05, shape), weight)


def dense(seen: RetrievalSet, covariance: Covariance, y: int, x: int, size: float = 36.0) -> tuple[float, float]:
    """Simple kriging of one cell from all retrievals, written out pair by pair."""
    found = [tuple(index) for index in np.argwhere(seen.weight[0] > 0)]
    age = [float(seen.age[0][i]) for i in found]
    noise = [1 / math.sqrt(float(seen.weight[0][i])) for i in found]

    def distance(a, b):
        return size * math.hypot(a[-2] - b[-2], a[-1] - b[-1])

    def signal(h, lag):
        return covariance.variance * math.exp(-h / covariance.length_km) * math.exp(-abs(lag) / covariance.days)

    n = len(found)
    matrix, known = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        known[i] = signal(distance(found[i], (y, x)), age[i])
        for j in range(n):
            h = distance(found[i], found[j])
            matrix[i, j] = signal(h, age[i] - age[j])
            if abs(age[i] - age[j]) * 24 < 0.5:
                matrix[i, j] += (
                    covariance.shared**2 * math.exp(-((h / covariance.shared_km) ** 2) / 2) * noise[i] * noise[j]
                )
            if i == j:
                matrix[i, j] += covariance.white**2 * noise[i] ** 2
    weights = np.linalg.inv(matrix) @ known
    innovation = np.array([float(seen.innovation[0][i]) for i in found])
    return float(weights @ innovation), math.sqrt(covariance.variance - float(weights @ known))


def test_increments_and_their_error_are_those_of_a_dense_solve():
    seen = some()
    increment, std = krige(seen, KNOWN, square(CELLS), reach=CELLS, most=1000)
    assert increment.shape == std.shape == (1, CELLS, CELLS) and increment.dtype == np.float32
    for y in range(CELLS):
        for x in range(CELLS):
            expected, error = dense(seen, KNOWN, y, x)
            assert increment[0, y, x] == pytest.approx(expected, rel=1e-4, abs=1e-7)
            assert std[0, y, x] == pytest.approx(error, rel=1e-5)


def test_the_neighbourhood_costs_little_of_what_all_retrievals_give():
    """Of 160 retrievals, 40 near ones: the error of the answer grows by less than 2 %; of 4, by more."""
    seen = some(3, slots=8, cells=7)
    full, near, few = (krige(seen, KNOWN, square(7), reach=r, most=m)[1][0] for r, m in ((7, 200), (3, 40), (3, 4)))
    assert (near >= full - 1e-7).all()
    assert near.mean() < 1.02 * full.mean() < few.mean()


def test_without_retrievals_the_background_stays():
    nothing = some(share=0.0)
    increment, std = krige(nothing, KNOWN, square(CELLS))
    np.testing.assert_array_equal(increment, 0)
    np.testing.assert_allclose(std, math.sqrt(KNOWN.variance), rtol=1e-6)


def test_without_noise_a_retrieval_at_the_stamp_is_the_answer():
    exact = dataclasses.replace(KNOWN, white=0.0, shared=0.0)
    seen = some(1, slots=3)
    seen.age[:, 0] = 0.0
    seen.age[:, 1:] *= 0.5
    here = seen.weight[0, 0] > 0
    increment, std = krige(seen, exact, square(CELLS))
    np.testing.assert_allclose(increment[0][here], seen.innovation[0, 0][here], atol=1e-6)
    np.testing.assert_allclose(std[0][here], 0.0, atol=1e-5)
    assert np.abs(increment[0] - seen.innovation[0, 0])[~here].max() > 1e-3, "the control: elsewhere it is no copy"


def test_one_retrieval_by_hand():
    """Its weight is the signal's share of the variance times the decay over one cell and two days."""
    weight, innovation, age = np.zeros((3, 1, 3, 3))
    weight[0, 1, 0], innovation[0, 1, 0], age[0, 1, 0] = 0.5, 0.1, -2.0
    decay = math.exp(-36 / KNOWN.length_km - 2 / KNOWN.days)
    share = KNOWN.variance / (KNOWN.variance + 2 * (KNOWN.white**2 + KNOWN.shared**2))
    made = krige(retrieval_set(age, innovation, weight), KNOWN, square(3))[0]
    assert made[0, 1, 1] == pytest.approx(0.1 * share * decay, rel=1e-5)


def test_shared_noise_makes_neighbours_of_one_overpass_count_less_than_those_of_two():
    weight, innovation = np.zeros((2, 2, 1, 3))
    weight[0, 0, 0] = weight[1, 0, 2] = 1.0
    innovation[weight > 0] = 0.05
    together, apart = np.zeros((2, 2, 1, 3))
    together[:], apart[0], apart[1] = 1.0, 1.0, -1.0
    white = dataclasses.replace(KNOWN, days=1e6)
    made = [krige(retrieval_set(age, innovation, weight), white, square(1))[0][0, 0, 1] for age in (together, apart)]
    assert 0 < made[0] < 0.97 * made[1]


@pytest.mark.parametrize("most", [7, 40])
def test_the_order_of_retrievals_does_not_matter(most):
    """Slots shuffled, with ties: overpasses equally long before and after the answer, neighbours equally near."""
    seen = some(2, slots=8)
    seen.age[0] = np.where(seen.weight[0] > 0, np.array([-3, -2, -1, -0.5, 0.5, 1, 2, 3])[:, None, None], 0)
    seen.weight[seen.weight > 0] = 1.0
    order = np.random.default_rng(0).permutation(8)
    shuffled = RetrievalSet(*(getattr(seen, n)[:, order] for n in ("age", "weight", "value", "innovation")))
    plain, other = (krige(each, KNOWN, square(CELLS), most=most) for each in (seen, shuffled))
    for a, b in zip(plain, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_answers_and_cells_do_not_mix(monkeypatch):
    """Two answers together, or a few cells alone in blocks of three, give what each gives by itself."""
    one, two = some(4), some(5)
    both = RetrievalSet(*(np.concatenate([getattr(s, n) for s in (one, two)]) for n in vars(one)))
    together = krige(both, KNOWN, square(CELLS))
    np.testing.assert_array_equal(together[0][1], krige(two, KNOWN, square(CELLS))[0][0])
    monkeypatch.setattr(kriging, "CELLS_TOGETHER", 3)
    wanted = np.zeros((CELLS, CELLS), bool)
    wanted[1:3, 2:] = True
    alone = krige(both, KNOWN, square(CELLS), wanted)
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_allclose(a[:, wanted], b[:, wanted], rtol=1e-5, atol=1e-8)
    assert (alone[0][:, ~wanted] == 0).all() and np.isnan(alone[1][:, ~wanted]).all()


def test_no_solve_takes_more_than_its_share_of_memory(monkeypatch):
    """However many cells there are and retrievals around them, matrices are at most CELLS_TOGETHER of MOST x MOST."""
    shapes = []
    solve = np.linalg.solve
    monkeypatch.setattr(np.linalg, "solve", lambda a, b: shapes.append(a.shape) or solve(a, b))
    krige(some(slots=30, cells=15, share=0.6), KNOWN, square(15))
    assert shapes == [(kriging.CELLS_TOGETHER, kriging.MOST, kriging.MOST), (97, kriging.MOST, kriging.MOST)]


def test_cells_of_ease_grid_keep_their_area_and_narrow_to_the_north():
    grid = ease2_grid((25.0, 40.0), (90.0, 95.0))
    spacing = Spacing.of(grid)
    np.testing.assert_allclose(spacing.height * spacing.width, 36.03**2, rtol=0.01)
    assert (np.diff(spacing.width) > 0).all() and (np.diff(spacing.height) < 0).all()
