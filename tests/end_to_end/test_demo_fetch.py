"""The demo of fetching: provider files over the network, from local services, to a product; and nothing twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pscnet.sources import manifest
from tests.servers.__main__ import CDS_KEY, PASSWORD

pytestmark = pytest.mark.slow

MONTHS = ("2016-05", "2016-06", "2016-07", "2016-08")
DEMO = ("snakemake", "--cores", "2", "--configfile", "config/demo_fetch.yaml")
HOSTS = {
    "era5_land": "https://object-store.os-api.cci2.ecmwf.int/",
    "smap": "https://data.nsidc.earthdatacloud.nasa.gov/",
}

ASKED = {
    "era5_land": {"data_format": "netcdf", "area": [32.9, 91.0, 31.0, 92.9]},
    "smap": {"short_name": "SPL3SMP", "version": "009"},
}


@pytest.fixture(scope="module")
def space(make_workspace, repository):
    """A copy of the checkout with the local services."""
    made = make_workspace("demo_fetch")
    ignored = shutil.ignore_patterns("__pycache__", "test_*", "conftest.py")
    shutil.copytree(repository / "tests" / "servers", made.root / "tests" / "servers", ignore=ignored)
    return made


def demo(space) -> str:
    """What ``make demo_fetch`` shows."""
    environment = {**os.environ, "PYTHONPATH": "src", "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.servers", "--configfile", "config/demo_fetch.yaml", "--", *DEMO]
    done = subprocess.run(
        command, cwd=space.root, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def first(space) -> str:
    return demo(space)


@pytest.fixture
def run(space, first) -> Path:
    """Root of the finished run."""
    return space.root


def listed(run: Path, source: str, month: str) -> manifest.Manifest:
    return manifest.read(run / f"build/demo_fetch/manifests/{source}/{month}.json")


def test_there_is_a_seamless_product(run):
    for month in MONTHS:
        with xr.open_dataset(run / f"results/demo_fetch/product/sm_demo_fetch_10km_3h_{month}.nc") as data:
            assert data.soil_moisture.shape[1:] == (20, 20)
            assert np.isfinite(data.soil_moisture).all()
    assert (run / "results/demo_fetch/report.html").exists() and (run / "results/demo_fetch/scores.json").exists()


def test_manifests_say_what_came_from_where_and_when(run):
    for source, host in HOSTS.items():
        for month in MONTHS:
            assert listed(run, source, month).made_by == "fetch"
            for member in listed(run, source, month).files:
                assert member.url.startswith(host) and "?" not in member.url
                assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\dZ", member.fetched_at)
                assert ASKED[source].items() <= member.request.items()
    opening = listed(run, "era5_land", "opening")
    assert [member.first for member in opening.files] == ["2016-04-30T21:00:00"]
    assert [member.first for member in listed(run, "era5_land", "closing").files] == ["2016-09-01T00:00:00"]


def test_the_first_stamp_is_exact(run):
    with xr.open_dataset(run / "build/demo_fetch/predictors/2016-05.nc") as data:
        assert "at the first stamp from the month before" in data.tp.comment


def test_days_that_the_provider_lacks_are_listed(run):
    there = {member.first[:10] for month in MONTHS for member in listed(run, "smap", month).files}
    lacking = {day for month in MONTHS for day in listed(run, "smap", month).missing["days"]}
    assert len(there | lacking) == 123 and not there & lacking


def test_a_person_can_watch(first):
    # A job's line may come between a line of Snakemake's and its end.
    assert re.search(r"ERA5-Land 2016-05: 2 of 2 files, ", first)
    assert re.search(r"CDS .*\d accepted \(", first) and re.search(r"CDS .*\d running \(", first)
    assert re.search(r"SPL3SMP 2016-05: (\d+) of \1 files, ([\d.]+) of \2 MB", first)
    assert "the Climate Data Store had 10 jobs, 0 of them needless" in first


#: The key, the password, how tokens begin (a JSON Web Token's first letters), and signed links.
SECRETS = (CDS_KEY, PASSWORD, "eyJ0eXAi", "eyJhbGci", "X-Amz-Signature", "A-userid")


def test_no_secret_is_left_anywhere(run, first):
    aside = {"world", "tests", "src"}
    left = [path for path in run.rglob("*") if path.is_file() and not aside & set(path.relative_to(run).parts)]
    assert len(left) > 300
    for secret in SECRETS:
        assert secret not in first
        assert not [path for path in left if secret.encode() in path.read_bytes()], secret


def test_the_second_time_there_is_nothing_to_do(space, first):
    output = demo(space)
    assert "Nothing to be done" in output
    assert "the Climate Data Store had 0 jobs" in output and "answered 0 requests" in output


def test_the_scores_are_there(run):
    assert json.loads((run / "results/demo_fetch/scores.json").read_text())["coverage"]["all"]["share"] == 1.0
