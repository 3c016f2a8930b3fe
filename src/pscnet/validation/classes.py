"""Which pairs belong together: seasons, overpasses, and classes of cells by wetness, height and land cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.regrid import apply
from pscnet.samples.retrievals import retrieval_times
from pscnet.scores import MINIMUM_RETRIEVALS
from pscnet.sources.land_cover import IGBP, majority_class
from pscnet.timeaxis import Split, nearest_stamp
from pscnet.validation.pairs import Pairs
from pscnet.validation.regions import only_withheld
from pscnet.validation.seasons import season_of, seasons_of
from pscnet.weights import Weights


@dataclass(frozen=True)
class Classes:
    """Classes of cells.

    Attributes
    ----------
    labels : list of str
    number : ndarray (y, x) of int
        Position in ``labels``; -1 for cells of no class.
    """

    labels: list[str]
    number: np.ndarray

    def groups(self, pairs: Pairs) -> dict[str, np.ndarray]:
        """Label to the pairs (bool) of its cells, of classes that have any."""
        of_pair = self.number.ravel()[pairs.cell]
        found = {label: of_pair == position for position, label in enumerate(self.labels)}
        return {label: keep for label, keep in found.items() if keep.any()}


def seasons(pairs: Pairs) -> dict[str, np.ndarray]:
    """Season to the pairs (bool) of it, of seasons that have any."""
    season = season_of(pairs.times)
    return {label: season == number for number, label in seasons_of(pairs.times)}


def overpasses(pairs: Pairs, lon: np.ndarray) -> dict[str, np.ndarray]:
    """The pairs (bool) of the morning (06 h) and of the evening overpass (18 h local solar time)."""
    morning = pairs.mornings(lon)
    found = {"AM, 06 h": morning, "PM, 18 h": ~morning}
    return {label: keep for label, keep in found.items() if keep.any()}


def training_mean(smap: Sequence[str | Path], split: Split) -> np.ndarray:
    """Mean retrieval (y, x) [m3 m-3] of each cell on training days; NaN with fewer than ten.

    Cells that are withheld have one too: it only says which class they are in.
    """
    total: np.ndarray | float = 0.0
    count: np.ndarray | int = 0
    for path in smap:
        with xr.open_dataset(path) as month:
            for part in (month, only_withheld(month)):
                if part is None:
                    continue
                value = part["soil_moisture"].values
                good = np.isfinite(value) & split.part_of_blocks("train", nearest_stamp(retrieval_times(part)))
                total = total + np.where(good, value, 0.0).sum(0)
                count = count + good.sum(0)
    return np.where(count >= MINIMUM_RETRIEVALS, total / np.maximum(count, 1), np.nan)


def terciles(field: np.ndarray, scored: np.ndarray, names: tuple[str, str, str], unit: str, digits: int) -> Classes:
    """Three classes of about as many cells each.

    Parameters
    ----------
    field : ndarray (y, x)
        What the cells are sorted by; NaN for those of no class.
    scored : ndarray (y, x) bool
        Cells that the limits come from.
    names : names of the lowest, the middle and the highest class
    unit, digits : how the limits are written
    """
    known = field[scored & np.isfinite(field)]
    if known.size == 0:
        return Classes([], np.full(field.shape, -1))
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    written = [f"{limit:.{digits}f}" for limit in (low, high)]
    labels = [
        f"{names[0]} (below {written[0]} {unit})",
        f"{names[1]} ({written[0]} to {written[1]} {unit})",
        f"{names[2]} (above {written[1]} {unit})",
    ]
    number = (field > low).astype(int) + (field > high)
    return Classes(labels, np.where(np.isfinite(field), number, -1))


def elevation_of_cells(static: str | Path, fine_to_coarse: Weights) -> np.ndarray:
    """Mean elevation (y, x) [m] of the region's land in each coarse cell."""
    with xr.open_dataset(static) as fields:
        elevation = np.where(fields["region"].values > 0, fields["elevation"].values, np.nan)
    return apply(fine_to_coarse, elevation)[0]


def land_cover(path: str | Path, fine_to_coarse: Weights) -> Classes:
    """Classes of land by the IGBP class that covers most of each coarse cell."""
    cover = majority_class(path, fine_to_coarse.dst)
    labels = sorted({IGBP[value] for value in np.unique(cover[cover >= 0])})
    number = np.full(cover.shape, -1)
    for value, name in IGBP.items():
        if name in labels:
            number[cover == value] = labels.index(name)
    return Classes(labels, number)
