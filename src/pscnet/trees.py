"""How do trees learn? Random forest and gradient boosting fitted by scikit-learn, kept as plain arrays.

Trees cannot be fitted through an area average, as the nets are. They learn at 36 km, from footprint means of the
features to what the retrieval holds beyond the background, and are applied at 10 km. Their size is chosen by what
counts, the area average of the 10 km field against retrievals of the validation part.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from torch import Tensor

from pscnet.nets import NetSpec, make_net
from pscnet.nets.frame import LOG_VARIANCE, Batch, Geometry
from pscnet.nets.trees import TreeEnsemble, Trees
from pscnet.samples.bands import SampleError
from pscnet.samples.geometry import Tile
from pscnet.samples.store import SampleStore, Target, not_finite
from pscnet.training.memory import Memory
from pscnet.tree_arrays import TreeLayoutError, tree_arrays

logger = logging.getLogger(__name__)

#: Most footprints that trees are fitted to, and most that one tree of a forest draws.
MOST_SAMPLES = 200_000
MOST_SAMPLES_OF_A_TREE = 30_000

#: Trees between two rows of the learning curve, and between the numbers of trees that are tried.
CURVE_TREES = 10

#: Share of the features tried at a split. A third for a forest [Hastie et al. 2009, Elements of Statistical Learning,
#: section 15.3]; half for boosting, which without a draw would have no seed.
FEATURES_AT_SPLIT = {"random_forest": 1 / 3, "gradient_boosting": 0.5}

#: Rows on which arrays and scikit-learn's own answer are compared, and how far they may be apart.
CHECKED_ROWS = 1000
TOLERANCE = 1e-4


@dataclass(frozen=True)
class TreeOptions:
    """Size of an ensemble.

    Attributes
    ----------
    trees : int
        Number of trees; for boosting the largest that is tried.
    max_depth : int
        Splits between root and leaf, at most.
    min_leaf : int
        Fewest footprints in a leaf.
    seed : int
    learning_rate : float
        Shrinkage of each boosted tree; not for forests.
    """

    trees: int
    max_depth: int
    min_leaf: int
    seed: int = 0
    learning_rate: float = 0.1


#: Sizes among which the validation part chooses. One thread evaluates the largest of either kind, features included, at
#: 0.17 to 0.19 million pixel-steps a second (92 features, complete trees); deeper or more trees would hold up a run.
GRIDS: dict[str, tuple[TreeOptions, ...]] = {
    "random_forest": (TreeOptions(60, 8, 20), TreeOptions(60, 10, 10), TreeOptions(60, 12, 5)),
    "gradient_boosting": (TreeOptions(150, 3, 20), TreeOptions(150, 4, 20), TreeOptions(150, 6, 20)),
}


class TrainingOptions(Protocol):
    """What :func:`train_trees` reads of :class:`pscnet.training.trainer.Options`."""

    seed: int
    batch_steps: int


@dataclass(frozen=True)
class GrownTrees:
    """What training made.

    Attributes
    ----------
    state : dict of name to Tensor
        State of the net.
    history : list of dict
        Rows of the learning curve: ``epoch`` (number of trees), ``train_loss``, ``validation_loss``, ``seconds``.
    options : TreeOptions
        The size chosen.
    loss : float
        Its validation loss.
    """

    state: dict[str, Tensor]
    history: list[dict[str, float]]
    options: TreeOptions
    loss: float


def train_trees(
    spec: NetSpec,
    options: TrainingOptions,
    train: SampleStore,
    validation: SampleStore,
    geometry: Geometry,
    tile: Tile,
    leave_out_hours: float,
    memory: Memory,
    grid: Sequence[TreeOptions] | None = None,
) -> GrownTrees:
    """Fit each size of the grid, and keep what is best on the validation part.

    Losses are mean squared errors of footprint means, standardised and weighted with the retrievals' precision: in
    training those that the trees were fitted to, in validation area averages of the 10 km field.

    Parameters
    ----------
    spec : NetSpec
        Of a net that learns as trees.
    options : seed, batch_steps of :class:`pscnet.training.trainer.Options`
    train, validation : SampleStore
    geometry : Geometry
    tile : Tile
        The whole region as one tile.
    leave_out_hours : float
    memory : Memory
        Of the device to train on.
    grid : sequence of TreeOptions, optional
        :data:`GRIDS` where not given; all of one number of trees.

    Raises
    ------
    SampleError
        When a part holds no retrieval.
    TreeLayoutError
    """
    net = make_net(spec).to(memory.device).eval()
    grid = [replace(size, seed=options.seed) for size in grid or GRIDS[spec.name]]
    ends = [*range(CURVE_TREES, grid[0].trees, CURVE_TREES), grid[0].trees]

    def batches(store: SampleStore, size: int) -> Iterator[tuple[Batch, Target, np.ndarray]]:
        order = np.arange(len(store))
        for batch, target, stamps in store.batches(order, size, tile, leave_out_hours, memory.device):
            blame = not_finite(batch, stamps, store.maker.normaliser.channels)
            if blame:  # trees would be fitted to it without a word
                raise SampleError(f"training of {spec.name}: {blame}")
            yield batch, target, stamps

    features, target, weight = memory.in_batches(
        lambda size: footprint_samples(net, batches(train, size), geometry, seed=options.seed), options.batch_steps
    )
    logger.info("%d footprints, %d features", *features.shape)
    grown, seconds = [], []
    for size in grid:
        started = time.perf_counter()
        grown.append(fit_trees(net, features, target, weight, size).to(memory.device))
        seconds.append(time.perf_counter() - started)
    losses = memory.in_batches(
        lambda size: area_average_losses(net, grown, ends, batches(validation, size), geometry), options.batch_steps
    )
    chosen, stage = _best(losses, net.mean_of_trees)
    for size, loss in zip(grid, losses, strict=True):
        logger.info("depth %d, leaves of %d: validation %s", size.max_depth, size.min_leaf, np.round(loss, 4).tolist())
    errors = _squared_errors(grown[chosen], ends, features, target)
    train_losses = np.average(errors, axis=1, weights=weight)
    net.trees.load_state_dict(_first_trees(grown[chosen], ends[stage]))
    net.log_variance.fill_(float(np.clip(np.log(max(train_losses[stage], 1e-12)), *LOG_VARIANCE)))
    history = _curve(ends, train_losses, losses[chosen], sum(seconds))
    state = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    return GrownTrees(state, history, replace(grid[chosen], trees=ends[stage]), float(losses[chosen, stage]))


def _curve(
    ends: Sequence[int], train_losses: np.ndarray, validation_losses: np.ndarray, seconds: float
) -> list[dict[str, float]]:
    """Rows of the learning curve; the seconds of the fit are shared out by trees."""
    shares = np.diff(ends, prepend=0) / ends[-1] * seconds
    columns = ([*ends], train_losses.tolist(), validation_losses.tolist(), shares.tolist())
    names = ("epoch", "train_loss", "validation_loss", "seconds")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _best(losses: np.ndarray, mean_of_trees: bool) -> tuple[int, int]:
    """Position of the lowest loss (candidate, stage). More trees never harm a forest: it keeps them all."""
    if mean_of_trees:
        return int(losses[:, -1].argmin()), losses.shape[1] - 1
    return tuple(int(i) for i in np.unravel_index(losses.argmin(), losses.shape))


@torch.no_grad()
def footprint_samples(
    net: Trees,
    store_batches: Iterable[tuple[Batch, Target, np.ndarray]],
    geometry: Geometry,
    most: int = MOST_SAMPLES,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Footprint means of the features, and what retrievals hold beyond them, at all observed cells or a random part.

    Parameters
    ----------
    net : Trees
    store_batches : batches of :meth:`pscnet.samples.store.SampleStore.batches`
    geometry : Geometry
    most : int
        Most samples; memory holds twice as many.
    seed : int
        Of the draw.

    Returns
    -------
    features : ndarray (n, channel) float32
    target : ndarray (n,) float32
        Retrieval minus the footprint mean of :meth:`Trees.base`, standardised.
    weight : ndarray (n,) float32
        Relative precision of the retrieval.

    Raises
    ------
    SampleError
        When no cell is observed.
    """
    generator = np.random.default_rng(seed)
    rows, keys = np.empty((0, net.channels + 2), "f4"), np.empty(0)
    waiting: list[np.ndarray] = []
    for batch, target, _ in store_batches:
        made = [
            geometry.to_coarse(net.features(batch, geometry)),
            target.value - geometry.to_coarse(net.base(batch, geometry)),
            target.precision,
        ]
        waiting.append(torch.cat(made, 1).movedim(1, -1)[target.used[:, 0] > 0].cpu().numpy())
        if sum(map(len, waiting)) >= most:
            rows, keys = _draw(rows, keys, waiting, most, generator)
            waiting = []
    rows, keys = _draw(rows, keys, waiting, most, generator)
    if not len(rows):
        raise SampleError("no observed cell to fit trees to; lengthen the split's blocks, or widen the region")
    return rows[:, :-2], rows[:, -2], rows[:, -1]


