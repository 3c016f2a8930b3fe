"""Held-out regions: what lies in a box is moved out of sight when the month is made, and stays in the file."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pscnet.checks.inputs import smap_complaints
from pscnet.grids import centres_in
from pscnet.sources import manifest, smap


def box(coarse) -> dict:
    """A box around the centre of one cell."""
    return {"lat": [coarse.lat[1] - 0.1, coarse.lat[1] + 0.1], "lon": [coarse.lon[2] - 0.1, coarse.lon[2] + 0.1]}


def test_retrievals_of_a_box_are_moved_aside(tmp_path, write_granule, coarse, month, days) -> None:
    values = np.linspace(0.1, 0.3, coarse.size).reshape(coarse.shape)
    paths = [write_granule(tmp_path, day, soil_moisture=values) for day in days[:3]]
    plain = smap.open_month(paths, coarse, month)
    made = smap.withhold(plain, coarse, [box(coarse)])
    cell = centres_in(coarse, tuple(box(coarse)["lat"]), tuple(box(coarse)["lon"]))
    assert cell.sum() == 1 and cell[1, 2] and made.attrs["withheld_cells"] == 1
    for name in ("soil_moisture", "time_offset", "soil_moisture_error"):
        assert np.isfinite(plain[name].values[:6, cell]).all() and np.isnan(made[name].values[:, cell]).all()
        np.testing.assert_array_equal(made[name].values[:, ~cell], plain[name].values[:, ~cell])
        np.testing.assert_array_equal(made[f"{name}_withheld"].values[:, cell], plain[name].values[:, cell])
        assert np.isnan(made[f"{name}_withheld"].values[:, ~cell]).all()
    assert (made["quality"].values[:, cell] == 255).all() and (made["quality_withheld"].values[:6, cell] == 0).all()
    assert smap_complaints(made, coarse, month) == [], "what is left keeps the contract of a clean month"
    assert smap.withhold(plain, coarse, []) is plain


def test_the_rule_withholds(tmp_path, write_granule, coarse, month, days) -> None:
    path = write_granule(tmp_path / "raw", days[0])
    listed = manifest.member(tmp_path / "raw", path, variables=["soil_moisture"])
    manifest.write(
        tmp_path / "m.json", source="smap", month=month, root=tmp_path / "raw", files=[listed], made_by="archive"
    )
    for boxes, hidden in (([], 0), ([box(coarse)], 1)):
        smap.write_month(tmp_path / "m.json", coarse, month, "lenient", smap.NOISE, tmp_path / "out.nc", boxes)
        with xr.open_dataset(tmp_path / "out.nc") as made:
            assert int(np.isnan(made["soil_moisture"].values[0]).sum()) == hidden
            assert ("soil_moisture_withheld" in made) == bool(hidden)
