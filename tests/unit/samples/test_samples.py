"""Bands of months, the normaliser, the background and the sets of retrievals."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch
import xarray as xr

from pscnet.nets.filters import FilterBank
from pscnet.samples.background import fit_lines
from pscnet.samples.bands import BandStream, SampleError, write_bands
from pscnet.samples.inputs import InputMaker
from pscnet.samples.normaliser import Normaliser, write_normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import month_files, time_scales
from tests.unit.samples.run import MONTHS, NOISE, PREDICTORS, SCALES

DAY = np.timedelta64(1, "D")


def retrievals_of(run) -> Retrievals:
    background = Normaliser.read(run.normaliser).background
    return Retrievals.from_files(run.files("smap"), run.files("coarse"), background, NOISE)


def refit(run, folder, change) -> Normaliser:
    """The normaliser after ``change`` was made to a copy of the run's files."""
    for kind in ("bands", "coarse", "smap"):
        shutil.copytree(run.folder / kind, folder / kind)
    change(folder)
    paths = {kind: [folder / kind / f"{month}.nc" for month in MONTHS] for kind in ("bands", "coarse", "smap")}
    write_normaliser(
        paths["bands"], paths["coarse"], paths["smap"], run.static, run.weights, run.split, NOISE, folder / "n.nc"
    )
    return Normaliser.read(folder / "n.nc")


def spoil(path, days) -> None:
    """Double everything that the given days hold."""
    with xr.open_dataset(path) as data:
        data = data.load()
    axis = "day" if "day" in data.dims else "time" if "time" in data.dims else "half_orbit"
    when = data["date"] if axis == "half_orbit" else data[axis]
    inside = (when >= days[0]) & (when < days[1])
    for name in data.data_vars:
        if axis in data[name].dims and data[name].dtype.kind == "f" and name != "time_offset":
            data[name] = data[name].where(~inside, data[name] * 2)
    data.to_netcdf(path)


def same(a: Normaliser, b: Normaliser) -> bool:
    return all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(a.arrays().values(), b.arrays().values(), strict=True)
    )


def test_month_by_month_equals_one_stretch(made_run):
    """The bands of the second month, with carried state, are those of both months filtered at once."""
    stream = BandStream(made_run.files("predictors")[1], PREDICTORS, SCALES, made_run.files("bands")[0])
    chunks = torch.cat([chunk.bands for chunk in stream])
    data = xr.concat([xr.load_dataset(path) for path in made_run.files("predictors")[:2]], "time")
    series = torch.from_numpy(np.stack([data[name].values for name in PREDICTORS], 1))
    bank = FilterBank(SCALES)
    whole, _ = bank(series, bank.initial_state(series))
    expected = whole.movedim(0, 2).flatten(1, 2)[-len(chunks) :]
    torch.testing.assert_close(chunks, expected, rtol=1e-4, atol=1e-4, equal_nan=True)


def test_normaliser_does_not_see_validation_test_or_buffers(made_run, tmp_path):
    """Nothing outside the usable days of the training split changes the normaliser."""

    def change(folder):
        for kind in ("bands", "coarse", "smap"):
            spoil(folder / kind / "2020-05.nc", (np.datetime64("2020-05-24"), np.datetime64("2020-06-01")))
            for month in MONTHS[1:]:
                spoil(folder / kind / f"{month}.nc", (np.datetime64(month), np.datetime64("2020-08-01")))

    (tmp_path / "plain").mkdir()
    (tmp_path / "changed").mkdir()
    plain = refit(made_run, tmp_path / "plain", lambda folder: None)
    assert same(plain, refit(made_run, tmp_path / "changed", change))


