"""Detail within the 36 km cells beside SMAP's 9 km product (SPL3SMP_E): correlation of departures from the cell's mean.

SPL3SMP_E is made of the same antenna data as SPL3SMP, interpolated more finely (Chan et al. 2018, Remote Sensing of
Environment 204, 931): its own resolution is about 33 km, so that most of what it shows within a cell is the gradient
between cells. Therefore departures are taken twice: from the cell's mean (plain), and from the smooth field that keeps
the means of all cells (beyond), which no interpolation of 36 km values can show; see :class:`pscnet.scores.SubPixel`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid, ease2_grid
from pscnet.regrid import apply, make_weights
from pscnet.samples.retrievals import retrieval_times
from pscnet.scores import DETAIL_FLOOR, PairMoments, SubPixel
from pscnet.sources import manifest as manifests
from pscnet.sources.smap import open_month
from pscnet.timeaxis import nearest_stamp
from pscnet.validation import METHODS, PRODUCT, ScoreError, methods_of
from pscnet.validation.agreement import Bootstrap
from pscnet.validation.document import Column, Document, Row, ScoreTable
from pscnet.validation.presence import month_of
from pscnet.validation.resampling import draw_pooled, interval_of
from pscnet.validation.satellite import in_intervals
from pscnet.weights import Weights

#: Source of the manifests of SPL3SMP_E.
SOURCE = "smap_e"

_KINDS = ("plain", "beyond")


def enhanced_grid(fine: Grid) -> Grid:
    """The 9 km cells whose centres lie in the box of the fine grid's nodes."""
    box = (float(fine.lat[-1]), float(fine.lat[0])), (float(fine.lon[0]), float(fine.lon[-1]))
    return ease2_grid(*box, "M09", cells="centred")


def subpixel_table(
    document: Document,
    enhanced: Sequence[str | Path],
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    fine_to_coarse: Weights,
    intervals: Sequence[tuple[np.datetime64, np.datetime64]],
    bootstrap: Bootstrap,
) -> list[ScoreTable]:
    """The table of detail; none, and a word in the document's note, where the archive has no 9 km product.

    Parameters
    ----------
    enhanced : paths of manifests of SPL3SMP_E, each with its month in its name
    products, references : paths of the test months
    fine_to_coarse : Weights
    intervals : list of [start, end)
    bootstrap : Bootstrap

    Raises
    ------
    ScoreError, SourceError
    """
    if not enhanced:
        document.note += " The archive holds no SPL3SMP_E of the test months: detail within cells is not scored."
        return []
    made = {month_of(path): Path(path) for path in products}
    fields = {month_of(path): Path(path) for path in references}
    with xr.open_dataset(next(iter(fields.values()))) as first:
        names = methods_of(first.variables, next(iter(fields.values())), product=False)
    detail = Detail(fine_to_coarse.src, fine_to_coarse.dst, bootstrap, (PRODUCT, *names))
    for path in enhanced:
        month = month_of(path)
        if month not in made or month not in fields:
            raise ScoreError(f"{path}: expected product and references of {month}; found none; make them first")
        sources = {PRODUCT: (made[month], "soil_moisture")} | {name: (fields[month], name) for name in names}
        for stamp, observed in enhanced_fields(path, str(month), detail.grid):
            if in_intervals(np.array([stamp]), intervals).all():
                detail.update(stamp, observed, {name: _at(stamp, *source) for name, source in sources.items()})
    return [detail.table()]


def enhanced_fields(manifest: str | Path, month: str, grid: Grid) -> Iterator[tuple[np.datetime64, np.ndarray]]:
    """The 9 km retrievals of a month by stamp: (stamp, field (ny, nx) [m3 m-3], NaN where there is none).

    Raises
    ------
    SourceError
    """
    content = open_month(manifests.read(manifest).paths(), grid, month, "lenient")
    stamps, values = nearest_stamp(retrieval_times(content)), content["soil_moisture"].values
    for half in range(values.shape[0]):
        good = np.isfinite(values[half]) & ~np.isnat(stamps[half])
        for stamp in np.unique(stamps[half][good]):
            yield stamp, np.where(good & (stamps[half] == stamp), values[half], np.nan)


