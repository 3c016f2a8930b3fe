# A Snakemake that was killed leaves its lock, and perhaps jobs that go on without it; this one takes over from it.

import contextlib
import io

from snakemake.cli import parse_args

from pscnet import takeover
from pscnet.provenance import digest

#: Options with which no job is started.
LOOKING_ONLY = ("dryrun", "touch", "unlock", "lint", "summary", "detailed_summary", "dag", "rulegraph", "report")


def starts_jobs() -> bool:
    with contextlib.redirect_stderr(io.StringIO()):
        given = parse_args(sys.argv[1:])[1]
    return not any(getattr(given, option, False) for option in LOOKING_ONLY)


if workflow.is_main_process:
    alone, what = takeover.claim(PLAN.run)
    if what:
        logger.warning(what)
    if alone and starts_jobs():
        if ended := takeover.end_processes():
            logger.warning(f"Jobs that went on after it was killed are ended, and done again: {', '.join(ended)}")
        takeover.wait_for_slurm(PLAN.run, logger.warning)


# What a job finished after its Snakemake was killed is taken as it is, and gets the record of parameters that it lacks:
# without one, Snakemake would not see a later change of them.
onstart:
    unrecorded = [
        job
        for job in workflow.dag.jobs
        if not (job.rule.norun or workflow.dag.needrun(job) or workflow.persistence.has_metadata(job))
    ]
    same = takeover.same_settings(PLAN.run, digest(PLAN.config.model_dump(mode="json")))
    for job in unrecorded if same else []:
        workflow.async_run(workflow.persistence.finished(job))
    if unrecorded and not same:
        logger.warning(
            "The configuration may have changed since these files were made, and they have no record of it; delete "
            f"those that depend on what changed: {', '.join(str(job.output) for job in unrecorded)}"
        )
