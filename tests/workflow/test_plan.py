"""The plan of the workflow: what a dry run shows, and what a wrong configuration says."""

from __future__ import annotations

from typing import get_args

import pytest

from pscnet.config import NetName
from pscnet.grids import WEIGHTS
from pscnet.plan import Plan, has_gpu
from pscnet.variants import READ_SEQUENCES
from tests.conftest import planned

PLATEAU_MONTHS, SCORED_MONTHS = 36, 12


def test_the_real_run_is_planned_without_data_and_accounts(workspace):
    output = workspace.snakemake("-n").stdout
    from_conftest = output.split("Job stats:\n")[-1]
    for rule, count in {
        "archive_manifest": 2 * PLATEAU_MONTHS,
        "regrid_era5_land": PLATEAU_MONTHS,
        "regrid_smap": PLATEAU_MONTHS,
        "regrid_weights": 6,
        "dataset_bands": PLATEAU_MONTHS,
        "dataset_normaliser": 1,
        "dataset_covariance": 1,
        "dataset_samples": 2,
        "dataset_kriged": 2,
        "train_model": 3,
        "downscale_month": PLATEAU_MONTHS,
        "product_month": PLATEAU_MONTHS,
        "verify_product": PLATEAU_MONTHS,
        "verify_references": SCORED_MONTHS,
        "verify_heldout": 1,
        "verify_scores": 1,
        "validate_satellite": 1,
        "validate_hours": 1,
        "validate_dynamics": 1,
        "validate_uncertainty": 1,
        "report_inputs": 1,
        "report_figures": 1,
        "report_validation": 1,
        "report_quicklook": PLATEAU_MONTHS,
        "report_page": 1,
    }.items():
        assert f"{rule} {count}" in " ".join(from_conftest.split()), rule
    assert "Raw files are missing in archive, a folder that does not exist" in output
    assert "SMAP is absent in all 36 months" in output


def test_the_last_month_of_half_a_century_is_planned_by_itself(workspace):
    """By a job's own Snakemake on a cluster: it goes from that month back to the first, whose bands are continued."""
    (workspace.root / "long.yaml").write_text("run: long\nperiod: {start: 1970-01, end: 2019-12}\n")
    job = ("--target-jobs", "dataset_bands:run=long,month=2019-12", "--allowed-rules", "dataset_bands")
    target = ("--mode", "remote", *job, "-n", "--quiet", "host", "--cores", "1", "--configfile", "long.yaml")
    assert planned(workspace.snakemake(*target).stdout)["dataset_bands"] == 600
    limit = "sys.setrecursionlimit("
    with workspace.edited("Snakefile", lambda text: text.replace(limit, f"# {limit}")):
        assert "RecursionError" in workspace.snakemake(*target, check=False).stdout, "the control"


def test_the_demo_is_planned(workspace):
    output = workspace.snakemake("-n", "--configfile", "config/demo.yaml").stdout
    assert "twin_month" in output
    assert "archive_manifest" not in output


def test_an_explanation_is_made_when_it_is_asked_for_only(workspace):
    arguments = ("-n", "--quiet", "host", "--configfile", "config/demo.yaml")
    asked = planned(workspace.snakemake("explain", *arguments).stdout)
    assert asked["explain_model"] == asked["explain_figures"] == 1
    assert asked["train_model"] == 3
    assert not set(asked) & {"downscale_month", "product_month", "verify_scores"}
    assert not [rule for rule in planned(workspace.snakemake(*arguments).stdout) if rule.startswith("explain")]


@pytest.mark.parametrize("name", get_args(NetName))
def test_every_net_goes_through_the_same_rules(workspace, name):
    arguments = ("-n", "--quiet", "host", "--configfile", "config/demo.yaml")
    done = workspace.snakemake(*arguments, "--config", f"model={{name: {name}}}")
    plain = workspace.snakemake(*arguments)
    sequences = {"dataset_sequences": 2} if name in READ_SEQUENCES else {}
    assert planned(done.stdout) == planned(plain.stdout) | sequences
    assert "dataset_sequences" not in planned(plain.stdout)
    assert f"build/demo/models/{name}_0.safetensors" in done.stdout


def test_an_ensemble_is_trained_with_seeds_from_the_first_on(workspace):
    arguments = ("-n", "--quiet", "host", "--configfile", "config/demo.yaml")
    plain = planned(workspace.snakemake(*arguments).stdout)
    done = workspace.snakemake(*arguments, "--config", "training={seed: 4, ensemble: 2}").stdout
    assert plain["train_model"] == 3, "an ensemble by default"
    assert planned(done) == plain | {"train_model": 2}
    for seed in (4, 5):
        assert f"build/demo/models/pscnet_{seed}.safetensors" in done


