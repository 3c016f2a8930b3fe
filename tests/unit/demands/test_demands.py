"""What jobs ask for: monotone formulas, above what was recorded, for every rule, and a fit that finds them again."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from pscnet.config import load
from pscnet.demands import DEMANDS, ESTIMATED, LEAST_MINUTES, PASSES, SIZES, Demand, Demands, Extent, demand_of
from pscnet.demands.__main__ import entry, main, shown
from pscnet.demands.records import Line, Record, read_records, suggest, table
from pscnet.doctor import setting

REPOSITORY = Path(__file__).resolve().parents[3]
RULES = {
    name: body
    for path in sorted((REPOSITORY / "workflow" / "rules").glob("*.smk"))
    for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", path.read_text(), re.M)
}

#: Longest and largest jobs of three runs: the demo, and twins of 64 x 64 and 96 x 96 cells.
with open(Path(__file__).parent / "recorded.csv", newline="") as file:
    RECORDED = list(csv.DictReader(file))


def a_run(side: float = 4.7, months: tuple[str, str] = ("2016-05", "2017-08"), **changes):
    keys = {
        "run": "demo",
        "source": "twin",
        "region": {"lat": [31.0, 31.0 + side], "lon": [91.0, 91.0 + side]},
        "period": {"start": months[0], "end": months[1]},
    }
    return load(keys | changes)


TWINS = {
    "demo": setting.read([REPOSITORY / "config" / "demo.yaml"], REPOSITORY / "config" / "config.yaml")[0],
    "naqu": a_run(
        6.3,
        ("2016-05", "2018-10"),
        split={"train": ["2016-05/2018-04"], "validation": ["2018-05/2018-06"], "test": ["2018-07/2018-10"]},
        predictors=["swvl1", "swvl2", "stl1", "t2m", "tp", "e", "ssrd", "sd"],
        training={"epochs": 6},
        run="naqu",
    ),
    "big": a_run(
        9.5,
        ("2016-06", "2016-08"),
        split={"train": ["2016-06"], "validation": ["2016-07"], "test": ["2016-08"]},
        training={"epochs": 1, "ensemble": 1},
        run="big",
    ),
}


def lines() -> list[Line]:
    """The recorded jobs beside what they ask for now."""
    made = []
    for row in RECORDED:
        asked = Demands(TWINS[row["run"]])
        rule = row["rule"]
        timed = DEMANDS[rule].seconds is not None
        made.append(
            Line(
                rule, row["run"], int(row["jobs"]), float(row["seconds"]), float(row["longest"]), float(row["mb"]),
                asked.memory(rule)({}, 1), asked.minutes(rule)({}, 1) if timed else None,
            )
        )  # fmt: skip
    return made


# Every rule asks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_an_entry_and_asks_by_it(rule):
    demand_of(rule)  # says what to add
    assert f'mem_mb=PLAN.memory("{rule}"),' in RULES[rule], f'write mem_mb=PLAN.memory("{rule}") into its resources'
    own = DEMANDS[rule].seconds is None
    assert own == (f'runtime=PLAN.minutes("{rule}"),' not in RULES[rule]), f'write runtime=PLAN.minutes("{rule}")'


def test_a_rule_without_an_entry_says_what_to_add():
    for ask in (demand_of, Demands(a_run()).memory, Demands(a_run()).minutes):
        with pytest.raises(LookupError, match=r"rule new_rule: no entry .* python -m pscnet.demands suggests"):
            ask("new_rule")


# Formulas -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", DEMANDS)
def test_more_cells_channels_months_epochs_and_members_never_ask_for_less(rule):
    small = a_run()
    asked = [Demands(small).memory(rule)({}, 1), Demands(small).minutes(rule)({}, 1)]
    for larger in (
        a_run(9.4),
        a_run(months=("2016-05", "2018-08")),
        a_run(
            predictors=[
                "swvl1",
                "swvl2",
                "stl1",
                "t2m",
                "d2m",
                "tp",
                "e",
                "ssrd",
                "strd",
                "lai_hv",
                "lai_lv",
                "sd",
                "sp",
            ]
        ),
        a_run(training={"epochs": 40, "ensemble": 5}),
    ):
        more = Demands(larger)
        assert more.memory(rule)({}, 1) >= asked[0]
        assert more.minutes(rule)({}, 1) >= asked[1] >= LEAST_MINUTES


def test_a_larger_region_does_ask_for_more():
    """The control of the test above."""
    small, large = Demands(a_run()), Demands(a_run(20.0))
    for rule in ("train_model", "downscale_month", "dataset_bands"):
        assert large.memory(rule)({}, 1) > small.memory(rule)({}, 1)
    assert large.minutes("train_model")({}, 1) > small.minutes("train_model")({}, 1)


def test_every_attempt_asks_for_twice_as_much():
    demands = Demands(a_run())
    for ask in (demands.memory("train_model"), demands.minutes("train_model")):
        assert [ask({}, attempt) for attempt in (1, 2, 3)] == [ask({}, 1), 2 * ask({}, 1), 4 * ask({}, 1)]


def test_a_part_of_the_split_counts_for_itself():
    config = a_run(side=30.0)
    train, validation = (
        Demands(config).memory("dataset_samples")({"part": part}, 1) for part in ("train", "validation")
    )
    assert train > validation


def test_an_ensemble_of_the_comparison_asks_for_all_its_seeds():
    """Whatever the size of the product's own ensemble."""
    nets = DEMANDS["compare_scores"]
    extent = Extent.of(a_run(training={"ensemble": 1}, compare={"seeds": 10}))
    first, one = nets.measured(extent, {"members": "0"})[1], nets.seconds[0]
    assert nets.measured(extent, {"members": "ensemble"})[1] - one == pytest.approx(10 * (first - one))


