"""Fixed sparse operators between grids as differentiable layers: footprint averages and interpolation."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse
import torch
from torch import Tensor


class _SparseProduct(torch.autograd.Function):
    """``matrix @ dense`` whose gradient is ``matrix.T @ gradient``; both matrices are constants."""

    @staticmethod
    def forward(ctx, dense: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ dense

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradient.contiguous(), None, None


def _csr(matrix: scipy.sparse.csr_matrix, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # torch calls its CSR support beta; the products used here are tested against SciPy's.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float32)),
            size=matrix.shape,
            check_invariants=False,
        ).to(device)


class GridOperator:
    """A linear map from fields on one grid to fields on another.

    Parameters
    ----------
    matrix : scipy CSR (target cells, source cells)
        Regridding weights.
    source_shape, target_shape : (ny, nx), (my, mx)
    device : torch.device
    """

    def __init__(
        self,
        matrix: scipy.sparse.csr_matrix,
        source_shape: tuple[int, int],
        target_shape: tuple[int, int],
        device: torch.device | str = "cpu",
    ) -> None:
        if matrix.shape != (target_shape[0] * target_shape[1], source_shape[0] * source_shape[1]):
            raise ValueError(f"weights {matrix.shape} do not map {source_shape} to {target_shape}")
        device = torch.device(device)
        self.source_shape, self.target_shape = source_shape, target_shape
        self.matrix = _csr(matrix.tocsr(), device)
        self.transposed = _csr(matrix.T.tocsr(), device)

    def __call__(self, field: Tensor) -> Tensor:
        """Map fields (..., ny, nx) to (..., my, mx), in float32."""
        lead = field.shape[:-2]
        # Sparse products know no bf16, and area means should not lose digits to it.
        with torch.autocast(field.device.type, enabled=False):
            flat = field.float().reshape(-1, field.shape[-2] * field.shape[-1]).t().contiguous()
            out = _SparseProduct.apply(flat, self.matrix, self.transposed)
        return out.t().reshape(*lead, *self.target_shape)


class MaskedMean:
    """Area mean over the valid part of each target cell, with one fixed mask.

    Parameters
    ----------
    operator : GridOperator
        Conservative weights.
    mask : Tensor (ny, nx)
        1 where the source is valid (land), 0 elsewhere.
    """

    def __init__(self, operator: GridOperator, mask: Tensor) -> None:
        self.operator = operator
        self.mask = mask
        self.covered = operator(mask)
        self.valid = (self.covered > 1e-6).float()
        self.scale = self.valid / self.covered.clamp(min=1e-6)

    def __call__(self, field: Tensor) -> Tensor:
        """Mean of fields (..., ny, nx) over valid cells: (..., my, mx), 0 where nothing is valid."""
        return self.operator(field * self.mask) * self.scale
