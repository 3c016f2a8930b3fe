"""Samples in the memory of a device: the same batches, bit for bit, and a word in the log where they do not fit."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch

from pscnet.samples import resident
from pscnet.samples.geometry import make_tiles, read_weight_set
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import SampleStore
from pscnet.timeaxis import HALF_STEP
from tests.unit.samples.run import LEAVE_OUT_HOURS, SEQUENCE_DAYS, WINDOW_DAYS
from tests.unit.test_training import OPTIONS, equal, train
from tests.unit.training.world import maker_of, spec_of, stores_of

CPU, META = torch.device("cpu"), torch.device("meta")
ROWS = np.array([1, 4, 5])
DAY = np.timedelta64(1, "D").astype("m8[ns]")


@pytest.fixture
def store(made_run) -> SampleStore:
    """All that a batch can hold: kriged innovations and sequences too."""
    maker = maker_of(made_run)
    spec = spec_of(maker, name="lstm", sequence_days=SEQUENCE_DAYS)
    return stores_of(made_run, spec, maker)["train"]


def arrays_of(store: SampleStore) -> list[resident.SampleArray]:
    return [store._bands, store._background, store._kriged, store._sequence]


def hold_here(store: SampleStore) -> None:
    """What a GPU would be asked for, on the CPU."""
    for array in arrays_of(store):
        array.hold(CPU)


def tensors_of(store: SampleStore, tile, rows: np.ndarray = ROWS, device: torch.device = CPU) -> dict:
    batch, target, _ = store.batch(rows, tile, LEAVE_OUT_HOURS, device)
    found = vars(batch) | vars(target)
    assert all(tensor is not None and tensor.dtype == torch.float32 for tensor in found.values())
    return found


def differing(a: dict, b: dict) -> list[str]:
    return [name for name, tensor in a.items() if not torch.equal(tensor.cpu(), b[name].cpu())]


def tiles_of(run):
    weights = read_weight_set(run.weights)["fine_to_coarse"]
    return make_tiles(weights.src, weights.dst, 8, 1)


def memory(monkeypatch, free: float) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free), 10**12))


def size_of(store: SampleStore) -> int:
    return sum(array.nbytes for array in arrays_of(store))


# The same batches ----------------------------------------------------------------------------------------------------


def test_batches_of_held_samples_are_the_same(made_run, store, monkeypatch):
    tiles = tiles_of(made_run)
    assert len(tiles) > 4
    mapped = [tensors_of(store, tile) for tile in tiles]
    monkeypatch.setattr(resident, "CHUNK_BYTES", store._bands.nbytes // 4 + 1)  # several chunks, the last one shorter
    hold_here(store)
    for tile, before in zip(tiles, mapped, strict=True):
        assert differing(before, tensors_of(store, tile)) == []


def test_another_sample_or_another_tile_would_show(made_run, store):
    """The control."""
    first, other = tiles_of(made_run)[:2]
    plain = tensors_of(store, first)
    fields = {"bands", "background", "kriged", "sequence"}
    assert fields <= set(differing(plain, tensors_of(store, first, ROWS + 1)))
    assert "bands" in differing(plain, tensors_of(store, other))


def test_held_arrays_keep_their_type(store):
    hold_here(store)
    assert [array._held.dtype for array in arrays_of(store)] == [
        torch.float16, torch.float32, torch.float32, torch.float16,
    ]  # fmt: skip


def test_training_from_held_samples_gives_the_same_weights(made_run, tmp_path, monkeypatch):
    """And training asks for it: for both parts, on its device."""
    options = dataclasses.replace(OPTIONS, epochs=1, tile=8)
    plain = train(made_run, tmp_path / "plain.safetensors", options)
    asked = []

    def held(self, device):
        asked.append((self.files[0].name, device.type))
        for array in (self._bands, self._background, self._kriged):
            array.hold(device)

    monkeypatch.setattr(SampleStore, "to_device", held)
    assert equal(train(made_run, tmp_path / "held.safetensors", options), plain)
    assert asked == [("train.stamps.npy", "cpu"), ("validation.stamps.npy", "cpu")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU is visible to torch")
def test_a_gpu_gets_the_same_batches(made_run, store):
    tile, cuda = tiles_of(made_run)[1], torch.device("cuda")
    mapped = tensors_of(store, tile)
    assert store.to_device(cuda)
    held = tensors_of(store, tile, device=cuda)
    assert {tensor.device.type for tensor in held.values()} == {"cuda"}
    assert differing(mapped, held) == []


# Where they lie ------------------------------------------------------------------------------------------------------


def test_on_a_cpu_nothing_changes(store, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: pytest.fail("a CPU was asked for a GPU's memory"))
    assert not store.to_device(CPU)
    assert all(array._held is None for array in arrays_of(store))


def test_samples_move_where_they_fit(store, monkeypatch, caplog):
    memory(monkeypatch, 2 * size_of(store))
    with caplog.at_level(logging.INFO):
        assert store.to_device(META)
    assert {array._held.device.type for array in arrays_of(store)} == {"meta"}
    assert "GB of samples (train)" in caplog.text
    assert "held there" in caplog.text


def test_samples_stay_on_disk_where_they_do_not_fit(made_run, store, monkeypatch, caplog):
    """One byte too little, beside half of the memory for the net."""
    tile = tiles_of(made_run)[0]
    before = tensors_of(store, tile)
    memory(monkeypatch, 2 * size_of(store) - 1)
    with caplog.at_level(logging.INFO):
        assert not store.to_device(META)
    assert "free on meta: more than 50 % of it, batches are read from disk" in caplog.text
    assert differing(before, tensors_of(store, tile)) == []


def test_memory_that_cannot_be_had_after_all_is_given_back(made_run, store, monkeypatch, caplog):
    tile = tiles_of(made_run)[0]
    before = tensors_of(store, tile)
    memory(monkeypatch, 1e12)

    def full(device):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(store._sequence, "hold", full)
    assert not store.to_device(META)
    assert "could not be had: batches are read from disk" in caplog.text
    assert all(array._held is None for array in arrays_of(store))
    assert differing(before, tensors_of(store, tile)) == []


# What the host does for every batch ----------------------------------------------------------------------------------


def plainly_around(retrievals: Retrievals, stamp, leave_out_hours) -> dict[str, np.ndarray]:
    """The definition, cell by cell, of what :meth:`Retrievals.around` finds with an eye on time."""
    rows = retrievals._rows(stamp, int(np.ceil(WINDOW_DAYS)) + 1)
    time, precision = retrievals.time[rows], retrievals.precision[rows]
    known = ~np.isnat(time) & (precision > 0)
    age = np.where(known, (time - stamp) / DAY, 0.0)
    use = known & (np.abs(age) <= WINDOW_DAYS)
    if retrievals.causal:
        use &= age <= HALF_STEP / DAY
    if leave_out_hours is not None:
        use &= np.abs(age) * 24 > leave_out_hours
    found = {
        "age": age,
        "weight": precision,
        "value": retrievals.value[rows],
        "innovation": retrievals.innovation[rows],
    }
    return {name: np.where(use, field, 0.0).astype("f4") for name, field in found.items()}


@pytest.mark.parametrize("leave_out_hours", [LEAVE_OUT_HOURS, None])
@pytest.mark.parametrize("causal", [False, True])
def test_the_set_of_retrievals_is_its_definition_to_the_bit(store, causal, leave_out_hours):
    retrievals = store.retrievals
    retrievals.causal = causal
    stamps = store.stamps[[3, 7, -1]]
    made = retrievals.around(stamps, WINDOW_DAYS, leave_out_hours)
    for answer, stamp in enumerate(stamps):
        expected = plainly_around(retrievals, stamp, leave_out_hours)
        assert expected["weight"].any()
        for name, field in expected.items():
            found = getattr(made, name)[answer]
            np.testing.assert_array_equal(found[: len(field)], field, err_msg=name)
            assert not found[len(field) :].any()
