# A month in, a month out, with bounded memory.


rule downscale_month:
    input:
        **PLAN.weight_set,
        code=code_of("downscale_month"),
        predictors="build/{run}/predictors/{month}.nc",
        coarse=lambda w: PLAN.around("build/{run}/coarse/{month}.nc", w.month),
        previous=lambda w: PLAN.previous("build/{run}/bands/{month}.nc", w.month),
        smap=lambda w: PLAN.around("build/{run}/smap/{month}.nc", w.month),
        static="build/{run}/static.nc",
        before=lambda w: PLAN.previous("build/{run}/predictors/{month}.nc", w.month) if PLAN.reads_sequences else [],
        checkpoints=PLAN.checkpoints(),
    output:
        downscaled="build/{run}/downscaled/{month}.nc",
    log:
        "logs/downscale_month/{run}_{month}.log",
    benchmark:
        "runtimes/downscale_month/{run}_{month}.tsv"
    conda:
        f"../../envs/{PLAN.torch('downscale')}.yaml"
    threads: PLAN.config.downscale.threads
    resources:
        mem_mb=PLAN.memory("downscale_month"),
        runtime=PLAN.minutes("downscale_month"),
        gpu=PLAN.gpus("downscale"),
    params:
        names=PLAN.config.predictors,
        model=PLAN.config.model.name,
        options=PLAN.section("downscale", without=["threads"]),
    message:
        "Downscaling {wildcards.month}"
    script:
        "../scripts/downscale_month.py"
