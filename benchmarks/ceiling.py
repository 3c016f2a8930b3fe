"""What could be learnt from the same input: nets taught by the simulated truth in the place of SMAP.

Nothing that a net can be taught with in the field tells more than the truth at every 10 km cell, at the same overpass
stamps. So what such a net gains over the same net taught by SMAP, on the same test season, is about what better
supervision could bring; what it still errs by is not in the input, or not to be learnt from so many months. It is no
method: no product, report or comparison knows of it.

    snakemake -s workflow/research.smk --cores 2
    python benchmarks/ceiling.py [naqu maqu ngari] [--models pscnet mlp] [--seeds 0]
    python benchmarks/ceiling.py --configfile config/demo.yaml      after snakemake compare_models of that configuration
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pscnet.baselines.covariance import read_covariances
from pscnet.channels import LEARNT_PARTS
from pscnet.checkpoint import Checkpoint
from pscnet.doctor import setting
from pscnet.losses import area_average_loss
from pscnet.nets import NetSpec
from pscnet.nets.frame import Batch
from pscnet.plan import Plan
from pscnet.research import Research
from pscnet.samples.files import learnt_retrievals
from pscnet.samples.geometry import Tile, read_weight_set
from pscnet.samples.inputs import InputMaker
from pscnet.samples.kriged import COVARIANCE, kriging
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.store import SampleStore, Target, covered_cells, time_scales
from pscnet.training.files import training_tiles, write_curve
from pscnet.training.memory import Memory
from pscnet.training.trainer import Options, Trainer, TrainingTile, too_large
from pscnet.validation import OPTIMAL, PRODUCT
from pscnet.validation.comparison import compare
from pscnet.validation.model_scores import write_model_scores
from pscnet.validation.series import scorable

#: Only the 10 km field is compared with the truth; weights of the 36, 18 and 10 km fields.
FINE_ALONE = (0.0, 0.0, 1.0)

#: Scores that are printed beside the differences.
SHOWN = ("temporal_r", "ubrmse", "subpixel_r_beyond", "change_r")


class TruthStore(SampleStore):
    """Samples whose target is the truth at 10 km: Target of (batch, 1, lat, lon), standardised as SMAP is."""

    truth: Mapping[str, str]  # month to path

    def _target(self, stamps: np.ndarray, tile: Tile, device: torch.device) -> Target:
        normaliser = self.maker.normaliser
        truth = np.stack([self._at(stamp) for stamp in stamps])[:, None][..., tile.window[0], tile.window[1]]
        used = np.isfinite(truth) & self.maker.land[tile.window]
        value = np.where(used, (truth - normaliser.target_mean) / normaliser.target_std, 0.0)
        parts = (value, np.zeros_like(value), used, used)
        return WholeTarget(*(torch.from_numpy(part.astype("f4")).to(device) for part in parts))

    def _at(self, stamp: np.datetime64) -> np.ndarray:
        times, fields = read_truth(self.truth[str(stamp)[:7]])
        return fields[np.searchsorted(times, np.datetime64(stamp, "ns"))]


@cache
def read_truth(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Times of a month, and its truth (time, lat, lon) [m3 m-3], NaN where the ground is frozen or under snow."""
    with xr.open_dataset(path) as truth:
        return truth["time"].values, scorable(truth, np.arange(truth.sizes["time"]))


class WholeTarget(Target):
    """A target on the 10 km grid of a region that is one tile."""

    def within(self, owned: Tensor) -> Target:
        """The same: the only tile owns every cell."""
        assert bool((owned > 0).all()), "the region as one tile expected"
        return self


class TaughtTrainer(Trainer):
    """A trainer whose targets lie on the 10 km grid."""

    def _loss(self, tile: TrainingTile, batch: Batch, target: Target) -> Tensor:
        answer = self.net(batch, tile.geometry)
        fine = {"10km": (answer.mean["10km"], answer.log_variance["10km"].exp())}
        return area_average_loss(
            fine, target.value, target.extra_variance, target.precision, target.used, FINE_ALONE, self.options.loss
        )


def teach(plan: Plan, model: str, seed: int, checkpoint: Path, curve: Path) -> None:
    """Train a net on the truth of a run, and write checkpoint and learning curve."""
    config = plan.config
    files = {name: f"build/{plan.run}/{name}.nc" for name in ("static", "normaliser")}
    statistics = Normaliser.read(files["normaliser"])
    maker = InputMaker(statistics, files["static"], config.samples.window_days)
    weights = read_weight_set(plan.weight_set)
    coarse, smap = (plan.span(f"build/{{run}}/{kind}/{{month}}.nc", *LEARNT_PARTS) for kind in ("coarse", "smap"))
    retrievals = learnt_retrievals(smap, coarse, statistics, plan.split, causal=False)
    spec = NetSpec(
        predictors=len(statistics.predictors), bands=statistics.bands, statics=maker.static_channels,
        window_days=config.samples.window_days, **plan.net_of(model),
    )  # fmt: skip
    covered = covered_cells(maker, weights["fine_to_coarse"])
    samples, kriged = f"build/{plan.run}/samples", kriging(False) if spec.kriged else None
    stores = {
        part: TruthStore(samples, part, maker, retrievals, covered, kriged, spec.sequence_days) for part in LEARNT_PARTS
    }
    for part, store in stores.items():
        store.truth = dict(
            zip(plan.part_months(part), plan.part_of_twin("build/{run}/truth/{month}.nc", part), strict=True)
        )
    options = Options(**plan.options_of(model, seed) | {"device": "cpu"})
    device = torch.device("cpu")
    tiles = training_tiles(spec, weights, maker.land, "whole", device)
    memory = Memory(device, list(stores.values()), too_large(tiles, device, cut=False))
    trainer = TaughtTrainer(spec, options, *stores.values(), tiles, config.samples.leave_out_hours, memory)
    trainer.run()
    fine, cells = weights["fine_to_coarse"].src, weights["fine_to_coarse"].dst
    Checkpoint(
        spec, trainer.best, statistics, fine.describe(), cells.describe(), time_scales(statistics.channels),
        config.samples.window_days, config.samples.leave_out_hours, plan.split.describe(), plan.split.buffer_days, 1.0,
        covariance=vars(read_covariances(f"build/{plan.run}/covariance.json")[COVARIANCE]) if spec.kriged else None,
    ).write(checkpoint)  # fmt: skip
    write_curve(curve, trainer.progress.history)


