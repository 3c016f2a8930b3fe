"""Temporal bands of a month (rule dataset_bands)."""

from pscnet.logs import log_to
from pscnet.samples.bands import write_bands

with log_to(snakemake.log[0]):
    write_bands(
        predictors=snakemake.input.predictors,
        previous=next(iter(snakemake.input.previous), None),
        names=snakemake.params.names,
        background=snakemake.params.background,
        time_scales_days=snakemake.params.time_scales_days,
        output=snakemake.output.bands,
    )
