"""The order of samples in an epoch: every calendar month equally often, or every overpass once."""

from __future__ import annotations

import numpy as np
import pytest

from pscnet.samples.store import SampleStore
from pscnet.training.trainer import Options
from tests.unit.training.world import trainer_of


def store_of(counts: dict[str, int]) -> SampleStore:
    """A store that knows its stamps only: so many in each month."""
    made = object.__new__(SampleStore)
    starts = [
        np.datetime64(month, "ns") + np.arange(count) * np.timedelta64(12, "h") for month, count in counts.items()
    ]
    made.stamps = np.concatenate(starts)
    return made


def by_month(store: SampleStore, order: np.ndarray) -> dict[str, int]:
    names, counts = np.unique([str(stamp)[5:7] for stamp in store.stamps[order]], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


#: January lies in two years; they count as one calendar month.
UNEVEN = {"2016-01": 3, "2016-06": 40, "2016-07": 50, "2016-08": 17, "2017-01": 4}


def test_plain_is_a_permutation():
    store = store_of(UNEVEN)
    order = store.order([0, 0], "plain")
    assert np.array_equal(np.sort(order), np.arange(114)) and not np.array_equal(order, np.arange(114))


def test_even_draws_every_calendar_month_equally_often():
    store = store_of(UNEVEN)
    order = store.order([0, 0], "even")
    counts = by_month(store, order)
    assert len(order) == 114 and set(counts) == {"01", "06", "07", "08"}
    assert max(counts.values()) - min(counts.values()) <= 1
    for month in counts:
        rows = np.flatnonzero([str(stamp)[5:7] == month for stamp in store.stamps])
        times = np.bincount(order, minlength=114)[rows]
        assert times.max() - times.min() <= 1, "the samples of a month come equally often, but for one"


def test_plain_draws_rare_months_rarely():
    """The control of the test above."""
    counts = by_month(store_of(UNEVEN), store_of(UNEVEN).order([0, 0], "plain"))
    assert counts == {"01": 7, "06": 40, "07": 50, "08": 17}


def test_fewer_samples_than_calendar_months_still_make_an_epoch():
    store = store_of({f"2016-{month:02d}": 1 for month in range(1, 7)})
    assert np.array_equal(np.sort(store.order([3], "even")), np.arange(6))


@pytest.mark.parametrize("sampling", ["even", "plain"])
def test_the_seed_decides_the_order(sampling):
    store = store_of(UNEVEN)
    same, again, other = (store.order(seed, sampling) for seed in ([0, 1], [0, 1], [0, 2]))
    assert np.array_equal(same, again) and not np.array_equal(same, other)


def test_a_plan_holds_every_tile_equally_often_whatever_ran_before(made_run):
    trainer, fresh = (trainer_of(made_run, Options(tile=8, sampling="plain", batch_steps=5)) for _ in range(2))
    for epoch in range(3):
        trainer.plan(epoch)
    plan = trainer.plan(3)
    assert all(a == b and np.array_equal(x, y) for (a, x), (b, y) in zip(plan, fresh.plan(3), strict=True))
    for tile in range(len(trainer.tiles)):
        rows = np.concatenate([rows for position, rows in plan if position == tile])
        assert np.array_equal(np.sort(rows), np.arange(len(trainer.train)))
    assert [position for position, _ in plan] != [position for position, _ in trainer.plan(4)]
