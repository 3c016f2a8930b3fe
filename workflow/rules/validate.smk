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
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_satellite"),
        runtime=PLAN.minutes("validate_satellite"),
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


rule validate_sensors:
    input:
        code=code_of("validate_sensors"),
        listing=PLAN.simulated_stations,
        static="build/{run}/static.nc",
    output:
        sensors="build/{run}/validation/sensors.nc",
    log:
        "logs/validate_sensors/{run}.log",
    benchmark:
        "runtimes/validate_sensors/{run}.tsv"
    conda:
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_sensors"),
        runtime=PLAN.minutes("validate_sensors"),
    params:
        sources=PLAN.station_sources,
        digest=lambda w: PLAN.stations_digest(),
        months=PLAN.months,
        fine=PLAN.grids["fine"],
        deepest=PLAN.config.validation.stations.deepest,
    message:
        "Reading the stations"
    script:
        "../scripts/validate_sensors.py"


rule validate_stations:
    input:
        code=code_of("validate_stations"),
        sensors="build/{run}/validation/sensors.nc",
        products=PLAN.part("results/{run}/product/sm_{run}_10km_3h_{month}.nc", "test"),
        fields=PLAN.part("build/{run}/verify/fields_{month}.nc", "test"),
        predictors=PLAN.part("build/{run}/predictors/{month}.nc", "test"),
        heldout="build/{run}/verify/heldout.nc",
        smap=PLAN.span("build/{run}/smap/{month}.nc", "test"),
        truth=PLAN.part("build/{run}/truth/{month}.nc", "test") if PLAN.twin else [],
    output:
        json="results/{run}/validation/stations.json",
        csv="results/{run}/validation/stations.csv",
        series="results/{run}/validation/stations_series.nc",
    log:
        "logs/validate_stations/{run}.log",
    benchmark:
        "runtimes/validate_stations/{run}.tsv"
    conda:
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_stations"),
        runtime=PLAN.minutes("validate_stations"),
    params:
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        intervals=PLAN.split_blocks["test"],
        window_days=PLAN.config.samples.window_days,
        draws=PLAN.config.validation.draws,
        options=PLAN.config.validation.stations.model_dump(exclude={"deepest"}),
    message:
        "Validating with stations"
    script:
        "../scripts/validate_stations.py"


rule validate_hours:
    input:
        code=code_of("validate_hours"),
        products=PLAN.part("results/{run}/product/sm_{run}_10km_3h_{month}.nc", "test"),
        fields=PLAN.part("build/{run}/verify/fields_{month}.nc", "test"),
        heldout="build/{run}/verify/heldout.nc",
        truth=PLAN.part("build/{run}/truth/{month}.nc", "test") if PLAN.twin else [],
        static="build/{run}/static.nc",
    output:
        json="results/{run}/validation/hours.json",
        csv="results/{run}/validation/hours.csv",
    log:
        "logs/validate_hours/{run}.log",
    benchmark:
        "runtimes/validate_hours/{run}.tsv"
    conda:
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_hours"),
        runtime=PLAN.minutes("validate_hours"),
    params:
        fine=PLAN.grids["fine"],
        intervals=PLAN.split_blocks["test"],
        draws=PLAN.config.validation.draws,
        block_days=PLAN.block_days,
        cells=PLAN.config.validation.cells,
    message:
        "Skill by time of day"
    script:
        "../scripts/validate_hours.py"


rule validate_dynamics:
    input:
        code=code_of("validate_dynamics"),
        products=PLAN.part("results/{run}/product/sm_{run}_10km_3h_{month}.nc", "test"),
        fields=PLAN.part("build/{run}/verify/fields_{month}.nc", "test"),
        predictors=PLAN.part("build/{run}/predictors/{month}.nc", "test"),
        heldout="build/{run}/verify/heldout.nc",
        truth=PLAN.part("build/{run}/truth/{month}.nc", "test") if PLAN.twin else [],
        static="build/{run}/static.nc",
    output:
        json="results/{run}/validation/dynamics.json",
        csv="results/{run}/validation/dynamics.csv",
    log:
        "logs/validate_dynamics/{run}.log",
    benchmark:
        "runtimes/validate_dynamics/{run}.tsv"
    conda:
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_dynamics"),
        runtime=PLAN.minutes("validate_dynamics"),
    params:
        fine=PLAN.grids["fine"],
        intervals=PLAN.split_blocks["test"],
        draws=PLAN.config.validation.draws,
        block_days=PLAN.block_days,
        cells=PLAN.config.validation.cells,
        events=PLAN.config.validation.dynamics.model_dump(mode="json"),
    message:
        "Temporal dynamics"
    script:
        "../scripts/validate_dynamics.py"


rule validate_uncertainty:
    input:
        code=code_of("validate_uncertainty"),
        products=PLAN.part("results/{run}/product/sm_{run}_10km_3h_{month}.nc", "test"),
        fields=PLAN.part("build/{run}/verify/fields_{month}.nc", "test"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "test"),
        heldout="build/{run}/verify/heldout.nc",
        truth=PLAN.part("build/{run}/truth/{month}.nc", "test") if PLAN.twin else [],
        static="build/{run}/static.nc",
    output:
        json="results/{run}/validation/uncertainty.json",
        csv="results/{run}/validation/uncertainty.csv",
    log:
        "logs/validate_uncertainty/{run}.log",
    benchmark:
        "runtimes/validate_uncertainty/{run}.tsv"
    conda:
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_uncertainty"),
        runtime=PLAN.minutes("validate_uncertainty"),
    params:
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        intervals=PLAN.split_blocks["test"],
        draws=PLAN.config.validation.draws,
        block_days=PLAN.block_days,
        cells=PLAN.config.validation.cells,
        leave_out_hours=PLAN.config.samples.leave_out_hours,
    message:
        "Calibration of the uncertainty"
    script:
        "../scripts/validate_uncertainty.py"


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
        "../../envs/validation.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("validate_triple"),
        runtime=PLAN.minutes("validate_triple"),
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
