"""Decision trees as models of the pipeline: random forest and gradient boosting, point to point.

The trees are fitted elsewhere (:mod:`pscnet.trees`), kept as plain arrays, so that a checkpoint is loaded without
executing code, and evaluated here by torch. They see what the nets see: bands, regional statics, season, background,
and retrievals through attention, but with fixed kernels, since trees hand no gradient down to them::

    field = background (+ kriged innovation) + trees        own dress
    field = trees                                           the literature's dress

A tree's answer jumps at its thresholds: where a feature lies within rounding of one, two tilings may answer
differently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pscnet.nets.frame import Answer, Batch, Geometry, Net, NetSpec

#: Rows and trees walked together. On a CPU the features of that many rows stay in its cache; they bound the memory.
ROWS = {"cpu": 2048}
ROWS_ELSEWHERE = 65536
TREES = 16


class TreeEnsemble(nn.Module):
    """Regression trees as padded arrays, walked level by level.

    The two children of a node are neighbours: a row goes from a node to ``left`` where its feature is at most the
    threshold, else to ``left + 1``. A leaf is its own left child, under an infinite threshold, so that rows which
    arrive early wait there. Node 0 is the root. A state of any size can be loaded: ``feature``, ``left`` (tree, node)
    int32; ``threshold``, ``value`` (tree, node) float32; ``depth`` (tree,) int32; ``baseline`` () float32.

    Parameters
    ----------
    mean : bool
        Whether the answer is the mean over trees; else their sum. ``baseline`` is added.
    """

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean
        self.register_buffer("feature", torch.zeros(1, 1, dtype=torch.int32))
        self.register_buffer("threshold", torch.full((1, 1), math.inf))
        self.register_buffer("left", torch.zeros(1, 1, dtype=torch.int32))
        self.register_buffer("value", torch.zeros(1, 1))
        self.register_buffer("depth", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("baseline", torch.zeros(()))

    def _load_from_state_dict(self, state: Mapping[str, Tensor], prefix: str, *args: object) -> None:
        """Take the sizes of what is loaded: how many trees and nodes there are is learnt, and no size of the net."""
        for name, buffer in list(self._buffers.items()):
            if f"{prefix}{name}" in state:
                self._buffers[name] = buffer.new_empty(state[f"{prefix}{name}"].shape)
        super()._load_from_state_dict(state, prefix, *args)

    @property
    def trees(self) -> int:
        """Number of trees."""
        return self.feature.shape[0]

    def forward(self, features: Tensor) -> Tensor:
        """Answer of the whole ensemble.

        Parameters
        ----------
        features : Tensor (n, channel) float32, none missing

        Returns
        -------
        Tensor (n,)
        """
        return self.stages(features, [self.trees])[0]

    def stages(self, features: Tensor, ends: Sequence[int]) -> Tensor:
        """Answers of the first trees alone, for each of several numbers of them.

        Parameters
        ----------
        features : Tensor (n, channel) float32, none missing
        ends : ascending numbers of trees

        Returns
        -------
        Tensor (len(ends), n)

        Raises
        ------
        ValueError
            When there are fewer trees.
        """
        if ends[-1] > self.trees:
            raise ValueError(f"answers of the first {ends[-1]} trees wanted, but the ensemble has {self.trees}")
        rows = ROWS.get(features.device.type, ROWS_ELSEWHERE)
        out = features.new_empty(len(ends), features.shape[0])
        tables = self._tables()
        for first in range(0, features.shape[0], rows):
            out[:, first : first + rows] = self._cumulated(features[first : first + rows], ends, tables)
        return out

    def _tables(self) -> tuple[Tensor, ...]:
        """Flat feature, threshold, left and value, ``left`` counted through all trees: one fast gather for each."""
        first = torch.arange(self.trees, dtype=torch.int32, device=self.left.device)[:, None] * self.left.shape[1]
        return tuple(table.flatten() for table in (self.feature, self.threshold, self.left + first, self.value))

    def _cumulated(self, features: Tensor, ends: Sequence[int], tables: tuple[Tensor, ...]) -> Tensor:
        total, first, out = features.new_zeros(features.shape[0]), 0, []
        for end in ends:
            for start in range(first, end, TREES):
                total = total + self._leaves(features, start, min(start + TREES, end), tables)
            out.append((total / end if self.mean else total) + self.baseline)
            first = end
        return torch.stack(out)

    def _leaves(self, features: Tensor, start: int, stop: int, tables: tuple[Tensor, ...]) -> Tensor:
        """Sum of the leaves' values that trees ``start`` to ``stop`` lead each row to: (n,)."""
        feature, threshold, left, value = tables
        rows, channels = features.shape
        flat = features.reshape(-1)
        row = torch.arange(rows, dtype=torch.int32, device=flat.device).mul_(channels).repeat(stop - start)
        root = torch.arange(start, stop, dtype=torch.int32, device=flat.device) * self.left.shape[1]
        node = root.repeat_interleave(rows)
        for _ in range(int(self.depth[start:stop].max())):
            seen = flat.index_select(0, feature.index_select(0, node).add_(row))
            node = left.index_select(0, node).add_(seen > threshold.index_select(0, node))
        return value.index_select(0, node).reshape(stop - start, rows).sum(0)


