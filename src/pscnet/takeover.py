"""Is another Snakemake at work on this run, and what has a killed one left behind?

Snakemake locks the files of a run by listing them in ``.snakemake/locks``, and takes the list away when it ends;
killed, it leaves it, and the next one refuses to start. Whether the owner of a list is alive cannot be told from it.
Here every Snakemake of a run therefore holds a lock of the operating system, which ends with the process however that
ends: who gets it for itself alone knows that nobody else is there, and that the lists are those of the dead.

Jobs may outlive their Snakemake, and must not be started a second time beside themselves. Those of SLURM tell on their
own that they are done, and are waited for. Those on this machine cannot, and are ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import psutil

#: Where Snakemake keeps its own things, relative to the working directory.
FOLDER = Path(".snakemake")

#: Pause between two looks at jobs that are waited for [s]: the first and the longest.
PAUSES = (1.0, 30.0)

#: Locks that this process holds until it ends, by file.
_HELD: dict[Path, TextIO] = {}


def claim(run: str, folder: Path = FOLDER, host: str | None = None) -> tuple[bool, str]:
    """Say, as long as this process lives, that a Snakemake is at work on the run; clear away the locks of dead ones.

    Parameters
    ----------
    run : str
    folder : Path
        Snakemake's.
    host : str, optional
        Name of this machine.

    Returns
    -------
    alone : bool
        Whether no other Snakemake of this run is alive.
    message : str
        What was done or left undone; empty when there was nothing to do.
    """
    host = host or socket.gethostname()
    path = folder / "heads" / f"{run}.lock"
    if path in _HELD:
        return False, ""
    if not _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
        _lock(path, fcntl.LOCK_SH)
        return False, ""
    stale, message = _lists_of(run, folder), ""
    before = path.read_text(encoding="utf-8").strip()
    if stale and before not in ("", host):
        # The lock of a file system may reach no further than one machine.
        message = (
            f"The files of run {run} were locked by a Snakemake on {before}, and from {host} it cannot be told whether "
            f"it is alive. Start again on {before}; or, if it is certainly dead, type: snakemake --unlock"
        )
    else:
        for file in stale:
            file.unlink(missing_ok=True)
        if stale:
            message = f"The last Snakemake of run {run} was killed; its lock is cleared away."
        path.write_text(host, encoding="utf-8")
    if path in _HELD:
        fcntl.flock(_HELD[path], fcntl.LOCK_SH)
    return True, message


def _lock(path: Path, kind: int) -> bool:
    """Take a lock of the operating system; False when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    try:
        fcntl.flock(file, kind)
    except BlockingIOError:
        file.close()
        return False
    except OSError:
        # A file system without such locks: nothing can be known, and nothing is cleared away.
        file.close()
        return False
    _HELD[path] = file
    return True


def _lists_of(run: str, folder: Path) -> list[Path]:
    """Snakemake's lists of locked files that name files of the run."""
    prefixes = (f"build/{run}/", f"results/{run}/")
    return [
        path
        for path in sorted((folder / "locks").glob("*.lock"))
        if any(line.startswith(prefixes) for line in path.read_text(encoding="utf-8").splitlines())
    ]


def end_processes(folder: Path = FOLDER, patience: float = 10.0) -> list[str]:
    """End the jobs on this machine that descend from no Snakemake any more.

    Only for a process for which :func:`claim` said that it is alone.

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


def slurm_jobs(run: str) -> list[str]:
    """SLURM's jobs of this user that work in this folder on this run, in words.

    Only for a process for which :func:`claim` said that it is alone: then their Snakemake is dead.
    """
    if shutil.which("squeue") is None:
        return []
    listed = _said("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%A|%T|%k|%Z")
    found = {}
    for line in listed.splitlines():
        number, state, comment, folder = line.split("|", 3)
        if Path(folder) == Path.cwd() and comment.startswith("rule_") and number not in found:
            script = _said("scontrol", "write", "batch_script", number, "-")
            if re.search(rf"\brun={re.escape(run)}(?![\w.-])", script):
                found[number] = f"{number} ({comment.removeprefix('rule_')}, {state.lower()})"
    return list(found.values())


def _said(*command: str) -> str:
    """What a command prints; nothing when it fails, such as where SLURM is installed and not at work."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def wait_for_slurm(run: str, say: Callable[[str], None]) -> None:
    """Wait until no SLURM job of a dead Snakemake is left, and say what is waited for."""
    pause, shown = PAUSES[0], None
    while jobs := slurm_jobs(run):
        if jobs != shown:
            say(
                f"The last Snakemake of run {run} was killed; {len(jobs)} of its SLURM jobs go on: {', '.join(jobs)}.\n"
                "They are waited for, so that nothing is done twice; scancel those that shall be done again."
            )
            shown = jobs
        time.sleep(pause)
        pause = min(2 * pause, PAUSES[1])


def same_settings(run: str, settings: str, folder: Path = FOLDER) -> bool:
    """Whether the last Snakemake of this run had the same settings; those given are kept for the next one.

    Parameters
    ----------
    run : str
    settings : str
        Digest of the configuration.
    folder : Path
        Snakemake's.
    """
    path = folder / "heads" / f"{run}.settings"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(settings, encoding="utf-8")
    return before == settings
