"""Samples from disk: they hold what was put there, what each is compared with, and no future where causal."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pscnet import downscale
from pscnet.baselines.covariance import Spacing, read_covariances
from pscnet.baselines.interpolation import read_interpolators
from pscnet.baselines.smoothing import smoothed_smap
from pscnet.checkpoint import read_checkpoint
from pscnet.samples.bands import BandStream, SampleError
from pscnet.samples.geometry import make_tiles, read_weight_set
from pscnet.samples.kriged import COVARIANCE, kriged_channels
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import SampleStore, covered_cells, read_stamps, sample_file, write_stamps
from pscnet.timeaxis import HALF_STEP
from tests.unit.samples.run import LEAVE_OUT_HOURS, NOISE, PREDICTORS, SCALES, WINDOW_DAYS
from tests.unit.samples.test_kriged import raised
from tests.unit.test_training import MODEL, OPTIONS, fields, train
from tests.unit.training.world import maker_of, spec_of, stores_of

STAMP = np.datetime64("2020-06-15T12", "ns")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stores(made_run) -> dict[str, SampleStore]:
    maker = maker_of(made_run)
    return stores_of(made_run, spec_of(maker), maker)


def whole(run):
    return make_tiles(run.fine, run.coarse, None, 0)[0]


# What lies on disk ----------------------------------------------------------------------------------------------------


def test_a_batch_holds_the_bands_and_the_background_of_its_stamps(made_run, stores):
    store = stores["validation"]
    rows = np.array([3, 11])
    batch, _, stamps = store.batch(rows, whole(made_run), LEAVE_OUT_HOURS, CPU)
    assert np.array_equal(stamps, store.stamps[rows])
    stream = BandStream(made_run.files("predictors")[1], PREDICTORS, SCALES, made_run.files("bands")[0])
    found = 0
    for chunk in stream:
        for position in np.flatnonzero(np.isin(stamps, chunk.times)):
            at = np.flatnonzero(chunk.times == stamps[position])
            bands = store.maker.bands(chunk.bands[torch.from_numpy(at)])
            torch.testing.assert_close(batch.bands[position], bands[0], atol=4e-3, rtol=1e-3)  # float16
            background = store.maker.background(chunk.raw["swvl1"][at])
            np.testing.assert_allclose(batch.background[position].numpy(), background, atol=1e-5)
            found += 1
    assert found == 2


def test_the_target_is_what_smap_saw_and_no_more(made_run, stores):
    store = stores["train"]
    _, target, stamps = store.batch(np.array([5]), whole(made_run), LEAVE_OUT_HOURS, CPU)
    value, noise = store.retrievals.target(stamps[0])
    used = np.isfinite(value) & store.covered
    statistics = store.maker.normaliser
    assert np.array_equal(target.used[0, 0].numpy() > 0, used) and used.sum() > 10
    back = target.value[0, 0].numpy() * statistics.target_std + statistics.target_mean
    np.testing.assert_allclose(back[used], value[used], atol=1e-5)
    expected = np.minimum((NOISE / noise[used]) ** 2, 1)
    np.testing.assert_allclose(target.precision[0, 0].numpy()[used], expected, rtol=1e-5)
    extra = np.maximum(noise[used] ** 2 - NOISE**2, 0) / statistics.target_std**2
    np.testing.assert_allclose(target.extra_variance[0, 0].numpy()[used], extra, atol=1e-5)
    kept = target.within(torch.zeros_like(target.used))
    assert kept.used.sum() == 0 and torch.equal(kept.value, target.value)


def test_cells_that_land_hardly_covers_are_no_target(made_run, stores):
    conservative = read_weight_set(made_run.weights)["fine_to_coarse"]
    maker = stores["train"].maker
    covered = covered_cells(maker, conservative)
    share = (conservative.matrix @ maker.land.ravel()).reshape(conservative.dst_shape)
    assert np.array_equal(covered, share >= 0.9) and 0 < covered.sum() < covered.size


def test_stamps_come_back(tmp_path):
    stamps = np.array(["2016-01-01T03", "2017-12-31T21"], "M8[ns]")
    write_stamps(tmp_path / "s.npy", stamps)
    assert np.array_equal(read_stamps(tmp_path / "s.npy"), stamps)


def test_samples_of_other_channels_are_refused(made_run, stores):
    maker = maker_of(made_run)
    maker.normaliser = dataclasses.replace(maker.normaliser, channels=maker.normaliser.channels[:10])
    with pytest.raises(SampleError, match=r"train\.bands\.npy: \(28, 10, 20, 23\) .* found \(28, 15, 20, 23\)"):
        SampleStore(made_run.samples, "train", maker, stores["train"].retrievals, stores["train"].covered)


# Nothing of the future ------------------------------------------------------------------------------------------------


def retrievals_of(run, causal: bool, smap=None) -> Retrievals:
    statistics = Normaliser.read(run.normaliser)
    return Retrievals.from_files(smap or run.files("smap"), run.files("coarse"), statistics.background, NOISE, causal)


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_set_ends_half_a_step_after_the_stamp(made_run, causal):
    retrievals = retrievals_of(made_run, causal)
    stamps = np.arange("2020-06-10T00", "2020-06-14T00", 3, "M8[h]").astype("M8[ns]")
    seen = retrievals.around(stamps, WINDOW_DAYS, None)
    latest = np.where(seen.weight > 0, seen.age, -np.inf).max((1, 2, 3)) * 24
    assert (latest <= 1.5).all() == causal, "False is the control"
    assert (seen.age[seen.weight > 0] < -5).any()


def test_a_retrieval_that_belongs_to_the_stamp_is_seen_although_it_comes_later(made_run):
    """SMAP passes at the stamp or shortly after it; what belongs to the next stamp is not seen."""
    retrievals = retrievals_of(made_run, True)
    slot, y, x = np.argwhere(retrievals.precision > 0)[200]
    time = retrievals.time[slot, y, x]
    for later, seen in ((HALF_STEP, True), (HALF_STEP + np.timedelta64(1, "m"), False)):
        found = retrievals.around([time - later], WINDOW_DAYS, None)
        assert bool(((found.age[0, :, y, x] > 0) & (found.weight[0, :, y, x] > 0)).any()) == seen


@pytest.fixture(scope="module", params=[True, False], ids=["causal", "both_sides"])
def trained(request, made_run, tmp_path_factory) -> tuple[bool, Path]:
    folder = tmp_path_factory.mktemp("causal")
    options = dataclasses.replace(OPTIONS, epochs=1)
    return request.param, train(made_run, folder / "net.safetensors", options, causal=request.param)


def answers(run, checkpoint: Path, smap: list[Path], causal: bool) -> dict[str, np.ndarray]:
    """What everything that looks at SMAP says at the stamp."""
    net = downscale.Downscaler(checkpoint, run.static, run.weights, PREDICTORS)
    statistics, weights = Normaliser.read(run.normaliser), read_weight_set(run.weights)
    retrievals = retrievals_of(run, causal, smap)
    seen = retrievals.around([STAMP], WINDOW_DAYS, None)
    covariance = read_covariances(run.covariance)[COVARIANCE]
    interpolators = read_interpolators(
        smap, run.files("coarse"), run.covariance, statistics, net.maker.land, weights, WINDOW_DAYS, causal
    )
    made = net.fields(run.files("predictors")[1], run.files("bands")[0], retrievals, np.array([STAMP]))
    return {
        "set": np.stack([seen.value, seen.innovation]),
        "smoothed": smoothed_smap(seen, 0.2),
        "kriged channels": kriged_channels(seen, covariance, Spacing.of(run.coarse), 0.05),
        **{name: method.increments([STAMP], None)[0] for name, method in interpolators.items()},
        "net": next(iter(made)).soil_moisture[:, net.maker.region],
    }


def test_no_method_sees_later_retrievals_where_causal(made_run, trained, tmp_path):
    """Changing all retrievals of later stamps changes nothing; the control: with both sides it changes everything."""
    causal, checkpoint = trained
    later = raised(made_run, tmp_path / "smap", lambda stamp: stamp > STAMP)
    plain = answers(made_run, checkpoint, made_run.files("smap"), causal)
    changed = answers(made_run, checkpoint, later, causal)
    differing = {name for name in plain if not np.array_equal(plain[name], changed[name])}
    assert differing == (set() if causal else set(plain))


def test_the_checkpoint_carries_it_to_downscaling(made_run, trained, tmp_path):
    """A month's fields before the change stay as they are; the control: not where the net saw both sides."""
    causal, checkpoint = trained
    assert read_checkpoint(checkpoint).causal == causal
    run = dataclasses.replace(made_run, folder=tmp_path)
    for name in ("predictors", "bands", "coarse", "weights", "static.nc", "normaliser.nc"):
        (tmp_path / name).symlink_to(made_run.folder / name)
    raised(made_run, tmp_path / "smap", lambda stamp: stamp > STAMP)
    (tmp_path / "out").mkdir()
    plain, changed = (fields(each, checkpoint, tmp_path / "out")["soil_moisture"] for each in (made_run, run))
    before = plain["time"].values <= STAMP
    same = (np.isnan(plain.values) | (plain.values == changed.values)).all((1, 2))
    assert same[before].all() == causal and not same[~before].all()


def test_a_causal_net_is_trained_on_causal_samples(made_run, tmp_path, monkeypatch):
    """No batch of training or validation holds a later retrieval, and the kriged channels are the causal ones."""
    maker = maker_of(made_run)
    store = stores_of(made_run, spec_of(maker), maker, causal=True)["validation"]
    batch, _, _ = store.batch(np.arange(6), whole(made_run), LEAVE_OUT_HOURS, CPU)
    assert float(batch.age.max()) <= 1.5 / 24
    expected = np.load(sample_file(made_run.samples, "validation", "kriged_causal"))[:6]
    np.testing.assert_array_equal(batch.kriged.numpy(), expected)
    opened = []
    plain = SampleStore._open
    monkeypatch.setattr(SampleStore, "_open", lambda *names: opened.append(names[3]) or plain(*names))
    train(made_run, tmp_path / "net.safetensors", dataclasses.replace(OPTIONS, epochs=1), causal=True)
    assert "kriged_causal" in opened and "kriged" not in opened and MODEL["kriged"]
