"""Held-out SMAP of the test split (rule verify_heldout)."""

from pscnet.grids import WEIGHTS
from pscnet.logs import log_to
from pscnet.timeaxis import Split
from pscnet.validation.heldout import write_heldout

with log_to(snakemake.log[0]):
    write_heldout(
        months=snakemake.params.months,
        predictors=snakemake.input.predictors,
        bands=snakemake.input.bands,
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        weights={name: snakemake.input[name] for name in WEIGHTS},
        checkpoints=snakemake.input.checkpoints,
        covariance=snakemake.input.covariance,
        names=snakemake.params.names,
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        output=snakemake.output.heldout,
        threads=snakemake.threads,
        model=snakemake.params.model,
        **snakemake.params.gaps,
        **snakemake.params.options,
    )
