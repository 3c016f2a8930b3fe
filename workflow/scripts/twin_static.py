"""The simulated terrain as an elevation file (rule twin_static)."""

from pscnet.logs import log_to
from pscnet.twin.month import write_static

with log_to(snakemake.log[0]):
    write_static(
        lat=snakemake.params.lat,
        lon=snakemake.params.lon,
        seed=snakemake.params.seed,
        raw_folder=snakemake.params.raw,
        terrain_manifest_out=snakemake.output.manifest,
    )
