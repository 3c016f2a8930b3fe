"""Explanations: an input that a net does not read has no importance, no exchange leaks, and the shares add up."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from pscnet import nets
from pscnet.checkpoint import read_checkpoint
from pscnet.downscale import Downscaler
from pscnet.explain import ExplainError, files
from pscnet.explain.carry import PARTS, carry_map
from pscnet.explain.importance import (
    ItemImportance,
    _Exchanges,
    _Group,
    permutation_importance,
)
from pscnet.explain.items import exchange, list_items
from pscnet.nets.frame import SCALES, SEASON, Answer, Net, NetSpec
from pscnet.samples.geometry import make_geometry, make_tiles, read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.normaliser import TARGET_COVER, Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import SampleStore, month_files
from pscnet.training.files import train_files
from pscnet.training.trainer import Options
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS, PREDICTORS

LEAVE_OUT = 6.0
READ = "swvl1:1.5d"


class MadeUpNet(Net):
    """A net that reads one input and nothing else."""

    reads = READ

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        self.slope, self.level = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def own_reach(self, cells) -> float:
        return 0.0

    def read(self, batch):
        names = ["swvl1:day", "swvl1:1.5d", "swvl1:5d", "swvl1:15d", "swvl1:level"]
        if self.reads in names:
            return batch.bands[:, [names.index(self.reads)]]
        if self.reads in ("static", "season"):
            part = slice(None, -SEASON) if self.reads == "static" else slice(-SEASON, None)
            return batch.statics[:, part].sum(1, keepdim=True)
        if self.reads == "background":
            return batch.background
        past = (batch.age < 0) if self.reads == "smap_past" else (batch.age > 0)
        seen = (batch.weight * past).sum((1, 2, 3)) + 1e-6
        mean = (batch.weight * past * batch.value).sum((1, 2, 3)) / seen
        return mean[:, None, None, None].expand_as(batch.background)

    def forward(self, batch, geometry) -> Answer:
        answer = Answer()
        fine = self.slope * self.read(batch) + self.level
        averages = {"36km": geometry.to_coarse, "18km": geometry.to_middle, "10km": lambda x: x}
        for scale in SCALES:
            answer.mean[scale] = averages[scale](fine)
            answer.log_variance[scale] = torch.zeros_like(answer.mean[scale])
        return answer


def train(run, output: Path, name: str = "pscnet", epochs: int = 2, **model) -> Path:
    train_files(
        run.files("coarse"), run.files("smap"), run.samples, run.static, run.normaliser, run.weights, run.split,
        {"name": name, "width": 8, "heads": 2} | model, Options(epochs=epochs, batch_steps=8, learning_rate=0.03), 8,
        LEAVE_OUT, "test", output, output.with_suffix(".csv"), covariance=run.covariance,
    )  # fmt: skip
    return output


@pytest.fixture(scope="module")
def trained(made_run, tmp_path_factory) -> Path:  # noqa: F811
    return train(made_run, tmp_path_factory.mktemp("model") / "pscnet.safetensors")


@pytest.fixture(scope="module")
def samples(made_run) -> dict:  # noqa: F811
    """What ``permutation_importance`` takes beside the net, on the validation split."""
    statistics = Normaliser.read(made_run.normaliser)
    maker = InputMaker(statistics, made_run.static, 8)
    retrievals = Retrievals.from_files(
        made_run.files("smap"), made_run.files("coarse"), statistics.background, statistics.noise
    )
    weights = read_weight_set(made_run.weights)
    (tile,) = make_tiles(made_run.fine, made_run.coarse, None, 0)
    geometry = make_geometry(weights, maker.land, tile)
    covered = geometry.to_coarse.covered.numpy() >= TARGET_COVER
    store = SampleStore(made_run.samples, "validation", maker, retrievals, covered, "kriged")
    return {"store": store, "geometry": geometry, "tile": tile, "leave_out_hours": LEAVE_OUT}


def made_up(reads: str, samples: dict) -> Net:
    maker = samples["store"].maker
    spec = NetSpec("made_up", len(PREDICTORS), maker.normaliser.bands, maker.static_channels, 8.0, width=4, heads=1)
    net = MadeUpNet(spec)
    net.reads = reads
    return net


def important(importance) -> set[str]:
    """Items whose exchange changes the loss at all."""
    return {f"{row.kind} {row.item}" for row in importance.items if row.increase != 0 or row.std != 0}


def test_only_what_a_trained_net_reads_is_important(made_run, samples, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(nets.NETS, "made_up", MadeUpNet)
    net = read_checkpoint(train(made_run, tmp_path / "m.safetensors", "made_up", epochs=8)).net()
    importance = permutation_importance(net, **samples)
    assert important(importance) == {f"channel {READ}", "band 1.5d", "predictor swvl1", "predictors predictors"}
    by_name = {row.item: row for row in importance.items}
    assert by_name[READ].increase > 0.1 * importance.loss
    assert by_name[READ].increase == by_name["swvl1"].increase == by_name["1.5d"].increase
    assert by_name[READ].relative == pytest.approx(by_name[READ].increase / importance.loss)
    assert importance.items[0].increase == max(row.increase for row in importance.items)


@pytest.mark.parametrize(
    ("reads", "expected"),
    {
        "swvl1:day": {"channel swvl1:day", "band day", "predictor swvl1", "predictors predictors"},
        "static": {"static static"},
        "season": {"season season"},
        "background": {"background background"},
        "smap_past": {"smap smap", "smap smap_past"},
        "smap_future": {"smap smap", "smap smap_future"},
    }.items(),
)
def test_every_item_is_seen_by_the_net_that_reads_it(samples, reads, expected):
    assert important(permutation_importance(made_up(reads, samples), **samples, repeats=2)) == expected


def test_the_seed_decides(samples, trained):
    net = read_checkpoint(trained).net()
    first, again, other = (permutation_importance(net, **samples, repeats=2, most=8, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first.items != other.items
    assert first.samples == {"06": 8}
    assert {row.kind for row in first.items} == {
        "predictors", "predictor", "band", "channel", "static", "season", "background", "smap",
    }  # fmt: skip


def test_the_answer_does_not_depend_on_how_many_steps_go_together(samples, trained):
    net = read_checkpoint(trained).net()
    one, many = (permutation_importance(net, **samples, repeats=1, most=6, batch_steps=size) for size in (1, 6))
    expected = {row.item: row.increase for row in many.items}
    for row in one.items:
        assert row.increase == pytest.approx(expected[row.item], abs=1e-3 * many.loss)


def test_a_month_with_one_sample_is_skipped_and_said(samples, caplog):
    store = samples["store"]
    plain = store.stamps
    try:
        store.stamps = np.concatenate([plain[:-1], store.retrievals.overpass_stamps()[-1:]])
        importance = permutation_importance(made_up("background", samples), **samples, repeats=1)
        assert importance.skipped == ["07"]
        assert importance.samples == {"06": plain.size - 1}
        assert "calendar month 07 has one sample" in caplog.text
        store.stamps = store.stamps[-1:]
        with pytest.raises(ExplainError, match="at least two samples of one calendar month expected, found 1 in 1"):
            permutation_importance(made_up("background", samples), **samples, repeats=1)
    finally:
        store.stamps = plain


def nearest_seen(samples, leave_out_hours: float) -> float:
    """Hours between a scored stamp and the nearest retrieval that it gets in exchange."""
    store = samples["store"]
    rows = np.arange(len(store))
    (loaded,) = store.batches(rows, rows.size, samples["tile"], LEAVE_OUT, torch.device("cpu"))
    seasons = [store.maker.season(store.stamps)] * 3
    exchanges = _Exchanges(_Group(*loaded, seasons), leave_out_hours, [0, 6], torch.device("cpu"))
    nearest = np.inf
    (item,) = [
        i for i in list_items(store.maker.normaliser.channels, made_up("static", samples).spec) if i.name == "smap"
    ]
    for repeat in range(3):
        given = exchange(exchanges.own(rows), exchanges.donor(rows, repeat), item)
        gap = store.stamps[exchanges.partners[repeat]] - store.stamps
        hours = given.age.numpy() * 24 + (gap / np.timedelta64(1, "h"))[:, None, None, None]
        nearest = min(nearest, np.abs(hours[given.weight.numpy() > 0]).min())
    return nearest


def test_no_exchange_brings_the_scored_overpass_in(samples):
    assert nearest_seen(samples, LEAVE_OUT) > LEAVE_OUT


def test_the_scored_overpass_is_found_where_partners_keep_it(samples):
    """The control: the partner's own leaving out is not enough."""
    assert nearest_seen(samples, -1.0) < 1.5


