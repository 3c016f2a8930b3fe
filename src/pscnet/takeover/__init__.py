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

from pathlib import Path

#: Where Snakemake keeps its own things, relative to the working directory.
FOLDER = Path(".snakemake")


class TakeoverError(RuntimeError):
    """Why no jobs may be started now, and what to do, in words."""
