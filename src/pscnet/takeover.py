"""Is another Snakemake at work on this run, and what has a killed one left behind?

Snakemake locks the files of a run by listing them in ``.snakemake/locks``, and takes the list away when it ends;
killed, it leaves it, and the next one refuses to start. Whether the owner of a list is alive cannot be told from it.
Here every Snakemake that starts jobs therefore holds its run by a lock of the operating system, from before it looks
for what a killed one left until its process ends, however that ends: who gets it knows that nobody else is there, and
that the lists are those of the dead; who does not get it is refused. Whoever only looks holds nothing.

Jobs may outlive their Snakemake, and must not be started a second time beside themselves. Those of SLURM tell on their
own that they are done, and are waited for. Those on this machine cannot, and are ended.

What a job finished without its Snakemake has no record of its parameters. With which settings each file was last
started is noted, so that it gets the right one, or none.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import getpass
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TextIO

import psutil

#: Where Snakemake keeps its own things, relative to the working directory.
FOLDER = Path(".snakemake")

#: Options with which Snakemake starts no job. With some it changes files all the same, and then Snakemake's own lock
#: guards them.
LOOKING_ONLY = (
    "archive", "cleanup_metadata", "cleanup_shadow", "conda_cleanup_envs", "conda_create_envs_only",
    "container_cleanup_images", "containerize", "d3dag", "dag", "delete_all_output", "delete_temp_output",
    "deploy_sources", "detailed_summary", "dryrun", "filegraph", "generate_unit_tests", "lint", "list_changes",
    "list_conda_envs", "list_input_changes", "list_params_changes", "list_rules", "list_target_rules",
    "list_untracked", "print_compilation", "rulegraph", "summary", "touch", "unlock",
)  # fmt: skip

#: The same, unless the option that follows is given too: then jobs come first.
LOOKING_FIRST = {"report": "report_after_run", "reporter": "report_after_run"}

#: Pause between two looks at jobs that are waited for [s]: the first and the longest.
PAUSES = (1.0, 30.0)

#: How often in a row SLURM may fail to answer: two and a half minutes of pauses.
FAILURES = 10

#: Locks that this process holds until it ends, by file.
_HELD: dict[Path, TextIO] = {}

#: Files that say that SLURM may have jobs of a run, for the runs whose jobs this process gives to SLURM.
_MARKERS: list[Path] = []


class TakeoverError(RuntimeError):
    """Why no jobs may be started now, and what to do, in words."""


class SlurmError(RuntimeError):
    """SLURM did not answer, which does not mean that it has no jobs."""


def starts_jobs(options: Any) -> bool:
    """Whether Snakemake will start jobs, given its parsed command line."""
    # An older Snakemake may lack an option; that none is misspelt is tested against the one of the lock file.
    given = {name for name, value in vars(options).items() if value}
    first = (name for name, before in LOOKING_FIRST.items() if before not in given)
    return not given.intersection((*LOOKING_ONLY, *first)) and options.executor not in ("dryrun", "touch")


def take_over(
    run: str, say: Callable[[str], None], submits: bool = False, folder: Path = FOLDER, host: str | None = None
) -> None:
    """Hold the run as long as this process lives, and deal with what a killed Snakemake left of it.

    Returns when nothing is at work on the run any more; until then nobody else gets past this. The lists of locked
    files go last: killed meanwhile, everything is as before.

    Parameters
    ----------
    run : str
    say : callable
        Takes what is done or waited for, in words.
    submits : bool
        Whether this Snakemake gives its jobs to SLURM.
    folder : Path
        Snakemake's.
    host : str, optional
        Name of this machine.

    Raises
    ------
    TakeoverError
        When another Snakemake works on the run, or may do so on another machine; when SLURM was given jobs of the run
        and does not say whether they go on.
    """
    folder = folder.absolute()
    try:
        if not claim(run, folder, host):
            return
    except OSError as error:
        if lists_of(run, folder):
            say(
                f"Snakemake's folder cannot be locked ({error}), so that it cannot be told whether the Snakemake that "
                f"locked the files of run {run} is alive: nothing is cleared away, and nothing waited for. If it is "
                "certainly dead, type snakemake --unlock and start again."
            )
            return
    if ended := end_processes(folder):
        say(f"Jobs that went on after their Snakemake was killed are ended, and done again: {', '.join(ended)}")
    marker = folder / "heads" / f"{run}.slurm"
    if submits or marker.exists():
        wait_for_slurm(run, say, "" if submits else f"; or, when none of its jobs is left there, delete {marker}")
        marker.unlink(missing_ok=True)
    if submits:
        _MARKERS.append(marker)
    stale = lists_of(run, folder)
    for path in stale:
        path.unlink(missing_ok=True)
    if stale:
        say(f"The last Snakemake of run {run} was killed; its lock is cleared away.")


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


def lists_of(run: str, folder: Path = FOLDER) -> list[Path]:
    """Snakemake's lists of locked files that name files of the run."""
    prefixes = (f"build/{run}/", f"results/{run}/")
    return [
        path
        for path in sorted((folder / "locks").glob("*.lock"))
        if any(line.startswith(prefixes) for line in path.read_text(encoding="utf-8").splitlines())
    ]