def _draw(
    rows: np.ndarray, keys: np.ndarray, more: Sequence[np.ndarray], most: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the ``most`` smallest keys, in their order; each new row draws its key."""
    rows = np.concatenate([rows, *more])
    keys = np.concatenate([keys, generator.random(len(rows) - len(keys))])
    if len(keys) > most:
        chosen = np.sort(np.argpartition(keys, most - 1)[:most])
        rows, keys = rows[chosen], keys[chosen]
    return rows, keys


@torch.no_grad()
def area_average_losses(
    net: Trees,
    ensembles: Sequence[TreeEnsemble],
    ends: Sequence[int],
    store_batches: Iterable[tuple[Batch, Target, np.ndarray]],
    geometry: Geometry,
) -> np.ndarray:
    """Squared error of the footprint means of 10 km fields, weighted with precision.

    Parameters
    ----------
    net : Trees
        Gives features and base.
    ensembles : sequence of TreeEnsemble
        In place of the net's own.
    ends : ascending numbers of trees
    store_batches, geometry
        As in :func:`footprint_samples`.

    Returns
    -------
    ndarray (ensemble, len(ends))

    Raises
    ------
    SampleError
        When no cell is observed.
    """
    total, mass = np.zeros((len(ensembles), len(ends))), 0.0
    for batch, target, _ in store_batches:
        weight = (target.precision * target.used).double()
        features, base = net.features(batch, geometry), net.base(batch, geometry)
        mass += float(weight.sum())
        for position, ensemble in enumerate(ensembles):
            fields = net.on_land(lambda rows, ensemble=ensemble: ensemble.stages(rows, ends), features, geometry)
            error = target.value - geometry.to_coarse(base + fields)
            total[position] += (weight * error.double() ** 2).sum((0, 2, 3)).cpu().numpy()
    if not mass:
        raise SampleError("no observed cell to choose the trees by; lengthen split.validation")
    return total / mass


def _squared_errors(
    ensemble: TreeEnsemble, ends: Sequence[int], features: np.ndarray, target: np.ndarray
) -> np.ndarray:
    """Squared errors at the samples (len(ends), n)."""
    device = ensemble.value.device
    answers = ensemble.stages(torch.from_numpy(np.ascontiguousarray(features)).to(device), ends)
    return (target - answers.cpu().numpy()) ** 2


def _first_trees(ensemble: TreeEnsemble, trees: int) -> dict[str, Tensor]:
    """State of an ensemble's first trees."""
    return {name: value[:trees] if value.ndim else value for name, value in ensemble.state_dict().items()}


def fit_trees(
    net: Trees, features: np.ndarray, target: np.ndarray, weight: np.ndarray, options: TreeOptions
) -> TreeEnsemble:
    """Fit an ensemble of the net's kind to footprint means.

    It learns at 36 km what will be applied at 10 km (see the module): a split on a feature whose fine detail goes
    together with moisture in another way than its footprint means do carries that error down.

    Parameters
    ----------
    net : Trees
        Says which kind.
    features : ndarray (n, channel) float32
    target, weight : ndarray (n,) float32
    options : TreeOptions

    Raises
    ------
    TreeLayoutError
    """
    share = FEATURES_AT_SPLIT[net.spec.name]
    if net.mean_of_trees:
        model = RandomForestRegressor(
            options.trees, max_depth=options.max_depth, min_samples_leaf=options.min_leaf, max_features=share,
            max_samples=min(len(target), MOST_SAMPLES_OF_A_TREE), random_state=options.seed,
            n_jobs=torch.get_num_threads(),
        )  # fmt: skip
    else:
        model = HistGradientBoostingRegressor(
            max_iter=options.trees, max_depth=options.max_depth, max_leaf_nodes=None,
            min_samples_leaf=options.min_leaf, max_features=share, learning_rate=options.learning_rate,
            early_stopping=False, random_state=options.seed,
        )  # fmt: skip
    model.fit(features, target, sample_weight=weight)
    ensemble = TreeEnsemble(net.mean_of_trees)
    ensemble.load_state_dict(tree_arrays(model))
    some = np.ascontiguousarray(features[:CHECKED_ROWS])
    apart = np.abs(ensemble(torch.from_numpy(some)).numpy() - model.predict(some)).max()
    if not apart <= TOLERANCE * max(1.0, float(np.abs(target).max())):
        raise TreeLayoutError(
            f"the trees of scikit-learn {sklearn.__version__} and the arrays read from them answer {apart:.2g} apart, "
            f"at most {TOLERANCE:g} expected; install scikit-learn as in envs/requirements.lock"
        )
    return ensemble
