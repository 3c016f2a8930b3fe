# Which model is better: every variant trained with several seeds, all scored alike against the truth of the twin.


rule compare_scores:
    input:
        **PLAN.weight_set,
        code=code_of("compare_scores"),
        predictors=PLAN.span("build/{run}/predictors/{month}.nc", "test"),
        bands=PLAN.span("build/{run}/bands/{month}.nc", "test"),
        coarse=PLAN.span("build/{run}/coarse/{month}.nc", "test"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "test"),
        truth=lambda w: PLAN.part_of_twin("build/{run}/truth/{month}.nc", "test"),
        static="build/{run}/static.nc",
        checkpoints=lambda w: PLAN.compared(w.model, w.members),
        curves=lambda w: [PLAN.curve_of(path) for path in PLAN.compared(w.model, w.members)],
    output:
        moments="build/{run}/compare/{model}_{members}.nc",
    log:
        "logs/compare_scores/{run}_{model}_{members}.log",
    benchmark:
        "runtimes/compare_scores/{run}_{model}_{members}.tsv"
    conda:
        f"../../envs/{PLAN.torch('downscale')}.yaml"
    threads: PLAN.config.downscale.threads
    resources:
        mem_mb=PLAN.memory("compare_scores"),
        runtime=PLAN.minutes("compare_scores"),
        gpu=PLAN.gpus("downscale"),
    params:
        months=PLAN.span_months("test"),
        test_months=PLAN.test_months,
        names=PLAN.config.predictors,
        intervals=PLAN.split_blocks["test"],
        options=PLAN.section("downscale", without=["threads"]),
    message:
        "Scoring {wildcards.model} ({wildcards.members})"
    script:
        "../scripts/compare_scores.py"


rule compare_references:
    input:
        code=code_of("compare_references"),
        fields=PLAN.part("build/{run}/verify/fields_{month}.nc", "test"),
        truth=lambda w: PLAN.part_of_twin("build/{run}/truth/{month}.nc", "test"),
        static="build/{run}/static.nc",
    output:
        **{name: f"build/{{run}}/compare/{name}.nc" for name in PLAN.references},
    log:
        "logs/compare_references/{run}.log",
    benchmark:
        "runtimes/compare_references/{run}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("compare_references"),
        runtime=PLAN.minutes("compare_references"),
    params:
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        intervals=PLAN.split_blocks["test"],
    message:
        "Scoring the references"
    script:
        "../scripts/compare_references.py"


rule compare_numbers:
    input:
        code=code_of("compare_numbers"),
        moments=lambda w: PLAN.compared_files(w.table),
    output:
        numbers="build/{run}/compare/{table}.json",
    log:
        "logs/compare_numbers/{run}_{table}.log",
    benchmark:
        "runtimes/compare_numbers/{run}_{table}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("compare_numbers"),
        runtime=PLAN.minutes("compare_numbers"),
    params:
        worlds=lambda w: {PLAN.run: PLAN.comparison(w.table)},
    message:
        "Comparing {wildcards.table}"
    script:
        "../scripts/compare_numbers.py"


rule compare_page:
    input:
        code=code_of("compare_page"),
        numbers="build/{run}/compare/{table}.json",
    output:
        page="results/{run}/compare_{table}.md",
        csv="results/{run}/compare_{table}.csv",
        figures=expand(
            "results/{{run}}/figures/compare_{{table}}/{name}.png", name=["comparison", "hours", "reliability"]
        ),
    log:
        "logs/compare_page/{run}_{table}.log",
    benchmark:
        "runtimes/compare_page/{run}_{table}.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("compare_page"),
        runtime=PLAN.minutes("compare_page"),
    params:
        figures="results/{run}/figures/compare_{table}",
    message:
        "Tables and figures of the comparison of {wildcards.table}"
    script:
        "../scripts/compare_page.py"
