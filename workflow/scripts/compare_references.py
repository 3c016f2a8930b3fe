"""Moments of the references against the truth (rule compare_references)."""

from pscnet.grids import ease2_grid, fine_grid
from pscnet.logs import log_to
from pscnet.validation.model_scores import write_reference_scores

with log_to(snakemake.log[0]):
    write_reference_scores(
        fields=snakemake.input.fields,
        truths=snakemake.input.truth,
        static=snakemake.input.static,
        fine=fine_grid(**snakemake.params.fine),
        coarse=ease2_grid(**snakemake.params.coarse),
        test_intervals=snakemake.params.intervals,
        outputs=dict(snakemake.output.items()),
    )
