"""The twin's path-to-path functions: a month, the terrain, the stations.

==================  =========================================================================================
output              content
==================  =========================================================================================
raw folder          ``era5_land/``, ``smap/``, ``terrain/``, ``ismn/``: provider files
state               restart fields at the end of the month: truth, second model, last footprint averages
truth               soil_moisture (time, lat, lon) [m3 m-3] liquid, 0-5 cm; frozen, snow (time, lat, lon) 0 or 1
stations            hourly sensor values of the month, with errors
manifests           what the month consists of
==================  =========================================================================================

Months are a chain: a month starts from the restart file of the one before, the first one from a spin-up of its own.
Random draws depend on the seed and the date only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from pscnet.grids import ease2_grid
from pscnet.twin import era5_files, era5_land_like, files, smap_files, stations
from pscnet.twin.noise import generator
from pscnet.twin.smap_like import Radiometer
from pscnet.twin.truth import STATE as TRUTH_STATE
from pscnet.twin.truth import Truth
from pscnet.twin.world import Terrain, World, build

#: Days simulated before the first month: the top layer forgets its start within a week or two, the second within two
#: months (ours).
SPIN_UP_DAYS = 60
#: Hours of footprint averages carried into the next month: its first morning overpass may lie in the evening before.
CARRIED_HOURS = 3
#: One day in so many lacks its granule, comes in two versions, or lacks the afternoon group (ours; real gaps of
#: single days are rarer).
MISSING_EVERY, TWICE_EVERY, HALF_EVERY = 40, 30, 60


def month_days(month: str) -> tuple[int, int]:
    """First day of a month and of the next, in days since 1970."""
    first = np.datetime64(month, "M")
    return int(first.astype("M8[D]").astype(int)), int((first + 1).astype("M8[D]").astype(int))


def granule_fate(seed: int, day: int) -> str:
    """What becomes of a date's granule: ``"missing"``, ``"twice"``, ``"half"`` or ``"normal"``."""
    draw = generator(seed, "granule", day).random()
    for fate, every in (("missing", MISSING_EVERY), ("twice", TWICE_EVERY), ("half", HALF_EVERY)):
        if draw < 1.0 / every:
            return fate
        draw -= 1.0 / every
    return "normal"


@dataclass
class _Month:
    """What one month of simulation leaves behind (box only, unless said otherwise)."""

    hours: np.ndarray  # (time,) hourly, since 1970
    liquid: np.ndarray  # (stamps, ny, nx)
    frozen: np.ndarray
    snow: np.ndarray
    instants: dict[str, np.ndarray]  # (stamps, ny, nx)
    sums: dict[str, np.ndarray]  # (days, 8, ny, nx): totals of the three hours after each stamp
    footprints: np.ndarray  # (time, field, y, x)
    point_liquid: np.ndarray  # (time, station)
    point_warmth: np.ndarray


class _Run:
    """The truth and the second model, hour by hour together."""

    def __init__(self, world: World, control: str | None, hour: float, state: dict[str, np.ndarray] | None) -> None:
        self.world, self.control = world, control
        null = control == "null"
        model_world = build_like(world, era5_land_like.other_seed(world.seed)) if null else world
        parts: dict[str, dict[str, np.ndarray] | None] = {"truth": None, "model": None}
        if state is not None:
            parts["truth"] = {name: state[f"truth_{name}"] for name in TRUTH_STATE}
            parts["model"] = {name: state[f"model_{name}"] for name in era5_land_like.STATE}
        self.truth = Truth(world, hour, parts["truth"])
        shared = None if null else self.truth.synoptic
        self.model = era5_land_like.LandModel(model_world, hour, parts["model"], null, shared)

    def hour(self) -> tuple:
        """Surface of the truth and instants of the model now; then one hour forward, with the hour's totals."""
        air, rain = self.truth.forcing()
        soil = self.truth.show(air, rain)
        model_air, model_rain = self.model.forcing()
        instants = self.model.instant(model_air)
        if self.control == "perfect":
            instants["swvl1"] = soil.liquid
        self.truth.step(air, rain)
        return soil, instants, self.model.step(model_air, model_rain)

    def state(self) -> dict[str, np.ndarray]:
        state = {f"truth_{name}": values for name, values in self.truth.state.items()}
        return state | {f"model_{name}": values for name, values in self.model.state.items()}


def build_like(world: World, seed: int) -> World:
    """Another world on the same box."""
    box = world.box_grid
    return build((float(box.lat[-1]), float(box.lat[0])), (float(box.lon[0]), float(box.lon[-1])), seed)


def _footprint_stack(soil) -> np.ndarray:
    return np.stack([soil.liquid, soil.frozen, soil.snow, soil.temperature, soil.skin, soil.rain]).astype("f4")


