"""Training on tiles: every cell judged once, the same loss as on the whole region, memory bounded by the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pscnet.losses import observed
from pscnet.nets import Net, NetSpec
from pscnet.samples.geometry import Tile, make_tiles, read_weight_set
from pscnet.samples.resident import SampleArray
from pscnet.samples.store import covered_cells
from pscnet.training import files
from pscnet.training.files import training_tiles
from pscnet.training.trainer import Options, Trainer, draw, every_batch
from tests.unit.nets.world import TinyRegion
from tests.unit.samples.run import LEAVE_OUT_HOURS
from tests.unit.training.world import NEAR_SIGHTED, maker_of, spec_of, trainer_of


def owned_counts(tiles, shape: tuple[int, int]) -> np.ndarray:
    """By how many tiles each coarse cell is owned."""
    counts = np.zeros(shape)
    for tile in tiles:
        counts[tile.tile.coarse] += tile.owned[0, 0].numpy()
    return counts


@pytest.mark.parametrize("size", ["auto", 8, 11, 20])
def test_every_covered_cell_is_owned_by_exactly_one_tile(made_run, size):
    maker, weights = maker_of(made_run), read_weight_set(made_run.weights)
    tiles = training_tiles(spec_of(maker), weights, maker.land, size, torch.device("cpu"))
    covered = covered_cells(maker, weights["fine_to_coarse"])
    assert covered.sum() > 10 and (owned_counts(tiles, covered.shape)[covered] == 1).all()
    assert (len(tiles) == 1) == (size == "auto")


def test_large_regions_are_cut_by_themselves(monkeypatch):
    """The control, and on grids of either kind, whose edges may coincide; cores are about equal, without slivers."""
    monkeypatch.setattr(files, "LARGEST_WHOLE", 96)
    for kind in ("regular", "ease2"):
        region = TinyRegion((25.0, 37.0), (85.0, 97.0), sea=False, kind=kind)
        spec = NetSpec(predictors=1, bands=5, statics=5, window_days=8.0, width=8, heads=1, **NEAR_SIGHTED)
        tiles = training_tiles(spec, region.weights, region.land, "auto", torch.device("cpu"))
        share = (region.weights["fine_to_coarse"].matrix @ np.ones(region.fine.size)).reshape(region.coarse.shape)
        sides = [part.stop - part.start for tile in tiles for part in tile.tile.core]
        assert max(sides) < 2 * min(sides)
        assert len(tiles) == 4 and (owned_counts(tiles, region.coarse.shape)[share >= 0.9] == 1).all()


@pytest.mark.parametrize("name", ["pscnet", "mlp"])
def test_the_loss_over_all_tiles_is_that_of_the_whole_region(made_run, name):
    model = NEAR_SIGHTED if name == "mlp" else {}
    whole, tiled = (trainer_of(made_run, Options(tile=size), **model) for size in ("auto", 8))
    assert len(tiled.tiles) == 9
    assert tiled.evaluate(tiled.validation) == pytest.approx(whole.evaluate(whole.validation), abs=1e-5)


def judged(trainer: Trainer) -> int:
    """Observed cells of the validation samples, over all tiles."""
    batches = every_batch(trainer.validation, trainer.tiles, 8, LEAVE_OUT_HOURS, torch.device("cpu"))
    return sum(int(target.used.sum()) for _, _, target, _ in batches)


def test_every_observed_cell_is_judged_once(made_run):
    whole, tiled = (trainer_of(made_run, Options(tile=size)) for size in ("auto", 8))
    assert judged(tiled) == judged(whole) > 500
    tiled.tiles = [replace(tile, owned=torch.ones_like(tile.owned)) for tile in tiled.tiles]
    assert judged(tiled) > 2 * judged(whole), "the control: where all cells of a window count, overlaps count again"


def test_tiles_that_do_not_overlap_would_give_another_loss(made_run, monkeypatch):
    """The control of equal losses."""
    whole = trainer_of(made_run, Options())
    monkeypatch.setattr(Net, "reach_coarse_cells", lambda self, share: 0)
    tiled = trainer_of(made_run, Options(tile=8))
    assert abs(tiled.evaluate(tiled.validation) - whole.evaluate(whole.validation)) > 1e-4


class Recorder:
    """An array that notes what is read of it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.read, self.shape = array, [], array.shape

    def __getitem__(self, index):
        self.read.append(self.array[index].size)
        return self.array[index]


