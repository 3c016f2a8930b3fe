"""Which jobs on this machine go on without their Snakemake? They cannot tell that they are done, and are ended."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import psutil

from pscnet.takeover import FOLDER
from pscnet.takeover.hold import holders


def end_processes(folder: Path = FOLDER, patience: float = 10.0) -> list[str]:
    """End the jobs on this machine that descend from no Snakemake any more.

    Only for a process that holds its run (:func:`pscnet.takeover.hold.claim`).

    Returns
    -------
    list of str
        Their rules.
    """
    orphans = _orphans(folder.absolute())
    for process, _ in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs([process for process, _ in orphans], timeout=patience)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return [rule for _, rule in orphans]


def _orphans(folder: Path) -> list[tuple[psutil.Process, str]]:
    """Processes that run a script of Snakemake's in its folder and descend from no Snakemake, and their rules."""
    scripts, heads = folder / "scripts", holders(folder)
    found = []
    for process in psutil.process_iter(["cmdline"]):
        named = [Path(word) for word in process.info["cmdline"] or [] if Path(word).parent == scripts]
        if not named:
            continue
        try:
            above = [(parent.pid, parent.cmdline()) for parent in process.parents()]
        except psutil.Error:
            continue
        if not any(pid in heads or is_snakemake(words) for pid, words in above):
            found.append((process, named[0].stem.split(".")[-1]))
    return found


def is_snakemake(words: Sequence[str]) -> bool:
    """Whether a command line is Snakemake's own, and does not only have its name in a path or a shell's script."""
    return any(Path(word).name == "snakemake" for word in words) or ("-m", "snakemake") in itertools.pairwise(words)
