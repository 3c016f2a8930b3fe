# What the net reads: temporal bands, carried from month to month, and the normaliser of the training split.


rule dataset_bands:
    input:
        code=code_of("dataset_bands"),
        predictors="build/{run}/predictors/{month}.nc",
        previous=lambda w: PLAN.previous("build/{run}/bands/{month}.nc", w.month),
    output:
        bands="build/{run}/bands/{month}.nc",
    log:
        "logs/dataset_bands/{run}_{month}.log",
    benchmark:
        "runtimes/dataset_bands/{run}_{month}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        names=PLAN.config.predictors,
        background=PLAN.background,
        time_scales_days=PLAN.config.samples.time_scales_days,
    message:
        "Temporal bands of {wildcards.month}"
    script:
        "../scripts/dataset_bands.py"


rule dataset_normaliser:
    input:
        code=code_of("dataset_normaliser"),
        coarse=PLAN.part("build/{run}/coarse/{month}.nc", "train"),
        bands=PLAN.part("build/{run}/bands/{month}.nc", "train"),
        smap=PLAN.part("build/{run}/smap/{month}.nc", "train"),
        static="build/{run}/static.nc",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
        coarse_to_fine=PLAN.weights("coarse_to_fine"),
    output:
        normaliser="build/{run}/normaliser.nc",
    log:
        "logs/dataset_normaliser/{run}.log",
    benchmark:
        "runtimes/dataset_normaliser/{run}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        noise=PLAN.config.smap.noise.recommended,
    message:
        "Normaliser and background of the training split"
    script:
        "../scripts/dataset_normaliser.py"
