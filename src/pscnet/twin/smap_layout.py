"""What a SPL3SMP granule (version 8) looks like inside: 53 datasets for each half of the day.

Names, types, fill values, limits, units, flags and hard links are the real product's; long names are worded here. The
PM group holds the same datasets with ``_pm`` appended, and two oddities of the real files are kept: its latitude and
longitude declare a fill value where the AM group's do not (though both hold -9999), and bit 7 of its surface flag is
called radar where AM says radiometer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHAPE = (406, 964)
AM_GROUP, PM_GROUP = "Soil_Moisture_Retrieval_Data_AM", "Soil_Moisture_Retrieval_Data_PM"
COORDINATES = f"/{AM_GROUP}/latitude /{AM_GROUP}/longitude"
RETRIEVAL_BITS = "Retrieval_recommended Retrieval_attempted Retrieval_success FT_retrieval_success"
SURFACE_BITS = (
    "static_water_body radar_water_body_detection coastal_proximity urban_area precipitation snow_or_ice "
    "permanent_snow_or_ice {}_frozen_ground model_frozen_ground mountainous_terrain dense_vegetation nadir_region"
)
TB_BITS = (
    "quality range RFI_detection RFI_correction NEDT direct_sun_correction reflected_sun_correction "
    "reflected_moon_correction direct_galaxy_correction reflected_galaxy_correction atmosphere_correction"
)
HV_BITS = f"{TB_BITS} Faraday_rotation_correction null_value_bit water_correction RFI_check RFI_clean"
STOKES_BITS = f"{TB_BITS} null_value_bit RFI_check RFI_clean"
#: Bits that the third and fourth Stokes parameters leave out.
STOKES_UNUSED = (11, 13)


@dataclass(frozen=True)
class Field:
    """One dataset of the AM group; ``same_as`` names the dataset that it is a hard link to."""

    name: str
    dtype: str
    fill: float | None
    attributes: dict[str, object]
    last: tuple[int, ...] = ()
    same_as: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return SHAPE + self.last


def _masks(count: int, without: tuple[int, ...] = ()) -> str:
    return ", ".join(f"{1 << bit}s" for bit in range(count) if bit not in without)


def _flags(names: str, prefix: str, without: tuple[int, ...] = ()) -> dict[str, object]:
    meanings = [f"{prefix}{name}" for name in names.split()]
    return {"flag_masks": _masks(len(meanings) + len(without), without), "flag_meanings": " ".join(meanings)}


def _fields() -> list[Field]:
    rows: list[Field] = []

    def real(
        name: str,
        text: str,
        low: float | None = 0.0,
        high: float | None = 1.0,
        units: str | None = None,
        **more: object,
    ) -> None:
        attributes: dict[str, object] = {"long_name": text}
        if units:
            attributes["units"] = units
        if low is not None:
            attributes |= {"valid_min": np.float32(low), "valid_max": np.float32(high)}
        rows.append(Field(name, "f4", -9999.0, attributes, **more))

    def bits(name: str, text: str, flags: dict[str, object], **more: object) -> None:
        rows.append(Field(name, "u2", 65534, {"long_name": text, **flags}, **more))

    for name, east in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
        rows.append(Field(name, "f4", -9999.0, {"long_name": f"{name} of the cell's centre", "units": east}))
    real("latitude_centroid", "mean latitude of the footprints' centres", -90.0, 90.0, "degrees")
    real("longitude_centroid", "mean longitude of the footprints' centres", -180.0, 179.9989929, "degrees")
    for name, text, last in (("EASE_row_index", "row", 405), ("EASE_column_index", "column", 963)):
        limits = {"long_name": f"EASE-Grid 2.0 {text} of the cell", "valid_min": 0, "valid_max": last}
        rows.append(Field(name, "u2", 65534, limits))
    land = {"long_name": "land (0) or water (1)", "valid_min": 0, "valid_max": 1}
    rows.append(Field("grid_surface_status", "u2", 65534, land))
    seconds = {
        "long_name": "mean acquisition time, seconds since 2000-01-01T12:00:00 UTC", "units": "seconds",
        "valid_min": -999999.9, "valid_max": 940000000.0,
    }  # fmt: skip
    rows.append(Field("tb_time_seconds", "f8", -9999.0, seconds))
    rows.append(Field("tb_time_utc", "S24", None, {"long_name": "mean acquisition time, UTC"}))

    volume = "cm**3/cm**3"
    real("soil_moisture", "soil moisture of the dual channel algorithm", 0.02, 0.5, volume)
    real("soil_moisture_dca", "soil moisture of the dual channel algorithm", 0.02, 0.5, volume, same_as="soil_moisture")
    for channel in ("scah", "scav"):
        real(f"soil_moisture_{channel}", f"soil moisture of the single channel algorithm {channel}", 0.02, 0.5, volume)
    real("soil_moisture_error", "net uncertainty of soil moisture", 0.0, 0.2, volume)
    opacity = (-999999.875, 999999.875)
    real("vegetation_opacity", "opacity of the vegetation", *opacity)
    real("vegetation_opacity_dca", "opacity of the vegetation", *opacity, same_as="vegetation_opacity")
    real("albedo", "single scattering albedo")
    real("albedo_dca", "single scattering albedo", same_as="albedo")
    real("roughness_coefficient", "roughness coefficient")
    real("roughness_coefficient_dca", "roughness coefficient", same_as="roughness_coefficient")
    for channel in ("scah", "scav"):
        real(f"vegetation_opacity_{channel}", f"opacity used by {channel}", *opacity)
        real(f"albedo_{channel}", f"single scattering albedo used by {channel}")
        real(f"roughness_coefficient_{channel}", f"roughness coefficient used by {channel}")
    flags = _flags(RETRIEVAL_BITS, "")
    bits("retrieval_qual_flag", "quality of the retrieval, 0 is good", flags)
    bits("retrieval_qual_flag_dca", "quality of the retrieval, 0 is good", flags, same_as="retrieval_qual_flag")
    for channel in ("scah", "scav"):
        bits(f"retrieval_qual_flag_{channel}", f"quality of the {channel} retrieval, 0 is good", flags)
    bits("surface_flag", "conditions of the surface", _flags(SURFACE_BITS.format("radiometer"), "36_km_"))

    for name in (
        "tb_h_corrected",
        "tb_v_corrected",
        "tb_3_corrected",
        "tb_4_corrected",
        "tb_h_uncorrected",
        "tb_v_uncorrected",
    ):
        real(name, "brightness temperature, " + name[3:].replace("_", " "), 0.0, 330.0, "Kelvin")
    for letter, prefix in (("h", "Horizontal_polarization_"), ("v", "Vertical_polarization_")):
        bits(f"tb_qual_flag_{letter}", "quality of the brightness temperature", _flags(HV_BITS, prefix))
    for letter, prefix in (("3", "3rd_Stokes_"), ("4", "4th_Stokes_")):
        bits(f"tb_qual_flag_{letter}", "quality of the Stokes parameter", _flags(STOKES_BITS, prefix, STOKES_UNUSED))
    real("boresight_incidence", "incidence angle", 0.0, 90.0, "degrees")
    real("surface_temperature", "temperature of the surface, from a model", 0.0, 350.0, "Kelvins")
    real("vegetation_water_content", "water in the vegetation", 0.0, 20.0, "kg/m**2")
    for name in ("freeze_thaw_fraction", "static_water_body_fraction", "radar_water_body_fraction", "clay_fraction"):
        real(name, name.replace("_", " "))
    for letter in ("h", "v"):
        real(f"surface_water_fraction_mb_{letter}", "water fraction within the antenna pattern")
    real("bulk_density", "bulk density of the soil", 0.0, 2.650000095)
    rows.append(Field("landcover_class", "u1", 254, {"long_name": "three commonest IGBP classes"}, (3,)))
    real("landcover_class_fraction", "fractions of the three commonest IGBP classes", last=(3,))
    return rows


#: Every dataset of the AM group.
FIELDS: tuple[Field, ...] = tuple(_fields())
