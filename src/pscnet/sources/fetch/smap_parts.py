"""What fetches of SMAP leave unfinished: none of a month that is complete, and not too much of those that failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pscnet.sources.fetch.granules import Product, when_of

#: Unfinished downloads of a cropped product that may lie on the disk, with one failed month more [byte]. They are
#: whole granules, of up to 700 MB each, and in a long outage every month would leave some.
LIMIT = 5 * 10**9


def clean(folder: Path, product: Product, month: str) -> None:
    """Remove what is left of a month. Nobody else fetches it: the caller holds its lock."""
    for path in _of(folder, product, month):
        path.unlink()


def bound(folder: Path, product: Product, month: str) -> None:
    """Keep what a failed month has left, to be resumed, unless there is more than :data:`LIMIT` of the product."""
    if product.cropped and sum(path.stat().st_size for path in _of(folder, product, "")) > LIMIT:
        clean(folder, product, month)


def _of(folder: Path, product: Product, month: str) -> Iterator[Path]:
    for path in sorted(folder.glob("SMAP_*")):
        when = when_of(f"{path.name.partition('.')[0]}.h5", product)
        if when and when.startswith(month) and path.exists():
            yield path
