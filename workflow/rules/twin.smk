# The simulated Plateau, written as provider files; its truth lies apart, for verify, validate and compare rules only.


rule twin_month:
    input:
        code=code_of("twin_month"),
        previous=lambda w: PLAN.previous("build/{run}/twin/state/{month}.nc", w.month),
    output:
        era5_land="build/{run}/manifests/era5_land/{month}.json",
        smap="build/{run}/manifests/smap/{month}.json",
        state="build/{run}/twin/state/{month}.nc",
        stations="build/{run}/twin/stations/{month}.nc",
        truth="build/{run}/truth/{month}.nc",
    log:
        "logs/twin_month/{run}_{month}.log",
    benchmark:
        "runtimes/twin_month/{run}_{month}.tsv"
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("twin_month"),
        runtime=PLAN.minutes("twin_month"),
    params:
        raw="build/{run}/twin/raw",
        month="{month}",
        lat=PLAN.config.region.lat,
        lon=PLAN.config.region.lon,
        predictors=PLAN.config.predictors,
        seed=PLAN.config.twin.seed,
        control=PLAN.control,
    message:
        "Simulating {wildcards.month}"
    script:
        "../scripts/twin_month.py"


rule twin_static:
    input:
        code=code_of("twin_static"),
    output:
        manifest="build/{run}/manifests/terrain.json",
    log:
        "logs/twin_static/{run}.log",
    benchmark:
        "runtimes/twin_static/{run}.tsv"
    localrule: True
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("twin_static"),
        runtime=PLAN.minutes("twin_static"),
    params:
        raw="build/{run}/twin/raw",
        lat=PLAN.config.region.lat,
        lon=PLAN.config.region.lon,
        seed=PLAN.config.twin.seed,
    message:
        "Simulating the terrain"
    script:
        "../scripts/twin_static.py"


rule twin_stations:
    input:
        code=code_of("twin_stations"),
        months=PLAN.at("build/{run}/twin/stations/{month}.nc"),
    output:
        listing="build/{run}/twin/stations.json",
    log:
        "logs/twin_stations/{run}.log",
    benchmark:
        "runtimes/twin_stations/{run}.tsv"
    localrule: True
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("twin_stations"),
        runtime=PLAN.minutes("twin_stations"),
    params:
        raw="build/{run}/twin/raw",
    message:
        "Writing the simulated stations as ISMN files"
    script:
        "../scripts/twin_stations.py"
