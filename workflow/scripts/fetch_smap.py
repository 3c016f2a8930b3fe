"""A month of a SMAP product from NASA Earthdata (rule fetch_smap)."""

from pscnet.logs import log_to
from pscnet.sources.fetch.secrets import guarded
from pscnet.sources.fetch.smap import fetch_month

with log_to(snakemake.log[0]) as screen, guarded():
    fetch_month(
        archive=snakemake.params.archive,
        source=snakemake.params.source,
        month=snakemake.params.month,
        lat=snakemake.params.lat,
        lon=snakemake.params.lon,
        settings=snakemake.params.settings,
        output=snakemake.output.manifest,
        state_file=snakemake.params.state_file,
        state=snakemake.params.state,
        screen=screen,
    )
