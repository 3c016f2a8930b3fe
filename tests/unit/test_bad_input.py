"""Bad input: a clear error that says what to type, or a stated fallback; from the files to the product."""

from __future__ import annotations

import dataclasses
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml

from pscnet import config, downscale
from pscnet.channels import LEARNT_PARTS
from pscnet.checkpoint import read_checkpoint
from pscnet.nets import NETS, Net
from pscnet.regrid import apply
from pscnet.samples import pattern
from pscnet.samples.bands import SampleError, write_bands
from pscnet.samples.files import write_sample_files
from pscnet.samples.geometry import make_pyramid
from pscnet.samples.normaliser import Normaliser, write_normaliser
from pscnet.samples.store import RETRIEVAL_FIELDS, not_finite, read_stamps, sample_file
from pscnet.timeaxis import make_split
from pscnet.training.trainer import Trainer
from pscnet.trees import GRIDS, TreeOptions
from pscnet.variables import FLAG_BITS
from pscnet.weights import read_weights
from tests.unit.nets.world import DAYS, TinyRegion, random_batch, small_net
from tests.unit.samples.conftest import made_run, write_all_samples  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS, NOISE, PREDICTORS, SCALES, SEQUENCE_DAYS, WINDOW_DAYS, MadeRun, make_run
from tests.unit.test_training import MODEL, OPTIONS, fields, train
from tests.unit.training.world import NEAR_SIGHTED, elongated_box, little_memory, trainer_of

WITHOUT_KRIGED = MODEL | {"kriged": False}
NOT_PSCNET = {key: value for key, value in MODEL.items() if key != "squeeze_km"}
ONE_EPOCH = dataclasses.replace(OPTIONS, epochs=1)

#: Steps of one day and a bit, so that they come together and apart.
WANTED = np.arange("2020-06-14T12", "2020-06-15T06", 3, "M8[h]").astype("M8[ns]")

#: Boxes of whole SMAP cells: 1 x 1 and 2 x 2.
ONE_CELL, FOUR_CELLS = ((31.8, 32.12), (91.87, 92.24)), ((31.8, 32.4), (91.87, 92.6))


def copy_of(run: MadeRun, folder: Path) -> MadeRun:
    """The run in a folder of its own, whose files may be changed."""
    shutil.copytree(run.folder, folder, dirs_exist_ok=True)
    return dataclasses.replace(run, folder=folder)


def change(path: Path, name: str, to) -> None:
    """Replace a variable of a file by what ``to`` makes of it."""
    with xr.open_dataset(path) as data:
        data = data.load()
    data[name] = to(data[name])
    data.to_netcdf(path)


def make_again(run: MadeRun, samples: bool = True) -> None:
    """What follows from predictors and SMAP, for nets that read neither kriged innovations nor sequences."""
    previous = None
    for predictors, bands in zip(run.files("predictors"), run.files("bands"), strict=True):
        write_bands(predictors, previous, PREDICTORS, "swvl1", SCALES, bands)
        previous = bands
    fit(run)
    for part in LEARNT_PARTS if samples else ():
        sample(run, part)


def fit(run: MadeRun) -> None:
    write_normaliser(
        run.files("bands", MONTHS[:1]), run.files("coarse", MONTHS[:1]), run.files("smap", MONTHS[:1]), run.static,
        run.weights, run.split, NOISE, run.normaliser,
    )  # fmt: skip


def sample(run: MadeRun, part: str) -> None:
    write_sample_files(
        MONTHS, run.files("predictors"), run.files("bands"), run.files("coarse"), run.files("smap"), run.static,
        run.normaliser, read_weights(run.weights["fine_to_coarse"]), run.split, part, WINDOW_DAYS, run.samples,
    )  # fmt: skip


