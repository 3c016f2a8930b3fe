"""Comparison of models over all worlds (rule research_numbers)."""

from pscnet.logs import log_to
from pscnet.validation.compare_run import compare_worlds

with log_to(snakemake.log[0]):
    compare_worlds(
        worlds=snakemake.params.worlds,
        output=snakemake.output.numbers,
        controls=snakemake.params.controls,
    )
