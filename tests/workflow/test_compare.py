"""What is made only when asked for, made for once: a small comparison, and an explanation."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from tests.conftest import Workspace

pytestmark = pytest.mark.slow

#: Two nets, one of which reads sequences; two seeds, and one net's seeds together.
OPTIONS = "compare={models: [pscnet, lstm], literature: false, ensembles: [pscnet], seeds: 2}"


@pytest.fixture(scope="module")
def copied(tiny_run, tmp_path_factory) -> Workspace:
    """A copy of the complete tiny run, to which more may be added."""
    root = tmp_path_factory.mktemp("compare") / "tiny"
    shutil.copytree(tiny_run.root, root, symlinks=True)
    space = Workspace(root)
    assert space.jobs() == {}
    return space


@pytest.fixture(scope="module")
def compared(copied) -> Workspace:
    copied.snakemake("compare_models", "--cores", "2", "--configfile", "tiny.yaml", "--config", OPTIONS)
    return copied


def test_a_comparison_scores_every_net_and_every_reference(compared):
    document = json.loads((compared.root / "build/tiny/compare/models.json").read_text())
    found = json.dumps(document)
    for name in ("pscnet", "lstm", "pscnet_ensemble", "era5_land", "smap_kriged", "optimal_interpolation"):
        assert f'"{name}"' in found, name
    assert "literature" not in found
    page = (compared.root / "results/tiny/compare_models.md").read_text()
    assert "LSTM" in page and "PSCNet" in page
    with open(compared.root / "results/tiny/compare_models.csv", newline="") as file:
        assert len(list(csv.reader(file))) > 8
    figures = compared.root / "results/tiny/figures/compare_models"
    assert {path.stem for path in figures.glob("*.png")} == {"comparison", "hours", "reliability"}


def test_a_comparison_leaves_the_run_as_it_is(compared):
    assert compared.jobs() == {}


def test_a_net_is_explained(copied):
    copied.snakemake("explain", "--cores", "2", "--configfile", "tiny.yaml")
    folder = copied.root / "results/tiny/explain"
    assert {path.name for path in folder.iterdir()} == {
        "pscnet.csv",
        "pscnet.json",
        "pscnet.nc",
        "pscnet_importance.png",
        "pscnet_shares.png",
    }
    assert copied.jobs() == {}
