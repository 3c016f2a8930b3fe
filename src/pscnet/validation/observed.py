"""How long ago did SMAP see a place, and how far away in time is the nearest look, before or after."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.samples.retrievals import retrieval_times

_HOUR = np.timedelta64(1, "h").astype("m8[ns]")


class Looks:
    """Times of the accepted retrievals of each coarse cell.

    Parameters
    ----------
    smap : paths of ``smap/{month}.nc``, in the order of time

    Attributes
    ----------
    columns : int
        Columns of the coarse grid.
    """

    def __init__(self, smap: Sequence[str | Path]) -> None:
        times = []
        self.columns = 0
        for path in smap:
            with xr.open_dataset(path) as data:
                self.columns = data.sizes["x"]
                seen = np.isfinite(data["soil_moisture"].values)
                found = np.where(seen, retrieval_times(data), np.datetime64("NaT"))
            times.append(found.reshape(len(found), -1))
        together = np.concatenate(times)
        columns = (np.sort(column[~np.isnat(column)]) for column in together.T)
        self._of_cell = [column.astype("M8[ns]") for column in columns]

    def hours(self, stamps: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hours (stamp, n) since the last retrieval, and to the nearest one; inf where there is none.

        Parameters
        ----------
        stamps : datetime64 (stamp,)
        cells : int (n,)
            Flat positions of coarse cells; of -1 the hours are NaN.
        """
        stamps = np.asarray(stamps).astype("M8[ns]")
        since, nearest = (np.full((stamps.size, cells.size), np.nan) for _ in range(2))
        for cell in np.unique(cells[cells >= 0]):
            here = cells == cell
            back, to_nearest = self._around(stamps, cell, 0.0)
            since[:, here], nearest[:, here] = back[:, None], to_nearest[:, None]
        return since, nearest

    def hours_of_pairs(
        self, times: np.ndarray, cells: np.ndarray, leave_out_hours: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same (n,) of pairs of time and cell, retrievals within ``leave_out_hours`` of the time left out."""
        times = np.asarray(times).astype("M8[ns]")
        since, nearest = (np.full(times.size, np.nan) for _ in range(2))
        for cell in np.unique(cells):
            here = cells == cell
            since[here], nearest[here] = self._around(times[here], cell, leave_out_hours)
        return since, nearest

    def _around(self, stamps: np.ndarray, cell: int, gap_hours: float) -> tuple[np.ndarray, np.ndarray]:
        """Hours (stamp,) since the last and to the nearest look of one cell that is farther than the gap."""
        looks = self._of_cell[cell]
        gap = np.timedelta64(round(gap_hours * 3600), "s")
        padded = np.concatenate([[np.datetime64("NaT", "ns")], looks, [np.datetime64("NaT", "ns")]])
        back = (stamps - padded[np.searchsorted(looks, stamps - gap, side="right")]) / _HOUR
        ahead = (padded[np.searchsorted(looks, stamps + gap, side="right") + 1] - stamps) / _HOUR
        back, ahead = (np.where(np.isnan(side), np.inf, side) for side in (back, ahead))
        return back, np.minimum(back, ahead)
