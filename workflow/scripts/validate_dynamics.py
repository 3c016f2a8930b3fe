"""Temporal dynamics (rule validate_dynamics)."""

from pscnet.grids import fine_grid
from pscnet.logs import log_to
from pscnet.validation.dynamics import validate_dynamics

with log_to(snakemake.log[0]):
    validate_dynamics(
        products=snakemake.input.products,
        references=snakemake.input.fields,
        predictors=snakemake.input.predictors,
        heldout=snakemake.input.heldout,
        static=snakemake.input.static,
        fine=fine_grid(**snakemake.params.fine),
        test_intervals=snakemake.params.intervals,
        json_path=snakemake.output.json,
        csv_path=snakemake.output.csv,
        truths=snakemake.input.truth,
        events=snakemake.params.events,
        draws=snakemake.params.draws,
        block_days=snakemake.params.block_days,
        most_cells=snakemake.params.cells,
    )
