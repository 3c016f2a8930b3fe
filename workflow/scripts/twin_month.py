"""A simulated month as provider files, and its truth (rule twin_month)."""

from pscnet.logs import log_to
from pscnet.twin.month import write_month

with log_to(snakemake.log[0]):
    write_month(
        month=snakemake.params.month,
        lat=snakemake.params.lat,
        lon=snakemake.params.lon,
        seed=snakemake.params.seed,
        predictors=snakemake.params.predictors,
        previous_state=next(iter(snakemake.input.previous), None),
        raw_folder=snakemake.params.raw,
        state_out=snakemake.output.state,
        truth_out=snakemake.output.truth,
        stations_out=snakemake.output.stations,
        era5_manifest_out=snakemake.output.era5_land,
        smap_manifest_out=snakemake.output.smap,
        control=snakemake.params.control,
    )
