"""Are the product's errors as large as it says: against the truth, and against held-out SMAP with its own noise.

Against the truth (the simulated Plateau) every forecast is the product's value and standard deviation at 10 km.
Held-out SMAP is a footprint's mean seen with noise: there the standard deviation is that of the footprint's mean, and
the known noise variance of the retrieval is added. Every table comes by season, by the time since SMAP saw the place
last and to its nearest look, and by predicted standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.validation import PRODUCT
from pscnet.validation.blocks import block_starts
from pscnet.validation.document import Document, Row, ScoreTable
from pscnet.validation.lattice import lattice, said
from pscnet.validation.leakage import require_unseen_pairs
from pscnet.validation.observed import Looks, coarse_cell
from pscnet.validation.presence import require_months
from pscnet.validation.reliability import COLUMNS, PIT_BINS, Reliability, class_names, classes_of
from pscnet.validation.resampling import block_of, draw_weights
from pscnet.validation.seasons import SEASONS, season_of
from pscnet.validation.series import matched_months, read_blocks, read_region

Intervals = Sequence[tuple[object, object]]

#: Edges of the classes of hours since the last retrieval, and to the nearest one [h].
SINCE = (0.0, 6.0, 12.0, 24.0, 48.0, 72.0, 120.0, np.inf)
NEAREST = (0.0, 3.0, 6.0, 12.0, 24.0, 36.0, 60.0, np.inf)

#: Class of places that SMAP does not see at all in the months that were read.
NEVER = "no look"

#: Edges of the classes of predicted standard deviation [m3 m-3].
SIGMA = (0.0, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08, np.inf)

#: Names of the held-out file's standard deviation of the footprint's mean, and of the retrieval's noise.
HELD_OUT_STD, SMAP_NOISE = f"{PRODUCT}_std", "noise"

#: Groupings of every table: heading and names of the classes.
GROUPINGS: dict[str, tuple[str, list[str]]] = {
    "all": ("all", ["all"]),
    "season": ("season", list(SEASONS)),
    "since": ("time since SMAP's last look", [*class_names(SINCE, "h"), NEVER]),
    "nearest": ("time to SMAP's nearest look", [*class_names(NEAREST, "h"), NEVER]),
    "sigma": ("predicted sigma", class_names(SIGMA, "m3 m-3", 3)),
}


def validate_uncertainty(
    *,
    products: Sequence[str | Path],
    references: Sequence[str | Path],
    smap: Sequence[str | Path],
    heldout: str | Path,
    static: str | Path,
    fine: Grid,
    coarse: Grid,
    test_intervals: Intervals,
    json_path: str | Path,
    csv_path: str | Path,
    truths: Sequence[str | Path] = (),
    leave_out_hours: float = 6.0,
    draws: int = 1000,
    block_days: int = 8,
    most_cells: int = 2500,
) -> Document:
    """Calibration of a run's test split.

    Parameters
    ----------
    products, references : paths
        Of each month of the test split, in the order of time.
    smap : paths
        ``smap/{month}.nc`` of these months and their neighbours.
    heldout : path
        Held-out SMAP pairs, see :mod:`pscnet.validation.heldout`.
    static : path
    fine, coarse : Grid
    test_intervals : list of (start, end), ISO, half-open
    json_path, csv_path : paths to write
    truths : paths
        The truth of each month; empty where there is none.
    leave_out_hours : float [h]
        Retrievals this near were hidden from the held-out predictions.
    draws, block_days : int
        Draws of the bootstrap, and length of its blocks [day].
    most_cells : int
        Most cells that are compared with the truth.

    Raises
    ------
    ScoreError
        When the files do not belong together.
    """
    require_months(products, test_intervals, "the product", "product_month")
    require_unseen_pairs(heldout, test_intervals)
    starts = block_starts(test_intervals, block_days)
    weights = draw_weights(starts.size, draws, 0)
    looks = Looks(smap)
    document = Document("uncertainty", "The product's uncertainty")
    notes = [
        "A calibrated Gaussian forecast has 0.683 and 0.954 inside one and two sigma, and z of mean 0 and spread 1."
    ]
    if truths:
        region = read_region(static, fine)
        months = matched_months(products, references, truths)
        rows, columns = lattice(region, most_cells)
        made = _against_truth(months, region, (rows, columns), looks, fine, coarse, starts, test_intervals)
        title = "Against the truth, 10 km"
        notes.append(said(rows.size, int(region.sum())))
        _add(document, "truth", title, made, weights, "The product's value and standard deviation at 10 km.")
    else:
        notes.append("No truth in this run: only held-out SMAP, at its own hours and footprints, tells.")
    pairs = _against_heldout(Path(heldout), looks, leave_out_hours, starts, test_intervals)
    if pairs is None:
        notes.append(
            f"{heldout} holds no {HELD_OUT_STD} and {SMAP_NOISE}: it is older than this table; rerun verify_heldout."
        )
    else:
        note = (
            "Predicted without the overpass; sigma of the footprint's mean and the retrieval's known noise in squares. "
            "Times since and to SMAP's looks also of artificial gaps, in which retrievals around are hidden."
        )
        _add(document, "heldout", "Against held-out SMAP, 36 km", pairs, weights, note)
    document.note = " ".join(notes)
    document.write(json_path, csv_path)
    return document


def _open(blocks: int) -> dict[str, Reliability]:
    return {name: Reliability(blocks, len(names)) for name, (_, names) in GROUPINGS.items()}


def _update(
    made: dict[str, Reliability],
    forecast: tuple[np.ndarray, np.ndarray, np.ndarray],
    block: np.ndarray,
    season: np.ndarray,
    hours: tuple[np.ndarray, np.ndarray],
    wanted: Sequence[str] | None = None,
) -> None:
    """Add forecasts (mean, sigma, truth), each (n,), to the ``wanted`` groupings, by default all."""
    groups = {
        "all": np.zeros(block.shape, dtype=int),
        "season": season,
        "since": _timed(hours[0], SINCE),
        "nearest": _timed(hours[1], NEAREST),
        "sigma": classes_of(forecast[1], SIGMA),
    }
    for name in wanted or groups:
        made[name].update(*forecast, block, groups[name])


def _timed(hours: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Class of hours; one more for inf, no look at all within the files."""
    return np.where(np.isinf(hours), len(edges) - 1, classes_of(hours, edges))


