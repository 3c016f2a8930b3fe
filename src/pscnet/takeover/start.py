"""What a Snakemake does before it looks for jobs: hold its run, and deal with what a killed one left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pscnet.takeover import FOLDER
from pscnet.takeover.hold import claim
from pscnet.takeover.processes import end_processes
from pscnet.takeover.queue import settle

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
    settle(run, say, submits, folder)
    stale = lists_of(run, folder)
    for path in stale:
        path.unlink(missing_ok=True)
    if stale:
        say(f"The last Snakemake of run {run} was killed; its lock is cleared away.")


def lists_of(run: str, folder: Path = FOLDER) -> list[Path]:
    """Snakemake's lists of locked files that name files of the run."""
    prefixes = (f"build/{run}/", f"results/{run}/")
    return [
        path
        for path in sorted((folder / "locks").glob("*.lock"))
        if any(line.startswith(prefixes) for line in path.read_text(encoding="utf-8").splitlines())
    ]
