"""Training of the net (rule train_model)."""

from pscnet.grids import WEIGHTS
from pscnet.logs import log_to
from pscnet.timeaxis import Split
from pscnet.training.files import train_files
from pscnet.training.trainer import Options

with log_to(snakemake.log[0]):
    train_files(
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        samples=snakemake.params.folder,
        static=snakemake.input.static,
        normaliser=snakemake.input.normaliser,
        covariance=next(iter(snakemake.input.covariance), None),
        weights={name: snakemake.input[name] for name in WEIGHTS},
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        model=snakemake.params.model,
        options=Options(**snakemake.params.options),
        window_days=snakemake.params.window_days,
        leave_out_hours=snakemake.params.leave_out_hours,
        causal=snakemake.params.causal,
        config_hash=snakemake.params.config_hash,
        output=snakemake.output.checkpoint,
        curve=snakemake.output.curve,
        threads=snakemake.threads,
    )
