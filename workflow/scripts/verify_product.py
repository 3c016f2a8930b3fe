"""Contract checks of a product month (rule verify_product)."""

from pscnet.checks import verify_product
from pscnet.grids import fine_grid
from pscnet.logs import log_to

with log_to(snakemake.log[0]):
    verify_product(
        product=snakemake.input.product,
        output=snakemake.output.finding,
        month=snakemake.params.month,
        fine=fine_grid(**snakemake.params.fine),
        static=snakemake.input.static,
    )
