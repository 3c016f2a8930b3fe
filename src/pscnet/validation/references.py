"""Reference fields at 10 km, on the product's stamps, from the same files and with all retrievals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.baselines import fine_line, interpolated_smap
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.sources.atomic import replacing
from pscnet.validation import INTERPOLATED
from pscnet.weights import read_weights

#: Steps computed together.
_STEPS = 16


def write_references(
    predictors: str | Path,
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    normaliser: str | Path,
    bilinear: str | Path,
    window_days: float,
    output: str | Path,
) -> None:
    """Write ``era5_land``, ``era5_land_rescaled`` and ``smap_interpolated`` (time, lat, lon) of one month.

    Parameters
    ----------
    predictors : path of the month's predictors
    coarse, smap : paths of the preceding, this and the following month, where they are in the period
    static, normaliser : paths
    bilinear : path of the weight file from coarse to fine
    window_days : reach of the retrieval window [day]
    output : path to write
    """
    statistics = Normaliser.read(normaliser)
    weights = read_weights(bilinear)
    retrievals = Retrievals.from_files(smap, coarse, statistics.background, statistics.noise)
    line = fine_line(statistics.matched, weights)
    with xr.open_dataset(static) as data:
        region = data["region"].values > 0
    with xr.open_dataset(predictors) as data:
        water = data[statistics.background.variable].load()
    times = water["time"].values
    smoothed = np.empty(water.shape, "f4")
    for first in range(0, len(times), _STEPS):
        part = slice(first, first + _STEPS)
        seen = retrievals.around(times[part], window_days, None)
        smoothed[part] = interpolated_smap(seen, weights, statistics.target_mean)
    fields = {"era5_land": water.values, "era5_land_rescaled": line(water.values), INTERPOLATED: smoothed}
    made = xr.Dataset(
        {
            name: (("time", "lat", "lon"), np.where(region, field, np.nan).astype("f4"), {"units": "m3 m-3"})
            for name, field in fields.items()
        },
        coords={"time": times, "lat": water["lat"].values, "lon": water["lon"].values},
    )
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4")