def test_nobody_exchanges_with_itself(samples):
    store = samples["store"]
    rows = np.arange(len(store))
    (loaded,) = store.batches(rows, rows.size, samples["tile"], LEAVE_OUT, torch.device("cpu"))
    exchanges = _Exchanges(
        _Group(*loaded, [store.maker.season(store.stamps)] * 4), LEAVE_OUT, [0, 6], torch.device("cpu")
    )
    for partners in exchanges.partners:
        assert sorted(partners) == list(rows)
        assert (partners != rows).all()
    assert len({tuple(partners) for partners in exchanges.partners}) == 4


def test_sequences_and_kriged_innovations_are_exchanged_with_their_items(samples):
    store = samples["store"]
    own, _, _ = next(store.batches(np.arange(4), 4, samples["tile"], LEAVE_OUT, torch.device("cpu")))
    count = len(PREDICTORS)
    own = dataclasses.replace(own, sequence=torch.zeros(4, 5, 2 * count, 3, 3), kriged=torch.zeros(4, 2, 3, 3))
    donor = dataclasses.replace(own, sequence=own.sequence + 1, kriged=own.kriged + 1)
    spec = made_up("static", samples).spec
    listed = {item.name: item for item in list_items(store.maker.normaliser.channels, spec, kriged=True)}
    sequence = exchange(own, donor, listed["tp"]).sequence
    assert sequence.amax((0, 1, 3, 4)).tolist() == [0, 1, 0, 0, 1, 0]
    assert exchange(own, donor, listed["tp:day"]).sequence.max() == 0
    assert exchange(own, donor, listed["smap"]).kriged.min() == 1
    assert exchange(own, donor, listed["smap_kriged"]).kriged.min() == 1
    assert exchange(own, donor, listed["smap_past"]).kriged.max() == 0


