from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

from pscnet.sources import archive, manifest


@pytest.fixture
def folder(tmp_path, write_era5, write_granule, hourly, days) -> Path:
    """A user's folder: names and sub-folders that say nothing, and things that are no data."""
    root = tmp_path / "raw"
    write_era5(root / "x" / "download.bin", ("t2m", "swvl1"), hourly(hours=3))
    with zipfile.ZipFile(root / "rain", "w") as bundle:
        bundle.write(write_era5(tmp_path / "tp.nc", ("tp",)), "data_0.nc")
    for day in days[:3]:
        write_granule(root / "y", day)
    write_granule(root / "y", days[4], halves=("AM",))
    write_granule(root / "z", days[2], version="R19240_002")
    with rasterio.open(
        root / "dem.img", "w", driver="GTiff", width=3, height=2, count=1, dtype="int16", crs="EPSG:4326",
        transform=from_origin(90, 31, 0.1, 0.1),
    ) as image:  # fmt: skip
        image.write(np.ones((1, 2, 3), "i2"))
    (root / "notes.txt").write_text("remember the milk")
    (root / "ismn").mkdir()
    (root / "ismn" / "sm_0.05.stm").write_text("2015/02/01 00:00 0.2 G M")
    return root


NAMES = ["t2m", "swvl1", "tp"]


def test_recognised_by_content(folder) -> None:
    found = archive.inventory(folder)
    assert {source: len(found.of(source)) for source in ("era5_land", "smap", "terrain", "stations")} == {
        "era5_land": 2, "smap": 5, "terrain": 1, "stations": 1,
    }  # fmt: skip
    assert found.rejected == {}
    assert found.ignored == {"notes.txt": "text"}


def test_manifest_of_era5_land(folder, tmp_path, month) -> None:
    archive.write_manifest(folder, tmp_path / "cache.json", "era5_land", month, NAMES, tmp_path / "m.json")
    read = manifest.read(tmp_path / "m.json")
    assert {path.relative_to(folder).as_posix() for path in read.paths()} == {"rain", "x/download.bin"}
    assert read.missing == {"variables": [], "days": []}
    assert read.made_by == "archive"
    member = next(entry for entry in read.files if entry.path == "rain")
    assert member.sha256 == manifest.hash_file(folder / "rain")
    assert (member.first, member.last) == ("2015-02-01T00:00:00", "2015-02-28T23:00:00")
    assert member.variables == ["tp"]
    one = archive.inventory(folder).manifest("era5_land", month, ["tp"])
    assert [entry["path"] for entry in one["files"]] == ["rain"]
    json.dumps(one)


def test_manifest_lists_only_files_that_overlap_the_month(folder, write_era5, hourly, month) -> None:
    times = hourly("2015-01")
    write_era5(folder / "january.nc", ("t2m",), times)
    write_era5(folder / "january_and_a_step.nc", ("swvl1",), np.append(times, times[-1] + np.timedelta64(1, "h")))
    files = archive.inventory(folder).manifest("era5_land", month, NAMES)["files"]
    assert [entry["path"] for entry in files] == ["january_and_a_step.nc", "rain", "x/download.bin"]


def test_manifest_of_smap(folder, tmp_path, month, days) -> None:
    archive.write_manifest(folder, None, "smap", month, [], tmp_path / "m.json")
    read = manifest.read(tmp_path / "m.json")
    assert [(entry.first[:10], entry.version) for entry in read.files] == [
        (days[0], "R19240_001"), (days[1], "R19240_001"), (days[2], "R19240_001"), (days[2], "R19240_002"),
        (days[4], "R19240_001"),
    ]  # fmt: skip
    assert read.missing["days"] == [days[3], *days[5:]]


def test_granules_of_another_grid_are_left_out(folder, write_granule, month, days) -> None:
    write_granule(folder, days[3], shape=(1624, 3856), name="SMAP_L3_SM_P_E_20150204_R19240_001.h5")
    found = archive.inventory(folder)
    assert days[3] in found.manifest("smap", month)["missing"]["days"]
    assert len(found.manifest("smap", month, grid="M09")["files"]) == 1