class Trees(Net):
    """Base of the tree models: features of each 10 km pixel, and the field that they make of them."""

    learns = "trees"

    #: Whether the ensemble is a mean of its trees.
    mean_of_trees: bool

    def __init__(self, spec: NetSpec) -> None:
        super().__init__(spec)
        # No learnt mix of channels: trees take them one at a time.
        del self.fusion, self.dropout
        if self.heads:
            # Several memories and reaches, as attention starts from; its learnt part of the age stays silent.
            for parameter in self.attention.age_logit.parameters():
                nn.init.zeros_(parameter)
            self.attention.requires_grad_(False)
        self.trees = TreeEnsemble(self.mean_of_trees)
        self.register_buffer("log_variance", torch.zeros(()))

    @property
    def channels(self) -> int:
        """Number of features."""
        return self.spec.predictors * self.spec.bands + self.spec.statics + self.smap_features + int(self.spec.own)

    def own_reach(self, cells: Mapping[str, float]) -> float:
        """None."""
        return 0.0

    def forward(self, batch: Batch, geometry: Geometry) -> Answer:
        """The 10 km field and its area averages at 36 and 18 km; see :meth:`Net.forward`."""
        with torch.autocast(batch.bands.device.type, enabled=False):
            residual = self.on_land(self.trees, self.features(batch, geometry), geometry)
            base = self.base(batch, geometry)
            mean = base + residual
        answer = Answer({"10km": mean}, {"10km": self.log_variance.expand_as(mean).contiguous()})
        if self.spec.own:
            background = batch.background if self.spec.skip else torch.zeros_like(batch.background)
            answer.parts = {"background": background, "innovation": base - background, "residual": residual}
        return self.averaged_down(answer, geometry)

    def learnt_numbers(self) -> int:
        """Features, thresholds and values of all nodes."""
        return sum(getattr(self.trees, name).numel() for name in ("feature", "threshold", "value"))

    def features(self, batch: Batch, geometry: Geometry) -> Tensor:
        """What the trees see at each 10 km pixel: (batch, channel, y, x) float32."""
        bands = batch.bands * self.bands_seen
        if not self.spec.own:
            return torch.cat([bands, batch.statics], 1).float()
        statics = self._regional_statics(batch.statics, geometry.fine_weight)
        smap = self._smap(batch, geometry, {"10km": batch.background})["10km"]
        return torch.cat([bands, statics, batch.background, smap], 1).float()

    def base(self, batch: Batch, geometry: Geometry) -> Tensor:
        """The 10 km field before trees: (batch, 1, y, x)."""
        base = batch.background if self.spec.own and self.spec.skip else torch.zeros_like(batch.background)
        return base + geometry.coarse_to_fine(batch.kriged[:, :1]) if self.kriged else base

    @staticmethod
    def on_land(evaluate, features: Tensor, geometry: Geometry) -> Tensor:
        """A field of what ``evaluate`` makes of the features of the land pixels; 0 elsewhere.

        Parameters
        ----------
        evaluate : callable of (n, channel) to (n,) or (stage, n)
        features : Tensor (batch, channel, y, x)
        geometry : Geometry

        Returns
        -------
        Tensor (batch, stage, y, x)
        """
        land = geometry.fine_weight[0, 0] > 0
        rows = features[:, :, land].movedim(1, -1).reshape(-1, features.shape[1])
        values = evaluate(rows).reshape(-1, features.shape[0], int(land.sum()))
        field = values.new_zeros(features.shape[0], values.shape[0], *land.shape)
        field[:, :, land] = values.movedim(0, 1)
        return field


class RandomForest(Trees):
    """Random forest [Breiman 2001, doi:10.1023/A:1010933404324]."""

    mean_of_trees = True


class GradientBoosting(Trees):
    """Gradient-boosted trees [Friedman 2001, doi:10.1214/aos/1013203451]."""

    mean_of_trees = False
