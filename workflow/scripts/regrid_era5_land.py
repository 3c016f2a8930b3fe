"""A clean month of ERA5-Land on both grids (rule regrid_era5_land)."""

from pscnet.grids import ease2_grid, fine_grid
from pscnet.logs import log_to
from pscnet.sources.era5_land import write_month

with log_to(snakemake.log[0]):
    write_month(
        manifest=snakemake.input.manifest,
        previous_manifest=next(iter(snakemake.input.previous), None),
        variables=snakemake.params.variables,
        fine=fine_grid(**snakemake.params.fine),
        month=snakemake.params.month,
        weights=snakemake.input.weights,
        coarse=ease2_grid(**snakemake.params.coarse),
        predictors_out=snakemake.output.predictors,
        coarse_out=snakemake.output.coarse,
        min_valid_fraction=snakemake.params.min_valid_fraction,
        source_to_fine=next(iter(snakemake.input.source_to_fine), None),
    )