def test_terrain(folder, tmp_path, complains) -> None:
    archive.write_manifest(folder, None, "terrain", None, [], tmp_path / "t.json")
    assert manifest.read(tmp_path / "t.json").paths() == [folder / "dem.img"]
    grid = xr.DataArray(np.ones((2, 2)), dims=("lat", "lon"), name="elevation", attrs={"units": "m"})
    grid.assign_coords(lat=[30.0, 31.0], lon=[90.0, 91.0]).to_netcdf(folder / "etopo.nc")
    with complains(folder, "one elevation file", "dem.img, etopo.nc", "terrain"):
        archive.write_manifest(folder, None, "terrain", None, [], tmp_path / "t.json")
    archive.write_manifest(folder / "etopo.nc", None, "terrain", None, [], tmp_path / "t.json")
    assert manifest.read(tmp_path / "t.json").paths() == [folder / "etopo.nc"]
    with complains("notes.txt", "an elevation file", "text"):
        archive.write_manifest(folder / "notes.txt", None, "terrain", None, [], tmp_path / "t.json")
    with complains("absent.tif", "a readable file", "No such file"):
        archive.write_manifest(folder / "absent.tif", None, "terrain", None, [], tmp_path / "t.json")


def test_an_absent_predictor(folder, tmp_path, month, complains) -> None:
    with complains(folder, "with t2m, sd", "missing: sd", "snow_depth_water_equivalent", "predictors"):
        archive.write_manifest(folder, None, "era5_land", month, ["t2m", "sd"], tmp_path / "m.json")
    assert not (tmp_path / "m.json").exists()


def test_missing_steps_are_named(folder, write_era5, hourly, tmp_path, month, complains) -> None:
    times = hourly(hours=3)
    write_era5(folder / "x" / "download.bin", ("t2m", "swvl1"), np.delete(times, [9, 10]))
    found = archive.inventory(folder).manifest("era5_land", month, NAMES)["missing"]
    assert found["variables"][:2] == ["t2m at 2015-02-02 03:00", "t2m at 2015-02-02 06:00"]
    assert found["days"] == ["2015-02-02"]
    with complains(folder, "t2m at 2015-02-02 03:00", "these steps"):
        archive.write_manifest(folder, None, "era5_land", month, NAMES, tmp_path / "m.json")


def test_a_month_without_granules(folder, tmp_path, complains) -> None:
    with complains(folder, "SMAP granules of 2015-03", "none"):
        archive.write_manifest(folder, None, "smap", "2015-03", [], tmp_path / "m.json")


def test_no_folder(tmp_path, complains) -> None:
    with complains(tmp_path / "absent", "a folder of raw files", "archive in the configuration"):
        archive.inventory(tmp_path / "absent")


