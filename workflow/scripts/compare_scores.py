"""Moments of a model against the truth (rule compare_scores)."""

from pscnet.grids import WEIGHTS
from pscnet.logs import log_to
from pscnet.validation.model_scores import write_model_scores

with log_to(snakemake.log[0]):
    write_model_scores(
        months=snakemake.params.months,
        predictors=snakemake.input.predictors,
        bands=snakemake.input.bands,
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        truths=dict(zip(snakemake.params.test_months, snakemake.input.truth, strict=True)),
        static=snakemake.input.static,
        weights={name: snakemake.input[name] for name in WEIGHTS},
        checkpoints=snakemake.input.checkpoints,
        curves=snakemake.input.curves,
        names=snakemake.params.names,
        test_intervals=snakemake.params.intervals,
        output=snakemake.output.moments,
        threads=snakemake.threads,
        **snakemake.params.options,
    )
