# The comparison of models at research size: config/research.yaml.
#
#     snakemake -s workflow/research.smk --cores 2                 tables and figures in results/research/
#     snakemake -s workflow/research.smk --cores 2 parts           the ablation table of PSCNet
#
# Each world is the whole workflow of ../Snakefile as a module, with a configuration of its own.

import os
import sys

import yaml

ROOT = os.path.dirname(workflow.basedir)
sys.path.insert(0, os.path.join(ROOT, "src"))

from pscnet.plan import Plan
from pscnet.provenance import code_of
from pscnet.research import settings_of

with open(os.path.join(ROOT, "config", "config.yaml")) as file:
    BASE = yaml.safe_load(file)
with open(config.get("research", os.path.join(ROOT, "config", "research.yaml"))) as file:
    SETTINGS = settings_of(yaml.safe_load(file), BASE)
PLANS = {name: Plan(settings) for name, settings in SETTINGS.items()}


rule all:
    input:
        "results/research/models.md",


module naqu:
    snakefile:
        "../Snakefile"
    config:
        SETTINGS["naqu"]


use rule * from naqu as naqu_*


module maqu:
    snakefile:
        "../Snakefile"
    config:
        SETTINGS["maqu"]


use rule * from maqu as maqu_*