@pytest.mark.parametrize("fault", ["empty", "html", "truncated", "another day", "no group"])
def test_a_bad_granule_stops_the_manifest_until_it_is_replaced(
    folder, write_granule, tmp_path, month, days, fault, complains
) -> None:
    path = write_granule(folder / "y", days[6])
    if fault == "another day":
        write_granule(folder / "y", days[6], content_day=days[7])
    elif fault == "no group":
        write_granule(folder / "y", days[6], halves=())
    else:
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "html": b"<html>login</html>", "truncated": whole[: len(whole) // 2]}[fault])
    found = archive.inventory(folder)
    assert list(found.rejected) == [f"y/{path.name}"]
    with complains(folder, "a usable granule for every day of 2015-02", path.name, "take them out of the folder"):
        archive.write_manifest(folder, None, "smap", month, [], tmp_path / "m.json")
    write_granule(folder / "other", days[6], version="R19240_002")
    archive.write_manifest(folder, None, "smap", month, [], tmp_path / "m.json")
    assert days[6] in {entry.first[:10] for entry in manifest.read(tmp_path / "m.json").files}


def test_a_bad_era5_file_is_named_where_it_is_needed(folder, tmp_path, month, complains) -> None:
    content = (folder / "rain").read_bytes()
    (folder / "rain").write_bytes(content[: len(content) // 2])
    archive.write_manifest(folder, None, "era5_land", month, ["t2m"], tmp_path / "m.json")
    with complains("missing: tp", "rain (expected a whole zip file", "total_precipitation"):
        archive.write_manifest(folder, None, "era5_land", month, NAMES, tmp_path / "m.json")


def test_what_is_listed_as_unusable(folder, write_era5, tmp_path) -> None:
    write_era5(folder / "era5.nc", lat=np.arange(31, 29, -0.25), lon=np.arange(89, 92, 0.25))
    (folder / "forecast.grib").write_bytes(b"GRIB\0\0")
    (folder / "page.h5").write_bytes(b"<html>")
    (tmp_path / "outside.nc").write_bytes((folder / "x" / "download.bin").read_bytes())
    (folder / "link.nc").symlink_to(tmp_path / "outside.nc")
    (folder / "nowhere.nc").symlink_to("nothing")
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.nc")
    rejected = archive.inventory(folder).rejected
    said = {
        "era5.nc": "ERA5, not ERA5-Land", "forecast.grib": "GRIB", "page.h5": "HTML", "link.nc": "leads out",
        "nowhere.nc": "link to nothing", "linked": "not followed", "pipe.nc": "no plain file",
    }  # fmt: skip
    assert rejected.keys() == said.keys()
    for name, reason in said.items():
        assert reason in rejected[name]


def test_an_unreadable_file_is_listed(folder, monkeypatch) -> None:
    from pscnet.sources import contents

    def refuse(path: Path) -> str:
        if path.name == "rain":
            raise archive.complaint(path, "a readable file", "Permission denied", "check permissions")
        return original(path)

    original = contents.kind_of
    monkeypatch.setattr(contents, "kind_of", refuse)
    assert "Permission denied" in archive.inventory(folder).rejected["rain"]


def test_a_warm_cache_opens_no_file(folder, tmp_path, monkeypatch) -> None:
    cache = tmp_path / "build" / "cache.json"
    first = archive.inventory(folder, cache)
    monkeypatch.setattr(archive, "examine", lambda path: pytest.fail(f"{path} was opened"))
    written = cache.stat().st_mtime_ns
    assert archive.inventory(folder, cache) == first
    assert cache.stat().st_mtime_ns == written


def test_the_cache_notices_changes(folder, tmp_path, write_granule, month, days) -> None:
    cache = tmp_path / "cache.json"
    archive.inventory(folder, cache)
    write_granule(folder / "new", days[3])
    (folder / "rain").unlink()
    (folder / "notes.txt").write_text("<html>")
    found = archive.inventory(folder, cache)
    assert days[3] not in found.manifest("smap", month)["missing"]["days"]
    assert found.manifest("era5_land", month, ["tp"])["missing"]["variables"] == ["tp"]
    assert found.ignored == {"notes.txt": "an HTML page"}
    assert "rain" not in json.loads(cache.read_text())["files"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 0, "folder": "", "files": {}}'])
def test_a_useless_cache_is_replaced(folder, tmp_path, content) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(content)
    assert len(archive.inventory(folder, cache).of("smap")) == 5
    assert len(json.loads(cache.read_text())["files"]) == 10


def test_a_rejection_is_not_cached(folder, tmp_path, monkeypatch) -> None:
    """A permission may change without a trace in size and modification time."""
    cache = tmp_path / "cache.json"
    with monkeypatch.context() as patch:
        patch.setattr(archive, "examine", lambda path: (_ for _ in ()).throw(archive.SourceError("no")))
        assert len(archive.inventory(folder, cache).rejected) == 10
    assert archive.inventory(folder, cache).rejected == {}


def test_report(folder, month) -> None:
    (folder / "bad.h5").write_bytes(b"")
    text = archive.inventory(folder).report(("2015-01", month), [*NAMES, "sd"])
    assert "era5_land: 2 files" in text
    assert "2015-01  ERA5-Land 0 of 4 variables complete, missing t2m, swvl1, tp, sd; SMAP 0 of 31 days" in text
    assert "2015-02  ERA5-Land 3 of 4 variables complete, missing sd; SMAP 4 of 28 days, missing 2015-02-04" in text
    assert "without the half 2015-02-05 PM" in text
    assert "bad.h5: expected" in text
    assert "notes.txt: text" in text


def test_nothing_in_the_folder_is_touched(folder, tmp_path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}

    (folder / "bad.h5").write_bytes(b"")
    before = state()
    archive.inventory(folder, tmp_path / "cache.json")
    assert state() == before