def some_fields(run: MadeRun, checkpoint: Path, **options) -> dict[str, np.ndarray]:
    """Fields (step, lat, lon) of six steps of June."""
    made = downscale.Downscaler(checkpoint, run.static, run.weights, PREDICTORS, **options)
    normaliser = made.maker.normaliser
    files = run.files("smap"), run.files("coarse")
    retrievals = downscale.Retrievals.from_files(*files, normaliser.background, normaliser.noise)
    parts = list(made.fields(run.files("predictors")[1], run.files("bands")[0], retrievals, WANTED))
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("soil_moisture", "uncertainty")}


def region_of(run: MadeRun) -> np.ndarray:
    with xr.open_dataset(run.static) as data:
        return data["region"].values > 0


@pytest.fixture(scope="module")
def trained(made_run, tmp_path_factory) -> Path:  # noqa: F811
    return train(made_run, tmp_path_factory.mktemp("model") / "pscnet.safetensors")


# A constant predictor -------------------------------------------------------------------------------------------------


def test_a_predictor_that_is_constant_everywhere_changes_no_answer(made_run, tmp_path, caplog):  # noqa: F811
    """Constant in time and in space: it is told, training goes on, and no other constant gives another answer."""
    answers = []
    for value in (273.15, 280.0):
        run = copy_of(made_run, tmp_path / f"{value}")
        for kind in ("predictors", "coarse"):
            for path in run.files(kind):
                change(path, "stl1", lambda field, value=value: field * 0 + value)
        with caplog.at_level(logging.WARNING):
            make_again(run)
        assert all(f"channel stl1:{band} is constant" in caplog.text for band in ("day", "5d", "level"))
        caplog.clear()
        made = some_fields(run, train(run, run.folder / "net.safetensors", ONE_EPOCH, model=WITHOUT_KRIGED))
        answers.append(made["soil_moisture"][:, region_of(run)])
        assert np.isfinite(answers[-1]).all()
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


def test_a_constant_background_leaves_the_answer_to_smap(made_run, tmp_path):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    for kind in ("predictors", "coarse"):
        for path in run.files(kind):
            change(path, "swvl1", lambda field: field * 0 + 0.25)
    make_again(run)
    normaliser = Normaliser.read(run.normaliser)
    assert np.abs(normaliser.matched.slope).max() < 1e-3 and np.abs(normaliser.matched.intercept).max() < 0.6
    made = some_fields(run, train(run, tmp_path / "net.safetensors", ONE_EPOCH, model=WITHOUT_KRIGED))
    found = made["soil_moisture"][:, region_of(run)]
    assert np.isfinite(found).all() and 0.05 < found.mean() < 0.6 and found.std(0).mean() > 1e-4


def patterned(size: float, monkeypatch, share: float) -> dict[str, float]:
    """The fine pattern fitted to rounding noise around ``size`` that happens to go with the climate of the cells."""
    region = TinyRegion((31.0, 33.5), (91.0, 93.5), sea=False)
    rng = np.random.default_rng(0)
    noise = rng.choice([0.0, 1.0], region.fine.shape) * np.spacing(np.float32(size)) * 3
    conservative, bilinear = region.weights["fine_to_coarse"], region.weights["coarse_to_fine"]
    field = (size + noise).astype("f4")
    cells = apply(conservative, field)[0]
    monkeypatch.setattr(pattern, "CONSTANT_SHARE", share)
    everywhere = np.ones(region.coarse.shape, bool)
    climate = 0.2 + 0.02 * (cells - cells.mean()) / cells.std()
    return pattern.fine_pattern({"stl1": field}, climate, everywhere, region.land, conservative, bilinear)[1]


def test_no_fine_pattern_is_fitted_to_rounding_noise(monkeypatch):
    assert patterned(280.0, monkeypatch, pattern.CONSTANT_SHARE) == {}


def test_without_the_threshold_rounding_noise_gets_a_coefficient(monkeypatch):
    """The control."""
    assert patterned(280.0, monkeypatch, 0.0) != {}


# A predictor missing for a month --------------------------------------------------------------------------------------


