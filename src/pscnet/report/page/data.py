"""What do the page's scripts draw: fields, series, stations and learning curves, ready for JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import xarray as xr

from pscnet.report.inputs import Month, Retrievals, edges
from pscnet.report.page.packing import pack_plain, pack_within, quantise
from pscnet.report.stations import Sensors

#: Names of series, in the order of the legend.
SERIES = {
    "pscnet": "{net}, 10 km",
    "truth": "truth",
    "era5_land": "ERA5-Land, raw",
    "era5_land_rescaled": "ERA5-Land, rescaled",
    "smap_interpolated": "SMAP, interpolated",
    "smap_kriged": "SMAP, kriged",
    "optimal_interpolation": "optimal interpolation",
    "station": "station, 0-5 cm",
}


def page_data(
    *,
    month: Month,
    retrievals: Retrievals,
    series: xr.Dataset,
    sensors: Sensors | None,
    curves: Sequence[Sequence[Mapping[str, float]]],
    net: str,
    colormap: str,
    value_range: tuple[float, float],
    field_limit: int,
) -> dict[str, Any]:
    """All data of the page.

    Parameters
    ----------
    month, retrievals
        What the maps show.
    series : Dataset
        Series at places.
    sensors : Sensors, optional
        Series of stations; those outside the fine grid are left out.
    curves : sequence of curves, of each member of the ensemble
    net : str
        Name for people of what made the product.
    colormap : str
        Matplotlib name.
    value_range : (low, high) [m3 m-3]
    field_limit : int
        Characters that the fields may take; longer ones are thinned in time.
    """
    data = _map_data(month, retrievals, colormap, value_range, field_limit)
    data["net"], data["names"] = net, {name: title.format(net=net) for name, title in SERIES.items()}
    data["places"] = _place_data(series)
    data["stations"] = [] if sensors is None else station_data(sensors, month)
    keys = ("epoch", "train_loss", "validation_loss")
    data["curves"] = [[{key: _finite(row[key]) for key in keys} for row in curve] for curve in curves]
    return data


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _map_data(
    month: Month, retrievals: Retrievals, colormap: str, value_range: tuple[float, float], field_limit: int
) -> dict[str, Any]:
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
    stride, packed = pack_within(codes, field_limit)
    start = month.times[0]
    offset = (retrievals.times - start) / np.timedelta64(1, "h")
    tenths = np.where(np.isfinite(offset), np.round(np.nan_to_num(offset) * 10), -32768).astype(np.int16)
    valued = month.sigma[np.isfinite(month.sigma)]
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
        "sigmaRange": [0.0, round(max(0.01, float(np.percentile(valued, 99)) if valued.size else 0.0), 3)],
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


def station_data(sensors: Sensors, month: Month) -> list[dict[str, Any]]:
    """Stations in the fine cell that they lie in, with what they measured in the month: hours and 1e-4 m3 m-3."""
    rows = np.searchsorted(-edges(month.lat), -sensors.lat) - 1
    columns = np.searchsorted(edges(month.lon), sensors.lon) - 1
    inside = (rows >= 0) & (rows < month.lat.size) & (columns >= 0) & (columns < month.lon.size)
    start = month.times[0]
    then = (sensors.times >= start) & (sensors.times <= month.times[-1])
    hours = (sensors.times[then] - start) / np.timedelta64(1, "h")
    made = []
    for sensor in np.flatnonzero(inside):
        values = sensors.moisture[sensor, then]
        there = np.isfinite(values)
        made.append(
            {
                "name": sensors.label(sensor),
                "lat": round(float(sensors.lat[sensor]), 4),
                "lon": round(float(sensors.lon[sensor]), 4),
                "row": int(rows[sensor]),
                "column": int(columns[sensor]),
                "hours": [round(float(hour), 1) for hour in hours[there]],
                "values": _tenthousandths(values[there]),
            }
        )
    return made


def _place_data(series: xr.Dataset) -> list[dict[str, Any]]:
    """Series at places: hours since the first stamp, values in 1e-4 m3 m-3."""
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
