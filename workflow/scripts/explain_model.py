"""Importance of the inputs and carry maps of a net (rule explain_model)."""

from pscnet.explain.files import write_explanation
from pscnet.grids import WEIGHTS
from pscnet.logs import log_to
from pscnet.timeaxis import Split

with log_to(snakemake.log[0]):
    write_explanation(
        months=snakemake.params.months,
        predictors=snakemake.input.predictors,
        bands=snakemake.input.bands,
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        weights={name: snakemake.input[name] for name in WEIGHTS},
        samples=snakemake.params.folder,
        checkpoints=snakemake.input.checkpoints,
        names=snakemake.params.names,
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        mapped=snakemake.params.mapped,
        table=snakemake.output.table,
        rows=snakemake.output.rows,
        maps=snakemake.output.maps,
        threads=snakemake.threads,
        model=snakemake.params.model,
        **snakemake.params.options,
    )