def test_the_literatures_dress_has_neither_background_nor_smap(samples):
    spec = dataclasses.replace(made_up("static", samples).spec, dress="literature")
    kinds = {item.kind for item in list_items(samples["store"].maker.normaliser.channels, spec)}
    assert kinds == {"predictors", "predictor", "band", "channel", "static", "season"}


def mapped(run, checkpoint: Path, months: list[str], **options) -> xr.Dataset:
    downscaler = Downscaler(checkpoint, run.static, run.weights, PREDICTORS, **options)
    listed = month_files(MONTHS, *(run.files(kind) for kind in ("predictors", "bands", "coarse", "smap")))
    return carry_map(downscaler, listed, files._retrievals(downscaler, listed), months)


def test_the_shares_add_up_and_are_those_of_the_whole_series(made_run, trained):  # noqa: F811
    """Running sums over tiles agree with plain statistics of whole fields, and parts add up to the product's field."""
    found = mapped(made_run, trained, MONTHS[1:], tile=12)
    downscaler = Downscaler(trained, made_run.static, made_run.weights, PREDICTORS)
    listed = month_files(MONTHS, *(made_run.files(kind) for kind in ("predictors", "bands", "coarse", "smap")))
    retrievals = files._retrievals(downscaler, listed)
    steps = [
        fields
        for position in (1, 2)
        for fields in downscaler.fields(
            listed[position].predictors, listed[position - 1].bands, retrievals, with_parts=True
        )
    ]
    parts = {name: np.concatenate([step.parts[name] for step in steps]).astype("f8") for name in PARTS}
    answer = sum(parts.values())
    region = downscaler.maker.region
    np.testing.assert_allclose(found["share"].values.sum(0)[region], 1.0, atol=1e-9)
    assert np.isnan(found["share"].values[:, ~region]).all()
    product = np.concatenate([step.soil_moisture for step in steps])
    np.testing.assert_allclose(np.clip(answer, 0, 0.9)[:, region], product[:, region], atol=1e-6)
    parts["background"] -= parts["background"].mean(0)
    for name, part in parts.items():
        covariance = ((part - part.mean(0)) * (answer - answer.mean(0))).mean(0)
        expected = covariance / answer.var(0)
        np.testing.assert_allclose(found["share"].sel(part=PARTS[name]).values[region], expected[region], atol=1e-4)
        size = found["mean_absolute"].sel(part=PARTS[name]).values[region]
        np.testing.assert_allclose(size, np.abs(part).mean(0)[region], atol=1e-6)
        assert (size > 0).all()
    assert found.attrs["steps"] == len(answer) == 8 * (30 + 31)
    assert not np.allclose(found["share"].sel(part="smap").values[region], 0)


