"""A clean month of SMAP retrievals (rule regrid_smap)."""

from pscnet.grids import ease2_grid
from pscnet.logs import log_to
from pscnet.sources.smap import write_month

with log_to(snakemake.log[0]):
    write_month(
        manifest=snakemake.input.manifest,
        grid=ease2_grid(**snakemake.params.coarse),
        month=snakemake.params.month,
        quality=snakemake.params.quality,
        noise=snakemake.params.noise,
        out=snakemake.output.smap,
        withheld=snakemake.params.withheld,
    )
