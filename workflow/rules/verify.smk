# Is it allowed, is it good? With those of validate.smk and compare.smk the only rules that may read the truth of a twin.


rule verify_product:
    input:
        code=code_of("verify_product"),
        product="results/{run}/product/sm_{run}_10km_3h_{month}.nc",
        static="build/{run}/static.nc",
    output:
        finding="build/{run}/verify/product_{month}.json",
    log:
        "logs/verify_product/{run}_{month}.log",
    benchmark:
        "runtimes/verify_product/{run}_{month}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("verify_product"),
        runtime=PLAN.minutes("verify_product"),
    params:
        month="{month}",
        fine=PLAN.grids["fine"],
    message:
        "Checking the product of {wildcards.month}"
    script:
        "../scripts/verify_product.py"


rule verify_heldout:
    input:
        **PLAN.weight_set,
        code=code_of("verify_heldout"),
        predictors=PLAN.span("build/{run}/predictors/{month}.nc", "test"),
        coarse=PLAN.span("build/{run}/coarse/{month}.nc", "test"),
        bands=PLAN.span("build/{run}/bands/{month}.nc", "test"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "test"),
        static="build/{run}/static.nc",
        checkpoints=PLAN.checkpoints(),
        covariance="build/{run}/covariance.json",
    output:
        heldout="build/{run}/verify/heldout.nc",
    log:
        "logs/verify_heldout/{run}.log",
    benchmark:
        "runtimes/verify_heldout/{run}.tsv"
    conda:
        f"../../envs/{PLAN.torch('downscale')}.yaml"
    threads: PLAN.config.downscale.threads
    resources:
        mem_mb=PLAN.memory("verify_heldout"),
        runtime=PLAN.minutes("verify_heldout"),
        gpu=PLAN.gpus("downscale"),
    params:
        months=PLAN.span_months("test"),
        names=PLAN.config.predictors,
        model=PLAN.config.model.name,
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        options=PLAN.section("downscale", without=["variance_factor", "systematic_std", "threads"]),
        gaps=PLAN.gaps,
    message:
        "Held-out SMAP of the test split"
    script:
        "../scripts/verify_heldout.py"


rule verify_references:
    input:
        code=code_of("verify_references"),
        predictors="build/{run}/predictors/{month}.nc",
        coarse=lambda w: PLAN.around("build/{run}/coarse/{month}.nc", w.month),
        smap=lambda w: PLAN.around("build/{run}/smap/{month}.nc", w.month),
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
        covariance="build/{run}/covariance.json",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
        coarse_to_fine=PLAN.weights("coarse_to_fine"),
    output:
        fields="build/{run}/verify/fields_{month}.nc",
    log:
        "logs/verify_references/{run}_{month}.log",
    benchmark:
        "runtimes/verify_references/{run}_{month}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("verify_references"),
        runtime=PLAN.minutes("verify_references"),
    params:
        window_days=PLAN.config.samples.window_days,
        causal=PLAN.config.samples.causal,
    message:
        "Reference fields of {wildcards.month}"
    script:
        "../scripts/verify_references.py"


rule verify_scores:
    input:
        code=code_of("verify_scores"),
        heldout="build/{run}/verify/heldout.nc",
        products=PLAN.part("results/{run}/product/sm_{run}_10km_3h_{month}.nc", "test"),
        fields=PLAN.part("build/{run}/verify/fields_{month}.nc", "test"),
        truth=PLAN.part("build/{run}/truth/{month}.nc", "test") if PLAN.twin else [],
        static="build/{run}/static.nc",
    output:
        json="results/{run}/scores.json",
        csv="results/{run}/scores.csv",
        places="build/{run}/verify/places.nc",
    log:
        "logs/verify_scores/{run}.log",
    benchmark:
        "runtimes/verify_scores/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("verify_scores"),
        runtime=PLAN.minutes("verify_scores"),
    params:
        run="{run}",
        fine=PLAN.grids["fine"],
        coarse=PLAN.grids["coarse"],
        intervals=PLAN.split_blocks["test"],
        places=PLAN.config.report.places,
    message:
        "Scores of the test split"
    script:
        "../scripts/verify_scores.py"


# Only where it is asked for by name: is the simulated Plateau like the real one?
rule verify_twin:
    input:
        code=code_of("verify_twin"),
        truth=PLAN.at("build/{run}/truth/{month}.nc"),
        predictors=PLAN.at("build/{run}/predictors/{month}.nc"),
        smap=PLAN.at("build/{run}/smap/{month}.nc"),
        stations=PLAN.at("build/{run}/twin/stations/{month}.nc"),
    output:
        review="build/{run}/verify/twin.json",
        figures=expand(
            "results/{{run}}/figures/twin_{name}.png", name=["seasons", "daily", "era5_land", "rain", "smap"]
        ),
    log:
        "logs/verify_twin/{run}.log",
    benchmark:
        "runtimes/verify_twin/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("verify_twin"),
        runtime=PLAN.minutes("verify_twin"),
    params:
        run="{run}",
        fine=PLAN.grids["fine"],
        figures="results/{run}/figures",
    message:
        "Reviewing the simulated Plateau"
    script:
        "../scripts/verify_twin.py"
