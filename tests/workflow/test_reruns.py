"""Only changed stages run again: jobs counted on a complete run."""

from __future__ import annotations

import os

import pytest

from tests.conftest import planned

pytestmark = pytest.mark.slow

#: Validations that read the product of the one test month.
OF_THE_PRODUCT = {"validate_hours": 1, "validate_dynamics": 1, "validate_uncertainty": 1}

#: What shows a validation to people.
REPORTED = {"report_validation": 1, "report_page": 1}

#: What follows a new checkpoint: three months and the one test month.
AFTER_TRAINING = {
    "downscale_month": 3,
    "product_month": 3,
    "verify_product": 3,
    "verify_heldout": 1,
    "verify_scores": 1,
    "validate_satellite": 1,
    "validate_stations": 1,
    "report_quicklook": 3,
    "report_figures": 1,
    **OF_THE_PRODUCT,
    **REPORTED,
}


def comment(text: str) -> str:
    return f"{text}\n# A comment that changes nothing but the content.\n"


def test_a_complete_run_has_nothing_to_do(tiny_run):
    assert tiny_run.jobs() == {}
    assert "Nothing to be done" in tiny_run.snakemake("--cores", "2", "--configfile", "tiny.yaml").stdout


def test_touched_files_rerun_nothing(tiny_run):
    touched = [
        *(tiny_run.root / "src").rglob("*.py"),
        *(tiny_run.root / "workflow" / "scripts").glob("*.py"),
        *(tiny_run.root / "build" / "tiny" / "predictors").glob("*.nc"),
        *(tiny_run.root / "build" / "tiny" / "manifests" / "smap").glob("*.json"),
        tiny_run.root / "config" / "config.yaml",
    ]
    assert len(touched) > 50
    for path in touched:
        os.utime(path)
    assert tiny_run.jobs() == {}


@pytest.mark.parametrize(
    ("module", "expected"),
    {
        "src/pscnet/report/figures.py": {"report_figures": 1, "report_validation": 1, "report_page": 1},
        "src/pscnet/report/views.py": {"report_page": 1},
        "src/pscnet/report/coverage_figures.py": {"report_figures": 1, "report_page": 1},
        "src/pscnet/report/validation_figures.py": {"report_validation": 1, "report_page": 1},
        "src/pscnet/report/quicklook.py": {"report_quicklook": 3},
        "src/pscnet/report/page/assets/page.js": {"report_page": 1},
        "src/pscnet/config.py": {},
        "src/pscnet/losses.py": {"train_model": 1} | AFTER_TRAINING,
        "src/pscnet/product/encoding.py": {
            "product_month": 3,
            "verify_product": 3,
            "verify_scores": 1,
            "validate_stations": 1,
            "report_quicklook": 3,
            "report_figures": 1,
            **OF_THE_PRODUCT,
            **REPORTED,
        },
        # The kriged innovation is input of the net too.
        "src/pscnet/baselines/kriging.py": {
            "dataset_samples": 2,
            "dataset_kriged": 2,
            "verify_references": 1,
            "train_model": 1,
            **AFTER_TRAINING,
        },
        "src/pscnet/nets/registry.py": {"train_model": 1} | AFTER_TRAINING,
        "src/pscnet/explain/importance.py": {},
        "src/pscnet/validation/blocks.py": {"validate_satellite": 1, "validate_stations": 1}
        | OF_THE_PRODUCT
        | REPORTED,
        "src/pscnet/validation/events.py": {"validate_dynamics": 1} | REPORTED,
        "src/pscnet/sources/stations/tables.py": {"validate_sensors": 1, "validate_stations": 1} | REPORTED,
        "src/pscnet/validation/places.py": {"verify_scores": 1, "report_figures": 1, "report_page": 1},
        "workflow/scripts/report_page.py": {"report_page": 1},
    }.items(),
)
def test_an_edited_module_reruns_the_rules_that_use_it(tiny_run, module, expected):
    with tiny_run.edited(module, comment):
        assert tiny_run.jobs() == expected
    assert tiny_run.jobs() == {}


