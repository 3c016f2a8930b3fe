"""Peak memory and pace of training on the whole Plateau box from sample files larger than the memory allowed.

The record is made up: 151 x 321 cells, 12 predictors in 5 bands, and so many overpass stamps that the files exceed
the promise. Each record is trained on for some steps in a process of its own on one CPU thread, with ``training.tile:
auto``. Samples are mapped from disk: their pages are the system's to drop, so what counts is the memory that is not
backed by a file. Records of different length should need the same, but for the retrievals, which are held as a whole.

    python benchmarks/train_plateau.py [--stamps 100 500] [--steps 16] [--tile auto] [--precision float32]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from plateau import PREDICTORS, make_region, write_coarse_and_smap

from pscnet.channels import LEARNT_PARTS
from pscnet.checkpoint import read_checkpoint
from pscnet.grids import WEIGHTS
from pscnet.samples.geometry import read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.kriged import kriging
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.store import SampleStore, covered_cells, sample_file, write_stamps
from pscnet.timeaxis import months
from pscnet.training.files import training_tiles
from pscnet.training.memory import Memory
from pscnet.training.trainer import Options, Trainer, too_large

#: Peak memory [GB = 1e9 bytes] that training is promised to stay below, whatever the length of the record.
PROMISE_GB = 2.5

#: Overpass stamps of 36 months: two a day.
STAMPS_36_MONTHS = 2192

FIRST = "2016-01"

#: Seconds between two looks at the memory.
INTERVAL = 0.02


class Peak:
    """Largest memory of this process since it began [byte], that which files back apart from the rest."""

    def __init__(self) -> None:
        self.anonymous, self.status = 0, Path("/proc/self/status")
        if self.status.exists():
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.anonymous = max(self.anonymous, self._field("RssAnon"))
            time.sleep(INTERVAL)

    def _field(self, name: str) -> int:
        line = next(line for line in self.status.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) * 1024

    def read(self) -> tuple[int, int]:
        """Without and with pages of files; the same where the system does not tell them apart."""
        if self.status.exists():
            return self.anonymous, self._field("VmHWM")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak


def make_record(folder: Path, stamps: int) -> None:
    """Write the files of a record of some overpass stamps, two a day; the last ones are validation as well."""
    rng = np.random.default_rng(0)
    made = make_region(folder, rng)
    for month in record_months(stamps):
        write_coarse_and_smap(made, month, rng, PREDICTORS[:1])
    times = np.datetime64(FIRST, "ns") + np.arange(stamps) * np.timedelta64(12, "h").astype("m8[ns]")
    channels = len(read_checkpoint(folder / "checkpoint.safetensors").normaliser.channels)
    fields = rng.standard_normal((channels + 8, *made.fine.shape), "f4")
    for part, count in {"train": stamps, "validation": 8}.items():

        def written(name: str, shape: tuple[int, ...], kind: str, part=part) -> np.ndarray:
            return np.lib.format.open_memmap(sample_file(folder, part, name), "w+", kind, shape)

        bands = written("bands", (count, channels, *made.fine.shape), "f2")
        background = written("background", (count, *made.fine.shape), "f4")
        kriged = written(kriging(False), (count, 2, *made.coarse.shape), "f4")
        for row in range(count):
            bands[row], background[row] = fields[row % 8 :][:channels], fields[row % 8]
            kriged[row] = 0.1 * np.abs(rng.standard_normal(kriged.shape[1:], "f4"))
        write_stamps(sample_file(folder, part, "stamps"), times[-count:])


def record_months(stamps: int) -> list[str]:
    """The months of a record."""
    last = np.datetime64(FIRST, "D") + np.timedelta64((stamps - 1) // 2, "D")
    return months(FIRST, str(last)[:7])


def measure(folder: Path, stamps: int, steps: int, tile: int | str, precision: str) -> None:
    """Train in this process and print pace and peak memory as JSON."""
    peak = Peak()
    torch.set_num_threads(1)
    checkpoint = read_checkpoint(folder / "checkpoint.safetensors")
    statistics, spec = checkpoint.normaliser, checkpoint.spec
    maker = InputMaker(statistics, folder / "static.nc", checkpoint.window_days)
    weights = read_weight_set({name: folder / "weights" / f"{name}.nc" for name in WEIGHTS})
    smap, coarse = ([folder / kind / f"{month}.nc" for month in record_months(stamps)] for kind in ("smap", "coarse"))
    retrievals = Retrievals.from_files(smap, coarse, statistics.background, statistics.noise)
    covered = covered_cells(maker, weights["fine_to_coarse"])
    stores = [SampleStore(folder, part, maker, retrievals, covered, kriging(False)) for part in LEARNT_PARTS]
    options = Options(device="cpu", precision=precision, tile=tile)
    device = torch.device("cpu")
    tiles = training_tiles(spec, weights, maker.land, options.tile, device)
    memory = Memory(device, stores, too_large(tiles, device, spec.own))
    trainer = Trainer(spec, options, *stores, tiles, checkpoint.leave_out_hours, memory)
    trainer.net.train()
    before, start, pixel_steps = peak.read()[0], time.process_time(), 0
    for position, rows in some_steps(trainer, steps):
        trainer._step(tiles[position], rows)
        y, x = tiles[position].tile.window
        pixel_steps += len(rows) * (y.stop - y.start) * (x.stop - x.start)
    seconds = time.process_time() - start
    anonymous, resident = peak.read()
    window = sum(np.prod([part.stop - part.start for part in tile.tile.window]) for tile in tiles) / maker.land.size
    print(
        json.dumps(
            {
                "before": before / 1e9, "anonymous": anonymous / 1e9, "resident": resident / 1e9,
                "pace": pixel_steps / seconds / 1e6, "tiles": len(tiles), "overlap": float(window),
            }
        )
    )  # fmt: skip


def some_steps(trainer: Trainer, steps: int) -> list[tuple[int, np.ndarray]]:
    """Steps of the first epoch, all tiles in turn: a whole epoch has thousands, and memory depends on the tile."""
    plan = trainer.plan(0)
    of_tile = [[step for step in plan if step[0] == tile] for tile in range(len(trainer.tiles))]
    return [of_tile[step % len(of_tile)][step // len(of_tile)] for step in range(steps)]


def main() -> None:
    """Make each record, train on it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stamps", type=int, nargs="+", default=[100, 500], help="overpass stamps of each record")
    parser.add_argument("--steps", type=int, default=16, help="steps of training")
    parser.add_argument("--tile", default="auto", help="as training.tile; or whole")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        tile = int(given.tile) if given.tile.isdigit() else given.tile
        measure(given.measure, given.stamps[0], given.steps, tile, given.precision)
        return
    peaks = []
    for stamps in given.stamps:
        with tempfile.TemporaryDirectory(prefix="pscnet_bench_") as scratch:
            make_record(Path(scratch), stamps)
            size = sum(path.stat().st_size for path in Path(scratch).glob("train.*.npy")) / 1e9
            options = ["--steps", str(given.steps), "--tile", given.tile, "--precision", given.precision]
            command = [sys.executable, __file__, "--measure", scratch, "--stamps", str(stamps), *options]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        peaks.append(found["anonymous"])
        print(
            f"train on {stamps} overpasses, {size:.2f} GB of files (36 months: {size * STAMPS_36_MONTHS / stamps:.1f} "
            f"GB), {found['tiles']} tiles: peak {peaks[-1]:.2f} GB ({found['before']:.2f} GB before the first step; "
            f"{found['resident']:.2f} GB with pages of files) = {peaks[-1] / PROMISE_GB:.2f} of the promised "
            f"{PROMISE_GB} GB{'' if peaks[-1] < PROMISE_GB else '   BROKEN'}; {found['pace']:.3f} million pixel-steps "
            f"a CPU second, overlap of tiles included ({found['overlap']:.2f} x the region)"
        )
    if len(peaks) > 1:
        times = given.stamps[-1] / given.stamps[0]
        print(f"training: {peaks[-1] / peaks[0]:.2f} x the memory for {times:.1f} x the record")


if __name__ == "__main__":
    main()
