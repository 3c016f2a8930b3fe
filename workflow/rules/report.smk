# What a person looks at.


rule report_page:
    input:
        code=code_of("report_page"),
        product=f"results/{{run}}/product/sm_{{run}}_10km_3h_{PLAN.report_month}.nc",
        smap=PLAN.up_to("build/{run}/smap/{month}.nc", PLAN.report_month),
        scores="results/{run}/scores.json",
        places="build/{run}/verify/places.nc",
        references=PLAN.at("build/{run}/verify/fields_{month}.nc", PLAN.report_references),
        curve=PLAN.curve,
        checks=PLAN.at("build/{run}/verify/product_{month}.json"),
    output:
        page="results/{run}/report.html",
        figures=expand("results/{{run}}/figures/{name}.png", name=["map", "series", "scores"]),
    log:
        "logs/report_page/{run}.log",
    benchmark:
        "runtimes/report_page/{run}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        figures="results/{run}/figures",
        summary=PLAN.summary(),
        colormap=PLAN.config.report.colormap,
        range=PLAN.config.report.range,
    message:
        "Making the report"
    script:
        "../scripts/report_page.py"
