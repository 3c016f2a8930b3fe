"""Raw files in a folder: the workflow follows their content, names what is missing and never touches them."""

from __future__ import annotations

import os
import shutil

import pytest

from pscnet.sources import manifest

pytestmark = pytest.mark.slow

#: The twin's provider files, taken for an archive; August is planned and absent.
OVERLAY = """\
run: shelf
source: archive
archive: shelf
period: {start: 2016-06, end: 2016-08}
"""

TARGETS = [f"build/shelf/manifests/{source}/2016-0{month}.json" for source in ("era5_land", "smap") for month in (6, 7)]


@pytest.fixture(scope="module")
def shelf(tiny_run):
    """The tiny run's workspace with an archive of June and July, and the manifests of both."""
    raw = tiny_run.root / "build" / "tiny" / "twin" / "raw"
    folder = tiny_run.root / "shelf"
    shutil.copytree(raw, folder)
    for month in ("2016_08", "201608"):
        for path in [path for path in folder.rglob(f"*{month}*") if path.is_file()]:
            path.unlink()
    (tiny_run.root / "shelf.yaml").write_text(OVERLAY)
    run(tiny_run, "--cores", "2")
    return tiny_run


def run(space, *arguments, targets=TARGETS, check=True):
    return space.snakemake(*targets, *arguments, "--configfile", "tiny.yaml", "shelf.yaml", check=check)


def planned_manifests(space):
    """Manifests that a dry run would write again."""
    output = run(space, "-n").stdout
    return sorted(line.split("Listing the ")[1] for line in output.splitlines() if "Listing the " in line)


def granules(space):
    return sorted((space.root / "shelf").rglob("SMAP_L3_SM_P_201607*.h5"))


def test_a_manifest_lists_the_files_of_its_month(shelf):
    listed = manifest.read(shelf.root / "build" / "shelf" / "manifests" / "smap" / "2016-07.json")
    assert {member.path.split("/")[-1] for member in listed.files} == {path.name for path in granules(shelf)}
    assert listed.made_by == "archive"


def test_touched_raw_files_rerun_nothing(shelf):
    for path in (shelf.root / "shelf").rglob("*"):
        os.utime(path)
    assert planned_manifests(shelf) == []


def test_a_changed_raw_file_reruns_its_month(shelf):
    victim, other = granules(shelf)[:2]
    kept = victim.read_bytes()
    victim.unlink()
    try:
        assert planned_manifests(shelf) == ["smap files of 2016-07"]
    finally:
        victim.write_bytes(kept)
    assert planned_manifests(shelf) == []
    assert other.exists()


def test_raw_files_outlive_a_forced_rerun(shelf):
    before = {path: path.stat().st_mtime_ns for path in (shelf.root / "shelf").rglob("*") if path.is_file()}
    run(shelf, "--cores", "2", "--forcerun", "archive_manifest")
    assert {path: path.stat().st_mtime_ns for path in (shelf.root / "shelf").rglob("*") if path.is_file()} == before


def test_missing_months_are_named_in_the_plan_and_fail_with_the_log_named(shelf):
    plan = run(shelf, "-n").stdout
    assert "ERA5-Land is absent or incomplete in 1 of 3 months (2016-08)" in plan
    assert "SMAP is absent in 1 of 3 months (2016-08)" in plan
    done = run(shelf, "--cores", "1", targets=["build/shelf/manifests/smap/2016-08.json"], check=False)
    assert done.returncode != 0
    assert "SourceError: archive shelf: expected SMAP granules of 2016-08" in done.stdout
    assert "The whole story: logs/archive_manifest/shelf_smap_2016-08.log" in done.stdout
    assert "Traceback" not in done.stdout
    log = (shelf.root / "logs" / "archive_manifest" / "shelf_smap_2016-08.log").read_text()
    assert "Traceback" in log and "SourceError" in log
