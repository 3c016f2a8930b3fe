"""Names, units and physical ranges of every variable that enters or leaves the pipeline.

============  ==========================================  =======  ============  =============================
short name    CDS request name                            kind     unit          accepted range (after decoding)
============  ==========================================  =======  ============  =============================
swvl1         volumetric_soil_water_layer_1               instant  m3 m-3        -0.02 .. 1.0
tp            total_precipitation                         accum    m             -1e-4 .. 1.0
...           see :data:`ERA5_LAND`
============  ==========================================  =======  ============  =============================

The ranges are generous physical limits: they catch a wrong unit (a percentage, a temperature in
Celsius), not an outlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Variable:
    """One ERA5-Land variable.

    ``units`` is the unit string of the provider's file, ``minimum`` and ``maximum`` the physical limits of a
    value in that unit (for accumulations: of the running total since 00 UTC). ``signed`` accumulations may
    be negative and are not clipped after de-accumulation.
    """

    short: str
    request: str
    kind: Literal["instant", "accum"]
    units: str
    minimum: float
    maximum: float
    long_name: str
    signed: bool = False


def _table() -> dict[str, Variable]:
    rows: list[Variable] = []

    def instant(short: str, request: str, units: str, low: float, high: float, name: str) -> None:
        rows.append(Variable(short, request, "instant", units, low, high, name))

    def accum(short: str, request: str, units: str, low: float, high: float, name: str, signed: bool = False) -> None:
        rows.append(Variable(short, request, "accum", units, low, high, name, signed))

    depths = {1: "0-7 cm", 2: "7-28 cm", 3: "28-100 cm", 4: "100-289 cm"}
    for level, depth in depths.items():
        instant(f"swvl{level}", f"volumetric_soil_water_layer_{level}", "m3 m-3", -0.02, 1.0, f"soil water {depth}")
        instant(f"stl{level}", f"soil_temperature_level_{level}", "K", 180.0, 350.0, f"soil temperature {depth}")
    instant("skt", "skin_temperature", "K", 150.0, 370.0, "skin temperature")
    instant("t2m", "2m_temperature", "K", 170.0, 340.0, "air temperature at 2 m")
    instant("d2m", "2m_dewpoint_temperature", "K", 150.0, 330.0, "dew point at 2 m")
    instant("sp", "surface_pressure", "Pa", 3.0e4, 1.15e5, "surface pressure")
    instant("u10", "10m_u_component_of_wind", "m s-1", -100.0, 100.0, "eastward wind at 10 m")
    instant("v10", "10m_v_component_of_wind", "m s-1", -100.0, 100.0, "northward wind at 10 m")
    instant("lai_hv", "leaf_area_index_high_vegetation", "m2 m-2", 0.0, 15.0, "leaf area index, high vegetation")
    instant("lai_lv", "leaf_area_index_low_vegetation", "m2 m-2", 0.0, 15.0, "leaf area index, low vegetation")
    instant("snowc", "snow_cover", "%", -0.1, 100.1, "snow cover")
    instant("sde", "snow_depth", "m", -0.01, 400.0, "snow depth")
    instant("sd", "snow_depth_water_equivalent", "m", -0.01, 100.0, "snow depth water equivalent")
    instant("rsn", "snow_density", "kg m-3", 0.0, 1000.0, "snow density")
    instant("asn", "snow_albedo", "1", 0.0, 1.0, "snow albedo")
    instant("fal", "forecast_albedo", "1", 0.0, 1.0, "forecast albedo")
    instant("tsn", "temperature_of_snow_layer", "K", 150.0, 330.0, "temperature of snow layer")
    instant("src", "skin_reservoir_content", "m", -1e-4, 0.1, "skin reservoir content")
    accum("tp", "total_precipitation", "m", -1e-4, 2.0, "total precipitation")
    accum("sf", "snowfall", "m", -1e-4, 2.0, "snowfall")
    accum("smlt", "snowmelt", "m", -1e-4, 2.0, "snowmelt")
    accum("e", "total_evaporation", "m", -0.1, 0.1, "total evaporation (negative upward)", signed=True)
    accum("pev", "potential_evaporation", "m", -0.5, 0.5, "potential evaporation (negative upward)", signed=True)
    accum("ro", "runoff", "m", -1e-4, 2.0, "runoff")
    accum("sro", "surface_runoff", "m", -1e-4, 2.0, "surface runoff")
    accum("ssro", "sub_surface_runoff", "m", -1e-4, 2.0, "sub-surface runoff")
    accum("ssrd", "surface_solar_radiation_downwards", "J m-2", -1e4, 5e7, "downward solar radiation")
    accum("strd", "surface_thermal_radiation_downwards", "J m-2", -1e4, 6e7, "downward thermal radiation")
    accum("ssr", "surface_net_solar_radiation", "J m-2", -1e4, 5e7, "net solar radiation")
    accum("str", "surface_net_thermal_radiation", "J m-2", -4e7, 4e7, "net thermal radiation", signed=True)
    accum("sshf", "surface_sensible_heat_flux", "J m-2", -6e7, 6e7, "sensible heat flux", signed=True)
    accum("slhf", "surface_latent_heat_flux", "J m-2", -6e7, 6e7, "latent heat flux", signed=True)
    return {row.short: row for row in rows}


#: ERA5-Land variables by short (file) name. Source: ECMWF ERA5-Land documentation, parameter table.
ERA5_LAND: dict[str, Variable] = _table()

#: Physical range of soil moisture [m3 m-3] in the product: dry mineral soil to saturated peat.
SOIL_MOISTURE_RANGE = (0.0, 0.9)

#: Valid range of SPL3SMP ``soil_moisture`` [cm3 cm-3] (SPL3SMP V009 product specification).
SMAP_VALID_RANGE = (0.02, 0.9)

#: Freezing point of water [K].
FREEZING = 273.15

#: Bits of the product's ``flag`` variable, in the order of ``flag_masks``.
FLAG_BITS: dict[str, int] = {
    "frozen": 1,
    "snow": 2,
    "inland_water": 4,
    "smap_observed": 8,
    "extrapolated": 16,
    "outside_region": 32,
}
