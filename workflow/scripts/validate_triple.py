"""Triple collocation with an independent product (rule validate_triple)."""

from pscnet.logs import log_to
from pscnet.timeaxis import Split
from pscnet.validation.triple_run import validate_triple

with log_to(snakemake.log[0]):
    validate_triple(
        run=snakemake.params.run,
        smap=snakemake.input.smap,
        coarse=snakemake.input.coarse,
        products=snakemake.input.products,
        fine_to_coarse=snakemake.input.fine_to_coarse,
        third=snakemake.params.third,
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        period=tuple(snakemake.params.period),
        window_days=snakemake.params.window_days,
        draws=snakemake.params.draws,
        background=snakemake.params.background,
        json_path=snakemake.output.json,
        csv_path=snakemake.output.csv,
        maps_path=snakemake.output.maps,
    )
