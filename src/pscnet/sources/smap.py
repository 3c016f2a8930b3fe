"""SMAP granules in, one month of retrievals on their own cells out, never resampled.

Layout of a clean month (``open_month``, ``write_month``); a day's AM half is ``half_orbit`` 2 d, its PM half 2 d + 1:

====================  ==========================  =================================================================
name                  dims, type                  meaning
====================  ==========================  =================================================================
soil_moisture         (half_orbit, y, x) float32  m3 m-3, NaN where no retrieval is accepted
time_offset           same, float64               hours from the month's first 00 UTC to that retrieval, NaN where
                                                  none; below 0 for an overpass on the evening before the month
quality               same, uint8                 0 recommended, 1 accepted by the lenient mask only, 255 none
soil_moisture_error   same, float32               m3 m-3, the noise given for the quality class
freeze_thaw_fraction  same, float32               1, frozen share of the cell
surface_flag          same, uint16                bits of the provider, 65534 none
date, half            (half_orbit,)               day of the granule, ``AM`` or ``PM``
lat, lon, row,        (y,), (x,)                  cell centres [degree] and EASE-Grid 2.0 indices
column
====================  ==========================  =================================================================

Where cells are withheld (held-out regions), their retrievals lie in ``soil_moisture_withheld``,
``time_offset_withheld``, ``quality_withheld`` and ``soil_moisture_error_withheld`` instead, of the same layout, and the
variables without that ending have none there: what reads a month sees them only if it asks for them by name.

Attributes: ``granules`` (the files used), ``missing_days``, ``missing_halves``, ``outside_valid_range`` and
``without_time`` (counts of accepted retrievals left out for that reason).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from pscnet.grids import EASE2_GRIDS, Grid, centres_in
from pscnet.sources import SourceError, complaint
from pscnet.sources import manifest as manifests
from pscnet.sources.atomic import replacing
from pscnet.sources.smap_flags import LENIENT, NO_FLAG, NONE, RECOMMENDED, quality_class
from pscnet.sources.smap_granule import EARLIEST, HALVES, LATEST, Half, day_of, halves_in, opened, read_half, version_of
from pscnet.timeaxis import month_days
from pscnet.variables import SMAP_VALID_RANGE

logger = logging.getLogger(__name__)

#: Noise of a retrieval [m3 m-3] by quality class: 0.04 is SMAP's requirement (ubRMSE), met on core sites
#: (Colliander et al. 2017, doi:10.1016/j.rse.2017.01.021).
NOISE = {"recommended": 0.04, "lenient": 0.06}

#: What tells of a retrieval, and the value where there is none; the ending under which withheld cells have it.
MOVED: dict[str, float] = {
    "soil_moisture": np.nan,
    "time_offset": np.nan,
    "quality": NONE,
    "soil_moisture_error": np.nan,
}
WITHHELD = "_withheld"

#: Share of accepted retrievals outside the valid range from which the unit, not the retrieval, is in doubt.
WRONG_UNIT_SHARE = 0.5


def open_month(
    paths: Iterable[str | Path],
    grid: Grid,
    month: str,
    quality: Literal["recommended", "lenient"] = "recommended",
    noise: Mapping[str, float] = NOISE,
) -> xr.Dataset:
    """The clean month of a set of granules, in memory.

    Parameters
    ----------
    paths : iterable of path
        Granules; of those of one day the latest version is used, those of other months are left out.
    grid : Grid
        Window of an EASE-Grid 2.0: M36 for SPL3SMP, M09 for SPL3SMP_E.
    month : str
        ``YYYY-MM``.
    quality : {"recommended", "lenient"}
        Which mask; see :mod:`pscnet.sources.smap_flags`.
    noise : mapping
        Standard deviation [m3 m-3] of ``recommended`` and ``lenient`` retrievals.

    Returns
    -------
    Dataset
        See the module's table.

    Raises
    ------
    SourceError
    """
    if quality not in ("recommended", "lenient"):
        raise SourceError(f"smap.quality: expected recommended or lenient; found {quality!r}. Use one of them.")
    if grid.name not in EASE2_GRIDS:
        raise SourceError(f"SMAP {month}: expected an EASE-Grid 2.0; found the grid {grid.name!r}. Use M36 or M09.")
    days = month_days(month)
    chosen = _latest(paths, set(days))
    if not chosen:
        raise complaint(f"SMAP {month}", "granules of that month", "none", "add SPL3SMP granules of that month")
    fields = _Fields(len(days), grid, month, quality, noise)
    missing_halves = []
    for index, day in enumerate(days):
        if day not in chosen:
            continue
        missing_halves += [f"{day} {half}" for half in _put_granule(fields, index, chosen[day], grid, day)]
    attrs = {
        "month": month,
        "quality_mask": quality,
        "granules": ", ".join(Path(path).name for _, path in sorted(chosen.items())),
        "missing_days": ", ".join(day for day in days if day not in chosen),
        "missing_halves": ", ".join(missing_halves),
    }
    return fields.dataset(days, attrs)


def _put_granule(fields: _Fields, index: int, path: Path, grid: Grid, day: str) -> list[str]:
    """Store the half-orbits of the day with that index; return those that the granule lacks."""
    with opened(path) as file:
        present = halves_in(file)
        if not present:
            raise complaint(
                path,
                f"the groups {' and '.join(group for group, _ in HALVES.values())}",
                f"neither (only {', '.join(file) or 'nothing'})",
                "delete it and download the granule again",
            )
        for half in present:
            fields.put(2 * index + list(HALVES).index(half), read_half(file, path, half, grid, day), path)
    missing = [half for half in HALVES if half not in present]
    for half in missing:
        logger.warning("%s: no %s group; that half-orbit stays empty", path, half)
    return missing


def write_month(
    manifest: str | Path,
    grid: Grid,
    month: str,
    quality: Literal["recommended", "lenient"],
    noise: Mapping[str, float],
    out: str | Path,
    withheld: Sequence[Mapping[str, tuple[float, float]]] = (),
) -> None:
    """Write the clean month of the granules that a manifest lists; ``out`` is replaced only when it is complete.

    ``withheld`` are boxes (``lat``: south and north, ``lon``: west and east [degree]); see :func:`withhold`.

    Raises
    ------
    SourceError
    """
    listed = manifests.read(manifest)
    if listed.source != "smap" or listed.month != month:
        raise complaint(
            manifest, f"the manifest of smap {month}", f"that of {listed.source} {listed.month}", "write it again"
        )
    content = withhold(open_month(listed.paths(), grid, month, quality, noise), grid, withheld)
    encoding = {name: {"zlib": True, "complevel": 1, "chunksizes": content[name].shape} for name in content.data_vars}
    with replacing(out) as part:
        content.to_netcdf(part, engine="netcdf4", format="NETCDF4", encoding=encoding)


def withhold(content: xr.Dataset, grid: Grid, boxes: Sequence[Mapping[str, tuple[float, float]]]) -> xr.Dataset:
    """A clean month with the retrievals of some cells moved aside.

    Parameters
    ----------
    content : Dataset (half_orbit, y, x)
        See the module's table.
    grid : Grid
    boxes : sequence of mapping
        ``lat``, ``lon``; cells whose centres lie in one of them are withheld.

    Returns
    -------
    Dataset
        With the variables :data:`MOVED` once more under a name with :data:`WITHHELD`; as it is without boxes.
    """
    if not boxes:
        return content
    cells = np.logical_or.reduce([centres_in(grid, tuple(box["lat"]), tuple(box["lon"])) for box in boxes])
    made = content.assign_attrs(withheld_cells=int(cells.sum()))
    for name, none in MOVED.items():
        values = content[name]
        made[f"{name}{WITHHELD}"] = values.copy(data=np.where(cells, values.values, none).astype(values.dtype))
        made[name] = values.copy(data=np.where(cells, none, values.values).astype(values.dtype))
    return made


def _latest(paths: Iterable[str | Path], days: set[str]) -> dict[str, Path]:
    """Day to granule: of several granules of one day the one with the highest release, then counter.

    Raises
    ------
    SourceError
        Two different files claim the same day and version.
    """
    found: dict[str, list[Path]] = defaultdict(list)
    for path in map(Path, paths):
        with opened(path) as file:
            day = day_of(file, path)
        if day in days:
            found[day].append(path)
    chosen = {}
    for day, rivals in found.items():
        best = max(version_of(path) for path in rivals)
        equals = sorted(path for path in rivals if version_of(path) == best)
        if len(equals) > 1 and len({manifests.hash_file(path) for path in equals}) > 1:
            raise complaint(
                equals[1],
                f"one granule of {day} and version {best}",
                f"a different one: {equals[0]}",
                "take the wrong one out of the archive",
            )
        chosen[day] = equals[0]
    return chosen


class _Fields:
    """The arrays of a month, filled half-orbit by half-orbit."""

    def __init__(self, days: int, grid: Grid, month: str, quality: str, noise: Mapping[str, float]) -> None:
        shape = (2 * days, *grid.shape)
        self.grid, self.start, self.lenient = grid, np.datetime64(month, "ns"), quality == "lenient"
        self.noise = {RECOMMENDED: noise["recommended"], LENIENT: noise["lenient"]}
        self.soil_moisture = np.full(shape, np.nan, "f4")
        self.time_offset = np.full(shape, np.nan, "f8")
        self.quality = np.full(shape, NONE, "u1")
        self.error = np.full(shape, np.nan, "f4")
        self.frozen = np.full(shape, np.nan, "f4")
        self.surface = np.full(shape, NO_FLAG, "u2")
        self.outside_valid_range = 0
        self.without_time = 0

    def put(self, index: int, half: Half, path: Path) -> None:
        """Store one half-orbit, accepting retrievals by flags, valid range and known time."""
        classes = quality_class(half.retrieval_flag, half.surface_flag)
        if not self.lenient:
            classes[classes == LENIENT] = NONE
        classes[np.isnan(half.soil_moisture)] = NONE
        self._drop_invalid(classes, half.soil_moisture, path)
        day = self.start + np.timedelta64(index // 2, "D")
        with np.errstate(invalid="ignore"):
            timed = (half.time >= day + EARLIEST) & (half.time <= day + LATEST)
        self.without_time += int(((classes != NONE) & ~timed).sum())
        classes[~timed] = NONE
        accepted = classes != NONE
        self.quality[index] = classes
        self.soil_moisture[index][accepted] = half.soil_moisture[accepted]
        self.time_offset[index][accepted] = (half.time[accepted] - self.start) / np.timedelta64(1, "h")
        for value, noise in self.noise.items():
            self.error[index][classes == value] = noise
        self.frozen[index] = half.freeze_thaw_fraction
        self.surface[index] = half.surface_flag

    def _drop_invalid(self, classes: np.ndarray, soil_moisture: np.ndarray, path: Path) -> None:
        low, high = SMAP_VALID_RANGE
        accepted = classes != NONE
        # float32 cannot hold 0.02 exactly, and 0.02 is a common value: the retrieval's lower limit.
        outside = accepted & ~((soil_moisture >= low - 1e-6) & (soil_moisture <= high + 1e-6))
        if outside.sum() > WRONG_UNIT_SHARE * max(accepted.sum(), 1):
            raise complaint(
                path,
                f"soil_moisture in cm**3/cm**3, within {low:g} to {high:g}",
                f"{int(outside.sum())} of {int(accepted.sum())} accepted retrievals outside, "
                f"such as {soil_moisture[outside][0]:.4g}",
                "check its unit (percent is not converted) and download it again",
            )
        self.outside_valid_range += int(outside.sum())
        classes[outside] = NONE

    def dataset(self, days: list[str], attrs: Mapping[str, str]) -> xr.Dataset:
        """The arrays with their coordinates and attributes."""
        dims = ("half_orbit", "y", "x")
        ny, nx = self.grid.shape
        content = {
            "soil_moisture": (dims, self.soil_moisture, {"units": "m3 m-3", "long_name": "SMAP soil moisture, 0-5 cm"}),
            "time_offset": (dims, self.time_offset, {"long_name": f"hours since {self.start.astype('M8[h]')} UTC"}),
            "quality": (dims, self.quality, {"long_name": "0 recommended, 1 lenient mask only, 255 none"}),
            "soil_moisture_error": (
                dims,
                self.error,
                {"units": "m3 m-3", "long_name": "noise, one standard deviation"},
            ),
            "freeze_thaw_fraction": (dims, self.frozen, {"units": "1", "long_name": "frozen share of the cell"}),
            "surface_flag": (dims, self.surface, {"long_name": "SMAP surface flag bits, 65534 none"}),
        }
        coords = {
            "date": ("half_orbit", np.repeat(np.array(days, "M8[ns]"), 2)),
            "half": ("half_orbit", np.array(list(HALVES) * len(days))),
            "lat": ("y", self.grid.lat, {"units": "degrees_north"}),
            "lon": ("x", self.grid.lon, {"units": "degrees_east"}),
            "row": ("y", np.arange(self.grid.row0, self.grid.row0 + ny, dtype="i4")),
            "column": ("x", np.arange(self.grid.col0, self.grid.col0 + nx, dtype="i4")),
        }
        counts = {"outside_valid_range": self.outside_valid_range, "without_time": self.without_time}
        return xr.Dataset(content, coords=coords, attrs={**attrs, **counts})
