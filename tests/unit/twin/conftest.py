"""Two simulated months on a small box, as the pipeline's rule would write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pscnet.twin.month import write_month, write_static, write_stations

LAT, LON, SEED = (31.5, 33.8), (92.0, 94.3), 3
MONTHS = ("2016-07", "2016-08")
PREDICTORS = (
    "swvl1", "swvl2", "stl1", "skt", "t2m", "d2m", "sp", "u10", "v10", "tp", "e", "ssrd", "strd", "lai_lv", "lai_hv",
    "snowc", "sd",
)  # fmt: skip


@dataclass(frozen=True)
class Paths:
    """Where a simulated run lies."""

    root: Path

    def of(self, kind: str, month: str) -> Path:
        suffix = "json" if kind in ("era5_land", "smap") else "nc"
        return self.root / kind / f"{month}.{suffix}"

    @property
    def raw(self) -> Path:
        return self.root / "raw"


def simulate(root: Path, month: str, previous: Path | None, **options: object) -> Paths:
    """Write one month below ``root``."""
    paths = Paths(root)
    arguments = {
        "month": month, "lat": LAT, "lon": LON, "seed": SEED, "predictors": PREDICTORS, "previous_state": previous,
        "raw_folder": paths.raw, "state_out": paths.of("state", month), "truth_out": paths.of("truth", month),
        "stations_out": paths.of("stations", month), "era5_manifest_out": paths.of("era5_land", month),
        "smap_manifest_out": paths.of("smap", month), "spin_up_days": 20, "station_count": 4,
    }  # fmt: skip
    write_month(**{**arguments, **options})
    return paths


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """Both months, the terrain and the stations."""
    root = tmp_path_factory.mktemp("twin")
    previous = None
    for month in MONTHS:
        paths = simulate(root, month, previous)
        previous = paths.of("state", month)
    write_static(LAT, LON, SEED, paths.raw, root / "terrain.json")
    write_stations([paths.of("stations", month) for month in MONTHS], paths.raw, root / "done.json")
    return paths
