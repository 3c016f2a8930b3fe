"""Scores of the test split (rule verify_scores)."""

from pscnet.logs import log_to
from pscnet.validation.score_run import score_run

with log_to(snakemake.log[0]):
    score_run(
        products=snakemake.input.products,
        references=snakemake.input.fields,
        heldout=snakemake.input.heldout,
        static=snakemake.input.static,
        region_lat=snakemake.params.lat,
        region_lon=snakemake.params.lon,
        test_intervals=snakemake.params.intervals,
        scores_json=snakemake.output.json,
        scores_csv=snakemake.output.csv,
        places_nc=snakemake.output.places,
        truths=snakemake.input.truth,
        coarse_name=snakemake.params.coarse_name,
        places=snakemake.params.places,
        run=snakemake.params.run,
    )
