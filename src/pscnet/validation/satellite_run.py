"""The validation against the satellite: tables, maps and the document of rule ``validate_satellite``.

Three kinds of hold-out, each a group of tables: overpasses (every test retrieval predicted without its own overpass),
gaps (without those of the days around it besides), and regions (cells whose retrievals nothing has seen). SMAP is what
the method learns from: everything here is agreement with SMAP, not accuracy.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pscnet.grids import Grid
from pscnet.scores import MINIMUM_RETRIEVALS
from pscnet.sources.atomic import replacing
from pscnet.timeaxis import Split
from pscnet.validation import METHODS, PRODUCT, blocks_in_words
from pscnet.validation.agreement import COLUMNS, DIFFERENCES, Agreement, Bootstrap, agree, cell_maps, ratio_interval
from pscnet.validation.classes import (
    elevation_of_cells,
    land_cover,
    overpasses,
    seasons,
    terciles,
    training_mean,
)
from pscnet.validation.document import Column, Document, Row, ScoreTable
from pscnet.validation.leakage import innovation_ratio, require_unseen_pairs, sees_the_past_alone, tell_tale
from pscnet.validation.pairs import Pairs, read_pairs
from pscnet.validation.presence import require_months
from pscnet.validation.regions import region_pairs
from pscnet.validation.subpixel import subpixel_table
from pscnet.weights import Weights, read_weights

logger = logging.getLogger(__name__)

#: What a reader must know before any number.
_NOTE = (
    "SMAP is what the method learns from, so that these numbers are agreement with SMAP, not accuracy; even a perfect "
    "field would differ from a retrieval by the retrieval's noise. All methods are scored on the same retrievals of "
    "the test split. Intervals (95 %) come from whole {blocks}."
)

_OVERPASS, _REGION = "overpass", "region"


def validate_satellite(
    *,
    run: str,
    heldout: str | Path,
    static: str | Path,
    fine_to_coarse: str | Path,
    smap_train: Sequence[str | Path],
    smap_test: Sequence[str | Path],
    split: Split,
    window_days: float,
    draws: int,
    json_path: str | Path,
    csv_path: str | Path,
    maps_path: str | Path,
    products: Sequence[str | Path] = (),
    references: Sequence[str | Path] = (),
    land_cover_raster: str | Path | None = None,
    enhanced: Sequence[str | Path] = (),
) -> Document:
    """Score the held-out retrievals of the test split and write document and maps.

    Parameters
    ----------
    run : str
    heldout : path, see :mod:`pscnet.validation.heldout`
    static, fine_to_coarse : paths
    smap_train : paths of the training months' retrievals: classes of wetness
    smap_test : paths of the test months' retrievals and their neighbours: held-out regions
    split : Split
    window_days : float
        Reach of the retrieval window: blocks of the bootstrap are as long or longer.
    draws : int
        Of the bootstrap.
    json_path, csv_path, maps_path : paths to write
    products, references : paths of the test months; needed where cells are withheld or ``enhanced`` is given
    land_cover_raster : path, optional
    enhanced : paths of manifests of SPL3SMP_E, optional
        Scores within the 36 km cells.

    Raises
    ------
    ScoreError
        When the net has seen a scored day, a month is missing, or nothing can be scored.
    """
    intervals = [(block.start, block.end) for block in split.blocks["test"]]
    require_unseen_pairs(heldout, intervals)
    for paths, what, rule in (
        (products, "the product", "product_month"),
        (references, "references", "verify_references"),
    ):
        if paths:
            require_months(paths, intervals, what, rule)
    weights, bootstrap = read_weights(fine_to_coarse), Bootstrap.of(intervals, window_days, draws)
    pairs = read_pairs(heldout, weights.dst.shape, intervals)
    alone = pairs.where(pairs.hidden_days == 0)
    document = Document("satellite", "Agreement with SMAP, 36 km", _NOTE.format(blocks=blocks_in_words(bootstrap.days)))
    whole = agree(alone, bootstrap, alone.anomalies())
    document.tables.append(_table("overpass", "Held-out overpasses", whole.rows(), _explained(alone, whole)))
    differences = whole.difference_rows("overpass")
    differences += _add_gaps(document, pairs, bootstrap, sees_the_past_alone(heldout))
    found = region_pairs(smap_test, products, references, static, weights, intervals) if products else None
    differences += _add_regions(document, found, bootstrap)
    document.tables.append(_difference_table(differences))
    _add_classes(document, alone, bootstrap, weights, static, training_mean(smap_train, split), land_cover_raster)
    _add_tell_tale(document, alone, bootstrap)
    document.tables += subpixel_table(document, enhanced, products, references, weights, intervals, bootstrap)
    document.data |= {"run": run, "methods": list(alone.fields), "blocks": whole.blocks}
    document.write(json_path, csv_path)
    write_maps(alone, found, weights.dst, maps_path)
    _print(document)
    return document


def _table(name: str, title: str, rows: list[Row], note: str = "") -> ScoreTable:
    return ScoreTable(name, title, list(COLUMNS), rows, note)


def _explained(pairs: Pairs, whole: Agreement) -> str:
    days = np.unique(pairs.times.astype("M8[D]")).size
    return (
        f"{pairs.size} retrievals of {days} days, each predicted without its own overpass. R of cells: at least "
        f"{MINIMUM_RETRIEVALS} retrievals. Anomaly R: departures from the mean of the overpasses within 17.5 days on "
        f"both sides. {whole.blocks} blocks of days."
    )


def _add_gaps(document: Document, pairs: Pairs, bootstrap: Bootstrap, causal: bool) -> list[Row]:
    """Agreement by length of the gap, on the overpasses for which gaps were computed; the paired differences."""
    longer = pairs.hidden_days > 0
    gaps = np.unique(pairs.hidden_days[longer])
    rows, differences = [], []
    if gaps.size:
        chosen = np.isin(pairs.times, pairs.times[longer])
        for gap in (0.0, *gaps):
            part = pairs.where(chosen & (pairs.hidden_days == gap))
            label = gap_label(gap, causal)
            made = agree(part, bootstrap, part.anomalies())
            rows += made.rows(label)
            differences += made.difference_rows(label) if gap else []
    note = (
        f"Artificial gaps: the retrievals of so many days before {'' if causal else 'and after '}the scored one are "
        f"hidden in every cell, so that neighbours do not help either{' (none is seen after it)' if causal else ''}. "
        "The same overpasses for every length."
        if gaps.size
        else "No gap is shorter than the window of retrievals (validation.gaps_days, samples.window_days)."
    )
    document.tables.append(_table("gaps", "Artificial gaps", rows, note))
    document.data["gaps_days"] = [0.0, *map(float, gaps)] if gaps.size else []
    return differences


def gap_label(gap: float, causal: bool = False) -> str:
    """A length of a gap for people; of a ``causal`` net the days before."""
    if not gap:
        return "overpass alone"
    return f"{gap:g} d before" if causal else f"±{gap:g} d"


def _add_regions(document: Document, found: Pairs | None, bootstrap: Bootstrap) -> list[Row]:
    """Agreement where nothing has seen a retrieval; the paired differences."""
    if found is None or found.size == 0:
        note = "This run withholds no region (samples.withheld), or has no withheld retrieval on test days."
        document.tables.append(_table("regions", "Held-out regions", [], note))
        return []
    made = agree(found, bootstrap, found.anomalies())
    note = (
        f"{np.unique(found.cell).size} cells whose retrievals nothing has seen (samples.withheld), beside footprint "
        "means of the delivered fields; retrievals of other cells, of the same overpass too, take part in these."
    )
    document.tables.append(_table("regions", "Held-out regions", made.rows(), note))
    return made.difference_rows(_REGION)


def _difference_table(rows: list[Row]) -> ScoreTable:
    columns = [column for column in COLUMNS if column.key in DIFFERENCES]
    note = (
        "Paired: the same retrievals and the same draws on both sides. For R and KGE above zero, for ubRMSD and RMSD "
        "below zero, the product agrees better; where an interval holds zero, nobody can tell."
    )
    plain = [
        Column(column.key, f"{column.heading}, difference", column.unit, column.decimals + 1) for column in columns
    ]
    return ScoreTable("differences", "Product minus reference", plain, rows, note)


def _add_classes(
    document: Document,
    pairs: Pairs,
    bootstrap: Bootstrap,
    weights: Weights,
    static: str | Path,
    climate: np.ndarray,
    raster: str | Path | None,
) -> None:
    """Agreement with held-out overpasses by season, overpass and class of land."""
    scored = np.bincount(pairs.cell, minlength=weights.dst.size).reshape(weights.dst.shape) > 0
    height = elevation_of_cells(static, weights)
    wetness = terciles(climate, scored, ("dry", "medium", "wet"), "m3 m-3", 3)
    heights = terciles(height, scored, ("low", "middle", "high"), "m", 0)
    groups: dict[tuple[str, str, str], Mapping[str, np.ndarray]] = {
        ("by_season", "By season", "Seasons of the test split."): seasons(pairs),
        ("by_overpass", "By overpass", "Local solar time."): overpasses(pairs, weights.dst.lon),
        ("by_wetness", "By wetness", "Thirds of the cells by SMAP's mean on training days."): wetness.groups(pairs),
        ("by_elevation", "By elevation", "Thirds of the cells by mean elevation."): heights.groups(pairs),
    }
    title = "By land cover", "IGBP class that covers most of the cell."
    if raster is None:
        unnamed = "No raster of land cover is named (validation.land_cover)."
        document.tables.append(_table("by_land_cover", title[0], [], unnamed))
    else:
        groups["by_land_cover", *title] = land_cover(raster, weights).groups(pairs)
    departures = pairs.anomalies()
    for (name, heading, note), classes in groups.items():
        rows: list[Row] = []
        for label, keep in classes.items():
            part = departures[0][keep], {method: values[keep] for method, values in departures[1].items()}
            rows += agree(pairs.where(keep), bootstrap, part).rows(label)
        document.tables.append(_table(name, heading, rows, note))


def _add_tell_tale(document: Document, pairs: Pairs, bootstrap: Bootstrap) -> None:
    """The ratio of innovation and noise variance, and a loud note where it is smaller than it can honestly be."""
    ratios, rows = {}, []
    for name, field in pairs.fields.items():
        difference = field - pairs.smap
        value = innovation_ratio(difference, pairs.noise)
        low, high = ratio_interval(difference, pairs.noise, pairs.times, bootstrap)
        ratios[name] = (value, low, high)
        rows.append(Row(METHODS[name], {"ratio": value, "n": pairs.size}, "", {"ratio": (low, high)}))
    said = tell_tale(ratios)
    if said:
        logger.warning(said)
        document.note = f"{said} {document.note}"
    columns = [Column("ratio", "squared difference / noise variance", decimals=2), Column("n", "pairs", decimals=0)]
    note = said or (
        "1 is a perfect field; less is impossible without having seen the retrieval, as far as the stated noise "
        "(smap.noise) is right."
    )
    document.tables.append(ScoreTable("innovations", "Difference from SMAP against SMAP's noise", columns, rows, note))


def write_maps(pairs: Pairs, found: Pairs | None, coarse: Grid, path: str | Path) -> None:
    """Write the maps of held-out overpasses: ``r``, ``ubrmsd``, ``bias`` (source, y, x), ``n`` (y, x), ``withheld``.

    Cells with fewer than ten retrievals stay empty.
    """
    maps, count = cell_maps(pairs)
    methods = [*maps]
    words = {"r": ("R in time, held-out overpasses", "1"), "ubrmsd": ("ubRMSD", "m3 m-3"), "bias": ("bias", "m3 m-3")}
    held = np.zeros(coarse.size, bool)
    if found is not None:
        held[np.unique(found.cell)] = True
    made = xr.Dataset(
        coords={
            "source": ("source", methods),
            "lat": ("y", coarse.lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("x", coarse.lon, {"units": "degrees_east", "standard_name": "longitude"}),
            "lat_bnds": (("y", "nv"), np.stack([coarse.lat_edges[:-1], coarse.lat_edges[1:]], 1)),
            "lon_bnds": (("x", "nv"), np.stack([coarse.lon_edges[:-1], coarse.lon_edges[1:]], 1)),
            "source_name": ("source", [METHODS[name] for name in methods]),
        },
        attrs={"Conventions": "CF-1.11", "title": "Agreement with SMAP by 36 km cell", "product": PRODUCT},
    )
    for score, (name, units) in words.items():
        values = np.stack([maps[method][score] for method in methods]).astype("f4")
        made[score] = ("source", "y", "x"), values, {"units": units, "long_name": f"{name}, method against SMAP"}
    made["n"] = ("y", "x"), count.astype("i4"), {"units": "1", "long_name": "retrievals of the test split"}
    made["withheld"] = (
        ("y", "x"),
        held.reshape(coarse.shape).astype("i1"),
        {"units": "1", "long_name": "held-out region"},
    )
    made["lat"].attrs["bounds"], made["lon"].attrs["bounds"] = "lat_bnds", "lon_bnds"
    with replacing(path) as part:
        made.to_netcdf(part, engine="netcdf4")


def _print(document: Document) -> None:
    """The first tables for the log."""
    for table in document.tables[:3]:
        print(f"{table.title}: {table.note}")
        for row in table.rows:
            print(f"  {row.group:16}{row.label:30}" + "".join(_shown(row.values, c) for c in table.columns))


def _shown(values: Mapping[str, Any], column: Column) -> str:
    value = values[column.key]
    return f" {column.heading} " + ("-" if value is None or value != value else f"{value:.{column.decimals}f}")
