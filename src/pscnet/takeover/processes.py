"""Which jobs on this machine go on without their Snakemake? They cannot tell that they are done, and are ended."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from pscnet.takeover import FOLDER


def end_processes(folder: Path = FOLDER, patience: float = 10.0) -> list[str]:
    """End the jobs on this machine that descend from no Snakemake any more.

    Only for a process that holds its run (:func:`pscnet.takeover.hold.claim`).

    Returns
    -------
    list of str
        Their rules.
    """
    orphans = _orphans(folder.absolute() / "scripts")
    for process, _ in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs([process for process, _ in orphans], timeout=patience)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return [rule for _, rule in orphans]


def _orphans(scripts: Path) -> list[tuple[psutil.Process, str]]:
    """Processes that run a script of Snakemake's in this folder and descend from no Snakemake, and their rules."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        named = [Path(word) for word in process.info["cmdline"] or [] if Path(word).parent == scripts]
        if not named:
            continue
        try:
            above = [" ".join(parent.cmdline()) for parent in process.parents()]
        except psutil.Error:
            continue
        if not any("snakemake" in command.replace(str(scripts), "") for command in above):
            found.append((process, named[0].stem.split(".")[-1]))
    return found