def test_the_extent_counts_months_with_their_neighbours():
    extent = Extent.of(TWINS["demo"])
    assert (extent.fine, extent.predictors, extent.epochs, extent.ensemble) == (48 * 48, 8, 12, 3)
    assert extent.months == {"train": 14, "validation": 3, "test": 3, "all": 16}
    assert {demand.size for demand in DEMANDS.values()} <= set(SIZES)
    assert {demand.passes for demand in DEMANDS.values()} <= set(PASSES)
    assert SIZES["fields, month"](extent, {}) == pytest.approx(48 * 48 * 248 / 1e6)
    assert SIZES["predictors, test"](extent, {}) == pytest.approx(48 * 48 * 248 * 8 * 3 / 1e6)


# Against records ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", lines(), ids=lambda line: f"{line.rule}-{line.run}")
def test_no_recorded_job_took_more_than_is_asked_for_now(line):
    assert line.mb <= line.asked_mb
    assert line.asked_minutes is None or line.longest <= 60 * line.asked_minutes


def recorded_once(rows) -> set[str]:
    """Rules with records of fewer than two sizes."""
    sizes = {rule: {Extent.of(TWINS[row["run"]]).fine for row in rows if row["rule"] == rule} for rule in DEMANDS}
    return {rule for rule, found in sizes.items() if len(found) < 2}


def test_a_rule_without_records_of_two_sizes_is_said_to_be_estimated():
    assert recorded_once(RECORDED) == ESTIMATED


def test_a_rule_that_was_recorded_once_would_be_found():
    """The control: without the records of the larger twin its rules are estimates."""
    fewer = [row for row in RECORDED if row["run"] != "big"]
    assert "downscale_month" in recorded_once(fewer) - ESTIMATED


def test_triple_collocation_grows_with_the_whole_period():
    """It goes through the retrievals and ERA5-Land of all months, in whichever part of the split they are."""
    split = {"train": ["2016-05"], "validation": ["2016-07"], "test": ["2016-09"]}
    short, long = (Demands(a_run(20.0, ("2016-05", end), split=split)) for end in ("2016-12", "2020-12"))
    assert long.memory("validate_triple")({}, 1) > short.memory("validate_triple")({}, 1)
    assert long.minutes("validate_triple")({}, 1) > short.minutes("validate_triple")({}, 1)
    assert long.memory("validate_hours")({}, 1) == short.memory("validate_hours")({}, 1)


def test_less_memory_would_have_been_too_little(monkeypatch):
    """The control: asking for what the starters take alone is caught."""
    monkeypatch.setattr("pscnet.demands.MEMORY_MARGIN", 0.0)
    assert any(line.mb > line.asked_mb for line in lines())


def test_a_month_of_the_plateau_gets_what_its_benchmark_took():
    """``make bench`` measures 1.95 to 2.11 GB for downscaling a month of the whole Plateau on one thread."""
    plateau = setting.read([], REPOSITORY / "config" / "config.yaml")[0]
    asked = Demands(plateau).memory("downscale_month")({}, 1)
    assert 2110 * 1e6 / 2**20 < asked < 6000


