# The delivered files.


rule product_month:
    input:
        code=code_of("product_month"),
        downscaled="build/{run}/downscaled/{month}.nc",
        checkpoints=PLAN.checkpoints(),
        weights=PLAN.weights("fine_to_coarse"),
        manifests=lambda w: [
            "build/{run}/manifests/terrain.json",
            *PLAN.around("build/{run}/manifests/smap/{month}.json", w.month),
            f"build/{w.run}/manifests/era5_land/{w.month}.json",
        ],
    output:
        product="results/{run}/product/sm_{run}_10km_3h_{month}.nc",
    log:
        "logs/product_month/{run}_{month}.log",
    benchmark:
        "runtimes/product_month/{run}_{month}.tsv"
    conda:
        "../../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("product_month"),
        runtime=PLAN.minutes("product_month"),
    params:
        run="{run}",
        month="{month}",
        model=PLAN.config.model.name,
        fine=PLAN.grids["fine"],
        dtype=PLAN.config.product.dtype,
        attributes=PLAN.section("product", without=["dtype"]),
        simulated=PLAN.twin,
        config_hash=PLAN.config_hash(),
    message:
        "Writing the product of {wildcards.month}"
    script:
        "../scripts/product_month.py"
