"""Scores of the test split (rule verify_scores)."""

from pscnet.grids import ease2_grid, fine_grid
from pscnet.logs import log_to
from pscnet.validation.score_run import score_run

with log_to(snakemake.log[0]):
    score_run(
        products=snakemake.input.products,
        references=snakemake.input.fields,
        heldout=snakemake.input.heldout,
        static=snakemake.input.static,
        fine=fine_grid(**snakemake.params.fine),
        coarse=ease2_grid(**snakemake.params.coarse),
        test_intervals=snakemake.params.intervals,
        scores_json=snakemake.output.json,
        scores_csv=snakemake.output.csv,
        places_nc=snakemake.output.places,
        truths=snakemake.input.truth,
        places=snakemake.params.places,
        run=snakemake.params.run,
    )
