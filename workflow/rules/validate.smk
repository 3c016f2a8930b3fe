# What a reviewer would ask: satellite, stations, time of day, dynamics, uncertainty, triple collocation.


rule validate_satellite:
    input:
        code=code_of("validate_satellite"),
        heldout="build/{run}/verify/heldout.nc",
        static="build/{run}/static.nc",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
        smap_train=PLAN.part("build/{run}/smap/{month}.nc", "train"),
        smap_test=PLAN.span("build/{run}/smap/{month}.nc", "test"),
        products=PLAN.delivered("results/{run}/product/sm_{run}_10km_3h_{month}.nc"),
        fields=PLAN.delivered("build/{run}/verify/fields_{month}.nc"),
        enhanced=PLAN.enhanced,
        land_cover=PLAN.land_cover,
    output:
        json="results/{run}/validation/satellite.json",
        csv="results/{run}/validation/satellite.csv",
        maps="results/{run}/validation/satellite_maps.nc",
    log:
        "logs/validate_satellite/{run}.log",
    benchmark:
        "runtimes/validate_satellite/{run}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        run="{run}",
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        window_days=PLAN.config.samples.window_days,
        draws=PLAN.config.validation.draws,
        land_cover=PLAN.config.validation.land_cover,
    message:
        "Agreement with held-out SMAP"
    script:
        "../scripts/validate_satellite.py"


rule validate_triple:
    input:
        code=code_of("validate_triple"),
        smap=PLAN.at("build/{run}/smap/{month}.nc"),
        coarse=PLAN.at("build/{run}/coarse/{month}.nc"),
        products=PLAN.beside_two("results/{run}/product/sm_{run}_10km_3h_{month}.nc"),
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
        third=PLAN.third_files,
    output:
        json="results/{run}/validation/triple.json",
        csv="results/{run}/validation/triple.csv",
        maps="results/{run}/validation/triple_maps.nc",
    log:
        "logs/validate_triple/{run}.log",
    benchmark:
        "runtimes/validate_triple/{run}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        run="{run}",
        third=PLAN.section("validation")["third"],
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        period=PLAN.period_bounds,
        window_days=PLAN.config.samples.window_days,
        draws=PLAN.config.validation.draws,
        background=PLAN.background,
    message:
        "Triple collocation"
    script:
        "../scripts/validate_triple.py"
