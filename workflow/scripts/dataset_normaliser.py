"""Normaliser and background of the training split (rule dataset_normaliser)."""

from pscnet.logs import log_to
from pscnet.samples.normaliser import write_normaliser
from pscnet.timeaxis import Split

with log_to(snakemake.log[0]):
    write_normaliser(
        bands=snakemake.input.bands,
        coarse=snakemake.input.coarse,
        smap=snakemake.input.smap,
        static=snakemake.input.static,
        weights={name: snakemake.input[name] for name in ("fine_to_coarse", "coarse_to_fine")},
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        noise=snakemake.params.noise,
        output=snakemake.output.normaliser,
    )
