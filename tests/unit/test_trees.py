"""Trees from samples to checkpoint: arrays answer as scikit-learn does, and the validation part chooses their size."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from pscnet import downscale, tree_arrays, trees
from pscnet.channels import LEARNT_PARTS
from pscnet.checkpoint import Checkpoint, read_checkpoint
from pscnet.nets import NETS, NetSpec, make_net
from pscnet.samples.bands import SampleError
from pscnet.samples.files import covered_cells, learnt_retrievals
from pscnet.samples.geometry import make_geometry, make_tiles, read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.kriged import kriging
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.store import SampleStore, time_scales
from pscnet.training.memory import Memory
from pscnet.tree_arrays import TreeLayoutError
from pscnet.trees import TreeOptions, fit_trees, footprint_samples, train_trees
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import LEAVE_OUT_HOURS, PREDICTORS, WINDOW_DAYS
from tests.unit.test_training import fields

KINDS = [name for name in NETS if NETS[name].learns == "trees"]
SIZE = TreeOptions(30, 5, 5)
GRID = (TreeOptions(30, 2, 10), TreeOptions(30, 5, 5))


@pytest.fixture(scope="module", params=KINDS)
def kind(request) -> str:
    return request.param


def net_of(kind: str):
    return make_net(NetSpec(kind, 1, 5, 3, 8.0, heads=1))


def samples(rows: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, the size of one of them under noise, and weights."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, 6)).astype("f4")
    target = np.abs(features[:, 0]) + 0.2 * rng.normal(size=rows)
    return features, target.astype("f4"), rng.uniform(0.3, 1, rows).astype("f4")


def answers(ensemble, features: np.ndarray) -> np.ndarray:
    return ensemble(torch.from_numpy(np.ascontiguousarray(features))).numpy()


def apart(kind: str, features: np.ndarray, target: np.ndarray, monkeypatch) -> float:
    """Largest difference between arrays and scikit-learn's own answer on fresh rows and on those of the fit."""
    kept, plain = [], tree_arrays.tree_arrays
    monkeypatch.setattr(trees, "tree_arrays", lambda model: kept.append(model) or plain(model))
    ensemble = fit_trees(net_of(kind), features, target, np.ones(len(target), "f4"), SIZE)
    rows = np.concatenate([features, np.random.default_rng(9).permuted(features, axis=0)])
    return float(np.abs(answers(ensemble, rows) - kept[0].predict(rows)).max())


def test_arrays_answer_as_scikit_learn_does(kind, monkeypatch):
    features, target, _ = samples()
    assert apart(kind, features, target, monkeypatch) < 1e-5


def neighbours() -> tuple[np.ndarray, np.ndarray]:
    """A feature of neighbouring float32 numbers, between which thresholds are no float32."""
    step = np.random.default_rng(0).integers(0, 8, 2000)
    return (1000 + step * np.spacing(np.float32(1000)))[:, None].astype("f4"), (step % 2).astype("f4")


def test_thresholds_between_neighbouring_numbers_are_kept(kind, monkeypatch):
    assert apart(kind, *neighbours(), monkeypatch) < 1e-5


def test_thresholds_rounded_to_the_nearest_go_astray(kind, monkeypatch):
    """The control: and what guards each fit finds it."""
    monkeypatch.setattr(tree_arrays.np, "nextafter", lambda number, towards: number)
    with pytest.raises(TreeLayoutError, match=r"arrays read from them answer .* apart.*requirements\.lock"):
        apart(kind, *neighbours(), monkeypatch)


@pytest.mark.parametrize("broken", ["_predictors", "_baseline_prediction"])
def test_another_layout_of_scikit_learn_is_named(broken, monkeypatch):
    plain = tree_arrays.tree_arrays

    def of_changed(model):
        delattr(model, broken)
        return plain(model)

    monkeypatch.setattr(trees, "tree_arrays", of_changed)
    with pytest.raises(TreeLayoutError, match=rf"scikit-learn [\d.]+ keeps the trees of HistGrad.*{broken}"):
        fit_trees(net_of("gradient_boosting"), *samples(200), SIZE)