def record(part: SampleArray) -> Recorder:
    """Note from here on what is read of a file of samples."""
    part._mapped = Recorder(part._mapped)
    return part._mapped


def test_samples_are_mapped_and_a_batch_reads_its_window_alone(made_run):
    """So memory is bounded by a batch of a tile, however long the record and however large the region."""
    trainer = trainer_of(made_run, Options(), name="lstm", sequence_days=3)
    store = trainer.train
    assert all(isinstance(part._mapped, np.memmap) for part in (store._bands, store._background, store._sequence))
    bands, sequence = (record(part) for part in (store._bands, store._sequence))
    tile = Tile(
        (slice(8, 12), slice(8, 14)), (slice(6, 14), slice(4, 16)), (slice(2, 6), slice(4, 10)), (slice(1, 5),) * 2
    )
    batch, _, _ = store.batch(np.array([0, 5, 6]), tile, LEAVE_OUT_HOURS, torch.device("cpu"))
    channels = len(store.maker.normaliser.channels)
    assert sum(bands.read) == batch.bands.numel() == 3 * channels * 8 * 12
    assert sum(sequence.read) == batch.sequence.numel() == 3 * 3 * 6 * 8 * 12


def test_the_whole_region_is_read_where_it_is_the_tile(made_run):
    """The control."""
    store = (trainer := trainer_of(made_run, Options())).train
    bands = record(store._bands)
    store.batch(np.array([0]), trainer.tiles[0].tile, LEAVE_OUT_HOURS, torch.device("cpu"))
    assert sum(bands.read) == np.prod(bands.shape[1:])


def hidden_detail(trainer: Trainer, fields: torch.Tensor) -> torch.Tensor:
    """Random fine fields (..., lat, lon) whose mean over every coarse cell is zero."""
    average = trainer.tiles[0].geometry.to_coarse
    pixels = torch.eye(fields.shape[-2] * fields.shape[-1]).reshape(-1, *fields.shape[-2:])
    matrix = average(pixels).flatten(1).T.double()
    detail = torch.randn(fields.shape, generator=torch.Generator().manual_seed(0)).flatten(-2).double()
    detail = detail - (detail @ matrix.T) @ torch.linalg.pinv(matrix).T
    return detail.reshape(fields.shape).float()


@pytest.mark.parametrize(("dress", "sees"), [("literature", False), ("own", True)])
def test_the_literatures_loss_sees_means_of_36_km_alone(made_run, dress, sees):
    """Detail that leaves all footprint means as they are changes nothing; the control: it does in the own dress."""
    trainer = trainer_of(made_run, Options(), dress=dress, kriged=dress == "own")
    trainer.net.eval()
    tile = trainer.tiles[0]
    batch, target, _ = draw(trainer.train, tile, np.arange(4), LEAVE_OUT_HOURS, torch.device("cpu"))
    changed = replace(batch, bands=batch.bands + hidden_detail(trainer, batch.bands))
    with torch.no_grad():
        losses = [float(trainer._loss(tile, part, target)) for part in (batch, changed)]
        means = observed(trainer.net, batch, tile.geometry, tile.cells)["10km"][0]
    assert means.shape == target.value.shape
    assert (abs(losses[0] - losses[1]) > 1e-4) == sees
    if not sees:
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_the_literatures_dress_is_trained_on_one_tile(made_run):
    trainer = trainer_of(made_run, Options(tile=8), dress="literature", kriged=False)
    assert len(trainer.tiles) == 1 and trainer.tiles[0].cells is not None
    assert trainer.tiles[0].cells.fine_weight.shape[-2:] == made_run.coarse.shape


def test_tiles_cover_the_region_once(made_run):
    count = np.zeros(made_run.fine.shape)
    for tile in make_tiles(made_run.fine, made_run.coarse, 7, 1):
        count[tile.core] += 1
        assert count[tile.core].shape == count[tile.window][tile.inner].shape
    assert (count == 1).all()