def _simulate(
    run: _Run, radiometer: Radiometer, days: tuple[int, int], names: Sequence[str], where: stations.Stations
) -> _Month:
    """Run from the first hour of ``days[0]`` to the last of ``days[1] - 1`` and keep what the files need."""
    box = run.world.box
    ny, nx = run.world.box_grid.shape
    count = days[1] - days[0]
    kept = {n: np.empty((count * 8, ny, nx), "f4") for n in names if n in era5_land_like.INSTANT}
    accumulated = [n for n in era5_land_like.ACCUMULATED]
    sums = {n: np.zeros((count, 8, ny, nx), "f4") for n in accumulated if n in names}
    month = _Month(
        np.arange(days[0] * 24.0, days[1] * 24.0), np.empty((count * 8, ny, nx), "f4"),
        np.empty((count * 8, ny, nx), "i1"), np.empty((count * 8, ny, nx), "i1"), kept, sums,
        np.empty((count * 24, len(Radiometer.FIELDS), *radiometer.coarse.shape), "f4"),
        np.empty((count * 24, len(where.name)), "f4"), np.empty((count * 24, len(where.name)), "f4"),
    )  # fmt: skip
    for k in range(count * 24):
        soil, instants, totals = run.hour()
        month.footprints[k] = radiometer.average(_footprint_stack(soil))
        month.point_liquid[k] = soil.liquid[box][where.row, where.column]
        month.point_warmth[k] = soil.temperature[box][where.row, where.column]
        for name, values in sums.items():
            values[k // 24, k % 24 // 3] += totals[name][box]
        if k % 3 == 0:
            month.liquid[k // 3], month.frozen[k // 3], month.snow[k // 3] = (
                soil.liquid[box], soil.frozen[box], soil.snow[box],
            )  # fmt: skip
            for name, values in kept.items():
                values[k // 3] = instants[name][box]
    return month


def _spin_up(run: _Run, radiometer: Radiometer, days: int) -> dict[str, np.ndarray]:
    """Run the days before the first month; returns what a restart file would have carried into it."""
    carried, yesterday = [], {}
    for k in range(days * 24):
        soil, _, totals = run.hour()
        if k >= (days - 1) * 24:
            for name, values in totals.items():
                yesterday[name] = yesterday.get(name, 0.0) + values
        if k >= days * 24 - CARRIED_HOURS:
            carried.append(radiometer.average(_footprint_stack(soil)))
    box = run.world.box
    return {"footprints": np.stack(carried), **{f"total_{name}": values[box] for name, values in yesterday.items()}}


def _write_smap(
    folder: Path, radiometer: Radiometer, hours: np.ndarray, series: np.ndarray, days: tuple[int, int]
) -> tuple:
    """The month's granules; returns (path, day, version) of each and the missing dates."""
    folder.mkdir(parents=True, exist_ok=True)
    templates = {True: smap_files.empty_granule(True), False: smap_files.empty_granule(False)}
    written, missing = [], []
    for day in range(*days):
        fate = granule_fate(radiometer.world.seed, day)
        if fate == "missing":
            missing.append(str(np.datetime64(day, "D")))
            continue
        # The later of two versions is the right one; the earlier was made with other noise.
        for version in (1, 2) if fate == "twice" else (1,):
            copy = 1 if fate == "twice" and version == 1 else 0
            am, pm = (radiometer.retrieve(day, half, hours, series, copy) for half in ("AM", "PM"))
            path = folder / smap_files.granule_name(day, version)
            pm = None if fate == "half" else pm
            smap_files.write_granule(path, templates[pm is not None], day, am, pm, radiometer.coarse)
            written.append((path, day, version))
    return written, missing


def write_month(
    month: str,
    lat: tuple[float, float],
    lon: tuple[float, float],
    seed: int,
    predictors: Sequence[str],
    previous_state: str | Path | None,
    raw_folder: str | Path,
    state_out: str | Path,
    truth_out: str | Path,
    stations_out: str | Path,
    era5_manifest_out: str | Path,
    smap_manifest_out: str | Path,
    control: str | None = None,
    station_count: int = 8,
    spin_up_days: int = SPIN_UP_DAYS,
    sea: np.ndarray | None = None,
) -> None:
    """Simulate one month and write every file of it.

    Parameters
    ----------
    month : str
        ``YYYY-MM``.
    lat, lon : (south, north), (west, east) [degree]
    seed : int
    predictors : sequence of str
        ERA5-Land short names to deliver, out of :data:`pscnet.twin.era5_land_like.SUPPORTED`.
    previous_state : path or None
        Restart file of the month before; None for the first month, which then spins up.
    raw_folder : path
        Provider files go below it: ``era5_land/``, ``smap/``.
    state_out, truth_out, stations_out, era5_manifest_out, smap_manifest_out : path
    control : None (or "none"), "null" or "perfect"
        See :mod:`pscnet.twin.era5_land_like`.
    station_count, spin_up_days : int
    sea : ndarray (ny, nx) bool, optional
        Cells of the box for which the reanalysis has no values.

    Raises
    ------
    ValueError
        For a predictor or control that the twin does not have, or a restart file of another run.
    """
    unknown = sorted(set(predictors) - set(era5_land_like.SUPPORTED))
    if unknown:
        raise ValueError(
            f"predictors {unknown}: the twin delivers {', '.join(era5_land_like.SUPPORTED)}; choose among these"
        )
    control = None if control == "none" else control
    if control not in era5_land_like.CONTROLS:
        raise ValueError(f"control {control!r}: expected one of none, null, perfect")
    days = month_days(month)
    world = build(lat, lon, seed)
    radiometer = Radiometer(world, ease2_grid(lat, lon, "M36"))
    where = stations.place(world, station_count)
    identity = {"seed": seed, "box": " ".join(f"{float(edge):.4f}" for edge in (*lat, *lon)), "control": str(control)}
    if previous_state is None:
        run = _Run(world, control, (days[0] - spin_up_days) * 24.0, None)
        carried = _spin_up(run, radiometer, spin_up_days)
    else:
        carried = files.read_state(Path(previous_state), {**identity, "next_day": days[0]})
        run = _Run(world, control, days[0] * 24.0, carried)
    result = _simulate(run, radiometer, days, predictors, where)

    for path in (state_out, truth_out, stations_out):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    series = np.concatenate([carried["footprints"], result.footprints])
    totals = {name: era5_files.running_totals(sums, carried[f"total_{name}"]) for name, sums in result.sums.items()}
    state = run.state() | {"footprints": result.footprints[-CARRIED_HOURS:]}
    state |= {f"total_{name}": sums[-1].sum(axis=0) for name, sums in result.sums.items()}
    files.write_state(Path(state_out), state, {**identity, "next_day": days[1]})
    files.write_truth(Path(truth_out), world.box_grid, result.hours[::3], result.liquid, result.frozen, result.snow)
    stations.write_month(Path(stations_out), world, where, result.hours, result.point_liquid, result.point_warmth)

    raw = Path(raw_folder)
    result.sums.clear()
    stamps = result.hours[::3]
    archive = era5_files.write_month(raw / "era5_land", month, world.box_grid, stamps, result.instants, totals, sea)
    span = [str(np.datetime64(int(hour * 3600), "s")) + "Z" for hour in (stamps[0], stamps[-1])]
    files.write_manifest(
        Path(era5_manifest_out), "era5_land", month, raw, [files.member(raw, archive, "0001", *span, predictors)]
    )
    hours = np.concatenate([result.hours[0] + np.arange(-len(carried["footprints"]), 0), result.hours])
    written, missing = _write_smap(raw / "smap", radiometer, hours, series, days)
    members = []
    for path, day, version in written:
        iso = str(np.datetime64(day, "D"))
        names = ["soil_moisture", "retrieval_qual_flag", "surface_flag", "freeze_thaw_fraction"]
        members.append(
            files.member(raw, path, f"R19240_{version:03d}", f"{iso}T00:00:00.000Z", f"{iso}T23:59:59.999Z", names)
        )
    files.write_manifest(Path(smap_manifest_out), "smap", month, raw, members, missing)


def write_static(
    lat: tuple[float, float],
    lon: tuple[float, float],
    seed: int,
    raw_folder: str | Path,
    terrain_manifest_out: str | Path,
    points_per_degree: int = 60,
    margin: float = 0.5,
) -> None:
    """Write the elevation of the box and a margin [degree] as a GeoTIFF in EPSG:4326, 1 arc minute by default."""
    raw = Path(raw_folder)
    (raw / "terrain").mkdir(parents=True, exist_ok=True)
    step = 1.0 / points_per_degree
    north, west = min(lat[1] + margin, 84.9), max(lon[0] - margin, -180.0)
    rows = round((north - max(lat[0] - margin, -84.9)) * points_per_degree)
    columns = round((min(lon[1] + margin, 180.0) - west) * points_per_degree)
    lats, lons = north - (np.arange(rows) + 0.5) * step, west + (np.arange(columns) + 0.5) * step
    elevation = np.round(Terrain(seed).elevation(lats, lons)).astype("i2")
    path = raw / "terrain" / "elevation.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=1, dtype="int16", crs="EPSG:4326",
        transform=from_origin(west, north, step, step), nodata=-32768, compress="deflate",
    ) as file:  # fmt: skip
        file.write(elevation, 1)
        file.set_band_unit(1, "m")
    files.write_manifest(
        Path(terrain_manifest_out), "terrain", None, raw, [files.member(raw, path, None, None, None, ["elevation"])]
    )


def write_stations(station_month_files: Sequence[str | Path], raw_folder: str | Path, done_out: str | Path) -> None:
    """Merge the station months into ISMN files below ``raw_folder``/ismn; ``done_out`` lists them (JSON)."""
    if not station_month_files:
        raise ValueError("no station months given: expected the files that write_month makes")
    raw = Path(raw_folder)
    written = stations.write_ismn([Path(path) for path in station_month_files], raw / "ismn")
    done = Path(done_out)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(
        json.dumps([path.relative_to(raw).as_posix() for path in written], indent=1) + "\n", encoding="utf-8"
    )
