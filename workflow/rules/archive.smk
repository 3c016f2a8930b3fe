# Raw files that are there already. They are never inputs or outputs of a rule, so nothing can delete them: a digest of
# what the folder holds of a month stands in their place.


if workflow.is_main_process and (gaps := PLAN.archive_gaps()):
    logger.warning(gaps)


rule archive_manifest:
    input:
        code=code_of("archive_manifest"),
    output:
        manifest="build/{run}/manifests/{source}/{month}.json",
    log:
        "logs/archive_manifest/{run}_{source}_{month}.log",
    benchmark:
        "runtimes/archive_manifest/{run}_{source}_{month}.tsv"
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("archive_manifest"),
        runtime=PLAN.minutes("archive_manifest"),
    params:
        folder=PLAN.config.archive,
        index=PLAN.archive_index,
        source="{source}",
        month="{month}",
        variables=lambda w: PLAN.config.predictors if w.source == "era5_land" else [],
        grid=lambda w: PLAN.archive_grid(w.source),
        digest=lambda w: PLAN.archive_digest(w.source, w.month),
    message:
        "Listing the {wildcards.source} files of {wildcards.month}"
    script:
        "../scripts/archive_manifest.py"


rule archive_terrain:
    input:
        code=code_of("archive_terrain"),
        file=[PLAN.config.terrain] if PLAN.config.terrain else [],
    output:
        manifest="build/{run}/manifests/terrain.json",
    log:
        "logs/archive_terrain/{run}.log",
    benchmark:
        "runtimes/archive_terrain/{run}.tsv"
    localrule: True
    conda:
        "../../envs/geo.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("archive_terrain"),
        runtime=PLAN.minutes("archive_terrain"),
    params:
        folder=PLAN.config.terrain or PLAN.config.archive,
        index=PLAN.archive_index,
        digest=lambda w: "" if PLAN.config.terrain else PLAN.archive_digest("terrain"),
    message:
        "Listing the elevation file"
    script:
        "../scripts/archive_terrain.py"
