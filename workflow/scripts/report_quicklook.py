"""Quicklook of a product month (rule report_quicklook)."""

from pscnet.logs import log_to
from pscnet.report.quicklook import write_quicklook

with log_to(snakemake.log[0]):
    write_quicklook(
        product=snakemake.input.product,
        smap=snakemake.input.smap,
        picture=snakemake.output.picture,
        animation=snakemake.output.animation,
        month=snakemake.params.month,
        run=snakemake.params.run,
        colormap=snakemake.params.colormap,
        value_range=snakemake.params.range,
    )
