"""Point sensors in the simulated ground, and the ISMN files they would appear in.

A station stands for its surroundings only roughly: a fixed offset, a gain, and a slow drift (0.02 to 0.04 m3 m-3
together), plus a sensor's noise. Some values are bad, and flagged as ISMN's quality control does [Dorigo et al. 2013,
doi:10.2136/vzj2012.0097]: ``G`` good, ``C01`` below 0, ``C02`` above 0.6, ``D01`` frozen soil, ``D06`` spike.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np

from pscnet.twin.noise import Waves, generator
from pscnet.twin.weather import ZERO
from pscnet.twin.world import World

NETWORKS = ("TWINNAQU", "TWINMAQU")
SENSOR = "5TM"
DEPTH = 0.05
#: Sensor noise [m3 m-3, K] of a capacitance probe (resolution of the 5TM's data sheet, rounded up).
SENSOR_NOISE, THERMOMETER_NOISE = 0.006, 0.3
SHARES = {"C01": 0.0010, "C02": 0.0015, "D06": 0.0030}
SOIL_CSV = ("clay fraction", "sand fraction", "silt fraction", "organic carbon", "saturation")


@dataclass(frozen=True)
class Stations:
    """Where the sensors are and how they err; arrays (n,)."""

    network: list[str]
    name: list[str]
    row: np.ndarray
    column: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    offset: np.ndarray
    gain: np.ndarray


def place(world: World, count: int) -> Stations:
    """``count`` stations at dry-land cells of the box, away from its edge, in two networks."""
    rng = generator(world.seed, "stations")
    ny, nx = world.box_grid.shape
    rim = 2 if min(ny, nx) > 8 else 0
    land = np.argwhere(world.water[world.box][rim : ny - rim, rim : nx - rim] < 0.1) + rim
    chosen = land[np.sort(rng.choice(len(land), min(count, len(land)), replace=False))]
    n = len(chosen)
    network = [NETWORKS[k % len(NETWORKS)] for k in range(n)]
    jitter = rng.uniform(-0.04, 0.04, (2, n))
    lat, lon = world.box_grid.lat[chosen[:, 0]] + jitter[0], world.box_grid.lon[chosen[:, 1]] + jitter[1]
    return Stations(
        network, [f"ST{k + 1:02d}" for k in range(n)], chosen[:, 0], chosen[:, 1], lat.round(5), lon.round(5),
        rng.normal(0, 0.025, n), rng.uniform(0.85, 1.15, n),
    )  # fmt: skip


def measure(
    world: World, stations: Stations, hours: np.ndarray, liquid: np.ndarray, warmth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the sensors report.

    Parameters
    ----------
    hours : ndarray (time,) [hour since 1970]
    liquid, warmth : ndarray (time, n) [m3 m-3], [K]
        The truth at the stations' cells.

    Returns
    -------
    moisture : ndarray (time, n) [m3 m-3]
    temperature : ndarray (time, n) [C]
    flag : ndarray (time, n) of str
    """
    n = liquid.shape[1]
    month = int(hours[0])
    rng = generator(world.seed, "sensors", month)
    drift = np.stack(
        [Waves.draw(world.seed, f"drift {k}", (100, 1000), slope=0.3, periods=(2.0, 60.0), modes=30).at(
            np.array([stations.lat[k]]).repeat(hours.size), np.array([stations.lon[k]]).repeat(hours.size), hours / 24.0
        ) for k in range(n)], axis=1,
    )  # fmt: skip
    middle = 0.16
    moisture = middle + stations.gain * (liquid - middle) + stations.offset * np.clip(liquid / 0.15, 0.3, 1.0)
    moisture = moisture + 0.012 * drift * np.clip(liquid / 0.15, 0.2, 1.0)
    moisture = np.clip(moisture, 0.005, 0.59) + rng.normal(0, SENSOR_NOISE, liquid.shape)
    temperature = warmth - ZERO + rng.normal(0, THERMOMETER_NOISE, liquid.shape)
    flag = np.where(temperature < 0, "D01", "G").astype("U3")
    draw = rng.random(liquid.shape)
    spike = rng.choice([-1, 1], liquid.shape) * rng.uniform(0.12, 0.3, liquid.shape)
    low = 0.0
    for code, share in SHARES.items():
        bad = (draw >= low) & (draw < low + share)
        low += share
        value = {"C01": -0.01 - 0.1 * rng.random(liquid.shape), "C02": 0.61 + 0.3 * rng.random(liquid.shape)}
        moisture = np.where(bad, value.get(code, moisture + spike), moisture)
        flag = np.where(bad, code, flag)
    flag = np.where((moisture < 0) & (flag == "G"), "C01", flag)
    return moisture, temperature, flag