# Comparisons ----------------------------------------------------------------------------------------------------------

DEMO = ("-n", "--quiet", "host", "--configfile", "config/demo.yaml")


def test_a_comparison_trains_every_net_in_every_dress_with_every_seed(workspace):
    jobs = planned(workspace.snakemake("compare_models", *DEMO, "--config", "compare={seeds: 2}").stdout)
    nets, dresses, seeds, ensembles = len(get_args(NetName)), 2, 2, 2
    assert jobs["train_model"] == nets * dresses * seeds
    assert jobs["compare_scores"] == nets * dresses * seeds + ensembles
    assert jobs["compare_references"] == jobs["compare_numbers"] == jobs["compare_page"] == 1
    # Samples are made once for all of them; of what a product needs, nothing is asked for.
    assert (jobs["dataset_samples"], jobs["dataset_kriged"], jobs["dataset_sequences"]) == (2, 2, 2)
    assert not set(jobs) & {
        "downscale_month",
        "product_month",
        "verify_heldout",
        "verify_scores",
        "report_page",
        "report_quicklook",
    }


def test_a_smaller_comparison_plans_less(workspace):
    """The control of the counts above."""
    few = "compare={models: [unet], literature: false, ensembles: [], seeds: 3}"
    jobs = planned(workspace.snakemake("compare_models", *DEMO, "--config", few).stdout)
    assert jobs["train_model"] == jobs["compare_scores"] == 2 * 3, "unet, and the configured net"
    assert "dataset_sequences" not in jobs


def test_parts_are_compared_with_the_whole(workspace):
    done = workspace.snakemake("compare_parts", *DEMO, "--config", "compare={seeds: 1}").stdout
    jobs, parts = planned(done), plan().part_names
    assert jobs["train_model"] == jobs["compare_scores"] == 1 + len(parts) > 20
    assert jobs["dataset_kriged"] == 4, "of all retrievals, and of past ones"
    for name in ("pscnet", *parts):
        assert f"build/demo/models/{name}_0.safetensors" in done


def test_a_run_compares_nothing(workspace):
    jobs = planned(workspace.snakemake(*DEMO).stdout)
    assert jobs["train_model"] == 3
    assert not [rule for rule in jobs if rule.startswith("compare")]


@pytest.mark.parametrize("target", ["compare_models", "compare_parts", "results/tibetan_plateau/compare_models.md"])
def test_a_comparison_without_truth_says_what_it_needs(workspace, target):
    done = workspace.snakemake("-n", target, check=False)
    assert done.returncode != 0
    assert (
        "source: archive: models are compared with the truth, which only the simulated Plateau has; type" in done.stdout
    )
    assert "MissingInput" not in done.stdout


def trainings(**changes):
    """What decides on each training of a comparison: the parameters of the rule, by variant and seed."""
    made = plan(split=SPLIT, **changes)
    return {
        (name, seed): (
            made.net_of(name),
            made.options_of(name, seed),
            made.samples(name),
            [made.changed(name, "samples")[key] for key in ("window_days", "causal")],
            made.config_hash(without=["downscale"], variant=name),
        )
        for name in made.variants
        for seed in (0, 1)
    }


SPLIT = {"train": ["2016-02", "2016-03"], "validation": ["2016-10"], "test": ["2016-06"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"compare": {"seeds": 7}},
        {"compare": {"literature": False, "ensembles": []}},
        {"training": {"ensemble": 4}},
        {"training": {"seed": 1}},
        {"training": {"threads": 1}},
        {"model": {"name": "mlp"}},
        {"downscale": {"batch_steps": 2}},
    ],
    ids=str,
)
def test_what_is_trained_beside_changes_no_training(changes):
    assert trainings(**changes) == trainings()


def test_another_net_in_the_comparison_leaves_the_others_as_they_are():
    few, more = (trainings(compare={"models": nets}) for nets in (["mlp"], ["mlp", "tcn"]))
    assert {name for name, _ in set(more) - set(few)} == {"tcn", "tcn_literature"}
    assert {key: more[key] for key in few} == few


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"training": {"epochs": 2}}, lambda name: False),
        ({"model": {"width": 8}}, lambda name: False),
        # A part of PSCNet is none of another net; and where a variant decides on the key itself, it stays.
        ({"model": {"squeeze": "plain"}}, lambda name: not name.startswith("pscnet") or "squeeze" in name),
    ],
    ids=["epochs", "width", "squeeze"],
)
def test_what_does_change_a_training_shows(changes, kept):
    """The control: options of the training, or of the net, are found in all trainings that they concern."""
    before, after = trainings(), trainings(**changes)
    for (name, seed), one in before.items():
        assert (one == after[name, seed]) == kept(name), name