def _against_truth(
    months: Sequence[tuple[Path, Path, Path | None]],
    region: np.ndarray,
    cells: tuple[np.ndarray, np.ndarray],
    looks: Looks,
    fine: Grid,
    coarse: Grid,
    starts: np.ndarray,
    intervals: Intervals,
) -> dict[str, Reliability]:
    made = _open(starts.size)
    owner = coarse_cell(fine.lat[cells[0]], fine.lon[cells[1]], coarse)
    for product, reference, truth in months:
        for block in read_blocks(product, reference, truth, [], fine):
            kept = block_of(block.times, starts, intervals)
            steps = kept >= 0
            if not steps.any():
                continue
            where = np.flatnonzero(steps)[:, None], cells[0][None, :], cells[1][None, :]
            exact = np.where(block.scored(region)[where], block.truth[where], np.nan)
            shape = exact.shape
            forecast = block.fields[PRODUCT][where].ravel(), block.sigma[where].ravel(), exact.ravel()
            times = block.times[steps]
            hours = looks.hours(times, owner)
            _update(
                made,
                forecast,
                np.broadcast_to(kept[steps][:, None], shape).ravel(),
                np.broadcast_to(season_of(times)[:, None], shape).ravel(),
                (hours[0].ravel(), hours[1].ravel()),
            )
    return made


def _against_heldout(
    path: Path, looks: Looks, leave_out_hours: float, starts: np.ndarray, intervals: Intervals
) -> dict[str, Reliability] | None:
    with xr.open_dataset(path) as pairs:
        if HELD_OUT_STD not in pairs or SMAP_NOISE not in pairs:
            return None
        times = pairs["time"].values.astype("M8[ns]")
        mean, smap = (pairs[name].values.astype(float) for name in (PRODUCT, "smap"))
        sigma = np.hypot(pairs[HELD_OUT_STD].values, pairs[SMAP_NOISE].values).astype(float)
        cell = pairs["y"].values * looks.columns + pairs["x"].values
        hidden = pairs["hidden_days"].values if "hidden_days" in pairs else np.zeros(times.size)
    made = _open(starts.size)
    for days in np.unique(hidden):
        here = hidden == days
        hours = looks.hours_of_pairs(times[here], cell[here], max(leave_out_hours, 24.0 * float(days)))
        block, season = block_of(times[here], starts, intervals), season_of(times[here])
        # A longer gap shows longer times since a look, and nothing else.
        wanted = None if days == 0 else ("since", "nearest")
        _update(made, (mean[here], sigma[here], smap[here]), block, season, hours, wanted)
    return made


def _add(
    document: Document, name: str, title: str, made: dict[str, Reliability], weights: np.ndarray, note: str
) -> None:
    """The table of all groupings, and what the figures need."""
    rows: list[Row] = []
    for grouping, (heading, names) in GROUPINGS.items():
        found = [made[grouping].row(label, heading, number, weights) for number, label in enumerate(names)]
        rows += [row for row in found if row is not None]
    document.tables.append(ScoreTable(name, title, COLUMNS, rows, note))
    document.data[name] = {
        "all": made["all"].diagram(0, weights),
        "since": {
            label: made["since"].diagram(number, weights)
            for number, label in enumerate(GROUPINGS["since"][1])
            if made["since"].row(label, "", number, weights[:1]) is not None
        },
        "pit_bins": PIT_BINS,
    }
