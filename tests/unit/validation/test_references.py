"""Reference fields of a month: ERA5-Land as it is and rescaled, SMAP interpolated and kriged, and both together."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pscnet.regrid import apply, read_weights
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.validation import METHODS
from pscnet.validation.references import write_references
from tests.unit.samples.conftest import made_run  # noqa: F401 (fixture)
from tests.unit.samples.run import MONTHS

MONTH = MONTHS[1]


def write(run, output, predictors=None) -> xr.Dataset:
    write_references(
        predictors=predictors or run.folder / "predictors" / f"{MONTH}.nc",
        coarse=run.files("coarse"),
        smap=run.files("smap"),
        static=run.static,
        normaliser=run.normaliser,
        covariance=run.covariance,
        weights={name: run.weights[name] for name in ("fine_to_coarse", "coarse_to_fine")},
        window_days=8,
        output=output,
    )
    with xr.open_dataset(output) as data:
        return data.load()


@pytest.fixture(scope="module")
def references(made_run, tmp_path_factory) -> xr.Dataset:  # noqa: F811
    return write(made_run, tmp_path_factory.mktemp("references") / "fields.nc")


@pytest.fixture(scope="module")
def water(made_run) -> np.ndarray:  # noqa: F811
    with xr.open_dataset(made_run.folder / "predictors" / f"{MONTH}.nc") as data:
        values = data["swvl1"].values
    with xr.open_dataset(made_run.static) as data:
        return np.where(data["region"].values > 0, values, np.nan)


def test_fields_stand_on_the_products_stamps_and_only_in_the_region(made_run, references):  # noqa: F811
    with xr.open_dataset(made_run.static) as data:
        region = data["region"].values > 0
    assert set(references) == set(METHODS) - {"pscnet"} | {"optimal_interpolation_std"}
    for field in references.values():
        assert field.dims == ("time", "lat", "lon") and field.dtype == np.float32
        assert field.attrs["units"] == "m3 m-3"
        np.testing.assert_array_equal(np.isfinite(field.values), np.broadcast_to(region, field.shape))
    assert references.sizes["time"] == 8 * 30 and (np.diff(references["time"]) == np.timedelta64(3, "h")).all()


def test_era5_land_is_the_top_layer_as_it_is(references, water):
    np.testing.assert_array_equal(references["era5_land"].values, water)


def test_rescaling_is_one_line_a_pixel_and_brings_era5_land_to_smap(made_run, references, water):  # noqa: F811
    normaliser = Normaliser.read(made_run.normaliser)
    bilinear = read_weights(made_run.weights["coarse_to_fine"])
    slope, intercept = (apply(bilinear, part)[0] for part in (normaliser.matched.slope, normaliser.matched.intercept))
    np.testing.assert_allclose(references["era5_land_rescaled"].values, intercept + slope * water, rtol=1e-5)
    smap = []
    for path in made_run.files("smap", [MONTH]):
        with xr.open_dataset(path) as data:
            smap.append(float(np.nanmean(data["soil_moisture"].values)))
    raw, rescaled = (float(np.nanmean(references[name])) for name in ("era5_land", "era5_land_rescaled"))
    assert abs(rescaled - smap[0]) < 0.02 < abs(raw - smap[0]), "the control: as it is, ERA5-Land is further away"


def test_smap_alone_does_not_know_era5_land(made_run, references, tmp_path):  # noqa: F811
    """Twice the soil water: the references with ERA5-Land change, those of SMAP alone do not."""
    with xr.open_dataset(made_run.folder / "predictors" / f"{MONTH}.nc") as data:
        changed = data.load()
    changed["swvl1"] = changed["swvl1"] * 2
    changed.to_netcdf(tmp_path / "predictors.nc")
    other = write(made_run, tmp_path / "fields.nc", tmp_path / "predictors.nc")
    for name in ("smap_interpolated", "smap_kriged"):
        xr.testing.assert_identical(other[name], references[name])
    for name in ("era5_land", "era5_land_rescaled", "optimal_interpolation"):
        assert not other[name].equals(references[name])


def test_optimal_interpolation_moves_the_background_towards_smap(made_run, references):  # noqa: F811
    """SMAP varies less about the answer than about the background (both mostly noise); the answer knows its error."""
    normaliser = Normaliser.read(made_run.normaliser)
    line, conservative = normaliser.background.fine, read_weights(made_run.weights["fine_to_coarse"])
    background = line.intercept + line.slope * references["era5_land"].values
    retrievals = Retrievals.from_files(made_run.files("smap"), made_run.files("coarse"), normaliser.background, 0.04)
    left = {"background": [], "answer": []}
    for step, stamp in enumerate(references["time"].values):
        smap = retrievals.target(stamp)[0]
        for name, field in (("background", background), ("answer", references["optimal_interpolation"].values)):
            left[name].append(smap - apply(conservative, field[step])[0])
    spread = {name: float(np.nanstd(np.stack(parts))) for name, parts in left.items()}
    assert spread["answer"] < 0.98 * spread["background"]
    std = references["optimal_interpolation_std"].values
    assert 0 < np.nanmin(std) < np.nanmax(std) <= 0.02 + 1e-6
