"""The report (rule report_page)."""

from pscnet.logs import log_to
from pscnet.report.page import write_page

with log_to(snakemake.log[0]):
    write_page(
        page=snakemake.output.page,
        figures=snakemake.params.figures,
        product=snakemake.input.product,
        smap=snakemake.input.smap,
        scores=snakemake.input.scores,
        places=snakemake.input.places,
        summary=snakemake.params.summary,
        references=next(iter(snakemake.input.references), None),
        training_curve=snakemake.input.curve,
        checks=snakemake.input.checks,
        colormap=snakemake.params.colormap,
        value_range=snakemake.params.range,
    )
