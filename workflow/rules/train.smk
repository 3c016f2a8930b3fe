# The net learns. A killed run goes on from its last epoch, whose state lies beside the checkpoint until it is done.


rule train_model:
    input:
        **PLAN.weight_set,
        code=code_of("train_model"),
        coarse=PLAN.span("build/{run}/coarse/{month}.nc", "train", "validation"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "train", "validation"),
        samples=lambda w: PLAN.samples(w.model),
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
        covariance=lambda w: PLAN.covariance_of(w.model),
    output:
        checkpoint="build/{run}/models/{model}_{seed}.safetensors",
        curve="build/{run}/models/{model}_{seed}_curve.csv",
    log:
        "logs/train_model/{run}_{model}_{seed}.log",
    benchmark:
        "runtimes/train_model/{run}_{model}_{seed}.tsv"
    conda:
        f"../../envs/{PLAN.torch('training')}.yaml"
    threads: PLAN.config.training.threads
    resources:
        mem_mb=PLAN.memory("train_model"),
        runtime=PLAN.minutes("train_model"),
        gpu=PLAN.gpus("training"),
    params:
        folder="build/{run}/samples",
        model=lambda w: PLAN.net_of(w.model),
        options=lambda w: PLAN.options_of(w.model, w.seed),
        window_days=lambda w: PLAN.changed(w.model, "samples")["window_days"],
        leave_out_hours=PLAN.config.samples.leave_out_hours,
        causal=lambda w: PLAN.changed(w.model, "samples")["causal"],
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        config_hash=lambda w: PLAN.config_hash(without=["downscale"], variant=w.model),
    message:
        "Training {wildcards.model}, seed {wildcards.seed}; progress in {log}"
    script:
        "../scripts/train_model.py"
