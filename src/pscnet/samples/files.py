"""Samples from files: what the rules ``dataset_samples``, ``dataset_sequences`` and ``dataset_kriged`` make.

Nothing here knows a net or how it learns, so that a new net makes no sample again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pscnet.baselines.covariance import Spacing, read_covariances
from pscnet.samples.inputs import InputMaker
from pscnet.samples.kriged import COVARIANCE, write_kriged
from pscnet.samples.normaliser import Normaliser
from pscnet.samples.retrievals import Retrievals
from pscnet.samples.sequences import write_sequences
from pscnet.samples.store import (
    covered_cells,
    month_files,
    read_stamps,
    sample_file,
    usable_stamps,
    write_samples,
    write_stamps,
)
from pscnet.timeaxis import Split, month_stamps
from pscnet.weights import Weights

logger = logging.getLogger(__name__)


def write_sample_files(
    months: Sequence[str],
    predictors: Sequence[str | Path],
    bands: Sequence[str | Path],
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    static: str | Path,
    normaliser: str | Path,
    fine_to_coarse: Weights,
    split: Split,
    part: str,
    window_days: float,
    folder: str | Path,
) -> None:
    """Write the samples of one part of the split (layout: :mod:`pscnet.samples.store`).

    Parameters
    ----------
    months : consecutive months that hold the part and its neighbours
    predictors, bands, coarse, smap : paths of these months' files
    static, normaliser : paths
    fine_to_coarse : Weights
    split : Split
    part : {"train", "validation"}
    window_days : float
    folder : path to write ``{part}.*.npy`` into
    """
    statistics = Normaliser.read(normaliser)
    maker = InputMaker(statistics, static, window_days)
    retrievals = learnt_retrievals(smap, coarse, statistics, split)
    stamps = usable_stamps(retrievals, split, part, covered_cells(maker, fine_to_coarse))
    logger.info("%s: %d overpasses", part, stamps.size)
    without = months_without(stamps, split, part)
    if without:
        logger.warning(
            "%s: no overpass in %s: nothing is learnt from these months, and where SMAP is absent answers fall back to "
            "what ERA5-Land and the net tell without it", part, ", ".join(without),
        )  # fmt: skip
    write_samples(month_files(months, predictors, bands, coarse, smap), stamps, maker, folder, part)


def months_without(stamps: np.ndarray, split: Split, part: str) -> list[str]:
    """Months of a part, days in the buffers left aside, in which none of the ``stamps`` lies."""
    seen = {str(stamp)[:7] for stamp in stamps}
    return [
        month for month in split.months(part) if month not in seen and split.usable(part, month_stamps(month)).any()
    ]


def write_sequence_files(
    predictors: Sequence[str | Path],
    static: str | Path,
    normaliser: str | Path,
    part: str,
    days: int,
    folder: str | Path,
) -> None:
    """Write the sequences of a part's samples; see :mod:`pscnet.samples.sequences`.

    Parameters
    ----------
    predictors : paths of consecutive months around the part
    static, normaliser : paths
    part : {"train", "validation"}
    days : int
    folder : path that holds ``{part}.stamps.npy``
    """
    maker = InputMaker(Normaliser.read(normaliser), static, 1.0)
    stamps = read_stamps(sample_file(folder, part, "stamps"))
    written = write_sequences(predictors, stamps, days, maker, sample_file(folder, part, "sequence"))
    write_stamps(sample_file(folder, part, "sequence_stamps"), written)


def write_kriged_file(
    coarse: Sequence[str | Path],
    smap: Sequence[str | Path],
    stamps: str | Path,
    normaliser: str | Path,
    covariance: str | Path,
    fine_to_coarse: Weights,
    split: Split,
    window_days: float,
    leave_out_hours: float,
    causal: bool,
    output: str | Path,
) -> None:
    """Write the kriged innovations of a part's samples; see :mod:`pscnet.samples.kriged`.

    Parameters
    ----------
    coarse, smap : paths of consecutive months around the part
    stamps : path of ``{part}.stamps.npy``
    normaliser, covariance : paths
    fine_to_coarse : Weights
    split : Split
    window_days, leave_out_hours : float
    causal : bool
        Past retrievals only.
    output : path to write
    """
    statistics = Normaliser.read(normaliser)
    write_kriged(
        learnt_retrievals(smap, coarse, statistics, split, causal),
        read_stamps(stamps),
        read_covariances(covariance)[COVARIANCE],
        Spacing.of(fine_to_coarse.dst),
        statistics.target_std,
        window_days,
        leave_out_hours,
        output,
    )


def learnt_retrievals(
    smap: Sequence[str | Path],
    coarse: Sequence[str | Path],
    statistics: Normaliser,
    split: Split,
    causal: bool = False,
) -> Retrievals:
    """The retrievals of some consecutive months without those of the test split."""
    retrievals = Retrievals.from_files(smap, coarse, statistics.background, statistics.noise, causal)
    retrievals.hide(split.part_of_blocks("test", retrievals.stamp))
    return retrievals
