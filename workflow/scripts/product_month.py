"""A product month (rule product_month)."""

from pscnet.grids import fine_grid
from pscnet.logs import log_to
from pscnet.product import write_month
from pscnet.provenance import of_product

with log_to(snakemake.log[0]):
    write_month(
        downscaled=snakemake.input.downscaled,
        output=snakemake.output.product,
        run=snakemake.params.run,
        month=snakemake.params.month,
        fine=fine_grid(**snakemake.params.fine),
        dtype=snakemake.params.dtype,
        attributes=snakemake.params.attributes,
        provenance=of_product(
            config_hash=snakemake.params.config_hash,
            checkpoints=snakemake.input.checkpoints,
            weights=snakemake.input.weights,
            manifests=snakemake.input.manifests,
            model=snakemake.params.model,
        ),
        simulated=snakemake.params.simulated,
    )
