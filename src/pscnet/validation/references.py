"""Reference fields at 10 km, on the product's stamps, from the same files and with all retrievals.

File ``fields_{month}.nc``, one variable a method and ``optimal_interpolation_std``, the standard deviation that optimal
interpolation gives its own footprint means; all (time, lat, lon) [m3 m-3].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.baselines.interpolation import read_interpolators
from pscnet.baselines.rescaling import fine_line
from pscnet.baselines.smoothing import interpolated_smap
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.sources.atomic import replacing
from pscnet.validation import INTERPOLATED, OPTIMAL
from pscnet.weights import read_weights

#: Steps computed together.
_STEPS = 16


def write_references(
    predictors: str | Path,
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    normaliser: str | Path,
    covariance: str | Path,
    weights: Mapping[str, str | Path],
    window_days: float,
    output: str | Path,
    causal: bool = False,
) -> None:
    """Write the reference fields of one month.

    Parameters
    ----------
    predictors : path of the month's predictors
    coarse, smap : paths of the preceding, this and the following month, where they are in the period
    static, normaliser, covariance : paths
    weights : paths of the weight files ``fine_to_coarse`` and ``coarse_to_fine``
    window_days : reach of the retrieval window [day]
    output : path to write
    causal : bool
        Past retrievals only.
    """
    statistics = Normaliser.read(normaliser)
    operators = {name: read_weights(weights[name]) for name in ("fine_to_coarse", "coarse_to_fine")}
    bilinear = operators["coarse_to_fine"]
    retrievals = Retrievals.from_files(smap, coarse, statistics.background, statistics.noise, causal)
    line = fine_line(statistics.matched, bilinear)
    with xr.open_dataset(static) as data:
        region, land = data["region"].values > 0, data["land"].values > 0
    with xr.open_dataset(predictors) as data:
        water = data[statistics.background.variable].load()
    times = water["time"].values
    kriged = read_interpolators(smap, coarse, covariance, statistics, land, operators, window_days, causal)
    fields = {"era5_land": water.values, "era5_land_rescaled": line(water.values)}
    fields |= {name: np.empty(water.shape, "f4") for name in (INTERPOLATED, *kriged, f"{OPTIMAL}_std")}
    for first in range(0, len(times), _STEPS):
        part = slice(first, first + _STEPS)
        seen = retrievals.around(times[part], window_days, None)
        fields[INTERPOLATED][part] = interpolated_smap(seen, bilinear, statistics.target_mean)
        for name, method in kriged.items():
            fields[name][part], std = method.on_fine_grid(times[part], water.values[part], None, region)
            if name == OPTIMAL:
                fields[f"{OPTIMAL}_std"][part] = std
    made = xr.Dataset(
        {
            name: (("time", "lat", "lon"), np.where(region, field, np.nan).astype("f4"), {"units": "m3 m-3"})
            for name, field in fields.items()
        },
        coords={"time": times, "lat": water["lat"].values, "lon": water["lon"].values},
    )
    with replacing(output) as part:
        made.to_netcdf(part, engine="netcdf4")
