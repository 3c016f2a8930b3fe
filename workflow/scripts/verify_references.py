"""Reference fields of a month (rule verify_references)."""

from pscnet.logs import log_to
from pscnet.validation.references import write_references

with log_to(snakemake.log[0]):
    write_references(
        predictors=snakemake.input.predictors,
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        normaliser=snakemake.input.normaliser,
        covariance=snakemake.input.covariance,
        weights={name: snakemake.input[name] for name in ("fine_to_coarse", "coarse_to_fine")},
        window_days=snakemake.params.window_days,
        causal=snakemake.params.causal,
        output=snakemake.output.fields,
    )
