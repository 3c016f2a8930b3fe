# The comparison of models at research size: config/research.yaml.
#
#     snakemake -s workflow/research.smk --cores 2           every model: results/research/models.md
#     snakemake -s workflow/research.smk --cores 2 parts     PSCNet less one part: results/research/parts.md
#
# Each world is the whole workflow of ../Snakefile as a module, with a configuration of its own.

import os
import sys

ROOT = os.path.dirname(workflow.basedir)
sys.path.insert(0, os.path.join(ROOT, "src"))

from pscnet.provenance import code_of, digest
from pscnet.research import Research

RESEARCH = Research.read(os.path.join(ROOT, "config"))

# Of all worlds together; each module has a run of its own.
RUN, SETTINGS = "research", digest(RESEARCH.settings)


wildcard_constraints:
    run=RUN,
    table="models|parts",


include: "takeover.smk"
include: "records.smk"


rule all:
    default_target: True
    input:
        "results/research/models.md",


rule parts:
    input:
        "results/research/parts.md",


rule research_numbers:
    input:
        code=code_of("research_numbers"),
        moments=lambda w: RESEARCH.files(w.table),
    output:
        numbers="results/{run}/{table}.json",
    log:
        "logs/research_numbers/{run}_{table}.log",
    benchmark:
        "runtimes/research_numbers/{run}_{table}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 6000 * 2 ** (attempt - 1),
        runtime=lambda w, attempt: 60 * 2 ** (attempt - 1),
    params:
        worlds=lambda w: RESEARCH.comparison(w.table, "worlds"),
        controls=lambda w: RESEARCH.comparison("models", "controls") if w.table == "models" else {},
    message:
        "Comparing {wildcards.table} over all worlds"
    script:
        "scripts/research_numbers.py"


rule research_page:
    input:
        code=code_of("compare_page"),
        numbers="results/{run}/{table}.json",
    output:
        page="results/{run}/{table}.md",
        csv="results/{run}/{table}.csv",
        figures=expand("results/{{run}}/{{table}}/{name}.png", name=["comparison", "hours", "reliability"]),
    log:
        "logs/research_page/{run}_{table}.log",
    benchmark:
        "runtimes/research_page/{run}_{table}.tsv"
    conda:
        "../envs/analysis.yaml"
    threads: 1
    resources:
        mem_mb=lambda w, attempt: 2000 * 2 ** (attempt - 1),
        runtime=lambda w, attempt: 10 * 2 ** (attempt - 1),
    params:
        figures=lambda w: f"results/{w.run}/{w.table}",
    message:
        "Tables and figures of {wildcards.table}"
    script:
        "scripts/compare_page.py"


module naqu:
    snakefile:
        "../Snakefile"
    config:
        RESEARCH.settings["naqu"]


use rule * from naqu as naqu_*


module maqu:
    snakefile:
        "../Snakefile"
    config:
        RESEARCH.settings["maqu"]


use rule * from maqu as maqu_*


module ngari:
    snakefile:
        "../Snakefile"
    config:
        RESEARCH.settings["ngari"]


use rule * from ngari as ngari_*


module control_null:
    snakefile:
        "../Snakefile"
    config:
        RESEARCH.settings["control_null"]


use rule * from control_null as control_null_*


module control_perfect:
    snakefile:
        "../Snakefile"
    config:
        RESEARCH.settings["control_perfect"]


use rule * from control_perfect as control_perfect_*
