"""Numbers that a run on the twin is meant to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from pscnet.validation import INTERPOLATED, METHODS, OPTIMAL, PRODUCT

Rows = Mapping[str, Mapping[str, float]]


def make_targets(truth: Rows, coverage: float) -> list[dict[str, object]]:
    """Compare the product's row of the 10 km table with those of the references.

    Parameters
    ----------
    truth : mapping of method to score to number
    coverage : float
        Share of unfrozen land cells and steps that carry a value.

    Returns
    -------
    list of dict
        ``name``, ``value``, ``wanted`` (text) and ``reached`` (bool, or None where the value is not defined).
    """
    ours, smap = truth[PRODUCT], truth[INTERPOLATED]
    rescaled = truth["era5_land_rescaled"]
    others = [row["subpixel_r_beyond"] for method, row in truth.items() if method != PRODUCT]
    best = max((r for r in others if isfinite(r)), default=0.0)
    rows = [
        target("temporal R, product minus interpolated SMAP", ours["temporal_r"] - smap["temporal_r"], low=0.04),
        target("ubRMSE relative to interpolated SMAP", ours["ubrmse"] / smap["ubrmse"] - 1.0, high=-0.15),
        target(
            "sub-pixel R beyond the smooth field, product minus best reference",
            ours["subpixel_r_beyond"] - best,
            low=0.0,
        ),
        target(
            "R of 3-hour changes, product minus rescaled ERA5-Land", ours["change_r"] - rescaled["change_r"], low=0.0
        ),
        target("truth inside 1 sigma", ours["inside_1_sigma"], low=0.63, high=0.73),
        target("truth inside 2 sigma", ours["inside_2_sigma"], low=0.92, high=0.97),
        target(
            "temporal R, all hours relative to overpass hours",
            ours["temporal_r"] / ours["overpass_temporal_r"] - 1.0,
            low=-0.03,
        ),
        target(
            "ubRMSE, all hours relative to overpass hours", ours["ubrmse"] / ours["overpass_ubrmse"] - 1.0, high=0.02
        ),
        target("unfrozen land cells and steps with a value", coverage, low=0.999),
    ]
    if OPTIMAL in truth:
        relative = ours["ubrmse"] / truth[OPTIMAL]["ubrmse"] - 1.0
        rows.insert(2, target(f"ubRMSE relative to {METHODS[OPTIMAL]}", relative, high=-0.05))
    return rows


def target(name: str, value: float, low: float | None = None, high: float | None = None) -> dict[str, object]:
    """One row of the targets: a value, the bounds that it is to keep, and whether it does."""
    bounds = []
    if low is not None:
        bounds.append(f"at least {low:+.3g}")
    if high is not None:
        bounds.append(f"at most {high:+.3g}")
    inside = (low is None or value >= low) and (high is None or value <= high)
    return {
        "name": name,
        "value": float(value),
        "wanted": " and ".join(bounds),
        "reached": bool(inside) if isfinite(value) else None,
    }