def test_a_predictor_missing_for_a_month_is_named_with_file_and_month(made_run, tmp_path):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    change(run.files("predictors")[1], "tp", lambda field: field * np.nan)
    with pytest.raises(SampleError, match=r"2020-06\.nc: values of the predictor tp .* none at 2020-06-01T00:00.*ERA5"):
        make_again(run)


def test_a_predictor_that_stops_within_a_month_is_named_with_its_first_step(made_run, tmp_path):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    change(run.files("predictors")[0], "stl1", lambda field: field.where(field["time"] < np.datetime64("2020-05-20")))
    with pytest.raises(SampleError, match=r"2020-05\.nc: .*predictor stl1 .* none at 2020-05-20T00:00"):
        make_again(run)


def test_a_hole_over_land_is_named_before_anything_is_fitted_to_it(made_run, tmp_path):  # noqa: F811
    """A few cells without values would put NaN into the lasting means, and by them into every sample."""
    run = copy_of(made_run, tmp_path)
    field = xr.load_dataset(run.files("predictors")[0])["tp"]
    hole = (field["lat"] < 31.2) & (field["time"] > field["time"][80]) & (field["time"] < field["time"][100])
    change(run.files("predictors")[0], "tp", lambda field: field.where(~hole))
    with pytest.raises(SampleError, match=r"2020-05\.nc and following: values of the predictor tp on 424 land cells"):
        make_again(run)


def test_a_hole_after_training_names_file_and_channel(made_run, tmp_path):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    hole = xr.load_dataset(run.files("predictors")[1])["lat"] < 31.2
    change(run.files("predictors")[1], "tp", lambda field: field.where(~hole))
    with pytest.raises(SampleError, match=r"2020-06\.nc: channel tp:day: \d+ values on land are missing"):
        make_again(run)


def test_sea_is_no_missing_predictor(made_run, tmp_path):  # noqa: F811
    """The control: NaN over sea passes, and the same files give the same normaliser."""
    run = copy_of(made_run, tmp_path)
    make_again(run, samples=False)
    mine, other = (Normaliser.read(path).arrays() for path in (run.normaliser, made_run.normaliser))
    assert all(np.array_equal(mine[name], other[name], equal_nan=True) for name in mine)


# SMAP missing for a season --------------------------------------------------------------------------------------------


def without_smap(run: MadeRun, first: str, last: str) -> None:
    """Take every retrieval of the half-orbits dated within some days."""
    for path in run.files("smap"):
        for name in ("soil_moisture", "soil_moisture_error", "time_offset"):
            change(path, name, lambda field: field.where((field["date"] < np.datetime64(first)) | (
                field["date"] >= np.datetime64(last))))  # fmt: skip


def test_training_tells_the_months_without_smap_and_goes_on(made_run, tmp_path, caplog):  # noqa: F811
    """The split's training part reaches into a second month, which has no retrieval."""
    run = copy_of(made_run, tmp_path)
    without_smap(run, "2020-06-01", "2020-08-01")
    longer = {"train": ["2020-05/2020-06"], "validation": ["2020-07-10/2020-07-20"], "test": ["2020-07-29/2020-07-31"]}
    split = make_split(longer, (MONTHS[0], MONTHS[-1]), 8)
    with caplog.at_level(logging.WARNING):
        write_sample_files(
            MONTHS, run.files("predictors"), run.files("bands"), run.files("coarse"), run.files("smap"), run.static,
            run.normaliser, read_weights(run.weights["fine_to_coarse"]), split, "train", WINDOW_DAYS, run.samples,
        )  # fmt: skip
    assert "train: no overpass in 2020-06: " in caplog.text
    assert "what ERA5-Land and the net tell without it" in caplog.text
    stamps = np.load(sample_file(run.samples, "train", "stamps")).astype("M8[ns]")
    assert stamps.size > 35 and (stamps < np.datetime64("2020-06-01")).all()


def test_months_with_smap_are_not_complained_about(made_run, tmp_path, caplog):  # noqa: F811
    """The control."""
    run = copy_of(made_run, tmp_path)
    with caplog.at_level(logging.WARNING):
        sample(run, "train")
    assert "no overpass" not in caplog.text