def test_a_net_with_zero_gates_gets_nothing_from_smap(made_run, trained, tmp_path):  # noqa: F811
    checkpoint = read_checkpoint(trained)
    for name in ("head.2.weight", "head.2.bias"):
        checkpoint.weights[name][: checkpoint.spec.heads] = 0
    checkpoint.write(tmp_path / "closed.safetensors")
    found = mapped(made_run, tmp_path / "closed.safetensors", MONTHS[2:])
    assert np.nanmax(np.abs(found["share"].sel(part="smap"))) == 0
    assert np.nanmax(np.abs(found["mean_absolute"].sel(part="smap"))) == 0
    np.testing.assert_allclose(found["share"].sum("part", skipna=False).values[found["answer_std"].values > 0], 1)


def arguments(run, checkpoint: Path, folder: Path) -> dict:
    return {
        "months": MONTHS, "predictors": run.files("predictors"), "bands": run.files("bands"),
        "coarse": run.files("coarse"), "smap": run.files("smap"), "static": run.static, "weights": run.weights,
        "samples": run.samples, "checkpoints": checkpoint, "names": PREDICTORS, "split": run.split,
        "mapped": MONTHS[2:], "table": folder / "m.json", "rows": folder / "m.csv", "maps": folder / "m.nc",
        "device": "cpu",
    }  # fmt: skip


def test_files_hold_what_was_found(made_run, trained, tmp_path, monkeypatch):  # noqa: F811
    seen = []
    monkeypatch.setattr(files, "permutation_importance", watched(seen))
    files.write_explanation(**arguments(made_run, trained, tmp_path))
    document = json.loads((tmp_path / "m.json").read_text())
    assert document["part"] == "validation"
    assert document["unit"] == "(m3 m-3)2"
    assert document["samples"].keys() == {"06"}
    with open(tmp_path / "m.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == [item["item"] for item in document["items"]]
    assert set(rows[0]) == {field.name for field in dataclasses.fields(ItemImportance)}
    with xr.open_dataset(tmp_path / "m.nc") as data:
        assert data["share"].dims == ("part", "lat", "lon")
        assert data.attrs["months"] == MONTHS[2]
    assert {path.name for path in tmp_path.iterdir()} == {"m.json", "m.csv", "m.nc"}
    assert seen == [0], "test retrievals are no input of the importance"
    monkeypatch.setattr(Retrievals, "hide", lambda self, which: None)
    files.write_explanation(**arguments(made_run, trained, tmp_path))
    assert seen[1] > 0, "the control"


def watched(seen: list):
    """The real function with few repeats; notes how many test retrievals it could see."""

    def importance(net, store, *args, **options):
        late = store.retrievals.stamp >= np.datetime64("2020-07-01")
        seen.append(int((store.retrievals.precision[late] > 0).sum()))
        return permutation_importance(net, store, *args, **options, repeats=1, most=4)

    return importance


def test_a_net_of_the_literatures_dress_is_refused(made_run, tmp_path):  # noqa: F811
    checkpoint = train(made_run, tmp_path / "l.safetensors", "mlp", epochs=1, dress="literature")
    with pytest.raises(ExplainError, match=r"net 'mlp': .* expects the dress 'own'.*found 'literature'"):
        files.write_explanation(**arguments(made_run, checkpoint, tmp_path))
    assert not (tmp_path / "m.json").exists()
    with pytest.raises(ExplainError, match="dress 'own'"):
        mapped(made_run, checkpoint, MONTHS[2:])


def test_months_without_files_are_named(made_run, trained):  # noqa: F811
    with pytest.raises(ExplainError, match="none found of: 2021-01"):
        mapped(made_run, trained, ["2021-01"])
