# Seamless 10 km, 3-hourly soil moisture from SMAP and ERA5-Land.
#
#     snakemake --cores 8                                      the run of config/config.yaml
#     snakemake --cores 8 --configfile my_run.yaml             with keys of its own on top
#     snakemake -n                                             the plan; needs no accounts, and of the data files named by keys

import os
import re
import sys

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# The checkout's own package, here and in the processes of the scripts; this file may be a module of another workflow.
PACKAGE_ROOT = os.path.join(str(workflow.current_basedir), "src")
sys.path.insert(0, PACKAGE_ROOT)
os.environ.update(PYTHONPATH=os.pathsep.join([PACKAGE_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]))
# Threads that wait for each other in a loop make a job many times slower when another one wants their core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pscnet.config import ConfigError
from pscnet.plan import Plan
from pscnet.provenance import code_of, digest


configfile: "config/config.yaml"


# What the first page of `snakemake --report` says.
report: "workflow/report/workflow.rst"


# For --sdm apptainer: the image of envs/pscnet.def, in the folder where Snakemake runs.
container: "envs/pscnet.sif"


try:
    PLAN = Plan(config)
except ConfigError as error:
    raise WorkflowError(f"The configuration cannot be run:\n{error}") from None

# Snakemake walks by recursion from the last month to the first, where each month's bands continue those before.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + 10 * len(PLAN.months)))


wildcard_constraints:
    run=re.escape(PLAN.run),
    month=r"\d{4}-\d{2}",
    edge="opening|closing",
    source="era5_land|smap|smap_e|smap_l4",
    method="conservative|bilinear",
    grid_from="[A-Za-z0-9]+",
    grid_to="[A-Za-z0-9]+",
    part="train|validation",
    kriging="kriged|kriged_causal",
    model="|".join(map(re.escape, PLAN.variants)),
    seed=r"\d+",
    members=r"\d+|ensemble",
    table="models|parts",


# A finished run is a tested run: products are wanted together with their checks and scores.
rule all:
    input:
        product=PLAN.at("results/{run}/product/sm_{run}_10km_3h_{month}.nc"),
        checks=PLAN.at("build/{run}/verify/product_{month}.json"),
        scores=expand("results/{run}/scores.{kind}", run=PLAN.run, kind=["json", "csv"]),
        validation=PLAN.validation_files,
        report=f"results/{PLAN.run}/report.html",
        quicklooks=PLAN.at("results/{run}/quicklooks/{run}_{month}.png"),
        stations=[f"build/{PLAN.run}/twin/stations.json"] if PLAN.twin else [],
        manifests=PLAN.manifests,
    message:
        "Run {PLAN.run} is complete: results/{PLAN.run}/"


# Only the raw files and their manifests; with source: fetch on a machine that has a network, such as a login node.
rule fetch:
    input:
        manifests=PLAN.manifests,
    message:
        "The raw files of run {PLAN.run} are there: build/{PLAN.run}/manifests/"


# Which settings a file without a record was made with.
RUN, SETTINGS = PLAN.run, digest(PLAN.config.model_dump(mode="json"))


include: "workflow/takeover.smk"
include: "workflow/records.smk"
include: f"workflow/rules/{PLAN.config.source}.smk"
include: "workflow/rules/regrid.smk"
include: "workflow/rules/dataset.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/downscale.smk"
include: "workflow/rules/product.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/explain.smk"
include: "workflow/targets.smk"