def test_validation_without_any_retrieval_says_what_to_do(made_run, tmp_path):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    without_smap(run, "2020-06-01", "2020-07-01")
    with pytest.raises(SampleError, match=r"split\.validation: 0 overpasses .* at least 4 expected; lengthen its"):
        sample(run, "validation")


def test_training_without_any_retrieval_says_what_to_do(made_run, tmp_path):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    without_smap(run, "2020-05-01", "2020-06-02")
    with pytest.raises(SampleError, match=r"0 training retrievals .* lengthen split\.train, or set smap\.quality"):
        fit(run)


@pytest.fixture(scope="module")
def silent(made_run, tmp_path_factory) -> MadeRun:  # noqa: F811
    """A run whose second half of June has no retrieval, and none until the end of the record."""
    run = copy_of(made_run, tmp_path_factory.mktemp("silent"))
    without_smap(run, "2020-06-12", "2020-08-01")
    return run


def test_a_season_without_smap_falls_back_to_the_background(made_run, silent, trained, caplog):  # noqa: F811
    with caplog.at_level(logging.WARNING):
        month = fields(silent, trained, silent.folder)
    assert "no SMAP retrieval in reach of 92 of 240 steps, the first 2020-06-19T12" in caplog.text
    region = region_of(silent)
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        assert np.isfinite(month[name].values[:, region]).all()
    seen = (month["flag"].values & FLAG_BITS["smap_observed"] > 0).any((1, 2))
    std = month["soil_moisture_uncertainty"].values[:, region].mean(1)
    assert std[~seen].min() > std[seen].mean()


def test_without_smap_nothing_but_background_and_residual_is_left(silent, trained):
    """The innovations are exactly zero where there are none; the control: not where there are some."""
    normaliser = read_checkpoint(trained).normaliser
    downscaler = downscale.Downscaler(trained, silent.static, silent.weights, PREDICTORS)
    retrievals = downscale.Retrievals.from_files(
        silent.files("smap"), silent.files("coarse"), normaliser.background, normaliser.noise
    )
    wanted = np.array(["2020-06-03T12", "2020-06-28T12"], "M8[ns]")
    files = silent.files("predictors")[1], silent.files("bands")[0]
    found = [part.parts["innovation"] for part in downscaler.fields(*files, retrievals, wanted, with_parts=True)]
    innovation = np.concatenate(found)[:, region_of(silent)]
    assert np.abs(innovation[0]).max() > 1e-3
    assert (innovation[1] == 0).all()


# Fewer SMAP cells than the largest scale of the net -------------------------------------------------------------------


@pytest.fixture(scope="module", params=[ONE_CELL, FOUR_CELLS], ids=["1x1", "2x2"])
def tiny_run(request, tmp_path_factory) -> MadeRun:
    run = make_run(tmp_path_factory.mktemp("tiny"), request.param, sea=0, outside=0)
    fit(run)
    write_all_samples(run)
    return run


@pytest.mark.parametrize("dress", ["own", "literature"])
def test_a_region_of_one_or_four_smap_cells_trains_and_is_downscaled(tiny_run, tmp_path, dress):
    assert tiny_run.coarse.size in (1, 4)
    model = MODEL | {"dress": dress, "kriged": dress == "own"}
    made = some_fields(tiny_run, train(tiny_run, tmp_path / "net.safetensors", ONE_EPOCH, model=model))
    assert all(field.size and np.isfinite(field).all() for field in made.values())


@pytest.mark.parametrize("dress", ["own", "literature"])
@pytest.mark.parametrize("name", [name for name in NETS if name != "pscnet"])
def test_every_net_computes_in_a_region_of_one_cell(name, dress):
    region = TinyRegion(*ONE_CELL, sea=False)
    net, batch = small_net(name=name, dress=dress), random_batch(region)
    geometry = region.geometry(region.whole())
    if dress == "literature":
        geometry = make_pyramid(geometry.fine_weight[0, 0].numpy())
    answer = net(batch, geometry)
    assert answer.mean["10km"].shape[-2:] == region.fine.shape and torch.isfinite(answer.mean["10km"]).all()


