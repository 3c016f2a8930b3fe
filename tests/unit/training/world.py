"""A trainer on the made-up run, without the files that training writes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from pscnet.channels import LEARNT_PARTS
from pscnet.nets import Net, NetSpec
from pscnet.samples.files import learnt_retrievals
from pscnet.samples.geometry import read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.kriged import kriging
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.store import SampleStore, covered_cells
from pscnet.training.files import training_tiles
from pscnet.training.memory import Memory
from pscnet.training.trainer import Options, Trainer, too_large
from tests.unit.samples.run import LEAVE_OUT_HOURS, WINDOW_DAYS, MadeRun

SMALL = {"name": "pscnet", "width": 8, "heads": 2, "squeeze_km": 60.0, "dropout": 0.0, "kriged": True}


def spec_of(maker: InputMaker, **model) -> NetSpec:
    """A small net for the made-up run."""
    statistics = maker.normaliser
    size = {"predictors": len(statistics.predictors), "bands": statistics.bands, "statics": maker.static_channels}
    return NetSpec(window_days=WINDOW_DAYS, **size, **(SMALL | model))


def stores_of(run: MadeRun, spec: NetSpec, maker: InputMaker, causal: bool = False) -> dict[str, SampleStore]:
    """The samples of both parts that are learnt from."""
    conservative = read_weight_set(run.weights)["fine_to_coarse"]
    retrievals = learnt_retrievals(run.files("smap"), run.files("coarse"), maker.normaliser, run.split, causal)
    covered, kriged = covered_cells(maker, conservative), kriging(causal) if spec.kriged else None
    return {
        part: SampleStore(run.samples, part, maker, retrievals, covered, kriged, spec.sequence_days)
        for part in LEARNT_PARTS
    }


def maker_of(run: MadeRun) -> InputMaker:
    """What makes the net's input."""
    return InputMaker(Normaliser.read(run.normaliser), run.static, WINDOW_DAYS)


def trainer_of(run: MadeRun, options: Options, causal: bool = False, **model) -> Trainer:
    """A trainer that has not begun, its head no longer zero so that every part of the net shows."""
    maker = maker_of(run)
    spec = spec_of(maker, **model)
    stores = stores_of(run, spec, maker, causal)
    weights = read_weight_set(run.weights)
    device = torch.device("cpu")
    tiles = training_tiles(spec, weights, maker.land, options.tile, device)
    memory = Memory(device, list(stores.values()), too_large(tiles, device, spec.own))
    made = Trainer(spec, options, stores["train"], stores["validation"], tiles, LEAVE_OUT_HOURS, memory)
    torch.manual_seed(1)
    with torch.no_grad():
        made.net.head[2].weight.normal_(0, 0.1)
    return made


def elongated_box() -> tuple[tuple[float, float], tuple[float, float]]:
    """A box 2 SMAP cells high and 20 wide: the smallest on which tiles of a net see less than all of it."""
    return (31.8, 32.4), (88.0, 95.4)


#: A per-pixel net that looks around as little as a net can.
NEAR_SIGHTED = {"name": "mlp", "regional_km": 20.0}


def little_memory(monkeypatch, pixels: int, of: Callable[[Net], bool] = lambda net: True) -> None:
    """Nets, or those ``of`` which it is said, run out of memory beyond so many pixel-steps."""
    front = Net.front

    def checked(self, batch, *args):
        if of(self) and batch.bands.shape[0] * batch.bands.shape[2] * batch.bands.shape[3] > pixels:
            raise torch.OutOfMemoryError("simulated")
        return front(self, batch, *args)

    monkeypatch.setattr(Net, "front", checked)
