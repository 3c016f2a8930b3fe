"""A leak planted on purpose is found: by the configuration, by the split of a checkpoint, and by the numbers alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from pscnet.timeaxis import TimeError, make_split
from pscnet.validation import ScoreError
from pscnet.validation.leakage import (
    LEARNT,
    describe_learnt,
    innovation_ratio,
    require_unseen,
    require_unseen_pairs,
    tell_tale,
)
from pscnet.validation.score_run import score_run

PERIOD = ("2016-05", "2017-08")
HONEST = {"train": ["2016-05/2017-05"], "validation": ["2017-06"], "test": ["2017-07", "2017-08"]}


def learnt(split: dict, buffer_days: float = 8, window_days: float = 8) -> dict:
    made = make_split(split, PERIOD, buffer_days)
    return json.loads(describe_learnt(made.describe(), buffer_days, window_days))


def scored(split: dict) -> list[list[str]]:
    return make_split(split, PERIOD, 8).describe()["test"]


def test_the_configuration_refuses_a_test_day_in_training():
    with pytest.raises(TimeError, match="overlaps"):
        make_split(HONEST | {"train": ["2016-05/2017-07"]}, PERIOD, 8)
    make_split(HONEST, PERIOD, 8)


def test_an_honest_checkpoint_passes():
    """The control of what follows; parts that adjoin are apart by their buffer."""
    require_unseen(learnt(HONEST), scored(HONEST), "heldout.nc")
    adjoining = {"train": ["2016-05/2017-06"], "validation": ["2016-12"], "test": ["2017-07", "2017-08"]}
    adjoining["train"] = ["2016-05/2016-11", "2017-01/2017-06"]
    require_unseen(learnt(adjoining), scored(adjoining), "heldout.nc")


SUMMER = [["2017-07-01T00:00", "2017-09-01T00:00"]]


@pytest.mark.parametrize(
    ("trained", "days", "said"),
    [
        # A checkpoint of an older split, whose training holds the days that are scored now.
        (
            {"train": ["2016-10/2017-08"], "validation": ["2016-08"], "test": ["2016-05"]},
            SUMMER,
            r"\(split\.train\), are among the days",
        ),
        (
            {"train": ["2016-05/2017-04"], "validation": ["2017-07"], "test": ["2017-05"]},
            SUMMER,
            r"\(split\.validation\), are among the days",
        ),
        # It ends two days before them, or begins two days after: samples see both sides.
        (
            {"train": ["2016-10-01/2017-06-28"], "validation": ["2016-08"], "test": ["2016-05"]},
            SUMMER,
            r"\(split\.train\), lie within the window of 8 days",
        ),
        (
            {"train": ["2016-10/2017-05"], "validation": ["2016-08"], "test": ["2016-05"]},
            [["2016-09-10T00:00", "2016-09-28T00:00"]],
            r"\(split\.train\), lie within the window of 8 days",
        ),
    ],
)
def test_a_checkpoint_of_another_split_is_refused(trained, days, said):
    with pytest.raises(ScoreError, match=said) as caught:
        require_unseen(learnt(trained), days, "heldout.nc")
    assert "heldout.nc" in str(caught.value) and "train again with the present split" in str(caught.value)


def test_a_shorter_buffer_than_the_window_is_a_leak():
    adjoining = {"train": ["2016-05/2016-11", "2017-01/2017-06"], "validation": ["2016-12"], "test": ["2017-07"]}
    with pytest.raises(ScoreError, match="within the window of 8 days"):
        require_unseen(learnt(adjoining, buffer_days=2), scored(adjoining), "heldout.nc")


def test_scores_stop_at_a_leak(made_up_run, tmp_path):
    """Test days in training: no table is written. The control is the untouched run, which is scored elsewhere."""
    outputs = {name: tmp_path / name for name in ("scores_json", "scores_csv", "places_nc")}
    with xr.open_dataset(made_up_run.folder / "heldout.nc") as pairs:
        pairs = pairs.load()
    blocks = {"train": [["2016-06-01", "2016-07-20"]], "validation": [["2016-03-01", "2016-04-01"]]}
    said = {"split": blocks | {"test": [["2016-01-01", "2016-02-01"]]}, "buffer_days": 8, "window_days": 8}
    leaking = tmp_path / "heldout.nc"
    pairs.assign_attrs({LEARNT: json.dumps(said)}).to_netcdf(leaking)
    with pytest.raises(ScoreError, match=r"trained \(split\.train\), are among the days that are scored"):
        score_run(**made_up_run.arguments(heldout=leaking, **outputs))
    assert not list(tmp_path.glob("scores*"))
    silent = tmp_path / "silent.nc"
    pairs.drop_attrs().to_netcdf(silent)
    with pytest.raises(ScoreError, match="rerun verify_heldout"):
        require_unseen_pairs(silent, [("2016-07-05", "2016-08-11")])


# The tell-tale -------------------------------------------------------------------------------------------------------


def simulated(share: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth's prediction with ``share`` of the retrieval's own noise in it, retrieval, and stated noise."""
    rng = np.random.default_rng(0)
    truth, noise = 0.2 + 0.05 * rng.standard_normal(n), 0.043 * rng.standard_normal(n)
    error = 0.02 * rng.standard_normal(n)
    return truth + error + share * noise, truth + noise, np.full(n, 0.043)


def test_what_has_not_seen_the_retrieval_keeps_its_noise():
    prediction, retrieval, noise = simulated(0.0)
    assert innovation_ratio(prediction - retrieval, noise) == pytest.approx(1 + (0.02 / 0.043) ** 2, abs=0.06)
    assert innovation_ratio(prediction + 0.05 - retrieval, noise) > 2, "a bias does not hide in it, it adds"
    leaked, retrieval, _ = simulated(0.6)
    assert innovation_ratio(leaked - retrieval, noise) < 0.5


def test_a_leak_is_told_from_a_noise_that_is_stated_too_large():
    fine = {"pscnet": (1.3, 1.2, 1.4), "optimal_interpolation": (1.4, 1.3, 1.5)}
    assert tell_tale(fine) == ""
    leak = tell_tale(fine | {"pscnet": (0.3, 0.25, 0.35)})
    assert leak.startswith("WARNING") and "LEAKED" in leak and "0.30" in leak
    quiet = tell_tale({"pscnet": (0.3, 0.25, 0.35), "optimal_interpolation": (0.4, 0.35, 0.45)})
    assert quiet.startswith("WARNING") and "LEAKED" not in quiet and "smap.noise" in quiet
    undefined = {"pscnet": (0.3, float("nan"), float("nan")), "optimal_interpolation": (1.4, 1.3, 1.5)}
    assert tell_tale(undefined) == "", "without an interval there is no verdict"