def write_month(
    path: Path, world: World, stations: Stations, hours: np.ndarray, liquid: np.ndarray, warmth: np.ndarray
) -> None:
    """Write a month of sensor values (not the truth) to a NetCDF file with dims time, station."""
    moisture, temperature, flag = measure(world, stations, hours, liquid, warmth)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("time", hours.size)
        file.createDimension("station", len(stations.name))
        file.content = "simulated sensor values with errors and ISMN flags; not the truth"
        time = file.createVariable("time", "i8", ("time",))
        time.units = "hours since 1970-01-01"
        time[:] = hours.astype("i8")
        cell = (slice(None),)
        elevation = world.elevation[world.box][stations.row, stations.column]
        soil = {
            name: getattr(world, name)[world.box][stations.row, stations.column]
            for name in ("clay", "sand", "organic", "porosity")
        }
        for name, values, unit in (
            ("latitude", stations.lat, "degrees_north"), ("longitude", stations.lon, "degrees_east"),
            ("elevation", elevation, "m"), *((key, value, "1") for key, value in soil.items()),
        ):  # fmt: skip
            variable = file.createVariable(name, "f8", ("station",))
            variable.units = unit
            variable[cell] = values
        for name, values in (("network", stations.network), ("name", stations.name)):
            file.createVariable(name, str, ("station",))[:] = np.array(values, dtype=object)
        for name, values, unit in (("soil_moisture", moisture, "m3 m-3"), ("soil_temperature", temperature, "degC")):
            variable = file.createVariable(name, "f4", ("time", "station"), zlib=True, complevel=1)
            variable.units = unit
            variable[:] = values
        codes = ["G", *sorted({"D01", *SHARES})]
        variable = file.createVariable("flag", "i1", ("time", "station"), zlib=True, complevel=1)
        variable.codes = json.dumps(codes)
        variable[:] = np.searchsorted(codes[1:], flag) * (flag != "G") + (flag != "G")


def _series(paths: list[Path]) -> dict[str, np.ndarray]:
    """The months' series, one after the other in time."""
    parts: dict[str, list[np.ndarray]] = {"time": [], "soil_moisture": [], "soil_temperature": [], "flag": []}
    with netCDF4.Dataset(paths[0]) as file:
        fixed = {name: file[name][:] for name in file.variables if file[name].dimensions == ("station",)}
        codes = json.loads(file["flag"].codes)
    for path in paths:
        with netCDF4.Dataset(path) as file:
            if not np.array_equal(file["name"][:], fixed["name"]) or not np.allclose(
                file["latitude"][:], fixed["latitude"]
            ):
                raise ValueError(
                    f"{path}: stations differ from those of {paths[0]}; write all months with one seed and box"
                )
            for name, values in parts.items():
                values.append(np.asarray(file[name][:]))
    series = {name: np.concatenate(values) for name, values in parts.items()}
    order = np.argsort(series["time"], kind="stable")
    series = {name: values[order] for name, values in series.items()}
    return {**fixed, **series, "codes": np.array(codes)}


def write_ismn(paths: list[Path], folder: Path) -> list[Path]:
    """Merge station months into ISMN files (header and values) below ``folder``/NETWORK/STATION; returns the files."""
    data = _series([Path(path) for path in paths])
    stamps = (data["time"].astype("i8") * 3600).astype("M8[s]")
    text = np.char.replace(np.char.replace(np.datetime_as_string(stamps, unit="m"), "-", "/"), "T", " ")
    span = "_".join(np.char.replace(np.datetime_as_string(stamps[[0, -1]], unit="D"), "-", ""))
    written = []
    for k, (network, name) in enumerate(zip(data["network"], data["name"], strict=True)):
        place_ = folder / str(network) / str(name)
        place_.mkdir(parents=True, exist_ok=True)
        where = f"{data['latitude'][k]:.5f} {data['longitude'][k]:.5f} {data['elevation'][k]:.2f}"
        flags = data["codes"][data["flag"][:, k]]
        warm_flags = np.where(np.abs(data["soil_temperature"][:, k]) > 60, "C02", "G")
        for short, values, codes in (
            ("sm", data["soil_moisture"][:, k], flags),
            ("ts", data["soil_temperature"][:, k], warm_flags),
        ):
            path = place_ / f"{network}_{network}_{name}_{short}_{DEPTH:.6f}_{DEPTH:.6f}_{SENSOR}_{span}.stm"
            lines = [f"{network} {network} {name} {where} {DEPTH:.4f} {DEPTH:.4f} {SENSOR}"]
            lines += [f"{t} {v:10.4f} {c} M" for t, v, c in zip(text, values, codes, strict=True)]
            path.write_text("\n".join(lines) + "\n", encoding="ascii")
            written.append(path)
        written.append(_write_static(place_ / f"{network}_{network}_{name}_static_variables.csv", data, k))
    return written


def _write_static(path: Path, data: dict[str, np.ndarray], k: int) -> Path:
    """The station's ``static_variables.csv``, as ISMN lays it out."""
    clay, sand = float(data["clay"][k]), float(data["sand"][k])
    soil = (
        100 * clay,
        100 * sand,
        100 * max(0.0, 1 - clay - sand),
        20 * float(data["organic"][k]),
        float(data["porosity"][k]),
    )
    with path.open("w", newline="", encoding="ascii") as stream:
        table = csv.writer(stream, delimiter=";", lineterminator="\n")
        table.writerow(
            ["quantity_name", "unit", "depth_from[m]", "depth_to[m]", "value", "description", "quantity_source_name"]
        )
        for name, value in zip(SOIL_CSV, soil, strict=True):
            unit = "m^3*m^-3" if name == "saturation" else "% weight"
            table.writerow([name, unit, "0.00", "0.30", f"{value:.2f}", "", "simulated"])
        for year in ("2000", "2005", "2010"):
            table.writerow(["land cover classification", "", "", "", "130", "Grassland", f"CCI_landcover_{year}"])
        table.writerow(["climate classification", "", "", "", "ET", "Tundra", "koeppen_geiger_2007"])
    return path
