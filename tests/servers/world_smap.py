"""The 9 km granules of the simulated Plateau: SPL3SMP_E and SPL4SMGP in their true layout, small on disk.

Only what lies around the box is written (of five fields of SPL4SMGP a coarse pattern goes round the globe): HDF5 keeps
no space for the rest, so that a granule of 25 MB a field takes half a megabyte. The same input gives the same bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from pscnet.grids import EASE2_GRIDS, EASE2_X0, EASE2_Y0, ease2_axes, ease2_grid
from tests.servers.world import Granule, World

CELL, ROWS, COLUMNS = EASE2_GRIDS["M09"]
POLAR_SHAPE = (2000, 2000)
AM, PM = "Soil_Moisture_Retrieval_Data_AM", "Soil_Moisture_Retrieval_Data_PM"
POLAR = {AM: "Soil_Moisture_Retrieval_Data_Polar_AM", PM: "Soil_Moisture_Retrieval_Data_Polar_PM"}

#: Every field of ``Geophysical_Data`` and its unit (SPL4SMGP version 8).
L4_FIELDS = {
    **{f"sm_{layer}": "m3 m-3" for layer in ("surface", "rootzone", "profile")},
    **{f"sm_{layer}_wetness": "1" for layer in ("surface", "rootzone", "profile")},
    **{f"sm_{layer}_pctl": "percent" for layer in ("rootzone", "profile")},
    **{f"soil_temp_layer{layer}": "K" for layer in range(1, 7)},
    **{f"land_fraction_{state}": "1" for state in ("saturated", "unsaturated", "wilting", "snow_covered")},
    **{f"heat_flux_{kind}": "W m-2" for kind in ("sensible", "latent", "ground")},
    **{f"net_downward_{kind}_flux": "W m-2" for kind in ("shortwave", "longwave")},
    **{f"radiation_{kind}_flux": "W m-2" for kind in ("shortwave_downward", "longwave_absorbed")},
    **{
        f"{kind}_flux": "kg m-2 s-1"
        for kind in (
            "precipitation_total_surface", "snowfall_surface", "overland_runoff", "baseflow", "snow_melt",
            "soil_water_infiltration", "land_evapotranspiration", "free_surface_water_on_peat",
        )
    },
    "surface_temp": "K", "surface_pressure": "Pa", "snow_mass": "kg m-2", "snow_depth": "m",
    "height_lowatmmodlay": "m", "temp_lowatmmodlay": "K", "specific_humidity_lowatmmodlay": "kg kg-1",
    "windspeed_lowatmmodlay": "m s-1", "leaf_area_index": "m2 m-2", "vegetation_greenness_fraction": "1",
    "depth_to_water_table_from_surface_in_peat": "m", "mwrtm_vegopacity": "1",
}  # fmt: skip
#: Fields with values, and about which value; the others are fill everywhere.
L4_FILLED = {"sm_surface": 0.2, "sm_rootzone": 0.25, "sm_profile": 0.28, "soil_temp_layer1": 280, "surface_temp": 285}
FILL = np.float32(-9999.0)
#: Epoch of ``time`` in SPL4SMGP: J2000, whose noon is in terrestrial time.
L4_EPOCH = datetime(2000, 1, 1, 11, 58, 55, 816_000)


def granules(world: World, product: str, days: Sequence[str]) -> list[Granule]:
    """The granules of a 9 km product, by name; made into the world's folder when first asked for.

    Parameters
    ----------
    world : World
    product : {"SPL3SMP_E", "SPL4SMGP"}
    days : sequence of str
        ``YYYY-MM-DD``; of SPL3SMP_E those that SPL3SMP has.
    """
    folder = world.folder / "nine_km" / product
    with _locked(folder):
        made = _enhanced(world, folder, days) if product == "SPL3SMP_E" else _l4(world, folder, days)
    return [_described(path) for path in sorted(made)]


@cache
def _described(path: Path) -> Granule:
    content = path.read_bytes()
    date = re.search(r"_(\d{4})(\d{2})(\d{2})[T_]", path.name)
    return Granule(path.name, "-".join(date.groups()), path, len(content), hashlib.md5(content).hexdigest())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "making.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _enhanced(world: World, folder: Path, days: Sequence[str]) -> list[Path]:
    made = []
    for coarse in world.granules():
        if coarse.day in days:
            made.append(path := folder / enhanced_name(coarse.name))
            if not path.exists():
                write_enhanced(path, coarse.path)
    return made


def _l4(world: World, folder: Path, days: Sequence[str]) -> list[Path]:
    made = []
    for day in days:
        for step in range(8):
            middle = datetime.fromisoformat(day) + timedelta(hours=1.5 + 3 * step)
            made.append(path := folder / l4_name(middle))
            if not path.exists():
                write_l4(path, *world.box, middle)
    return made


def enhanced_name(coarse: str) -> str:
    """File name of the SPL3SMP_E granule that goes with one of SPL3SMP."""
    return coarse.replace("SMAP_L3_SM_P_", "SMAP_L3_SM_P_E_")


def l4_name(middle: datetime, counter: int = 1) -> str:
    """File name of the SPL4SMGP granule whose three hours have this middle (01:30, 04:30, ...)."""
    return f"SMAP_L4_SM_gph_{middle:%Y%m%dT%H%M%S}_Vv8010_{counter:03d}.h5"


def write_enhanced(path: Path, coarse: Path) -> None:
    """Write a granule of SPL3SMP_E from one of SPL3SMP: each of its cells becomes 4 x 4, and no two are alike.

    Parameters
    ----------
    path, coarse : Path
        ``path`` has the name of :func:`enhanced_name`.
    """
    with h5py.File(coarse) as source:
        halves = tuple(group for group in (AM, PM) if group in source)
        image = io.BytesIO(_enhanced_template(coarse.parent, halves))
        with h5py.File(image, "r+") as target:
            for name, value in source["Metadata/Extent"].attrs.items():
                target["Metadata/Extent"].attrs[name] = value
            for group in halves:
                _refine(source[group], target[group])
    _write_whole(path, image.getvalue())


@cache
def _enhanced_template(folder: Path, halves: tuple[str, ...]) -> bytes:
    """An empty granule of SPL3SMP_E, laid out as the granules of SPL3SMP in ``folder``."""
    image = io.BytesIO()
    with h5py.File(image, "w", libver="earliest") as target:
        target.create_group("Metadata/Extent")
        for coarse in sorted(folder.glob("SMAP_L3_SM_P_*.h5")):
            with h5py.File(coarse) as source:
                if tuple(group for group in (AM, PM) if group in source) == halves:
                    for group in halves:
                        _lay_out(source[group], target.create_group(group), (ROWS, COLUMNS))
                        _lay_out(source[group], target.create_group(POLAR[group]), POLAR_SHAPE)
                        row = np.full((1, POLAR_SHAPE[1]), 0.25, "f4")
                        target[POLAR[group]]["soil_moisture" + ("_pm" if group == PM else "")][1000:1001] = row
                    break
    return image.getvalue()


def _lay_out(source: h5py.Group, target: h5py.Group, shape: tuple[int, int]) -> None:
    """The datasets of ``source`` with another shape, all fill; hard links stay links."""
    made: dict[object, str] = {}
    for name, dataset in source.items():
        address = h5py.h5o.get_info(dataset.id).addr
        if address in made:
            target[name] = target[made[address]]
            continue
        made[address] = name
        last = dataset.shape[2:]
        new = target.create_dataset(
            name, (*shape, *last), dataset.dtype, chunks=(1, shape[1], *last), compression="gzip", compression_opts=2,
            fillvalue=dataset.fillvalue,
        )  # fmt: skip
        for key, value in dataset.attrs.items():
            new.attrs[key] = value


def _refine(source: h5py.Group, target: h5py.Group) -> None:
    suffix = "_pm" if source.name.endswith("_PM") else ""
    seen = np.flatnonzero((source["EASE_row_index" + suffix][:] != 65534).any(axis=1))
    if seen.size == 0:
        return
    rows = slice(seen[0], seen[-1] + 1)
    fine = slice(4 * rows.start, 4 * rows.stop)
    known = np.kron(source["EASE_row_index" + suffix][rows] != 65534, np.ones((4, 4), bool))
    lats, lons = ease2_axes("M09")
    row, column = np.indices(known.shape)
    row += fine.start
    places = {
        "EASE_row_index": row, "EASE_column_index": column, "latitude": lats[row], "longitude": lons[column],
        "latitude_centroid": lats[row], "longitude_centroid": lons[column],
    }  # fmt: skip
    written = set()
    for name, dataset in source.items():
        if (address := h5py.h5o.get_info(dataset.id).addr) in written:
            continue
        written.add(address)
        values = dataset[rows].repeat(4, axis=0).repeat(4, axis=1)
        stem = name.removesuffix(suffix) if suffix else name
        if stem in places:
            values = np.where(known, places[stem], dataset.fillvalue).astype(dataset.dtype)
        elif stem.startswith("soil_moisture"):
            texture = ((row % 4) * 4 + column % 4) / 2048
            values = np.where(values == FILL, FILL, np.clip(values + texture, 0.02, 0.5)).astype("f4")
        target[name][fine] = values


def write_l4(path: Path, lat: tuple[float, float], lon: tuple[float, float], middle: datetime) -> None:
    """Write a granule of SPL4SMGP, the mean of the three hours around ``middle`` (UTC).

    Parameters
    ----------
    path : Path
        Has the name of :func:`l4_name`.
    lat, lon : (south, north), (west, east) [degree]
        Where the values change from cell to cell and from granule to granule.
    """
    window = ease2_grid(lat, lon, "M09")
    rows = slice(max(window.row0 - 4, 0), min(window.row0 + window.shape[0] + 4, ROWS))
    columns = slice(max(window.col0 - 4, 0), min(window.col0 + window.shape[1] + 4, COLUMNS))
    row, column = np.mgrid[rows, columns]
    since = (middle - L4_EPOCH).total_seconds()
    phase = 2 * np.pi * (since / 86400.0) + 0.11 * row + 0.07 * column
    image = io.BytesIO(_l4_template())
    with h5py.File(image, "r+") as file:
        file.attrs["Filename"] = f"/smap/L4_SM/gph/Y{middle:%Y}/M{middle:%m}/D{middle:%d}/{path.name}"
        extent = file["Metadata/Extent"].attrs
        extent["rangeBeginningDateTime"] = f"{middle - timedelta(minutes=90):%Y-%m-%dT%H:%M:%S}.000Z"
        extent["rangeEndingDateTime"] = f"{middle + timedelta(minutes=90):%Y-%m-%dT%H:%M:%S}.000Z"
        file["time"][:] = since
        for name, about in L4_FILLED.items():
            swing = 0.05 if about < 1 else 6.0
            file[f"Geophysical_Data/{name}"][rows, columns] = np.round(about + swing * np.sin(phase), 4).astype("f4")
    _write_whole(path, image.getvalue())


@cache
def _l4_template() -> bytes:
    """A granule of SPL4SMGP with a coarse pattern of land and sea."""
    lats, lons = ease2_axes("M09")
    row, column = np.indices((ROWS, COLUMNS), dtype="u4")
    sea = ((row // 120) + (column // 200)) % 3 == 0
    image = io.BytesIO()
    with h5py.File(image, "w", libver="earliest") as file:
        for key, value in (("Title", "SMAP L4_SM Geophysical (GPH) Data Granule"), ("Conventions", "CF")):
            file.attrs[key] = np.bytes_(value)
        file.create_group("Metadata/Extent")
        y = EASE2_Y0 - (np.arange(ROWS) + 0.5) * CELL
        x = EASE2_X0 + (np.arange(COLUMNS) + 0.5) * CELL
        for name, axis in (("y", y), ("x", x)):
            file[name] = axis
            file[name].attrs.update({"units": np.bytes_("m"), "axis": np.bytes_(name.upper())})
            file[name].make_scale(name)
        file.create_dataset("time", (1,), "f8").attrs["units"] = np.bytes_(f"seconds since {L4_EPOCH}"[:-3])
        file.create_dataset("EASE2_global_projection", (1,), "S1").attrs["grid_mapping_name"] = np.bytes_(
            "lambert_cylindrical_equal_area"
        )
        _l4_dataset(file, "cell_lat", "f4", FILL, "degrees", np.broadcast_to(lats[:, None], sea.shape))
        _l4_dataset(file, "cell_lon", "f4", FILL, "degrees", np.broadcast_to(lons[None, :], sea.shape))
        _l4_dataset(file, "cell_row", "u4", 4294967294, "1", row)
        _l4_dataset(file, "cell_column", "u4", 4294967294, "1", column)
        fields = file.create_group("Geophysical_Data")
        for name, unit in L4_FIELDS.items():
            values = None
            if name in L4_FILLED:
                values = np.where(sea, FILL, np.float32(L4_FILLED[name]) * (1 + (row // 120) / 200))
            _l4_dataset(fields, name, "f4", FILL, unit, values)
    return image.getvalue()


def _l4_dataset(
    group: h5py.Group, name: str, dtype: str, fill: float, unit: str, values: np.ndarray | None = None
) -> None:
    dataset = group.create_dataset(
        name, (ROWS, COLUMNS), dtype, chunks=(203, 482), compression="gzip", compression_opts=1, shuffle=True,
        fillvalue=fill,
    )  # fmt: skip
    if values is not None:
        dataset[:] = values.astype(dtype)
    attributes = {
        "long_name": np.bytes_(name.replace("_", " ")), "units": np.bytes_(unit),
        "coordinates": np.bytes_("cell_lat cell_lon"), "grid_mapping": np.bytes_("EASE2_global_projection"),
    }  # fmt: skip
    for key, value in attributes.items():
        dataset.attrs[key] = value
    for key in ("_FillValue", "missing_value", "fmissing_value"):
        dataset.attrs[key] = np.array(fill).astype(dtype)[()]
    dataset.dims[0].attach_scale(group.file["y"])
    dataset.dims[1].attach_scale(group.file["x"])


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}")
    part.write_bytes(content)
    part.replace(path)


def without_half(granule: Path) -> bytes:
    """The bytes of a level 3 granule without the group of a half-orbit: PM, or AM where PM is absent already."""
    image = io.BytesIO(granule.read_bytes())
    with h5py.File(image, "r+") as file:
        del file[PM if PM in file else AM]
    return image.getvalue()
