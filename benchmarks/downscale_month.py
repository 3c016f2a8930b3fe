"""Peak memory and time of downscaling one month of the whole Plateau box (151 x 321, 12 predictors, 248 steps).

Each variant runs in a process of its own on one CPU thread. The promise is a peak below :data:`PROMISE_GB`.

    python benchmarks/downscale_month.py
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from plateau import Plateau, make_plateau

#: Peak memory [GB = 1e9 bytes] below which a month of the Plateau is promised to stay.
PROMISE_GB = 2.5

TILES = ("auto", "128")


def measure(folder: Path, tile: str) -> None:
    """Downscale in this process and print seconds and peak memory as JSON."""
    from pscnet.downscale import write_month

    start = time.perf_counter()
    write_month(
        **Plateau(folder).arguments(),
        output=folder / f"downscaled_{tile}.nc",
        device="cpu",
        tile=int(tile) if tile.isdigit() else tile,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": time.perf_counter() - start, "gigabytes": peak / 1e9}))


def main() -> None:
    """Run all variants and print them."""
    with tempfile.TemporaryDirectory(prefix="pscnet_bench_") as scratch:
        folder = Path(scratch)
        make_plateau(folder)
        found = {}
        for tile in TILES:
            command = [sys.executable, __file__, str(folder), tile]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[tile] = json.loads(done.stdout.splitlines()[-1])
    for tile, one in found.items():
        share = one["gigabytes"] / PROMISE_GB
        print(
            f"downscale one month, tile {tile:>4}: {one['seconds']:5.0f} s, peak {one['gigabytes']:.2f} GB "
            f"= {share:.2f} of the promised {PROMISE_GB} GB{'' if share < 1 else '   BROKEN'}"
        )
    print(f"downscale one month: tile 128 takes {found['128']['seconds'] / found['auto']['seconds']:.2f} x tile auto")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
