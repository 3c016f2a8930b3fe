"""The simulated stations as ISMN files (rule twin_stations)."""

from pscnet.logs import log_to
from pscnet.twin.month import write_stations

with log_to(snakemake.log[0]):
    write_stations(
        station_month_files=snakemake.input.months,
        raw_folder=snakemake.params.raw,
        done_out=snakemake.output.listing,
    )
