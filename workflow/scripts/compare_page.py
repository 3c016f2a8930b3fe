"""Tables and figures of a comparison (rule compare_page)."""

from pscnet.logs import log_to
from pscnet.report.comparison_page import write_comparison_page

with log_to(snakemake.log[0]):
    write_comparison_page(
        comparison=snakemake.input.numbers,
        page=snakemake.output.page,
        csv=snakemake.output.csv,
        figures=snakemake.params.figures,
    )
