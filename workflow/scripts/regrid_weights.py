"""Weights between two grids (rule regrid_weights)."""

from pscnet.grids import ease2_grid, fine_grid, halved
from pscnet.logs import log_to
from pscnet.regrid import write_weight_file

with log_to(snakemake.log[0]):
    params = snakemake.params
    coarse = ease2_grid(**params.coarse)
    fine, source = fine_grid(**params.fine), fine_grid(**params.source)
    grids = {grid.name: grid for grid in (source, fine, halved(coarse), coarse)}
    write_weight_file(
        grids[params.grid_from],
        grids[params.grid_to],
        method=params.method,
        engine=params.engine,
        path=snakemake.output.weights,
    )
