"""A clean month of ERA5-Land on the cells of EASE-Grid 2.0 M09, to which its nodes are interpolated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pscnet.grids import Grid, ease2_grid, fine_grid, regular_grid
from pscnet.regrid import make_weights, write_weights
from pscnet.sources import era5_land, manifest
from pscnet.timeaxis import month_stamps
from pscnet.weights import WeightError

BOX = (30.0, 30.4), (90.0, 90.5)
WEST = (-32.0, -27.0), (116.0, 122.0)


def written(
    folder: Path, raw: Path, names: list[str], month: str, box: tuple, fine: Grid | None = None
) -> tuple[xr.Dataset, xr.Dataset]:
    """The clean month of one raw file on M09 cells (or on ``fine``) and its coarse means."""
    nodes, coarse = regular_grid(*box), ease2_grid(*box)
    target = fine_grid("ease2", *box) if fine is None else fine
    entry = manifest.member(raw.parent, raw, variables=names)
    listing = folder / "manifest.json"
    manifest.write(listing, source="era5_land", month=month, root=raw.parent, files=[entry], made_by="archive")
    write_weights(make_weights(target, coarse, "conservative", "exact"), folder / "down.nc")
    write_weights(make_weights(nodes, fine_grid("ease2", *box), "bilinear", "exact"), folder / "across.nc")
    out = folder / "p.nc", folder / "c.nc"
    era5_land.write_month(
        listing, None, names, target, month, folder / "down.nc", coarse, *out, source_to_fine=folder / "across.nc"
    )
    with xr.open_dataset(out[0]) as fields, xr.open_dataset(out[1]) as means:
        return fields.load(), means.load()


def test_a_constant_stays_a_constant(tmp_path, write_era5, hourly, fine, month):
    constant = np.full((hourly().size, *fine.shape), 281.25)
    raw = write_era5(tmp_path / "raw" / "a.nc", ("t2m",), data={"t2m": constant})
    fields, means = written(tmp_path, raw, ["t2m"], month, BOX)
    assert fields["t2m"].shape == (month_stamps(month).size, *fine_grid("ease2", *BOX).shape)
    np.testing.assert_allclose(fields["t2m"], 281.25, rtol=1e-6)
    assert np.isfinite(means["t2m"].values).any()
    np.testing.assert_allclose(means["t2m"].values[np.isfinite(means["t2m"].values)], 281.25, rtol=1e-6)


def test_what_is_linear_in_space_is_kept_and_totals_are_made_first(tmp_path, write_era5, values, month):
    raw = write_era5(tmp_path / "raw" / "a.nc", ("t2m", "tp"))
    fields, _ = written(tmp_path, raw, ["t2m", "tp"], month, BOX)
    cells = fine_grid("ease2", *BOX)
    np.testing.assert_allclose(fields["lat"], cells.lat)
    np.testing.assert_allclose(fields["lon"], cells.lon)
    stamps = month_stamps(month)
    np.testing.assert_allclose(fields["t2m"], values("t2m", stamps, cells.lat, cells.lon), rtol=1e-6)
    third = int(np.flatnonzero(stamps == np.datetime64("2015-02-03T06"))[0])
    totals = values("tp", stamps[third - 1 : third + 1], cells.lat, cells.lon)
    np.testing.assert_allclose(fields["tp"][third], totals[1] - totals[0], rtol=1e-5)
    assert fields["tp"].attrs["cell_methods"] == "time: sum"


def test_sea_spreads_no_further_than_half_a_cell(tmp_path, write_era5, values, hourly, fine, month):
    """A cell is land where nodes on land have half its weight, and only they give its value."""
    data = values("t2m", hourly(), fine.lat, fine.lon)
    data[:] = 280.0
    data[:, :, 3:] = np.nan
    raw = write_era5(tmp_path / "raw" / "a.nc", ("t2m",), data={"t2m": data})
    fields, means = written(tmp_path, raw, ["t2m"], month, BOX)
    land = np.isfinite(fields["t2m"].values)
    assert (land == (fields["lon"].values <= 90.25)[None, None, :]).all()
    np.testing.assert_allclose(fields["t2m"].values[land], 280.0, rtol=1e-6)
    assert 0 < float(means["valid_fraction"].max()) < 1


def test_weights_to_another_grid_are_refused(tmp_path, write_era5, month):
    raw = write_era5(tmp_path / "raw" / "a.nc", ("t2m",))
    with pytest.raises(WeightError, match=r"across.nc: expected target grid .*r0100"):
        written(tmp_path, raw, ["t2m"], month, BOX, fine=regular_grid(*BOX))


def test_a_real_month(tmp_path, realdata):
    raw = realdata / "western_australia_2020_01" / "era5_land" / "era5_land_swvl1_2020-01.nc"
    fields, means = written(tmp_path, raw, ["swvl1"], "2020-01", WEST)
    assert fields["swvl1"].shape == (248, 62, 65) and fields["swvl1"].dtype == np.float32
    nodes = era5_land.open_files([raw], ["swvl1"], regular_grid(*WEST), "2020-01")["swvl1"]
    expected = nodes.interp(lat=fields["lat"], lon=fields["lon"]).values
    surrounded = np.isfinite(expected)
    np.testing.assert_allclose(fields["swvl1"].values[surrounded], expected[surrounded], atol=1e-6)
    on_nodes, on_cells = np.isfinite(nodes.values[0]).mean(), np.isfinite(fields["swvl1"].values[0]).mean()
    assert abs(on_nodes - on_cells) < 0.01, "land neither grows nor shrinks"
    assert np.isfinite(means["swvl1"].values).any()
