"""Calibration of the product's uncertainty (rule validate_uncertainty)."""

from pscnet.grids import ease2_grid, fine_grid
from pscnet.logs import log_to
from pscnet.validation.uncertainty import validate_uncertainty

with log_to(snakemake.log[0]):
    validate_uncertainty(
        products=snakemake.input.products,
        references=snakemake.input.fields,
        smap=snakemake.input.smap,
        heldout=snakemake.input.heldout,
        static=snakemake.input.static,
        fine=fine_grid(**snakemake.params.fine),
        coarse=ease2_grid(**snakemake.params.coarse),
        test_intervals=snakemake.params.intervals,
        json_path=snakemake.output.json,
        csv_path=snakemake.output.csv,
        truths=snakemake.input.truth,
        leave_out_hours=snakemake.params.leave_out_hours,
        draws=snakemake.params.draws,
        block_days=snakemake.params.block_days,
        most_cells=snakemake.params.cells,
    )
