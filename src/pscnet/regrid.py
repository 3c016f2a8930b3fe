"""From which cells, with which weight: two engines that make sparse weights between grids, and one apply.

``exact``
    Closed form for rectilinear latitude-longitude cells, which regular grids and EASE-Grid 2.0 both are. Conservative
    weights are the share of the target cell's area, on the WGS 84 ellipsoid, that each source cell covers; bilinear
    weights are linear in latitude and in longitude between source centres.
``xesmf``
    ESMF behind xESMF. It cuts cell edges along great circles on a sphere, so its weights differ in the fourth decimal.

The rim: ESMF gives no bilinear value to a target centre outside the hull of source centres. Here such a centre takes
the value at the nearest point of the hull (on the outer row or column, or the corner), with either engine.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp
import xarray as xr

from pscnet.grids import Grid, GridError, authalic_sine
from pscnet.weights import Method, WeightError, Weights, read_weights, write_weights

__all__ = [
    "Engine", "Method", "WeightError", "Weights",
    "apply", "available_engine", "make_weights", "read_weights", "write_weight_file", "write_weights",
]  # fmt: skip

logger = logging.getLogger(__name__)

Engine = Literal["auto", "exact", "xesmf"]

#: Overlaps below this share of a cell are rounding of edges that coincide.
_SLIVER = 1e-12

#: Rows of ESMF's weights add up to 1 only this well.
_ROUNDING = 1e-6

#: Bytes that one block of :func:`apply` may take.
_BLOCK_BYTES = 64 * 2**20


def make_weights(src: Grid, dst: Grid, method: Method, engine: Engine = "auto") -> Weights:
    """Weights from ``src`` to ``dst``.

    Parameters
    ----------
    src, dst : Grid
    method : {"conservative", "bilinear"}
    engine : {"auto", "exact", "xesmf"}
        ``auto`` takes xESMF where it imports, else ``exact``.

    Raises
    ------
    GridError
        For an unknown method or engine, for grids that do not overlap, and where xESMF is asked for but not there.
    """
    if method not in get_args(Method):
        raise GridError(f"regridding method {method!r}: expected one of {', '.join(get_args(Method))}")
    if engine not in get_args(Engine):
        raise GridError(f"regridding engine {engine!r}: expected one of {', '.join(get_args(Engine))}")
    chosen, reason = available_engine() if engine == "auto" else (engine, "")
    if reason:
        logger.info("regridding in closed form: %s", reason)
    matrix = _xesmf_matrix(src, dst, method) if chosen == "xesmf" else _exact_matrix(src, dst, method)
    if matrix.nnz == 0:
        raise GridError(
            f"grids {src.name} and {dst.name} do not overlap: {_extent(src)} and {_extent(dst)}; "
            "use the same box for both"
        )
    return Weights(matrix, method, chosen, src, dst)


def _extent(grid: Grid) -> str:
    lat, lon = grid.lat_edges, grid.lon_edges
    return f"lat {lat[-1]:.2f}..{lat[0]:.2f}, lon {lon[0]:.2f}..{lon[-1]:.2f}"


def _exact_matrix(src: Grid, dst: Grid, method: Method) -> sp.csr_matrix:
    """Weights in closed form. Both axes are separable, so the matrix is the Kronecker product of the axes' matrices."""
    if method == "conservative":
        # Areas are proportional to the sine of the authalic latitude (negated: edges descend) and to longitude.
        rows = _overlap(-authalic_sine(src.lat_edges), -authalic_sine(dst.lat_edges))
        cols = sum(_overlap(src.lon_edges + turn, dst.lon_edges) for turn in (-360.0, 0.0, 360.0))
    else:
        rows = _interpolation(-src.lat, -dst.lat)
        cols = _interpolation(src.lon, dst.lon)
        if not (_meet(-src.lat_edges, -dst.lat_edges) and _meet(src.lon_edges, dst.lon_edges)):
            return sp.csr_matrix((dst.size, src.size))  # the rim rule fills a rim, not another region
    return sp.csr_matrix(sp.kron(rows, cols, format="csr"))


def _meet(source: np.ndarray, target: np.ndarray) -> bool:
    return bool(source[0] < target[-1] and target[0] < source[-1])


def _overlap(source: np.ndarray, target: np.ndarray) -> sp.csr_matrix:
    """Share of each target interval that each source interval covers, (targets, sources); edges ascend."""
    low = np.maximum(source[None, :-1], target[:-1, None])
    high = np.minimum(source[None, 1:], target[1:, None])
    share = np.clip(high - low, 0.0, None) / np.diff(target)[:, None]
    share[share < _SLIVER] = 0.0
    return sp.csr_matrix(share)


