"""The readers on the twin's provider files: an independent writer of the same layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import make_weights, write_weights
from pscnet.sources import archive, era5_land, manifest, smap
from pscnet.twin import month as twin

LAT, LON = (31.0, 32.0), (90.0, 91.5)
NAMES = ["swvl1", "t2m", "tp", "ssrd"]
MONTHS = ("2016-05", "2016-06")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root, state = tmp_path_factory.mktemp("twin"), None
    for name in MONTHS:
        twin.write_month(
            name, LAT, LON, 7, NAMES, state, root / "raw", root / f"state_{name}.nc", root / f"truth_{name}.nc",
            root / f"stations_{name}.nc", root / f"era5_{name}.json", root / f"smap_{name}.json", spin_up_days=3,
        )  # fmt: skip
        state = root / f"state_{name}.nc"
    return root


def test_era5_land(folder, tmp_path) -> None:
    fine, coarse = regular_grid(LAT, LON), ease2_grid(LAT, LON)
    write_weights(make_weights(fine, coarse, "conservative", "exact"), tmp_path / "w.nc")
    era5_land.write_month(
        folder / "era5_2016-06.json", folder / "era5_2016-05.json", NAMES, fine, "2016-06", tmp_path / "w.nc", coarse,
        tmp_path / "p.nc", tmp_path / "c.nc",
    )  # fmt: skip
    with xr.open_dataset(tmp_path / "p.nc") as fields, xr.open_dataset(tmp_path / "c.nc") as means:
        assert fields["tp"].shape == (240, *fine.shape)
        assert fields["swvl1"].notnull().all()
        assert "month before" in fields["tp"].attrs["comment"]
        assert means["valid_fraction"].shape == coarse.shape
        # The sun's 3-hour totals: none at night, and no leap at the day's or month's turn.
        assert float(fields["ssrd"].max()) < 3 * 3600 * 1400
        night = fields["ssrd"].sel(time=fields["time"].dt.hour == 18)  # 15 to 18 UTC is 21 to 24 h local time
        assert float(night.max()) < 0.01 * float(fields["ssrd"].max())


def test_the_first_total_of_a_month_needs_the_month_before(folder) -> None:
    fine = regular_grid(LAT, LON)
    paths = {name: manifest.read(folder / f"era5_{name}.json").paths() for name in MONTHS}
    chained = era5_land.open_files(paths["2016-06"], ["tp"], fine, "2016-06", previous=paths["2016-05"])["tp"]
    alone = era5_land.open_files(paths["2016-06"], ["tp"], fine, "2016-06")["tp"]
    np.testing.assert_array_equal(chained[1:], alone[1:])
    assert not np.allclose(chained[0], alone[0], rtol=1e-3, atol=0)


def test_smap(folder) -> None:
    grid = ease2_grid(LAT, LON)
    listed = manifest.read(folder / "smap_2016-06.json")
    data = smap.open_month(listed.paths(), grid, "2016-06")
    assert data.attrs["missing_days"] == ", ".join(listed.missing["days"])
    assert 0.02 <= float(data["soil_moisture"].min()) < float(data["soil_moisture"].max()) < 0.9
    # Each retrieval lies within 1.5 h of 06 or 18 h local solar time.
    local = (data["time_offset"] + data["lon"] / 15) % 24
    expected = xr.where(data["half"] == "AM", 6, 18)
    assert float(abs(local - expected).max()) < 1.5
    lenient = smap.open_month(listed.paths(), grid, "2016-06", "lenient")
    assert int(lenient["soil_moisture"].count()) >= int(data["soil_moisture"].count())


def test_archive_finds_what_the_twin_lists(folder, tmp_path) -> None:
    for name in MONTHS:
        for source, key in (("era5_land", "era5"), ("smap", "smap")):
            archive.write_manifest(folder / "raw", tmp_path / "cache.json", source, name, NAMES, tmp_path / "m.json")
            own, listed = manifest.read(tmp_path / "m.json"), manifest.read(folder / f"{key}_{name}.json")
            assert {entry.path: entry.sha256 for entry in own.files} == {e.path: e.sha256 for e in listed.files}
            assert own.missing == listed.missing
    assert archive.inventory(folder / "raw", tmp_path / "cache.json").rejected == {}