def test_normaliser_sees_the_training_days(made_run, tmp_path):
    """The control: the same change within the usable training days shows."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "changed").mkdir()
    plain = refit(made_run, tmp_path / "plain", lambda folder: None)

    def change(folder):
        spoil(folder / "smap" / "2020-05.nc", (np.datetime64("2020-05-10"), np.datetime64("2020-05-12")))

    assert not same(plain, refit(made_run, tmp_path / "changed", change))


def test_standardised_training_channels_have_mean_0_and_std_1(made_run):
    normaliser = Normaliser.read(made_run.normaliser)
    maker = InputMaker(normaliser, made_run.static, 8)
    stream = BandStream(made_run.files("predictors")[0], PREDICTORS, SCALES, None)
    bands = torch.cat([maker.bands(chunk.bands) for chunk in stream])[: 23 * 8]
    values = bands[:, :, torch.from_numpy(maker.land)]
    levels = [i for i, name in enumerate(normaliser.channels) if name.endswith(":level")]
    quick = [i for i in range(len(normaliser.channels)) if i not in levels]
    assert values.mean((0, 2))[quick].abs().max() < 0.05
    # Rain within the day is cut off; the made-up temperature has a diurnal cycle and nothing slower.
    varying = np.isfinite(normaliser.std)
    whole = [i for i, name in enumerate(normaliser.channels) if i in quick and name != "tp:day" and varying[i]]
    assert len(whole) > 6
    assert (values.std((0, 2))[whole] - 1).abs().max() < 1e-3


def test_a_level_is_a_departure_from_the_lasting_mean_of_its_pixel(made_run):
    """What the net sees of the slowest band and what it sees of the lasting mean add up to the standardised band."""
    normaliser = Normaliser.read(made_run.normaliser)
    maker = InputMaker(normaliser, made_run.static, 8)
    chunk = next(iter(BandStream(made_run.files("predictors")[0], PREDICTORS, SCALES, None)))
    level = normaliser.channels.index("swvl1:level")
    departure = maker.bands(chunk.bands)[:, level].numpy()
    lasting = maker.statics[maker.static_channels - 2 - len(PREDICTORS)]
    whole = (chunk.bands[:, level].numpy() - normaliser.mean[level]) / normaliser.std[level]
    np.testing.assert_allclose((departure + lasting)[:, maker.land], whole[:, maker.land], atol=1e-4)
    assert lasting[maker.land].std() > 0.1


def test_a_constant_predictor_is_told_and_carries_nothing(made_run, tmp_path, caplog):
    with xr.open_dataset(made_run.files("predictors")[0]) as data:
        data = data.load()
    data["tp"] = data["tp"] * 0 + 0.001 * (1 + data["lat"] / 40)  # constant in time, not in space
    data.to_netcdf(tmp_path / "p.nc")
    write_bands(tmp_path / "p.nc", None, PREDICTORS, "swvl1", SCALES, tmp_path / "b.nc")
    with caplog.at_level(logging.WARNING):
        write_normaliser(
            [tmp_path / "b.nc"], made_run.files("coarse", MONTHS[:1]), made_run.files("smap", MONTHS[:1]),
            made_run.static, made_run.weights, made_run.split, NOISE, tmp_path / "n.nc",
        )  # fmt: skip
    assert "channel tp:day is constant" in caplog.text
    assert "channel tp:level is constant" not in caplog.text
    maker = InputMaker(Normaliser.read(tmp_path / "n.nc"), made_run.static, 8)
    chunk = next(iter(BandStream(tmp_path / "p.nc", PREDICTORS, SCALES, None)))
    scaled = maker.bands(chunk.bands)
    rain = [i for i, name in enumerate(maker.normaliser.channels) if name.startswith("tp:") and name != "tp:level"]
    assert scaled[:, rain].abs().max() == 0


def test_missing_values_on_land_name_the_channel(made_run):
    maker = InputMaker(Normaliser.read(made_run.normaliser), made_run.static, 8)
    chunk = next(iter(BandStream(made_run.files("predictors")[0], PREDICTORS, SCALES, None)))
    chunk.bands[3, 7, 10, 10] = torch.nan
    with pytest.raises(SampleError, match=r"channel tp:5d: 1 values on land are missing"):
        maker.bands(chunk.bands)


def test_a_predictor_that_the_file_lacks_is_named(made_run):
    with pytest.raises(SampleError, match=r"2020-05\.nc: predictors lai_hv expected, found"):
        next(iter(BandStream(made_run.files("predictors")[0], [*PREDICTORS, "lai_hv"], SCALES, None)))


def test_a_gap_between_months_is_refused(made_run):
    paths = [made_run.files("predictors")[i] for i in (0, 2)]
    with pytest.raises(SampleError, match="2020-07 after 2020-05"):
        month_files(["2020-05", "2020-07"], paths, paths, paths, paths)


def test_regression_and_matching_recover_known_lines():
    rng = np.random.default_rng(0)
    water = rng.normal(0.25, 0.05, (4000, 3, 3))
    retrieval = 0.02 + 0.7 * water + rng.normal(0, 0.03, water.shape)
    regression, matched = fit_lines(water, retrieval, np.full(water.shape, 0.03), water.mean(0))
    np.testing.assert_allclose(regression.slope, 0.7, atol=0.03)
    np.testing.assert_allclose(matched.slope, 0.7, atol=0.03)
    np.testing.assert_allclose(regression(0.25), 0.02 + 0.7 * 0.25, atol=0.003)
    _, noisy = fit_lines(water, retrieval, np.full(water.shape, 1e-6), water.mean(0))
    assert (noisy.slope > 0.85).all(), "the control: with the noise left in, the matched slope is too steep"


def test_too_few_training_retrievals_are_told():
    empty = np.full((5, 2, 2), np.nan)
    with pytest.raises(ValueError, match=r"0 training retrievals .* at least 10 expected"):
        fit_lines(empty, empty, empty, np.zeros((2, 2)))


def test_the_set_holds_the_window_and_nothing_else(made_run):
    retrievals = retrievals_of(made_run)
    stamp = np.datetime64("2020-06-15T12", "ns")
    seen = retrievals.around([stamp], 8, None)
    age = (retrievals.time - stamp) / DAY
    expected = np.isfinite(retrievals.value) & (np.abs(age) <= 8) & (retrievals.precision > 0)
    assert (seen.weight > 0).sum() == expected.sum() > 100
    assert np.abs(seen.age).max() <= 8
    found = np.sort(seen.value[seen.weight > 0])
    np.testing.assert_allclose(found, np.sort(retrievals.value[expected]))


def test_leave_out_takes_the_whole_overpass(made_run):
    retrievals = retrievals_of(made_run)
    for stamp in retrievals.overpass_stamps()[20:40]:
        seen = retrievals.around([stamp], 8, 6)
        assert (np.abs(seen.age[seen.weight > 0]) * 24 > 6).all()
        value, _ = retrievals.target(stamp)
        assert not np.isin(value[np.isfinite(value)], seen.value[seen.weight > 0]).any()


def test_without_leave_out_the_target_is_among_the_input(made_run):
    """The control of the test above."""
    retrievals = retrievals_of(made_run)
    stamp = retrievals.overpass_stamps()[30]
    seen = retrievals.around([stamp], 8, None)
    value, _ = retrievals.target(stamp)
    assert np.isin(value[np.isfinite(value)], seen.value[seen.weight > 0]).all()


def test_hidden_retrievals_are_neither_input_nor_target(made_run):
    retrievals = retrievals_of(made_run)
    hidden = made_run.split.part_of_blocks("test", retrievals.stamp)
    retrievals.hide(hidden)
    assert not (retrievals.overpass_stamps() >= np.datetime64("2020-07-01T00")).any()
    assert (retrievals.precision[hidden] == 0).all()


def test_innovation_is_retrieval_minus_background_at_its_own_time(made_run):
    retrievals = retrievals_of(made_run)
    background = Normaliser.read(made_run.normaliser).background
    stamps, means = background.footprint_series(made_run.files("coarse"))
    slot = 40
    y, x = np.argwhere(np.isfinite(retrievals.innovation[slot]))[0]
    at = np.searchsorted(stamps, retrievals.stamp[slot, y, x])
    expected = retrievals.value[slot, y, x] - means[at, y, x]
    assert retrievals.innovation[slot, y, x] == pytest.approx(expected, abs=1e-6)


def test_time_scales_are_read_back_from_channel_names(made_run):
    assert time_scales(Normaliser.read(made_run.normaliser).channels) == SCALES
