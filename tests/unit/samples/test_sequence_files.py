"""Files of sequences: the right values of the right days, and the same as while downscaling over borders of months."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pscnet.samples.inputs import InputMaker
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.sequences import SequenceWindow, lagged_rows, write_sequences
from pscnet.samples.store import read_stamps, sample_file
from pscnet.timeaxis import month_stamps
from tests.unit.samples.run import PREDICTORS, SEQUENCE_DAYS, WINDOW_DAYS

DAY = np.timedelta64(1, "D")


@pytest.fixture(scope="module")
def maker(made_run) -> InputMaker:
    return InputMaker(Normaliser.read(made_run.normaliser), made_run.static, WINDOW_DAYS)


@pytest.fixture(scope="module")
def series(made_run) -> tuple[np.ndarray, np.ndarray]:
    """Stamps and values (step, predictor, lat, lon) of all months."""
    data = xr.concat([xr.load_dataset(path) for path in made_run.files("predictors")], "time")
    return data["time"].values.astype("M8[ns]"), np.stack([data[name].values for name in PREDICTORS], 1)


def by_hand(series, maker: InputMaker, stamp: np.datetime64, days: int) -> np.ndarray:
    """The sequence (day, 2 * predictor, lat, lon) of a stamp at least ``days`` after the period's start."""
    times, values = series
    entries = []
    for back in range(days - 1, -1, -1):
        at = int(np.flatnonzero(times == stamp - back * DAY)[0])
        entries.append(np.concatenate([values[at], values[at - 7 : at + 1].mean(0)]))
    return maker.sequence(np.stack(entries))


def in_file(run, part: str, stamp: np.datetime64, days: int) -> np.ndarray:
    entries = np.load(sample_file(run.samples, part, "sequence"))
    rows = lagged_rows(read_stamps(sample_file(run.samples, part, "sequence_stamps")), np.array([stamp]), days)[0]
    return entries[rows].astype("f4")


@pytest.mark.parametrize("part", ["train", "validation"])
def test_entries_are_values_and_means_of_24_hours_at_the_same_time_of_day(made_run, maker, series, part):
    stamps = read_stamps(sample_file(made_run.samples, part, "stamps"))
    late = stamps[stamps >= series[0][0] + (SEQUENCE_DAYS + 1) * DAY]
    for stamp in (late[0], late[len(late) // 2], late[-1]):
        found = in_file(made_run, part, stamp, SEQUENCE_DAYS)
        np.testing.assert_allclose(found, by_hand(series, maker, stamp, SEQUENCE_DAYS), atol=4e-3)  # float16
        other = by_hand(series, maker, stamp - np.timedelta64(3, "h"), SEQUENCE_DAYS)
        assert np.abs(found - other).max() > 0.1, "the control: another time of day"


def test_the_first_days_of_the_period_see_its_first_day(made_run, maker, series, tmp_path):
    times, values = series
    stamp = times[3]
    write_sequences(made_run.files("predictors"), np.array([stamp]), 3, maker, tmp_path / "s.npy")
    found = np.load(tmp_path / "s.npy").astype("f4")
    assert found.shape[0] == 1, "its own entry, three times"
    day = np.concatenate([values[1:8], values[:4]])  # the day before is taken to be like the first
    expected = maker.sequence(np.concatenate([values[3], day[-8:].mean(0)])[None])
    np.testing.assert_allclose(found, expected, atol=4e-3)
    window = SequenceWindow(made_run.files("predictors")[:1], 3, maker)
    np.testing.assert_array_equal(window(np.array([stamp]))[0], np.load(tmp_path / "s.npy")[[0, 0, 0]])


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_windows_in_chunks_of_any_size_equal_the_file_over_the_border_of_months(made_run, maker, tmp_path, steps):
    """June's first days look back into May; without May's file they see June's first day instead (the control)."""
    stamps = month_stamps("2020-06")[:40].astype("M8[ns]")
    written = write_sequences(made_run.files("predictors")[:2], stamps, 4, maker, tmp_path / "s.npy")
    expected = np.load(tmp_path / "s.npy")[lagged_rows(written, stamps, 4)]
    carried, alone = (SequenceWindow(made_run.files("predictors")[first:2], 4, maker) for first in (0, 1))
    chunks = [stamps[first : first + steps] for first in range(0, 40, steps)]
    np.testing.assert_array_equal(np.concatenate([carried(chunk) for chunk in chunks]), expected)
    cut = np.concatenate([alone(chunk) for chunk in chunks])
    assert not np.array_equal(cut[:8], expected[:8]) and np.array_equal(cut[-1], expected[-1])


def test_a_window_that_skips_days_equals_the_file(made_run, maker, tmp_path):
    """As when some steps only are wanted."""
    stamps = month_stamps("2020-06")[[2, 50, 51, 130]].astype("M8[ns]")
    written = write_sequences(made_run.files("predictors")[:2], stamps, 3, maker, tmp_path / "s.npy")
    window = SequenceWindow(made_run.files("predictors")[:2], 3, maker)
    expected = np.load(tmp_path / "s.npy")[lagged_rows(written, stamps, 3)]
    np.testing.assert_array_equal(np.concatenate([window(stamps[[place]]) for place in range(4)]), expected)
