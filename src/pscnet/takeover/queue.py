"""Which jobs go on in SLURM without their Snakemake? They tell on their own that they are done, and are waited for."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pscnet.takeover import TakeoverError

#: Pause between two looks at jobs that are waited for [s]: the first and the longest.
PAUSES = (1.0, 30.0)

#: How often in a row SLURM may fail to answer: two and a half minutes of pauses.
FAILURES = 10

#: Files that say that SLURM may have jobs of a run, for the runs whose jobs this process gives to SLURM.
_MARKERS: list[Path] = []


class SlurmError(RuntimeError):
    """SLURM did not answer, which does not mean that it has no jobs."""


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

    Only for a process that holds the run (:func:`pscnet.takeover.hold.claim`): then the jobs' Snakemake is dead.

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


def settle(run: str, say: Callable[[str], None], submits: bool, folder: Path) -> None:
    """Wait until SLURM has no job of the run, where it may have one, and remember whether it will get some.

    Parameters and errors are those of :func:`pscnet.takeover.start.take_over`.
    """
    marker = folder / "heads" / f"{run}.slurm"
    if submits or marker.exists():
        wait_for_slurm(run, say, "" if submits else f"; or, when none of its jobs is left there, delete {marker}")
        marker.unlink(missing_ok=True)
    if submits:
        _MARKERS.append(marker)


def jobs_start() -> None:
    """Note that SLURM may have jobs of this process's runs from now on: then the next Snakemake must be able to ask."""
    for marker in _MARKERS:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def jobs_ended() -> None:
    """Note that this process saw all of them end."""
    for marker in _MARKERS:
        marker.unlink(missing_ok=True)
