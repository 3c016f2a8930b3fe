"""Fields as compressed bytes inside a page: quantised to 254 levels, differenced in time, deflated, base64."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping

import numpy as np

#: Codes 0 .. LEVELS are values; then come the two reasons for having none.
LEVELS = 253
FROZEN = 254
NOTHING = 255


def quantise(values: np.ndarray, high: float, frozen: np.ndarray | None = None) -> np.ndarray:
    """Codes (uint8, same shape) of values within 0 .. ``high``; the error is at most high / 506 inside the range.

    Parameters
    ----------
    frozen : bool, same shape, optional
        Cells without a value that are frozen get :data:`FROZEN`, other cells without a value :data:`NOTHING`.
    """
    share = np.clip(np.nan_to_num(values, nan=0.0) / high, 0.0, 1.0)
    codes = np.round(share * LEVELS).astype(np.uint8)
    missing = ~np.isfinite(values)
    codes[missing] = NOTHING
    if frozen is not None:
        codes[missing & frozen] = FROZEN
    return codes


def pack(codes: np.ndarray) -> str:
    """Base64 of the deflated differences (modulo 256) along the first axis of uint8 ``codes``."""
    change = np.diff(codes, axis=0, prepend=np.zeros_like(codes[:1]))
    return base64.b64encode(zlib.compress(change.tobytes(), 6)).decode("ascii")


def pack_plain(array: np.ndarray) -> str:
    """Base64 of the deflated little-endian bytes of an array."""
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(little.tobytes(), 9)).decode("ascii")


def pack_within(fields: Mapping[str, np.ndarray], limit: int) -> tuple[int, dict[str, str]]:
    """Pack all fields (time, ...) into at most ``limit`` characters, keeping every first, second, fourth, ... step.

    Returns
    -------
    stride : int
        Every how many steps are kept.
    packed : dict
    """
    steps = next(iter(fields.values())).shape[0]
    stride = 1
    while True:
        packed = {name: pack(codes[::stride]) for name, codes in fields.items()}
        if sum(map(len, packed.values())) <= limit or stride >= steps:
            return stride, packed
        stride *= 2
