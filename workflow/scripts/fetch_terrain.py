"""The elevation raster, from its address or where it lies (rule fetch_terrain)."""

from pscnet.grids import fine_grid
from pscnet.logs import log_to
from pscnet.sources.fetch.secrets import guarded
from pscnet.sources.fetch.terrain import fetch_terrain

with log_to(snakemake.log[0]) as screen, guarded():
    fetch_terrain(
        archive=snakemake.params.archive,
        terrain=snakemake.params.address or snakemake.input.file[0],
        sha256=snakemake.params.sha256,
        grid=fine_grid(**snakemake.params.grid),
        settings=snakemake.params.settings,
        output=snakemake.output.manifest,
        state_file=snakemake.params.state_file,
        state=snakemake.params.state,
        screen=screen,
    )
