"""The manifest of a month's raw files (rule archive_manifest)."""

from pscnet.logs import log_to
from pscnet.sources.archive import write_manifest

with log_to(snakemake.log[0]):
    write_manifest(
        folder=snakemake.params.folder,
        cache=snakemake.params.index,
        source=snakemake.params.source,
        month=snakemake.params.month,
        variables=snakemake.params.variables,
        output=snakemake.output.manifest,
        grid=snakemake.params.grid,
    )
