"""Ratios of the project's array operators to plain references of the same answer, measured in one run.

Times differ from machine to machine; ratios of two measurements side by side differ less. Nothing is asserted about
time; that the answers agree is.

    python benchmarks/operators.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import convolve1d
from scipy.signal import fftconvolve

from pscnet.grids import ease2_grid, regular_grid
from pscnet.nets.filters import STEPS_PER_DAY, FilterBank
from pscnet.regrid import apply, make_weights

BOX = {"lat": (25.0, 40.0), "lon": (73.0, 105.0)}
SCALES = [1.5, 5.0, 15.0]

#: Steps of the field to regrid (12 days), share of missing values, and repetitions of which the best counts.
STEPS, MISSING, REPEATS = 96, 0.05, 3


def seconds(work: Callable[[], object]) -> float:
    """The best time of some repetitions."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def regridding() -> None:
    """The one apply against SciPy's product that knows no gaps, and against a loop over target cells."""
    fine, coarse = regular_grid(**BOX), ease2_grid(**BOX)
    weights = make_weights(fine, coarse, "conservative", "exact")
    rng = np.random.default_rng(0)
    whole = rng.random((STEPS, *fine.shape), "f4")
    gaps = np.where(rng.random(whole.shape) < MISSING, np.nan, whole).astype("f4")

    def plain() -> np.ndarray:
        return (weights.matrix @ whole.reshape(STEPS, -1).T.astype("f8")).T

    def loop() -> np.ndarray:
        matrix, flat = weights.matrix, gaps[:4].reshape(4, -1).astype("f8")
        made = np.full((4, coarse.size), np.nan)
        for cell in range(coarse.size):
            part = slice(matrix.indptr[cell], matrix.indptr[cell + 1])
            values, share = flat[:, matrix.indices[part]], matrix.data[part]
            valid = np.isfinite(values)
            total = (valid * share).sum(1)
            some = total > 0
            made[some, cell] = (np.where(valid, values, 0.0) * share).sum(1)[some] / total[some]
        return made

    # Cells on the rim of the box are covered in part; apply renormalises there and the plain product does not.
    inside = np.asarray(weights.matrix.sum(1)).ravel() > 1 - 1e-9
    np.testing.assert_allclose(apply(weights, whole)[0].reshape(STEPS, -1)[:, inside], plain()[:, inside], rtol=1e-5)
    np.testing.assert_allclose(apply(weights, gaps[:4])[0].reshape(4, -1), loop(), rtol=1e-5)
    bare = seconds(plain)
    without, with_gaps = seconds(lambda: apply(weights, whole)), seconds(lambda: apply(weights, gaps))
    looped = seconds(loop) * STEPS / 4
    print(f"regrid.apply, {STEPS} steps of 151 x 321 to 46 x 87 cells, SciPy CSR without gaps = 1:")
    print(f"  without gaps        {without / bare:7.2f}")
    print(f"  with changing gaps  {with_gaps / bare:7.2f}   (loop over target cells: {looped / bare:.2f})")


def filtering() -> None:
    """The recursive filter bank against direct convolution with kernels cut off at 1e-4 of their weight."""
    rng = np.random.default_rng(0)
    steps, pixels = 248, 1000
    bank = FilterBank(SCALES)
    series = torch.from_numpy(rng.random((steps, pixels), "f4"))
    state = bank.initial_state(series)
    kernels = []
    for decay in bank.decays:
        length = int(np.ceil(np.log(1e-4) / np.log(decay)))
        kernels.append((1 - decay) * decay ** np.arange(length, dtype="f8"))

    def convolved(method: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        memory = STEPS_PER_DAY - 1
        padded = torch.cat([state[:memory], series]).numpy().astype("f8")
        daily = np.lib.stride_tricks.sliding_window_view(padded, STEPS_PER_DAY, 0).mean(-1)
        slow = []
        for position, kernel in enumerate(kernels):
            start = state[memory + position].numpy().astype("f8")
            past = np.broadcast_to(start, (kernel.size, pixels))  # a constant past is what the state stands for
            slow.append(method(np.concatenate([past, daily]), kernel)[kernel.size :][:steps])
        levels = np.stack([series.numpy(), daily, *slow])
        return np.concatenate([levels[:-1] - levels[1:], levels[-1:]])

    methods = {
        "direct convolution": lambda values, kernel: convolve1d(values, kernel, axis=0, origin=-(kernel.size // 2)),
        "FFT convolution": lambda values, kernel: fftconvolve(values, kernel[:, None], axes=0),
    }
    made = bank(series, state)[0].numpy()
    ours = seconds(lambda: bank(series, state))
    print(f"filter bank, {steps} steps of {pixels} pixels in {bank.bands} bands, recursive filter bank = 1:")
    for name, method in methods.items():
        np.testing.assert_allclose(made, convolved(method), atol=3e-4)
        print(f"  {name:18s}  {seconds(lambda m=method: convolved(m)) / ours:7.2f}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    regridding()
    filtering()
