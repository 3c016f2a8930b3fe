"""36 km to 9 km: the month of real values on EASE-Grid 2.0 M09 instead of the nodes of ERA5-Land."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from pscnet.grids import ease2_axes
from pscnet.regrid import read_weights

OVERLAY = Path(__file__).with_name("western_australia.yaml")
RUN = "western_australia_m09"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(make_workspace, realdata):
    """The finished run; few epochs, as the net's skill is measured elsewhere."""
    space = make_workspace("nine")
    overlay = yaml.safe_load(OVERLAY.read_text())
    overlay["run"] = RUN
    overlay["archive"] = str(realdata / "western_australia_2020_01")
    overlay["terrain"] = str(realdata / "static" / "etopo5_western_australia.nc")
    overlay["grids"] = {"fine": {"kind": "ease2", "name": "M09"}}
    overlay["training"] |= {"epochs": 6}
    (space.root / "nine.yaml").write_text(yaml.safe_dump(overlay))
    space.snakemake("--cores", "2", "--configfile", "nine.yaml")
    return space


@pytest.fixture(scope="module")
def product(run) -> xr.Dataset:
    with xr.open_dataset(run.root / f"results/{RUN}/product/sm_{RUN}_10km_3h_2020-01.nc") as data:
        return data.load()


def test_a_month_on_the_cells_of_the_9_km_product(product, realdata):
    with xr.open_dataset(realdata / "western_australia_2020_01/spl3smp_e_9km_2020_01.nc") as enhanced:
        inside = enhanced.isel(y=(enhanced.lat >= -32) & (enhanced.lat <= -27))
        inside = inside.isel(x=(inside.lon >= 116) & (inside.lon <= 122)).load()
    assert product.soil_moisture.shape == (248, inside.sizes["y"], inside.sizes["x"]) == (248, 62, 65)
    np.testing.assert_allclose(product.lat, inside.lat, atol=1e-4)
    np.testing.assert_allclose(product.lon, inside.lon, atol=1e-4)
    lat, lon = ease2_axes("M09")
    np.testing.assert_allclose(product.lat, lat[inside.ease2_m09_row.values], atol=1e-6)
    np.testing.assert_allclose(product.lon, lon[inside.ease2_m09_col.values], atol=1e-6)


def test_every_land_cell_has_a_value_at_every_step(run, product):
    with xr.open_dataset(run.root / f"build/{RUN}/static.nc") as static:
        land = static.land.values == 1
    assert land.mean() > 0.9
    assert np.isfinite(product.soil_moisture.values[:, land]).all()
    assert np.isnan(product.soil_moisture.values[:, ~land]).all()


def test_era5_land_is_interpolated_once_by_a_weight_file(run, realdata):
    weights = {path.name for path in (run.root / f"build/{RUN}/weights").glob("*.nc")}
    assert len(weights) == 7 and "bilinear_r0100_M09.nc" in weights
    matrix = read_weights(run.root / f"build/{RUN}/weights/bilinear_r0100_M09.nc")
    assert (matrix.src_shape, matrix.dst_shape) == ((51, 61), (62, 65))
    with xr.open_dataset(run.root / f"build/{RUN}/predictors/2020-01.nc") as clean:
        fields = clean.swvl1.load()
    raw_path = realdata / "western_australia_2020_01/era5_land/era5_land_swvl1_2020-01.nc"
    with xr.open_dataset(raw_path, drop_variables=["lsm", "time"]) as raw:
        nodes = raw.swvl1.isel(valid_time=slice(None, None, 3)).clip(min=0).load()
    expected = nodes.interp(latitude=fields.lat, longitude=fields.lon).values
    surrounded = np.isfinite(expected)
    assert surrounded.mean() > 0.8
    np.testing.assert_allclose(fields.values[surrounded], expected[surrounded], atol=1e-6)


def test_scores_and_report_are_there(run):
    scores = json.loads((run.root / f"results/{RUN}/scores.json").read_text())
    assert scores["satellite_36km"]["pscnet"]["rmsd"] < scores["satellite_36km"]["era5_land"]["rmsd"]
    assert scores["coverage"]["all"]["share"] == 1.0
    assert RUN in (run.root / f"results/{RUN}/report.html").read_text()
