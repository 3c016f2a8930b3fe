"""Product, references and truth of a month, read together in blocks of a few days on the same stamps and cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.timeaxis import STEPS_PER_DAY
from pscnet.validation import PRODUCT, ScoreError
from pscnet.variables import FLAG_BITS

#: Steps of a block: four days keep the arrays of the full Plateau at 12 MB each.
BLOCK_STEPS = 4 * STEPS_PER_DAY


@dataclass
class Block:
    """A few days of one month.

    Attributes
    ----------
    times : datetime64 (time,)
    fields : dict of method to float32 (time, lat, lon) [m3 m-3], the product's among them
    sigma : float32 (time, lat, lon) [m3 m-3], the product's standard deviation
    frozen : bool (time, lat, lon), the product's flag
    snow : bool (time, lat, lon), the product's flag
    truth : float32 (time, lat, lon) [m3 m-3] or None; NaN where the ground is frozen or under snow
    """

    times: np.ndarray
    fields: dict[str, np.ndarray]
    sigma: np.ndarray
    frozen: np.ndarray
    snow: np.ndarray
    truth: np.ndarray | None

    def scored(self, region: np.ndarray) -> np.ndarray:
        """Where all methods have a value and the ground is liquid and bare (bool, time, lat, lon), in the region.

        Frozen ground and snow are those of the truth where it is known, else the product's flags.
        """
        here = np.logical_and.reduce([np.isfinite(values) for values in self.fields.values()]) & region
        return here & (~(self.frozen | self.snow) if self.truth is None else np.isfinite(self.truth))


def matched_months(
    products: Sequence[str | Path], references: Sequence[str | Path], truths: Sequence[str | Path] = ()
) -> list[tuple[Path, Path, Path | None]]:
    """Product, reference fields and, where there are any, truth of each month.

    Raises
    ------
    ScoreError
        When they are not equally many.
    """
    if not products or len(products) != len(references) or (truths and len(truths) != len(products)):
        raise ScoreError(
            "expected one product, one reference file and (on the twin) one truth file a month; found "
            f"{len(products)}, {len(references)} and {len(truths)}"
        )
    exact = [Path(path) for path in truths] or [None] * len(products)
    return [(Path(p), Path(r), t) for p, r, t in zip(products, references, exact, strict=True)]


def read_region(static: str | Path, fine: Grid) -> np.ndarray:
    """The cells of the region (lat, lon; bool) from the static file.

    Raises
    ------
    ScoreError
        When the file lacks them or does not lie on the fine grid.
    """
    with xr.open_dataset(static) as fields:
        if "region" not in fields:
            raise ScoreError(f"{static}: expected the variable region (lat, lon); rerun regrid_static")
        lats, lons = fields["lat"].values, fields["lon"].values
        region = fields["region"].transpose("lat", "lon").values == 1
    if fine.shape != region.shape or not (
        np.allclose(fine.lat, lats, rtol=0, atol=1e-4) and np.allclose(fine.lon, lons, rtol=0, atol=1e-4)
    ):
        raise ScoreError(
            f"{static}: expected the fine grid {fine.name}, {fine.shape[0]} x {fine.shape[1]} cells from "
            f"{fine.lat[0]:g} N {fine.lon[0]:g} E, found {region.shape[0]} x {region.shape[1]} from "
            f"{float(lats[0]):g} N {float(lons[0]):g} E; rerun regrid_static"
        )
    return region


def read_blocks(
    product: Path, reference: Path, truth: Path | None, references: Sequence[str], grid: Grid
) -> Iterator[Block]:
    """Blocks of one month in the order of time.

    Raises
    ------
    ScoreError
        When a file lacks a variable, lies on other cells, or lacks a stamp of the product.
    """
    with xr.open_dataset(product) as made, xr.open_dataset(reference) as others:
        _check(made, product, ("soil_moisture", "soil_moisture_uncertainty", "flag"), grid)
        _check(others, reference, references, grid)
        stamps = made["time"].values.astype("M8[ns]")
        positions = _positions(others, reference, stamps, product)
        exact = None if truth is None else xr.open_dataset(truth)
        try:
            if exact is not None and truth is not None:
                _check(exact, truth, ("soil_moisture", "frozen", "snow"), grid)
                true_positions = _positions(exact, truth, stamps, product)
            for first in range(0, stamps.size, BLOCK_STEPS):
                rows = slice(first, first + BLOCK_STEPS)
                fields = {PRODUCT: _values(made["soil_moisture"], rows)}
                fields |= {name: _values(others[name], positions[rows]) for name in references}
                yield Block(
                    stamps[rows],
                    fields,
                    _values(made["soil_moisture_uncertainty"], rows),
                    _flags(made, rows, FLAG_BITS["frozen"]),
                    _flags(made, rows, FLAG_BITS["snow"]),
                    None if exact is None else scorable(exact, true_positions[rows]),
                )
        finally:
            if exact is not None:
                exact.close()


def _values(variable: xr.DataArray, rows: slice | np.ndarray) -> np.ndarray:
    return variable.isel(time=rows).transpose("time", "lat", "lon").values.astype(np.float32)


def _flags(product: xr.Dataset, rows: slice, bit: int) -> np.ndarray:
    flags = np.nan_to_num(_values(product["flag"], rows)).astype(np.uint8)
    return (flags & bit) > 0


def scorable(truth: xr.Dataset, rows: np.ndarray) -> np.ndarray:
    """The truth (time, lat, lon) of some steps, NaN where the ground is frozen or under snow."""
    moisture = _values(truth["soil_moisture"], rows)
    hidden = (_values(truth["frozen"], rows) != 0) | (_values(truth["snow"], rows) != 0)
    return np.where(hidden, np.float32(np.nan), moisture)


def _check(dataset: xr.Dataset, path: Path, names: Sequence[str], grid: Grid) -> None:
    missing = [name for name in (*names, "time", "lat", "lon") if name not in dataset.variables]
    if missing:
        raise ScoreError(
            f"{path}: expected the variables {', '.join(names)} on time, lat, lon; {', '.join(missing)} missing; "
            "rerun the rule that made the file"
        )
    lat, lon = dataset["lat"].values, dataset["lon"].values
    if (
        (lat.size, lon.size) != grid.shape
        or not np.allclose(lat, grid.lat, rtol=0, atol=1e-4)
        or not np.allclose(lon, grid.lon, rtol=0, atol=1e-4)
    ):
        raise ScoreError(
            f"{path}: expected the cells of the static file, {grid.shape[0]} x {grid.shape[1]} from {grid.lat[0]:g} N "
            f"{grid.lon[0]:g} E to {grid.lat[-1]:g} N {grid.lon[-1]:g} E; found {lat.size} x {lon.size} from "
            f"{float(lat[0]):g} N {float(lon[0]):g} E; the files belong to different regions, rerun the older one"
        )


def _positions(dataset: xr.Dataset, path: Path, stamps: np.ndarray, product: Path) -> np.ndarray:
    times = dataset["time"].values.astype("M8[ns]")
    position = np.searchsorted(times, stamps)
    found = times[np.minimum(position, times.size - 1)] == stamps
    if not found.all():
        raise ScoreError(
            f"{path}: expected every stamp of {product}; {str(stamps[~found][0])[:16]} is missing "
            f"({int((~found).sum())} of {stamps.size}); rerun the rule that made the file"
        )
    return position