def test_an_edited_reader_reruns_its_source_and_what_follows(tiny_run):
    with tiny_run.edited("src/pscnet/sources/smap_granule.py", comment):
        jobs = tiny_run.jobs()
    assert jobs["regrid_smap"] == 3
    assert jobs["train_model"] == 1
    assert not {"twin_month", "regrid_weights", "regrid_era5_land", "regrid_static", "dataset_bands"} & set(jobs)


def test_a_plot_option_reruns_the_report(tiny_run):
    assert tiny_run.jobs("--config", "report={colormap: viridis}") == {
        "report_figures": 1,
        "report_quicklook": 3,
        "report_page": 1,
    }


def test_a_training_option_reruns_training_and_what_follows(tiny_run):
    assert (
        tiny_run.jobs("--config", "training={seed: 1, epochs: 1, device: cpu}") == {"train_model": 1} | AFTER_TRAINING
    )


def test_another_net_is_trained_beside_and_used_by_what_follows(tiny_run):
    assert tiny_run.jobs("--config", "model={name: mlp}") == {"train_model": 1} | AFTER_TRAINING
    assert tiny_run.jobs() == {}


def test_a_downscaling_option_does_not_retrain(tiny_run):
    assert tiny_run.jobs("--config", "downscale={batch_steps: 4, device: cpu}") == AFTER_TRAINING


def test_a_split_reruns_the_normaliser_and_what_follows(tiny_run):
    split = "split={train: [2016-06], validation: [2016-07-01/2016-07-20], test: [2016-08]}"
    assert tiny_run.jobs("--config", split) == {
        "dataset_normaliser": 1,
        "dataset_covariance": 1,
        "dataset_samples": 2,
        "dataset_kriged": 2,
        "verify_references": 1,
        "train_model": 1,
        **AFTER_TRAINING,
    }


def test_a_new_month_runs_its_own_jobs_and_neither_training_nor_old_months(tiny_run):
    jobs = tiny_run.jobs("--config", "period={start: 2016-06, end: 2016-09}")
    own = ("twin_month", "regrid_era5_land", "regrid_smap", "dataset_bands")
    assert {rule: jobs.pop(rule) for rule in own} == dict.fromkeys(own, 1)
    # August now has a neighbour, whose retrievals lie in its window: it is downscaled and scored again.
    assert jobs == {
        "twin_stations": 1,
        "downscale_month": 2,
        "product_month": 2,
        "verify_product": 2,
        "verify_references": 1,
        "verify_heldout": 1,
        "verify_scores": 1,
        "validate_satellite": 1,
        "validate_sensors": 1,
        "validate_stations": 1,
        "report_inputs": 1,
        "report_quicklook": 2,
        "report_figures": 1,
        **OF_THE_PRODUCT,
        **REPORTED,
    }


def comparison(space, models: str, seeds: int) -> dict[str, int]:
    """Jobs of a small comparison."""
    options = f"compare={{models: {models}, literature: false, ensembles: [], seeds: {seeds}}}"
    return planned(space.snakemake("compare_models", "-n", "--configfile", "tiny.yaml", "--config", options).stdout)


def test_a_comparison_takes_the_trained_net_as_it_is(tiny_run):
    page = {"compare_references": 1, "compare_numbers": 1, "compare_page": 1}
    assert comparison(tiny_run, "[pscnet]", 1) == {"compare_scores": 1, **page}
    assert comparison(tiny_run, "[pscnet]", 3) == {"train_model": 2, "compare_scores": 3, **page}
    assert comparison(tiny_run, "[pscnet, mlp]", 1) == {"train_model": 1, "compare_scores": 2, **page}


def test_an_ensemble_takes_the_trained_net_as_it_is(tiny_run):
    options = "training={epochs: 1, device: cpu, ensemble: 3}"
    assert tiny_run.jobs("--config", options) == {"train_model": 2} | AFTER_TRAINING


def test_a_lost_file_is_made_again(tiny_run):
    """The control: counting does find work where there is some."""
    page = tiny_run.root / "results" / "tiny" / "report.html"
    kept = page.read_bytes()
    page.unlink()
    try:
        assert tiny_run.jobs() == {"report_page": 1}
    finally:
        page.write_bytes(kept)
