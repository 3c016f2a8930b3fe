"""Commands that start jobs, and those that only look."""

from __future__ import annotations

import argparse

from pscnet.takeover.start import LOOKING_FIRST, LOOKING_ONLY, starts_jobs


def test_a_command_that_only_looks_is_told_from_one_that_starts_jobs():
    options = {name: None for name in (*LOOKING_ONLY, *LOOKING_FIRST, "report_after_run", "executor")}

    def starts(**given) -> bool:
        return starts_jobs(argparse.Namespace(**(options | given)))

    assert starts() and starts(executor="slurm")
    assert not any(starts(**{name: True}) for name in (*LOOKING_ONLY, *LOOKING_FIRST))
    assert starts(report="report.zip", report_after_run=True)
    assert not starts(report="report.zip", report_after_run=True, dryrun=True)
    assert not starts(executor="dryrun")
