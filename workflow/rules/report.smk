# What a person looks at. What is marked by report() is carried by `snakemake --report`.


rule report_inputs:
    input:
        code=code_of("report_inputs"),
        smap=PLAN.at("build/{run}/smap/{month}.nc"),
        static="build/{run}/static.nc",
        manifests=PLAN.manifests,
    output:
        inputs="build/{run}/report/inputs.json",
    log:
        "logs/report_inputs/{run}.log",
    benchmark:
        "runtimes/report_inputs/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("report_inputs"),
        runtime=PLAN.minutes("report_inputs"),
    params:
        months=PLAN.months,
    message:
        "What the run was made from: raw files, and the calendar of SMAP"
    script:
        "../scripts/report_inputs.py"


rule report_figures:
    input:
        code=code_of("report_figures"),
        product=f"results/{{run}}/product/sm_{{run}}_10km_3h_{PLAN.report_month}.nc",
        smap=PLAN.up_to("build/{run}/smap/{month}.nc", PLAN.report_month),
        scores="results/{run}/scores.json",
        places="build/{run}/verify/places.nc",
        inputs="build/{run}/report/inputs.json",
        curves=PLAN.curves,
    output:
        index="build/{run}/report/figures.json",
        png=[
            report(
                f"results/{{run}}/figures/{figure.name}.png",
                caption="../report/figure.rst",
                category="Run",
                labels={"figure": figure.name},
            )
            for figure in PLAN.run_figures
        ],
        pdf=[f"results/{{run}}/figures/{figure.name}.pdf" for figure in PLAN.run_figures],
    log:
        "logs/report_figures/{run}.log",
    benchmark:
        "runtimes/report_figures/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("report_figures"),
        runtime=PLAN.minutes("report_figures"),
    params:
        figures="results/{run}/figures",
        model=PLAN.config.model.name,
        colormap=PLAN.config.report.colormap,
        range=PLAN.config.report.range,
    message:
        "Drawing the figures of the run"
    script:
        "../scripts/report_figures.py"


# The findings are all that the rules validate_{what} deliver, so that a validation may add files as it likes.
rule report_validation:
    input:
        code=code_of("report_validation"),
        findings=[path for what in PLAN.validations for path in getattr(rules, f"validate_{what}").output],
    output:
        index="build/{run}/report/validation.json",
        png=[
            report(
                f"results/{{run}}/figures/{figure.what}/{figure.name}.png",
                caption="../report/figure.rst",
                category="Validation",
                subcategory=figure.what,
                labels={"figure": figure.name},
            )
            for figure in PLAN.validation_figures
        ],
        pdf=[f"results/{{run}}/figures/{figure.what}/{figure.name}.pdf" for figure in PLAN.validation_figures],
    log:
        "logs/report_validation/{run}.log",
    benchmark:
        "runtimes/report_validation/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("report_validation"),
        runtime=PLAN.minutes("report_validation"),
    params:
        validations=PLAN.validations,
        figures="results/{run}/figures",
    message:
        "Drawing the figures of the validations"
    script:
        "../scripts/report_validation.py"


rule report_quicklook:
    input:
        code=code_of("report_quicklook"),
        product="results/{run}/product/sm_{run}_10km_3h_{month}.nc",
        smap="build/{run}/smap/{month}.nc",
    output:
        picture=report(
            "results/{run}/quicklooks/{run}_{month}.png",
            caption="../report/quicklook.rst",
            category="Quicklooks",
            labels={"month": "{month}"},
        ),
        animation="results/{run}/quicklooks/{run}_{month}.gif",
    log:
        "logs/report_quicklook/{run}_{month}.log",
    benchmark:
        "runtimes/report_quicklook/{run}_{month}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("report_quicklook"),
        runtime=PLAN.minutes("report_quicklook"),
    params:
        run="{run}",
        month="{month}",
        colormap=PLAN.config.report.colormap,
        range=PLAN.config.report.range,
    message:
        "Quicklook of {wildcards.month}"
    script:
        "../scripts/report_quicklook.py"


rule report_page:
    input:
        code=code_of("report_page"),
        product=f"results/{{run}}/product/sm_{{run}}_10km_3h_{PLAN.report_month}.nc",
        smap=PLAN.up_to("build/{run}/smap/{month}.nc", PLAN.report_month),
        scores="results/{run}/scores.json",
        places="build/{run}/verify/places.nc",
        references=PLAN.at("build/{run}/verify/fields_{month}.nc", PLAN.report_references),
        curves=PLAN.curves,
        checks=PLAN.at("build/{run}/verify/product_{month}.json"),
        inputs="build/{run}/report/inputs.json",
        figures="build/{run}/report/figures.json",
        documents=[f"results/{{run}}/validation/{what}.json" for what in PLAN.validations],
        document_figures="build/{run}/report/validation.json",
        stations=PLAN.station_series,
        pictures=[f"{figure.path}.png" for figure in [*PLAN.run_figures, *PLAN.validation_figures]],
    output:
        page=report("results/{run}/report.html", caption="../report/page.rst", category="Page of the run"),
    log:
        "logs/report_page/{run}.log",
    benchmark:
        "runtimes/report_page/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("report_page"),
        runtime=PLAN.minutes("report_page"),
    params:
        summary=PLAN.summary(),
        runtimes="runtimes",
        colormap=PLAN.config.report.colormap,
        range=PLAN.config.report.range,
    message:
        "Making the report"
    script:
        "../scripts/report_page.py"
