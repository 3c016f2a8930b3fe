"""Kriged innovations of one part of the split (rule dataset_kriged)."""

from pscnet.logs import log_to
from pscnet.samples.files import write_kriged_file
from pscnet.timeaxis import Split
from pscnet.weights import read_weights

with log_to(snakemake.log[0]):
    write_kriged_file(
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        stamps=snakemake.input.stamps,
        normaliser=snakemake.input.normaliser,
        covariance=snakemake.input.covariance,
        fine_to_coarse=read_weights(snakemake.input.fine_to_coarse),
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        window_days=snakemake.params.window_days,
        leave_out_hours=snakemake.params.leave_out_hours,
        causal=snakemake.params.causal,
        output=snakemake.output.kriged,
    )