def test_a_box_without_a_whole_smap_cell_is_refused_with_a_box_that_has_one(repository):
    base = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    base["region"] = {"lat": [31.0, 31.3], "lon": [91.0, 91.4]}
    with pytest.raises(
        config.ConfigError, match=r"region: no SMAP cell .* lat: \[31\.1, 31\.5\], lon: \[91\.1, 91\.5\]"
    ):
        config.load(base)
    base["region"] = {"lat": [31.1, 31.5], "lon": [91.1, 91.5]}
    assert config.load(base).coarse_grid().size >= 1


def test_cells_that_no_land_covers_are_counted(tmp_path):
    """In the box there is a whole SMAP cell, but sea covers part of it."""
    run = make_run(tmp_path, ONE_CELL, sea=2, outside=0)
    fit(run)
    with pytest.raises(SampleError, match=r"split\.train: 0 overpasses .* on the 0 SMAP cells .* widen the region"):
        sample(run, "train")


# A loss that is not finite --------------------------------------------------------------------------------------------


def spoil(run: MadeRun, part: str, name: str, place: tuple) -> str:
    """Put NaN into a sample file; returns the stamp."""
    path = sample_file(run.samples, part, name)
    made = np.load(path)
    made[place] = np.nan
    np.save(path, made)
    return str(np.load(sample_file(run.samples, part, "stamps")).astype("M8[ns]")[place[0]])[:16]


