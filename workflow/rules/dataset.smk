# What the nets read: temporal bands, carried from month to month; the normaliser and the covariance of the training
# split; and the samples of both parts that are learnt from.


rule dataset_bands:
    input:
        code=code_of("dataset_bands"),
        predictors="build/{run}/predictors/{month}.nc",
        previous=lambda w: PLAN.previous("build/{run}/bands/{month}.nc", w.month),
    output:
        bands="build/{run}/bands/{month}.nc",
    log:
        "logs/dataset_bands/{run}_{month}.log",
    benchmark:
        "runtimes/dataset_bands/{run}_{month}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("dataset_bands"),
        runtime=PLAN.minutes("dataset_bands"),
    params:
        names=PLAN.config.predictors,
        background=PLAN.background,
        time_scales_days=PLAN.config.samples.time_scales_days,
    message:
        "Temporal bands of {wildcards.month}"
    script:
        "../scripts/dataset_bands.py"


rule dataset_normaliser:
    input:
        code=code_of("dataset_normaliser"),
        coarse=PLAN.part("build/{run}/coarse/{month}.nc", "train"),
        bands=PLAN.part("build/{run}/bands/{month}.nc", "train"),
        smap=PLAN.part("build/{run}/smap/{month}.nc", "train"),
        static="build/{run}/static.nc",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
        coarse_to_fine=PLAN.weights("coarse_to_fine"),
    output:
        normaliser="build/{run}/normaliser.nc",
    log:
        "logs/dataset_normaliser/{run}.log",
    benchmark:
        "runtimes/dataset_normaliser/{run}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("dataset_normaliser"),
        runtime=PLAN.minutes("dataset_normaliser"),
    params:
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        noise=PLAN.config.smap.noise.recommended,
    message:
        "Normaliser and background of the training split"
    script:
        "../scripts/dataset_normaliser.py"


rule dataset_covariance:
    input:
        code=code_of("dataset_covariance"),
        coarse=PLAN.span("build/{run}/coarse/{month}.nc", "train"),
        smap=PLAN.span("build/{run}/smap/{month}.nc", "train"),
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
        coarse_to_fine=PLAN.weights("coarse_to_fine"),
    output:
        covariance="build/{run}/covariance.json",
    log:
        "logs/dataset_covariance/{run}.log",
    benchmark:
        "runtimes/dataset_covariance/{run}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("dataset_covariance"),
        runtime=PLAN.minutes("dataset_covariance"),
    params:
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        window_days=PLAN.config.samples.window_days,
    message:
        "Covariance of innovations on the training split"
    script:
        "../scripts/dataset_covariance.py"


rule dataset_samples:
    input:
        code=code_of("dataset_samples"),
        predictors=lambda w: PLAN.span("build/{run}/predictors/{month}.nc", w.part),
        bands=lambda w: PLAN.span("build/{run}/bands/{month}.nc", w.part),
        coarse=lambda w: PLAN.span("build/{run}/coarse/{month}.nc", w.part),
        smap=lambda w: PLAN.span("build/{run}/smap/{month}.nc", w.part),
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
    output:
        stamps="build/{run}/samples/{part}.stamps.npy",
        bands="build/{run}/samples/{part}.bands.npy",
        background="build/{run}/samples/{part}.background.npy",
    log:
        "logs/dataset_samples/{run}_{part}.log",
    benchmark:
        "runtimes/dataset_samples/{run}_{part}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("dataset_samples"),
        runtime=PLAN.minutes("dataset_samples"),
    params:
        months=lambda w: PLAN.span_months(w.part),
        folder="build/{run}/samples",
        part="{part}",
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        window_days=PLAN.config.samples.window_days,
    message:
        "Samples for {wildcards.part}"
    script:
        "../scripts/dataset_samples.py"


rule dataset_sequences:
    input:
        code=code_of("dataset_sequences"),
        predictors=lambda w: PLAN.span("build/{run}/predictors/{month}.nc", w.part),
        stamps="build/{run}/samples/{part}.stamps.npy",
        static="build/{run}/static.nc",
        normaliser="build/{run}/normaliser.nc",
    output:
        sequence="build/{run}/samples/{part}.sequence.npy",
        stamps="build/{run}/samples/{part}.sequence_stamps.npy",
    log:
        "logs/dataset_sequences/{run}_{part}.log",
    benchmark:
        "runtimes/dataset_sequences/{run}_{part}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("dataset_sequences"),
        runtime=PLAN.minutes("dataset_sequences"),
    params:
        folder=lambda w, output: os.path.dirname(output.sequence),
        part="{part}",
        days=PLAN.config.model.sequence_days,
    message:
        "Sequences of past days for {wildcards.part}"
    script:
        "../scripts/dataset_sequences.py"


rule dataset_kriged:
    input:
        code=code_of("dataset_kriged"),
        coarse=lambda w: PLAN.span("build/{run}/coarse/{month}.nc", w.part),
        smap=lambda w: PLAN.span("build/{run}/smap/{month}.nc", w.part),
        stamps="build/{run}/samples/{part}.stamps.npy",
        normaliser="build/{run}/normaliser.nc",
        covariance="build/{run}/covariance.json",
        fine_to_coarse=PLAN.weights("fine_to_coarse"),
    output:
        kriged="build/{run}/samples/{part}.{kriging}.npy",
    log:
        "logs/dataset_kriged/{run}_{part}_{kriging}.log",
    benchmark:
        "runtimes/dataset_kriged/{run}_{part}_{kriging}.tsv"
    conda:
        "../../envs/torch_cpu.yaml"
    threads: 1
    resources:
        mem_mb=PLAN.memory("dataset_kriged"),
        runtime=PLAN.minutes("dataset_kriged"),
    params:
        part="{part}",
        split=PLAN.split_blocks,
        buffer_days=PLAN.config.samples.buffer_days,
        window_days=PLAN.config.samples.window_days,
        leave_out_hours=PLAN.config.samples.leave_out_hours,
        causal=lambda w: PLAN.causal_kriging(w.kriging),
    message:
        "Kriged innovations for {wildcards.part}"
    script:
        "../scripts/dataset_kriged.py"
