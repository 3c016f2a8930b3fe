# What is made only when asked for: snakemake compare_models, ...


# Every net, in two dresses, with several seeds; and PSCNet with one part at a time changed (source: twin).
rule compare_models:
    input:
        page=f"results/{PLAN.run}/compare_models.md",


rule compare_parts:
    input:
        page=f"results/{PLAN.run}/compare_parts.md",