@pytest.mark.parametrize(
    ("part", "name", "place", "said"),
    [
        ("train", "bands", (5, 6, slice(None), slice(None)), "tp:1.5d"),
        ("validation", "bands", (5, 6, slice(None), slice(None)), "tp:1.5d"),
        ("train", "background", (7, slice(None), slice(None)), "background, channel 0"),
        ("train", "kriged", (3, 1, slice(None), slice(None)), "kriged, channel 1"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_finite_is_named_with_channel_and_sample(
    made_run, tmp_path, part, name, place, said  # noqa: F811
):  # fmt: skip
    run = copy_of(made_run, tmp_path)
    stamp = spoil(run, part, name, place)
    with pytest.raises(SampleError, match=rf"loss is not finite at .*{stamp}.*input: {said} at {stamp}; delete the"):
        train(run, tmp_path / "net.safetensors", ONE_EPOCH)


@pytest.mark.parametrize("name", [name for name in NETS if NETS[name].reads_sequence])
def test_a_day_of_a_sequence_that_is_not_finite_is_named_with_predictor_and_day(made_run, tmp_path, name):  # noqa: F811
    run = copy_of(made_run, tmp_path)
    path = sample_file(run.samples, "train", "sequence")
    made, day = np.load(path), 20
    made[day, len(PREDICTORS) + PREDICTORS.index("tp")] = np.nan
    np.save(path, made)
    model = NOT_PSCNET | {"name": name, "sequence_days": SEQUENCE_DAYS}
    with pytest.raises(SampleError, match=r"input: sequence, tp \(daily mean\) of day (0|-1|-2) at 20") as caught:
        train(run, tmp_path / "net.safetensors", ONE_EPOCH, model=model)
    lag, stamp = re.search(r"of day (\S+) at (\S{16})", str(caught.value)).groups()
    found = np.datetime64(stamp) + np.timedelta64(int(lag), "D")
    assert found == read_stamps(sample_file(run.samples, "train", "sequence_stamps"))[day]


@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("sequence", (1, DAYS - 1, 0), "sequence, a of day 0"),
        ("sequence", (1, 2, 3), "sequence, b (daily mean) of day -1"),
        ("statics", (1, 2), "statics, channel 2"),
        *((name, (1, 4), f"{name}, retrieval slot 4") for name in RETRIEVAL_FIELDS),
    ],
)
def test_whatever_is_not_finite_is_named_by_what_it_is(name, place, said):
    batch = random_batch(TinyRegion((31.0, 32.0), (91.0, 92.0)))
    channels = [f"{predictor}:{band}" for predictor in ("a", "b") for band in range(5)]
    stamps = np.arange("2020-05-01T12", "2020-05-01T18", 3, "M8[h]").astype("M8[ns]")
    assert batch.bands.shape[:2] == (2, 10) and not_finite(batch, stamps, channels) == ""
    getattr(batch, name)[(*place, 0, slice(None))] = torch.nan
    assert not_finite(batch, stamps, channels) == (
        f"not finite in the input: {said} at 2020-05-01T15:00; delete the run's folder samples and run again"
    )


def test_a_bad_pixel_that_no_target_sees_is_found_too(made_run, tmp_path):  # noqa: F811
    """Its loss is finite but its gradient is not: without the look at it, the next sample would be blamed."""
    run = copy_of(made_run, tmp_path)
    unseen = np.flatnonzero(~region_of(run).any(0))[-1]
    stamp = spoil(run, "train", "bands", (5, 6, slice(-1, None), slice(unseen, None)))
    model = NOT_PSCNET | {"name": "mlp"}
    with pytest.raises(SampleError, match=rf"is not finite at .*{stamp}.*input: tp:1.5d at {stamp}"):
        train(run, tmp_path / "net.safetensors", ONE_EPOCH, model=model)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_trees_are_not_grown_on_it_either(made_run, tmp_path, monkeypatch, part):  # noqa: F811
    """They would learn from it without a word."""
    run = copy_of(made_run, tmp_path)
    stamp = spoil(run, part, "bands", (5, 6, slice(None), slice(None)))
    monkeypatch.setitem(GRIDS, "random_forest", [TreeOptions(trees=10, max_depth=3, min_leaf=5)])
    with pytest.raises(SampleError, match=rf"training of random_forest: not finite .*: tp:1.5d at {stamp}; delete"):
        train(run, tmp_path / "net.safetensors", model=NOT_PSCNET | {"name": "random_forest"})


# Out of memory --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_run(tmp_path_factory) -> MadeRun:
    """A run on a region of which a tile of the near-sighted net sees a part."""
    run = make_run(tmp_path_factory.mktemp("long"), elongated_box(), sea=3)
    fit(run)
    write_all_samples(run)
    return run


@pytest.fixture(scope="module")
def long_trained(long_run) -> Path:
    model = {"width": 8, "heads": 2, "kriged": True, **NEAR_SIGHTED}
    return train(long_run, long_run.folder / "net.safetensors", ONE_EPOCH, model=model)


def test_a_gpu_out_of_memory_gets_smaller_tiles_and_the_same_answer(long_run, long_trained, monkeypatch, caplog):
    whole = some_fields(long_run, long_trained, batch_steps=2)
    little_memory(monkeypatch, 375)
    with caplog.at_level(logging.WARNING):
        tiled = some_fields(long_run, long_trained, batch_steps=2)
    sizes = [line for line in caplog.text.splitlines() if "out of memory on cpu: " in line]
    assert "1 steps together, on tiles of 75 cells" in sizes[0] and "1 steps together, on tiles of 9 cells" in sizes[-1]
    assert len(sizes) == 4
    for name, field in whole.items():
        np.testing.assert_allclose(tiled[name], field, atol=1e-5)


def test_tiles_that_do_not_overlap_would_give_another_answer(long_run, long_trained, monkeypatch):
    """The control of the test above."""
    whole = some_fields(long_run, long_trained, batch_steps=2)
    monkeypatch.setattr(Net, "reach_coarse_cells", lambda self, share: 0)
    little_memory(monkeypatch, 120)
    tiled = some_fields(long_run, long_trained, batch_steps=2)
    assert np.nanmax(np.abs(tiled["soil_moisture"] - whole["soil_moisture"])) > 1e-4


def test_the_smallest_tile_that_does_not_fit_says_what_to_type(long_run, long_trained, monkeypatch):
    little_memory(monkeypatch, 10)
    with pytest.raises(SampleError, match=r"one step of a tile of 8 cells a side .* type downscale\.device: cpu"):
        some_fields(long_run, long_trained)


def one_step(run: MadeRun) -> tuple[Trainer, dict[str, torch.Tensor]]:
    """A trainer after one step, and its gradients."""
    made = trainer_of(run, OPTIONS)
    made.net.train()
    made._step(made.tiles[0], np.arange(6))
    return made, {name: parameter.grad.clone() for name, parameter in made.net.named_parameters()}


def test_batches_that_do_not_fit_are_split_and_the_step_is_the_same(made_run, monkeypatch, caplog):  # noqa: F811
    whole, expected = one_step(made_run)
    cells = int(np.prod(made_run.fine.shape))
    little_memory(monkeypatch, 2 * cells)
    with caplog.at_level(logging.WARNING):
        split, found = one_step(made_run)
    assert split.memory.parts == 4 and "out of memory on cpu: batches go in 4 parts from here on" in caplog.text
    weights = dict(split.net.named_parameters())
    for name, parameter in whole.net.named_parameters():
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)
        told = expected[name].abs() > 1e-4  # AdamW's first step is the gradient's sign: rounding decides near zero
        torch.testing.assert_close(weights[name][told], parameter[told], rtol=0, atol=1e-6, msg=name)


