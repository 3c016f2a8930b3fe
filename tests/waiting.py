"""Waiting for what another process does, as long as a slow machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object], what: str | Callable[[], str], seconds: float = 600.0, pause: float = 0.1
) -> None:
    """Wait for a condition, and fail with what was waited for (``what``, or what it says at the end)."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
