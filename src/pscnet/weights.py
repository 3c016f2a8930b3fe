"""Which weight: sparse weights between two grids, and the file that keeps them.

Weight file (NetCDF-4, the layout of ESMF's offline weight files; cells in row-major order, counted from 1)

==============================  ================  =============================================================
variable                        dims              meaning
==============================  ================  =============================================================
``col``, ``row``, ``S``         n_s               source cell, target cell, weight
``src_grid_dims``, ``dst_...``  rank (2)          columns, rows
``xc_a``, ``yc_a``              n_a               source centres [degree]; ``_b``: target
``xv_a``, ``yv_a``              n_a, nv_a (4)     source corners, counter-clockwise from the south-west [degree]
``area_a``, ``area_b``          n_a, n_b          cell areas [square radians, authalic sphere]
``frac_a``, ``frac_b``          n_a, n_b          share of the cell that takes part
``mask_a``, ``mask_b``          n_a, n_b          1: every cell takes part
==============================  ================  =============================================================

The attributes name method, engine and grids, so that a file made for another box is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp
import xarray as xr

from pscnet.grids import Grid, GridError
from pscnet.sources.atomic import replacing

Method = Literal["conservative", "bilinear"]

#: How ESMF names the methods in its weight files (ESMF_IOScrip.F90, ESMF 9.0).
_ESMF_NAMES = {
    "conservative": ("Conservative remapping", "First-order Conservative"),
    "bilinear": ("Bilinear remapping", "Bilinear"),
}


class WeightError(GridError):
    """A weight file is damaged, or is not the one that was asked for."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Sparse weights from one grid to another.

    Attributes
    ----------
    matrix : csr_matrix (dst.size, src.size), float64
        A row sums to the share of the target cell that the source grid covers (``conservative``, "destarea"
        normalisation), or to 1 (``bilinear``).
    method : {"conservative", "bilinear"}
    engine : {"exact", "xesmf"}
        What made them; never ``auto``.
    src, dst : Grid
    """

    matrix: sp.csr_matrix
    method: str
    engine: str
    src: Grid
    dst: Grid

    @property
    def src_shape(self) -> tuple[int, int]:
        return self.src.shape

    @property
    def dst_shape(self) -> tuple[int, int]:
        return self.dst.shape

    @property
    def src_name(self) -> str:
        return self.src.name

    @property
    def dst_name(self) -> str:
        return self.dst.name


def write_weights(weights: Weights, path: str | Path) -> None:
    """Write ``weights`` in ESMF's offline layout, under a temporary name first.

    A good older file stays until the new one is complete and reads back.
    """
    dataset = _to_dataset(weights)
    encoding = {name: {"zlib": True, "complevel": 1, "fletcher32": True} for name in dataset.data_vars}
    with replacing(path) as part:
        dataset.to_netcdf(part, engine="netcdf4", encoding=encoding)
        read_weights(part, weights.src, weights.dst, weights.method)


def _to_dataset(weights: Weights) -> xr.Dataset:
    coo = weights.matrix.tocoo()
    covered = np.asarray(weights.matrix.sum(axis=1)).ravel()
    area = {end: grid.areas.ravel() for end, grid in (("a", weights.src), ("b", weights.dst))}
    if weights.method == "conservative":
        taken = (weights.matrix.T @ area["b"]) / area["a"]
    else:
        taken = (weights.matrix.getnnz(axis=0) > 0).astype(np.float64)
    dataset = xr.Dataset(
        {
            "col": ("n_s", coo.col.astype(np.int32) + 1),
            "row": ("n_s", coo.row.astype(np.int32) + 1),
            "S": ("n_s", coo.data),
            "frac_a": ("n_a", taken, {"units": "1"}),
            "frac_b": ("n_b", covered, {"units": "1"}),
        }
    )
    for end, side, grid in (("a", "src", weights.src), ("b", "dst", weights.dst)):
        cells, corners = f"n_{end}", f"nv_{end}"
        dataset[f"{side}_grid_dims"] = (f"{side}_grid_rank", np.array(grid.shape[::-1], np.int32))
        lat, lon = np.meshgrid(grid.lat, grid.lon, indexing="ij")
        dataset[f"yc_{end}"] = (cells, lat.ravel(), {"units": "degrees"})
        dataset[f"xc_{end}"] = (cells, lon.ravel(), {"units": "degrees"})
        north, west = np.meshgrid(grid.lat_edges[:-1], grid.lon_edges[:-1], indexing="ij")
        south, east = np.meshgrid(grid.lat_edges[1:], grid.lon_edges[1:], indexing="ij")
        y_corners = np.stack([south, south, north, north], axis=-1).reshape(-1, 4)
        x_corners = np.stack([west, east, east, west], axis=-1).reshape(-1, 4)
        dataset[f"yv_{end}"] = ((cells, corners), y_corners, {"units": "degrees"})
        dataset[f"xv_{end}"] = ((cells, corners), x_corners, {"units": "degrees"})
        dataset[f"mask_{end}"] = (cells, np.ones(grid.size, np.int32))
        dataset[f"area_{end}"] = (cells, area[end] * (4 * np.pi / _earth_area()), {"units": "square radians"})
    remapping, esmf_method = _ESMF_NAMES[weights.method]
    dataset.attrs = {
        "title": f"{weights.method} weights, {weights.src_name} to {weights.dst_name}",
        "normalization": "destarea",
        "map_method": remapping,
        "ESMF_regrid_method": esmf_method,
        "conventions": "NCAR-CSM",
        "method": weights.method,
        "engine": weights.engine,
        "src_grid": weights.src_name,
        "dst_grid": weights.dst_name,
        "src_origin": np.array([weights.src.row0, weights.src.col0], np.int32),
        "dst_origin": np.array([weights.dst.row0, weights.dst.col0], np.int32),
    }
    return dataset


def _earth_area() -> float:
    """Area of the WGS 84 ellipsoid [m2]."""
    edges = np.array([90.0, -90.0]), np.array([-180.0, 180.0])
    return float(Grid("globe", np.zeros(1), np.zeros(1), *edges).areas[0, 0])


def read_weights(
    path: str | Path, src: Grid | None = None, dst: Grid | None = None, method: Method | None = None
) -> Weights:
    """Read a weight file and check that it is whole and, where given, that it is for these grids and this method.

    Raises
    ------
    WeightError
        Naming the file, what was expected, what was found and what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightError(f"{path}: no such weight file; let the regrid_weights rule make it")
    try:
        with xr.open_dataset(path, engine="netcdf4", decode_cf=False) as opened:
            dataset = opened.load()
    except Exception as error:  # the NetCDF library raises OSError, RuntimeError or ValueError, as the damage has it
        raise _damaged(path, "a readable NetCDF file", f"{type(error).__name__}: {error}") from error
    weights = _from_dataset(dataset, path)
    wanted = (("source grid", src, weights.src), ("target grid", dst, weights.dst))
    for side, expected, found in wanted:
        if expected is not None and not (expected.name == found.name and expected.same_as(found)):
            raise WeightError(
                f"{path}: expected {side} {expected.describe()}, found {found.describe()}; "
                "delete the file and let the regrid_weights rule make it again"
            )
    if method is not None and method != weights.method:
        raise WeightError(f"{path}: expected {method} weights, found {weights.method}; give the other weight file")
    return weights