def test_parts_that_all_weigh_the_same_would_be_another_step(made_run, monkeypatch):  # noqa: F811
    """The control: samples have unequal numbers of observed cells."""
    _, expected = one_step(made_run)
    loss = Trainer._loss

    def unweighted(self, tile, batch, target):
        return loss(self, tile, batch, target) * 30.0 / target.used.sum()

    monkeypatch.setattr(Trainer, "_loss", unweighted)
    little_memory(monkeypatch, 2 * int(np.prod(made_run.fine.shape)))
    _, found = one_step(made_run)
    assert any(not torch.allclose(found[name], expected[name], rtol=1e-3, atol=1e-5) for name in expected)


def test_one_overpass_that_does_not_fit_says_what_to_type(made_run, tmp_path, monkeypatch):  # noqa: F811
    little_memory(monkeypatch, 100)
    with pytest.raises(
        SampleError, match=r"tile of 23 cells a side.* type training\.tile: 11 or less, or training\.dev"
    ):
        train(made_run, tmp_path / "net.safetensors")


def test_samples_that_a_device_holds_make_room_before_training_gives_up(made_run, monkeypatch, caplog):  # noqa: F811
    """The step is then the same as from disk in the first place."""
    _, expected = one_step(made_run)
    made = trainer_of(made_run, OPTIONS)
    for store in (made.train, made.validation):
        for array in store._arrays:
            array.hold(torch.device("cpu"))
    front = Net.front

    def crowded(self, *args):
        if any(array.held for array in made.train._arrays + made.validation._arrays):
            raise torch.OutOfMemoryError("simulated")
        return front(self, *args)

    monkeypatch.setattr(Net, "front", crowded)
    made.net.train()
    with caplog.at_level(logging.WARNING):
        made._step(made.tiles[0], np.arange(6))
    assert "out of memory on cpu: samples are read from disk from here on" in caplog.text
    for name, parameter in made.net.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6, msg=name)


# A window that exceeds the buffer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "buffer", "fits"), [(8.5, 8, False), (12, 8, False), (8, 8, True), (3, 8, True)])
def test_a_window_longer_than_the_buffer_is_refused(repository, window, buffer, fits):
    """With it, test retrievals would be input of training samples; the pairs that fit are the control."""
    base = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    base["samples"] = {"window_days": window, "buffer_days": buffer}
    if fits:
        assert config.load(base).samples.window_days == window
        return
    with pytest.raises(
        config.ConfigError, match=rf"samples\.buffer_days 8 .* {window:g}.*type buffer_days: {window:g}"
    ):
        config.load(base)
