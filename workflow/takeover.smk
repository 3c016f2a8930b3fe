# A Snakemake that was killed leaves its lock, and perhaps jobs that go on without it; this one takes over from it what
# is of run RUN.

import contextlib
import io

from snakemake.cli import parse_args

from pscnet.takeover import TakeoverError
from pscnet.takeover.hold import forget
from pscnet.takeover.start import starts_jobs, take_over


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
        forget()
    if given is None or starts_jobs(given):
        try:
            take_over(RUN, logger.warning, submits=given is not None and given.executor == "slurm")
        except TakeoverError as error:
            raise WorkflowError(str(error)) from None
