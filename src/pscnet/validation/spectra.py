"""Power spectra of fields in time and in space, and down to which scale a field has the truth's variance.

**In time** Welch's method: segments of 30 days, half overlapping, each less its straight line and under a Hann window;
only segments of a cell without a gap. **In space** segments along rows and columns, of one stamp a day (a later hour
each day), treated alike; their wavelengths [km] differ with latitude and are sorted into bins. Densities are one-sided:
their sum over frequency times its step is the variance. With cross spectra comes the coherence |Sxy|^2 / (Sxx Syy),
which says whether variance of the right size is also in the right place.

The **effective resolution** is the scale where the spectrum falls below half of the truth's (as for weather models and
altimetry a spectrum or a signal-to-noise ratio of one half is usual), coming from long scales; beside it, where the
coherence falls below one half. The longest scale of a spectrum is not looked at: the straight line that is taken out
and the window change it most. NaN where the ratio is nowhere above one half before it falls, or does not fall below it
within the spectrum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.signal import detrend, get_window

from pscnet.grids import Grid
from pscnet.timeaxis import STEP_HOURS, STEPS_PER_DAY
from pscnet.validation.sampled import TRUTH

#: Length of a segment in time [step], and the least that is still looked at.
SEGMENT, LEAST_SEGMENT = 30 * STEPS_PER_DAY, 8 * STEPS_PER_DAY

#: Lengths of a segment in space that are tried [cell], the longest first.
LENGTHS = (64, 48, 32, 24, 16)

#: Bins of wavelength, and of frequency for the effective resolution.
BINS = 14

#: Kilometres of a degree of latitude [km] on a sphere of 6371 km.
KM_OF_DEGREE = 111.195

_STEP_DAYS = STEP_HOURS / 24.0


@dataclass
class Spectra:
    """Densities of several fields on one axis.

    Attributes
    ----------
    frequency : ndarray (bin,)
        Ascending; 1/day or 1/km.
    power : dict of name to ndarray (block, bin)
        Sums over segments of the density [m6 m-6 day or km].
    cross : dict of name to complex (block, bin)
        The same of the cross spectrum with the truth.
    n : ndarray (block, bin)
        Number of terms.
    used, left_out : int
        Segments with and with gaps.
    """

    frequency: np.ndarray
    power: dict[str, np.ndarray]
    cross: dict[str, np.ndarray]
    n: np.ndarray
    used: int = 0
    left_out: int = 0

    def mean(self, name: str, weights: np.ndarray | None = None) -> np.ndarray:
        """Mean density (draw, bin) of the blocks taken ``weights`` (draw, block) times."""
        weights = np.ones((1, len(self.n))) if weights is None else weights
        n = weights @ self.n
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(n > 0, weights @ self.power[name] / n, np.nan)

    def coherence(self, name: str, weights: np.ndarray | None = None) -> np.ndarray:
        """Squared coherence (draw, bin) with the truth."""
        weights = np.ones((1, len(self.n))) if weights is None else weights
        with np.errstate(invalid="ignore", divide="ignore"):
            cross = np.abs(weights @ self.cross[name]) ** 2
            return cross / ((weights @ self.power[name]) * (weights @ self.power[TRUTH]))

    def ratios(self, name: str, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """``power`` (draw, bin) relative to the truth's, and ``coherence`` with it."""
        with np.errstate(invalid="ignore", divide="ignore"):
            power = self.mean(name, weights) / self.mean(TRUTH, weights)
        return {"power": power, "coherence": self.coherence(name, weights)}

    def resolution(self, name: str, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """1 / frequency (draw,) where ``power`` falls below half of the truth's, and ``coherence`` below 0.5."""
        return {kind: falls_below_half(self.frequency, ratio) for kind, ratio in self.ratios(name, weights).items()}

    def never(self, name: str) -> list[str]:
        """Which of :meth:`ratios` are nowhere above one half, so that there is no resolution to speak of."""
        return [kind for kind, ratio in self.ratios(name).items() if never_above_half(ratio)[0]]


def falls_below_half(frequency: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """1 / frequency (draw,) where ``ratio`` (draw, bin) first falls below one half, linear in log frequency.

    The first bin is not looked at. NaN where the ratio is never above one half (:func:`never_above_half`), or never
    falls below it after that.
    """
    number = np.arange(ratio.shape[1])
    above = _above_half(ratio)
    began = np.where(above.any(axis=1), above.argmax(axis=1), number.size)
    with np.errstate(invalid="ignore"):
        below = (ratio < 0.5) & (number > began[:, None])
    first = below.argmax(axis=1)
    before = np.maximum(first - 1, 0)
    row = np.arange(len(ratio))
    high, low = ratio[row, before], ratio[row, first]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (high - 0.5) / (high - low)
    share = np.where(np.isfinite(share), share, 1.0)
    log = np.log(frequency)
    place = np.exp(-(log[before] + share * (log[first] - log[before])))
    return np.where(below.any(axis=1), place, np.nan)


def never_above_half(ratio: np.ndarray) -> np.ndarray:
    """Whether (draw,) the ``ratio`` (draw, bin) is nowhere above one half, the first bin left out."""
    return ~_above_half(ratio).any(axis=1)


def _above_half(ratio: np.ndarray) -> np.ndarray:
    """Bins (draw, bin) but the first in which the ratio is one half or more; not those where it is not known."""
    with np.errstate(invalid="ignore"):
        return (ratio >= 0.5) & (np.arange(ratio.shape[1]) > 0)


def densities(segments: np.ndarray, spacing: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Transforms (segment, frequency) of segments (segment, step), scaled so that |.|^2 is the one-sided density.

    Returns
    -------
    transforms : complex
    cycles : ndarray (frequency,)
        Cycles a step, without 0.
    """
    length = segments.shape[1]
    window = get_window("hann", length)
    made = np.fft.rfft(detrend(segments, axis=1) * window, axis=1)[:, 1:]
    scale = np.full(made.shape[1], 2.0)
    if length % 2 == 0:
        scale[-1] = 1.0
    per_segment = np.broadcast_to(np.asarray(spacing, dtype=float), (len(segments),))
    return made * np.sqrt(scale * per_segment[:, None] / (window**2).sum()), np.fft.rfftfreq(length)[1:]


def time_spectra(fields: Mapping[str, np.ndarray], length: int = SEGMENT) -> Spectra | None:
    """Spectra in time of fields (time, cell) on one mask; None where the series are too short or have no segment.

    All segments are one block: neighbouring ones share half of their days.
    """
    steps = len(next(iter(fields.values())))
    length = min(length, steps // STEPS_PER_DAY * STEPS_PER_DAY)
    if length < LEAST_SEGMENT:
        return None
    cycles = np.fft.rfftfreq(length)[1:]
    made = Spectra(
        cycles / _STEP_DAYS,
        {name: np.zeros((1, cycles.size)) for name in fields},
        {name: np.zeros((1, cycles.size), complex) for name in fields} if TRUTH in fields else {},
        np.zeros((1, cycles.size)),
    )
    for start in range(0, steps - length + 1, length // 2):
        rows = slice(start, start + length)
        known = np.logical_and.reduce([np.isfinite(values[rows]) for values in fields.values()])
        whole = known.all(axis=0)
        made.left_out += int((~whole & known.any(axis=0)).sum())
        made.used += int(whole.sum())
        if not whole.any():
            continue
        parts = {name: densities(values[rows, whole].T.astype(float), _STEP_DAYS)[0] for name, values in fields.items()}
        for name, part in parts.items():
            made.power[name] += (np.abs(part) ** 2).sum(axis=0)
            if made.cross:
                made.cross[name] += (part * np.conj(parts[TRUTH])).sum(axis=0)
        made.n += whole.sum()
    return made if made.used else None


def binned(spectra: Spectra, bins: int = 2 * BINS) -> Spectra:
    """The same in bins of equal width in log frequency, those without a frequency left out."""
    log = np.log(spectra.frequency)
    edges = np.linspace(log[0], log[-1] + 1e-9, bins + 1)
    number = np.digitize(log, edges[1:-1])
    found = np.unique(number)
    at = (number[:, None] == found).astype(float)
    return Spectra(
        np.exp((log @ at) / at.sum(axis=0)),
        {name: power @ at for name, power in spectra.power.items()},
        {name: cross @ at for name, cross in spectra.cross.items()},
        spectra.n @ at,
        spectra.used,
        spectra.left_out,
    )


@dataclass
class SpaceSpectra:
    """Accumulator of spectra in space.

    Parameters
    ----------
    grid : Grid
    region : bool (lat, lon)
    starts : datetime64 (block,)
        Blocks of time that are kept apart.
    """

    grid: Grid
    region: np.ndarray
    starts: np.ndarray
    length: int = field(init=False)
    made: Spectra | None = field(init=False, default=None)
    _edges: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        both = (self.region, self.region.T)
        fitting = [n for n in LENGTHS if any(_segments(part.astype(float), n, part)[0].any() for part in both)]
        self.length = fitting[0] if fitting else 0
        self._widths = KM_OF_DEGREE * np.cos(np.deg2rad(self.grid.lat)) * np.abs(np.diff(self.grid.lon_edges)).mean()
        self._heights = KM_OF_DEGREE * np.abs(np.diff(self.grid.lat_edges))

    def __call__(self, times: np.ndarray, fields: Mapping[str, np.ndarray]) -> None:
        """Add fields (time, lat, lon) on one mask: one step a day, the hour moving on by one stamp a day."""
        if not self.length:
            return
        days = times.astype("M8[D]")
        stamp = ((times - days) // np.timedelta64(STEP_HOURS, "h")).astype(int)
        for step in np.flatnonzero(stamp == days.astype(int) % STEPS_PER_DAY):
            block = int(np.searchsorted(self.starts, times[step], side="right") - 1)
            self._add({name: values[step] for name, values in fields.items()}, block)

    def _add(self, fields: Mapping[str, np.ndarray], block: int) -> None:
        size = self.length
        parts: dict[str, np.ndarray] = {}
        for name, values in fields.items():
            across, lines, missing = _segments(values, size, self.region)
            along, columns, others = _segments(values.T, size, self.region.T)
            mean_height = np.array([self._heights[start : start + size].mean() for start in columns[1]])
            spacing = np.concatenate([self._widths[lines[0]], mean_height])
            parts[name], cycles = densities(np.concatenate([across, along]).astype(float), spacing)
        if self.made is None:
            self._open(list(fields))
        made = self.made
        assert made is not None  # opened above
        made.used += len(spacing)
        made.left_out += missing + others
        number = np.digitize(np.log(cycles / spacing[:, None]), self._edges[1:-1]).ravel()
        made.n[block] += np.bincount(number, minlength=BINS)
        for name, part in parts.items():
            made.power[name][block] += np.bincount(number, (np.abs(part) ** 2).ravel(), BINS)
            if made.cross:
                product = (part * np.conj(parts[TRUTH])).ravel()
                made.cross[name][block] += np.bincount(number, product.real, BINS)
                made.cross[name][block] += 1j * np.bincount(number, product.imag, BINS)

    def _open(self, names: Sequence[str]) -> None:
        finest = 2.0 * min(self._widths.min(), self._heights.min())
        longest = self.length * max(self._widths.max(), self._heights.max())
        self._edges = np.linspace(-np.log(longest), -np.log(finest), BINS + 1)
        shape = self.starts.size, BINS
        self.made = Spectra(
            np.exp(0.5 * (self._edges[1:] + self._edges[:-1])),
            {name: np.zeros(shape) for name in names},
            {name: np.zeros(shape, complex) for name in names} if TRUTH in names else {},
            np.zeros(shape),
        )

    def spectra(self) -> Spectra | None:
        """The spectra so far, bins without a frequency left out; None where no segment was found."""
        made = self.made
        if made is None or not made.used:
            return None
        kept = made.n.sum(axis=0) > 0
        return Spectra(
            made.frequency[kept],
            {name: power[:, kept] for name, power in made.power.items()},
            {name: cross[:, kept] for name, cross in made.cross.items()},
            made.n[:, kept],
            made.used,
            made.left_out,
        )


def _segments(
    values: np.ndarray, length: int, region: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], int]:
    """Half overlapping segments (segment, length) along the second axis without a gap.

    Returns
    -------
    segments : ndarray (segment, length)
    place : ndarrays (segment,)
        Line and first position of each.
    left_out : int
        Segments that lie wholly in the region and have a gap.
    """
    starts = np.arange(0, values.shape[1] - length + 1, length // 2)
    if not starts.size:
        return np.empty((0, length)), (np.empty(0, int), np.empty(0, int)), 0
    cut = starts[:, None] + np.arange(length)
    inside = region[:, cut].all(axis=2)
    whole = inside & np.isfinite(values[:, cut]).all(axis=2)
    line, number = np.nonzero(whole)
    return values[line[:, None], cut[number]], (line, starts[number]), int((inside & ~whole).sum())
