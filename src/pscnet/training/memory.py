"""What does not fit into a device's memory: done again in smaller parts, from the same random state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from pscnet.samples.bands import SampleError
from pscnet.samples.store import SampleStore

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Memory:
    """In how many parts batches go so that they fit into a device's memory.

    Parameters
    ----------
    device : torch.device
    stores : list of SampleStore
        Those whose samples the device may hold: they make room where smaller parts do not help.
    too_large : str
        What to say where one overpass alone does not fit.

    Attributes
    ----------
    parts : int
        It only grows: what did not fit once is not tried again.
    """

    def __init__(self, device: torch.device, stores: Sequence[SampleStore], too_large: str) -> None:
        self.device, self.stores, self.too_large = device, list(stores), too_large
        self.parts = 1

    def in_parts(self, work: Callable[[int], Result], samples: int) -> Result:
        """The answer of ``work``, done in as many parts as memory asks for.

        Every attempt begins with the random state of the first one: how far a failed attempt got, and whether there
        was one at all, changes no number.

        Parameters
        ----------
        work : callable of a number of parts
            It may be called again, and then begins anew.
        samples : int
            Most parts that help.

        Raises
        ------
        SampleError
            When nothing smaller is left to try.
        """
        while True:
            state = _random_state(self.device)
            try:
                return work(min(self.parts, samples))
            except torch.OutOfMemoryError as error:
                self._take_less(samples, error)
            # Not while the error is at hand: it holds all that the attempt had allocated.
            torch.cuda.empty_cache()
            _set_random_state(self.device, state)

    def in_batches(self, work: Callable[[int], Result], size: int) -> Result:
        """The answer of ``work``, called with as many samples together as memory allows, at most ``size``."""
        return self.in_parts(lambda parts: work(-(-size // parts)), size)

    def _take_less(self, samples: int, error: torch.OutOfMemoryError) -> None:
        """Smaller parts; where they are of one sample already, the samples that the device holds make room."""
        if self.parts < samples:
            self.parts *= 2
            logger.warning("out of memory on %s: batches go in %d parts from here on", self.device, self.parts)
        elif any([store.release() for store in self.stores]):  # a list: every store makes room
            logger.warning("out of memory on %s: samples are read from disk from here on", self.device)
        else:
            raise SampleError(self.too_large) from error


def _random_state(device: torch.device) -> list[Tensor]:
    """The state of the generators that work on a device may draw from: the CPU's, and a GPU's."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _set_random_state(device: torch.device, state: Sequence[Tensor]) -> None:
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)