def _interpolation(source: np.ndarray, target: np.ndarray) -> sp.csr_matrix:
    """Linear interpolation between ascending source centres, (targets, sources); held constant beyond the ends."""
    if source.size == 1:
        return sp.csr_matrix(np.ones((target.size, 1)))
    left = np.clip(np.searchsorted(source, target, side="right") - 1, 0, source.size - 2)
    right_weight = np.clip((target - source[left]) / (source[left + 1] - source[left]), 0.0, 1.0)
    right_weight[right_weight < _SLIVER] = 0.0
    right_weight[right_weight > 1 - _SLIVER] = 1.0
    matrix = np.zeros((target.size, source.size))
    matrix[np.arange(target.size), left] = 1.0 - right_weight
    matrix[np.arange(target.size), left + 1] = right_weight
    return sp.csr_matrix(matrix)


def available_engine() -> tuple[Literal["xesmf", "exact"], str]:
    """What ``auto`` takes: ``xesmf`` where it imports with its ESMF library, else ``exact`` with the reason."""
    try:
        _import_xesmf()
    except GridError as error:
        return "exact", str(error)
    return "xesmf", ""


def _import_xesmf():
    """The xESMF module. Imported here and late: it needs the ESMF library, which the package index does not carry."""
    try:
        import xesmf
    except (ImportError, OSError, KeyError) as error:  # KeyError, OSError: esmpy without its library
        raise GridError(
            f"regridding engine xesmf: xESMF does not import ({error}); install xesmf and esmpy from conda-forge "
            "(envs/geo.yaml), or set regrid.engine to exact"
        ) from error
    return xesmf


def _xesmf_matrix(src: Grid, dst: Grid, method: Method) -> sp.csr_matrix:
    """Weights from ESMF through :class:`xesmf.Regridder`; rows that it leaves empty follow the rim rule."""
    xesmf = _import_xesmf()

    def dataset(grid: Grid) -> xr.Dataset:
        return xr.Dataset(coords={"lat": grid.lat, "lon": grid.lon, "lat_b": grid.lat_edges, "lon_b": grid.lon_edges})

    regridder = xesmf.Regridder(dataset(src), dataset(dst), method, unmapped_to_nan=False)
    matrix = sp.csr_matrix(regridder.weights.data.to_scipy_sparse(), dtype=np.float64)
    matrix.sum_duplicates()
    if method == "bilinear":
        unmapped = matrix.getnnz(axis=1) == 0
        matrix = matrix + sp.diags_array(unmapped.astype(np.float64)) @ _exact_matrix(src, dst, method)
    matrix = sp.csr_matrix(matrix)
    matrix.eliminate_zeros()
    return matrix


def write_weight_file(src: Grid, dst: Grid, method: Method, engine: Engine, path: str | Path) -> None:
    """Make weights and write them to ``path``: the whole of a weight rule (see :func:`make_weights`)."""
    write_weights(make_weights(src, dst, method, engine), path)


def apply(weights: Weights, field: np.ndarray, min_valid_fraction: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Regrid ``field``, leaving out missing values and renormalising by what is left.

    Parameters
    ----------
    weights : Weights
    field : ndarray (..., ny, nx)
        On ``weights.src``; values that are not finite count as missing. Worked through in blocks of leading indices,
        so that memory beyond input and output stays bounded.
    min_valid_fraction : float [1]
        Target cells with a smaller valid fraction become NaN. Cells without any valid source are always NaN.

    Returns
    -------
    regridded : ndarray (..., my, mx), float32
    valid_fraction : ndarray (..., my, mx), float32 [1]
        Share of the target cell under valid source cells (``conservative``), or of the weight (``bilinear``).

    Raises
    ------
    GridError
        Where the field is not on the source grid.
    """
    field = np.asarray(field)
    if field.ndim < 2 or field.shape[-2:] != weights.src_shape:
        raise GridError(
            f"field of shape {field.shape}: expected (..., {weights.src_shape[0]}, {weights.src_shape[1]}), "
            f"the cells of the weights' source grid {weights.src_name}"
        )
    if not 0.0 <= min_valid_fraction <= 1.0:
        raise GridError(f"min_valid_fraction {min_valid_fraction}: expected a number within 0..1")
    leading = field.shape[:-2]
    flat = field.reshape(-1, weights.src.size)
    regridded = np.empty((flat.shape[0], weights.dst.size), np.float32)
    fraction = np.empty_like(regridded)
    step = max(1, _BLOCK_BYTES // (2 * 8 * (weights.src.size + weights.dst.size)))
    for start in range(0, flat.shape[0], step):
        block = slice(start, start + step)
        regridded[block], fraction[block] = _apply_block(weights.matrix, flat[block], min_valid_fraction)
    shape = (*leading, *weights.dst_shape)
    return regridded.reshape(shape), fraction.reshape(shape)


def _apply_block(matrix: sp.csr_matrix, block: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """One block (steps, sources) to values and valid fractions (steps or 1, targets), float64."""
    valid = np.isfinite(block)
    total = (matrix @ np.where(valid, block, 0.0).T.astype(np.float64, order="C")).T
    if (valid == valid[:1]).all():
        valid = valid[:1]  # one mask for all steps, such as the coast: one product instead of many
    share = (matrix @ valid.T.astype(np.float64, order="C")).T
    usable = (share > _SLIVER) & (share >= least - _ROUNDING)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(usable, total / share, np.nan)
    return value, np.clip(share, 0.0, 1.0)
