# What a person looks at.


rule report_page:
    input:
        code=code_of("report_page"),
        product=PLAN.at("results/{run}/product/sm_{run}_10km_3h_{month}.nc", [PLAN.report_month]),
        smap=PLAN.around("build/{run}/smap/{month}.nc", PLAN.report_month),
        static="build/{run}/static.nc",
        scores="results/{run}/scores.json",
        checks=PLAN.at("build/{run}/verify/product_{month}.json"),
    output:
        page="results/{run}/report.html",
    log:
        "logs/report_page/{run}.log",
    benchmark:
        "runtimes/report_page/{run}.tsv"
    conda:
        "../../envs/pscnet.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        run="{run}",
        month=PLAN.report_month,
        colormap=PLAN.config.report.colormap,
        range=PLAN.config.report.range,
        places=PLAN.config.report.places,
    message:
        "Making the report"
    script:
        "../scripts/report_page.py"
