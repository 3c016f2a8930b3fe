"""Figures of an explanation (rule explain_figures)."""

from pscnet.logs import log_to
from pscnet.report.explanation import write_explanation_figures

with log_to(snakemake.log[0]):
    write_explanation_figures(
        table=snakemake.input.table,
        maps=snakemake.input.maps,
        bars=snakemake.output.bars,
        shares=snakemake.output.shares,
        most=snakemake.params.most,
    )
