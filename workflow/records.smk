# What a job finished after its Snakemake was killed has no record of its parameters; without one, Snakemake would not
# see a later change of them. It gets one where it was started with these settings (SETTINGS, those of run RUN).

import functools

from pscnet.takeover.notes import drop_notes, note_start, started_with
from pscnet.takeover.queue import jobs_ended, jobs_start


def started(job, external_jobid, before):
    """Note with what a job is started, and drop the record of the files that it replaces."""
    note_start(RUN, SETTINGS, map(str, job.output))
    for path in job.output:
        workflow.persistence.cleanup_metadata(path)
    before(job, external_jobid)


onstart:
    made_with = started_with(RUN)
    recorded, doubtful = [], []
    for job in workflow.dag.jobs:
        if workflow.persistence.has_metadata(job):
            recorded.append(job)
        elif job.rule.norun or workflow.dag.needrun(job):
            continue
        elif all(made_with.get(str(path)) == SETTINGS for path in job.output):
            workflow.async_run(workflow.persistence.finished(job))
            recorded.append(job)
        else:
            doubtful.append(job)
    if doubtful:
        logger.warning(
            "The configuration may have changed since these files were made, and they have no record of it; delete "
            f"those that depend on what changed: {', '.join(str(job.output) for job in doubtful)}"
        )
    drop_notes(RUN, {str(path) for job in recorded for path in job.output})
    workflow.persistence.started = functools.partial(started, before=workflow.persistence.started)
    jobs_start()


onsuccess:
    jobs_ended()
