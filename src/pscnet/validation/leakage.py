"""Has what is scored been learnt from? Checks that stop a score, and a sign in the numbers that is told.

Three lines of defence. The configuration refuses a split whose parts overlap (:func:`pscnet.timeaxis.make_split`).
:func:`require_unseen` holds the split that a checkpoint carries against the days that are scored, so that a net of
another split is found. :func:`innovation_ratio` looks at the numbers alone: what is predicted without a retrieval
cannot agree with it better than the retrieval's own noise permits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.timeaxis import HALF_STEP, STEP_HOURS, Split
from pscnet.validation import METHODS, PRODUCT, ScoreError

#: Attribute of ``heldout.nc`` that holds what :func:`describe_learnt` makes.
LEARNT = "learnt"

#: Attribute of ``heldout.nc``: 1 where the net sees past retrievals alone (``samples.causal``), else 0.
CAUSAL = "causal"

#: Parts of the split that a net learns from: weights from the first, the kept epoch and calibration from the second.
_LEARNT_PARTS = ("train", "validation")

#: Smallest ratio of innovation variance and noise variance that is believed: the stated noise is good to some 5 %, its
#: square to 10 % (Chan et al. 2016, doi:10.1109/TGRS.2016.2561938, find 0.036 to 0.040 m3 m-3 at core sites).
BELIEVED = 0.9

_DAY = np.timedelta64(1, "D").astype("m8[ns]")


def describe_learnt(split: Mapping[str, Any], buffer_days: float, window_days: float) -> str:
    """What a checkpoint was trained on, as text for an attribute.

    Parameters
    ----------
    split : dict of part to blocks of time, see :meth:`pscnet.timeaxis.Split.describe`
    buffer_days, window_days : float [day]
        Gap that training kept between samples of different parts; reach of a sample's retrievals.
    """
    return json.dumps({"split": split, "buffer_days": buffer_days, "window_days": window_days}, sort_keys=True)


def require_unseen(learnt: Mapping[str, Any], intervals: Sequence[tuple[object, object]], path: str | Path) -> None:
    """Refuse scored days that a net was trained on, or that its training samples saw in their window.

    Parameters
    ----------
    learnt : dict
        ``split``, ``buffer_days``, ``window_days``; see :func:`describe_learnt`.
    intervals : list of (start, end), half-open
        What is scored.
    path : path, for the message

    Raises
    ------
    ScoreError
    """
    split = Split.from_description(learnt["split"], float(learnt["buffer_days"]))
    window = np.timedelta64(round(float(learnt["window_days"]) * 86400), "s").astype("m8[ns]")
    step = np.timedelta64(STEP_HOURS, "h")
    for part in _LEARNT_PARTS:
        for block in split.blocks[part]:
            stamps = np.arange(block.start, block.end, step).astype("M8[ns]")
            stamps = stamps[split.usable(part, stamps)]
            for start, end in ((np.datetime64(a, "ns"), np.datetime64(b, "ns")) for a, b in intervals):
                near = stamps[(stamps >= start - HALF_STEP - window) & (stamps < end + window)]
                if near.size:
                    raise ScoreError(_leak(path, part, near, (start, end), float(learnt["window_days"])))


def _leak(
    path: str | Path, part: str, near: np.ndarray, scored: tuple[np.datetime64, np.datetime64], window: float
) -> str:
    first, last = (str(time)[:10] for time in (near[0], near[-1]))
    start, end = str(scored[0])[:10], str(scored[1] - np.timedelta64(1, "ns"))[:10]
    inside = ((near >= scored[0]) & (near < scored[1])).any()
    how = "are among the days" if inside else f"lie within the window of {window:g} days of those"
    return (
        f"{path}: expected predictions of a net that has not seen the scored days {start} to {end}; found that "
        f"{first} to {last}, on which its checkpoint was trained (split.{part}), {how} that are scored: such scores "
        "are no test. Delete the checkpoint (build/{run}/models/) and train again with the present split, or score "
        f"days that are farther than {window:g} days from split.train and split.validation"
    )


def require_unseen_pairs(path: str | Path, intervals: Sequence[tuple[object, object]]) -> None:
    """:func:`require_unseen` for a file of held-out pairs, which carries what its checkpoint was trained on.

    Raises
    ------
    ScoreError
        Also where the file does not say it.
    """
    with xr.open_dataset(path) as pairs:
        said = pairs.attrs.get(LEARNT)
    if said is None:
        raise ScoreError(
            f"{path}: expected the attribute {LEARNT}, the split of the checkpoint behind the predictions; found none, "
            "so nobody can tell whether test days were learnt from; rerun verify_heldout"
        )
    require_unseen(json.loads(said), intervals, path)


def sees_the_past_alone(path: str | Path) -> bool:
    """Whether the predictions of a file of held-out pairs are of a net that sees past retrievals alone."""
    with xr.open_dataset(path) as pairs:
        return bool(pairs.attrs.get(CAUSAL, 0))


def innovation_ratio(difference: np.ndarray, noise: np.ndarray) -> float:
    """Mean squared difference over the noise variance of the retrievals; NaN without a pair.

    A prediction that owes nothing to the retrieval has errors of its own beside the retrieval's noise, so that the
    ratio is 1 or more (the reduced chi-square of innovations, as in data assimilation: Desroziers et al. 2005, QJRMS
    131, 3385). A bias makes it larger, never smaller.

    Parameters
    ----------
    difference : ndarray (pair,) [m3 m-3]
        Prediction minus retrieval.
    noise : ndarray (pair,) [m3 m-3]
        Stated standard deviation of the retrieval's noise.
    """
    good = np.isfinite(difference) & np.isfinite(noise) & (noise > 0)
    return float(np.mean((difference[good] / noise[good]) ** 2)) if good.any() else float("nan")


def tell_tale(ratios: Mapping[str, tuple[float, float, float]]) -> str:
    """What the innovation ratios of the methods say, in words; empty where nothing is wrong.

    Parameters
    ----------
    ratios : method to (ratio, low, high)
        With a 95 % interval.
    """
    ratio, _, high = ratios[PRODUCT]
    if not np.isfinite(high) or high >= BELIEVED:
        return ""
    others = {name: value for name, value in ratios.items() if name != PRODUCT}
    also = [name for name, (_, _, top) in others.items() if np.isfinite(top) and top < BELIEVED]
    said = (
        f"WARNING: the product differs from retrievals it was not to see by only {ratio:.2f} of their stated noise "
        f"variance (95 % interval up to {high:.2f}, at least {BELIEVED:g} expected). "
    )
    if also:
        names = ", ".join(METHODS[name] for name in also)
        return said + (
            f"So does {names}, made without the overpass by other code: the stated noise (smap.noise) is likely larger "
            "than this region's."
        )
    least = min((value for value, _, _ in others.values()), default=float("nan"))
    return said + (
        f"No reference comes below {least:.2f}: the scored retrievals have LEAKED into the product's predictions, on "
        "some path. Do not use these scores; check samples.leave_out_hours and that every input of the net leaves the "
        "overpass out."
    )
