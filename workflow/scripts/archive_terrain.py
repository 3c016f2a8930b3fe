"""The manifest of the elevation file (rule archive_terrain)."""

from pscnet.logs import log_to
from pscnet.sources.archive import write_manifest

with log_to(snakemake.log[0]):
    write_manifest(
        folder=snakemake.params.folder,
        cache=snakemake.params.index,
        source="terrain",
        month=None,
        variables=[],
        output=snakemake.output.manifest,
    )
