"""Permutation importance: how much worse the held-out loss gets when samples exchange an input.

[Breiman 2001, doi:10.1023/A:1010933404324; Fisher, Rudin and Dominici 2019, JMLR 20, 177.] The loss is the squared
difference between footprint means of the 10 km field and left-out retrievals. Whole fields are exchanged, so that their
structure in space stays, and only between samples of the same calendar month, so that an input does not look important
for knowing the season. What is the same in all samples of a month is exchanged otherwise: static fields are moved in
space, the season is exchanged between months.

SMAP's noise in the left-out retrievals adds the same to both losses and falls out of their difference.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pscnet.explain import ExplainError
from pscnet.explain.items import RETRIEVAL_FIELDS, Item, exchange, list_items
from pscnet.losses import footprint_means
from pscnet.nets.frame import SEASON, Batch, Geometry, Net
from pscnet.samples.geometry import Tile
from pscnet.samples.store import SampleStore, Target

logger = logging.getLogger(__name__)

#: Permutations of each month, and samples of a calendar month at most: bounds time and memory.
REPEATS, MOST_SAMPLES = 5, 64


@dataclass(frozen=True)
class ItemImportance:
    """Importance of one item.

    Attributes
    ----------
    item, kind : str
    increase : float [(m3 m-3)2]
        Mean over repeats.
    std : float [(m3 m-3)2]
        Standard deviation over repeats; 0 for one.
    relative : float
        ``increase`` over the loss with all inputs as they are.
    """

    item: str
    kind: str
    increase: float
    std: float
    relative: float


@dataclass(frozen=True)
class Importance:
    """Importance of all items.

    Attributes
    ----------
    loss : float [(m3 m-3)2]
        With all inputs as they are.
    samples : dict of calendar month to number of samples
    skipped : list of str
        Calendar months with a single sample, which has nobody to exchange with.
    repeats, seed : int
    items : list of ItemImportance
        The most important first.
    """

    loss: float
    samples: dict[str, int]
    skipped: list[str]
    repeats: int
    seed: int
    items: list[ItemImportance]


@dataclass(frozen=True)
class _Group:
    """The samples of a calendar month: inputs and targets, their stamps, and the season's donors of each repeat."""

    batch: Batch
    target: Target
    stamps: np.ndarray
    seasons: list[np.ndarray]