def end_processes(folder: Path = FOLDER, patience: float = 10.0) -> list[str]:
    """End the jobs on this machine that descend from no Snakemake any more.

    Only for a process that holds its run (:func:`claim`).

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

    Raises
    ------
    SlurmError
        When SLURM does not say so.
    """
    listed = _said("squeue", "--noheader", f"--user={getpass.getuser()}", "--format=%A|%T|%Z|%k")
    found = {}
    for line in listed.splitlines():
        if line.count("|") < 3:
            raise SlurmError(f"squeue: {line}")
        number, state, folder, comment = line.split("|", 3)
        if Path(folder) == Path.cwd() and comment.startswith("rule_") and number not in found:
            script = _said("scontrol", "write", "batch_script", number, "-")
            if not script.strip():
                raise SlurmError(f"scontrol shows no script of job {number}")
            if re.search(rf"\brun={re.escape(run)}(?![\w.-])", script):
                found[number] = f"{number} ({comment.removeprefix('rule_')}, {state.lower()})"
    return list(found.values())


def _said(*command: str) -> str:
    """What a command of SLURM's prints."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except subprocess.CalledProcessError as error:
        raise SlurmError(f"{command[0]}: {error.stderr.strip() or f'exit status {error.returncode}'}") from None
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]}: no answer within {error.timeout:g} s") from None
    except OSError as error:
        raise SlurmError(f"{command[0]}: {error.strerror}") from None


def wait_for_slurm(run: str, say: Callable[[str], None], otherwise: str = "") -> None:
    """Wait until no SLURM job of a dead Snakemake is left, and say what is waited for.

    Only for a process that holds the run (:func:`claim`): then the jobs' Snakemake is dead.

    Parameters
    ----------
    run : str
    say : callable
    otherwise : str
        What else to do where SLURM cannot be asked, in words.

    Raises
    ------
    TakeoverError
        When SLURM cannot be asked, or goes on failing.
    """
    pause, shown, failures = PAUSES[0], None, 0
    while True:
        try:
            jobs, failures = slurm_jobs(run), 0
        except SlurmError as error:
            failures += 1
            if failures == FAILURES or shutil.which("squeue") is None:
                raise TakeoverError(
                    f"Jobs of run {run} may be in SLURM's queue, which cannot be asked from here ({error}); started "
                    f"again they would be done twice.\nStart again where squeue answers{otherwise}."
                ) from None
            if failures == 1:
                say(f"SLURM does not say whether jobs of run {run} go on ({error}); it is asked again.")
        else:
            if not jobs:
                return
            if jobs != shown:
                say(
                    f"The last Snakemake of run {run} was killed; {len(jobs)} of its SLURM jobs go on: "
                    f"{', '.join(jobs)}.\n"
                    "They are waited for, so that nothing is done twice; scancel those that shall be done again."
                )
                shown = jobs
        time.sleep(pause)
        pause = min(2 * pause, PAUSES[1])


def jobs_start() -> None:
    """Note that SLURM may have jobs of this process's runs from now on: then the next Snakemake must be able to ask."""
    for marker in _MARKERS:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def jobs_ended() -> None:
    """Note that this process saw all of them end."""
    for marker in _MARKERS:
        marker.unlink(missing_ok=True)


def started_with(run: str, folder: Path = FOLDER) -> dict[str, str]:
    """With which settings each file was last started: path to digest of the configuration."""
    notes = _notes_of(run, folder)
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.exists() else []
    return {path: settings for settings, _, path in (line.partition(" ") for line in lines) if path}


def note_start(run: str, settings: str, paths: Iterable[str], folder: Path = FOLDER) -> None:
    """Note with which settings files are started."""
    notes = _notes_of(run, folder)
    notes.parent.mkdir(parents=True, exist_ok=True)
    with open(notes, "a", encoding="utf-8") as file:
        file.write("".join(f"{settings} {path}\n" for path in paths))


def drop_notes(run: str, paths: Collection[str], folder: Path = FOLDER) -> None:
    """Drop the notes on files that have a record of Snakemake's."""
    kept = {path: settings for path, settings in started_with(run, folder).items() if path not in paths}
    notes = _notes_of(run, folder)
    part = notes.with_suffix(".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_text("".join(f"{settings} {path}\n" for path, settings in kept.items()), encoding="utf-8")
    part.replace(notes)


def _notes_of(run: str, folder: Path) -> Path:
    return folder / "heads" / f"{run}.started"