def test_the_table_in_the_readme_is_this_one():
    """Rows of the demo, and what a Plateau asks for; made with --also config/config.yaml."""
    plateau = setting.read([], REPOSITORY / "config" / "config.yaml")[0]
    rows = shown([line for line in lines() if line.run == "demo"], plateau)
    text = (REPOSITORY / "README.md").read_text()
    assert "\n".join(rows) + "\n" in text, "\n".join(rows)


# The script -----------------------------------------------------------------------------------------------------------


def records_of(demand: Demand, config, wildcards=None) -> Record:
    mb, seconds = demand.measured(Extent.of(config), wildcards or {})
    return Record("regrid_era5_land", config.run, seconds, mb, wildcards or {})


def test_a_fit_finds_the_numbers_behind_records_of_two_sizes():
    behind = Demand("predictors, month", (130.0, 2.5), (1.5, 0.25))
    found = suggest([records_of(behind, config) for config in TWINS.values()], TWINS)["regrid_era5_land"]
    extent = Extent.of(TWINS["big"])
    for one, other in zip(found.measured(extent, {}), behind.measured(extent, {}), strict=True):
        assert other <= one <= 1.1 * other


def test_records_of_one_size_keep_the_slope():
    known = DEMANDS["regrid_era5_land"]
    job = Record("regrid_era5_land", "demo", 1.0, 500.0)
    found = suggest([job], TWINS)["regrid_era5_land"]
    assert found.mb[1] == known.mb[1]
    assert found.measured(Extent.of(TWINS["demo"]), {})[0] >= 500.0


def test_records_are_read_from_files(tmp_path):
    folder = tmp_path / "dataset_samples"
    folder.mkdir()
    head = "s\th:m:s\tmax_rss\n"
    (folder / "demo_train.tsv").write_text(f"{head}4.5\t0:00:04\t444.1\n")
    (folder / "demo_validation.tsv").write_text(f"{head}1.5\t0:00:01\t-\n")
    (folder / "demo_two_train.tsv").write_text(f"{head}9.5\t0:00:09\t999\n")
    assert read_records([tmp_path], ["demo"]) != read_records([tmp_path], ["demo", "demo_two"])
    runs = [record.run for record in read_records([tmp_path], ["demo", "demo_two"])]
    assert runs == ["demo", "demo_two"]
    (line,) = table(read_records([tmp_path], ["demo_two"]), {"demo_two": TWINS["demo"]})
    assert (line.seconds, line.mb, line.jobs) == (9.5, 999.0, 1)


def test_a_record_knows_what_decides_on_its_size(tmp_path):
    for rule, file in {"dataset_samples": "demo_validation", "compare_scores": "demo_pscnet_ensemble"}.items():
        (tmp_path / rule).mkdir()
        (tmp_path / rule / f"{file}.tsv").write_text("s\tmax_rss\n4.5\t444.1\n")
    wildcards = {record.rule: record.wildcards for record in read_records([tmp_path], ["demo"])}
    assert wildcards == {"dataset_samples": {"part": "validation"}, "compare_scores": {"members": "ensemble"}}


def test_the_script_prints_table_and_entries(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    folder = tmp_path / "train_model"
    folder.mkdir()
    (folder / "demo_pscnet_0.tsv").write_text("s\tmax_rss\n55.2\t582.1\n")
    assert main([str(tmp_path), "--configfile", "config/demo.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "| train_model | demo | 1 | 55.2 | 55.2 | 582 |" in printed
    assert '"train_model": Demand("predictors, part", ' in printed
    assert main([str(tmp_path), "--configfile", "config/demo.yaml", "--also", "config/config.yaml"]) == 0
    printed = capsys.readouterr().out
    asked = Demands(setting.read([], REPOSITORY / "config" / "config.yaml")[0])
    more = f"{asked.memory('train_model')({}, 1)} | {asked.minutes('train_model')({}, 1)}"
    assert "| tibetan_plateau [MB] | tibetan_plateau [min] |" in printed
    assert re.search(rf"\| train_model \| demo \| 1 \| .* \| {re.escape(more)} \|\n", printed)
    assert main([str(tmp_path), "--configfile", "config/demo_fetch.yaml"]) == 1
    assert "No records of demo_fetch" in capsys.readouterr().out


def test_an_entry_reads_as_source():
    for rule, demand in DEMANDS.items():
        assert eval(f"{{{entry(rule, demand)}}}", {"Demand": Demand}) == {rule: demand}
