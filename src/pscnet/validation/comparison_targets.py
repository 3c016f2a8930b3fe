"""Numbers that the comparison on the twin is meant to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan
from typing import Any

from pscnet.validation import INTERPOLATED, OPTIMAL, PRODUCT
from pscnet.validation.groups import ABLATION, OURS, OWN, REFERENCE, Entry, ensemble_of, entries_of, together
from pscnet.validation.targets import target

#: Gradient boosting's name among the methods.
BOOSTING = "gradient_boosting"

_RESCALED = "era5_land_rescaled"


def comparison_targets(
    comparison: Mapping[str, Any],
    entries: Mapping[str, Entry] | None = None,
    controls: Mapping[str, Mapping[str, Any]] | None = None,
    ours: str = PRODUCT,
    boosting: str = BOOSTING,
) -> list[dict[str, object]]:
    """Compare our row with those of the others.

    Parameters
    ----------
    comparison : mapping
        See :func:`pscnet.validation.comparison.compare`.
    entries : mapping of method to Entry
        Where the group of a method is not what its name says.
    controls : mapping
        ``perfect`` and ``null``: the comparison of such a world; only those given are looked at.
    ours : str
        The method that the targets are for: PSCNet, or its ensemble.
    boosting : str
        The name of gradient boosting.

    Returns
    -------
    list of dict
        ``name``, ``value`` (NaN where a method or score is missing), ``wanted`` (text), ``reached`` (bool, or None
        where the value is not defined).
    """
    methods = comparison["methods"]
    groups = {name: entry.group for name, entry in entries_of(methods, entries).items()}
    alike = [name for name, group in groups.items() if group == REFERENCE or together(name) == together(ours)]
    learnt = min(
        (name for name in alike if groups[name] == OWN),
        key=lambda name: _finite(_score(methods, name, "ubrmse"), float("inf")),
        default="",
    )
    detail = "subpixel_r_beyond"
    rivals = [name for name in alike if groups[name] not in (OURS, ABLATION)]
    best = max(rivals, key=lambda name: _finite(_score(methods, name, detail), -1.0), default="")
    if together(ours) and ensemble_of(boosting) in methods:
        boosting = ensemble_of(boosting)
    rows = [
        _relative(comparison, ours, INTERPOLATED, "interpolated SMAP", -0.15),
        _relative(comparison, ours, OPTIMAL, "optimal interpolation", -0.05),
        _relative(comparison, ours, learnt, f"the best learnt baseline with the same input ({learnt or 'none'})", 0.0),
        target(
            f"sub-pixel R beyond the smooth field, minus the best of other methods ({best or 'none'})",
            _minus(methods, ours, best, detail), low=0.0,
        ),
        target(
            f"sub-pixel R beyond the smooth field, minus gradient boosting ({boosting})",
            _minus(methods, ours, boosting, detail), low=0.05,
        ),
        target(
            "R of 3-hour changes, minus rescaled ERA5-Land", _minus(methods, ours, _RESCALED, "change_r"), low=0.0
        ),
        *_alone(methods, ours),
    ]  # fmt: skip
    return rows + _controls(controls or {}, "pscnet")


def _alone(methods: Mapping[str, Any], ours: str) -> list[dict[str, object]]:
    """Targets that no other method takes part in."""

    def all_hours(score: str) -> float:
        return _score(methods, ours, score) / _score(methods, ours, f"overpass_{score}") - 1.0

    return [
        target("temporal R, all hours relative to overpass hours", all_hours("temporal_r"), low=-0.03),
        target("ubRMSE, all hours relative to overpass hours", all_hours("ubrmse"), high=0.02),
        target("truth inside 1 sigma", _score(methods, ours, "inside_1_sigma"), low=0.63, high=0.73),
        target("truth inside 2 sigma", _score(methods, ours, "inside_2_sigma"), low=0.92, high=0.97),
    ]


def _controls(controls: Mapping[str, Mapping[str, Any]], ours: str) -> list[dict[str, object]]:
    rows = []
    if "perfect" in controls:
        value = _score(controls["perfect"]["methods"], ours, "temporal_r")
        rows.append(target("perfect control (a single net): temporal R", value, low=0.98))
    if "null" in controls:
        value = _minus(controls["null"]["methods"], ours, INTERPOLATED, "temporal_r")
        rows.append(target("null control (a single net): temporal R, minus interpolated SMAP", value, low=-0.01))
    return rows


def _relative(comparison: Mapping[str, Any], ours: str, other: str, label: str, high: float) -> dict[str, object]:
    """Mean over worlds of the relative difference in ubRMSE."""
    ratios = [
        _mean(_world(comparison, ours, world), "ubrmse") / _mean(_world(comparison, other, world), "ubrmse")
        for world in comparison["worlds"]
    ]
    return target(f"ubRMSE relative to {label}", sum(ratios) / len(ratios) - 1.0, high=high)


def _world(comparison: Mapping[str, Any], name: str, world: str) -> Mapping[str, Any]:
    return comparison["methods"].get(name, {}).get("worlds", {}).get(world, {})


def _minus(methods: Mapping[str, Any], ours: str, other: str, score: str) -> float:
    return _score(methods, ours, score) - _score(methods, other, score)


def _score(methods: Mapping[str, Any], name: str, score: str) -> float:
    return _mean(methods.get(name, {}).get("scores", {}), score)


def _mean(scores: Mapping[str, Any], score: str) -> float:
    """A score's mean; NaN where it is missing, or null as JSON writes what is not defined."""
    value = scores.get(score, {}).get("mean")
    return nan if value is None else float(value)


def _finite(value: float, otherwise: float) -> float:
    return value if isfinite(value) else otherwise
