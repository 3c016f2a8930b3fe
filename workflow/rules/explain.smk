# What carries the answer? Not part of a run: snakemake explain.


rule explain_model:
    input:
        **PLAN.weight_set,
        code=code_of("explain_model"),
        predictors=PLAN.span("build/{run}/predictors/{month}.nc", "validation", "test"),
        coarse=PLAN.span("build/{run}/coarse/{month}.nc", "validation", "test"),
        bands=PLAN.span("build/{run}/bands/{month}.nc", "validation", "test"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "validation", "test"),
        static="build/{run}/static.nc",
        samples=lambda w: PLAN.samples(w.model),
        checkpoints=lambda w: PLAN.checkpoints(w.model),
    output:
        table="results/{run}/explain/{model}.json",
        rows="results/{run}/explain/{model}.csv",
        maps="results/{run}/explain/{model}.nc",
    log:
        "logs/explain_model/{run}_{model}.log",
    benchmark:
        "runtimes/explain_model/{run}_{model}.tsv"
    conda:
        f"../../envs/{PLAN.torch('downscale')}.yaml"
    threads: PLAN.config.downscale.threads
    resources:
        mem_mb=PLAN.memory("explain_model"),
        runtime=PLAN.minutes("explain_model"),
        gpu=PLAN.gpus("downscale"),
    params:
        months=PLAN.span_months("validation", "test"),
        mapped=PLAN.test_months,
        names=PLAN.config.predictors,
        folder="build/{run}/samples",
        model=lambda w: PLAN.net_of(w.model)["name"],
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        options=PLAN.section("downscale", without=["variance_factor", "systematic_std", "threads"]),
    message:
        "What carries the answer of {wildcards.model}; progress in {log}"
    script:
        "../scripts/explain_model.py"


rule explain_figures:
    input:
        code=code_of("explain_figures"),
        table="results/{run}/explain/{model}.json",
        maps="results/{run}/explain/{model}.nc",
    output:
        bars="results/{run}/explain/{model}_importance.png",
        shares="results/{run}/explain/{model}_shares.png",
    log:
        "logs/explain_figures/{run}_{model}.log",
    benchmark:
        "runtimes/explain_figures/{run}_{model}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("explain_figures"),
        runtime=PLAN.minutes("explain_figures"),
    params:
        most=20,
    message:
        "Figures of what carries the answer of {wildcards.model}"
    script:
        "../scripts/explain_figures.py"
