"""Is it allowed? The contracts of the pipeline's files as functions: a Dataset to a list of complaints.

============================  ======================================================  ============================
function                      file                                                    dims
============================  ======================================================  ============================
:func:`predictors_complaints` ``build/{run}/predictors/{month}.nc``                   time, lat, lon
:func:`smap_complaints`       ``build/{run}/smap/{month}.nc``                         half_orbit, y, x
:func:`static_complaints`     ``build/{run}/static.nc``                               lat, lon
:func:`downscaled_complaints` ``build/{run}/downscaled/{month}.nc``                   time, lat, lon
:func:`product_complaints`    ``results/{run}/product/sm_{run}_10km_3h_{month}.nc``   time, lat, lon
============================  ======================================================  ============================

An empty list means that the contract is kept. Every complaint names the variable, what was expected and what
was found. :func:`verify_product` is the step that a finished run must pass.
"""

from .fields import REASONS, UNCERTAINTY_RANGE, FieldSummary, downscaled_complaints, summarise
from .inputs import predictors_complaints, smap_complaints, static_complaints
from .layout import CheckError
from .product import MIN_COVERAGE, PRODUCT_ATTRIBUTES, geo_transform, product_complaints, verify_product

__all__ = [
    "MIN_COVERAGE",
    "PRODUCT_ATTRIBUTES",
    "REASONS",
    "UNCERTAINTY_RANGE",
    "CheckError",
    "FieldSummary",
    "downscaled_complaints",
    "geo_transform",
    "predictors_complaints",
    "product_complaints",
    "smap_complaints",
    "static_complaints",
    "summarise",
    "verify_product",
]
