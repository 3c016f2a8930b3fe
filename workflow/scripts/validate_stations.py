"""Scores at stations (rule validate_stations)."""

from pscnet.grids import ease2_grid, fine_grid
from pscnet.logs import log_to
from pscnet.validation.stations import validate_stations

with log_to(snakemake.log[0]):
    validate_stations(
        sensors=snakemake.input.sensors,
        products=snakemake.input.products,
        references=snakemake.input.fields,
        predictors=snakemake.input.predictors,
        heldout=snakemake.input.heldout,
        smap=snakemake.input.smap,
        truths=snakemake.input.truth,
        fine=fine_grid(**snakemake.params.fine),
        coarse=ease2_grid(**snakemake.params.coarse),
        test_intervals=snakemake.params.intervals,
        window_days=snakemake.params.window_days,
        draws=snakemake.params.draws,
        **snakemake.params.options,
        json_out=snakemake.output.json,
        csv_out=snakemake.output.csv,
        series_out=snakemake.output.series,
    )
