"""A month of downscaled fields (rule downscale_month)."""

from pscnet.downscale import write_month
from pscnet.grids import WEIGHTS
from pscnet.logs import log_to

with log_to(snakemake.log[0]):
    write_month(
        predictors=snakemake.input.predictors,
        previous=next(iter(snakemake.input.previous), None),
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        weights={name: snakemake.input[name] for name in WEIGHTS},
        checkpoints=snakemake.input.checkpoints,
        before=next(iter(snakemake.input.before), None),
        names=snakemake.params.names,
        output=snakemake.output.downscaled,
        threads=snakemake.threads,
        model=snakemake.params.model,
        **snakemake.params.options,
    )
