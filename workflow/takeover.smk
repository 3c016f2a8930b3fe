# A Snakemake that was killed leaves its lock, and perhaps jobs that go on without it; this one takes over from it.

import contextlib
import io

from snakemake.cli import parse_args

from pscnet import takeover


def options():
    """What Snakemake was called with; nothing where another program drives it, whose arguments are its own."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return parse_args(sys.argv[1:])[1]
        except SystemExit:
            return None


# Here, before it is known which jobs there are to do: what a job left behind finishes meanwhile is not done again.
if workflow.is_main_process:
    given = options()
    if given and given.unlock:
        takeover.forget()
    if given is None or takeover.starts_jobs(given):
        try:
            takeover.take_over(PLAN.run, logger.warning, submits=given is not None and given.executor == "slurm")
        except takeover.TakeoverError as error:
            raise WorkflowError(str(error)) from None
