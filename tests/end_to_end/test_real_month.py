"""Real values through the whole pipeline: a month of SMAP and ERA5-Land over Western Australia."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import yaml

from pscnet.validation import METHODS

OVERLAY = Path(__file__).with_name("western_australia.yaml")
RUN = "western_australia"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(make_workspace, realdata):
    """The finished run."""
    space = make_workspace("australia")
    overlay = yaml.safe_load(OVERLAY.read_text())
    overlay["archive"] = str(realdata / "western_australia_2020_01")
    overlay["terrain"] = str(realdata / "static" / "etopo5_western_australia.nc")
    (space.root / "australia.yaml").write_text(yaml.safe_dump(overlay))
    space.snakemake("--cores", "2", "--configfile", "australia.yaml")
    return space


@pytest.fixture(scope="module")
def product(run) -> xr.Dataset:
    with xr.open_dataset(run.root / f"results/{RUN}/product/sm_{RUN}_10km_3h_2020-01.nc") as data:
        return data.load()


def test_a_seamless_month_on_the_real_grid(product, realdata):
    assert product.soil_moisture.shape == (248, 51, 61)
    with xr.open_dataset(realdata / "western_australia_2020_01/era5_land/era5_land_swvl1_2020-01.nc") as era5:
        land = np.isfinite(era5.swvl1.values).all(0)
    assert np.isfinite(product.soil_moisture.values[:, land]).all()
    assert np.isnan(product.soil_moisture.values[:, ~land]).all()
    np.testing.assert_allclose(product.lat, np.arange(-27, -32.05, -0.1), atol=1e-6)


def test_held_out_agreement_is_better_than_rescaled_era5_land(run):
    """One predictor and one month: the net must still beat what does not see SMAP at all."""
    scores = json.loads((run.root / f"results/{RUN}/scores.json").read_text())["satellite_36km"]
    assert scores["pscnet"]["rmsd"] < scores["era5_land_rescaled"]["rmsd"] < scores["era5_land"]["rmsd"]
    assert scores["pscnet"]["pooled_r"] > 0.85


def overpass_stamps(granules: Path) -> dict[tuple[str, int], np.datetime64]:
    """Product stamp of each granule's two halves, from the median time of its retrievals."""
    stamps = {}
    for path in sorted(granules.glob("*.h5")):
        day = path.name.split("_")[4]
        with h5py.File(path) as file:
            for half, (group, suffix) in enumerate((("AM", ""), ("PM", "_pm"))):
                seconds = file[f"Soil_Moisture_Retrieval_Data_{group}/tb_time_seconds{suffix}"][...]
                seconds = seconds[seconds > 0]
                if seconds.size:
                    time = np.datetime64("2000-01-01T12:00:00") + np.timedelta64(int(np.median(seconds)), "s")
                    hours = np.round((time - np.datetime64("2020-01-01")) / np.timedelta64(1, "h") / 3) * 3
                    stamps[day, half] = np.datetime64("2020-01-01T00", "ns") + np.timedelta64(int(hours), "h")
    return stamps


def against_9_km(fields: xr.DataArray, realdata: Path, days: tuple[int, int]) -> tuple[float, float, int]:
    """Pooled R and RMSE of fields (time, lat, lon) against SPL3SMP_E of some January days, and the number of pairs."""
    stamps = overpass_stamps(realdata / "western_australia_2020_01/smap")
    made, seen = [], []
    with xr.open_dataset(realdata / "western_australia_2020_01/spl3smp_e_9km_2020_01.nc") as enhanced:
        for position in range(enhanced.sizes["date"]):
            if not days[0] <= position + 1 <= days[1]:
                continue
            for half in (0, 1):
                stamp = stamps.get((f"202001{position + 1:02d}", half))
                if stamp is None or stamp not in fields.time.values:
                    continue
                field = fields.sel(time=stamp).interp(lat=enhanced.lat, lon=enhanced.lon).values
                value = enhanced.soil_moisture.values[position, half]
                both = np.isfinite(field) & np.isfinite(value)
                made.append(field[both])
                seen.append(value[both])
    x, y = np.concatenate(made), np.concatenate(seen)
    return float(np.corrcoef(x, y)[0, 1]), float(np.sqrt(np.mean((x - y) ** 2))), x.size


def test_agreement_with_the_9_km_product_is_told_beside_the_references(run, product, realdata, capsys):
    """The 9 km product is made of the same antenna data: a smoke test, reported straight."""
    with xr.open_dataset(run.root / f"build/{RUN}/verify/fields_2020-01.nc") as fields:
        references = fields.load()
    candidates = {"pscnet": product.soil_moisture, **{name: references[name] for name in METHODS if name in references}}
    table = {}
    for period, days in {"whole month": (1, 31), "test days": (24, 31)}.items():
        for name, field in candidates.items():
            table[period, name] = against_9_km(field, realdata, days)
    with capsys.disabled():
        print()
        for (period, name), (r, rmse, n) in table.items():
            print(f"against SPL3SMP_E 9 km, {period}: {name:20s} R {r:.3f}, RMSE {rmse:.4f} m3 m-3, n {n}")
    assert table["test days", "pscnet"][0] > 0.8
    assert table["test days", "pscnet"][1] < table["test days", "era5_land_rescaled"][1]


def test_what_the_predictors_do_not_tell_is_not_flagged(product):
    """Without soil temperature and snow, neither frozen nor snow can be known."""
    assert not (product.flag.values.astype(int) & 3).any()


def test_the_report_is_there(run):
    page = (run.root / f"results/{RUN}/report.html").read_text()
    assert "western_australia" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