def _damaged(path: Path, expected: str, found: str) -> WeightError:
    return WeightError(
        f"{path}: damaged weight file: expected {expected}, found {found}; "
        "delete the file and let the regrid_weights rule make it again"
    )


def _from_dataset(dataset: xr.Dataset, path: Path) -> Weights:
    needed = ["col", "row", "S", "frac_b", *(f"{kind}_{end}" for kind in ("xc", "yc", "xv", "yv") for end in "ab")]
    absent = [name for name in (*needed, "src_grid_dims", "dst_grid_dims") if name not in dataset]
    absent += [name for name in ("method", "engine", "src_grid", "dst_grid") if name not in dataset.attrs]
    if absent:
        raise _damaged(path, "an ESMF weight file made by this package", f"none of {', '.join(absent)}")
    if dataset.attrs["method"] not in get_args(Method):
        raise _damaged(path, f"attribute method among {', '.join(get_args(Method))}", repr(dataset.attrs["method"]))
    src, dst = (_grid_of(dataset, side, end, path) for side, end in (("src", "a"), ("dst", "b")))
    row, col, weight = (dataset[name].values for name in ("row", "col", "S"))
    for name, index, size in (("row", row, dst.size), ("col", col, src.size)):
        if index.size and not (index.min() >= 1 and index.max() <= size):
            raise _damaged(path, f"{name} within 1..{size}", f"{index.min()}..{index.max()}")
    if not (np.isfinite(weight).all() and (weight >= -1e-9).all()):
        raise _damaged(path, "finite weights not below 0", f"minimum {weight.min()}")
    matrix = sp.csr_matrix((weight, (row - 1, col - 1)), shape=(dst.size, src.size))
    off = np.abs(np.asarray(matrix.sum(axis=1)).ravel() - dataset["frac_b"].values).max()
    if not off < 1e-9:
        raise _damaged(path, "weights that add up to frac_b", f"sums off by up to {off:.3g}")
    return Weights(matrix, str(dataset.attrs["method"]), str(dataset.attrs["engine"]), src, dst)


def _grid_of(dataset: xr.Dataset, side: str, end: str, path: Path) -> Grid:
    """The grid that the centres and corners of one end describe."""
    nx, ny = (int(n) for n in dataset[f"{side}_grid_dims"].values)
    if nx * ny != dataset.sizes[f"n_{end}"]:
        raise _damaged(path, f"{side}_grid_dims of {dataset.sizes[f'n_{end}']} cells", f"{nx} x {ny}")
    yc, xc = (dataset[f"{axis}c_{end}"].values.reshape(ny, nx) for axis in "yx")
    yv, xv = (dataset[f"{axis}v_{end}"].values.reshape(ny, nx, 4) for axis in "yx")
    row0, col0 = (int(n) for n in np.atleast_1d(dataset.attrs.get(f"{side}_origin", [0, 0])))
    lat_edges = np.append(yv[:, 0, 3], yv[-1, 0, 0])
    lon_edges = np.append(xv[0, :, 0], xv[0, -1, 1])
    return Grid(str(dataset.attrs[f"{side}_grid"]), yc[:, 0], xc[0], lat_edges, lon_edges, row0, col0)