def test_every_training_of_a_comparison_is_another_one():
    made = trainings()
    first = [one[:4] for (_, seed), one in made.items() if seed == 0]
    assert all(one not in first[:position] for position, one in enumerate(first))


def test_an_unknown_net_gets_the_nearest(workspace):
    done = workspace.snakemake("-n", "--configfile", "tiny.yaml", "--config", "model={name: unnet}", check=False)
    assert done.returncode != 0
    assert "model.name: 'unnet' is no net; the nearest is 'unet' (pscnet, mlp, unet, lstm, " in done.stdout


def test_an_overlay_of_six_lines_is_enough(workspace):
    (workspace.root / "six.yaml").write_text(
        "run: six\n"
        "archive: elsewhere\n"
        "region: {lat: [-32, -27], lon: [116, 122]}\n"
        "period: {start: 2020-01, end: 2020-01}\n"
        "predictors: [swvl1]\n"
        "samples: {window_days: 4, buffer_days: 4}\n"
    )
    output = workspace.snakemake("-n", "--quiet", "host", "--configfile", "six.yaml").stdout
    assert "results/six/product/sm_six_10km_3h_2020-01.nc" in output
    assert "Raw files are missing in elsewhere" in output


def test_a_wrong_configuration_gets_a_message_and_no_traceback(workspace):
    done = workspace.snakemake("-n", "--configfile", "tiny.yaml", "--config", "traning={seed: 1}", check=False)
    assert done.returncode != 0
    assert "traning: unknown key; the nearest valid key is 'training'" in done.stdout
    assert "Traceback" not in done.stdout


def plan(**changes):
    keys = {
        "run": "r",
        "source": "twin",
        "region": {"lat": [32.0, 33.1], "lon": [91.0, 92.1]},
        "period": {"start": "2016-01", "end": "2016-12"},
    }
    return Plan(keys | changes)


def test_neighbours_end_with_the_period():
    year = plan()
    assert year.previous("{run}/{month}", "2016-01") == []
    assert year.previous("{run}/{month}", "2016-02") == ["r/2016-01"]
    assert year.around("{run}/{month}", "2016-12") == ["r/2016-11", "r/2016-12"]
    assert year.up_to("{run}/{month}", "2016-01") == ["r/2016-01"]


def test_spans_have_no_gap():
    split = {"train": ["2016-02", "2016-03"], "validation": ["2016-10"], "test": ["2016-06"]}
    year = plan(split=split)
    assert year.span_months("train", "validation") == [f"2016-{month:02d}" for month in range(1, 12)]
    assert year.span_months("test") == ["2016-05", "2016-06", "2016-07"]
    assert year.part_months("validation", "train") == ["2016-02", "2016-03", "2016-10"]


def test_weight_files_are_those_that_the_net_needs():
    assert set(plan().weight_set) == set(WEIGHTS)
    assert plan().weights("middle_to_coarse") == "build/r/weights/conservative_M18_M36.nc"


def test_a_fine_grid_that_is_not_era5_lands_takes_one_more_weight_file():
    regular, ease2 = plan(), plan(source="archive", grids={"fine": {"kind": "ease2", "name": "M09"}})
    assert regular.grids["source"] == regular.grids["fine"]
    assert regular.grids["fine"] == {"kind": "regular", "lat": [32.0, 33.1], "lon": [91.0, 92.1], "spacing": 0.1}
    assert regular.interpolation == []
    assert ease2.grids["source"] == regular.grids["source"] and ease2.grids["coarse"] == regular.grids["coarse"]
    assert ease2.grids["fine"] == {"kind": "ease2", "lat": [32.0, 33.1], "lon": [91.0, 92.1], "name": "M09"}
    assert ease2.interpolation == ["build/r/weights/bilinear_r0100_M09.nc"]
    assert ease2.weight_set["fine_to_middle"] == "build/r/weights/conservative_M09_M18.nc"
    assert set(ease2.weight_set) == set(regular.weight_set) == set(WEIGHTS)


def test_a_run_on_nine_kilometres_is_planned(workspace):
    (workspace.root / "nine.yaml").write_text(
        "run: nine\n"
        "region: {lat: [-32, -27], lon: [116, 122]}\n"
        "period: {start: 2020-01, end: 2020-01}\n"
        "samples: {window_days: 4, buffer_days: 4}\n"
        "grids: {fine: {kind: ease2, name: M09}}\n"
    )
    output = " ".join(workspace.snakemake("-n", "--configfile", "nine.yaml").stdout.split())
    assert "regrid_weights 7" in output and "regrid_era5_land 1" in output


