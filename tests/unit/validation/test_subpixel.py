"""Detail within 36 km cells beside SMAP's 9 km product, from granules as the archive has them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from pscnet.grids import ease2_grid, regular_grid
from pscnet.regrid import apply, make_weights
from pscnet.sources import manifest as manifests
from pscnet.sources.archive import write_manifest
from pscnet.timeaxis import month_days, month_stamps
from pscnet.validation import METHODS, ScoreError
from pscnet.validation.agreement import Bootstrap
from pscnet.validation.document import Document
from pscnet.validation.subpixel import Detail, enhanced_fields, enhanced_grid, subpixel_table

BOX = (31.5, 33.5), (90.0, 92.0)
FINE, COARSE = regular_grid(*BOX), ease2_grid(*BOX)
MONTH = "2016-07"
INTERVALS = [(np.datetime64("2016-07-01", "ns"), np.datetime64("2016-08-01", "ns"))]
BOOTSTRAP = Bootstrap.of([("2016-07-01", "2016-09-01")], 8, 100)
NAMES = ("pscnet", "era5_land", "era5_land_rescaled", "smap_interpolated")


def crop_of_granule(folder: Path, day: str, truth: np.ndarray) -> Path:
    """A crop of SPL3SMP_E as the pipeline keeps it: the cells that touch the box, of both half-orbits."""
    grid = ease2_grid(*BOX, "M09")
    path = folder / f"SMAP_L3_SM_P_E_{day.replace('-', '')}_R19240_001.h5"
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update({"grid": "M09", "row0": grid.row0, "col0": grid.col0})
        file.create_group("Metadata/Extent").attrs["rangeBeginningDateTime"] = f"{day}T00:00:00.000Z"
        for half, hour in (("AM", 6), ("PM", 18)):
            epoch = np.datetime64("2000-01-01T12:00:00")
            seconds = (np.datetime64(day) - epoch) / np.timedelta64(1, "s") + (hour - grid.lon / 15) * 3600
            group, suffix = file.create_group(f"Soil_Moisture_Retrieval_Data_{half}"), "_pm" if half == "PM" else ""
            row, column = np.arange(grid.shape[0])[:, None] + grid.row0, np.arange(grid.shape[1]) + grid.col0
            fields = {
                "soil_moisture": (truth, "f4"),
                "tb_time_seconds": (seconds, "f8"),
                "retrieval_qual_flag": (0, "u2"),
                "surface_flag": (0, "u2"),
                "freeze_thaw_fraction": (0.0, "f4"),
                "EASE_row_index": (row, "u2"),
                "EASE_column_index": (column, "u2"),
            }
            for name, (values, dtype) in fields.items():
                group[name + suffix] = np.broadcast_to(values, grid.shape).astype(dtype)
            group[f"soil_moisture{suffix}"].attrs["units"] = "cm**3/cm**3"
    return path


def detail_field(grid) -> np.ndarray:
    """A smooth gradient, and texture of a few kilometres."""
    lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
    return 0.2 + 0.02 * (lat - 32.5) + 0.04 * np.sin(25 * lat) * np.cos(22 * lon)


def smooth_field(grid) -> np.ndarray:
    return 0.2 + 0.02 * (grid.lat[:, None] - 32.5) + 0.0 * grid.lon[None, :]


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """An archive with granules of ten days, its manifest, a product with the texture and references without."""
    folder = tmp_path_factory.mktemp("enhanced")
    for day in month_days(MONTH)[:10]:
        crop_of_granule(folder / "raw", day, detail_field(ease2_grid(*BOX, "M09")))
    write_manifest(folder / "raw", None, "smap_e", MONTH, [], folder / f"{MONTH}.json", "M09")
    stamps = month_stamps(MONTH)
    coords = {"time": stamps, "lat": FINE.lat, "lon": FINE.lon}
    rng = np.random.default_rng(0)

    def steady(field: np.ndarray, noise: float = 0.0) -> tuple:
        values = field + noise * rng.standard_normal((stamps.size, *FINE.shape))
        return ("time", "lat", "lon"), values.astype("f4")

    xr.Dataset({"soil_moisture": steady(detail_field(FINE), 0.01)}, coords).to_netcdf(folder / f"sm_{MONTH}.nc")
    made = {name: steady(smooth_field(FINE)) for name in NAMES[1:]} | {"era5_land": steady(smooth_field(FINE), 0.02)}
    xr.Dataset(made, coords).to_netcdf(folder / f"fields_{MONTH}.nc")
    return folder


def scored(month, **changes):
    arguments = {
        "document": Document("satellite", "", ""),
        "enhanced": [month / f"{MONTH}.json"],
        "products": [month / f"sm_{MONTH}.nc"],
        "references": [month / f"fields_{MONTH}.nc"],
        "fine_to_coarse": make_weights(FINE, COARSE, "conservative", "exact"),
        "intervals": INTERVALS,
        "bootstrap": BOOTSTRAP,
    }
    return subpixel_table(**arguments | changes)


def test_the_archive_lists_granules_of_nine_kilometres(month):
    listed = manifests.read(month / f"{MONTH}.json")
    assert listed.source == "smap_e" and len(listed.paths()) == 10 and len(listed.missing["days"]) == 21


def test_fields_come_by_stamp_on_their_own_cells(month):
    grid = enhanced_grid(FINE)
    found = list(enhanced_fields(month / f"{MONTH}.json", MONTH, grid))
    # 06 h local solar time at 90 to 92 E is 00 UTC, 18 h is 12 UTC.
    assert len(found) == 20 and {str(stamp)[11:13] for stamp, _ in found} == {"00", "12"}
    np.testing.assert_allclose(found[3][1], detail_field(grid), rtol=1e-6)


def test_detail_is_seen_where_it_is_and_nowhere_else(month):
    (table,) = scored(month)
    rows = {row.label: row for row in table.rows}
    product, smooth = rows[METHODS["pscnet"]], rows[METHODS["smap_interpolated"]]
    assert product.values["beyond"] > 0.6 and product.values["plain"] > 0.6
    assert abs(smooth.values["beyond"]) < 0.05, "a smooth field has gradients alone"
    assert abs(rows[METHODS["era5_land"]].values["beyond"]) < 0.1, "noise is no detail: the control"
    assert product.values["n"] > 20 * 100 and "20 overpass stamps" in table.note and "antenna" in table.note
    assert rows[f"product minus {METHODS['era5_land']}"].values["beyond"] > 0.6


def test_without_granules_there_is_no_table_but_a_word(month):
    document = Document("satellite", "", "")
    assert scored(month, document=document, enhanced=[]) == []
    assert "SPL3SMP_E" in document.note


def test_a_month_without_product_is_named(month):
    with pytest.raises(ScoreError, match="expected product and references of 2016-07"):
        scored(month, products=[month / "sm_2016-08.nc"])


def test_intervals_need_blocks(month):
    (table,) = scored(month)
    assert np.isnan(table.rows[0].intervals["plain"]).all(), "ten days are two blocks"
    detail = Detail(FINE, COARSE, BOOTSTRAP, ("pscnet",))
    rng = np.random.default_rng(0)
    for stamp in np.datetime64("2016-07-01", "ns") + np.arange(31) * np.timedelta64(2, "D"):
        noisy = detail_field(FINE) + 0.03 * rng.standard_normal(FINE.shape)
        detail.update(stamp, detail_field(detail.grid), {"pscnet": noisy})
    low, high = detail.table().rows[0].intervals["beyond"]
    assert low < detail.table().rows[0].values["beyond"] < high


# Real retrievals ------------------------------------------------------------------------------------------------------


def test_real_nine_kilometre_retrievals_agree_with_themselves_and_with_the_36_km_ones(realdata):
    """January 2020 over Western Australia: what a perfect field would score, and what plain interpolation does."""
    with xr.open_dataset(realdata / "western_australia_2020_01" / "spl3smp_e_9km_2020_01.nc") as data:
        values, lat, lon = data["soil_moisture"].values, data["lat"].values, data["lon"].values
        rows, columns = data["ease2_m09_row"].values, data["ease2_m09_col"].values
        days = data["date"].values
    fine = ease2_grid((float(lat.min()), float(lat.max())), (float(lon.min()), float(lon.max())), "M09", "centred")
    assert (fine.row0, fine.col0, fine.shape) == (rows[0], columns[0], values.shape[2:])
    np.testing.assert_allclose(fine.lat, lat, atol=1e-4)
    coarse = ease2_grid((float(lat.min()), float(lat.max())), (float(lon.min()), float(lon.max())))
    detail = Detail(fine, coarse, Bootstrap.of([("2020-01-01", "2020-02-01")], 8, 50), ("pscnet", "smap_interpolated"))
    assert detail.grid.same_as(fine)
    down, up = make_weights(fine, coarse, "conservative", "exact"), make_weights(coarse, fine, "bilinear", "exact")
    for day, field in zip(days, values[:, 1], strict=True):
        smooth = apply(up, apply(down, field, 0.5)[0])[0]
        detail.update(day.astype("M8[ns]"), field, {"pscnet": field, "smap_interpolated": smooth})
    same, interpolated, *_ = detail.table().rows
    assert same.values["plain"] == pytest.approx(1.0) and same.values["beyond"] == pytest.approx(1.0)
    # Interpolation of 36 km means has the gradients, and next to nothing beyond them.
    assert interpolated.values["plain"] > 0.6
    assert abs(interpolated.values["beyond"]) < 0.35
    assert same.values["n"] > 5000
