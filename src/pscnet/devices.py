"""On which device: CPU or GPU by the word of the configuration; and that a GPU repeats itself where it can."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: What cuBLAS needs to repeat itself: buffers of a fixed number and size [NVIDIA cuBLAS, Results Reproducibility].
WORKSPACE, WORKSPACE_VALUE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


def choose_device(name: str) -> torch.device:
    """The device meant by ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises
    ------
    ValueError
        When a GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {name!r}: no CUDA GPU is visible to torch {torch.__version__}; type auto or cpu")
    return torch.device(name)


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """On a GPU, torch's deterministic algorithms; the settings of before come back. A CPU needs nothing.

    Enter it before the first work on the GPU: cuBLAS reads its setting once. It reaches convolutions, dense products
    and indexing, backward too. It does not reach cuSPARSE, which multiplies with the sparse matrices between grids
    (:mod:`pscnet.nets.operators`): torch lists that product neither among what becomes deterministic nor among what
    cannot, and NVIDIA promises equal bits for some of its algorithms only. No other operation of the nets is on
    torch's list of those without a deterministic algorithm; one that came in would be warned of, not refused.

    Parameters
    ----------
    device : torch.device
    """
    if device.type != "cuda":
        yield
        return
    algorithms = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, workspace = torch.backends.cudnn.benchmark, os.environ.get(WORKSPACE)
    os.environ.setdefault(WORKSPACE, WORKSPACE_VALUE)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(algorithms[0], warn_only=algorithms[1])
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