def test_the_hash_leaves_out_what_does_not_change_values():
    split = {"train": ["2016-02", "2016-03"], "validation": ["2016-10"], "test": ["2016-06"]}
    one = plan(split=split)
    same = plan(
        split=split,
        run="other",
        archive="elsewhere",
        report={"colormap": "viridis"},
        period={"start": "2016-01", "end": "2017-03"},
    )
    assert one.config_hash() == same.config_hash()
    assert one.config_hash() == plan(split=split, training={"threads": 3}).config_hash()
    assert one.config_hash() != plan(split=split, training={"seed": 1}).config_hash()
    later = plan(split=split, downscale={"batch_steps": 2})
    assert one.config_hash() != later.config_hash()
    assert one.config_hash(without=["downscale"]) == later.config_hash(without=["downscale"])


# Validation -----------------------------------------------------------------------------------------------------------


def test_a_validation_is_planned_where_the_run_has_what_it_needs():
    assert "satellite" in plan().validations and "triple" not in plan().validations
    third = {"path": "ascat.nc", "name": "ASCAT", "made_of": ["ASCAT"]}
    one, two = (plan(validation={"third": third}), plan(validation={"third": [third, third | {"name": "other"}]}))
    assert "triple" in one.validations and one.third_files == ["ascat.nc"] and one.beside_two("{month}") == []
    assert two.beside_two("{month}") == two.test_months


@pytest.mark.parametrize("products", [0, 1])
def test_triple_collocation_is_a_job_where_an_independent_product_is_named(workspace, products):
    (workspace.root / "ascat.nc").touch()
    third = "validation: {third: {path: ascat.nc, name: ASCAT, made_of: [ASCAT]}}\n" if products else "{}\n"
    (workspace.root / "third.yaml").write_text(third)
    output = workspace.snakemake("-n", "--configfile", "config/demo.yaml", "third.yaml").stdout
    jobs = output.split("Job stats:")[1].split("Reasons:")[0]
    assert ("validate_triple" in jobs) == bool(products) and "validate_uncertainty" in jobs


def test_gaps_fit_the_window():
    assert plan().gaps == {"gaps_days": [1, 3, 6], "gaps_share": 0.5, "gaps_seed": 0}
    assert plan(samples={"window_days": 4, "buffer_days": 4}).gaps["gaps_days"] == [1, 3]


def test_delivered_fields_are_wanted_where_regions_are_withheld_only():
    box = {"lat": [32.3, 32.7], "lon": [91.3, 91.7]}
    assert plan().delivered("{month}") == [] and plan().withheld == []
    made = plan(samples={"withheld": [box]})
    assert made.delivered("{month}") == made.test_months and made.withheld == [box]


def test_what_is_withheld_trains_anew_and_how_it_is_validated_does_not():
    box = {"lat": [32.3, 32.7], "lon": [91.3, 91.7]}
    assert plan().config_hash() != plan(samples={"withheld": [box]}).config_hash()
    assert plan().config_hash() == plan(validation={"gaps_share": 1, "land_cover": "cover.tif"}).config_hash()


def test_the_nine_kilometre_product_is_scored_where_it_is(monkeypatch):
    assert plan().enhanced == []
    fetched = plan(source="fetch", terrain="a.tif", fetch={"smap": {"products": ["SPL3SMP", "SPL3SMP_E"]}})
    assert fetched.enhanced == [f"build/r/manifests/smap_e/{month}.json" for month in fetched.test_months]
    assert plan(source="fetch", terrain="a.tif").enhanced == []
    archive = plan(source="archive")
    assert archive.enhanced == [] and archive.archive_grid("smap_e") == "M09" and archive.archive_grid("smap") == "M36"
    monkeypatch.setattr(archive, "holds", lambda source, month: (source, month) == ("smap_e", "2016-10"))
    assert archive.enhanced == ["build/r/manifests/smap_e/2016-10.json"]
    assert archive.delivered("{month}") == archive.test_months


# The GPU ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("devices", "there"),
    [
        (["nvidia0", "nvidiactl"], True),
        (["nvidia3", "nvidiactl"], True),
        (["nvidia12"], True),
        (["dxg"], True),
        (["nvidiactl", "nvidia-uvm", "nvidia-caps", "null"], False),
        ([], False),
    ],
    ids=str,
)
def test_whichever_card_a_container_was_given_is_a_gpu(tmp_path, monkeypatch, devices, there):
    for name in devices:
        (tmp_path / name).touch()
    assert has_gpu(tmp_path) == there
    monkeypatch.setattr("pscnet.plan.has_gpu", lambda: has_gpu(tmp_path))
    assert plan().gpus("training") == plan().gpus("downscale") == int(there)
    assert plan(downscale={"device": "cpu"}).gpus("downscale") == 0
    assert plan(training={"device": "cuda:1"}).gpus("training") == 1
