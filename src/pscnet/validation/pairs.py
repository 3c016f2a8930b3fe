"""Retrievals beside what methods say of them: the table from which agreement with SMAP is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.validation import ScoreError, methods_of
from pscnet.validation.anomalies import anomalies
from pscnet.validation.satellite import in_intervals


@dataclass(frozen=True)
class Pairs:
    """Retrievals and predictions, all of them finite; arrays (pair,).

    Attributes
    ----------
    times : datetime64[ns], stamp of the overpass
    cell : int, position on the coarse grid, row by row
    shape : (y, x) of that grid
    smap, noise : [m3 m-3], the retrieval and the standard deviation of its noise (NaN where it is not known)
    fields : dict of method to ndarray [m3 m-3]
    hidden_days : [day], 0 where the overpass alone was left out
    """

    times: np.ndarray
    cell: np.ndarray
    shape: tuple[int, int]
    smap: np.ndarray
    noise: np.ndarray
    fields: dict[str, np.ndarray]
    hidden_days: np.ndarray

    @property
    def size(self) -> int:
        """Number of pairs."""
        return self.times.size

    def where(self, keep: np.ndarray) -> Pairs:
        """The pairs that ``keep`` (pair, bool) holds."""
        arrays = {name: getattr(self, name)[keep] for name in ("times", "cell", "smap", "noise", "hidden_days")}
        return replace(self, **arrays, fields={name: field[keep] for name, field in self.fields.items()})

    def anomalies(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Departures of the retrievals, and of each method, from their own 35-day means in the same cell.

        Overpasses come every two or three days: the mean is over those within 17.5 days on both sides at which there
        is a pair, at least five; a morning and an evening count alike. See :mod:`pscnet.validation.anomalies`.

        Returns
        -------
        smap, fields : ndarray (pair,) and dict of them [m3 m-3], NaN where a window holds too few
        """
        stamps, row = np.unique(self.times, return_inverse=True)
        cells, column = np.unique(self.cell, return_inverse=True)

        def departures(values: np.ndarray) -> np.ndarray:
            matrix = np.full((stamps.size, cells.size), np.nan)
            matrix[row, column] = values
            return anomalies(matrix, stamps)[row, column]

        return departures(self.smap), {name: departures(field) for name, field in self.fields.items()}

    def mornings(self, lon: np.ndarray) -> np.ndarray:
        """Which pairs (bool) are of SMAP's 06 h overpass, not of its 18 h one; ``lon`` (x,) [degree] of the cells."""
        hour = (self.times - self.times.astype("M8[D]")) / np.timedelta64(1, "h")
        local = (hour + lon[self.cell % self.shape[1]] / 15.0) % 24  # the Earth turns 15 degrees an hour
        # The stamp lies up to 1.5 h from the overpass: what is nearer to 06 than to 18 h is a morning.
        return np.abs(local - 6.0) < 6.0


def make_pairs(
    columns: dict[str, np.ndarray], methods: Sequence[str], shape: tuple[int, int], keep: np.ndarray | None = None
) -> Pairs:
    """Pairs from columns named as in ``heldout.nc``; those without a value of every method are left out."""
    size = columns["smap"].size
    good = np.ones(size, bool) if keep is None else keep.copy()
    fields = {name: columns[name].astype(float) for name in methods}
    smap = columns["smap"].astype(float)
    good &= np.logical_and.reduce([np.isfinite(values) for values in (smap, *fields.values())])
    made = Pairs(
        columns["time"].astype("M8[ns]"),
        columns["y"].astype(int) * shape[1] + columns["x"].astype(int),
        shape,
        smap,
        columns.get("noise", np.full(size, np.nan)).astype(float),
        fields,
        columns.get("hidden_days", np.zeros(size)).astype(float),
    )
    return made.where(good)


def read_pairs(
    path: str | Path, shape: tuple[int, int], intervals: Sequence[tuple[np.datetime64, np.datetime64]]
) -> Pairs:
    """The pairs of a ``heldout.nc`` inside half-open intervals, whatever was hidden around them.

    Raises
    ------
    ScoreError
        When the file has another layout, or no pair is left.
    """
    path = Path(path)
    with xr.open_dataset(path) as file:
        methods = methods_of(file.variables, path, product=True)
        missing = [name for name in ("time", "y", "x", "smap", "noise", "hidden_days") if name not in file.variables]
        if missing:
            raise ScoreError(
                f"{path}: expected time, y, x, smap, noise and hidden_days on the dimension pair; {', '.join(missing)} "
                "missing; rerun verify_heldout"
            )
        columns = {str(name): file[name].values for name in file.variables}
    made = make_pairs(columns, methods, shape, in_intervals(columns["time"].astype("M8[ns]"), intervals))
    if not (made.hidden_days == 0).any():
        raise ScoreError(
            f"{path}: no pair to score: {columns['smap'].size} pairs, none on test days with a value of every method; "
            "check the split and verify_heldout"
        )
    return made
