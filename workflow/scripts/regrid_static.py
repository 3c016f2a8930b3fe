"""Elevation, slope, land and region on the fine grid (rule regrid_static)."""

from pscnet.grids import ease2_grid, fine_grid
from pscnet.logs import log_to
from pscnet.sources.manifest import read
from pscnet.sources.region import write_static

with log_to(snakemake.log[0]):
    (terrain,) = read(snakemake.input.terrain).paths()
    write_static(
        terrain=terrain,
        predictors=snakemake.input.predictors,
        fine=fine_grid(**snakemake.params.fine),
        coarse=ease2_grid(**snakemake.params.coarse),
        conservative_weights=snakemake.input.conservative,
        bilinear_weights=snakemake.input.bilinear,
        polygon=next(iter(snakemake.input.polygon), None),
        min_elevation=snakemake.params.min_elevation,
        output=snakemake.output.static,
    )
