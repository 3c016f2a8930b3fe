# Files over the network, into the archive. Raw files are never inputs or outputs of a rule, so nothing can delete them;
# `state` stands in their place: it changes when one of the month's files is gone or damaged. How patient and how many
# at once (`settings`) depends on `threads` in form only: Snakemake then leaves it out of what makes a job run again.
# A job that is ended from outside, such as by a batch system, is started again and goes on from where it was.


rule fetch_era5_land:
    input:
        code=code_of("fetch_era5_land"),
    output:
        manifest="build/{run}/manifests/era5_land/{month}.json",
    log:
        "logs/fetch_era5_land/{run}_{month}.log",
    benchmark:
        "runtimes/fetch_era5_land/{run}_{month}.tsv"
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("fetch_era5_land"),
        runtime=PLAN.fetch_minutes("era5_land"),
        cds=1,
    params:
        archive=PLAN.config.archive,
        month="{month}",
        variables=PLAN.config.predictors,
        lat=PLAN.config.region.lat,
        lon=PLAN.config.region.lon,
        state_file=lambda w: PLAN.repairs_file("era5_land", w.month),
        state=lambda w: PLAN.fetch_state("era5_land", w.month),
        settings=lambda w, threads: PLAN.section("fetch"),
    message:
        "Fetching ERA5-Land of {wildcards.month}"
    script:
        "../scripts/fetch_era5_land.py"


rule fetch_era5_edge:
    input:
        code=code_of("fetch_era5_edge"),
    output:
        manifest="build/{run}/manifests/era5_land/{edge}.json",
    log:
        "logs/fetch_era5_edge/{run}_{edge}.log",
    benchmark:
        "runtimes/fetch_era5_edge/{run}_{edge}.tsv"
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("fetch_era5_edge"),
        runtime=PLAN.fetch_minutes("era5_land"),
        cds=1,
    params:
        archive=PLAN.config.archive,
        edge="{edge}",
        month=lambda w: PLAN.edge_month(w.edge),
        variables=PLAN.config.predictors,
        lat=PLAN.config.region.lat,
        lon=PLAN.config.region.lon,
        state_file=lambda w: PLAN.repairs_file("era5_land", w.edge),
        state=lambda w: PLAN.fetch_state("era5_land", w.edge),
        settings=lambda w, threads: PLAN.section("fetch"),
    message:
        "Fetching the {wildcards.edge} step of ERA5-Land"
    script:
        "../scripts/fetch_era5_edge.py"


rule fetch_smap:
    input:
        code=code_of("fetch_smap"),
    output:
        manifest="build/{run}/manifests/{source}/{month}.json",
    log:
        "logs/fetch_smap/{run}_{source}_{month}.log",
    benchmark:
        "runtimes/fetch_smap/{run}_{source}_{month}.tsv"
    wildcard_constraints:
        source="smap|smap_e|smap_l4",
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("fetch_smap"),
        runtime=PLAN.fetch_minutes("smap"),
        earthdata=1,
    params:
        archive=PLAN.config.archive,
        source="{source}",
        month="{month}",
        product=lambda w: PLAN.smap_product(w.source, w.month),
        lat=PLAN.config.region.lat,
        lon=PLAN.config.region.lon,
        state_file=lambda w: PLAN.repairs_file(w.source, w.month),
        state=lambda w: PLAN.fetch_state(w.source, w.month),
        settings=lambda w, threads: PLAN.section("fetch"),
    message:
        "Fetching {wildcards.source} of {wildcards.month}"
    script:
        "../scripts/fetch_smap.py"


rule fetch_terrain:
    input:
        code=code_of("fetch_terrain"),
        file=PLAN.terrain_file,
    output:
        manifest="build/{run}/manifests/terrain.json",
    log:
        "logs/fetch_terrain/{run}.log",
    benchmark:
        "runtimes/fetch_terrain/{run}.tsv"
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("fetch_terrain"),
        runtime=PLAN.minutes("fetch_terrain"),
    params:
        archive=PLAN.config.archive,
        address=PLAN.terrain_address,
        sha256=PLAN.config.terrain_sha256,
        grid=PLAN.grids["fine"],
        state_file=PLAN.repairs_file("terrain", "static"),
        state=lambda w: PLAN.fetch_state("terrain", "static"),
        settings=lambda w, threads: PLAN.section("fetch"),
    message:
        "Fetching the elevation"
    script:
        "../scripts/fetch_terrain.py"
