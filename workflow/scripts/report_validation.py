"""Figures of the validations (rule report_validation)."""

from pscnet.logs import log_to
from pscnet.report.validation_figures import write_validation_figures

with log_to(snakemake.log[0]):
    write_validation_figures(
        validations=snakemake.params.validations,
        files=snakemake.input.findings,
        folder=snakemake.params.figures,
        index=snakemake.output.index,
    )