def test_nodes_without_a_known_field_are_named(monkeypatch):
    plain = tree_arrays._boosted_tree
    monkeypatch.setattr(tree_arrays, "_boosted_tree", lambda nodes: plain(nodes[["value", "left", "right"]]))
    with pytest.raises(TreeLayoutError, match=r"unknown way.*is_categorical"):
        fit_trees(net_of("gradient_boosting"), *samples(200), SIZE)


def skill(answer: np.ndarray, target: np.ndarray) -> float:
    """Share of the variance that is explained."""
    return float(1 - np.mean((target - answer) ** 2) / np.var(target))


def test_trees_find_what_a_line_cannot(kind):
    """The size of a feature; the control: not where that feature is shuffled."""
    features, target, weight = samples()
    fresh, truth, _ = samples(seed=1)
    ensemble = fit_trees(net_of(kind), features, target, weight, TreeOptions(60, 7, 5))
    assert skill(answers(ensemble, fresh), truth) > 0.5
    line = LinearRegression().fit(features, target, weight)
    assert skill(line.predict(fresh), truth) < 0.05
    shuffled = features.copy()
    shuffled[:, 0] = np.random.default_rng(2).permutation(shuffled[:, 0])
    blind = fit_trees(net_of(kind), shuffled, target, weight, TreeOptions(60, 7, 5))
    assert skill(answers(blind, fresh), truth) < 0.1


def test_a_sample_of_no_weight_is_not_seen(kind):
    features, target, weight = samples(1000)
    changed = np.where(np.arange(1000) < 100, 50.0, target).astype("f4")
    made = {}
    for share in (0.0, 1.0):
        own = np.where(np.arange(1000) < 100, share, weight).astype("f4")
        made[share] = [
            answers(fit_trees(net_of(kind), features, y, own, SIZE), features[100:]) for y in (target, changed)
        ]
    np.testing.assert_allclose(*made[0.0], atol=1e-6)
    assert np.abs(made[1.0][0] - made[1.0][1]).max() > 1  # the control


class Learnt:
    """The made-up run, ready to learn from."""

    def __init__(self, run) -> None:
        self.statistics = Normaliser.read(run.normaliser)
        self.maker = InputMaker(self.statistics, run.static, WINDOW_DAYS)
        retrievals = learnt_retrievals(run.files("smap"), run.files("coarse"), self.statistics, run.split)
        weights = read_weight_set(run.weights)
        self.fine, self.coarse = weights["fine_to_coarse"].src, weights["fine_to_coarse"].dst
        (self.tile,) = make_tiles(self.fine, self.coarse, None, 0)
        self.geometry = make_geometry(weights, self.maker.land, self.tile)
        covered = covered_cells(self.maker, weights["fine_to_coarse"])
        self.train, self.validation = (
            SampleStore(run.samples, part, self.maker, retrievals, covered, kriging(False)) for part in LEARNT_PARTS
        )
        self.run = run

    def spec(self, kind: str, **changes) -> NetSpec:
        statistics = self.statistics
        size = {
            "predictors": len(statistics.predictors),
            "bands": statistics.bands,
            "window_days": WINDOW_DAYS,
            "heads": 2,
        }
        return NetSpec(kind, statics=self.maker.static_channels, **size, **changes)

    def batches(self, store: SampleStore):
        return store.batches(np.arange(len(store)), 6, self.tile, LEAVE_OUT_HOURS, "cpu")

    def grown(self, kind: str, seed: int = 0, grid: tuple[TreeOptions, ...] = GRID, **changes) -> trees.GrownTrees:
        options, spec = SimpleNamespace(seed=seed, batch_steps=6), self.spec(kind, **changes)
        memory = Memory(torch.device("cpu"), [self.train, self.validation], "too large")
        given = spec, options, self.train, self.validation, self.geometry, self.tile, LEAVE_OUT_HOURS, memory
        return train_trees(*given, grid)

    def checkpoint(self, kind: str, output: Path) -> Path:
        Checkpoint(
            self.spec(kind), self.grown(kind).state, self.statistics, self.fine.describe(), self.coarse.describe(),
            time_scales(self.statistics.channels), WINDOW_DAYS, LEAVE_OUT_HOURS, self.run.split.describe(),
            self.run.split.buffer_days, 1.0,
        ).write(output)  # fmt: skip
        return output


