"""Tables and figures of the comparison: every number where it belongs, prose untouched, missing markers named."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from matplotlib.image import imread

from pscnet.report.comparison import (
    Table,
    TableError,
    ablation_table,
    main_table,
    targets_table,
    verdict,
    worlds_table,
    write_csv,
    write_markdown,
)
from pscnet.report.comparison_figures import chosen_lines, draw_methods, draw_reliability, write_comparison_figures
from pscnet.report.comparison_page import fill_document, main
from pscnet.scores import PairMoments
from pscnet.validation import OPTIMAL, PRODUCT
from pscnet.validation.blocks import NOMINAL, BlockMoments
from pscnet.validation.comparison import compare
from pscnet.validation.groups import TOGETHER, Entry, entry_of
from pscnet.validation.truth import Parts, inside

#: Method: standard deviation of its error [m3 m-3] and number of seeds.
ERRORS = {
    "pscnet": (0.020, 2),
    "pscnet_ensemble": (0.0195, 1),
    "pscnet_no_squeeze": (0.020, 2),
    "pscnet_no_background": (0.030, 2),
    "unet": (0.022, 2),
    "unet_ensemble": (0.0216, 1),
    "unet_literature": (0.040, 2),
    "era5_land_rescaled": (0.035, 1),
    "smap_interpolated": (0.030, 1),
    "optimal_interpolation": (0.024, 1),
}
FLAT = "era5_land"
WITH_SIGMA = ("pscnet", "optimal_interpolation")


def _moments(rng: np.random.Generator, truth: np.ndarray, field: np.ndarray, sigma: bool) -> BlockMoments:
    moments = PairMoments.of(field.swapaxes(0, 1), truth.swapaxes(0, 1))
    sums = {"n": 1.0, "inside_1_sigma": 0.68, "inside_2_sigma": 0.95, "crps": 0.01}
    sums |= {inside(nominal): nominal + 0.02 for nominal in NOMINAL}
    by_hour = {score: rng.random(8) for score in ("temporal_r", "ubrmse")}
    calibration = {name: np.full(len(truth), value) for name, value in sums.items()} if sigma else {}
    starts = np.datetime64("2018-07-01", "ns") + np.arange(len(truth)) * np.timedelta64(8 * 24, "h")
    return BlockMoments(starts, Parts(*[moments] * 5), calibration, by_hour)


@pytest.fixture(scope="module")
def comparison() -> dict:
    """Two worlds of 8 blocks of 64 steps and 6 cells, through JSON with null for what is not defined, as rules do."""
    rng = np.random.default_rng(2)
    truths = [0.2 + 0.05 * rng.standard_normal((8, 64, 6)) for _ in range(2)]
    shared = [rng.standard_normal(truth.shape) for truth in truths]

    def field(world: int, size: float) -> np.ndarray:
        return truths[world] + size * (0.9 * shared[world] + 0.44 * rng.standard_normal(truths[world].shape))

    rows = {
        name: [
            [_moments(rng, truths[world], field(world, size), name in WITH_SIGMA) for _ in range(seeds)]
            for world in range(2)
        ]
        for name, (size, seeds) in ERRORS.items()
    }
    rows[FLAT] = [[_moments(rng, truth, np.full_like(truth, 0.2), False)] for truth in truths]
    made = compare(rows, ["naqu", "maqu"], [PRODUCT, OPTIMAL, TOGETHER], draws=200)
    return json.loads(json.dumps(made).replace("NaN", "null"))


def _cells(table: Table, label: str) -> dict[str, str]:
    row = next(row for row in table.rows if len(row) > 1 and row[0].strip("*") == label)
    return dict(zip(table.headings, row, strict=True))


def test_the_main_table_groups_the_methods_and_shows_their_numbers(comparison):
    entries = {"pscnet": Entry("PSCNet", "pscnet", 21_500, 93.4)}
    table = main_table(comparison, entries)
    headings = [row[0] for row in table.rows if len(row) == 1]
    assert headings == [
        "References without training", "Learnt, as the literature does it",
        "Learnt, with PSCNet's input and supervision", "PSCNet",
    ]  # fmt: skip
    assert len(table.rows) == 4 + len(ERRORS) + 1 - 2  # all but the two ablations
    ours = _cells(table, "PSCNet")
    scores = comparison["methods"]["pscnet"]["scores"]
    assert ours["ubRMSE"] == f"{scores['ubrmse']['mean']:.4f} ± {scores['ubrmse']['seed_spread']:.4f}"
    assert (ours["parameters"], ours["training [s]"]) == ("21\u202f500", "93")
    assert ours["ubRMSE to PSCNet"] == "–" and ours["ubRMSE to optimal interpolation"].startswith("−1")
    unet = _cells(table, "U-Net")
    difference = comparison["methods"]["unet"]["differences"]["pscnet"]["relative_ubrmse"]
    assert unet["ubRMSE to PSCNet"] == (
        f"+{100 * difference['mean']:.1f} % (+{100 * difference['low_seeds']:.1f} to "
        f"+{100 * difference['high_seeds']:.1f})"
    )
    assert difference["low_seeds"] != difference["low"]
    difference["low_seeds"] = difference["high_seeds"] = None  # every net trained once
    alone = _cells(main_table(comparison), "U-Net")["ubRMSE to PSCNet"]
    assert alone.endswith(f"(+{100 * difference['low']:.1f} to +{100 * difference['high']:.1f})")
    assert unet["inside 1 σ"] == "–" and unet["parameters"] == "–"
    assert "±" not in _cells(table, "optimal interpolation")["ubRMSE"]


def test_ensembles_are_set_against_the_ensemble(comparison):
    table = main_table(comparison)
    differences = comparison["methods"]["unet_ensemble"]["differences"]
    shown = _cells(table, "U-Net, ensemble")["R to PSCNet"].split(" ")[0]
    expected, other = (differences[name]["temporal_r"]["mean"] for name in (TOGETHER, PRODUCT))
    assert shown == f"{expected:.3f}".replace("-", "−") != f"{other:.3f}".replace("-", "−")
    assert _cells(table, "PSCNet, ensemble")["ubRMSE to PSCNet"] == "–"
    assert "Ensembles are set against PSCNet's ensemble" in table.note


def test_undefined_scores_are_dashes(comparison):
    flat = _cells(main_table(comparison), "ERA5-Land, raw")
    assert flat["R"] == "–" and flat["R to PSCNet"] == "–" and flat["ubRMSE"] != "–"


def test_the_ablation_table_is_sorted_and_says_what_is_noise(comparison):
    table = ablation_table(comparison)
    assert [row[0] for row in table.rows] == ["PSCNet, no background", "PSCNet, no squeeze"]
    assert [row[-1] for row in table.rows] == ["worse", "within noise"]
    assert ablation_table({**comparison, "methods": {"pscnet": comparison["methods"]["pscnet"]}}).rows == []


def test_a_part_that_cannot_be_taken_out_alone_is_compared_with_what_it_was_taken_out_of(comparison):
    methods = comparison["methods"]
    found = methods["pscnet_no_background"]
    against = found["differences"] | {"pscnet_without_kriged": methods["unet"]["differences"]["pscnet"]}
    renamed = {"pscnet_without_kriged": methods["pscnet_no_squeeze"]} | {
        "pscnet_innovations_only": found | {"differences": against}
    }
    rows = ablation_table({**comparison, "methods": {"pscnet": methods["pscnet"]} | renamed}).rows
    (row,) = (row for row in rows if row[0].endswith("(to: SMAP: without kriged innovation)"))
    assert row[0].startswith("SMAP: innovations by fixed kernels and no kriged innovation")
    assert row[1].startswith(f"+{100 * methods['unet']['differences']['pscnet']['relative_ubrmse']['mean']:.1f} %")
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.01, 0.02, "worse"), (-0.02, -0.01, "better"), (-0.01, 0.0, "within noise"), (None, None, "not known")],
)
def test_the_verdict_follows_the_interval_of_blocks_and_seeds(low, high, said):
    assert verdict({"low_seeds": low, "high_seeds": high, "low": 0.5, "high": 0.6}) == said


def test_other_samples_are_marked(comparison):
    assert not any("*" in row[0].replace("**", "") for row in main_table(comparison).rows)
    methods = comparison["methods"] | {"unet": comparison["methods"]["unet"] | {"samples": 0.9}}
    table = main_table({**comparison, "methods": methods})
    assert [row[0] for row in table.rows if row[0].endswith(" *")] == ["U-Net *"]
    assert "other samples" in table.note


def test_labels_tell_all_methods_apart(comparison):
    labels = [entry_of(name).label for name in comparison["methods"]]
    assert len(set(labels)) == len(labels)


def test_by_world_and_targets(comparison):
    worlds = worlds_table(comparison)
    assert len(worlds.rows) == len(ERRORS) + 1 - 2  # all but the two ablations
    assert worlds.headings == ["", "naqu: R", "naqu: ubRMSE", "maqu: R", "maqu: ubRMSE"]
    found = comparison["methods"]["unet"]["worlds"]["maqu"]["ubrmse"]
    assert f"({found['low']:.4f} to {found['high']:.4f})" in _cells(worlds, "U-Net")["maqu: ubRMSE"]
    targets = [
        {"name": "one", "value": -0.2, "wanted": "at most -0.15", "reached": True},
        {"name": "two", "value": math.nan, "wanted": "at least +0", "reached": None},
    ]
    rows = targets_table({"pscnet": targets}).rows
    assert rows == [["one", "−0.2000", "at most −0.15", "reached"], ["two", "–", "at least +0", "undefined"]]
    both = targets_table({"pscnet": targets, "pscnet_ensemble": targets[:1]}).rows
    assert both == [["PSCNet, mean of single nets"], *rows, ["PSCNet, ensemble"], rows[0]]


def test_methods_and_parts_fill_one_document_in_any_order(comparison, tmp_path, capsys):
    def document(names: list[str]) -> str:
        made = {**comparison, "methods": {name: comparison["methods"][name] for name in names}}
        entries = {name: vars(entry_of(name)) for name in names}
        path = tmp_path / f"{len(names)}.json"
        path.write_text(json.dumps({"comparison": made, "entries": entries, "targets": {"pscnet": []}}))
        return str(path)

    models = document(["pscnet", "unet", "optimal_interpolation"])
    parts = document(["pscnet", "pscnet_no_squeeze"])
    markers = "\n".join(
        f"<!-- table: {name} -->\n<!-- end -->" for name in ("comparison", "worlds", "ablation", "targets")
    )
    filled = []
    for order in ([models, parts], [parts, models]):
        page = tmp_path / str(len(filled)) / "results.md"
        page.parent.mkdir()
        page.write_text(markers)
        for numbers in order:
            fill_document(numbers, page)
        filled.append(page.read_text())
        assert sorted(path.name for path in (page.parent / "figures").iterdir()) == [
            "comparison.png", "hours.png", "reliability.png",
        ]  # fmt: skip
    assert filled[0] == filled[1]
    assert "U-Net" in filled[0] and "PSCNet, no squeeze" in filled[0]


def test_csv_holds_every_number(comparison, tmp_path):
    write_csv(tmp_path / "comparison.csv", comparison)
    with (tmp_path / "comparison.csv").open() as file:
        rows = {(r["method"], r["world"], r["score"], r["against"]): r for r in csv.DictReader(file)}
    assert float(rows["unet", "", "ubrmse", ""]["mean"]) == comparison["methods"]["unet"]["scores"]["ubrmse"]["mean"]
    against = rows["unet", "", "relative_ubrmse", "pscnet"]
    assert float(against["low"]) == comparison["methods"]["unet"]["differences"]["pscnet"]["relative_ubrmse"]["low"]
    assert rows[FLAT, "naqu", "temporal_r", ""]["mean"] == ""


PROSE = "# Method\r\n\r\nBefore.\n<!-- table: one -->\nold | text\n<!-- end -->\nBetween — ü.\n"
TWO = "<!-- table: two -->\n<!-- end -->\nAfter, without a last line break"


def _table(name: str, cell: str = "1 | 2") -> Table:
    return Table(name, name.title(), "A note.", ["", "R"], [["Group"], ["row", cell]])


def test_markdown_fills_markers_and_keeps_prose(tmp_path, capsys):
    path = tmp_path / "method.md"
    path.write_bytes((PROSE + TWO).encode())
    write_markdown(path, [_table("one"), _table("two")])
    filled = path.read_bytes().decode()
    assert "old | text" not in filled and filled.count("| row | 1 \\| 2 |") == 2 and "| **Group** |  |" in filled
    for prose in (
        "# Method\r\n\r\nBefore.\n<!-- table",
        "<!-- end -->\nBetween — ü.\n<!--",
        "After, without a last line",
    ):
        assert prose in filled
    assert "One" in capsys.readouterr().out
    write_markdown(path, [_table("one"), _table("two")])
    assert path.read_bytes().decode() == filled  # filling again changes nothing
    write_markdown(path, [_table("two", "3")])
    assert path.read_text(encoding="utf-8").count("1 \\| 2") == 1  # tables that are not given stay


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PROSE, r"method\.md: expected the marker <!-- table: two --> once, found it 0 times \(tables there: one\)"),
        (PROSE + TWO + TWO, r"<!-- table: two --> once, found it 2 times"),
        (PROSE.replace("<!-- end -->", "") + TWO, r"expected <!-- end --> after <!-- table: one -->"),
        (PROSE + TWO.replace("<!-- end -->", ""), r"expected <!-- end --> after <!-- table: two -->"),
        (None, r"method\.md: expected a document with the markers"),
    ],
)
def test_a_document_without_its_marker_is_named_and_left_alone(tmp_path, text, message):
    path = tmp_path / "method.md"
    if text is not None:
        path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(TableError, match=message):
        write_markdown(path, [_table("one"), _table("two")])
    assert text is None or path.read_bytes().decode() == text


def test_text_is_aligned(comparison):
    lines = main_table(comparison).text().splitlines()
    rows = [line for line in lines[1:-1] if not line.startswith("--")]
    assert len({len(line) for line in rows}) == 1


def test_figures_are_drawn(comparison, tmp_path):
    paths = write_comparison_figures(tmp_path, comparison)
    assert sorted(paths) == ["comparison", "hours", "reliability"]
    for path in paths.values():
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 300 and pixels.std() > 0.03
    axis = draw_methods(comparison).axes[0]
    labels = [tick.get_text() for tick in axis.get_yticklabels()]
    assert sorted(labels) == sorted(entry_of(name).label for name in comparison["methods"])
    assert len(axis.containers) == 2  # one for each world
    lines = draw_reliability(comparison).axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["calibrated", "PSCNet", "optimal interpolation"]
    np.testing.assert_allclose(lines[1].get_ydata(), np.array(NOMINAL) + 0.02)


def test_few_lines_are_chosen_whatever_the_number_of_methods(comparison):
    chosen = chosen_lines(comparison)
    assert chosen[:3] == ["pscnet_ensemble", "unet_ensemble", "unet_literature"] and "optimal_interpolation" in chosen
    assert len(chosen) == len(set(chosen)) <= 7


def test_the_command_line_says_which_command_writes_the_numbers(tmp_path, capsys):
    page = tmp_path / "results.md"
    page.write_text("")
    assert main([str(tmp_path / "models.json"), str(page)]) == 1
    said = capsys.readouterr().err
    assert "models.json: expected the numbers of a comparison" in said and "workflow/research.smk" in said
