"""Kill the whole process tree of a run at random moments, and start it again, until it is complete.

By hand, for the demo, in a copy of the checkout: ``python -m tests.end_to_end.kills --configfile config/demo.yaml``
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import PARTS, REPOSITORY
from tests.sameness import differences
from tests.waiting import wait_until


@dataclass
class Kills:
    """What became of a run that was killed again and again.

    Attributes
    ----------
    delays : list of float
        Seconds from the moment when jobs could start, or of every fourth kill from the start, to each kill.
    outputs : list of str
        What each start said, the last of a complete run included.
    seconds : float
        From the first start to the end.
    """

    delays: list[float] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run_and_kill(root: Path, arguments: Sequence[str], kills: int, longest: float, seed: int) -> Kills:
    """Run Snakemake, killing it and all that it started ``kills`` times, each followed by a plain rerun.

    Parameters
    ----------
    root : Path
        Copy of the checkout.
    arguments : of Snakemake
    kills : int
    longest : float
        Kills come up to this many seconds after Snakemake has locked its files, on a fast machine as on a slow one;
        every fourth one up to that after its start, while it still reads files.
    seed : int

    Raises
    ------
    AssertionError
        When a rerun fails, with what it said; when the run is complete before it was killed often enough.
    """
    moments, done = random.Random(seed), Kills()
    began = time.monotonic()
    while True:
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed below)
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=root, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        if len(done.delays) < kills and len(done.delays) % 4:
            _wait_for_lock(process, root)
        delay = moments.uniform(0.3, longest) if len(done.delays) < kills else 3600
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.seek(0)
        done.outputs.append(log.read())
        log.close()
        if process.returncode == 0:
            done.seconds = time.monotonic() - began
            assert len(done.delays) == kills, (
                f"complete after {len(done.delays)} of {kills} kills: make longest smaller"
            )
            return done
        assert process.returncode == -signal.SIGKILL, done.outputs[-1]
        done.delays.append(delay)


def _wait_for_lock(process: subprocess.Popen, root: Path) -> None:
    """Wait until a Snakemake that has just been started lists its files, or ends; a killed one's lists may be there."""
    since, folder = time.time(), root / ".snakemake" / "locks"
    wait_until(
        lambda: process.poll() is not None or any(_written(path) >= since for path in folder.glob("*.lock")), "a lock"
    )


def _written(path: Path) -> float:
    """When a file was last written; long ago where it has just been taken away."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def main() -> int:
    """Kill the run of a configuration, and compare its results with those of an undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configfile", default="config/demo.yaml")
    parser.add_argument("--run", default="demo", help="its name")
    parser.add_argument("--undisturbed", type=Path, default=REPOSITORY, help="checkout in which the run is complete")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=30, help="seconds from a start to its kill, at most")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pscnet_kills_") as folder:
        root = Path(folder)
        for part in (*PARTS, ".git"):  # results name the commit
            copy = shutil.copytree if (REPOSITORY / part).is_dir() else shutil.copy
            copy(REPOSITORY / part, root / part)
        arguments = ["--cores", given.cores, "--configfile", given.configfile]
        done = run_and_kill(root, arguments, given.kills, given.longest, given.seed)
        found = differences(given.undisturbed / "results" / given.run, root / "results" / given.run)
    after = ", ".join(f"{delay:.0f}" for delay in done.delays)
    print(f"{len(done.delays)} kills after {after} s; {done.seconds:.0f} s in all")
    print("\n".join(found) or "The results are those of the undisturbed run.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
