"""Is another Snakemake at work on this run? A lock of the operating system says so, however a process ends."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import TextIO

from pscnet.takeover import FOLDER, TakeoverError

#: Locks that this process holds until it ends, by file.
_HELD: dict[Path, TextIO] = {}


def claim(run: str, folder: Path = FOLDER, host: str | None = None) -> bool:
    """Hold the run for this process alone until it ends.

    Parameters
    ----------
    run : str
    folder : Path
        Snakemake's.
    host : str, optional
        Name of this machine.

    Returns
    -------
    new : bool
        False when this process holds it already.

    Raises
    ------
    TakeoverError
        When another Snakemake holds it, or one on another machine did and never said that it ended.
    OSError
        Where files cannot be locked.
    """
    host = host or socket.gethostname()
    path = _lock_of(run, folder)
    if path in _HELD:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    try:
        _lock(file, run, host)
    except (TakeoverError, OSError):
        file.close()
        raise
    _write(file, f"{host} {os.getpid()}")
    _HELD[path] = file
    return True


def _lock(file: TextIO, run: str, host: str) -> None:
    """Lock the file of a run, unless another process or machine may be at work on it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        before, _, process = _read(file).partition(" ")
        raise TakeoverError(
            f"Another Snakemake is at work on run {run}, or waits for what a killed one left (process {process} on "
            f"{before}). Wait until it ends, or end it. One command can make several targets."
        ) from None
    before = _read(file).partition(" ")[0]
    if before not in ("", host):
        # The lock of a file system may reach no further than one machine.
        raise TakeoverError(
            f"The last Snakemake of run {run} was at work on {before} and never said that it ended, and from {host} it "
            f"cannot be told whether it is alive.\nStart again on {before}. Or, if it and its jobs on {before} are "
            "certainly dead, type snakemake --unlock and start again here; jobs of it in SLURM's queue are waited for."
        )


def forget(folder: Path = FOLDER) -> None:
    """Take the word of whoever unlocks the folder that no Snakemake of another machine is alive; of all runs in it."""
    for path in (folder / "heads").glob("*.lock"):
        with contextlib.suppress(OSError), open(path, "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(file, "")


def holders(folder: Path = FOLDER) -> set[int]:
    """Numbers of the processes that hold a run of the folder, those of other machines and of the dead included."""
    texts = (path.read_text(encoding="utf-8").strip() for path in (folder / "heads").glob("*.lock"))
    processes = (text.partition(" ")[2] for text in texts)
    return {int(process) for process in processes if process.isdigit()}


@atexit.register
def _leave() -> None:
    """Say that this process ended on its own. The lock would not tell a machine that it does not reach."""
    for file in _HELD.values():
        if _read(file).endswith(f" {os.getpid()}"):  # and not a fork of it
            _write(file, "")


def _lock_of(run: str, folder: Path) -> Path:
    return folder.absolute() / "heads" / f"{run}.lock"


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read().strip()


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
