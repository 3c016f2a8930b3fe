"""Review of the simulated Plateau (rule verify_twin)."""

from pscnet.grids import fine_grid
from pscnet.logs import log_to
from pscnet.report.twin_figures import write_twin_figures
from pscnet.validation.twin_review import write_review

with log_to(snakemake.log[0]):
    document = write_review(
        truths=snakemake.input.truth,
        predictors=snakemake.input.predictors,
        smap_months=snakemake.input.smap,
        stations=snakemake.input.stations,
        grid=fine_grid(**snakemake.params.fine),
        run=snakemake.params.run,
        output=snakemake.output.review,
    )
    write_twin_figures(document, snakemake.params.figures)
