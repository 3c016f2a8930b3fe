"""Held-out regions: retrievals that nothing has seen, beside the product's and the references' footprint means.

Unlike a held-out overpass these are the delivered fields, made with all retrievals but those of the withheld cells:
what is scored is how the method carries over to ground without SMAP. A neighbour's retrieval of the same overpass takes
part, and with it the noise that neighbours have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import TARGET_COVER
from pscnet.regrid import apply
from pscnet.samples.retrievals import retrieval_times
from pscnet.sources.smap import MOVED, WITHHELD
from pscnet.timeaxis import nearest_stamp
from pscnet.validation import PRODUCT, ScoreError, methods_of
from pscnet.validation.pairs import Pairs, make_pairs
from pscnet.validation.presence import month_of
from pscnet.validation.satellite import in_intervals
from pscnet.weights import Weights


def only_withheld(month: xr.Dataset) -> xr.Dataset | None:
    """The withheld retrievals of a ``smap/{month}.nc`` under the names of the others; None where it has none."""
    if f"soil_moisture{WITHHELD}" not in month:
        return None
    kept = month.drop_vars(list(MOVED))
    return kept.rename({name: str(name).removesuffix(WITHHELD) for name in kept if str(name).endswith(WITHHELD)})


def withheld_retrievals(smap: Sequence[str | Path]) -> dict[str, np.ndarray]:
    """Columns ``time`` (stamp), ``y``, ``x``, ``smap`` and ``noise`` of the withheld retrievals of some months."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("time", "y", "x", "smap", "noise")}
    for path in smap:
        with xr.open_dataset(path) as month:
            hidden = only_withheld(month)
            if hidden is None:
                continue
            stamp, value = nearest_stamp(retrieval_times(hidden)), hidden["soil_moisture"].values
            noise = hidden["soil_moisture_error"].values
        slot, y, x = np.nonzero(np.isfinite(value) & ~np.isnat(stamp))
        found = {"time": stamp[slot, y, x], "y": y, "x": x, "smap": value[slot, y, x], "noise": noise[slot, y, x]}
        for name, column in found.items():
            columns[name].append(column)
    return {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in columns.items()}


def region_pairs(
    smap: Sequence[str | Path],
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    static: str | Path,
    fine_to_coarse: Weights,
    intervals: Sequence[tuple[np.datetime64, np.datetime64]],
) -> Pairs | None:
    """Withheld retrievals on test days beside the footprint means of the delivered fields; None where there are none.

    Parameters
    ----------
    smap : paths of the test months and their neighbours
    products, references : paths of the test months, in the same order
    static : path
    fine_to_coarse : Weights
    intervals : list of [start, end)

    Raises
    ------
    ScoreError
    """
    held = withheld_retrievals(smap)
    with xr.open_dataset(static) as fields:
        region = fields["region"].values > 0
    covered = apply(fine_to_coarse, np.where(region, 1.0, np.nan))[1] >= TARGET_COVER
    keep = np.zeros(0, bool)
    if held["smap"].size:
        keep = in_intervals(held["time"].astype("M8[ns]"), intervals) & covered[held["y"], held["x"]]
    if not keep.any():
        return None
    held = {name: column[keep] for name, column in held.items()}
    with xr.open_dataset(references[0]) as first:
        names = methods_of(first.variables, Path(references[0]), product=False)
    columns: dict[str, np.ndarray] = {name: np.full(held["smap"].size, np.nan) for name in (PRODUCT, *names)}
    for product, reference in zip(products, references, strict=True):
        here = np.flatnonzero(held["time"].astype("M8[M]").astype(str) == month_of(product))
        stamps, row = np.unique(held["time"][here], return_inverse=True)
        sources = {PRODUCT: (product, "soil_moisture")} | {name: (reference, name) for name in names}
        for method, (path, variable) in sources.items():
            means = footprint_means(path, variable, stamps, fine_to_coarse)
            columns[method][here] = means[row, held["y"][here], held["x"][here]]
    return make_pairs(held | columns, list(columns), fine_to_coarse.dst.shape)


def footprint_means(path: str | Path, variable: str, stamps: np.ndarray, fine_to_coarse: Weights) -> np.ndarray:
    """Footprint means (stamp, y, x) of a variable (time, lat, lon) of a month at some of its stamps.

    Raises
    ------
    ScoreError
        When the file lacks a stamp.
    """
    with xr.open_dataset(path) as data:
        absent = np.setdiff1d(stamps, data["time"].values.astype("M8[ns]"))
        if absent.size:
            raise ScoreError(
                f"{path}: expected the stamp {str(absent[0])[:16]}; found none; rerun the rule that made it"
            )
        values = data[variable].sel(time=stamps).transpose("time", "lat", "lon").values
    return apply(fine_to_coarse, values)[0]
