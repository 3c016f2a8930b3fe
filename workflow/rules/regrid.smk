# Raw files to clean months on the two grids, and the weights between the grids.


rule regrid_weights:
    input:
        code=code_of("regrid_weights"),
    output:
        weights="build/{run}/weights/{method}_{grid_from}_{grid_to}.nc",
    log:
        "logs/regrid_weights/{run}_{method}_{grid_from}_{grid_to}.log",
    benchmark:
        "runtimes/regrid_weights/{run}_{method}_{grid_from}_{grid_to}.tsv"
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("regrid_weights"),
        runtime=PLAN.minutes("regrid_weights"),
    params:
        source=PLAN.grids["source"],
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        grid_from="{grid_from}",
        grid_to="{grid_to}",
        method="{method}",
        engine=PLAN.config.regrid.engine,
    message:
        "Weights from {wildcards.grid_from} to {wildcards.grid_to} ({wildcards.method})"
    script:
        "../scripts/regrid_weights.py"


rule regrid_era5_land:
    input:
        code=code_of("regrid_era5_land"),
        manifest="build/{run}/manifests/era5_land/{month}.json",
        previous=lambda w: PLAN.era5_land_before(w.month),
        weights=PLAN.weights("fine_to_coarse"),
        source_to_fine=PLAN.interpolation,
    output:
        predictors="build/{run}/predictors/{month}.nc",
        coarse="build/{run}/coarse/{month}.nc",
    log:
        "logs/regrid_era5_land/{run}_{month}.log",
    benchmark:
        "runtimes/regrid_era5_land/{run}_{month}.tsv"
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("regrid_era5_land"),
        runtime=PLAN.minutes("regrid_era5_land"),
    params:
        month="{month}",
        variables=PLAN.config.predictors,
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        min_valid_fraction=PLAN.config.regrid.min_valid_fraction,
    message:
        "ERA5-Land of {wildcards.month}: clean months on both grids"
    script:
        "../scripts/regrid_era5_land.py"


rule regrid_smap:
    input:
        code=code_of("regrid_smap"),
        manifest="build/{run}/manifests/smap/{month}.json",
    output:
        smap="build/{run}/smap/{month}.nc",
    log:
        "logs/regrid_smap/{run}_{month}.log",
    benchmark:
        "runtimes/regrid_smap/{run}_{month}.tsv"
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("regrid_smap"),
        runtime=PLAN.minutes("regrid_smap"),
    params:
        month="{month}",
        coarse=PLAN.grids["coarse"],
        quality=PLAN.config.smap.quality,
        noise=PLAN.section("smap")["noise"],
        withheld=PLAN.withheld,
    message:
        "SMAP of {wildcards.month}: retrievals on their own cells"
    script:
        "../scripts/regrid_smap.py"


rule regrid_static:
    input:
        code=code_of("regrid_static"),
        terrain="build/{run}/manifests/terrain.json",
        predictors=f"build/{{run}}/predictors/{PLAN.months[0]}.nc",
        conservative=PLAN.weights("fine_to_coarse"),
        bilinear=PLAN.weights("coarse_to_fine"),
        polygon=[PLAN.config.region.polygon] if PLAN.config.region.polygon else [],
    output:
        static="build/{run}/static.nc",
    log:
        "logs/regrid_static/{run}.log",
    benchmark:
        "runtimes/regrid_static/{run}.tsv"
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("regrid_static"),
        runtime=PLAN.minutes("regrid_static"),
    params:
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        min_elevation=PLAN.config.region.min_elevation,
    message:
        "Elevation, slope, land and region on the fine grid"
    script:
        "../scripts/regrid_static.py"
