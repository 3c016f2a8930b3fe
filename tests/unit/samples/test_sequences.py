"""Sequences of past days: what they hold, and that reading them in parts changes nothing."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import xarray as xr

from pscnet.samples.bands import SampleError
from pscnet.samples.inputs import InputMaker
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.sequences import SequenceWindow, lagged_rows
from pscnet.samples.store import read_stamps, sample_file
from tests.unit.samples.run import MONTHS, PREDICTORS, SEQUENCE_DAYS, WINDOW_DAYS

DAYS = 10

#: Overpasses further apart than a day, as those of one cell are; the first ones have less than ten days before them.
STAMPS = np.array(["2020-06-02T00", "2020-06-05T12", "2020-06-12T00", "2020-06-19T21", "2020-06-28T12"], "M8[ns]")


@pytest.fixture(scope="module")
def maker(made_run) -> InputMaker:
    return InputMaker(Normaliser.read(made_run.normaliser), made_run.static, WINDOW_DAYS)


def windows(made_run, maker, stamps, size: int, days: int = DAYS, months=MONTHS[:2]) -> np.ndarray:
    """Sequences of ``stamps``, ``size`` stamps a call."""
    window = SequenceWindow(made_run.files("predictors", months), days, maker)
    return np.concatenate([window(stamps[first : first + size]) for first in range(0, len(stamps), size)])


def series(made_run, months) -> tuple[np.ndarray, np.ndarray]:
    """Stamps and predictors (step, predictor, lat, lon) of some months."""
    data = xr.concat([xr.load_dataset(path) for path in made_run.files("predictors", months)], "time")
    return data["time"].values.astype("M8[ns]"), np.stack([data[name].values for name in PREDICTORS], 1)


def test_a_sequence_holds_the_days_before_at_the_time_of_day_of_the_answer(made_run, maker):
    times, values = series(made_run, MONTHS[:2])
    found = windows(made_run, maker, STAMPS[2:3], 1)[0]
    at = np.searchsorted(times, STAMPS[2])
    for day in range(DAYS):
        step = at - 8 * (DAYS - 1 - day)
        entry = np.concatenate([values[step], values[step - 7 : step + 1].mean(0)])
        expected = np.asarray(maker.sequence(entry[None]), "f4")[0]
        np.testing.assert_allclose(found[day].astype("f4"), expected, atol=2e-2, rtol=1e-3)


def test_stamps_days_apart_see_the_same_as_each_alone(made_run, maker):
    """Held-out overpasses come several in a call, and the first of them looks back from its own time."""
    alone = windows(made_run, maker, STAMPS, 1)
    for size in (2, 3, 5):
        np.testing.assert_array_equal(windows(made_run, maker, STAMPS, size), alone)


def test_too_few_kept_days_are_found(made_run, maker, monkeypatch):
    """The control: a window that forgets after two days more than a sequence gives the first stamp other days."""

    class Forgetful(SequenceWindow):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            self._kept = deque(maxlen=8 * (DAYS + 2))

    paths = made_run.files("predictors", MONTHS[:2])
    forgetful = Forgetful(paths, DAYS, maker)(STAMPS)
    assert not np.array_equal(forgetful[0], windows(made_run, maker, STAMPS, 1)[0])


def test_sample_files_and_downscaling_see_the_same_sequences(made_run, maker):
    stamps = read_stamps(sample_file(made_run.samples, "validation", "stamps"))
    entries = np.load(sample_file(made_run.samples, "validation", "sequence"))
    rows = lagged_rows(
        read_stamps(sample_file(made_run.samples, "validation", "sequence_stamps")), stamps, SEQUENCE_DAYS
    )
    inside = (stamps >= np.datetime64("2020-06")) & (stamps < np.datetime64("2020-07"))
    assert inside.sum() > 10
    found = windows(made_run, maker, stamps[inside], 8, SEQUENCE_DAYS)
    np.testing.assert_array_equal(found, entries[rows[inside]])


def test_the_first_days_of_a_record_see_its_first_day(made_run, maker):
    stamps = np.array(["2020-05-01T12", "2020-05-02T12"], "M8[ns]")
    found = windows(made_run, maker, stamps, 2, 3, MONTHS[:1])
    np.testing.assert_array_equal(found[0][0], found[0][2])
    np.testing.assert_array_equal(found[1][1], found[0][2])
    assert not np.array_equal(found[1][2], found[0][2])


def test_a_file_made_for_fewer_days_is_refused():
    available = np.array(["2020-06-01T12", "2020-06-02T12", "2020-06-09T12", "2020-06-10T12"], "M8[ns]")
    stamps = available[[1, 3]]
    assert lagged_rows(available, stamps, 2).tolist() == [[0, 1], [2, 3]]
    with pytest.raises(SampleError, match=r"sequences of 3 days: the entry of 2020-06-08T12:00 is missing.*fewer days"):
        lagged_rows(available, stamps, 3)


def test_off_land_nothing_is_seen(made_run, maker):
    found = windows(made_run, maker, STAMPS[2:3], 1)
    assert np.isfinite(found).all()
    assert (found[..., ~maker.land] == 0).all()
    assert (found[..., maker.land] != 0).any()
