"""A month of ERA5-Land from the Climate Data Store (rule fetch_era5_land)."""

from pscnet.logs import log_to
from pscnet.sources.fetch.era5_land import fetch_month
from pscnet.sources.fetch.secrets import guarded

with log_to(snakemake.log[0]) as screen, guarded():
    fetch_month(
        archive=snakemake.params.archive,
        month=snakemake.params.month,
        variables=snakemake.params.variables,
        lat=snakemake.params.lat,
        lon=snakemake.params.lon,
        settings=snakemake.params.settings,
        output=snakemake.output.manifest,
        state_file=snakemake.params.state_file,
        state=snakemake.params.state,
        screen=screen,
    )
