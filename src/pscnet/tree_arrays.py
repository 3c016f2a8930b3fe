"""In which form are trees kept? scikit-learn's fitted trees as arrays of :class:`pscnet.nets.trees.TreeEnsemble`."""

from __future__ import annotations

import numpy as np
import sklearn
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from torch import Tensor


class TreeLayoutError(RuntimeError):
    """scikit-learn keeps its trees in another way than this package reads."""


#: A tree as scikit-learn has it: feature, threshold, left and right child, value, each (node,), and which are leaves.
RawTree = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def tree_arrays(model: RandomForestRegressor | HistGradientBoostingRegressor) -> dict[str, Tensor]:
    """State of a :class:`TreeEnsemble` that answers as the fitted model does.

    Raises
    ------
    TreeLayoutError
        When the model keeps its trees in an unknown way.
    """
    try:
        if isinstance(model, RandomForestRegressor):
            trees, baseline = [_forest_tree(estimator.tree_) for estimator in model.estimators_], 0.0
        else:
            trees = [_boosted_tree(predictor.nodes) for (predictor,) in model._predictors]
            baseline = np.asarray(model._baseline_prediction).item()
    except (AttributeError, ValueError, TypeError) as error:
        raise TreeLayoutError(
            f"scikit-learn {sklearn.__version__} keeps the trees of {type(model).__name__} in an unknown way "
            f"({error}); install scikit-learn as in envs/requirements.lock"
        ) from error
    packed = [_in_levels(*tree) for tree in trees]
    nodes = max(len(tree["left"]) for tree in packed)
    arrays = {
        name: torch.from_numpy(np.stack([np.pad(tree[name], (0, nodes - len(tree[name]))) for tree in packed]))
        for name in ("feature", "threshold", "left", "value")
    }
    depth = torch.tensor([tree["depth"] for tree in packed], dtype=torch.int32)
    return arrays | {"depth": depth, "baseline": torch.tensor(baseline, dtype=torch.float32)}


def _forest_tree(tree) -> RawTree:
    leaf = tree.children_left < 0
    return tree.feature, tree.threshold, tree.children_left, tree.children_right, tree.value[:, 0, 0], leaf


def _boosted_tree(nodes: np.ndarray) -> RawTree:
    if nodes["is_categorical"].any():
        raise ValueError("splits on categories")
    left, right = nodes["left"].astype("i8"), nodes["right"].astype("i8")
    return nodes["feature_idx"], nodes["num_threshold"], left, right, nodes["value"], nodes["is_leaf"] > 0


def _in_levels(
    feature: np.ndarray,
    threshold: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    leaf: np.ndarray,
) -> dict[str, np.ndarray]:
    """Renumber nodes level by level, so that siblings are neighbours; see :class:`TreeEnsemble`.

    Thresholds become the largest float32 not above them: float32 features then go the way they would at float64.
    """
    levels = [np.zeros(1, "i8")]
    while len(inner := levels[-1][~leaf[levels[-1]]]):
        levels.append(np.stack([left[inner], right[inner]], 1).ravel())
    order = np.concatenate(levels)
    position = np.empty(len(leaf), "i4")
    position[order] = np.arange(len(order))
    rounded = threshold.astype("f4")
    rounded = np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    own = np.arange(len(order), dtype="i4")
    return {
        "feature": np.where(leaf, 0, feature)[order].astype("i4"),
        "threshold": np.where(leaf, np.float32(np.inf), rounded)[order].astype("f4"),
        "left": np.where(leaf[order], own, position[np.where(leaf, 0, left)[order]]).astype("i4"),
        "value": value[order].astype("f4"),
        "depth": len(levels) - 1,
    }
