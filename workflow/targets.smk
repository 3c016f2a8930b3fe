# What is made only when asked for: snakemake compare_models, ...


# Every net, in two dresses, with several seeds; and PSCNet with one part at a time changed (source: twin).
rule compare_models:
    input:
        page=f"results/{PLAN.run}/compare_models.md",


rule compare_parts:
    input:
        page=f"results/{PLAN.run}/compare_parts.md",


# Importance of the inputs, and maps of where SMAP and where ERA5-Land carry the answer.
rule explain:
    input:
        figures=[f"results/{PLAN.run}/explain/{PLAN.config.model.name}_{kind}.png" for kind in ("importance", "shares")],
    message:
        "What carries the answer of run {PLAN.run}: results/{PLAN.run}/explain/"