def _at(stamp: np.datetime64, path: Path, variable: str) -> np.ndarray:
    """A field (lat, lon) at a stamp; NaN where the file has no such stamp (a neighbour month's)."""
    with xr.open_dataset(path) as data:
        field = data[variable].transpose("time", "lat", "lon")
        position = np.flatnonzero(data["time"].values.astype("M8[ns]") == stamp)
        return field[int(position[0])].values if position.size else np.full(field.shape[1:], np.nan)


class Detail:
    """Accumulator of the moments of departures within coarse cells, by block of days.

    Parameters
    ----------
    fine, coarse : Grid
    bootstrap : Bootstrap
    methods : names, the product first
    """

    def __init__(self, fine: Grid, coarse: Grid, bootstrap: Bootstrap, methods: Sequence[str]) -> None:
        self.grid = enhanced_grid(fine)
        self._to_grid = make_weights(fine, self.grid, "conservative", "exact")
        self._split = SubPixel(self.grid, coarse)
        self._bootstrap, self.stamps = bootstrap, 0
        self._moments = {
            (name, kind): [PairMoments.zeros() for _ in bootstrap.starts] for name in methods for kind in _KINDS
        }
        self._methods = tuple(methods)

    def update(self, stamp: np.datetime64, observed: np.ndarray, fields: dict[str, np.ndarray]) -> None:
        """Add one stamp: the 9 km retrievals (ny, nx), and fields (lat, lon) of every method."""
        sides = [observed.ravel()[None]]
        for name in self._methods:
            values, share = apply(self._to_grid, fields[name])
            sides.append(np.where(share >= 0.5, values, np.nan).ravel()[None])
        target, *parts = self._split.split(sides)
        if not np.isfinite(target[0]).any():
            return
        self.stamps += 1
        block = int(np.searchsorted(self._bootstrap.starts, stamp, side="right")) - 1
        for name, part in zip(self._methods, parts, strict=True):
            for kind, mine, seen in zip(_KINDS, part, target, strict=True):
                self._moments[name, kind][block].update(mine.ravel(), seen.ravel())

    def table(self) -> ScoreTable:
        """R of departures of each method with intervals, and paired differences."""
        values, drawn, count, blocks = {}, {}, {}, 0
        for key, parts in self._moments.items():
            present = PairMoments.stack([part for part in parts if part.n > 0] or [PairMoments.zeros()])
            blocks = int((present.n > 0).sum())
            weights = self._bootstrap.weights(max(blocks, 1))
            values[key] = float(present.pooled().r(floor=DETAIL_FLOOR))
            drawn[key] = draw_pooled(present, weights).r(floor=DETAIL_FLOOR)
            count[key] = int(present.n.sum())
        rows = []
        for name in self._methods:
            scores: dict[str, float | int | None] = {kind: values[name, kind] for kind in _KINDS}
            limits = {kind: interval_of(values[name, kind], drawn[name, kind], blocks) for kind in _KINDS}
            rows.append(Row(METHODS[name], scores | {"n": count[name, _KINDS[0]]}, "", limits))
        for name in self._methods[1:]:
            less = {kind: values[PRODUCT, kind] - values[name, kind] for kind in _KINDS}
            limits = {
                kind: interval_of(less[kind], drawn[PRODUCT, kind] - drawn[name, kind], blocks) for kind in _KINDS
            }
            rows.append(Row(f"product minus {METHODS[name]}", {**less}, "difference", limits))
        columns = [
            Column("plain", "R of departures from the cell's mean", better="high"),
            Column("beyond", "R beyond the smooth field", better="high"),
            Column("n", "9 km cells and overpasses", decimals=0),
        ]
        note = (
            f"Beside SPL3SMP_E at {self.stamps} overpass stamps, on 9 km cells, within 36 km cells. It is made of the "
            "same antenna data as the retrievals that the method reads: agreement with SMAP, and no proof of detail."
        )
        return ScoreTable("subpixel", "Detail within 36 km cells beside SMAP's 9 km product", columns, rows, note)
