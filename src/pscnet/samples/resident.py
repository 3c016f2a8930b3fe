"""Arrays of samples that are mapped from disk, or held in the memory of a GPU where they fit.

On a CPU mapped files are as good as memory: the system keeps the pages that it has room for. A GPU would wait for every
batch to be read, and copied over; so the arrays move there as they are (float16 or float32), and batches are cut out on
the device. Which of the two is used changes no number.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pscnet.samples.geometry import Box

logger = logging.getLogger(__name__)

#: Share of the free device memory that the samples of one part may take: the net's own needs come after.
SHARE = 0.5

#: Bytes that are copied to a device at a time: as much memory as the copy takes on the host.
CHUNK_BYTES = 2**26


class SampleArray:
    """One file of samples.

    Parameters
    ----------
    path : path of an ``npy`` file (row, ..., y, x)
        A row is a sample or a day.

    Attributes
    ----------
    shape : tuple of int
    nbytes : int
    """

    def __init__(self, path: str | Path) -> None:
        self._mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        self._held: Tensor | None = None
        self.shape, self.nbytes = self._mapped.shape, self._mapped.nbytes

    def hold(self, device: torch.device) -> None:
        """Copy the whole array into the memory of a device; :meth:`take` answers from there."""
        kind = torch.from_numpy(np.empty(0, self._mapped.dtype)).dtype
        held = torch.empty(self.shape, dtype=kind, device=device)
        step = max(1, CHUNK_BYTES * self.shape[0] // max(self.nbytes, 1))
        for first in range(0, self.shape[0], step):
            rows = slice(first, first + step)
            held[rows].copy_(torch.from_numpy(np.array(self._mapped[rows])))
        self._held = held

    @property
    def held(self) -> bool:
        """Whether a device holds the array."""
        return self._held is not None

    def release(self) -> None:
        """Give the device's memory back; :meth:`take` answers from disk again."""
        self._held = None

    def take(self, rows: np.ndarray, box: Box = (slice(None), slice(None))) -> Tensor:
        """Some rows of a box of the grid, where the array lies: on the CPU, or on the device that holds it.

        Parameters
        ----------
        rows : ndarray (...) of int
        box : rows and columns of the grid

        Returns
        -------
        Tensor (*rows.shape, ..., y, x), of the file's type
        """
        y, x = box
        flat = np.asarray(rows).ravel()
        if self._held is None:
            taken = torch.from_numpy(np.asarray(self._mapped[flat, ..., y, x]))
        else:
            taken = self._held[..., y, x].index_select(0, torch.from_numpy(flat).to(self._held.device))
        return taken.reshape(*np.shape(rows), *taken.shape[1:])


def hold_where_it_fits(arrays: Sequence[SampleArray], device: torch.device, what: str) -> bool:
    """Move arrays into the memory of a GPU where all fit into :data:`SHARE` of what is free; says so in the log.

    Parameters
    ----------
    arrays : list of SampleArray
    device : torch.device
        A CPU changes nothing.
    what : what they are, for the log

    Returns
    -------
    bool
        Whether they lie on the device now.
    """
    if device.type == "cpu":
        return False
    size = sum(array.nbytes for array in arrays)
    free = torch.cuda.mem_get_info(device)[0]
    sizes = f"{size / 1e9:.2f} GB of {what}, {free / 1e9:.2f} GB free on {device}"
    if size > SHARE * free:
        logger.info("%s: more than %.0f %% of it, batches are read from disk", sizes, 100 * SHARE)
        return False
    try:
        for array in arrays:
            array.hold(device)
    except torch.OutOfMemoryError:  # another process was faster, or the memory is in pieces
        for array in arrays:
            array.release()
        torch.cuda.empty_cache()
        logger.warning("%s, but it could not be had: batches are read from disk", sizes)
        return False
    logger.info("%s: held there", sizes)
    return True
