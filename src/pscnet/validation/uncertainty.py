"""Are the product's errors as large as it says: against the truth, and against held-out SMAP with its own noise.

Against the truth (the simulated Plateau) every forecast is the product's value and standard deviation at 10 km.
Held-out SMAP is a footprint's mean seen with noise: there the standard deviation is that of the footprint's mean, and
the known noise variance of the retrieval is added. Every table comes by season, by the time since SMAP saw the place
last and, unless the net sees the past alone, to its nearest look, and by predicted standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from pscnet.grids import Grid, cells_of
from pscnet.validation import PRODUCT
from pscnet.validation.blocks import block_starts
from pscnet.validation.document import Document, Row, ScoreTable
from pscnet.validation.lattice import lattice, said
from pscnet.validation.leakage import require_unseen_pairs, sees_the_past_alone
from pscnet.validation.observed import Looks
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

#: Groupings by time, to which artificial gaps add.
TIMED = ("since", "nearest")

#: The grouping that means nothing for a net that sees the past alone: the nearest look may lie ahead.
BOTH_SIDES = "nearest"

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
    causal = sees_the_past_alone(heldout)
    groupings = [name for name in GROUPINGS if not (causal and name == BOTH_SIDES)]
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
        note = "The product's value and standard deviation at 10 km."
        _add(document, "truth", title, made, weights, note, groupings)
    else:
        notes.append("No truth in this run: only held-out SMAP, at its own hours and footprints, tells.")
    pairs = _against_heldout(Path(heldout), looks, leave_out_hours, starts, test_intervals)
    if pairs is None:
        notes.append(
            f"{heldout} holds no {HELD_OUT_STD} and {SMAP_NOISE}: it is older than this table; rerun verify_heldout."
        )
    else:
        _add(document, "heldout", "Against held-out SMAP, 36 km", pairs, weights, _heldout_note(causal), groupings)
    document.note = " ".join(notes)
    document.write(json_path, csv_path)
    return document


def _heldout_note(causal: bool) -> str:
    times, hidden = ("since SMAP's look", "before") if causal else ("since and to SMAP's looks", "around")
    return (
        "Predicted without the overpass; sigma of the footprint's mean and the retrieval's known noise in squares. "
        f"Times {times} also of artificial gaps, in which retrievals {hidden} are hidden: a retrieval counts once in "
        "each class that a gap puts it in, with the shortest such gap. So n is the number of distinct retrievals of a "
        "class, and the classes together hold more than there are."
    )


def _open(blocks: int) -> dict[str, Reliability]:
    return {name: Reliability(blocks, len(names)) for name, (_, names) in GROUPINGS.items()}


def _classes(sigma: np.ndarray, season: np.ndarray, hours: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Class (n,) of each forecast in each grouping; -1 where it has none."""
    return {
        "all": np.zeros(season.shape, dtype=int),
        "season": season,
        "since": _timed(hours[0], SINCE),
        "nearest": _timed(hours[1], NEAREST),
        "sigma": classes_of(sigma, SIGMA),
    }


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
    owner = cells_of(coarse, fine.lat[cells[0]], fine.lon[cells[1]])
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
            season = np.broadcast_to(season_of(times)[:, None], shape).ravel()
            number = np.broadcast_to(kept[steps][:, None], shape).ravel()
            for name, group in _classes(forecast[1], season, (hours[0].ravel(), hours[1].ravel())).items():
                made[name].update(*forecast, number, group)
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
    retrieval = np.unique(np.stack([times.astype(np.int64), cell]), axis=1, return_inverse=True)[1].ravel()
    usable = np.isfinite(mean) & np.isfinite(smap) & (sigma > 0)
    # A longer gap shows longer times since a look, and nothing else.
    counted = {name: np.zeros((retrieval.max(initial=-1) + 1, len(GROUPINGS[name][1])), bool) for name in TIMED}
    for days in np.unique(hidden):
        here = (hidden == days) & usable
        hours = looks.hours_of_pairs(times[here], cell[here], max(leave_out_hours, 24.0 * float(days)))
        block, season = block_of(times[here], starts, intervals), season_of(times[here])
        groups = _classes(sigma[here], season, hours)
        groups |= {name: _first_time(groups[name], retrieval[here], counted[name]) for name in TIMED}
        for name in TIMED if days else GROUPINGS:
            made[name].update(mean[here], sigma[here], smap[here], block, groups[name])
    return made


def _first_time(group: np.ndarray, retrieval: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Classes (n,) of retrievals (n,), -1 of those that have been in the class before; notes them in ``counted``.

    Parameters
    ----------
    counted : bool (retrieval, class)
        Which have been in which; changed.
    """
    new = (group >= 0) & ~counted[retrieval, np.maximum(group, 0)]
    counted[retrieval[new], group[new]] = True
    return np.where(new, group, -1)


def _add(
    document: Document,
    name: str,
    title: str,
    made: dict[str, Reliability],
    weights: np.ndarray,
    note: str,
    groupings: Sequence[str],
) -> None:
    """The table of these groupings, and what the figures need."""
    rows: list[Row] = []
    for grouping in groupings:
        heading, names = GROUPINGS[grouping]
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
