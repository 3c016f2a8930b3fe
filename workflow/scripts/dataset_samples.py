"""Samples of one part of the split (rule dataset_samples)."""

from pscnet.logs import log_to
from pscnet.samples.files import write_sample_files
from pscnet.timeaxis import Split
from pscnet.weights import read_weights

with log_to(snakemake.log[0]):
    write_sample_files(
        months=snakemake.params.months,
        predictors=snakemake.input.predictors,
        bands=snakemake.input.bands,
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        normaliser=snakemake.input.normaliser,
        fine_to_coarse=read_weights(snakemake.input.fine_to_coarse),
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        part=snakemake.params.part,
        window_days=snakemake.params.window_days,
        folder=snakemake.params.folder,
    )
