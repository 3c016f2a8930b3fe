"""The report (rule report_page)."""

from pscnet.logs import log_to
from pscnet.report.page.whole import write_page

with log_to(snakemake.log[0]):
    write_page(
        page=snakemake.output.page,
        product=snakemake.input.product,
        smap=snakemake.input.smap,
        scores=snakemake.input.scores,
        places=snakemake.input.places,
        inputs=snakemake.input.inputs,
        figures=snakemake.input.figures,
        summary=snakemake.params.summary,
        references=next(iter(snakemake.input.references), None),
        curves=snakemake.input.curves,
        checks=snakemake.input.checks,
        documents=snakemake.input.documents,
        document_figures=snakemake.input.document_figures,
        stations=next(iter(snakemake.input.stations), None),
        runtimes=snakemake.params.runtimes,
        colormap=snakemake.params.colormap,
        value_range=snakemake.params.range,
    )
