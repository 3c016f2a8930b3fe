"""Covariance of innovations on the training split (rule dataset_covariance)."""

from pscnet.baselines.likelihood import write_covariance
from pscnet.logs import log_to
from pscnet.timeaxis import Split

with log_to(snakemake.log[0]):
    write_covariance(
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        normaliser=snakemake.input.normaliser,
        weights={name: snakemake.input[name] for name in ("fine_to_coarse", "coarse_to_fine")},
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        window_days=snakemake.params.window_days,
        output=snakemake.output.covariance,
    )
