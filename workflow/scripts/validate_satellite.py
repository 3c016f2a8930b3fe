"""Agreement with held-out SMAP (rule validate_satellite)."""

from pscnet.logs import log_to
from pscnet.timeaxis import Split
from pscnet.validation.satellite_run import validate_satellite

with log_to(snakemake.log[0]):
    validate_satellite(
        run=snakemake.params.run,
        heldout=snakemake.input.heldout,
        static=snakemake.input.static,
        fine_to_coarse=snakemake.input.fine_to_coarse,
        smap_train=snakemake.input.smap_train,
        smap_test=snakemake.input.smap_test,
        split=Split.from_description(snakemake.params.split, snakemake.params.buffer_days),
        window_days=snakemake.params.window_days,
        draws=snakemake.params.draws,
        json_path=snakemake.output.json,
        csv_path=snakemake.output.csv,
        maps_path=snakemake.output.maps,
        products=snakemake.input.products,
        references=snakemake.input.fields,
        land_cover_raster=snakemake.params.land_cover,
        enhanced=snakemake.input.enhanced,
    )