@pytest.fixture(scope="module")
def learnt(made_run) -> Learnt:  # noqa: F811
    return Learnt(made_run)


@pytest.fixture(scope="module")
def written(learnt, kind, tmp_path_factory) -> Path:
    return learnt.checkpoint(kind, tmp_path_factory.mktemp("model") / "trees.safetensors")


def test_samples_are_footprint_means_at_observed_cells(learnt, kind):
    net = make_net(learnt.spec(kind))
    features, target, weight = footprint_samples(net, learnt.batches(learnt.train), learnt.geometry)
    batch, first, _ = next(learnt.batches(learnt.train))
    seen = first.used[:, 0] > 0
    count = int(seen.sum())
    level = learnt.geometry.to_coarse(batch.bands[:, 3])
    np.testing.assert_allclose(features[:count, 3], level[seen].numpy(), atol=1e-6)
    residual = first.value - learnt.geometry.to_coarse(batch.background)
    np.testing.assert_allclose(target[:count], residual[:, 0][seen].numpy(), atol=1e-6)
    np.testing.assert_array_equal(weight[:count], first.precision[:, 0][seen].numpy())
    assert len(target) == sum(int(part.used.sum()) for _, part, _ in learnt.batches(learnt.train))
    assert weight.min() > 0


def test_with_kriged_innovations_trees_learn_what_is_left(learnt, kind):
    batch, target, stamps = next(learnt.batches(learnt.train))
    given = [(batch, target, stamps)]
    plain, left = (
        footprint_samples(make_net(learnt.spec(kind, kriged=use)), given, learnt.geometry)[1] for use in (False, True)
    )
    taken = learnt.geometry.to_coarse(learnt.geometry.coarse_to_fine(batch.kriged[:, :1]))[target.used > 0]
    assert taken.std() > 0.01
    np.testing.assert_allclose(plain - left, taken.numpy(), atol=1e-5)


