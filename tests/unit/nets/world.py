"""A tiny region with grids, weights and random input for the tests of the net."""

from __future__ import annotations

import numpy as np
import torch

from pscnet.grids import WEIGHTS, Grid, ease2_grid, fine_grid, halved
from pscnet.nets import NETS, Net, NetSpec, make_net
from pscnet.nets.frame import Batch
from pscnet.regrid import make_weights
from pscnet.samples.geometry import Tile, make_geometry
from pscnet.weights import Weights

#: Slots of the retrieval window in the random batches.
SLOTS = 10

#: Days of the sequence in the random batches.
DAYS = 4

#: Inputs of a batch on the fine grid and on the coarse one.
ON_FINE = ("bands", "statics", "background", "sequence")
ON_COARSE = ("age", "weight", "value", "innovation", "kriged")


class TinyRegion:
    """Grids, weights and land of a small box."""

    def __init__(
        self, lat: tuple[float, float], lon: tuple[float, float], sea: bool = True, kind: str = "regular"
    ) -> None:
        self.fine: Grid = fine_grid(kind, lat, lon)
        self.coarse: Grid = ease2_grid(lat, lon)
        grids = {"fine": self.fine, "middle": halved(self.coarse), "coarse": self.coarse}
        self.weights: dict[str, Weights] = {}
        for name, method in WEIGHTS.items():
            source, target = name.split("_to_")
            self.weights[name] = make_weights(grids[source], grids[target], method, "exact")
        self.land = np.ones(self.fine.shape, bool)
        if sea:
            self.land[: self.fine.shape[0] // 4, : self.fine.shape[1] // 3] = False

    def geometry(self, tile: Tile):
        return make_geometry(self.weights, self.land, tile)

    def whole(self) -> Tile:
        rows, cols = (slice(0, n) for n in self.fine.shape)
        coarse = tuple(slice(0, n) for n in self.coarse.shape)
        return Tile((rows, cols), (rows, cols), (rows, cols), coarse)


def small_net(seed: int = 0, name: str = "pscnet", **changes) -> Net:
    """An untrained net whose head is not zero, so that every part of it shows in the answer."""
    size = {"predictors": 2, "bands": 5, "statics": 3, "window_days": 8, "width": 8, "heads": 2}
    size["sequence_days"] = DAYS if NETS[name].reads_sequence else 0
    spec = NetSpec(name, **(size | changes))
    torch.manual_seed(seed)
    net = make_net(spec)
    if net.learns == "trees":
        net.trees.load_state_dict(random_trees(net.channels, seed))
        return net.eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        net.head[2].weight.normal_(0, 0.3)
    return net.eval()


def random_trees(channels: int, seed: int = 0, trees: int = 20, depth: int = 4) -> dict[str, torch.Tensor]:
    """State of an ensemble of complete trees that split anywhere."""
    generator = torch.Generator().manual_seed(seed)
    nodes = 2 ** (depth + 1) - 1
    own = torch.arange(nodes, dtype=torch.int32)
    leaf = 2 * own + 1 >= nodes
    threshold = 0.7 * torch.randn(trees, nodes, generator=generator)
    return {
        "feature": torch.randint(0, channels, (trees, nodes), generator=generator).int(),
        "threshold": torch.where(leaf, torch.inf, threshold),
        "left": torch.where(leaf, own, 2 * own + 1).repeat(trees, 1),
        "value": torch.randn(trees, nodes, generator=generator),
        "depth": torch.full((trees,), depth, dtype=torch.int32),
        "baseline": torch.tensor(0.1),
    }


def random_batch(region: TinyRegion, steps: int = 2, seed: int = 0) -> Batch:
    """Random input on the whole region."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    fine, coarse = region.fine.shape, region.coarse.shape
    weight = (torch.rand(steps, SLOTS, *coarse, generator=generator) < 0.4).float()
    return Batch(
        bands=draw(steps, 10, *fine),
        statics=draw(steps, 3, *fine),
        background=draw(steps, 1, *fine),
        age=4 * draw(steps, SLOTS, *coarse).clamp(-2, 2),
        weight=weight,
        value=draw(steps, SLOTS, *coarse) * weight,
        innovation=draw(steps, SLOTS, *coarse) * weight,
        kriged=draw(steps, 2, *coarse),
        sequence=draw(steps, DAYS, 4, *fine),
    )


def cut(batch: Batch, tile: Tile) -> Batch:
    """The part of a batch that a tile sees."""
    rows, cols = tile.window
    y, x = tile.coarse
    fine = {name: getattr(batch, name)[..., rows, cols] for name in ON_FINE}
    coarse = {name: getattr(batch, name)[..., y, x] for name in ON_COARSE}
    return Batch(**fine, **coarse)
