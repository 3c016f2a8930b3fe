"""Which net of which size: all that is needed to build one."""

from __future__ import annotations

from dataclasses import asdict, dataclass

#: Names of the scales, coarse to fine, and their nominal cell sizes [km].
SCALES = {"36km": 36.0, "18km": 18.0, "10km": 10.0}


@dataclass(frozen=True)
class NetSpec:
    """All that is needed to build a net: kept in the checkpoint.

    Attributes
    ----------
    name : str
        One of :data:`pscnet.nets.NETS`.
    predictors, bands, statics : int
        Dynamic predictors, bands of each, and static channels (the season's two last).
    window_days : float
        Reach of the SMAP window [day].
    width, heads, blocks : int
        Feature channels, attention heads, blocks at each scale.
    squeeze_km : float
        Size of the squeeze's box [km]; PSCNet alone has one.
    regional_km : float
        Size of the box over which static fields are averaged [km].
    dropout : float
    dress : {"own", "literature"}
        See the module.
    kriged : bool
        Whether the kriged innovation (:attr:`Batch.kriged`) is input: one more head.
    sequence_days : int
        Days of :attr:`Batch.sequence`; 0 for nets that read none.
    retrievals : {"set", "innovations", "smoothed", "none"}
        SMAP as input: learnt attention over the set, the same with fixed kernels (innovations and values, or values
        alone), or nothing.
    skip : bool
        Whether the background is added to the answer.
    gates : bool
        Whether MFTF weighs the bands at each pixel.
    without_bands : tuple of int
        Positions of bands that the net does not see.
    squeeze : {"neighbourhood", "plain", "global", "none"}
        Kind of squeeze-and-excitation; PSCNet alone has one.
    scales : tuple of str
        Progressive scales, ``10km`` the last; PSCNet alone has them.
    """

    name: str
    predictors: int
    bands: int
    statics: int
    window_days: float
    width: int = 32
    heads: int = 4
    blocks: int = 1
    squeeze_km: float = 100.0
    regional_km: float = 100.0
    dropout: float = 0.1
    dress: str = "own"
    kriged: bool = False
    sequence_days: int = 0
    retrievals: str = "set"
    skip: bool = True
    gates: bool = True
    without_bands: tuple[int, ...] = ()
    squeeze: str = "neighbourhood"
    scales: tuple[str, ...] = tuple(SCALES)

    def __post_init__(self) -> None:
        """Lists of a JSON header become tuples again, so that specifications compare."""
        for name in ("without_bands", "scales"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def own(self) -> bool:
        """Whether SMAP and the background are input, and SMAP's footprints the supervision."""
        return self.dress == "own"

    def as_dict(self) -> dict:
        """JSON-ready."""
        return asdict(self)
