"""Time series at a few places, for people to look at: product, references, SMAP and, on the twin, the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr
from pytesmo import metrics

from pscnet.grids import Grid
from pscnet.scores import MINIMUM_STEPS
from pscnet.sources.atomic import replacing
from pscnet.validation import METHODS, PRODUCT, ScoreError
from pscnet.validation.series import Block

#: Where default places lie, as shares of the box from its north-west corner.
_SPREAD = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))

#: A place this far [degree] from every cell of the region is a mistake, not a rounded coordinate.
_FARTHEST = 0.3


@dataclass
class Places:
    """Fine cells whose series are kept.

    Attributes
    ----------
    rows, columns : ndarray (place,)
        Positions on the fine grid.
    """

    grid: Grid
    rows: np.ndarray
    columns: np.ndarray
    _blocks: list[dict[str, np.ndarray]] = field(default_factory=list)

    @classmethod
    def choose(cls, grid: Grid, region: np.ndarray, wanted: Sequence[tuple[float, float]] = ()) -> Places:
        """The cells of the region nearest to the ``wanted`` (lat, lon); by default five spread over the box.

        Parameters
        ----------
        region : bool (lat, lon)

        Raises
        ------
        ScoreError
            When the region is empty or a wanted place lies outside it.
        """
        rows, columns = np.nonzero(region)
        if rows.size == 0:
            raise ScoreError("the static file's region holds no land cell: check the region, polygon and min_elevation")
        ny, nx = grid.shape
        targets = list(wanted) or [
            (grid.lat[round(share * (ny - 1))], grid.lon[round(other * (nx - 1))]) for share, other in _SPREAD
        ]
        chosen: list[int] = []
        for lat, lon in targets:
            distance = np.hypot(grid.lat[rows] - lat, (grid.lon[columns] - lon) * np.cos(np.deg2rad(lat)))
            nearest = int(distance.argmin())
            if wanted and distance[nearest] > _FARTHEST:
                raise ScoreError(
                    f"report.places: {lat:g} N {lon:g} E lies {distance[nearest]:.1f} degrees from the nearest land "
                    "cell of the region; move it into the region or remove it"
                )
            if nearest not in chosen:
                chosen.append(nearest)
        return cls(grid, rows[chosen], columns[chosen])

    def update(self, block: Block, steps: np.ndarray) -> None:
        """Keep the series of the ``steps`` (bool) of a block."""

        def at(array: np.ndarray) -> np.ndarray:
            return array[steps][:, self.rows, self.columns]

        kept = {"time": block.times[steps], "uncertainty": at(block.sigma)}
        kept |= {method: at(values) for method, values in block.fields.items()}
        if block.truth is not None:
            kept["truth"] = at(block.truth)
        self._blocks.append(kept)

    def dataset(self, retrievals: xr.Dataset, coarse: Grid) -> xr.Dataset:
        """All series so far, with the SMAP retrievals of the coarse cell of each place.

        Parameters
        ----------
        retrievals : Dataset
            ``time``, ``y``, ``x``, ``smap`` on the dimension ``pair``.
        """
        grid = self.grid
        series = {name: np.concatenate([b[name] for b in self._blocks]) for name in self._blocks[0]}
        times = series.pop("time")
        units = {"units": "m3 m-3"}
        variables = {
            name: (("place", "time"), values.T.astype(np.float32), {**units, "long_name": METHODS.get(name, name)})
            for name, values in series.items()
        }
        found = [self._retrievals(retrievals, coarse, place) for place in range(self.rows.size)]
        longest = max(1, *(times.size for times, _ in found))
        smap_time = np.full((len(found), longest), np.datetime64("NaT", "ns"))
        smap = np.full((len(found), longest), np.nan, dtype=np.float32)
        for place, (when, values) in enumerate(found):
            smap_time[place, : when.size], smap[place, : when.size] = when, values
        variables["smap_time"] = (("place", "retrieval"), smap_time, {})
        variables["smap"] = (("place", "retrieval"), smap, {**units, "long_name": "SMAP retrieval, 36 km"})
        lat, lon = grid.lat[self.rows], grid.lon[self.columns]
        names = [
            f"{abs(y):.1f}° {'N' if y >= 0 else 'S'}, {abs(x):.1f}° {'E' if x >= 0 else 'W'}"
            for y, x in zip(lat, lon, strict=True)
        ]
        coordinates = {"time": times, "name": ("place", names), "lat": ("place", lat), "lon": ("place", lon)}
        return xr.Dataset(variables, coordinates)

    def _retrievals(self, retrievals: xr.Dataset, coarse: Grid, place: int) -> tuple[np.ndarray, np.ndarray]:
        lat, lon = self.grid.lat[self.rows[place]], self.grid.lon[self.columns[place]]
        y = int(np.searchsorted(-coarse.lat_edges, -lat, side="right")) - 1
        x = int(np.searchsorted(coarse.lon_edges, lon, side="right")) - 1
        here = (retrievals["y"].values == y) & (retrievals["x"].values == x)
        times, values = retrievals["time"].values[here].astype("M8[ns]"), retrievals["smap"].values[here]
        order = np.argsort(times, kind="stable")
        return times[order], values[order]


def place_scores(series: xr.Dataset) -> list[dict[str, object]]:
    """R, ubRMSD and bias against the truth at each place, by pytesmo; empty where the truth is not known."""
    if "truth" not in series:
        return []
    rows: list[dict[str, object]] = []
    for place in range(series.sizes["place"]):
        truth = series["truth"].values[place]
        for method in (name for name in METHODS if name in series):
            field = series[method].values[place]
            both = np.isfinite(truth) & np.isfinite(field)
            x, y = field[both].astype(float), truth[both].astype(float)
            enough = x.size >= MINIMUM_STEPS and np.ptp(x) > 0 and np.ptp(y) > 0
            rows.append(
                {
                    "place": str(series["name"].values[place]),
                    "method": method,
                    "r": float(metrics.pearson_r(x, y)) if enough else float("nan"),
                    "ubrmsd": float(metrics.ubrmsd(x, y)) if enough else float("nan"),
                    "bias": float(metrics.bias(x, y)) if enough else float("nan"),
                    "n": int(x.size),
                }
            )
    return rows


def write_places(series: xr.Dataset, path: str | Path) -> None:
    """Write the series, replacing ``path`` only by a complete file."""
    series.attrs["title"] = f"Series at places; {PRODUCT} is the product"
    with replacing(path) as part:
        series.to_netcdf(part)
