"""What a net reads: the fields of some steps of one tile, and the tile's grids as operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from pscnet.nets.operators import GridOperator, MaskedMean


@dataclass
class Geometry:
    """The grids of one tile as operators; made by :func:`pscnet.samples.make_geometry`.

    Attributes
    ----------
    to_coarse, to_middle : MaskedMean
        Area means of 10 km land fields on 36 km and 18 km cells.
    middle_to_coarse : MaskedMean
        Means of 18 km fields on 36 km cells.
    coarse_to_middle, middle_to_fine, coarse_to_fine : GridOperator
        Bilinear interpolation.
    fine_weight, middle_weight, coarse_weight : Tensor (1, 1, y, x)
        Relative cell area, 0 where there is no land.
    """

    to_coarse: MaskedMean
    to_middle: MaskedMean
    middle_to_coarse: MaskedMean
    coarse_to_middle: GridOperator
    middle_to_fine: GridOperator
    coarse_to_fine: GridOperator
    fine_weight: Tensor
    middle_weight: Tensor
    coarse_weight: Tensor


@dataclass
class Batch:
    """Inputs of a net for some steps of one tile, standardised.

    Attributes
    ----------
    bands : Tensor (batch, predictors * bands, y, x)
    statics : Tensor (batch, statics, y, x)
    background : Tensor (batch, 1, y, x)
    age, weight, value, innovation : Tensor (batch, slot, coarse y, coarse x)
        The SMAP retrievals around each step; see :class:`pscnet.nets.fusion.RetrievalAttention`.
    kriged : Tensor (batch, 2, coarse y, coarse x), optional
        Kriged innovation and its standard deviation.
    sequence : Tensor (batch, day, 2 * predictors, y, x), optional
        The last days of each predictor, oldest first, at the time of day of the answer: the values, then the means of
        the 24 hours before. Only nets with :attr:`pscnet.nets.frame.Net.reads_sequence` read it.
    """

    bands: Tensor
    statics: Tensor
    background: Tensor
    age: Tensor
    weight: Tensor
    value: Tensor
    innovation: Tensor
    kriged: Tensor | None = None
    sequence: Tensor | None = None

    def averaged(self, average: Callable[[Tensor], Tensor]) -> Batch:
        """The fine fields averaged to another grid: how the literature's dress is trained.

        Parameters
        ----------
        average : callable
            Fields (..., y, x) to fields on the other grid.
        """
        fine = {name: average(getattr(self, name)) for name in ("bands", "statics", "background")}
        return replace(self, **fine, sequence=None if self.sequence is None else average(self.sequence))
