"""The page of a run: one HTML file that opens from disk, without network, on a screen or a phone."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pscnet.report.figures import write_figures
from pscnet.report.inputs import (
    Month,
    ReportError,
    Retrievals,
    edges,
    read_checks,
    read_curve,
    read_month,
    read_retrievals,
)
from pscnet.report.packing import pack_plain, pack_within, quantise
from pscnet.report.tables import number, score_tables, targets_table, tiles
from pscnet.sources.atomic import replacing
from pscnet.variants import NET_TITLES

#: Largest page [bytes], and the share of it that the fields may take.
PAGE_LIMIT = 15_000_000
FIELD_LIMIT = 12_000_000

#: The page's scripts, in the order in which they need each other.
SCRIPTS = ("decode.js", "maps.js", "charts.js", "page.js")

#: Names of series, in the order of the legend.
SERIES = {
    "pscnet": "{net}, 10 km",
    "truth": "truth",
    "era5_land": "ERA5-Land, raw",
    "era5_land_rescaled": "ERA5-Land, rescaled",
    "smap_interpolated": "SMAP, interpolated",
    "smap_kriged": "SMAP, kriged",
    "optimal_interpolation": "optimal interpolation",
}


def write_page(
    *,
    page: str | Path,
    figures: str | Path,
    product: str | Path,
    smap: Sequence[str | Path],
    scores: str | Path,
    places: str | Path,
    summary: Mapping[str, Any],
    references: str | Path | None = None,
    training_curve: str | Path | None = None,
    checks: Sequence[str | Path] = (),
    colormap: str = "YlGnBu",
    value_range: tuple[float, float] = (0.0, 0.45),
) -> Path:
    """Write the page and its figures.

    Parameters
    ----------
    page : path to write
    figures : folder to write ``map.png``, ``series.png`` and ``scores.png`` into
    product : path
        Product month that the maps show, one of the test split.
    smap : paths
        SMAP file of that month and, where there is one, of the month before.
    scores, places : paths
        As :func:`pscnet.validation.score_run.score_run` writes them.
    summary : mapping
        What was run; nested mappings and lists are shown as they are. ``title`` and ``run`` head the page.
    references : path, optional
        Reference fields of the same month, for ERA5-Land.
    training_curve : path, optional
        CSV with the columns epoch, train_loss, validation_loss, seconds.
    checks : paths
        Results of the contract checks of product months.
    colormap : str
        Matplotlib name.
    value_range : (low, high) [m3 m-3]
        Range of the colour scale.

    Returns
    -------
    Path
        ``page``.

    Raises
    ------
    ReportError
        When an input lacks something, or the page would be larger than :data:`PAGE_LIMIT`.
    """
    curve, found = read_curve(training_curve), read_checks(checks)
    month = read_month(product, references)
    retrievals = read_retrievals(smap, month.times[0])
    document = json.loads(Path(scores).read_text(encoding="utf-8"))
    with xr.open_dataset(places) as opened:
        series = opened.load()
    net = NET_TITLES[summary.get("model", {}).get("name", "pscnet")]
    drawn = write_figures(Path(figures), month, retrievals, series, document, colormap, value_range, net)
    data = _map_data(month, retrievals, colormap, value_range)
    data["net"], data["names"] = net, {name: title.format(net=net) for name, title in SERIES.items()}
    data["places"] = _place_data(series)
    data["curve"] = curve
    text = _render(data, document, summary, found, drawn, Path(product).name)
    size = len(text.encode("utf-8"))
    if size > PAGE_LIMIT:
        raise ReportError(f"{page}: the page would have {size} bytes, more than {PAGE_LIMIT}; name fewer report.places")
    with replacing(page) as part:
        part.write_text(text, encoding="utf-8")
    return Path(page)


def _map_data(month: Month, retrievals: Retrievals, colormap: str, value_range: tuple[float, float]) -> dict[str, Any]:
    """What the maps need, ready for JSON."""
    fields = [month.moisture, retrievals.moisture] + ([month.era5_land] if month.era5_land is not None else [])
    top = max([value_range[1], *(float(np.nanmax(f, initial=0.0)) for f in fields)])
    high = min(1.0, math.ceil(top / 0.05) * 0.05)
    sigma_high = max(0.02, math.ceil(float(np.nanmax(month.sigma, initial=0.0)) / 0.01) * 0.01)
    codes = {
        "pscnet": quantise(month.moisture, high, month.frozen),
        "sigma": quantise(month.sigma, sigma_high, month.frozen),
    }
    if month.era5_land is not None:
        codes["era5_land"] = quantise(month.era5_land, high)
    stride, packed = pack_within(codes, FIELD_LIMIT)
    start = month.times[0]
    offset = (retrievals.times - start) / np.timedelta64(1, "h")
    tenths = np.where(np.isfinite(offset), np.round(np.nan_to_num(offset) * 10), -32768).astype(np.int16)
    return {
        "start": str(start)[:16] + "Z",
        "hours": [float(h) for h in (month.times[::stride] - start) / np.timedelta64(1, "h")],
        "shape": list(month.moisture[::stride].shape),
        "lat": _rounded(month.lat),
        "lon": _rounded(month.lon),
        "latEdges": _rounded(edges(month.lat)),
        "lonEdges": _rounded(edges(month.lon)),
        "high": high,
        "sigmaHigh": sigma_high,
        "sigmaRange": [0.0, round(max(0.01, float(np.nanpercentile(month.sigma, 99))), 3)],
        "range": list(value_range),
        "fields": packed,
        "smap": {
            "shape": list(retrievals.moisture.shape),
            "latEdges": _rounded(edges(retrievals.lat)),
            "lonEdges": _rounded(edges(retrievals.lon)),
            "values": pack_plain(quantise(retrievals.moisture, high)),
            "tenths": pack_plain(tenths),
        },
        "colours": _colours(colormap),
        "sigmaColours": _colours("Purples"),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 5) for v in values]


def _colours(name: str) -> str:
    table = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
    return base64.b64encode(np.round(table * 255).astype(np.uint8).tobytes()).decode("ascii")


def _place_data(series: xr.Dataset) -> list[dict[str, Any]]:
    """Series at places, ready for JSON: hours since the first stamp, values in 1e-4 m3 m-3."""
    start = series["time"].values[0]
    hours = ((series["time"].values - start) / np.timedelta64(1, "h")).tolist()
    out = []
    for place in range(series.sizes["place"]):
        there = np.isfinite(series["smap"].values[place])
        smap_hours = (series["smap_time"].values[place][there] - start) / np.timedelta64(1, "h")
        lines = {name: _tenthousandths(series[name].values[place]) for name in SERIES if name in series}
        out.append(
            {
                "name": str(series["name"].values[place]),
                "lat": float(series["lat"].values[place]),
                "lon": float(series["lon"].values[place]),
                "start": str(start)[:16] + "Z",
                "hours": hours,
                "lines": lines,
                "sigma": _tenthousandths(series["uncertainty"].values[place]),
                "smapHours": [round(float(h), 1) for h in smap_hours],
                "smap": _tenthousandths(series["smap"].values[place][there]),
            }
        )
    return out


def _tenthousandths(values: np.ndarray) -> list[int | None]:
    return [round(float(v) * 1e4) if math.isfinite(v) else None for v in values]


def _render(
    data: Mapping[str, Any],
    document: Mapping[str, Any],
    summary: Mapping[str, Any],
    checks: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Path],
    product: str,
) -> str:
    assets = resources.files("pscnet.report") / "assets"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["plain"], environment.filters["number"] = _plain, number
    template = environment.from_string((assets / "page.html").read_text(encoding="utf-8"))
    images = {
        name: "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
        for name, path in figures.items()
        if name in ("map", "scores")
    }
    return template.render(
        title=str(summary.get("title", "Soil moisture at 10 km")),
        run=str(summary.get("run", document.get("run", ""))),
        summary={key: value for key, value in summary.items() if key not in ("title", "run")},
        product=product,
        tiles=tiles(document),
        net=data["net"],
        tables=score_tables(document, data["net"]),
        targets=targets_table(document),
        coverage=document["coverage"],
        test_days=document["test_days"],
        checks=checks,
        has_era5=("era5_land" in data["fields"]),
        has_truth=("truth_10km" in document),
        training=_training(data["curve"]),
        images=images,
        style=Markup((assets / "page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join((assets / name).read_text(encoding="utf-8") for name in SCRIPTS)),
        data=Markup(json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")),
    )


def _training(curve: Sequence[Mapping[str, float]]) -> str:
    """One sentence on the training; empty where there was none."""
    if not curve:
        return ""
    best = min(curve, key=lambda epoch: epoch["validation_loss"])
    minutes = sum(epoch["seconds"] for epoch in curve) / 60
    return (
        f"{len(curve)} epochs in {minutes:.1f} minutes; best validation loss {best['validation_loss']:.4f} "
        f"in epoch {best['epoch']:g}."
    )


def _plain(value: Any) -> str:
    """A number, list or text of the summary as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return "not given" if value is None else str(value)
