"""Agreement with SMAP: pytesmo's numbers, paired differences, classes, gaps, regions, maps, and leaks that are told."""

from __future__ import annotations

import csv
import json
import logging

import numpy as np
import pytest
import xarray as xr
from pytesmo import metrics

from pscnet.timeaxis import make_split
from pscnet.validation import METHODS, ScoreError
from pscnet.validation.agreement import Bootstrap, agree
from pscnet.validation.blocks import joined
from pscnet.validation.document import read_document
from pscnet.validation.leakage import LEARNT
from pscnet.validation.pairs import read_pairs
from pscnet.validation.satellite_run import validate_satellite
from tests.unit.validation.satellite_world import COARSE, NOISE, PERIOD, SPLIT, heldout, split, surroundings

TEST = [(block.start, block.end) for block in split().blocks["test"]]
PRODUCT = METHODS["pscnet"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folder, arguments and document of a whole validation without withheld cells."""
    folder = tmp_path_factory.mktemp("satellite")
    arguments = surroundings(folder) | {"heldout": heldout(folder)}
    return folder, arguments, validate_satellite(**arguments)


@pytest.fixture(scope="module")
def pairs(made):
    return read_pairs(made[1]["heldout"], COARSE.shape, TEST)


def table(document, name):
    return next(part for part in document.tables if part.name == name)


def row(document, name, label=PRODUCT, group=None):
    return next(r for r in table(document, name).rows if r.label == label and group in (None, r.group))


def test_scores_are_those_of_pytesmo(made, pairs):
    alone = pairs.where(pairs.hidden_days == 0)
    x, y = alone.fields["pscnet"], alone.smap
    values = row(made[2], "overpass").values
    assert values["r"] == pytest.approx(metrics.pearson_r(x, y))
    assert values["ubrmsd"] == pytest.approx(metrics.ubrmsd(x, y))
    assert values["rmsd"] == pytest.approx(metrics.rmsd(x, y))
    assert values["bias"] == pytest.approx(metrics.bias(x, y))
    cells = [alone.cell == cell for cell in np.unique(alone.cell)]
    rs = [metrics.pearson_r(x[cell], y[cell]) for cell in cells if cell.sum() >= 10]
    assert values["cell_r"] == pytest.approx(np.mean(rs)) and values["cells"] == len(rs)
    assert values["n"] == x.size
    level, spread = x.mean() / y.mean(), x.std() / y.std()
    kge = 1 - np.sqrt((values["r"] - 1) ** 2 + (spread - 1) ** 2 + (level - 1) ** 2)
    assert values["kge"] == pytest.approx(kge)


def test_differences_are_paired(made):
    """Errors common to both sides cancel: the interval of the difference is narrower than those of its sides."""
    ours, other = (row(made[2], "overpass", METHODS[name]) for name in ("pscnet", "era5_land"))
    less = row(made[2], "differences", f"product minus {METHODS['era5_land']}", "overpass")
    assert less.values["ubrmsd"] == pytest.approx(ours.values["ubrmsd"] - other.values["ubrmsd"])
    low, high = less.intervals["ubrmsd"]
    assert low < less.values["ubrmsd"] < high < 0, "the product is better, and the interval says so"
    sides = [np.diff(side.intervals["r"])[0] for side in (ours, other)]
    assert np.diff(less.intervals["r"])[0] < np.hypot(*sides)


def test_a_twin_of_the_product_differs_by_nothing(pairs):
    alone = pairs.where(pairs.hidden_days == 0)
    alone.fields["smap_kriged"] = alone.fields["pscnet"]
    found = agree(alone, Bootstrap.of(TEST, 8, 100), alone.anomalies()).differences["smap_kriged"]
    assert all(values == (0.0, 0.0, 0.0) for values in found.values())


def test_gaps_are_scored_on_the_same_overpasses(made):
    gaps = table(made[2], "gaps")
    assert [r.group for r in gaps.rows if r.label == PRODUCT] == ["overpass alone", "±1 d", "±3 d"]
    counts = {r.values["n"] for r in gaps.rows}
    assert len(counts) == 1 and counts.pop() < row(made[2], "overpass").values["n"]
    skill = [r.values["ubrmsd"] for r in gaps.rows if r.label == PRODUCT]
    assert skill == sorted(skill) and skill[0] < skill[-1]
    raw = [r.values["ubrmsd"] for r in gaps.rows if r.label == METHODS["era5_land"]]
    assert np.ptp(raw) == 0, "what sees no SMAP does not notice a gap"
    assert made[2].data["gaps_days"] == [0, 1, 3]


def test_gaps_of_a_net_that_sees_the_past_alone_lie_before(made, tmp_path):
    outputs = {name: tmp_path / name for name in ("json_path", "csv_path", "maps_path")}
    document = validate_satellite(**made[1] | outputs | {"heldout": heldout(tmp_path, causal=1)})
    gaps = table(document, "gaps")
    assert [r.group for r in gaps.rows if r.label == PRODUCT] == ["overpass alone", "1 d before", "3 d before"]
    assert "before the scored one" in gaps.note and "before and after" in table(made[2], "gaps").note


def test_classes_share_out_all_pairs(made):
    whole = row(made[2], "overpass").values["n"]
    for name in ("by_season", "by_overpass", "by_elevation", "by_wetness"):
        rows = [r for r in table(made[2], name).rows if r.label == PRODUCT]
        assert sum(r.values["n"] for r in rows) == whole, name
    assert {r.group for r in table(made[2], "by_season").rows} == {"JJA"}
    assert len({r.group for r in table(made[2], "by_elevation").rows}) == 3
    assert not table(made[2], "by_land_cover").rows and "validation.land_cover" in table(made[2], "by_land_cover").note
    # 91 E: 00 UTC is 06 h local solar time.
    mornings = row(made[2], "by_overpass", PRODUCT, "AM, 06 h").values["n"]
    assert 0.4 < mornings / whole < 0.6


def test_documents_can_be_read_and_say_agreement(made):
    _, arguments, document = made
    read = read_document(arguments["json_path"])
    assert [t.name for t in read.tables] == [t.name for t in document.tables]
    assert "agreement with SMAP, not accuracy" in read.note
    lines = list(csv.DictReader(arguments["csv_path"].open()))
    assert {"overpass", "gaps", "differences", "by_wetness", "innovations"} <= {line["table"] for line in lines}
    assert "samples.withheld" in table(read, "regions").note and not table(read, "regions").rows
    assert "SPL3SMP_E" in read.note, "that there is no second product is said"


def test_maps_leave_cells_with_few_retrievals_empty(made, pairs):
    alone = pairs.where(pairs.hidden_days == 0)
    with xr.open_dataset(made[1]["maps_path"]) as maps:
        assert maps["n"][0, 0] == 0 and 0 < maps["n"][0, 1] < 10
        assert np.isnan(maps["r"][:, 0, :2]).all() and np.isfinite(maps["r"][:, 1:, :]).all()
        cell = alone.cell == COARSE.shape[1] * 2 + 3
        expected = metrics.ubrmsd(alone.fields["pscnet"][cell], alone.smap[cell])
        assert float(maps["ubrmsd"].sel(source="pscnet")[2, 3]) == pytest.approx(expected, rel=1e-5)
        assert maps["ubrmsd"].attrs["units"] == "m3 m-3" and maps["lat"].attrs["units"] == "degrees_north"
        np.testing.assert_allclose(maps["lat"], COARSE.lat)


def test_a_season_with_few_blocks_has_no_interval(pairs):
    few = pairs.where((pairs.hidden_days == 0) & (pairs.times < np.datetime64("2016-07-20")))
    found = agree(few, Bootstrap.of(TEST, 8, 100), few.anomalies())
    assert found.blocks == 3
    assert np.isfinite(found.values["pscnet"]["r"]) and np.isnan(found.intervals["pscnet"]["r"]).all()


def test_a_group_with_few_pairs_or_a_constant_side_has_no_score(pairs):
    few = pairs.where(np.arange(pairs.size) < 6)
    values = agree(few, Bootstrap.of(TEST, 8, 100), few.anomalies()).values["pscnet"]
    assert values["n"] == 6 and values["cells"] == 0
    assert all(np.isnan(values[score]) for score in ("r", "cell_r", "anomaly_r", "ubrmsd", "rmsd", "bias", "kge"))
    alone = pairs.where(pairs.hidden_days == 0)
    alone.fields["pscnet"] = np.full(alone.size, 0.2)
    flat = agree(alone, Bootstrap.of(TEST, 8, 100), alone.anomalies()).values["pscnet"]
    assert np.isnan(flat["r"]) and np.isnan(flat["kge"]) and np.isfinite(flat["ubrmsd"])


def test_adjoining_intervals_make_whole_blocks():
    assert len(joined(TEST)) == 1
    starts = Bootstrap.of(TEST, 8, 100).starts
    assert starts.size == 8 and (np.diff(starts) >= np.timedelta64(8, "D")).all()
    assert Bootstrap.of(TEST, 12.5, 100).starts.size == 5, "13 days, no shorter than the window"


def test_months_of_the_split_in_any_order_give_the_same_numbers(made, tmp_path):
    outputs = {name: tmp_path / name for name in ("json_path", "csv_path", "maps_path")}
    turned = make_split(SPLIT | {"test": SPLIT["test"][::-1]}, PERIOD, 8)
    document = validate_satellite(**made[1] | outputs | {"split": turned})
    for name in ("overpass", "gaps", "by_season", "differences", "innovations"):
        for ours, expected in zip(table(document, name).rows, table(made[2], name).rows, strict=True):
            assert (ours.label, ours.group) == (expected.label, expected.group)
            for score, limits in expected.intervals.items():
                assert ours.intervals[score] == pytest.approx(limits, nan_ok=True), (name, score)


# Held-out regions ----------------------------------------------------------------------------------------------------

BOXES = [{"lat": (32.0, 33.0), "lon": (91.0, 92.0)}]


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    arguments = surroundings(folder, BOXES) | {"heldout": heldout(folder)}
    return arguments, validate_satellite(**arguments)


def test_withheld_cells_are_scored_beside_the_delivered_fields(regions):
    arguments, document = regions
    expected = 0
    with xr.open_dataset(arguments["smap_test"][1]) as july, xr.open_dataset(arguments["smap_test"][2]) as august:
        cells = int(july.attrs["withheld_cells"])
        for month in (july, august):
            expected += int(np.isfinite(month["soil_moisture_withheld"]).sum())
            assert not (np.isfinite(month["soil_moisture"]) & np.isfinite(month["soil_moisture_withheld"])).any()
    found = row(document, "regions").values
    assert cells == found["cells"] > 3
    assert found["n"] == pytest.approx(expected, abs=cells), "some lie in the evening before the first day"
    # The made-up product knows each cell's mean: what is left is SMAP's noise. References carry a known bias.
    assert found["ubrmsd"] == pytest.approx(NOISE, rel=0.05) and abs(found["bias"]) < 0.01
    biases = [row(document, "regions", METHODS[name]).values["bias"] for name in ("era5_land", "optimal_interpolation")]
    assert biases == pytest.approx([found["bias"] + 0.01, found["bias"] + 0.04], abs=0.004)
    assert any(r.group == "region" for r in table(document, "differences").rows)
    with xr.open_dataset(arguments["maps_path"]) as maps:
        assert int(maps["withheld"].sum()) == cells


def test_without_the_products_a_month_is_named(regions, tmp_path):
    arguments, _ = regions
    outputs = {name: tmp_path / name for name in ("json_path", "csv_path", "maps_path")}
    with pytest.raises(ScoreError, match=r"the product of 2016-08: .* rule product_month"):
        validate_satellite(**arguments | outputs | {"products": arguments["products"][:1]})


def test_a_month_without_withheld_retrievals_is_left_out(regions, tmp_path):
    """Frozen ground has none: the other month is scored alone, and without any the table is empty and says why."""
    arguments, document = regions
    outputs = {name: tmp_path / name for name in ("json_path", "csv_path", "maps_path")}
    counts = []
    for frozen in (("2016-08",), SPLIT["test"]):
        paths = []
        for path in arguments["smap_test"]:
            with xr.open_dataset(path) as month:
                month = month.load()
            if any(name in path.name for name in frozen):
                month["soil_moisture_withheld"][:] = np.nan
            paths.append(tmp_path / path.name)
            month.to_netcdf(paths[-1])
        made = validate_satellite(**arguments | outputs | {"smap_test": paths})
        counts.append([r.values["n"] for r in table(made, "regions").rows if r.label == PRODUCT])
    assert 0 < counts[0][0] < row(document, "regions").values["n"]
    # What is left belongs to the evening before the first day, at most.
    assert counts[1] == [] and "no withheld retrieval on test days" in table(made, "regions").note


# Leaks ----------------------------------------------------------------------------------------------------------------


def test_a_net_that_has_seen_the_days_is_refused(made, tmp_path):
    _, arguments, _ = made
    outputs = {name: tmp_path / name for name in ("json_path", "csv_path", "maps_path")}
    with xr.open_dataset(arguments["heldout"]) as file:
        copy = file.load()
    said = json.loads(copy.attrs[LEARNT])
    said["split"]["train"] = [["2016-03-01T00:00", "2016-07-10T00:00"]]
    said["split"]["test"] = [["2016-01-01T00:00", "2016-02-01T00:00"]]
    said["split"]["validation"] = [["2016-02-01T00:00", "2016-02-10T00:00"]]
    copy.assign_attrs({LEARNT: json.dumps(said)}).to_netcdf(tmp_path / "leaking.nc")
    with pytest.raises(ScoreError, match=r"trained \(split\.train\), are among the days that are scored"):
        validate_satellite(**arguments | outputs | {"heldout": tmp_path / "leaking.nc"})
    assert not (tmp_path / "json_path").exists()


def test_a_leak_in_the_numbers_is_told_loudly(made, tmp_path, caplog):
    _, arguments, honest = made
    outputs = {name: tmp_path / name for name in ("json_path", "csv_path", "maps_path")}
    with caplog.at_level(logging.WARNING):
        document = validate_satellite(**arguments | outputs | {"heldout": heldout(tmp_path, leak=0.6)})
    assert document.note.startswith("WARNING") and "LEAKED" in document.note and "LEAKED" in caplog.text
    ratio = row(document, "innovations")
    assert ratio.values["ratio"] < 0.5 and ratio.intervals["ratio"][1] < 0.9
    # The control: predictions that owe nothing to the retrieval.
    assert "WARNING" not in honest.note
    assert row(honest, "innovations").values["ratio"] == pytest.approx(1 + (0.015 / NOISE) ** 2, abs=0.06)


def test_a_file_without_gaps_or_noise_is_refused(made, tmp_path):
    with xr.open_dataset(made[1]["heldout"]) as file:
        file.drop_vars("noise").to_netcdf(tmp_path / "old.nc")
    with pytest.raises(ScoreError, match="noise missing; rerun verify_heldout"):
        read_pairs(tmp_path / "old.nc", COARSE.shape, TEST)
    with pytest.raises(ScoreError, match="no pair to score"):
        read_pairs(made[1]["heldout"], COARSE.shape, [(np.datetime64("2015-01-01"), np.datetime64("2015-02-01"))])