def score(plan: Plan, checkpoint: Path, curve: Path, output: Path) -> None:
    """Moments of a taught net on the test split, as of every method of the comparison."""
    kinds = ("predictors", "bands", "coarse", "smap")
    write_model_scores(
        months=plan.span_months("test"),
        **{kind: plan.span(f"build/{{run}}/{kind}/{{month}}.nc", "test") for kind in kinds},
        truths=dict(zip(plan.test_months, plan.part_of_twin("build/{run}/truth/{month}.nc", "test"), strict=True)),
        static=f"build/{plan.run}/static.nc",
        weights=plan.weight_set,
        checkpoints=[checkpoint],
        curves=[curve],
        names=plan.config.predictors,
        test_intervals=plan.split_blocks["test"],
        output=output,
        **plan.section("downscale", without=["threads"]) | {"device": "cpu"},
    )


def plans_of(runs: Sequence[str], configfile: Path | None) -> list[Plan]:
    """The runs of ``config/research.yaml``, or the one of a configuration of its own."""
    if configfile is not None:
        config, finding = setting.read([configfile])
        if config is None:
            raise SystemExit(finding.line())
        return [Plan(config.model_dump(mode="json", exclude_unset=True))]
    research = Research.read("config")
    return [Plan(research.settings[run]) for run in runs or research.document["worlds"]]


def require(paths: Sequence[str]) -> None:
    """Stop where a run was not compared yet."""
    absent = [path for path in paths if not Path(path).exists()]
    if absent:
        raise SystemExit(
            f"{absent[0]}: expected the scores of a comparison, found no such file; run "
            "`snakemake -s workflow/research.smk --cores 2`, or `snakemake compare_models` with the configuration"
        )


def main() -> None:
    """Teach a net in each world and print how far optimal interpolation, PSCNet and what was taught are apart."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="*", help="worlds of config/research.yaml; all where none is named")
    parser.add_argument("--configfile", type=Path, help="a run of its own instead")
    parser.add_argument("--models", nargs="+", default=[PRODUCT], help="nets of their own dress, trees not among them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    plans = plans_of(given.runs, given.configfile)
    rows: dict[str, list[list[str | Path]]] = {}
    for plan in plans:
        files = plan.comparison("models")
        for name in (OPTIMAL, *given.models):
            require(files[name])
            rows.setdefault(name, []).append(list(files[name]))
    for plan in plans:
        folder = Path(f"build/{plan.run}/ceiling")
        folder.mkdir(exist_ok=True)
        for model in given.models:
            outputs = [folder / f"{model}_{seed}.nc" for seed in given.seeds]
            rows.setdefault(taught(model), []).append(list(outputs))
            for seed, moments in zip(given.seeds, outputs, strict=True):
                if not moments.exists():
                    checkpoint, curve = moments.with_suffix(".safetensors"), moments.with_suffix(".csv")
                    teach(plan, model, seed, checkpoint, curve)
                    score(plan, checkpoint, curve, moments)
    compared = compare(rows, [plan.run for plan in plans], list(rows))["methods"]
    first = taught(given.models[0])
    for model in given.models:
        show(model, compared, [OPTIMAL])
        show(taught(model), compared, [OPTIMAL, model, *([first] if taught(model) != first else [])])


def show(name: str, compared: Mapping[str, Any], others: Sequence[str]) -> None:
    """Print a row: how far it is from others, and its scores."""
    gaps = [_gap(compared[name]["differences"][other], other) for other in others]
    means = (f"{key} {compared[name]['scores'][key]['mean']:.4f}" for key in SHOWN)
    print(f"{name}: ubRMSE {', '.join(gaps)}; {', '.join(means)}")


def taught(model: str) -> str:
    """The row of a net that the truth taught."""
    return f"{model} taught by the truth"


def _gap(differences: Mapping[str, Mapping[str, float]], other: str) -> str:
    gap = differences["relative_ubrmse"]
    low, high = (gap[end] for end in ("low_seeds", "high_seeds"))
    return f"{100 * gap['mean']:+.2f} % ({100 * low:+.2f} to {100 * high:+.2f}) to {other}"


if __name__ == "__main__":
    main()
