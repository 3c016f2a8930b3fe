"""Sequences of past days of one part of the split (rule dataset_sequences)."""

from pscnet.logs import log_to
from pscnet.samples.files import write_sequence_files

with log_to(snakemake.log[0]):
    write_sequence_files(
        predictors=snakemake.input.predictors,
        static=snakemake.input.static,
        normaliser=snakemake.input.normaliser,
        part=snakemake.params.part,
        days=snakemake.params.days,
        folder=snakemake.params.folder,
    )