class _Exchanges:
    """Batches of a group beside those that they exchange inputs with."""

    def __init__(self, group: _Group, leave_out_hours: float, rng: Sequence[int], device: torch.device) -> None:
        self.group, self.leave_out_hours, self.device = group, leave_out_hours, device
        draws = [np.random.default_rng([*rng, repeat]) for repeat in range(len(group.seasons))]
        self.partners = [_cycle(draw, len(group.stamps)) for draw in draws]
        shape = group.batch.statics.shape[-2:]
        # At least a quarter of the box away.
        self.shifts = [tuple(int(draw.integers(n // 4, n - n // 4) or 1) for n in shape) for draw in draws]

    def own(self, rows: np.ndarray) -> Batch:
        """The samples ``rows`` as they are."""
        return _pick(self.group.batch, rows, self.device)

    def target(self, rows: np.ndarray) -> Target:
        """What they are compared with."""
        return Target(*(part[rows].to(self.device) for part in vars(self.group.target).values()))

    def donor(self, rows: np.ndarray, repeat: int) -> Batch:
        """The inputs that the samples ``rows`` get in exchange.

        Retrievals that would be left out of a sample's own set are left out of its partner's as well: the scored
        overpass lies in the partner's window.
        """
        partners = self.partners[repeat][rows]
        made = _pick(self.group.batch, partners, self.device)
        days = (self.group.stamps[partners] - self.group.stamps[rows]) / np.timedelta64(1, "D")
        later = torch.from_numpy(days.astype("f4")).to(self.device)[:, None, None, None]
        seen = (made.age + later).abs() * 24 > self.leave_out_hours
        retrievals = {name: torch.where(seen, getattr(made, name), 0.0) for name in RETRIEVAL_FIELDS}
        fields = torch.roll(made.statics[:, :-SEASON], self.shifts[repeat], (2, 3))
        season = torch.from_numpy(self.group.seasons[repeat][rows]).to(self.device)[:, :, None, None]
        statics = torch.cat([fields, season.expand(-1, -1, *fields.shape[2:])], 1)
        return replace(made, statics=statics, **retrievals)


def permutation_importance(
    net: Net,
    store: SampleStore,
    geometry: Geometry,
    tile: Tile,
    leave_out_hours: float,
    repeats: int = REPEATS,
    most: int = MOST_SAMPLES,
    batch_steps: int = 4,
    seed: int = 0,
) -> Importance:
    """Importance of all inputs of a net on the samples of a store, every overpass left out in its turn.

    In a repeat every sample of a month gets the input of another one (one random cycle, the same for all items, so that
    items can be compared). Things to know when reading the numbers:

    - Soil water enters through its bands, the background and the innovations. The importance of the bands of ``swvl1``
      is what remains beside the background, an item of its own; innovations belong to ``smap`` and stay what they are
      when the background is exchanged.
    - Inputs that tell the same, such as neighbouring bands, stand in for each other: their importances do not add up.
    - Within a month slow bands differ little between samples: theirs is the importance of what changes within it, and
      between years where there are several.
    - A partner's kriged innovation, where it is input, may hold the scored overpass: its importance is a lower bound.

    Parameters
    ----------
    net : Net
    store : SampleStore
    geometry : Geometry
    tile : Tile
        The whole region as one tile.
    leave_out_hours : float
    repeats : int
    most : int
        Samples of a calendar month; more are thinned at random.
    batch_steps : int
        Samples that go through the net together.
    seed : int

    Returns
    -------
    Importance

    Raises
    ------
    ExplainError
        When no calendar month has two samples.
    """
    device = next(net.parameters()).device
    months, skipped = _choose(store.stamps, most, seed)
    seasons = _season_donors(store, months, repeats, seed)
    net.eval()
    parts = []
    for month, rows in months.items():
        logger.info("calendar month %s: %d samples, %d repeats", month, rows.size, repeats)
        (loaded,) = store.batches(rows, rows.size, tile, leave_out_hours, torch.device("cpu"))
        listed = list_items(store.maker.normaliser.channels, net.spec, loaded[0].kriged is not None)
        exchanges = _Exchanges(_Group(*loaded, seasons[month]), leave_out_hours, [seed, int(month)], device)
        parts.append(_errors(net, exchanges, listed, geometry, batch_steps))
    sums, plain, weight = (sum(column) for column in zip(*parts, strict=True))
    square = store.maker.normaliser.target_std**2
    rises = (sums - plain) / weight * square
    deviations = rises.std(1, ddof=1) if repeats > 1 else np.zeros(len(listed))
    loss = plain / weight * square
    made = [
        ItemImportance(item.name, item.kind, float(rise), float(std), float(rise / loss))
        for item, rise, std in zip(listed, rises.mean(1), deviations, strict=True)
    ]
    made.sort(key=lambda row: -row.increase)
    return Importance(loss, {month: rows.size for month, rows in months.items()}, skipped, repeats, seed, made)


def _errors(
    net: Net, exchanges: _Exchanges, listed: Sequence[Item], geometry: Geometry, batch_steps: int
) -> tuple[np.ndarray, float, float]:
    """Sums over the samples of a group: squared errors (item, repeat), those without exchange, and precisions."""
    count, repeats = len(exchanges.group.stamps), len(exchanges.partners)
    sums, plain, weight = np.zeros((len(listed), repeats)), 0.0, 0.0
    for first in range(0, count, batch_steps):
        rows = np.arange(first, min(first + batch_steps, count))
        own, target = exchanges.own(rows), exchanges.target(rows)
        plain += _squared_error(net, own, target, geometry)
        weight += float((target.precision * target.used).double().sum())
        for repeat in range(repeats):
            donor = exchanges.donor(rows, repeat)
            for position, item in enumerate(listed):
                sums[position, repeat] += _squared_error(net, exchange(own, donor, item), target, geometry)
    return sums, plain, weight


def _choose(stamps: np.ndarray, most: int, seed: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Positions (ascending) of at most ``most`` samples of each calendar month, and the months with only one."""
    calendar = np.array([str(stamp)[5:7] for stamp in stamps])
    months, skipped = {}, []
    for month in np.unique(calendar):
        rows = np.flatnonzero(calendar == month)
        if rows.size < 2:
            logger.warning("calendar month %s has one sample, which has nobody to exchange with: skipped", month)
            skipped.append(str(month))
            continue
        picked = np.random.default_rng([seed, int(month)]).permutation(rows)[:most]
        months[str(month)] = np.sort(picked)
    if not months:
        raise ExplainError(
            f"at least two samples of one calendar month expected, found {len(stamps)} in {len(skipped)} months; "
            "lengthen the part of the split, or set smap.quality: lenient"
        )
    return months, skipped


def _season_donors(
    store: SampleStore, months: Mapping[str, np.ndarray], repeats: int, seed: int
) -> dict[str, list[np.ndarray]]:
    """Seasons (sample, 2) that each month's samples get in each repeat, from the samples of all months."""
    seasons = store.maker.season(store.stamps[np.concatenate(list(months.values()))])
    cycles = [_cycle(np.random.default_rng([seed, 0, repeat]), len(seasons)) for repeat in range(repeats)]
    ends = np.cumsum([rows.size for rows in months.values()])
    starts = {month: end - rows.size for (month, rows), end in zip(months.items(), ends, strict=True)}
    return {
        month: [seasons[cycle[starts[month] : starts[month] + rows.size]] for cycle in cycles]
        for month, rows in months.items()
    }


def _cycle(rng: np.random.Generator, count: int) -> np.ndarray:
    """Partners (count,) such that nobody is its own: one random cycle through all."""
    order = rng.permutation(count)
    partner = np.empty(count, int)
    partner[order] = np.roll(order, 1)
    return partner


def _pick(batch: Batch, rows: np.ndarray, device: torch.device) -> Batch:
    fields = {name: None if part is None else part[rows].to(device) for name, part in vars(batch).items()}
    return Batch(**fields)


@torch.no_grad()
def _squared_error(net: Net, batch: Batch, target: Target, geometry: Geometry) -> float:
    """Sum over observed cells of squared differences times relative precision, standardised."""
    mean, _ = footprint_means(net(batch, geometry), geometry)["10km"]
    error2: Tensor = torch.where(target.used > 0, (target.value - mean) ** 2 * target.precision, 0.0)
    return float(error2.double().sum())
