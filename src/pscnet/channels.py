"""What are the parts of the samples, and the net's bands, called? Plans and samples share the names."""

from __future__ import annotations

from collections.abc import Sequence

#: Parts of the split that a net is trained and calibrated on.
LEARNT_PARTS = ("train", "validation")


def band_names(time_scales_days: Sequence[float]) -> list[str]:
    """Names of MFTF's bands, fast to slow: ``day`` (within the day), one a time scale, ``level`` (slower than all)."""
    return ["day", *(f"{scale:g}d" for scale in time_scales_days), "level"]
