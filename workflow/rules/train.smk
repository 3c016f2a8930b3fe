# The net learns. A killed run goes on from its last epoch, whose state lies beside the checkpoint until it is done.


rule train_model:
    input:
        **PLAN.weight_set,
        code=code_of("train_model"),
        predictors=PLAN.span("build/{run}/predictors/{month}.nc", "train", "validation"),
        coarse=PLAN.span("build/{run}/coarse/{month}.nc", "train", "validation"),
        bands=PLAN.span("build/{run}/bands/{month}.nc", "train", "validation"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "train", "validation"),
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
    output:
        checkpoint="build/{run}/models/{model}.safetensors",
        curve="build/{run}/models/{model}_curve.csv",
    log:
        "logs/train_model/{run}_{model}.log",
    benchmark:
        "runtimes/train_model/{run}_{model}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: PLAN.config.training.threads
    resources:
        mem_mb=16000,
        runtime=720,
        gpu=PLAN.gpus("training"),
    params:
        months=PLAN.span_months("train", "validation"),
        model=PLAN.section("model", without=["name"]),
        options=PLAN.section("training", without=["threads"]),
        window_days=PLAN.config.samples.window_days,
        leave_out_hours=PLAN.config.samples.leave_out_hours,
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        config_hash=PLAN.config_hash(without=["downscale"]),
    message:
        "Training {wildcards.model}; progress in {log}"
    script:
        "../scripts/train_model.py"
