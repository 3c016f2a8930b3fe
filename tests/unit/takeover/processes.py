"""What a process that takes over a run says, and its end."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

CLEARED = "The last Snakemake of run one was killed; its lock is cleared away."


def words_of(process: subprocess.Popen, until: str = "done") -> str:
    """What a process says up to a line with certain words, which is left out when it is the last one."""
    lines = []
    for line in process.stdout:
        lines += [line.strip()] if line.strip() != "done" else []
        if until in line:
            break
    return "|".join(lines)


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def relock(folder: Path) -> None:
    """As Snakemake does where there are jobs."""
    (folder / "locks" / "0.output.lock").write_text("results/one/scores.json\n")


def lists(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "locks").iterdir())
