"""Fetch what a run needs of one provider, as its jobs would, in a process that may be killed at any moment.

    python -m tests.servers.fetcher ORDER

``ORDER`` is a JSON file: ``provider`` (``era5_land`` or ``smap``), ``archive``, ``outputs``, ``months``, ``variables``,
``lat``, ``lon`` and ``settings``. The word ``fetching`` on standard output says that the imports are done.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pscnet.sources.fetch import era5_land, smap


def fetch(order: dict) -> None:
    """All months of the provider, one after the other, and of ERA5-Land the edges of the period."""
    outputs = Path(order["outputs"]) / order["provider"]
    box, settings = (order["lat"], order["lon"]), order["settings"]
    for month in order["months"]:
        ends = (outputs / f"{month}.json", outputs / f"{month}.txt", 0)
        if order["provider"] == "era5_land":
            era5_land.fetch_month(order["archive"], month, order["variables"], *box, settings, *ends)
        else:
            smap.fetch_month(order["archive"], "smap", month, *box, settings, *ends)
    for edge in ("opening", "closing") if order["provider"] == "era5_land" else ():
        period = (order["months"][0], order["months"][-1])
        ends = (outputs / f"{edge}.json", outputs / f"{edge}.txt", 0)
        era5_land.fetch_edge(order["archive"], edge, period, order["variables"], *box, settings, *ends)


if __name__ == "__main__":
    print("fetching", flush=True)
    fetch(json.loads(Path(sys.argv[1]).read_text()))
