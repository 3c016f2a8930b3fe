"""The ERA5-Land step before the first month, or after the last one (rule fetch_era5_edge)."""

from pscnet.logs import log_to
from pscnet.sources.fetch.era5_land import fetch_edge
from pscnet.sources.fetch.secrets import guarded

with log_to(snakemake.log[0]) as screen, guarded():
    fetch_edge(
        archive=snakemake.params.archive,
        edge=snakemake.params.edge,
        period=(snakemake.params.month, snakemake.params.month),
        variables=snakemake.params.variables,
        lat=snakemake.params.lat,
        lon=snakemake.params.lon,
        settings=snakemake.params.settings,
        output=snakemake.output.manifest,
        state_file=snakemake.params.state_file,
        state=snakemake.params.state,
        screen=screen,
    )
