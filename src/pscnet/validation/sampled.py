"""Whole series of a run at a lattice of its cells: what events, daily cycles and spectra in time need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.timeaxis import STEP_HOURS
from pscnet.validation import PRODUCT, ScoreError, methods_of
from pscnet.validation.lattice import lattice
from pscnet.validation.presence import require_months
from pscnet.validation.satellite import in_intervals
from pscnet.validation.series import Block, matched_months, read_blocks, read_region

Intervals = Sequence[tuple[object, object]]

#: What the truth is called among the fields.
TRUTH = "truth"

_STEP = np.timedelta64(STEP_HOURS, "h")


@dataclass
class Sampled:
    """Series at some cells on an axis of 3-hour steps without gap.

    Attributes
    ----------
    times : datetime64 (time,)
    lat, lon : ndarray (cell,) [degree]
    rows, columns : ndarray (cell,)
        Positions on the fine grid.
    fields : dict of str to float32 (time, cell) [m3 m-3]
        Methods and, where it is known, the truth; all on one mask, NaN outside the test days.
    rain : float32 (time, cell) [mm] or None
        ERA5-Land's rain in the three hours before each stamp; None where it is no predictor.
    region_cells : int
        Cells of the region.
    """

    times: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    fields: dict[str, np.ndarray]
    rain: np.ndarray | None
    region_cells: int

    @property
    def methods(self) -> list[str]:
        """Names of the fields but the truth."""
        return [name for name in self.fields if name != TRUTH]

    @property
    def truth(self) -> np.ndarray | None:
        """The truth (time, cell), where it is known."""
        return self.fields.get(TRUTH)


def read_sampled(
    *,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    predictors: Sequence[str | Path],
    static: str | Path,
    fine: Grid,
    test_intervals: Intervals,
    truths: Sequence[str | Path] = (),
    most_cells: int,
    each: Callable[[np.ndarray, dict[str, np.ndarray]], None] | None = None,
) -> Sampled:
    """Read the test months once, block by block.

    Parameters
    ----------
    products, references, predictors, truths : paths
        Of each month of the test split, in the order of time; no ``truths`` where there are none.
    static : path
    fine : Grid
    test_intervals : list of (start, end), half-open
    most_cells : int
        Most cells of the lattice.
    each : function of (times, fields), optional
        Is given every block's whole fields (time, lat, lon) on the common mask.

    Raises
    ------
    ScoreError
        When the files do not belong together, or hold nothing on test days.
    """
    months = matched_months(products, references, truths)
    require_months(products, test_intervals, "the product", "product_month")
    region = read_region(static, fine)
    rows, columns = lattice(region, most_cells)
    with xr.open_dataset(months[0][1]) as first:
        names = methods_of(first.variables, months[0][1], product=False)
    spans = [(np.datetime64(first, "ns"), np.datetime64(end, "ns")) for first, end in test_intervals]
    # From midnight on, so that eight steps are a day.
    times = np.arange(min(spans)[0].astype("M8[D]").astype("M8[ns]"), max(end for _, end in spans), _STEP)
    wanted = [PRODUCT, *names, *([TRUTH] if truths else [])]
    fields = {name: np.full((times.size, rows.size), np.nan, np.float32) for name in wanted}
    for product, reference, truth in months:
        for block in read_blocks(product, reference, truth, names, fine):
            kept = in_intervals(block.times, spans)
            if not kept.any():
                continue
            masked = _masked(block, region, kept)
            position = ((block.times[kept] - times[0]) // _STEP).astype(int)
            for name, values in masked.items():
                fields[name][position] = values[:, rows, columns]
            if each is not None:
                each(block.times[kept], masked)
    if not np.isfinite(fields[PRODUCT]).any():
        raise ScoreError(
            "no cell and step on test days with a value of every method (and the truth, where it is known); check the "
            "product, the reference fields and the split"
        )
    rain = _rain(predictors, times, rows, columns)
    return Sampled(times, fine.lat[rows], fine.lon[columns], rows, columns, fields, rain, int(region.sum()))


def _masked(block: Block, region: np.ndarray, kept: np.ndarray) -> dict[str, np.ndarray]:
    mask = block.scored(region)[kept]
    fields = dict(block.fields) if block.truth is None else block.fields | {TRUTH: block.truth}
    return {name: np.where(mask, values[kept], np.float32(np.nan)) for name, values in fields.items()}


def _rain(paths: Sequence[str | Path], times: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
    """Rain [mm] of each step, NaN where a file does not hold it; None where no file has rain."""
    rain = np.full((times.size, rows.size), np.nan, np.float32)
    found = False
    for path in paths:
        with xr.open_dataset(path) as data:
            if "tp" not in data:
                continue
            found = True
            stamps = data["time"].values.astype("M8[ns]")
            here = np.flatnonzero((stamps >= times[0]) & (stamps <= times[-1]))
            values = data["tp"].transpose("time", "lat", "lon").isel(time=here).values[:, rows, columns]
            rain[((stamps[here] - times[0]) // _STEP).astype(int)] = 1000.0 * values
    return rain if found else None
