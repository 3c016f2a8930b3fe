"""Skill by time of day (rule validate_hours)."""

from pscnet.grids import fine_grid
from pscnet.logs import log_to
from pscnet.validation.hours import validate_hours

with log_to(snakemake.log[0]):
    validate_hours(
        products=snakemake.input.products,
        references=snakemake.input.fields,
        heldout=snakemake.input.heldout,
        static=snakemake.input.static,
        fine=fine_grid(**snakemake.params.fine),
        test_intervals=snakemake.params.intervals,
        json_path=snakemake.output.json,
        csv_path=snakemake.output.csv,
        truths=snakemake.input.truth,
        draws=snakemake.params.draws,
        block_days=snakemake.params.block_days,
        most_cells=snakemake.params.cells,
    )
