# The net learns. A killed run goes on from its last epoch, which it keeps beside the checkpoint.


rule train_model:
    input:
        **PLAN.weight_set,
        code=code_of("train_model"),
        predictors=PLAN.part("build/{run}/predictors/{month}.nc", "train", "validation"),
        coarse=PLAN.part("build/{run}/coarse/{month}.nc", "train", "validation"),
        bands=PLAN.around_part("build/{run}/bands/{month}.nc", "train", "validation"),
        smap=PLAN.around_part("build/{run}/smap/{month}.nc", "train", "validation"),
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
    output:
        checkpoint="build/{run}/models/{model}.safetensors",
    log:
        "logs/train_model/{run}_{model}.log",
    benchmark:
        "runtimes/train_model/{run}_{model}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: 8
    resources:
        mem_mb=16000,
        runtime=720,
        gpu=PLAN.gpus("training"),
    params:
        model=PLAN.section("model"),
        training=PLAN.section("training"),
        samples=PLAN.section("samples"),
        split=PLAN.split_blocks,
        resume="build/{run}/resume/{model}.safetensors",
        config_hash=PLAN.config_hash,
    message:
        "Training {wildcards.model}; progress in {log}"
    script:
        "../scripts/train_model.py"
