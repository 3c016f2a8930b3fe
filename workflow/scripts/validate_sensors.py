"""Soil moisture of stations on the product's stamps (rule validate_sensors)."""

from pscnet.grids import fine_grid
from pscnet.logs import log_to
from pscnet.sources.stations.sensors import write_sensors

with log_to(snakemake.log[0]):
    write_sensors(
        sources=snakemake.params.sources,
        months=snakemake.params.months,
        grid=fine_grid(**snakemake.params.fine),
        static=snakemake.input.static,
        deepest=snakemake.params.deepest,
        output=snakemake.output.sensors,
    )
