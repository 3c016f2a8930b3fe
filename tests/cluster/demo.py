"""The demo through a SLURM on this machine, held against the demo that ran without one.

By hand, as root, after ``make demo``: ``python -m tests.cluster.demo``
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.slurm import PROFILE, Slurm, missing
from tests.conftest import REPOSITORY
from tests.sameness import differences


def main() -> int:
    """Send the run of a configuration through SLURM, and compare its results with those of a run without.

    Returns
    -------
    int
        Exit code: 0 when the run is complete and every value is the same.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.demo", description=main.__doc__.splitlines()[0])
    parser.add_argument("--configfile", type=Path, default=REPOSITORY / "config" / "demo.yaml")
    parser.add_argument("--run", default="demo", help="its name")
    parser.add_argument("--undisturbed", type=Path, default=REPOSITORY, help="checkout in which the run is complete")
    parser.add_argument("--cpus", type=int, default=3, help="of each of the three nodes")
    given = parser.parse_args()
    if reason := missing():
        print(f"no SLURM: {reason}", file=sys.stderr)
        return 1
    options = ("--cores", str(given.cpus), "--configfile", str(given.configfile.resolve()))
    with tempfile.TemporaryDirectory(prefix="pscnet_slurm_") as folder:
        root = Path(folder) / "run"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(root)], check=True)  # results name the commit
        slurm, began = Slurm(Path(folder) / "slurm", cpus=given.cpus), time.monotonic()
        try:
            slurm.start()
            subprocess.run(
                [sys.executable, "-m", "snakemake", *PROFILE, *options],
                cwd=root, stdin=subprocess.DEVNULL, check=True,
            )  # fmt: skip
            jobs = slurm.jobs(root)
        finally:
            slurm.stop()
        found = differences(given.undisturbed / "results" / given.run, root / "results" / given.run)
    ended = sorted({job.state for job in jobs})
    print(f"{len(jobs)} jobs of SLURM, all {' or '.join(ended).lower()}; {time.monotonic() - began:.0f} s")
    print("\n".join(found) or "The results are those of the run without SLURM.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
