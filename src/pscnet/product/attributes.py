"""Global attributes of a product month: ACDD 1.3, CF 1.11, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlparse

import numpy as np
import pandas as pd

from ..checks import geo_transform
from ..grids import Grid
from ..timeaxis import STEP_HOURS, month_stamps
from ..variants import NET_TITLES

#: Layer that a retrieval at L band represents [m]: centre, top, bottom.
DEPTH = (0.025, 0.0, 0.05)

#: Attributes that only the user can know.
REQUIRED_ATTRIBUTES = ("title", "institution", "creator_name", "creator_email", "creator_url", "license")

#: What has to be known of a product's making.
REQUIRED_PROVENANCE = ("version", "commit", "config_hash", "checkpoint_hash", "weight_engine", "manifests_hash")

SUMMARY = (
    "Volumetric liquid water content of the top 5 cm of soil every 3 hours, with a calibrated "
    "standard deviation and flags. A network learns from SMAP L-band retrievals on 36 km cells and ERA5-Land fields "
    "through the area average, and estimates the field at every land cell of the region and every step."
)
COMMENT = (
    "Values are of liquid water: ice is not counted, although the standard name speaks of condensed water (there is no "
    "standard name of liquid water in the whole soil); flag says where the ground is frozen. Values are instants; "
    "time_bnds gives the interval within which a SMAP overpass counts as of the stamp. Extents in geospatial_ and "
    "time_coverage_ attributes are those of the coordinate values; geospatial_bounds and the bounds variables give the "
    "edges. The product is made of SMAP and ERA5-Land: agreement with either is no independent validation."
)
REFERENCES = (
    "doi:10.48550/arXiv.2510.10244 (PSCNet; this is an independent implementation), "
    "doi:10.5194/essd-13-4349-2021 (ERA5-Land), doi:10.3390/ijgi1010032 (EASE-Grid 2.0)"
)
#: The Copernicus licence asks for the first sentence.
ACKNOWLEDGEMENT = (
    "Contains modified Copernicus Climate Change Service information {year}. "
    "SMAP data are from NASA through the NSIDC DAAC."
)
SOURCE = "SMAP L3 passive soil moisture (SPL3SMP) and ERA5-Land, merged by {net}"
SIMULATED = "SIMULATED (made from a simulated region, with no observation in it): "


class ProductError(ValueError):
    """A product cannot be written as asked: an attribute is missing, or a value does not fit the packing."""


def check_attributes(attributes: Mapping, provenance: Mapping) -> None:
    """Name every missing attribute at once, and refuse a name given twice."""
    for kind, given, wanted, remedy in (
        ("attribute", attributes, REQUIRED_ATTRIBUTES, "give it under product: in the config"),
        ("provenance", provenance, REQUIRED_PROVENANCE, "pass what is known, or 'unknown'"),
    ):
        missing = [name for name in wanted if not str(given.get(name) or "").strip()]
        if missing:
            raise ProductError(
                f"product {kind}: expected a text for each of {', '.join(wanted)}; found none for "
                f"{', '.join(missing)}; {remedy}"
            )
    both = sorted(set(attributes) & set(provenance))
    if both:
        raise ProductError(f"product attribute {', '.join(both)}: expected either metadata or provenance, found both")


def iso(moment: datetime | np.datetime64) -> str:
    """A moment (UTC) in ISO 8601, to the second."""
    return pd.Timestamp(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def global_attributes(
    run: str,
    month: str,
    fine: Grid,
    attributes: Mapping[str, str],
    provenance: Mapping[str, str],
    simulated: bool,
    created: str,
    source_name: str,
) -> dict[str, str | float]:
    """All global attributes of a product month; ``attributes`` replace defaults, never what is computed."""
    computed = {
        "Conventions": "CF-1.11, ACDD-1.3",
        "id": f"sm_{run}_10km_3h_{month}",
        **_extents(fine, month),
        "product_version": provenance["version"],
        **{name: created for name in ("date_created", "date_modified", "date_issued", "date_metadata_modified")},
        "history": f"{created} pscnet {provenance['version']} (commit {provenance['commit']}): "
        f"downscaled to {source_name}, delivered as product month {month} of run {run}",
        **provenance,
    }
    clash = sorted(set(computed) & set(attributes))
    if clash:
        raise ProductError(f"product attribute {', '.join(clash)}: expected none, it is computed; remove it")
    model = provenance.get("model", "pscnet")
    merged = {**_defaults(attributes, run, month, simulated, model), **attributes}
    if simulated:
        for name in ("title", "summary", "source"):
            merged[name] = SIMULATED + merged[name]
    merged = {"Conventions": computed.pop("Conventions"), "title": merged.pop("title"), **merged, **computed}
    return {name: value if isinstance(value, float) else str(value) for name, value in merged.items()}


def _defaults(attributes: Mapping[str, str], run: str, month: str, simulated: bool, model: str) -> dict[str, str]:
    """ACDD attributes that follow from the required ones or are the same for every product of this package."""
    defaults = {
        "summary": SUMMARY,
        "keywords": "EARTH SCIENCE > LAND SURFACE > SOILS > SOIL MOISTURE/WATER CONTENT, "
        "EARTH SCIENCE > AGRICULTURE > SOILS > SOIL MOISTURE/WATER CONTENT",
        "keywords_vocabulary": "GCMD Science Keywords",
        "standard_name_vocabulary": "CF Standard Name Table v93",
        "naming_authority": ".".join(reversed((urlparse(attributes["creator_url"]).hostname or "local").split("."))),
        "cdm_data_type": "Grid",
        "source": SOURCE.format(net=NET_TITLES[model]),
        "processing_level": "Level 4: model-assisted analysis of Level 3 retrievals",
        "comment": COMMENT,
        "references": REFERENCES,
        "acknowledgement": ACKNOWLEDGEMENT.format(year=month[:4]),
        "metadata_link": attributes["creator_url"],
        "project": f"PSCNet run {run}",
        "program": "PSCNet",
        "creator_type": "institution",
        "creator_institution": attributes["institution"],
        "publisher_type": "institution",
        "publisher_name": attributes["creator_name"],
        "publisher_email": attributes["creator_email"],
        "publisher_url": attributes["creator_url"],
        "publisher_institution": attributes["institution"],
        "contributor_name": attributes["creator_name"],
        "contributor_role": "producer",
    }
    instruments = {"platform": "SMAP", "instrument": "SMAP L-BAND RADIOMETER"}
    if simulated:
        instruments = {"platform": "none (simulation)", "instrument": "none (simulation)"}
        defaults["acknowledgement"] = "none (simulation)"
    vocabularies = {"platform_vocabulary": "GCMD Platforms", "instrument_vocabulary": "GCMD Instruments"}
    return {**defaults, **instruments, **vocabularies}


def _extents(fine: Grid, month: str) -> dict[str, str | float]:
    """ACDD extents in space, depth and time.

    They are those of the coordinate values, as the IOOS compliance-checker wants them; ``geospatial_bounds`` has the
    outer edges (EPSG:4326: latitude first, closed, counter-clockwise on the map).
    """
    north, south = fine.lat_edges[[0, -1]]
    west, east = fine.lon_edges[[0, -1]]
    corners = [(south, west), (south, east), (north, east), (north, west), (south, west)]
    stamps = month_stamps(month)
    even = geo_transform(fine) is not None
    steps = {axis: abs(np.diff(edges)) for axis, edges in (("lat", fine.lat_edges), ("lon", fine.lon_edges))}
    return {
        "geospatial_bounds": "POLYGON ((" + ", ".join(f"{lat:.6f} {lon:.6f}" for lat, lon in corners) + "))",
        "geospatial_bounds_crs": "EPSG:4326",
        "geospatial_bounds_vertical_crs": "none (depth below the ground surface)",
        "geospatial_lat_min": float(fine.lat.min()),
        "geospatial_lat_max": float(fine.lat.max()),
        "geospatial_lat_units": "degrees_north",
        "geospatial_lat_resolution": f"{steps['lat'].mean():.6g} degree" + ("" if even else " on average"),
        "geospatial_lon_min": float(fine.lon.min()),
        "geospatial_lon_max": float(fine.lon.max()),
        "geospatial_lon_units": "degrees_east",
        "geospatial_lon_resolution": f"{steps['lon'].mean():.6g} degree",
        "geospatial_vertical_min": DEPTH[0],
        "geospatial_vertical_max": DEPTH[0],
        "geospatial_vertical_units": "m",
        "geospatial_vertical_resolution": f"{DEPTH[2] - DEPTH[1]:g} m",
        "geospatial_vertical_positive": "down",
        "time_coverage_start": iso(stamps[0]),
        "time_coverage_end": iso(stamps[-1]),
        "time_coverage_duration": f"P{stamps.size * STEP_HOURS // 24}D",
        "time_coverage_resolution": f"PT{STEP_HOURS}H",
    }
