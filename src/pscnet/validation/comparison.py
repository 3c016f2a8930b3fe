"""Which method is better, by how much, and how sure is it: many methods, worlds and seeds against the truth.

What varies is kept apart:

- **weather**: whole blocks of time are drawn with replacement within each world (Kunsch 1989, Annals of Statistics 17,
  1217), the same blocks for every method and seed of the world, so that an interval of a difference is paired;
- **training**: the spread over seeds (standard deviation, ddof 1), and the standard error that it leaves in a mean. A
  trained method of a single seed is no surer than others: it is taken to scatter as the method that it is compared with
  or, where that has a single seed too or wears the other dress, as the mean of those of its own dress with several;
- **worlds** are not drawn: every number is a mean over these worlds, and stands beside that of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from pscnet.scores import PairMoments
from pscnet.validation import OPTIMAL, PRODUCT, ScoreError
from pscnet.validation.blocks import BLOCK_DAYS, NOMINAL, BlockMoments, BlockScores
from pscnet.validation.groups import LITERATURE, entry_of
from pscnet.validation.resampling import blocks_with_pairs, draw_scores, draw_weights, interval_of
from pscnet.validation.truth import Parts, inside, score_row

__all__ = ["BLOCK_DAYS", "BlockMoments", "BlockScores", "compare", "scores_of"]

#: Draws of blocks.
DRAWS = 1000

#: Scores whose difference between methods gets an interval, and whether it is relative (a / b - 1) or plain (a - b).
DIFFERENCES = {
    "relative_ubrmse": ("ubrmse", True),
    "temporal_r": ("temporal_r", False),
    "change_r": ("change_r", False),
    "subpixel_r_beyond": ("subpixel_r_beyond", False),
}

Leaf = BlockMoments | BlockScores | str | Path
Rows = Mapping[str, Sequence[Sequence[Leaf]]]


def scores_of(blocks: BlockMoments, chosen: Sequence[int] | np.ndarray | None = None) -> dict[str, float]:
    """The score row of the blocks ``chosen`` (with repetition; default: each once).

    Returns
    -------
    dict
        As :func:`pscnet.validation.truth.score_row` and, of a method with standard deviation, the calibration.
    """
    rows = np.arange(blocks.size) if chosen is None else np.asarray(chosen, dtype=int)
    picked = {part.name: _rows(getattr(blocks.parts, part.name), rows).pooled(axis=0) for part in fields(Parts)}
    sums = {name: values[rows].sum() for name, values in blocks.calibration.items()}
    n = sums.pop("n", 0.0)
    return score_row(Parts(**picked)) | {name: float(total / n) if n else float("nan") for name, total in sums.items()}


def _rows(moments: PairMoments, rows: np.ndarray) -> PairMoments:
    return PairMoments(*(array[rows] for array in moments.arrays()))


@dataclass
class Interval:
    """A number with its 95 % interval from drawn blocks, and its spread over seeds (NaN of a single seed)."""

    mean: float
    low: float
    high: float
    seed_spread: float = float("nan")


@dataclass
class _Method:
    """Scores of one method: of the whole test period by world and seed, and of the draws by world (mean of seeds).

    ``filled`` is the number of blocks with pairs of each world; ``members`` that of the nets behind a seed's numbers, 0
    of a method without training; ``literature`` whether it wears the literature's dress.
    """

    whole: list[list[dict[str, float]]]
    drawn: list[dict[str, np.ndarray]]
    by_hour: dict[str, list[float]]
    starts: list[np.ndarray]
    filled: list[int]
    members: int
    literature: bool

    def seeds(self, world: int, score: str) -> np.ndarray:
        return np.array([row.get(score, np.nan) for row in self.whole[world]])

    def world_means(self, score: str) -> np.ndarray:
        return np.array([self.seeds(world, score).mean() for world in range(len(self.whole))])

    def world_draws(self, score: str) -> np.ndarray:
        return np.stack([drawn.get(score, np.full(1, np.nan)) for drawn in self.drawn])

    def seed_variances(self, score: str) -> np.ndarray:
        """Variance over seeds in each world; NaN of one seed."""
        seeds = [self.seeds(world, score) for world in range(len(self.whole))]
        return np.array([values.var(ddof=1) if values.size > 1 else np.nan for values in seeds])


def compare(
    rows: Rows,
    worlds: Sequence[str] | None = None,
    against: Sequence[str] = (PRODUCT, OPTIMAL),
    draws: int = DRAWS,
    seed: int = 0,
    threads: int = 1,
) -> dict[str, object]:
    """Compare methods over worlds and seeds.

    Parameters
    ----------
    rows : mapping of method to list (world) of list (seed) of BlockMoments, BlockScores or path
        Paths are read one at a time (20 MB each of a 64 x 64 world). A method without training has one "seed".
    worlds : sequence of str
        Their names; default ``1``, ``2``, ...
    against : sequence of str
        Methods that every other one is compared with; those not in ``rows`` are passed over.
    draws, seed : int
        Number of draws, and what they start from.
    threads : int
        Processors for the draws; a world of 64 x 64 cells takes 0.3 s of one for each method and seed.

    Returns
    -------
    dict
        To be written as JSON. ``methods``: method to

        - ``scores``: score to ``mean``, ``low``, ``high``, ``seed_spread``; ``worlds``: the same of each world;
        - ``differences``: method of ``against`` to the names of :data:`DIFFERENCES` to ``mean``, ``low``, ``high``
          (by blocks), ``low_seeds``, ``high_seeds`` (by blocks and seeds; NaN where no trained method has several);
        - ``seeds``, their number by world; ``by_hour``; ``reliability``, nominal to observed share;
        - ``samples``, relative to the first of ``against``: 1 where methods are scored on the same cells and steps.

    Raises
    ------
    ScoreError
        When methods have other worlds or blocks than the first method.
    """
    if not rows or not all(leaves and all(leaves) for leaves in rows.values()):
        empty = [method for method, leaves in rows.items() if not leaves or not all(leaves)]
        raise ScoreError(f"expected moments of each method in each world; found none of {', '.join(empty) or 'any'}")
    names = list(worlds) if worlds is not None else [str(n + 1) for n in range(len(next(iter(rows.values()))))]
    methods: dict[str, _Method] = {}
    for method, leaves in rows.items():
        if len(leaves) != len(names):
            raise ScoreError(f"{method}: expected {len(names)} worlds ({', '.join(names)}), found {len(leaves)}")
        with ThreadPoolExecutor(threads) as pool:
            methods[method] = _read(method, leaves, draws, seed, pool)
        _check_blocks(method, methods[method], next(iter(methods.items())), names)
    references, scatter = [name for name in against if name in methods], _scatter(methods)
    return {
        "against": references,
        "worlds": names,
        "blocks": {name: len(next(iter(methods.values())).starts[world]) for world, name in enumerate(names)},
        "block_days": BLOCK_DAYS,
        "draws": draws,
        "methods": {name: _summary(name, methods, references, names, seed, scatter) for name in methods},
    }


def _read(name: str, leaves: Sequence[Sequence[Leaf]], draws: int, seed: int, pool: Executor) -> _Method:
    """Score a method; files are read here, one after the other, while the pool draws (HDF5 knows no threads)."""
    whole, drawn, hours, starts, filled, members = [], [], [], [], [], 0
    for world, seeds in enumerate(leaves):
        rows, running = [], []
        for leaf in seeds:
            blocks = BlockMoments.read(leaf) if isinstance(leaf, str | Path) else leaf
            blocks = blocks.moments() if isinstance(blocks, BlockScores) else blocks
            running.append(pool.submit(draw_scores, blocks, draw_weights(blocks.size, draws, world, seed)))
            rows.append(scores_of(blocks))
            members = int(blocks.attrs.get("members", 0))
            hours.append(blocks.by_hour)
        whole.append(rows)
        drawn.append(running)
        starts.append(blocks.starts)
        filled.append(blocks_with_pairs(blocks.parts.levels))
    means = []
    for running in drawn:
        parts = [future.result() for future in running]
        means.append({score: np.mean([part[score] for part in parts], axis=0) for score in parts[0]})
    by_hour = {score: np.mean([hour[score] for hour in hours], axis=0).tolist() for score in hours[0]}
    return _Method(whole, means, by_hour, starts, filled, members, entry_of(name).group == LITERATURE)


@dataclass
class _Noise:
    """Variance that training leaves in a score by world, of one net, and the degrees of freedom behind it."""

    variances: np.ndarray
    freedom: int


def _noise(method: _Method, score: str) -> _Noise:
    freedom = sum(len(rows) - 1 for rows in method.whole)
    return _Noise(method.seed_variances(score), freedom)


#: By dress (whether it is the literature's) and score of :data:`DIFFERENCES`.
Scatter = Mapping[tuple[bool, str], _Noise]


def _scatter(methods: Mapping[str, _Method]) -> Scatter:
    """The mean over the trained methods with several seeds of each dress; without those of which there is none."""
    pooled = {}
    for literature in (False, True):
        trained = [method for method in methods.values() if method.members and method.literature == literature]
        for score, _ in DIFFERENCES.values():
            noises = [_noise(method, score) for method in trained]
            known = [noise for noise in noises if np.isfinite(noise.variances).all()]
            if known:
                mean = np.mean([noise.variances for noise in known], axis=0)
                pooled[literature, score] = _Noise(mean, sum(noise.freedom for noise in known))
    return pooled


def _check_blocks(name: str, method: _Method, first: tuple[str, _Method], worlds: Sequence[str]) -> None:
    for world, ours, theirs in zip(worlds, method.starts, first[1].starts, strict=True):
        if not np.array_equal(ours, theirs):
            raise ScoreError(
                f"{name}: expected in world {world} the {len(theirs)} blocks of {first[0]} from {str(theirs[0])[:10]}, "
                f"found {len(ours)} from {str(ours[0])[:10]}; score all methods with the same test split"
            )


def _summary(
    name: str,
    methods: Mapping[str, _Method],
    references: Sequence[str],
    worlds: Sequence[str],
    seed: int,
    scatter: Scatter,
) -> dict[str, object]:
    method = methods[name]
    scores = [score for score in method.drawn[0] if all(score in drawn for drawn in method.drawn)]
    first = methods[references[0]] if references else method
    made: dict[str, object] = {
        "seeds": [len(rows) for rows in method.whole],
        "samples": float(method.world_means("n").sum() / max(first.world_means("n").sum(), 1.0)),
        "scores": {score: asdict(_over_worlds(method, score)) for score in scores},
        "worlds": {world: {s: asdict(_in_world(method, k, s)) for s in scores} for k, world in enumerate(worlds)},
        "differences": {
            other: {
                key: _difference(method, methods[other], *kind, np.random.default_rng([seed, len(worlds)]), scatter)
                for key, kind in DIFFERENCES.items()
            }
            for other in references
        },
        "by_hour": method.by_hour,
    }
    if inside(NOMINAL[0]) in scores:
        shares = {str(nominal): float(method.world_means(inside(nominal)).mean()) for nominal in NOMINAL}
        made["reliability"] = shares
    return made


def _blocks(method: _Method) -> int:
    """Blocks with pairs of the world that has fewest."""
    return min(method.filled)


def _over_worlds(method: _Method, score: str) -> Interval:
    value = float(method.world_means(score).mean())
    low, high = interval_of(value, method.world_draws(score).mean(axis=0), _blocks(method), len(method.whole))
    variances = method.seed_variances(score)
    known = variances[np.isfinite(variances)]
    return Interval(value, low, high, float(np.sqrt(known.mean())) if known.size else float("nan"))


def _in_world(method: _Method, world: int, score: str) -> Interval:
    value = float(method.seeds(world, score).mean())
    low, high = interval_of(value, method.world_draws(score)[world], method.filled[world])
    return Interval(value, low, high, float(np.sqrt(method.seed_variances(score)[world])))


def _difference(
    method: _Method,
    other: _Method,
    score: str,
    relative: bool,
    rng: np.random.Generator,
    scatter: Scatter,
) -> dict[str, float]:
    """Mean over worlds of the difference in a score, paired draw by draw, without and with the noise of training."""
    ours, theirs = method.world_means(score), other.world_means(score)
    drawn, others = method.world_draws(score), other.world_draws(score)
    scale = np.abs(theirs) if relative else np.ones_like(theirs)
    value = float(np.mean(ours / theirs - 1.0 if relative else ours - theirs))
    steps = np.mean(drawn / others - 1.0 if relative else drawn - others, axis=0)
    blocks, worlds = _blocks(method), len(ours)
    low, high = interval_of(value, steps, blocks, worlds)
    result = {"mean": value, "low": low, "high": high, "low_seeds": low, "high_seeds": high}
    if method is other:
        return result
    variance, freedom = np.zeros(worlds), 0
    for side, opposite, gain in (
        (method, other, np.ones(worlds)),
        (other, method, ours / theirs if relative else np.ones(worlds)),
    ):
        found, degrees = _left_by_training(side, opposite, score, scatter)
        variance += found * (gain / scale) ** 2
        freedom = max(freedom, degrees)
    if not np.isfinite(variance).all():
        result["low_seeds"] = result["high_seeds"] = float("nan")
    elif freedom:
        noise = np.sqrt(variance.sum()) / worlds * rng.standard_t(freedom, steps.size)
        result["low_seeds"], result["high_seeds"] = interval_of(value, steps + noise, blocks, worlds)
    return result


def _left_by_training(side: _Method, opposite: _Method, score: str, scatter: Scatter) -> tuple[np.ndarray, int]:
    """Variance of a method's mean over seeds in each world, and its degrees of freedom; NaN where nothing tells it."""
    counts = np.array([len(rows) for rows in side.whole])
    own = _noise(side, score)
    if np.isfinite(own.variances).all():
        return own.variances / counts, own.freedom
    if not side.members:
        return np.zeros(counts.size), 0
    theirs, pooled = _noise(opposite, score), scatter.get((side.literature, score))
    told = bool(opposite.members) and bool(np.isfinite(theirs.variances).all())
    if pooled is not None and not (told and opposite.literature == side.literature):
        theirs = pooled
    elif not told:
        theirs = _Noise(np.full(counts.size, np.nan), 0)
    return theirs.variances / (counts * side.members), theirs.freedom