def test_the_number_of_samples_is_bounded(learnt):
    net = make_net(learnt.spec("random_forest"))

    def drawn(most: int, seed: int = 0) -> np.ndarray:
        return footprint_samples(net, learnt.batches(learnt.train), learnt.geometry, most, seed)[0]

    every, some = drawn(10**6), drawn(100)
    assert len(every) > 300
    assert len(some) == 100
    assert set(map(bytes, some)) <= set(map(bytes, every))
    np.testing.assert_array_equal(some, drawn(100))
    assert not np.array_equal(some, drawn(100, seed=1))
    half = np.searchsorted(np.flatnonzero(np.isin(list(map(bytes, every)), list(map(bytes, some)))), len(every) // 2)
    assert 25 < half < 75, "early and late overpasses alike"


def test_without_observed_cells_there_is_an_error(learnt):
    net = make_net(learnt.spec("random_forest"))
    unseen = [
        (batch, dataclasses.replace(target, used=torch.zeros_like(target.used)), stamps)
        for batch, target, stamps in learnt.batches(learnt.train)
    ]
    with pytest.raises(SampleError, match="no observed cell to fit trees to"):
        footprint_samples(net, unseen, learnt.geometry)
    with pytest.raises(SampleError, match=r"no observed cell to choose .* split\.validation"):
        trees.area_average_losses(net, [net.trees], [1], unseen, learnt.geometry)


def test_training_lowers_the_loss(learnt, kind):
    net = make_net(learnt.spec(kind, dress="literature"))
    args = learnt.batches(learnt.validation), learnt.geometry
    (before,) = trees.area_average_losses(net, [net.trees], [1], *args)[0]
    assert learnt.grown(kind, dress="literature").loss < 0.9 * before


@pytest.mark.parametrize("changes", [{}, {"kriged": True}, {"dress": "literature"}], ids=str)
def test_the_curve_tells_of_the_state_that_is_kept(learnt, kind, changes):
    grown = learnt.grown(kind, **changes)
    net = make_net(learnt.spec(kind, **changes))
    net.load_state_dict(grown.state)
    args = learnt.batches(learnt.validation), learnt.geometry
    (after,) = trees.area_average_losses(net, [net.trees], [grown.options.trees], *args)[0]
    assert after == pytest.approx(grown.loss, rel=1e-5)
    kept = next(row for row in grown.history if row["epoch"] == grown.options.trees)
    assert kept["validation_loss"] == grown.loss
    assert float(net.log_variance) == pytest.approx(np.log(kept["train_loss"]), abs=1e-5)
    assert [row["epoch"] for row in grown.history] == [10, 20, 30]


def test_the_seed_decides(learnt, kind):
    first, again, other = (learnt.grown(kind, seed, GRID[:1]).state for seed in (0, 0, 1))
    assert all(torch.equal(part, again[key]) for key, part in first.items())
    assert not torch.equal(first["trees.value"][0, :3], other["trees.value"][0, :3])


LOSSES = np.array([[0.9, 0.5, 0.8], [0.7, 0.6, 0.6]])


def test_validation_chooses_the_size(learnt, kind, monkeypatch):
    """Boosting takes the number of trees with the lowest loss; a forest, which more trees do not harm, takes all."""
    monkeypatch.setattr(trees, "area_average_losses", lambda *_: LOSSES)
    grown = learnt.grown(kind)
    expected = {"gradient_boosting": (20, 2, 0.5), "random_forest": (30, 5, 0.6)}[kind]
    assert (grown.options.trees, grown.options.max_depth, grown.loss) == expected
    assert len(grown.state["trees.feature"]) == grown.options.trees


def test_boosting_without_an_end_overfits(learnt):
    """Why validation has a say: with trees enough, validation gets worse while training goes on getting better."""
    grid = (TreeOptions(120, 6, 2, learning_rate=0.5),)
    grown = learnt.grown("gradient_boosting", grid=grid)
    first, last = grown.history[0], grown.history[-1]
    assert last["train_loss"] < first["train_loss"]
    assert last["validation_loss"] > grown.loss
    assert grown.options.trees < 120


def test_a_checkpoint_comes_back(learnt, kind, written):
    net = read_checkpoint(written).net()
    assert type(net) is NETS[kind]
    grown = learnt.grown(kind).state
    assert set(grown) == set(net.state_dict())
    assert all(torch.equal(net.state_dict()[key], part) for key, part in grown.items())


def test_the_answer_does_not_depend_on_tile_or_batch(learnt, kind, written, tmp_path):
    """But where a feature lies within rounding of a threshold."""
    whole = fields(learnt.run, written, tmp_path)
    tiled = fields(learnt.run, written, tmp_path, tile=8, batch_steps=3, model=kind)
    for name in ("soil_moisture", "soil_moisture_uncertainty"):
        apart = np.abs(tiled[name].values - whole[name].values)
        finite = np.isfinite(whole[name].values)
        assert (np.isfinite(apart) == finite).all()
        assert (apart[finite] > 1e-5).mean() < 1e-4


def test_too_little_overlap_between_tiles_shows(learnt, written, tmp_path, monkeypatch):
    """The control."""
    whole = fields(learnt.run, written, tmp_path)
    monkeypatch.setattr(downscale.Net, "reach_coarse_cells", lambda self, share: 0)
    tiled = fields(learnt.run, written, tmp_path, tile=8)
    apart = np.abs(tiled["soil_moisture"].values - whole["soil_moisture"].values)
    assert (apart[np.isfinite(apart)] > 1e-5).mean() > 0.01


def test_downscaling_names_another_net(learnt, kind, written):
    with pytest.raises(ValueError, match=rf"a checkpoint of 'mlp' expected, found one of '{kind}'"):
        downscale.Downscaler(written, learnt.run.static, learnt.run.weights, PREDICTORS, model="mlp")
