"""Figures of the run (rule report_figures)."""

from pscnet.logs import log_to
from pscnet.report.run_figures import write_run_figures

with log_to(snakemake.log[0]):
    write_run_figures(
        folder=snakemake.params.figures,
        index=snakemake.output.index,
        product=snakemake.input.product,
        smap=snakemake.input.smap,
        scores=snakemake.input.scores,
        places=snakemake.input.places,
        inputs=snakemake.input.inputs,
        curves=snakemake.input.curves,
        model=snakemake.params.model,
        colormap=snakemake.params.colormap,
        value_range=snakemake.params.range,
    )
